//! Random programs: skep and clang agree on what they compute, and so does the interpreter of the representation.

mod generate;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use skep_cc::Disk;
use skep_ir::interp::{World, interpret};
use skep_ir::{Entity as _, Module};
use skep_kernel::{
    Capability, KernelError, LoadError, LoadOptions, Loaded, TestInput, Update, has_capability, load_with,
};
use skep_lang_c::options::Options;
use skep_lang_c::pp::{MainFile, preprocess};
use skep_lang_c::provider::NoTypes;
use skep_lang_c::source::{Diags, Sources};
use skep_object::Object;

use generate::{BATCH, Random, file};

/// Starts clang on a text, which it makes an object of while skep does.
fn start_clang(text: &str, directory: &Path) -> Result<Child, String> {
    let (source, object) = (directory.join("random.c"), directory.join("random.o"));
    fs::write(&source, text).map_err(|error| error.to_string())?;
    let mut command = Command::new("clang");
    command
        .args("-O2 -g -target bpf -mcpu=v3 -fwrapv -fno-strict-aliasing -Wno-everything -DFOR_CLANG -c -o".split(' '));
    command.arg(&object).arg(&source).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().map_err(|error| error.to_string())
}

/// What clang made in the end.
fn end_clang(clang: Child, directory: &Path) -> Result<Object, String> {
    let output = clang.wait_with_output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let made = fs::read(directory.join("random.o")).map_err(|error| error.to_string())?;
    Object::from_elf(&made).map_err(|error| error.to_string())
}

/// Why a program has no result.
#[derive(Clone)]
struct Refusal {
    /// What the kernel's verifier says at last, without numbers.
    reason: String,
    whole: String,
}

impl Refusal {
    fn new(whole: impl ToString) -> Self {
        let whole = whole.to_string();
        Self { reason: without_numbers(&whole), whole }
    }

    fn of(error: &LoadError) -> Self {
        let last = match error {
            LoadError::Program { error: KernelError::Rejected { log, .. }, .. } => log.summary().map(|(line, _)| line),
            _ => None,
        };
        last.map_or_else(|| Self::new(error), |last| Self { reason: without_numbers(last), whole: error.to_string() })
    }
}

fn without_numbers(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).take(80).collect()
}

/// What became of each program of an object: its result, or why the kernel refused it.
type Results = HashMap<String, Result<u32, Refusal>>;

/// Loads as many programs of an object at once as the kernel takes, and runs each by itself.
fn run(object: &Object) -> Results {
    let names: Vec<&str> = object.programs.iter().map(|program| program.name.as_str()).collect();
    let (mut results, mut rest) = (Results::new(), &names[..]);
    while !rest.is_empty() {
        let Err(error) = run_group(object, rest, &mut results) else { break };
        let refused = match &error {
            LoadError::Program { program, .. } => rest.iter().position(|name| name == program),
            _ => None,
        };
        // They are loaded in this order: those in front of the refused one passed.
        let (passed, behind) = refused.map_or((&rest[..0], &rest[rest.len()..]), |at| (&rest[..at], &rest[at + 1..]));
        for name in &rest[passed.len()..rest.len() - behind.len()] {
            results.insert((*name).to_owned(), Err(Refusal::of(&error)));
        }
        if let Err(error) = run_group(object, passed, &mut results) {
            results.extend(passed.iter().map(|name| ((*name).to_owned(), Err(Refusal::of(&error)))));
        }
        rest = behind;
    }
    results
}

/// Loads programs and runs each.
fn run_group(object: &Object, names: &[&str], results: &mut Results) -> Result<(), LoadError> {
    if names.is_empty() {
        return Ok(());
    }
    let options = LoadOptions { programs: Some(names), pins: None, ..LoadOptions::default() };
    let loaded = load_with(object, &options)?;
    results.extend(names.iter().map(|name| ((*name).to_owned(), run_one(object, &loaded, name))));
    Ok(())
}

/// Runs a program with all variables as they are in the object.
fn run_one(object: &Object, loaded: &Loaded, name: &str) -> Result<u32, Refusal> {
    for (spec, map) in object.maps.iter().zip(&loaded.maps).filter(|(spec, _)| !spec.frozen) {
        let zeros = vec![0; spec.value_size as usize];
        let contents = spec.contents.first().map_or(&zeros, |(_, contents)| contents);
        map.set(&[0; 4], contents, Update::Any).map_err(Refusal::new)?;
    }
    let program = loaded.program(name).ok_or_else(|| Refusal::new("it is missing"))?;
    let packet = [0u8; 64];
    let answer = program.test(&TestInput { data: &packet, repeat: 1, ..TestInput::default() }).map_err(Refusal::new)?;
    Ok(answer.run.result)
}

