//! What `skep load` and `skep run` share: files to objects, texts to places, refusals to words.

use std::fs;

use skep_kernel::session::{Places, SessionError};
use skep_kernel::{KernelError, LoadError, LoadOptions, LogLevel, VerifierLog};
use skep_object::Object;

use crate::args::ObjectArgs;
use crate::failure::{Failure, note, say, say_part};
use crate::verify::gate;
use crate::vm::load::unreadable;

/// Lines of the verifier's log that are shown without being asked for.
const RELEVANT: usize = 8;

/// Reads or compiles one object, or links several.
pub fn read(args: &ObjectArgs) -> Result<Object, Failure> {
    let mut files = Vec::new();
    for path in &args.files {
        let bytes = if path.extension().is_some_and(|extension| extension == "c") {
            let built = crate::build::compile(path, &args.source, false)?;
            built.object.to_elf().map_err(|error| Failure::Run(format!("{}: {error}", path.display())))?
        } else {
            fs::read(path).map_err(|error| unreadable(path, &error))?
        };
        files.push((path.display().to_string(), bytes));
    }
    if let [(name, bytes)] = &files[..] {
        return Object::from_elf(bytes).map_err(|error| Failure::Run(format!("{name}: {error}")));
    }
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    Object::from_elf_files(&files).map_err(Failure::run)
}

/// Understands where to attach.
pub fn places(texts: &[String]) -> Result<Places, Failure> {
    let mut places = Places::default();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        places.add(text).map_err(|error| Failure::Usage(error.to_string()))?;
    }
    Ok(places)
}

/// How to load what the arguments name.
pub fn options<'a>(
    args: &'a ObjectArgs,
    programs: &'a [&'a str],
    places: &'a [(&'a str, skep_object::AttachPoint)],
) -> LoadOptions<'a> {
    let mut options = LoadOptions { places, ..LoadOptions::default() };
    if !programs.is_empty() {
        options.programs = Some(programs);
    }
    if let Some(directory) = &args.shared {
        options.pins = Some(directory);
    }
    if args.verbose > 1 {
        options.log = LogLevel::Statistics;
    }
    options
}

/// Says why an object could not be loaded, with the lines of the verifier's log that tell most, or with all of them, and
/// with what our rules say of the same program.
pub fn refused(error: &SessionError, args: &ObjectArgs) -> Failure {
    if let SessionError::Load(LoadError::Program { program, error: KernelError::Rejected { log, .. } }) = error {
        show(log, args.verbose > 0);
        if let Some(text) = read(args).ok().and_then(|object| gate::explanation(object, program, None)) {
            say_part!("{text}");
        }
    }
    match error {
        SessionError::Type(_) | SessionError::Load(LoadError::NoSuchProgram { .. }) => {
            Failure::Usage(error.to_string())
        }
        _ => Failure::run(error),
    }
}

/// Shows the lines of the verifier's log that tell most, or all of them.
pub fn show(log: &VerifierLog, all: bool) {
    if all {
        log.text().lines().for_each(|line| say!("{line}"));
        if log.is_truncated() {
            note("the verifier's log was longer; its end is missing");
        }
        return;
    }
    let lines = log.relevant(RELEVANT);
    lines.iter().for_each(|line| say!("  {line}"));
    if lines.len() < log.text().lines().count() {
        say!("  (-v shows the whole log of the verifier)");
    }
}
