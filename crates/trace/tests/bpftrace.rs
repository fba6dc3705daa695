//! The same values through bpftrace and through this crate: text and JSON must be the same.
//!
//! bpftrace 0.17 (Debian 12) and later ones; where versions differ only in spaces and empty lines, those are not
//! compared. `SKEP_BPFTRACE` names another program than the installed one.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::rc::Rc;

use skep_lang_script::plan::{Action, Buckets, Field, MapValue, Plan, PrintTo, ScriptMap, Shape, lay_out};
use skep_trace::events::{Buffering, Dispatcher, Form, Output, Script};
use skep_trace::maps::{MapEntry, MapSource, SourceError};
use skep_trace::names::{Clock, Names, NoSymbols};

fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

/// What bpftrace prints, `None` if it cannot run here. tracefs is mounted in a mount namespace of its own, so nothing
/// stays behind.
fn reference(script: &str, form: Form) -> Option<String> {
    let program = std::env::var("SKEP_BPFTRACE").unwrap_or_else(|_| "bpftrace".to_owned());
    let form = if form == Form::Json { "json" } else { "text" };
    let shell = "mount -t tracefs none /sys/kernel/tracing 2>/dev/null; exec \"$0\" -f \"$1\" -e \"$2\"";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", shell, &program, form, script])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        let unable = ["not found", "Operation not permitted", "root", "CAP_SYS_ADMIN", "Permission denied"];
        assert!(
            unable.iter().any(|reason| errors.contains(reason)),
            "bpftrace refuses the script:\n{script}\n{errors}"
        );
        return None;
    }
    Some(out.into_owned())
}

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Maps(Vec<Vec<MapEntry>>);

impl MapSource for Maps {
    fn entries(&mut self, map: usize) -> Result<Vec<MapEntry>, SourceError> {
        Ok(self.0[map].clone())
    }
    fn entry(&mut self, map: usize, key: &[u8]) -> Result<Option<Vec<Vec<u8>>>, SourceError> {
        Ok(self.0[map].iter().find(|entry| entry.key == key).map(|entry| entry.values.clone()))
    }
    fn clear(&mut self, map: usize) -> Result<(), SourceError> {
        self.0[map].clear();
        Ok(())
    }
    fn zero(&mut self, map: usize) -> Result<(), SourceError> {
        self.0[map].iter_mut().flat_map(|entry| &mut entry.values).for_each(|value| value.fill(0));
        Ok(())
    }
}

/// A script with what it does: the text for the reference, records and maps for us.
#[derive(Default)]
struct Case {
    script: String,
    plan: Plan,
    records: Vec<Vec<u8>>,
    maps: Vec<Vec<MapEntry>>,
}

impl Case {
    fn printf(&mut self, format: &str, values: &[(String, Shape, Vec<u8>)]) {
        let _ = write!(self.script, "printf(\"{format}\\n\"");
        let args: Vec<Field> = lay_out(8, values.iter().map(|value| value.1.clone()));
        let mut record = (self.plan.actions.len() as u64).to_le_bytes().to_vec();
        for (field, (text, _, bytes)) in args.iter().zip(values) {
            let _ = write!(self.script, ", {text}");
            record.resize(field.offset as usize, 0);
            record.extend_from_slice(bytes);
        }
        self.script.push_str(");\n");
        let format = format!("{format}\n").as_str().into();
        self.plan.actions.push(Action::Print { to: PrintTo::Output, format, args });
        self.records.push(record);
    }

    fn print(&mut self, text: &str, shape: Shape, bytes: &[u8]) {
        let _ = writeln!(self.script, "print({text});");
        let record = [&(self.plan.actions.len() as u64).to_le_bytes(), bytes].concat();
        self.plan.actions.push(Action::PrintValue { value: Field { offset: 8, shape } });
        self.records.push(record);
    }

    /// A map with integer keys: statements that fill it, and its entries.
    fn map(&mut self, name: &str, value: MapValue, statements: &str, entries: &[(i64, Vec<i64>)]) {
        self.script.push_str(statements);
        let key = lay_out(0, [Shape::Int { bytes: 8, signed: true }]);
        self.plan.maps.push(ScriptMap { name: name.into(), object_map: String::new(), key, value, per_cpu: true });
        let bytes = |words: &[i64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let entries = entries.iter().map(|(key, words)| MapEntry { key: bytes(&[*key]), values: vec![bytes(words)] });
        self.maps.push(entries.collect());
    }

    fn check(&self) {
        let script = format!("BEGIN {{\n{}exit(); }}", self.script);
        for form in [Form::Text, Form::Json] {
            let Some(theirs) = reference(&script, form) else {
                return skip("bpftrace is not installed or may not run");
            };
            let ours = self.ours(form);
            let normal = if form == Form::Text { text } else { json };
            assert_eq!(normal(&ours), normal(&theirs), "ours is left, bpftrace's is right; the script:\n{script}");
        }
    }

    fn ours(&self, form: Form) -> String {
        let to = Shared::default();
        let output = Output::new(form, Buffering::Full, Box::new(to.clone()), Box::new(io::sink()));
        let names = Names::new(Box::new(NoSymbols), Clock::fixed(0));
        let mut dispatcher = Dispatcher::new(&self.plan, Script::default(), names, output).unwrap();
        let mut maps = Maps(self.maps.clone());
        for record in &self.records {
            dispatcher.record(record, &mut maps).unwrap();
        }
        dispatcher.finish(&mut maps).unwrap();
        String::from_utf8_lossy(&to.0.take()).into_owned()
    }
}

/// Lines without spaces at their ends, without empty ones and without what versions say at the start.
fn text(output: &str) -> Vec<String> {
    let lines = output.lines().map(|line| line.trim_end().to_owned());
    lines.filter(|line| !line.is_empty() && !line.starts_with("Attach")).collect()
}

fn json(output: &str) -> Vec<String> {
    let lines = output.lines().filter(|line| !line.is_empty());
    let parse = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{line}: {error}")).to_string()
    };
    lines.map(parse).filter(|line| !line.contains("attached_probes")).collect()
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // All magnitudes are as likely.
        (self.0.cast_signed() >> (self.0 % 62)) >> 1
    }
}

