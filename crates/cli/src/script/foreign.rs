//! Imports of programs in C (`import "file.bpf.c"`): their functions become part of the script's programs.

use std::fmt::Write as _;
use std::path::Path;

use skep_cc::{Disk, Front};
use skep_lang_c::Unit;
use skep_lang_c::options::Options;
use skep_lang_c::pp::MainFile;
use skep_lang_script::ast::Name;
use skep_lang_script::foreign::Foreign;

use super::build::Building;
use crate::build::{failure, with_types};
use crate::failure::{Failure, colour_on_stderr, say_part};
use crate::vm::load::unreadable;

/// Compiles the files that a script imports, as one program; `None` if there are none.
pub fn compile(files: &[Name], cpu: u8, wishes: &Building<'_>) -> Result<Option<Foreign>, Failure> {
    let [first, others @ ..] = files else { return Ok(None) };
    let read = |path: &str| std::fs::read(path).map_err(|error| unreadable(Path::new(path), &error));
    let text = if others.is_empty() {
        read(&first.node)?
    } else {
        // One text that includes all of them: what one defines the others can use.
        let mut text = String::new();
        for file in files {
            read(&file.node)?;
            let _ = writeln!(text, "#include \"{}\"", file.node);
        }
        text.into_bytes()
    };
    let main = MainFile { name: &first.node, text: &text };
    let include_dirs = wishes.include_dirs.iter().map(|path| path.display().to_string()).collect();
    let options = Options { cpu: Some(cpu), include_dirs, ..Options::default() };
    let front = with_types(None, |types| skep_cc::front(&main, &options, &Disk, types, colour_on_stderr()))?
        .map_err(failure)?;
    let Front { unit, warnings: drawn, .. } = front;
    if wishes.warnings {
        say_part!("{drawn}");
    }
    let problem = |text: String| Failure::Expression(format!("{}: {text}\n", first.node));
    if let Some(name) = asks_the_loader(&unit) {
        let text = format!("`{name}` needs a loader for programs in C; `skep run {}` is one", first.node);
        return Err(problem(text));
    }
    Foreign::new(unit.module).map(Some).map_err(problem)
}

/// The name of something that the loader of a program in C would have to fill in: a setting of the kernel, a map that is
/// shared by its name.
fn asks_the_loader(unit: &Unit) -> Option<&str> {
    let external = unit.externs.first().map(|external| external.name.as_str());
    let special = |extra: &&skep_lang_c::unit::MapExtra| {
        extra.pinning != 0 || extra.map_extra != 0 || extra.numa_node.is_some() || !extra.values.is_empty()
    };
    let map = unit.maps.iter().find(special).map(|extra| {
        use skep_ir::Entity as _;
        unit.module.maps[extra.map.index()].name.as_str()
    });
    external.or(map)
}
