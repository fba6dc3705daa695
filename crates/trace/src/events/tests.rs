//! Records in, output out; the expected text and JSON are the reference's (bpftrace 0.27.1).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::rc::Rc;

use skep_lang_script::plan::{Field, MapValue, PrintTo, ScriptMap, Shape, lay_out};

use super::*;
use crate::maps::MapEntry;
use crate::testing::{Build, enums, names};
use crate::value::Value;

/// A stream that a test can look into.
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

impl Shared {
    fn take(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.0.borrow_mut())).into_owned()
    }
}

/// Maps in memory.
#[derive(Default)]
struct Memory(BTreeMap<usize, BTreeMap<Vec<u8>, Vec<Vec<u8>>>>);

impl MapSource for Memory {
    fn entries(&mut self, map: usize) -> Result<Vec<MapEntry>, SourceError> {
        let entries = self.0.get(&map).ok_or("no such map")?.iter();
        Ok(entries.map(|(key, values)| MapEntry { key: key.clone(), values: values.clone() }).collect())
    }
    fn entry(&mut self, map: usize, key: &[u8]) -> Result<Option<Vec<Vec<u8>>>, SourceError> {
        Ok(self.0.get(&map).ok_or("no such map")?.get(key).cloned())
    }
    fn clear(&mut self, map: usize) -> Result<(), SourceError> {
        self.0.entry(map).or_default().clear();
        Ok(())
    }
    fn zero(&mut self, map: usize) -> Result<(), SourceError> {
        let values = self.0.entry(map).or_default().values_mut().flatten();
        values.for_each(|value| value.fill(0));
        Ok(())
    }
}

/// The output and the warnings of some records.
struct Bench {
    text: String,
    warnings: String,
    status: i32,
    counts: Counts,
}

const SOURCE: &str = "begin {\n\t$x = 1 / 0; }\n";

fn run(form: Form, plan: &Plan, records: &[Vec<u8>], maps: &mut Memory) -> Bench {
    let (to, warnings) = (Shared::default(), Shared::default());
    let output = Output::new(form, Buffering::Full, Box::new(to.clone()), Box::new(warnings.clone()));
    let script = Script { name: "x.bt".into(), text: SOURCE.into() };
    let mut dispatcher = Dispatcher::new(plan, script, names(), output).unwrap();
    for record in records {
        dispatcher.record(record, maps).unwrap();
    }
    dispatcher.output().flush().unwrap();
    let (status, counts) = (dispatcher.status(), dispatcher.counts());
    Bench { text: to.take(), warnings: warnings.take(), status, counts }
}

fn plan(actions: Vec<Action>) -> Plan {
    let map = |name: &str, key: &[Shape]| ScriptMap {
        name: name.into(),
        object_map: String::new(),
        key: lay_out(0, key.iter().cloned()),
        value: MapValue::Count,
        per_cpu: true,
    };
    let maps = vec![map("@z", &[Shape::Text(4)]), map("@a", &[]), map("@empty", &[])];
    Plan { maps, actions, enums: enums(), ..Plan::default() }
}

fn maps() -> Memory {
    let one = |value: u64| vec![value.to_le_bytes().to_vec(), 1u64.to_le_bytes().to_vec()];
    let keyed = BTreeMap::from([(b"ab\0\0".to_vec(), one(4)), (b"c\0\0\0".to_vec(), one(1))]);
    Memory(BTreeMap::from([(0, keyed), (1, BTreeMap::from([(vec![0; 4], one(6))])), (2, BTreeMap::new())]))
}

/// A record for action 0 with these arguments, and their fields.
fn record(values: &[(Shape, Vec<u8>)]) -> (Vec<Field>, Vec<u8>) {
    let fields = lay_out(8, values.iter().map(|value| value.0.clone()));
    let mut bytes = vec![0; 8];
    for (field, value) in fields.iter().zip(values) {
        bytes.resize(field.offset as usize, 0);
        bytes.extend_from_slice(&value.1);
    }
    (fields, bytes)
}

/// One action with one record in both forms.
#[track_caller]
fn check(action: Action, record: &[u8], text: &str, warnings: &str, json: &str) {
    let plan = plan(vec![action]);
    let printed = run(Form::Text, &plan, &[record.to_vec()], &mut maps());
    assert_eq!((&*printed.text, &*printed.warnings), (text, warnings));
    let printed = run(Form::Json, &plan, &[record.to_vec()], &mut maps());
    assert_eq!(printed.text, json);
    for line in json.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    assert_eq!(printed.counts, Counts { handled: 1, ..Counts::default() });
}

