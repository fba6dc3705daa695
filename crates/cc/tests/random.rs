//! Random programs: skep and clang agree on what they compute, and so does the interpreter of the representation.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use skep_cc::Disk;
use skep_ir::interp::{World, interpret};
use skep_kernel::{Capability, LoadOptions, TestInput, has_capability, load_with};
use skep_lang_c::options::Options;
use skep_lang_c::pp::{MainFile, preprocess};
use skep_lang_c::provider::NoTypes;
use skep_lang_c::source::{Diags, Sources};
use skep_object::Object;

/// Programs in one file: starting clang costs more than compiling.
const BATCH: usize = 12;

const TYPES: [&str; 9] =
    ["int", "unsigned", "long", "unsigned long", "short", "unsigned short", "signed char", "unsigned char", "_Bool"];

/// A generator of numbers (Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end
    }

    fn choose<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

/// Writes a program.
struct Writer<'r> {
    random: &'r mut Random,
    text: String,
    /// Variables that can be read, those of loops not written.
    vars: Vec<(String, bool)>,
    names: usize,
    /// Statements that may still be made.
    left: usize,
    in_loop: bool,
    /// Functions that can be called.
    functions: usize,
}

impl Writer<'_> {
    fn number(&mut self) -> String {
        match self.random.below(5) {
            0 => format!("{}", self.random.below(10)),
            1 => format!("{:#x}ul", self.random.next()),
            2 => format!("{:#x}u", self.random.next() as u32),
            3 => format!("(-{})", self.random.below(1000)),
            _ => format!("'{}'", (b'a' + self.random.below(26) as u8) as char),
        }
    }

    fn place(&mut self, write: bool) -> String {
        match self.random.below(9) {
            0 => format!("r.{}", self.random.choose(&["a", "b", "c", "d", "f1", "f2", "f3", "in.x", "in.y"])),
            1 => format!("p->{}", self.random.choose(&["a", "b", "c", "d", "f1", "f2", "f3", "in.x", "in.y"])),
            2 => {
                let index = if write { self.random.below(8).to_string() } else { format!("({}) & 7", self.expr(2)) };
                format!("arr[{index}]")
            }
            3 if !write => format!("seed[{}]", self.random.below(8)),
            4 if !write => format!("table[({}) & 3]", self.expr(3)),
            5 => format!("g{}", self.random.below(3)),
            _ => {
                let usable: Vec<String> =
                    self.vars.iter().filter(|var| !write || var.1).map(|var| var.0.clone()).collect();
                if usable.is_empty() {
                    return "g0".to_owned();
                }
                usable[self.random.below(usable.len())].clone()
            }
        }
    }

    /// An expression; behind a depth only leaves.
    fn expr(&mut self, depth: usize) -> String {
        if depth >= 4 {
            return if self.random.below(3) == 0 { self.number() } else { self.leaf() };
        }
        let next = depth + 1;
        match self.random.below(17) {
            0 => format!("(-({}))", self.expr(next)),
            1 => format!("(~({}))", self.expr(next)),
            2 => format!("(!({}))", self.expr(next)),
            3 => format!("(({})({}))", self.random.choose(&TYPES), self.expr(next)),
            4 => format!("(({}) ? ({}) : ({}))", self.expr(next), self.expr(next), self.expr(next)),
            5 => {
                let op = self.random.choose(&["<<", ">>"]);
                format!("(({}) {op} (({}) & 31))", self.expr(next), self.expr(next))
            }
            6 => {
                let op = self.random.choose(&["/", "%"]);
                format!("((unsigned long)({}) {op} ((unsigned)({}) | 1))", self.expr(next), self.expr(next))
            }
            7 if self.functions > 0 => {
                let function = self.random.below(self.functions);
                format!("f{function}({}, {})", self.expr(next), self.expr(next))
            }
            8 => {
                let builtin = self.random.choose(&["__builtin_bswap16", "__builtin_bswap32", "__builtin_bswap64"]);
                format!("{builtin}({})", self.expr(next))
            }
            9 => format!("({}, {})", self.expr(next), self.expr(next)),
            10 => format!("({{ {} t = {}; t ^ ({}); }})", self.random.choose(&TYPES), self.expr(next), self.expr(next)),
            11..=13 => {
                let op = self.random.choose(&["<", "<=", ">", ">=", "==", "!=", "&&", "||"]);
                format!("(({}) {op} ({}))", self.expr(next), self.expr(next))
            }
            _ => {
                let op = self.random.choose(&["+", "-", "*", "&", "|", "^"]);
                format!("(({}) {op} ({}))", self.expr(next), self.expr(next))
            }
        }
    }

    fn leaf(&mut self) -> String {
        if self.random.below(2) == 0 { self.place(false) } else { format!("seed[{}]", self.random.below(8)) }
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn block(&mut self, count: usize) {
        let known = self.vars.len();
        for _ in 0..count {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            self.statement();
        }
        self.vars.truncate(known);
    }

    fn statement(&mut self) {
        match self.random.below(12) {
            0 | 1 => {
                let (ty, value) = (self.random.choose(&TYPES), self.expr(1));
                let name = format!("v{}", self.names);
                self.names += 1;
                self.line(&format!("{ty} {name} = {value};"));
                self.vars.push((name, true));
            }
            2 => {
                let cond = self.expr(1);
                self.line(&format!("if ({cond}) {{"));
                self.block(2);
                self.line("} else {");
                self.block(2);
                self.line("}");
            }
            3 if !self.in_loop => {
                let name = format!("i{}", self.names);
                self.names += 1;
                let rounds = 1 + self.random.below(6);
                self.line(&format!("for (int {name} = 0; {name} < {rounds}; {name}++) {{"));
                self.vars.push((name, false));
                self.in_loop = true;
                self.block(3);
                if self.random.below(2) == 0 {
                    let (cond, way) = (self.expr(2), self.random.choose(&["break", "continue"]));
                    self.line(&format!("if ({cond}) {way};"));
                    self.block(1);
                }
                self.in_loop = false;
                self.vars.pop();
                self.line("}");
            }
            4 => {
                let value = self.expr(1);
                self.line(&format!("switch (({value}) & 7) {{"));
                self.line("case 0: {");
                self.block(1);
                self.line("} break;\ncase 1: case 2: {");
                self.block(1);
                self.line("}\ncase 3 ... 5: {");
                self.block(1);
                self.line("} break;\ndefault: {");
                self.block(1);
                self.line("} }");
            }
            5 => {
                let place = self.place(true);
                let step = self.random.choose(&["++", "--"]);
                self.line(&format!("{place}{step};"));
            }
            6 => {
                let copied = self.random.choose(&[
                    "r = *p;",
                    "*p = (struct s){ .a = 3, .f2 = -4, .in = { 1, 2 } };",
                    "__builtin_memset(&r, 0x5a, sizeof(r));",
                    "__builtin_memcpy(arr, table, sizeof(table));",
                    "__builtin_memset(arr, 0, 12);",
                    "p = p == &r ? &q : &r;",
                ]);
                self.line(copied);
            }
            _ => {
                let (place, value) = (self.place(true), self.expr(1));
                let op = self.random.choose(&["=", "=", "=", "+=", "-=", "*=", "&=", "|=", "^="]);
                self.line(&format!("{place} {op} {value};"));
            }
        }
    }
}

