//! A machine to compile scripts for: types of the running kernel if there are any, texts about tracepoints from files.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use skep_btf::Btf;
use skep_diag::render;
use skep_ir::Module;
use skep_isa::ebpf::{Cpu, Endian};
use skep_kernel::{KernelBtf, KernelError, LoadError};
use skep_lang_script::compile::{Compiled, Environment, Facts, Switches, Text, compile};
use skep_lang_script::providers::ProbeSource;
use skep_lang_script::registers::Arch;
use skep_lang_script::types::btf::BtfTypes;
use skep_lang_script::types::user::{UsdtArgument, UsdtLocation, UsdtSite};
use skep_lang_script::{Options, builtins, desugar};
use skep_object::Object;

/// A kernel whose symbols are all in one place.
pub struct Answers;

impl Facts for Answers {
    fn cgroup_id(&self, _: &str) -> Result<u64, String> {
        Ok(1)
    }
    fn kernel_symbol(&self, _: &str) -> Result<u64, String> {
        Ok(0xffff_ffff_8100_0000)
    }
}

/// The places that wildcards in tests mean.
pub struct Places;

fn pairs(list: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
    Ok(list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect())
}

impl ProbeSource for Places {
    fn functions(&self) -> Result<Vec<(String, String)>, String> {
        pairs(&[("", "vfs_read"), ("", "vfs_write"), ("", "vfs_open"), ("", "do_nanosleep")])
    }
    fn typed_functions(&self) -> Result<Vec<(String, String)>, String> {
        pairs(&[("vmlinux", "vfs_read"), ("vmlinux", "vfs_write")])
    }
    fn programs(&self) -> Result<Vec<(u32, String)>, String> {
        Ok(Vec::new())
    }
    fn tracepoints(&self) -> Result<Vec<(String, String)>, String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(scripts().join("../formats")).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            let name = name.trim_end_matches(".txt");
            let at = if name.starts_with("raw_syscalls") { 12 } else { name.find('_').unwrap() };
            found.push((name[..at].to_owned(), name[at + 1..].to_owned()));
        }
        found.sort();
        Ok(found)
    }
    fn raw_tracepoints(&self) -> Result<Vec<(String, String)>, String> {
        pairs(&[("vmlinux", "sched_switch"), ("vmlinux", "sched_wakeup")])
    }
    fn iterators(&self) -> Result<Vec<String>, String> {
        Ok(vec!["task".to_owned()])
    }
    fn binaries(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(vec!["/bin/bash".to_owned()])
    }
    fn symbols(&self, _: Option<&str>) -> Result<Vec<String>, String> {
        Ok(["readline", "main", "malloc", "SSL_read", "SSL_write", "RSA_sign"].map(str::to_owned).to_vec())
    }
    fn usdt(&self, _: Option<&str>) -> Result<Vec<(String, String)>, String> {
        pairs(&[("libc", "setjmp")])
    }
    fn usdt_sites(&self, _: Option<&str>, _: Option<&str>, name: &str) -> Result<Vec<UsdtSite>, String> {
        let argument = |signed, location| Ok(UsdtArgument { bytes: 4, signed, location });
        let site = |place, arguments: Vec<Result<UsdtArgument, String>>| UsdtSite {
            places: vec![place],
            arguments: arguments.into(),
        };
        match name {
            "marked" => Ok(vec![
                site(0x10, vec![argument(true, UsdtLocation::Register { context: 80, first: 0 })]),
                site(0x20, vec![argument(true, UsdtLocation::Constant(-1)), Err("it is a picture".to_owned())]),
            ]),
            _ => Err("there are no notes".to_owned()),
        }
    }
    fn readable_functions(&self, _: Option<&str>) -> Result<Vec<(String, String)>, String> {
        pairs(&[("ns::f(int)", "_ZN2ns1fEi"), ("ns::f(long)", "_ZN2ns1fEl"), ("ns::g()", "_ZN2ns1gEv")])
    }
    fn line(&self, _: Option<&str>, file: &str, line: u32, _: Option<u32>) -> Result<Vec<u64>, String> {
        if (file, line) == ("a.c", 7) { Ok(vec![0x1000, 0x1010]) } else { Err("there is no such line".to_owned()) }
    }
}

/// The kernel's types, `None` if it has none.
pub fn kernel_types() -> Option<&'static Btf> {
    static TYPES: OnceLock<Option<Arc<Btf>>> = OnceLock::new();
    let types = TYPES.get_or_init(|| {
        let blob = KernelBtf::vmlinux().ok()?;
        Btf::parse(blob.bytes().to_vec()).ok().map(Arc::new)
    });
    types.as_deref()
}

