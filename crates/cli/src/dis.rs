//! `skep dis`: programs as listings. The listings come from `skep_object::listing` and `skep_kernel::inventory`.

mod machine;

use std::path::Path;

use skep_isa::ebpf::{Endian, Insn};
use skep_kernel::inventory::{find_program, kernel_code};
use skep_object::{Item, Line, ObjectNames, listing};

use crate::args::DisArgs;
use crate::failure::Failure;
use crate::observe::{Symbols, failure};
use crate::text::print;
use crate::vm::json::{Json, list};
use crate::vm::load::load_file;

/// The symbol from which translated code counts functions of the kernel.
const CALL_BASE: &str = "__bpf_call_base";

/// Lists what was asked for.
pub fn run(args: &DisArgs) -> Result<(), Failure> {
    match args.source.as_slice() {
        [word, program] if word == "prog" => loaded(args, program),
        [word] if word == "prog" => Err(Failure::Usage(
            "`skep dis prog` wants a number, a name or the path of a pin; `skep ps` lists programs".to_owned(),
        )),
        [path] => file(args, Path::new(path)),
        _ => Err(Failure::Usage("give one file, or `prog` and a program".to_owned())),
    }
}

fn file(args: &DisArgs, path: &Path) -> Result<(), Failure> {
    if args.xlated || args.jited {
        let hint = "load it, then use `skep dis prog NAME`";
        return Err(Failure::Usage(format!("only programs in the kernel have translated and machine code; {hint}")));
    }
    let object = load_file(path)?;
    let wanted = |name: &str| args.prog.as_deref().is_none_or(|wanted| wanted == name);
    let programs: Vec<_> = object.programs.iter().filter(|program| wanted(&program.name)).collect();
    if programs.is_empty() {
        let names: Vec<&str> = object.programs.iter().map(|program| program.name.as_str()).collect();
        let (shown, all) = (path.display(), names.join(", "));
        return Err(Failure::Usage(match &args.prog {
            Some(name) => format!("{shown} has no program `{name}`; it has: {all}"),
            None => format!("{shown} holds no programs"),
        }));
    }
    let mut texts = Vec::new();
    for program in programs {
        let items = listing(program, &ObjectNames { object: &object, program });
        if args.json {
            texts.push(json(&program.name, &program.section, &items));
        } else {
            let head = format!("program {} ({}, section `{}`)\n", program.name, program.prog_type, program.section);
            texts.push(format!("{head}{}", text(&items, args.opcodes)));
        }
    }
    print(&if args.json { format!("{}\n", list(texts)) } else { texts.join("\n") })
}

fn loaded(args: &DisArgs, name: &str) -> Result<(), Failure> {
    let program = find_program(name).map_err(failure)?;
    let symbols = Symbols::default();
    let base = symbols.address(CALL_BASE);
    let code = kernel_code(&program, &|address| symbols.name(address), base).map_err(failure)?;
    if args.jited {
        return machine::print(&code, args);
    }
    if code.program.insns.is_empty() {
        return Err(Failure::Run(
            "the kernel does not show the instructions; it needs CAP_PERFMON or CAP_SYS_ADMIN, and `sysctl -w \
             kernel.kptr_restrict=0` (or 1)"
                .to_owned(),
        ));
    }
    let items = listing(&code.program, &code);
    print(&match args.json {
        true => format!("{}\n", list([json(&code.program.name, "", &items)])),
        false => text(&items, args.opcodes),
    })
}

/// The bytes of a slot.
fn octets(slot: &Insn) -> String {
    slot.to_bytes(Endian::NATIVE).map(|byte| format!("{byte:02x}")).join(" ")
}

/// A listing as text.
pub fn text(items: &[Item], opcodes: bool) -> String {
    let mut text = String::new();
    let mut last = None;
    for item in items {
        match item {
            Item::Function { name, .. } => {
                last = None;
                text.push_str(&format!("{name}:\n"));
            }
            // Compilers note every change of the column.
            Item::Source(line)
                if line.text.trim().is_empty()
                    || last.replace((&line.file, line.line)) == Some((&line.file, line.line)) => {}
            Item::Source(line) => text.push_str(&format!("; {}\n", source(line))),
            Item::Label { name, .. } => text.push_str(&format!("{name}:\n")),
            Item::Insn { at, slots, text: insn } => {
                text.push_str(&format!("{:5}: {insn}\n", at.0));
                for slot in slots.iter().filter(|_| opcodes) {
                    text.push_str(&format!("       {}\n", octets(slot)));
                }
            }
        }
    }
    text
}

/// `return 0;  filter.c:12`
pub fn source(line: &Line) -> String {
    let file = Path::new(&*line.file).file_name().unwrap_or_default().display().to_string();
    let place = if line.line == 0 { String::new() } else { format!("  {file}:{}", line.line) };
    format!("{}{place}", line.text.trim())
}

/// A program as a JSON object.
fn json(name: &str, section: &str, items: &[Item]) -> String {
    let mut insns = Vec::new();
    let (mut function, mut line, mut label) = (None, None, None);
    for item in items {
        match item {
            Item::Function { name, .. } => function = Some(name),
            Item::Source(source) => line = Some(source),
            Item::Label { name, .. } => label = Some(name),
            Item::Insn { at, slots, text } => {
                let bytes: Vec<u8> = slots.iter().flat_map(|slot| slot.to_bytes(Endian::NATIVE)).collect();
                let mut object = Json::object().raw("at", at.0).text("text", text).hex("opcodes", &bytes);
                if let Some(name) = function.take() {
                    object = object.text("function", name);
                }
                if let Some(name) = label.take() {
                    object = object.text("label", name);
                }
                if let Some(source) = line.take() {
                    object = object
                        .text("file", &source.file)
                        .raw("line", source.line)
                        .raw("column", source.column)
                        .text("source", source.text.trim());
                }
                insns.push(object.end());
            }
        }
    }
    Json::object().text("name", name).text("section", section).raw("insns", list(insns)).end()
}