const HEAD: &str = r#"
struct in { unsigned char x; short y; };
struct s { int a; unsigned char b; short c; unsigned f1 : 5; int f2 : 7; unsigned long d; unsigned long f3 : 33; struct in in; };
unsigned long out[16] __attribute__((section(".data"))) = { 1 };
const volatile unsigned long seed[8] = { SEEDS };
static const unsigned table[4] = { 3, 0xfffffff0, 77, 0x80000000 };
int g0 = 5; unsigned long g1; short g2 = -7;
char _license[] __attribute__((section("license"))) = "GPL";
"#;

/// A file with programs, each of which leaves a number in `out`.
fn file(random: &mut Random) -> String {
    let seeds: Vec<String> = (0..8).map(|_| format!("{:#x}ul", random.next())).collect();
    let mut text = HEAD.replace("SEEDS", &seeds.join(", "));
    let locals = "struct s r = { 1, 2, 3, 4, 5, 6, 7, { 8, 9 } }, q = { .d = 4 }; struct s *p = &q;\n\
                  unsigned arr[8] = { 1, 2, [5] = 6 }; unsigned long sum = 0;\n";
    for function in 0..3 {
        let kind = random.choose(&[
            "static __attribute__((noinline))",
            "static __attribute__((always_inline)) inline",
            "static",
        ]);
        let (ret, one, two) = (random.choose(&TYPES), random.choose(&TYPES), random.choose(&TYPES));
        let vars = vec![("x".to_owned(), true), ("y".to_owned(), true)];
        let mut writer =
            Writer { random: &mut *random, text: String::new(), vars, names: 0, left: 6, in_loop: false, functions: 0 };
        writer.block(4);
        let result = writer.expr(1);
        let body = writer.text;
        let _ = write!(
            text,
            "{kind} {ret} f{function}({one} x, {two} y) {{\n{locals}{body}sum += {result};\nreturn sum;\n}}\n"
        );
    }
    for program in 0..BATCH {
        let mut writer = Writer {
            random: &mut *random,
            text: String::new(),
            vars: Vec::new(),
            names: 0,
            left: 14,
            in_loop: false,
            functions: 3,
        };
        writer.block(8);
        let result = writer.expr(1);
        let body = writer.text;
        let _ = write!(
            text,
            "__attribute__((section(\"socket\"))) int prog{program}(void *ctx) {{\n{locals}{body}\
             sum += {result};\nsum = sum * 31 + r.a + r.b + r.c + r.f1 + r.f2 + r.d + r.f3 + p->a + p->in.y;\n\
             for (int i = 0; i < 8; i++) sum = sum * 33 + arr[i];\nout[{program}] = sum;\nreturn sum;\n}}\n"
        );
    }
    text
}