/// The text about a tracepoint that the tests know.
pub fn format(category: &str, event: &str) -> Option<String> {
    let file = scripts().join(format!("../formats/{category}_{event}.txt"));
    let text = std::fs::read_to_string(file).ok();
    text.or_else(|| {
        // System calls have one form: the number, then arguments of 8 bytes.
        if category != "syscalls" {
            return None;
        }
        let common = "\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n";
        if event.starts_with("sys_exit_") {
            return Some(format!("{common}\tfield:long ret;\toffset:16;\tsize:8;\tsigned:1;\n"));
        }
        None
    })
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

/// Scripts like those that people have. Two of the directory are for the parser only: they do not go together as a whole.
pub fn tools() -> Vec<(String, String)> {
    let mut found = read(&scripts());
    found.retain(|(name, _)| !["constructs.bt", "functions.bt"].contains(&name.as_str()));
    found
}

/// Scripts with one construct each.
pub fn constructs() -> Vec<(String, String)> {
    read(&scripts().join("../constructs"))
}

fn read(directory: &Path) -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "bt"));
    files.sort();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// Compiles a script, or gives the diagnostics as text.
pub fn build(name: &str, text: &str) -> Result<Compiled, String> {
    build_with(name, text, |_| {})
}

/// As [`build`] in a changed environment.
pub fn build_with(name: &str, text: &str, change: impl FnOnce(&mut Environment<'_>)) -> Result<Compiled, String> {
    let options = Options { name, builtin: &|name| builtins::find(name).is_some(), ..Options::default() };
    let simple = desugar(text, &options);
    let show = |problems: &[skep_diag::Diagnostic]| {
        problems.iter().map(|problem| render(problem, name, text, false)).collect::<String>()
    };
    if simple.has_errors() {
        return Err(show(&simple.diagnostics));
    }
    let formats = |category: &str, event: &str| format(category, event);
    let types = kernel_types().map(|btf| BtfTypes::new(btf).with_formats(&formats));
    let none = skep_lang_script::types::NoTypes;
    let mut env = Environment {
        name,
        text: &Text::new(text),
        types: types.as_ref().map_or(&none as &dyn skep_lang_script::types::TypeSource, |types| types),
        probes: &Places,
        facts: &Answers,
        positional: &[],
        named: &[],
        allow_unsafe: true,
        process: None,
        arch: Arch::default(),
        inner_ids: false,
        switches: Switches::default(),
        foreign: None,
    };
    change(&mut env);
    compile(&simple.script, &env).map_err(|problems| show(&problems))
}

/// Compiles a script, holds it against the rules, generates code and loads it, as it is and optimised.
pub fn check(name: &str, text: &str) -> Result<(), String> {
    let compiled = build(name, text)?;
    skep_ir::verify(&compiled.module).map_err(|violations| {
        let list: Vec<String> = violations.iter().map(ToString::to_string).collect();
        list.join("\n")
    })?;
    for optimised in [false, true] {
        let object = generate(&compiled.module, optimised)?;
        for probe in &compiled.plan.probes {
            assert!(object.programs.iter().any(|program| program.name == probe.program), "{}", probe.program);
        }
        load(&object)?;
    }
    Ok(())
}

/// Code for a module: as it comes from the compiler, for version 3 of the instruction set, or optimised for what the
/// running kernel takes.
pub fn generate(module: &Module, optimised: bool) -> Result<Object, String> {
    if !optimised {
        return skep_codegen::compile(module, &skep_codegen::Options::default()).map_err(|error| error.to_string());
    }
    let cpu = Cpu::from_number(skep_kernel::probe::instruction_set()).unwrap();
    let mut module = module.clone();
    let passes = skep_opt::Options { cpu: cpu.number(), verify: true, ..skep_opt::Options::compact() };
    skep_opt::optimise(&mut module, &passes);
    let options = skep_codegen::Options { cpu, endian: Endian::NATIVE };
    skep_codegen::compile(&module, &options).map_err(|error| error.to_string())
}

/// Loads programs, or gives the end of the verifier's log.
pub fn load(object: &skep_object::Object) -> Result<(), String> {
    match skep_kernel::load(object) {
        Ok(_) => Ok(()),
        Err(error) if not_permitted(&error) => {
            skip(&error.to_string());
            Ok(())
        }
        Err(LoadError::Program { program, error: KernelError::Rejected { reason, log, .. } }) => {
            let text = log.to_string();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(40)..].join("\n");
            Err(format!("{program}: {reason}\n{last}"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Checks scripts, and fails with all that went wrong.
pub fn check_all(scripts: Vec<(String, String)>) {
    assert!(!scripts.is_empty());
    let failed: Vec<String> =
        scripts.iter().filter_map(|(name, text)| Some(format!("=== {name}\n{}\n", check(name, text).err()?))).collect();
    assert!(failed.is_empty(), "{} of {} scripts:\n{}", failed.len(), scripts.len(), failed.join("\n"));
}

/// Whether the machine does not let this process load such programs.
pub fn not_permitted(error: &LoadError) -> bool {
    let (LoadError::Map { error, .. } | LoadError::Program { error, .. }) = error else { return false };
    matches!(error, KernelError::NotPermitted { .. } | KernelError::Unsupported { .. })
}

/// Says why something was not tried; a failure where that is demanded.
pub fn skip(why: &str) {
    assert!(std::env::var_os("SKEP_REQUIRE_KERNEL").is_none(), "SKIPPED, but the kernel is required: {why}");
    eprintln!("SKIPPED: {why}");
}