#[test]
fn printing() {
    let (args, bytes) = record(&[Build::int(5), Build::text("a\"b", 8)]);
    let print = |to| Action::Print { to, format: "%d %s\n".into(), args: args.clone() };
    check(print(PrintTo::Output), &bytes, "5 a\"b\n", "", "{\"type\": \"printf\", \"data\": \"5 a\\\"b\\n\"}\n");
    let json = "{\"type\": \"warnf\", \"msg\": \"5 a\\\"b\\n\", \"filename\": \"x.bt\", \"line\": 2, \"col\": 7}\n";
    check(print(PrintTo::Warning((2, 7))), &bytes, "", "x.bt:2:7: WARNING: 5 a\"b\n", json);
    let json = json.replace("warnf", "errorf");
    check(print(PrintTo::Error((2, 7))), &bytes, "", "x.bt:2:7: ERROR: 5 a\"b\n", &json);
    let failed = run(Form::Text, &plan(vec![print(PrintTo::Error((1, 1)))]), &[bytes], &mut maps());
    assert_eq!(failed.status, 1);
}

#[test]
fn values_and_maps() {
    let (fields, bytes) = record(&[Build::tuple(&[Build::int(1), Build::text("x", 4)])]);
    let value = Action::PrintValue { value: fields[0].clone() };
    check(value, &bytes, "(1, x)\n", "", "{\"type\": \"value\", \"data\": [1,\"x\"]}\n");
    let print = |map, top, div| Action::PrintMap { map, top, div };
    let json = "{\"type\": \"map\", \"data\": {\"@z\": {\"c\": 2, \"ab\": 5}}}\n";
    check(print(0, 0, 0), &[0; 8], "@z[c]: 2\n@z[ab]: 5\n", "", json);
    check(print(0, 1, 5), &[0; 8], "@z[ab]: 1\n", "", "{\"type\": \"map\", \"data\": {\"@z\": {\"ab\": 1}}}\n");
    check(print(2, 0, 0), &[0; 8], "@empty: 0\n", "", "{\"type\": \"map\", \"data\": {\"@empty\": 0}}\n");
    let (fields, bytes) = record(&[Build::text("ab", 4)]);
    let entry = |value| Action::PrintEntry { map: 0, key: fields[0].clone(), value };
    check(entry(None), &bytes, "5\n", "", "{\"type\": \"value\", \"data\": 5}\n");
    check(entry(None), &record(&[Build::text("no", 4)]).1, "0\n", "", "{\"type\": \"value\", \"data\": 0}\n");
    check(entry(Some(fields[0].clone())), &bytes, "ab\n", "", "{\"type\": \"value\", \"data\": \"ab\"}\n");
}

#[test]
fn changing_maps() {
    let plan = plan(vec![Action::Zero { map: 0 }, Action::Clear { map: 1 }]);
    let mut memory = maps();
    run(Form::Text, &plan, &[0u64, 1].map(|index| index.to_le_bytes().to_vec()), &mut memory);
    assert!(memory.0[&0].values().flatten().all(|value| value == &[0; 8]));
    assert!(memory.0[&1].is_empty());
}

#[test]
fn files_commands_and_joined_texts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, "content\n").unwrap();
    let (args, bytes) = record(&[Build::text(path.to_str().unwrap(), 200)]);
    let cat = Action::Cat { format: "%s".into(), args: args.clone() };
    check(cat.clone(), &bytes, "content\n", "", "{\"type\": \"cat\", \"data\": \"content\\n\"}\n");
    let (_, missing) = record(&[Build::text("/nonexist", 200)]);
    let message = "ERROR: failed to open file '/nonexist' (No such file or directory)\n";
    check(cat.clone(), &missing, "", message, "");
    let mut short = plan(vec![cat]);
    short.settings.max_cat_bytes = 3;
    assert_eq!(run(Form::Text, &short, &[bytes], &mut maps()).text, "con");
    let (_, command) = record(&[Build::text("a b", 200)]);
    let system = Action::System { format: "printf '%%s' '%s'".into(), args };
    check(system, &command, "a b\n", "", "{\"type\": \"syscall\", \"data\": \"a b\"}\n");
    let texts = Field { offset: 8, shape: Shape::Array(Box::new(Shape::Text(4)), 5) };
    let bytes = [&[0; 8][..], b"ls\0\0\0\0\0\0-l\0\0\0\0\0\0\0\0\0\0"].concat();
    let join = Action::Join { separator: " ".into(), texts };
    check(join, &bytes, "ls  -l\n", "", "{\"type\": \"join\", \"data\": \"ls  -l\"}\n");
    let time = Action::Time { format: "%%now\n".into() };
    check(time, &[0; 8], "%now\n", "", "{\"type\": \"time\", \"data\": \"%now\\n\"}\n");
}

