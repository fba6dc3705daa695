//! The kernel's own test programs, compiled by skep and by clang: how many compile, and of how many the running kernel
//! thinks the same.
//!
//! The figures in `data/selftests.txt` may only rise; they are for one release, others are only shown. Every eighth source
//! is compared each time, all of them by `cargo xtask selftests`. `SKEP_SELFTESTS` chooses some by a part of their names
//! and shows each difference. What was found about each source is written beside the objects, as `report-c.txt`.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use common::{relocations, skip};
use skep_btf::{Btf, Kind, Source};
use skep_cc::{Disk, Wishes, build};
use skep_kernel::{Capability, KernelBtf, KernelError, LoadError, LoadOptions, has_capability, load_with};
use skep_lang_c::options::{MacroOption, Options};
use skep_lang_c::pp::MainFile;
use skep_lang_c::provider::BtfTypes;
use skep_object::Object;
use skep_testkit::selftests::Selftests;

/// What the kernel says about a program.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// It takes it.
    Takes,
    /// Its verifier refuses it, with these words.
    Refuses(String),
    /// It gives no verdict on the program itself: it forbids the type, misses what the program is attached to...
    Silent(String),
}

impl Verdict {
    fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// Whether types of an object have tags: what is kept in a map, and which memory a pointer is for.
fn has_tags(object: &Object) -> bool {
    let Ok(types) = Btf::parse(object.btf.clone()) else { return false };
    types.ids().any(|id| matches!(types.kind(id), Ok(Kind::TypeTag(_))))
}

/// One source.
#[derive(Debug, Default)]
struct Outcome {
    name: String,
    /// Why we make no object of it.
    failure: Option<String>,
    /// Programs on which the kernel gives a verdict if clang made them.
    judged: usize,
    /// Of these those that it takes.
    taken: usize,
    /// What is different, for each program.
    differences: Vec<String>,
    /// Whether one of them is that a program is refused which the kernel takes from clang.
    refused: bool,
    /// Programs with other relocations.
    relocated: Vec<String>,
}

impl Outcome {
    const fn loads(&self) -> bool {
        self.taken > 0 && !self.refused && self.failure.is_none()
    }

    fn agrees(&self) -> bool {
        self.judged > 0 && self.differences.is_empty() && self.failure.is_none()
    }
}

/// Where objects and reports are kept: beside what cargo builds, with those of the tests of the verifier.
fn cache() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.ancestors().nth(3).map_or_else(|| PathBuf::from("target"), Path::to_path_buf).join("selftests")
}

/// Compiles with skep; through a file, as `skep build` does.
fn ours(tests: &Selftests, name: &str, kernel: &Btf) -> Result<Object, String> {
    let path = tests.source(name);
    let text = fs::read(&path).map_err(|error| error.to_string())?;
    let system = ["/usr/include/x86_64-linux-gnu", "/usr/include"].map(PathBuf::from);
    let directories = tests.include_directories().into_iter().chain(system);
    let define = |name: &str| MacroOption::Define(name.to_owned(), None);
    let options = Options {
        include_dirs: directories.map(|directory| directory.display().to_string()).collect(),
        macros: vec![define("__TARGET_ARCH_x86"), define("ENABLE_ATOMICS_TESTS")],
        ..Options::default()
    };
    let shown = path.display().to_string();
    let main = MainFile { name: &shown, text: &text };
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let mut types = BtfTypes::new(kernel);
        let built =
            build(&main, &options, &Disk, &mut types, Wishes::default()).map_err(|failed| failed.to_string())?;
        let bytes = built.object.to_elf().map_err(|error| error.to_string())?;
        if let Ok(directory) = std::env::var("SKEP_KEEP_OBJECTS") {
            let _ = fs::write(Path::new(&directory).join(format!("{name}.o")), &bytes);
        }
        Object::from_elf(&bytes).map_err(|error| error.to_string())
    }));
    attempt.unwrap_or_else(|_| Err("the compiler panics".to_owned()))
}

