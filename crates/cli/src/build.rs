//! `skep build`: a program in C to an object. Compiling is done by `skep_cc`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skep_btf::Btf;
use skep_cc::{Built, Disk, Failed, Wishes};
use skep_isa::Release;
use skep_kernel::RunningKernel;
use skep_kernel::attach::Tracefs;
use skep_lang_c::options::{MacroOption, Options};
use skep_lang_c::pp::MainFile;
use skep_lang_c::provider::{BtfTypes, NoTypes, TypeSource};
use skep_lang_c::source::FileSource;
use skep_object::{Object, ObjectNames, listing};

use crate::args::{BuildArgs, CpuArg, SourceArgs};
use crate::failure::{Failure, colour_on_stderr, note, say_part};
use crate::text::print;
use crate::verify::gate::{Aim, Gate, own_name};
use crate::vm::load::unreadable;

/// Does what the arguments ask for.
pub fn run(args: &BuildArgs) -> Result<(), Failure> {
    let options = options(&args.source)?;
    if args.preprocess || args.dependencies {
        let text = fs::read(&args.file).map_err(|error| unreadable(&args.file, &error))?;
        let name = args.file.display().to_string();
        let main = MainFile { name: &name, text: &text };
        let (text, files) = skep_cc::expand(&main, &options, &Files, colour_on_stderr()).map_err(failure)?;
        return print(&if args.preprocess { text } else { rule(args, &files) });
    }
    let built = compile(&args.file, &args.source, args.emit_ir || args.emit_lowered)?;
    if args.verbose {
        let times: Vec<String> = built.times.iter().map(|(stage, time)| format!("{stage} {time:.1?}")).collect();
        note(&times.join(", "));
    }
    if let Some([lowered, optimised]) = &built.ir {
        return print(if args.emit_lowered { lowered } else { optimised });
    }
    if args.assembly {
        return print(&assembly(&built.object));
    }
    let path = output(args);
    let mut bytes = built.object.to_elf().map_err(Failure::run)?;
    if !args.no_verify {
        verify(args, options.target_kernel, &bytes)?;
    }
    if args.skeleton.is_some() {
        // Functions refer to maps and variables by their places in the object as it is read back.
        let object = Object::from_elf(&bytes).map_err(Failure::run)?;
        let source = args.file.file_name().unwrap_or_default().to_string_lossy();
        bytes = skep_cc::skeleton::rust(&object, &bytes, &source).map_err(Failure::run)?.into_bytes();
    }
    fs::write(&path, bytes).map_err(|error| {
        let text = error.to_string();
        let reason = text.split(" (os error").next().unwrap_or_default();
        Failure::Run(format!("cannot write {}: {reason}", path.display()))
    })
}

/// Verifies what is about to be written.
fn verify(args: &BuildArgs, target: Option<Release>, bytes: &[u8]) -> Result<(), Failure> {
    let object = Object::from_elf(bytes).map_err(Failure::run)?;
    let types = args.source.btf.as_deref().map(types_of).transpose()?.map(Arc::new);
    let aim = target.map_or(Aim::Here, Aim::From);
    Gate { aim, types, title: &own_name }.pass(&object, args.verbose)
}

/// The types in a file.
fn types_of(path: &Path) -> Result<Btf, Failure> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    Btf::parse(bytes).map_err(|error| Failure::Run(format!("{}: {error}", path.display())))
}

/// The files of the machine, with the tracing file system wherever it is mounted.
#[derive(Debug, Clone, Copy)]
struct Files;

impl FileSource for Files {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match path.strip_prefix(skep_cc::TRACING) {
            Some(rest) => {
                let tracing = Tracefs::find().map_err(|error| error.to_string())?;
                Disk.read(&tracing.root().join(rest).display().to_string())
            }
            None => Disk.read(path),
        }
    }
}

/// Compiles a file for the types of a kernel; warnings are shown.
pub fn compile(path: &Path, source: &SourceArgs, ir: bool) -> Result<Built, Failure> {
    let text = fs::read(path).map_err(|error| unreadable(path, &error))?;
    let name = path.display().to_string();
    let main = MainFile { name: &name, text: &text };
    let options = options(source)?;
    let wishes = Wishes { ir, colour: colour_on_stderr() };
    let built = with_types(source.btf.as_deref(), |types| skep_cc::build(&main, &options, &Files, types, wishes))?;
    let built = built.map_err(failure)?;
    say_part!("{}", built.warnings);
    Ok(built)
}

/// Does something with the types of a file, or of the running kernel; without any if it has none.
pub fn with_types<T>(btf: Option<&Path>, job: impl FnOnce(&mut dyn TypeSource) -> T) -> Result<T, Failure> {
    if let Some(path) = btf {
        return Ok(job(&mut BtfTypes::new(&types_of(path)?)));
    }
    match RunningKernel::new().types() {
        Ok(kernel) => Ok(job(&mut BtfTypes::new(&kernel))),
        Err(_) => Ok(job(&mut NoTypes::new())),
    }
}

/// What went wrong, as it is shown.
pub fn failure(failed: Failed) -> Failure {
    match failed {
        Failed::Source(text) => Failure::Expression(text),
        Failed::Code(text) => Failure::Run(text),
    }
}

/// The arguments as the compiler takes them.
fn options(args: &SourceArgs) -> Result<Options, Failure> {
    let defines = args.defines.iter().map(|text| match text.split_once('=') {
        Some((name, value)) => MacroOption::Define(name.to_owned(), Some(value.to_owned())),
        None => MacroOption::Define(text.clone(), None),
    });
    let undefines = args.undefines.iter().map(|name| MacroOption::Undefine(name.clone()));
    let release = |text: &String| {
        Release::parse(text)
            .ok_or_else(|| Failure::Usage(format!("--target-kernel {text}: expected a release such as 5.10")))
    };
    let names = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect();
    Ok(Options {
        macros: defines.chain(undefines).collect(),
        include_dirs: names(&args.include_dirs),
        includes: names(&args.includes),
        bcc: args.bcc,
        prelude: String::new(),
        vmlinux: args.vmlinux.as_ref().map(|path| path.display().to_string()),
        cpu: Some(match args.mcpu {
            CpuArg::V1 => 1,
            CpuArg::V2 => 2,
            CpuArg::V3 => 3,
            CpuArg::V4 => 4,
        }),
        target_kernel: args.target_kernel.as_ref().map(release).transpose()?,
    })
}

/// `trace.bpf.c` becomes `trace.bpf.o` here, or `trace.bpf.rs`.
fn output(args: &BuildArgs) -> PathBuf {
    let extension = if args.skeleton.is_some() { "rs" } else { "o" };
    let here = || PathBuf::from(args.file.file_name().unwrap_or_default()).with_extension(extension);
    args.output.clone().unwrap_or_else(here)
}

/// A rule for make.
fn rule(args: &BuildArgs, files: &[(String, bool)]) -> String {
    let mut rule = format!("{}:", output(args).display());
    for (name, _) in files.iter().filter(|(_, embedded)| !embedded) {
        rule.push_str(" \\\n  ");
        rule.push_str(&name.replace(' ', "\\ "));
    }
    rule.push('\n');
    rule
}

/// The instructions of all programs.
fn assembly(object: &Object) -> String {
    let texts = object.programs.iter().map(|program| {
        let items = listing(program, &ObjectNames { object, program });
        let head = format!("program {} ({}, section `{}`)\n", program.name, program.prog_type, program.section);
        head + &crate::dis::text(&items, false)
    });
    texts.collect::<Vec<_>>().join("\n")
}