#[test]
fn warnings_at_run_time() {
    let at = (2, 7);
    let warning = Action::Warning { text: "Division by 0.".into(), at };
    let excerpt = "\t$x = 1 / 0; }\n\t     ~\n";
    let text = format!("x.bt:2:7: WARNING: Division by 0.\n{excerpt}");
    let json =
        "{\"type\": \"runtime_error\", \"msg\": \"Division by 0.\", \"filename\": \"x.bt\", \"line\": 2, \"col\": 7}\n";
    check(warning.clone(), &[0; 8], "", &text, json);
    let helper = |name: &str| Action::HelperError { helper: name.into(), error: 8, at };
    let bytes = |code: i32| [[0; 8].as_slice(), &code.to_le_bytes()].concat();
    let text = format!("x.bt:2:7: WARNING: Failed to probe_read_user: Bad address (-14)\n{excerpt}");
    let json = "{\"type\": \"helper_error\", \"msg\": \"Bad address\", \"helper\": \"probe_read_user\", \"retcode\": -14, \
                \"filename\": \"x.bt\", \"line\": 2, \"col\": 7}\n";
    check(helper("probe_read_user"), &bytes(-14), "", &text, json);
    let full = run(Form::Text, &plan(vec![helper("map_update_elem")]), &[bytes(-7)], &mut maps());
    assert!(full.warnings.contains("the map is full; raise max_map_keys"), "{}", full.warnings);
    check(
        helper("x"),
        &bytes(i32::MIN),
        "",
        &format!("x.bt:2:7: WARNING: Failed to x: Unknown error (-2147483648)\n{excerpt}"),
        "{\"type\": \"helper_error\", \"msg\": \"Unknown error\", \"helper\": \"x\", \"retcode\": -2147483648, \"filename\": \"x.bt\", \"line\": 2, \"col\": 7}\n",
    );
}

#[test]
fn every_record_is_counted_once() {
    let (args, bytes) = record(&[Build::int(5)]);
    let exit = Action::Exit { status: 8 };
    let print = Action::Print { to: PrintTo::Output, format: "%d\n".into(), args };
    let plan = plan(vec![print, exit]);
    let exit = [1u64.to_le_bytes().as_slice(), &7i32.to_le_bytes()].concat();
    let records = [bytes.clone(), bytes[..15].to_vec(), vec![9; 64], vec![], bytes.clone(), exit, bytes.clone(), bytes];
    let done = run(Form::Text, &plan, &records, &mut maps());
    assert_eq!(done.counts, Counts { handled: 3, after_exit: 2, damaged: 3, lost: 0 });
    assert_eq!((&*done.text, done.status), ("5\n5\n", 7));
}

#[test]
fn beginning_and_end() {
    let plan = plan(vec![]);
    for (form, text, warnings) in [
        (Form::Text, "Lost 3 events\n\n\n@a: 7\n@z[c]: 2\n@z[ab]: 5\n", "Attached 2 probes\n"),
        (
            Form::Json,
            "{\"type\": \"attached_probes\", \"count\": 2, \"data\": {\"probes\": 2}}\n\
             {\"type\": \"lost_events\", \"count\": 3, \"data\": {\"events\": 3}}\n\
             {\"type\": \"map\", \"data\": {\"@a\": 7}}\n{\"type\": \"map\", \"data\": {\"@z\": {\"c\": 2, \"ab\": 5}}}\n",
            "",
        ),
    ] {
        let (to, warn) = (Shared::default(), Shared::default());
        let output = Output::new(form, Buffering::Line, Box::new(to.clone()), Box::new(warn.clone()));
        let mut dispatcher = Dispatcher::new(&plan, Script::default(), names(), output).unwrap();
        dispatcher.attached(2).unwrap();
        dispatcher.lost(0).unwrap();
        dispatcher.lost(3).unwrap();
        dispatcher.finish(&mut maps()).unwrap();
        assert_eq!((&*to.take(), &*warn.take()), (text, warnings));
        assert_eq!(dispatcher.counts().lost, 3);
    }
}