/// What the kernel says about each program of an object, loaded by itself.
fn verdicts(object: &Object) -> BTreeMap<String, Verdict> {
    // What is in `.text` are functions that no program calls.
    let programs = object.programs.iter().filter(|program| program.section != ".text");
    let names = programs.map(|program| program.name.clone());
    names.map(|name| (name.clone(), verdict(object, &name))).collect()
}

fn verdict(object: &Object, program: &str) -> Verdict {
    // Nothing stays: maps that are shared by name are pinned otherwise.
    let options = LoadOptions { programs: Some(&[program]), pins: None, ..LoadOptions::default() };
    match load_with(object, &options) {
        Ok(_) => Verdict::Takes,
        Err(LoadError::Program { error: KernelError::Rejected { log, reason, .. }, .. }) => match log.summary() {
            Some((words, _)) if !skep_testkit::selftests::is_about_the_machine(words) => {
                Verdict::Refuses(if std::env::var_os("SKEP_SELFTESTS").is_some() {
                    log.relevant(12).join("\n")
                } else {
                    words.to_owned()
                })
            }
            Some((words, _)) => Verdict::Silent(words.to_owned()),
            None => Verdict::Silent(reason),
        },
        Err(error) => Verdict::Silent(error.to_string()),
    }
}

/// Compares what both compilers make of a source.
fn compare(tests: &Selftests, name: &str, kernel: &Btf) -> Outcome {
    let mut outcome = Outcome { name: name.to_owned(), ..Outcome::default() };
    let mine = match ours(tests, name, kernel) {
        Ok(mine) => mine,
        Err(why) => {
            let line = why.lines().find(|line| line.contains("error")).or_else(|| why.lines().next());
            outcome.failure = Some(line.unwrap_or_default().to_owned());
            return outcome;
        }
    };
    let Ok(Ok(theirs)) = tests.object(name).map(|bytes| Object::from_elf(&bytes)) else { return outcome };
    // Clang 14 writes no tags of types, so that the kernel refuses programs which it takes from compilers that do.
    let lost = has_tags(&mine) && !has_tags(&theirs);
    let here = verdicts(&mine);
    for (program, there) in verdicts(&theirs) {
        let here =
            here.get(&program).cloned().unwrap_or_else(|| Verdict::Silent("there is no such program".to_owned()));
        outcome.judged += usize::from(!matches!(there, Verdict::Silent(_)));
        outcome.taken += usize::from(there == Verdict::Takes);
        if !(here.is_like(&there) || lost && here == Verdict::Takes) {
            outcome.refused |= there == Verdict::Takes;
            outcome.differences.push(format!("{program}: here {here:?}, clang {there:?}"));
        }
        let (a, b) = (relocations(&mine, &program, kernel), relocations(&theirs, &program, kernel));
        if a != b {
            let only = |a: &common::Relocations, b: &common::Relocations| {
                format!("{:?}", a.difference(b).take(4).collect::<Vec<_>>())
            };
            outcome.relocated.push(format!("{program}: only here {}, only there {}", only(&a, &b), only(&b, &a)));
        }
    }
    outcome
}

/// What is counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Figures {
    /// Sources of which we make an object.
    compiles: usize,
    /// Of these those whose programs the kernel takes as it takes clang's.
    loads: usize,
    /// Those on whose programs the kernel has the same verdicts, also where it refuses.
    agrees: usize,
    /// Those of the latter whose relocations come to the same.
    offsets: usize,
}