/// What the interpreter says a program returns, before and behind the optimiser.
fn interpreted(module: &Module, name: &str) -> Option<u64> {
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
        let text = file(&mut Random::new(seed));
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

/// What skep makes of a text.
struct Ours {
    lowered: Module,
    optimised: Module,
    object: Object,
}

/// Compiles a text; nothing if the stack has no room for it.
fn ours(text: &str) -> Result<Option<Ours>, String> {
    let lowered = lowered(text)?;
    let mut optimised = lowered.clone();
    for stage in ["lowering", "optimising"] {
        let broken = skep_ir::verify(&optimised).err().unwrap_or_default();
        // What the stack has no room for is refused in the end, not a defect.
        if let Some(rule) = broken.iter().find(|rule| !rule.message.contains("objects on the stack take")) {
            return Err(format!("{rule} behind {stage}\n{optimised}"));
        }
        if stage == "optimising" && !broken.is_empty() {
            return Ok(None);
        }
        if stage == "lowering" {
            skep_opt::optimise(&mut optimised, &skep_opt::Options { verify: false, ..skep_opt::Options::default() });
        }
    }
    match skep_codegen::compile(&optimised, &skep_codegen::Options::default()) {
        Ok(object) => Ok(Some(Ours { lowered, optimised, object })),
        Err(error) if error.to_string().contains("bytes of stack are needed") => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Compares all programs of a text: how many agreed, and why others could not be compared.
fn batch(text: &str, directory: &Path, kernel: bool) -> Result<(usize, Refusals), String> {
    let clang = start_clang(text, directory)?;
    let ours = ours(text);
    let theirs = match end_clang(clang, directory) {
        // It makes one shift by a variable of two by numbers, and has none for 128 bits.
        Err(error) if error.contains("A call to built-in function") => {
            return Ok((0, Refusals::from([("clang calls a library".to_owned(), BATCH)])));
        }
        Err(error) if error.contains("BPF stack limit") => {
            return Ok((0, Refusals::from([("too much stack for clang".to_owned(), BATCH)])));
        }
        made => made?,
    };
    let Some(Ours { lowered, optimised, object }) = ours? else {
        return Ok((0, Refusals::from([("too much stack".to_owned(), BATCH)])));
    };
    let (mut ours, mut theirs) = if kernel { (run(&object), run(&theirs)) } else { Default::default() };
    let (mut compared, mut refused) = (0, Refusals::new());
    for number in 0..BATCH {
        let name = format!("prog{number}");
        let before = interpreted(&lowered, &name);
        let behind = interpreted(&optimised, &name);
        if before != behind {
            return Err(format!("{name}: {before:x?} before the optimiser, {behind:x?} behind it"));
        }
        if !kernel {
            continue;
        }
        let missing = || Err(Refusal::new("the program is missing"));
        let [one, other] = [&mut ours, &mut theirs].map(|all| all.remove(&name).unwrap_or_else(missing));
        match (one, other) {
            (Ok(one), Ok(other)) if one == other => {
                if before.is_some_and(|value| value as u32 != one) {
                    return Err(format!("{name}: {one:#x} in the kernel, the interpreter says {before:x?}"));
                }
                compared += 1;
            }
            (Ok(one), Ok(other)) => {
                return Err(format!("{name}: {one:#x} here, {other:#x} from clang, interpreter {before:x?}"));
            }
            (Err(error), Ok(_)) if !["too large", "too complex"].iter().any(|limit| error.whole.contains(limit)) => {
                return Err(format!("{name} is refused: {}", error.whole));
            }
            (one, other) => {
                if let (Ok(one), Some(value)) = (&one, before)
                    && *one != value as u32
                {
                    return Err(format!("{name}: {one:#x} in the kernel, the interpreter says {before:x?}"));
                }
                let why = match (one, other) {
                    (Err(one), Err(_)) => format!("both: {}", one.reason),
                    (Err(one), _) => format!("only ours: {}", one.reason),
                    (_, Err(other)) => format!("only clang's: {}", other.reason),
                    (Ok(_), Ok(_)) => continue,
                };
                *refused.entry(why).or_default() += 1;
            }
        }
    }
    Ok((compared, refused))
}

/// What an operation on 128 bits gives, by the arithmetic of Rust; `count` is for shifts.
fn expected(operation: &str, signed: bool, a: u128, b: u128, count: u32) -> u128 {
    let (sa, sb) = (a.cast_signed(), b.cast_signed());
    let order = if signed { sa.cmp(&sb) } else { a.cmp(&b) };
    match operation {
        "+" => a.wrapping_add(b),
        "-" => a.wrapping_sub(b),
        "*" => a.wrapping_mul(b),
        "<<" => a << count,
        ">>" if signed => (sa >> count).cast_unsigned(),
        ">>" => a >> count,
        "/" if signed => (sa / (1 << 71)).cast_unsigned(),
        "/" => a / (1 << 71),
        "%" if signed => (sa % (1 << 71)).cast_unsigned(),
        "%" => a % (1 << 71),
        "<" => order.is_lt().into(),
        "<=" => order.is_le().into(),
        ">" => order.is_gt().into(),
        ">=" => order.is_ge().into(),
        "==" => order.is_eq().into(),
        _ => order.is_ne().into(),
    }
}

#[test]
fn integers_of_128_bits_compute_what_they_should() {
    let mut random = Random::new(5);
    let interesting = [0, 1, u64::MAX, 1 << 63, 1 << 32, (1 << 32) - 1];
    for operation in ["+", "-", "*", "<<", ">>", "/", "%", "<", "<=", ">", ">=", "==", "!="] {
        for (ty, signed) in [("__int128", true), ("unsigned __int128", false)] {
            let text = format!(
                "unsigned long in[5] = {{ 1 }}, out[2] = {{ 1 }};\n\
                 static __attribute__((noinline)) int work({ty} a, {ty} b) {{\n\
                 {ty} made = a {operation} {};\n\
                 out[0] = made; out[1] = made >> 64; return made == (a {operation} {}); }}\n\
                 __attribute__((section(\"socket\"))) int prog(void *ctx) {{\n\
                 return work(({ty})in[1] << 64 | in[0], ({ty})in[3] << 64 | in[2]); }}\n\
                 char _license[] __attribute__((section(\"license\"))) = \"GPL\";\n",
                right(operation),
                right(operation),
            );
            let modules = modules(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            for round in 0..60 {
                let mut word = || match round % 3 {
                    0 => interesting[random.below(interesting.len())],
                    _ => random.next(),
                };
                let words = [word(), word(), word(), word(), word() % 128];
                let [a, b] = [0, 2].map(|at| u128::from(words[at + 1]) << 64 | u128::from(words[at]));
                let wanted = expected(operation, signed, a, b, words[4] as u32);
                for module in &modules {
                    let made = computed(module, &words);
                    assert_eq!(made, (Some(1), wanted), "{a:#x} {operation} {b:#x} ({}) as {ty}\n{module}", words[4]);
                }
            }
        }
    }
}

/// The right side of an operation.
const fn right(operation: &str) -> &'static str {
    match operation.as_bytes() {
        b"<<" | b">>" => "(int)in[4]",
        b"/" | b"%" => "((__int128)1 << 71)",
        _ => "b",
    }
}

/// A text as lowered.
fn lowered(text: &str) -> Result<Module, String> {
    let main = MainFile { name: "random.c", text: text.as_bytes() };
    let (mut sources, mut diags, mut types) = (Sources::new(), Diags::new(), NoTypes::new());
    let options = Options::default();
    let tokens = preprocess(&main, &options, &Disk, &mut sources, &mut diags);
    let unit = skep_lang_c::compile(&tokens, &sources, &mut types, &options, &mut diags);
    unit.map(|unit| unit.module).ok_or_else(|| diags.render(&sources, false))
}

/// A text as lowered and as optimised.
fn modules(text: &str) -> Result<[Module; 2], String> {
    let lowered = lowered(text)?;
    let mut optimised = lowered.clone();
    skep_opt::optimise(&mut optimised, &skep_opt::Options::default());
    Ok([lowered, optimised])
}

/// What the program of a module returns, and the number that it leaves in `out`.
fn computed(module: &Module, words: &[u64; 5]) -> (Option<u64>, u128) {
    let global = |name: &str| {
        let at = module.globals.iter().position(|global| global.name == name).expect("the variable");
        skep_ir::GlobalRef::new(at)
    };
    let mut world = World::new(module);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert!(world.set_global(global("in"), &bytes));
    let context = world.add_context(&[0; 256]);
    let function = module.function("prog").expect("the program");
    let result = interpret(module, function, &[context], &mut world).expect("it runs");
    let out = world.global_bytes(global("out")).and_then(|bytes| bytes.first_chunk().copied());
    (result, u128::from_le_bytes(out.expect("16 bytes")))
}