#[test]
fn buffering() {
    let (args, bytes) = record(&[Build::text("ab", 4)]);
    let plan = plan(vec![Action::Print { to: PrintTo::Output, format: "%s".into(), args }]);
    for (buffering, expected) in [(Buffering::Line, ""), (Buffering::Full, ""), (Buffering::None, "ab")] {
        let to = Shared::default();
        let output = Output::new(Form::Text, buffering, Box::new(to.clone()), Box::new(Vec::new()));
        let mut dispatcher = Dispatcher::new(&plan, Script::default(), names(), output).unwrap();
        dispatcher.record(&bytes, &mut maps()).unwrap();
        assert_eq!(to.take(), expected);
        for _ in 0..70_000 {
            dispatcher.record(&bytes, &mut maps()).unwrap();
        }
        assert!(to.take().len() > 64 * 1024, "the buffer does not grow without end");
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(Output::file(Form::Text, Buffering::Full, &dir.path().join("f")).is_ok());
    let error = Output::file(Form::Text, Buffering::Full, &dir.path().join("no/f")).unwrap_err().to_string();
    assert!(error.starts_with("cannot create the output file"), "{error}");
}

#[test]
fn wrong_plans_and_full_disks_are_errors() {
    let plan = plan(vec![Action::Print { to: PrintTo::Output, format: "%d".into(), args: vec![] }]);
    let output = Output::new(Form::Text, Buffering::None, Box::new(Vec::new()), Box::new(Vec::new()));
    let error = Dispatcher::new(&plan, Script::default(), names(), output).unwrap_err().to_string();
    assert!(error.contains("not enough arguments"), "{error}");
    let plan = super::tests::plan(vec![Action::PrintMap { map: 0, top: 0, div: 0 }]);
    let full = Box::new(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let output = Output::new(Form::Text, Buffering::None, full, Box::new(Vec::new()));
    let mut dispatcher = Dispatcher::new(&plan, Script::default(), names(), output).unwrap();
    let error = dispatcher.record(&[0; 8], &mut maps()).unwrap_err().to_string();
    assert!(error.starts_with("cannot write the output: "), "{error}");
    let error = dispatcher.record(&[0; 8], &mut Memory::default()).unwrap_err().to_string();
    assert_eq!(error, "cannot read or change the map @z: no such map");
}

#[test]
fn values_as_rows() {
    let (fields, bytes) = record(&[Build::record(&[("pid", Build::int(5)), ("comm", Build::text("a,b", 8))])]);
    let row = Action::PrintValue { value: fields[0].clone() };
    let (args, line) = record(&[Build::int(5)]);
    let print = Action::Print { to: PrintTo::Output, format: "%d\n".into(), args };
    let plan = plan(vec![row, print, Action::PrintMap { map: 0, top: 0, div: 0 }]);
    let mut line = line;
    line[0] = 1;
    let map = 2u64.to_le_bytes().to_vec();
    let records = [bytes.clone(), bytes.clone(), line, map, bytes];
    let csv = run(Form::Csv, &plan, &records, &mut maps());
    let expected = "pid,comm\n5,\"a,b\"\n5,\"a,b\"\n\nmap,key,value\n@z,c,2\n@z,ab,5\n\npid,comm\n5,\"a,b\"\n";
    assert_eq!((&*csv.text, &*csv.warnings), (expected, "5\n"));
    let table = run(Form::Table, &plan, &records, &mut maps());
    let row = "         5  a,b\n";
    let head = "       pid  comm\n";
    let expected = format!("{head}{row}{row}5\n\n@z\nkey  value\nc        2\nab       5\n\n{head}{row}");
    assert_eq!((&*table.text, &*table.warnings), (&*expected, ""));
}

#[test]
fn results_of_tests_and_benchmarks() {
    let plan = plan(vec![]);
    let duration = std::time::Duration::from_nanos(1500);
    let results = [
        TestResult { name: "a", problem: None, duration },
        TestResult { name: "b", problem: Some("exit(2)"), duration },
    ];
    for (form, expected) in [
        (
            Form::Text,
            "ok      a\nFAILED  b: exit(2)\nc                                        12.5 ns a run       100 runs\n",
        ),
        (
            Form::Json,
            "{\"type\": \"test_result\", \"data\": {\"name\": \"a\", \"passed\": true, \"nanoseconds\": 1500}}\n\
             {\"type\": \"test_result\", \"data\": {\"name\": \"b\", \"passed\": false, \"problem\": \"exit(2)\", \
             \"nanoseconds\": 1500}}\n\
             {\"type\": \"benchmark_result\", \"data\": {\"name\": \"c\", \"nanoseconds\": 12.50, \"runs\": 100}}\n",
        ),
    ] {
        let to = Shared::default();
        let output = Output::new(form, Buffering::Line, Box::new(to.clone()), Box::new(Vec::new()));
        let mut dispatcher = Dispatcher::new(&plan, Script::default(), names(), output).unwrap();
        results.iter().for_each(|result| dispatcher.test_result(result).unwrap());
        dispatcher.bench_result(&BenchResult { name: "c", nanoseconds: 12.5, runs: 100 }).unwrap();
        assert_eq!(to.take(), expected);
    }
}

/// Ends the script at the first value that is negative.
#[derive(Debug, Default)]
struct Taker;

impl Sink for Taker {
    fn start(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"start\n");
    }
    fn value(&mut self, value: &Value<'_>, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) -> Flow {
        renderer.text(value, out);
        out.push(b'\n');
        if matches!(value, Value::Signed(..0)) { Flow::Exit(3) } else { Flow::Continue }
    }
    fn map(&mut self, snapshot: &Snapshot<'_>, _: &mut Renderer<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{} {}\n", snapshot.map.name, snapshot.rows.len()).as_bytes());
    }
    fn interval(&mut self, _: &mut Renderer<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"due\n");
    }
}