fn int(number: i64) -> (String, Shape, Vec<u8>) {
    (format!("(int64){number}"), Shape::Int { bytes: 8, signed: true }, number.to_le_bytes().into())
}

fn literal(text: &str) -> (String, Shape, Vec<u8>) {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    (format!("\"{text}\""), Shape::Text(u32::try_from(bytes.len()).unwrap()), bytes)
}

#[test]
fn printf_of_numbers() {
    let mut case = Case::default();
    let mut numbers = Numbers(1);
    let formats = ["%d|%5d|%-5d|%x", "%u|%20u|%-20u|%X", "%lx|%lld|%lu|%ld", "%hhd|%hx|%hu|%hhx", "%o|%d|%12d|%12x"];
    for format in formats.iter().cycle().take(25) {
        let values: Vec<_> = (0..4).map(|_| int(numbers.next())).collect();
        case.printf(format, &values);
    }
    case.printf("%%|%c|100%%|%p|", &[int(65), int(4096)]);
    case.check();
}

#[test]
fn printf_of_texts_and_tuples() {
    let mut case = Case::default();
    case.printf("%s|%10s|%-10s|", &[literal("abc"), literal("de"), literal("f g")]);
    let tuple = lay_out(0, [Shape::Int { bytes: 8, signed: true }, Shape::Text(2)]);
    let mut bytes = 7i64.to_le_bytes().to_vec();
    bytes.extend_from_slice(b"x\0\0\0\0\0\0\0");
    case.print("((int64)7, \"x\")", Shape::Tuple(tuple), &bytes);
    let buffer = |text: &str, bytes: &[u8]| {
        let mut stored = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
        stored.extend_from_slice(bytes);
        (format!("buf(\"{text}\", {})", bytes.len()), Shape::Buffer(u32::try_from(bytes.len()).unwrap()), stored)
    };
    case.printf("%r|%rx|%rh|", &[buffer("a\\x01b~", b"a\x01b~"), buffer("ab", b"ab"), buffer("\\x00b", b"\0b")]);
    case.check();
}

#[test]
fn maps_of_numbers() {
    let mut case = Case::default();
    let mut numbers = Numbers(2);
    let (mut statements, mut entries) = (String::new(), Vec::new());
    for key in 1..=12 {
        // A sum of two, so that nothing depends on the processor.
        let (a, b) = (numbers.next() >> 8, numbers.next() >> 8);
        let _ = writeln!(statements, "@sum[{key}] = sum((int64){a}); @sum[{key}] = sum((int64){b});");
        entries.push((key, vec![a + b]));
    }
    case.map("@sum", MapValue::Sum { signed: true }, &statements, &entries);
    case.map(
        "@min",
        MapValue::Min { signed: true },
        "@min[1] = min((int64)-5); @min[1] = min((int64)7);\n",
        &[(1, vec![-5, 1])],
    );
    case.map(
        "@max",
        MapValue::Max { signed: true },
        "@max[1] = max((int64)-5); @max[1] = max((int64)7);\n",
        &[(1, vec![7, 1])],
    );
    let statements = "@avg[1] = avg((int64)-7); @avg[1] = avg((int64)2); @avg[2] = avg((int64)-9);\n";
    case.map("@avg", MapValue::Avg { signed: true }, statements, &[(1, vec![-5, 2]), (2, vec![-9, 1])]);
    case.map("@count", MapValue::Count, "@count[3] = count();\n", &[(3, vec![1])]);
    case.check();
}

#[test]
fn histograms() {
    let mut case = Case::default();
    let mut numbers = Numbers(3);
    let mut counters = vec![0; Buckets::count(0) as usize];
    let mut statements = String::new();
    for _ in 0..40 {
        // bpftrace 0.17 has no buckets for larger numbers.
        let number = numbers.next() % (1 << 31);
        let _ = writeln!(statements, "@h[5] = hist((int64){number});");
        counters[Buckets::of(number, 0) as usize] += 1;
    }
    let mut small = vec![0; Buckets::count(0) as usize];
    (small[1], small[5]) = (1, 1);
    statements.push_str("@h[6] = hist(0); @h[6] = hist(9);\n");
    case.map("@h", MapValue::Hist { bits: 0 }, &statements, &[(5, counters), (6, small)]);

    let (min, max, step) = (1024, 11 * 1024, 1024);
    let mut counters = vec![0; 12];
    let mut statements = String::new();
    for _ in 0..40 {
        let number = numbers.next().rem_euclid(13 * 1024);
        let _ = writeln!(statements, "@l[1] = lhist({number}, {min}, {max}, {step});");
        let bucket = if number < min { 0 } else { ((number - min) / step + 1).min(11) };
        counters[usize::try_from(bucket).unwrap()] += 1;
    }
    case.map("@l", MapValue::LinearHist { min, max, step }, &statements, &[(1, counters)]);
    case.check();
}