fn clang(text: &str, directory: &Path) -> Result<Object, String> {
    let (source, object) = (directory.join("random.c"), directory.join("random.o"));
    fs::write(&source, text).map_err(|error| error.to_string())?;
    let mut command = Command::new("clang");
    command.args([
        "-O2",
        "-g",
        "-target",
        "bpf",
        "-mcpu=v3",
        "-fwrapv",
        "-fno-strict-aliasing",
        "-Wno-everything",
        "-c",
        "-o",
    ]);
    let output = command.arg(&object).arg(&source).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Object::from_elf(&fs::read(object).map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

/// Runs a program of an object by itself: its result, or why the kernel refused it.
fn run(object: &Object, name: &str) -> Result<u32, String> {
    let names = [name];
    let options = LoadOptions { programs: Some(&names), pins: None, ..LoadOptions::default() };
    let loaded = load_with(object, &options).map_err(|error| error.to_string())?;
    let program = loaded.program(name).ok_or("the program is missing")?;
    let packet = [0u8; 64];
    let answer = program
        .test(&TestInput { data: &packet, repeat: 1, ..TestInput::default() })
        .map_err(|error| error.to_string())?;
    Ok(answer.run.result)
}

/// What the interpreter says a program returns, before and behind the optimiser.
fn interpreted(module: &skep_ir::Module, name: &str) -> Option<u64> {
    let function = module.function(name)?;
    let mut world = World::new(module);
    let context = world.add_context(&[0; 256]);
    interpret(module, function, &[context], &mut world).ok().flatten()
}

#[test]
fn random_programs_compute_what_clang_makes_them_compute() {
    if Command::new("clang").arg("--version").output().is_err() {
        println!("SKIPPED: clang is not installed");
        return;
    }
    let kernel = has_capability(Capability::Bpf) || has_capability(Capability::SysAdmin);
    let seconds = std::env::var("SKEP_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let start: u64 = std::env::var("SKEP_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let directory = tempfile::tempdir().expect("a directory");
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut seed, mut compared, mut refused) = (start, 0, Refusals::new());
    while compared == 0 && seed < start + 20 || Instant::now() < until {
        let text = file(&mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1));
        let (one, two) =
            batch(&text, directory.path(), kernel).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
        compared += one;
        for (why, count) in two {
            *refused.entry(why).or_default() += count;
        }
        seed += 1;
    }
    println!("{compared} programs agree, {} could not be compared", refused.values().sum::<usize>());
    for (why, count) in refused {
        println!("  {count} {why}");
    }
    assert!(compared > 0 || !kernel);
}

/// Why programs could not be compared, and how many.
type Refusals = BTreeMap<String, usize>;

/// What the kernel's verifier says at last, without numbers of registers.
fn reason(error: &str) -> String {
    let text = error.split(" (").next().unwrap_or_default();
    let text = text.rsplit("`: ").next().unwrap_or_default();
    text.chars().filter(|c| !c.is_ascii_digit()).take(80).collect()
}

/// Compares all programs of a text: how many agreed, and why others could not be compared.
fn batch(text: &str, directory: &Path, kernel: bool) -> Result<(usize, Refusals), String> {
    let theirs = clang(text, directory)?;
    let main = MainFile { name: "random.c", text: text.as_bytes() };
    let (mut sources, mut diags, mut types) = (Sources::new(), Diags::new(), NoTypes::new());
    let options = Options::default();
    let tokens = preprocess(&main, &options, &Disk, &mut sources, &mut diags);
    let unit = skep_lang_c::compile(&tokens, &sources, &mut types, &options, &mut diags);
    let unit = unit.ok_or_else(|| diags.render(&sources, false))?;
    let mut optimised = unit.module.clone();
    for stage in ["lowering", "optimising"] {
        let broken = skep_ir::verify(&optimised).err().unwrap_or_default();
        // What the stack has no room for is refused in the end, not a defect.
        if let Some(rule) = broken.iter().find(|rule| !rule.message.contains("objects on the stack take")) {
            return Err(format!("{rule} behind {stage}\n{optimised}"));
        }
        if stage == "optimising" && !broken.is_empty() {
            return Ok((0, Refusals::from([("too much stack before code is generated".to_owned(), BATCH)])));
        }
        if stage == "lowering" {
            skep_opt::optimise(&mut optimised, &skep_opt::Options { verify: false, ..skep_opt::Options::default() });
        }
    }
    let ours =
        skep_codegen::compile(&optimised, &skep_codegen::Options::default()).map_err(|error| error.to_string())?;
    let (mut compared, mut refused) = (0, Refusals::new());
    for number in 0..BATCH {
        let name = format!("prog{number}");
        let before = interpreted(&unit.module, &name);
        let behind = interpreted(&optimised, &name);
        if before != behind {
            return Err(format!("{name}: {before:x?} before the optimiser, {behind:x?} behind it"));
        }
        if !kernel {
            continue;
        }
        match (run(&ours, &name), run(&theirs, &name)) {
            (Ok(one), Ok(other)) if one == other => {
                if before.is_some_and(|value| value as u32 != one) {
                    return Err(format!("{name}: {one:#x} in the kernel, the interpreter says {before:x?}"));
                }
                compared += 1;
            }
            (Ok(one), Ok(other)) => {
                return Err(format!("{name}: {one:#x} here, {other:#x} from clang, interpreter {before:x?}"));
            }
            (Err(error), Ok(_)) if !error.contains("too large") => return Err(format!("{name} is refused: {error}")),
            (one, other) => {
                let why = match (one, other) {
                    (Err(one), Err(_)) => format!("both: {}", reason(&one)),
                    (Err(one), _) => format!("only ours: {}", reason(&one)),
                    (_, other) => format!("only clang's: {}", reason(&other.err().unwrap_or_default())),
                };
                *refused.entry(why).or_default() += 1;
            }
        }
    }
    Ok((compared, refused))
}