impl Figures {
    fn of(outcomes: &[Outcome]) -> Self {
        let count = |test: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| test(outcome)).count();
        Self {
            compiles: count(&|outcome| outcome.failure.is_none()),
            loads: count(&Outcome::loads),
            agrees: count(&Outcome::agrees),
            offsets: count(&|outcome| outcome.agrees() && outcome.relocated.is_empty()),
        }
    }

    fn path() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("data/selftests.txt")
    }

    const fn named(&mut self) -> [(&'static str, &mut usize); 4] {
        [
            ("compiles", &mut self.compiles),
            ("loads", &mut self.loads),
            ("agrees", &mut self.agrees),
            ("offsets", &mut self.offsets),
        ]
    }

    /// The figures that are kept for a set.
    fn read(set: &str) -> Option<Self> {
        let text = fs::read_to_string(Self::path()).expect("data/selftests.txt");
        let line = text.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(": "))?;
        let mut figures = Self::default();
        for pair in line.split(", ") {
            let (name, number) = pair.split_once(' ').expect("a name and a number");
            let mut named = figures.named();
            let figure = named.iter_mut().find(|of| of.0 == name).expect("a figure in data/selftests.txt");
            *figure.1 = number.parse().expect("a number");
        }
        Some(figures)
    }

    fn write(mut self, set: &str) {
        let old = fs::read_to_string(Self::path()).unwrap_or_default();
        let mut lines: Vec<String> =
            old.lines().filter(|line| !line.starts_with(&format!("{set}: "))).map(str::to_owned).collect();
        let pairs = self.named().map(|(name, number)| format!("{name} {number}"));
        lines.push(format!("{set}: {}", pairs.join(", ")));
        fs::write(Self::path(), lines.join("\n") + "\n").expect("data/selftests.txt");
    }
}

fn report(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let name = &outcome.name;
        let _ = match &outcome.failure {
            Some(why) => writeln!(text, "{name}: no object: {why}"),
            None if outcome.judged == 0 => writeln!(text, "{name}: compiles, no verdict on clang's"),
            None if outcome.agrees() => writeln!(text, "{name}: agrees, {} of {} taken", outcome.taken, outcome.judged),
            None => writeln!(text, "{name}: differs"),
        };
        for difference in outcome.differences.iter().chain(&outcome.relocated) {
            let _ = writeln!(text, "    {difference}");
        }
    }
    text
}

#[test]
fn programs_of_the_kernel_are_those_of_clang() {
    if !has_capability(Capability::SysAdmin) {
        return skip("loading programs needs CAP_SYS_ADMIN");
    }
    let Ok(kernel) = KernelBtf::vmlinux() else { return skip("the kernel shows no types") };
    let kernel = Btf::parse(Source::new(kernel)).expect("the types of the kernel");
    let tests = match Selftests::prepare(&cache()) {
        Ok(tests) => tests,
        Err(why) => return skip(&why),
    };
    let chosen = std::env::var("SKEP_SELFTESTS").unwrap_or_default();
    let all = chosen == "all";
    let mut names = tests.names().expect("names of the sources");
    if !all {
        match chosen.as_str() {
            "" => names = names.into_iter().step_by(8).collect(),
            part => names.retain(|name| part.split(',').any(|part| name.contains(part))),
        }
    }
    let outcomes = skep_testkit::tcpdump::in_parallel(&names, 2, |name| compare(&tests, name, &kernel));
    let (text, found) = (report(&outcomes), Figures::of(&outcomes));
    let mut shown = found;
    println!(
        "{} sources: {}",
        outcomes.len(),
        shown.named().map(|(name, number)| format!("{name} {number}")).join(", ")
    );
    if !all && !chosen.is_empty() {
        return print!("{text}");
    }
    let path = cache().join(if all { "report-c.txt" } else { "report-c-part.txt" });
    fs::write(&path, text).expect("a report");
    println!("each source: {}", path.display());
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release: Vec<&str> = release.split('.').take(2).collect();
    let set = format!("{}-{}", if all { "all" } else { "part" }, release.join("."));
    if std::env::var("SKEP_WRITE_FIGURES").as_deref() == Ok("1") {
        return found.write(&set);
    }
    let Some(mut kept) = Figures::read(&set) else { return println!("no figures are kept for {set}") };
    let mut now = found;
    for ((name, kept), (_, now)) in kept.named().into_iter().zip(now.named()) {
        assert!(*now >= *kept, "{set}: {name} {now}, it was {kept}: {} tells which", path.display());
    }
}