#[test]
fn a_sink_takes_values_and_maps() {
    let (args, bytes) = record(&[Build::int(5)]);
    let value = |number: i64| [&[0; 8][..], &number.to_le_bytes()].concat();
    let map = Action::PrintMap { map: 0, top: 0, div: 0 };
    let plan = plan(vec![Action::PrintValue { value: args[0].clone() }, map]);
    let (to, warnings) = (Shared::default(), Shared::default());
    let output = Output::new(Form::Text, Buffering::Full, Box::new(to.clone()), Box::new(warnings.clone()));
    let mut dispatcher = Dispatcher::new(&plan, Script::default(), names(), output).unwrap();
    dispatcher.send_to(Box::new(Taker));
    dispatcher.started().unwrap();
    let mut maps = maps();
    assert_eq!(dispatcher.record(&bytes, &mut maps).unwrap(), Flow::Continue);
    assert_eq!(dispatcher.record(&1u64.to_le_bytes(), &mut maps).unwrap(), Flow::Continue);
    dispatcher.lost(4).unwrap();
    dispatcher.interval().unwrap();
    assert_eq!(dispatcher.record(&value(-1), &mut maps).unwrap(), Flow::Exit(3));
    // Behind its end nothing is taken.
    assert_eq!(dispatcher.record(&value(7), &mut maps).unwrap(), Flow::Exit(3));
    dispatcher.output().flush().unwrap();
    assert_eq!(to.take(), "start\n5\n@z 2\ndue\n-1\n");
    assert_eq!((warnings.take().as_str(), dispatcher.status()), ("Lost 4 events: the buffer was full\n", 3));
    assert_eq!(dispatcher.counts(), Counts { handled: 3, after_exit: 1, lost: 4, damaged: 0 });
}

#[test]
fn what_was_lost_decides_all_the_same() {
    let (args, bytes) = record(&[Build::int(5)]);
    let plan = plan(vec![Action::Print { to: PrintTo::Error((1, 1)), format: "%d\n".into(), args }]);
    let (to, warnings) = (Shared::default(), Shared::default());
    let output = Output::new(Form::Text, Buffering::Line, Box::new(to.clone()), Box::new(warnings.clone()));
    let mut dispatcher = Dispatcher::new(&plan, Script::default(), names(), output).unwrap();
    dispatcher.record(&bytes, &mut maps()).unwrap();
    assert_eq!((dispatcher.take_outcome(), dispatcher.take_outcome()), ((None, true), (None, false)));
    dispatcher.lost_errors();
    assert_eq!(dispatcher.status(), 1);
    dispatcher.lost_exit(4);
    dispatcher.lost_exit(5);
    assert_eq!(dispatcher.record(&bytes, &mut maps()).unwrap(), Flow::Exit(4));
    assert_eq!((dispatcher.status(), dispatcher.counts().after_exit), (4, 1));
    warnings.take();
    dispatcher.say_left_out().unwrap();
    assert_eq!((&*to.take(), &*warnings.take()), ("", "1 events were sent behind exit() and left out\n"));
}
