//! `skep load`: an object into the kernel, pinned or only tried.

use std::fmt::Write as _;

use skep_kernel::attach::{Attachments, attach_all};
use skep_kernel::session::{SessionError, pin_all};
use skep_kernel::{Loaded, load_with};
use skep_sym::SystemSymbols;

use crate::args::LoadArgs;
use crate::failure::{Failure, note};
use crate::object;
use crate::text::print;

/// Loads, attaches if that was asked for, pins and reports.
pub fn run(args: &LoadArgs) -> Result<(), Failure> {
    let object = object::read(&args.object)?;
    let places = object::places(&args.attach)?;
    let sections = places.sections();
    let programs: Vec<&str> = args.object.prog.iter().map(String::as_str).collect();
    let options = object::options(&args.object, &programs, &sections);
    let loaded =
        load_with(&object, &options).map_err(|error| object::refused(&SessionError::Load(error), &args.object))?;
    let attachments = if args.attach.is_empty() {
        Attachments::default()
    } else {
        let options = places.options(Some(&SystemSymbols), &sections);
        attach_all(&loaded, &object, &options)
            .map_err(|(program, error)| object::refused(&SessionError::Attach { program, error }, &args.object))?
    };
    for (program, why) in &attachments.left {
        note(&format!("program `{program}` is not attached: {why}"));
    }
    let (pin, map_pin) = (args.pin.as_deref(), args.map_pin.as_deref());
    let pinned = pin_all(&object, &loaded, &attachments, pin, map_pin).map_err(Failure::run)?;
    let mut text = report(&loaded);
    for path in loaded.pinned.iter().chain(&pinned) {
        let _ = writeln!(text, "pinned {}", path.display());
    }
    if pin.is_none() {
        // Tables of operations and arrays of programs keep theirs.
        let kept = loaded.pinned.len() + pinned.len() > 0;
        let which = if kept { "programs that no pinned map refers to" } else { "the programs" };
        let _ = writeln!(text, "{which} are freed again, as they were not pinned; --pin keeps them");
    }
    print(&text)
}

/// A line for each program and map.
fn report(loaded: &Loaded) -> String {
    let mut text = String::new();
    for program in &loaded.programs {
        let _ = write!(text, "program {}: {} instructions", program.name(), program.insn_count());
        match program.info() {
            Ok(info) if info.verified_insns > 0 => {
                let _ = writeln!(text, ", {} looked at by the verifier", info.verified_insns);
            }
            _ => text.push('\n'),
        }
        text.push_str(program.log().text());
    }
    let is_left_out = |index: usize| loaded.left_out.iter().any(|map| map.index() == index);
    for (_, map) in loaded.maps.iter().enumerate().filter(|(index, _)| !is_left_out(*index)) {
        let kind = map.map_type().map_or_else(|| "unknown".to_owned(), |kind| kind.to_string());
        let _ = writeln!(text, "map {} ({kind}): {} entries", map.name(), map.max_entries());
    }
    for missing in &loaded.missing {
        let _ = writeln!(text, "program {} goes without {}, which this kernel lacks", missing.program, missing.what);
    }
    text
}
