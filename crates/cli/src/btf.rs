//! `skep btf`: types as declarations or listings. Reading and printing them is done by `skep_btf`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use skep_btf::{Btf, CPrinter, RawType, TypeId};
use skep_kernel::inventory::KernelTypes;
use skep_kernel::{KernelBtf, LoadedBtf, btf_ids};
use skep_object::elf_section;

use crate::args::{BtfCommand, BtfDumpArgs};
use crate::failure::Failure;
use crate::observe::failure;
use crate::observe::table::{Side, Table};
use crate::text::{TextOut, print};
use crate::vm::json::{Json, list};
use crate::vm::load::unreadable;

/// First bytes of raw BTF.
const BTF_MAGIC: [u8; 2] = [0x9f, 0xeb];
/// Most names that are suggested.
const SUGGESTED: usize = 5;

/// Does what was asked for.
pub fn run(command: &BtfCommand) -> Result<(), Failure> {
    match command {
        BtfCommand::Dump(args) => dump(args),
        BtfCommand::List { json } => loaded(*json),
    }
}

fn dump(args: &BtfDumpArgs) -> Result<(), Failure> {
    let (btf, names) = source(args)?;
    let ids = names.iter().map(|name| find(&btf, name)).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<TypeId> = ids.into_iter().flatten().collect();
    if args.raw {
        let mut out = TextOut::stdout(false)?;
        let all = if names.is_empty() { btf.ids().collect() } else { ids };
        for id in all {
            out.buffer.extend_from_slice(format!("{}\n", RawType(&btf, id)).as_bytes());
            out.line_done()?;
        }
        return out.flush();
    }
    let broken = |error| Failure::Run(format!("the types are damaged: {error}"));
    let mut printer = CPrinter::new(&btf);
    if names.is_empty() {
        printer.add_all().map_err(broken)?;
        return print(&printer.into_header());
    }
    printer = printer.with_places();
    for id in ids {
        if args.alone { printer.add_alone(id) } else { printer.add(id) }.map_err(broken)?;
        if !args.alone && !has_declaration(&btf, id) {
            printer.add_alone(id).map_err(broken)?;
        }
    }
    print(printer.text())
}

/// Whether printing what a type needs prints the type as well.
fn has_declaration(btf: &Btf, id: TypeId) -> bool {
    use skep_btf::Kind::{Enum, Enum64, Fwd, Struct, Typedef, Union};
    matches!(btf.kind(id), Ok(Enum(_) | Enum64(_) | Fwd { .. } | Struct(_) | Typedef(_) | Union(_)))
}

/// The types, and the names of those that are wanted.
fn source(args: &BtfDumpArgs) -> Result<(Arc<Btf>, &[String]), Failure> {
    let kernel = KernelTypes::new();
    if let Some(module) = &args.module {
        let btf = kernel.module(module).map_err(|error| {
            let known = KernelBtf::names().join(", ");
            Failure::Run(format!("{error}; there are types of: {known}"))
        })?;
        return Ok((btf, &args.words));
    }
    match args.words.as_slice() {
        words if args.kernel => Ok((kernel.vmlinux().map_err(failure)?, words)),
        [word, number, names @ ..] if word == "id" => {
            let id = number.parse().map_err(|_| Failure::Usage(format!("`id` wants a number, not `{number}`")))?;
            Ok((kernel.by_id(id).map_err(failure)?.1, names))
        }
        [word, names @ ..] if word.contains(['/', '.']) || Path::new(word).is_file() => {
            let base = args.base.as_deref().map(|path| file(path, None)).transpose()?;
            Ok((file(Path::new(word), base)?, names))
        }
        words => Ok((kernel.vmlinux().map_err(failure)?, words)),
    }
}

/// The types in a file. Those of modules continue the kernel's, which are the base unless another is given.
fn file(path: &Path, base: Option<Arc<Btf>>) -> Result<Arc<Btf>, Failure> {
    let name = path.display();
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    let blob = if bytes.starts_with(&BTF_MAGIC) {
        bytes
    } else {
        let section = elf_section(&bytes, ".BTF").map_err(|error| Failure::Run(format!("{name}: {error}")))?;
        let hint = "compile it with `-g`, or use `pahole -J`";
        section.ok_or_else(|| Failure::Run(format!("{name} has no types (no section .BTF); {hint}")))?.to_vec()
    };
    let btf = match base {
        Some(base) => Btf::parse_split(base, blob),
        None => Btf::parse(blob),
    };
    btf.map(Arc::new).map_err(|error| Failure::Run(format!("{name}: {error}; types that continue others need --base")))
}

/// The types with a name: `task_struct`, or `struct task_struct` for those of one kind.
fn find(btf: &Btf, text: &str) -> Result<Vec<TypeId>, Failure> {
    let (keyword, name) = text.split_once(' ').map_or(("", text), |(keyword, name)| (keyword, name.trim()));
    let fits = |id: &TypeId| {
        let kind = btf.kind(*id).map(|kind| kind.name().to_ascii_lowercase()).unwrap_or_default();
        btf.name(*id) == Ok(name) && (keyword.is_empty() || kind.trim_end_matches("64") == keyword)
    };
    let found: Vec<TypeId> = btf.all_ids().filter(fits).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let mut near: Vec<&str> = btf
        .all_ids()
        .filter_map(|id| btf.name(id).ok())
        .filter(|known| !name.is_empty() && known.contains(name))
        .collect();
    near.sort_by_key(|known| (known.len(), *known));
    near.dedup();
    near.truncate(SUGGESTED);
    let hint = if near.is_empty() {
        "`skep btf dump --raw` lists all".to_owned()
    } else {
        format!("names with these letters: {}", near.join(", "))
    };
    Err(Failure::Run(format!("there is no type `{text}`; {hint}")))
}

/// Lists what is loaded.
fn loaded(json: bool) -> Result<(), Failure> {
    let mut all = Vec::new();
    for id in btf_ids() {
        all.extend(LoadedBtf::by_id(id.map_err(failure)?).and_then(|btf| btf.info()).ok());
    }
    if json {
        let one = |info: &skep_kernel::BtfInfo| {
            let object = Json::object().raw("id", info.id).text("name", &info.name);
            object.raw("bytes", info.size).raw("kernel", info.kernel).end()
        };
        return print(&format!("{}\n", list(all.iter().map(one))));
    }
    let mut table = Table::new(&[("ID", Side::Right), ("BYTES", Side::Right), ("OF", Side::Left)]);
    for info in all {
        let of = match (info.kernel, info.name.as_str()) {
            (true, "vmlinux") => "the kernel".to_owned(),
            (true, name) => format!("module {name}"),
            (false, _) => "programs or maps".to_owned(),
        };
        table.row([info.id.to_string(), info.size.to_string(), of]);
    }
    print(&table.text())
}
