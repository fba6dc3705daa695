//! `skep maps`: the maps in the kernel. Finding them and what belongs to them is done by `skep_kernel::inventory`.

use skep_isa::MapType;
use skep_kernel::inventory::MapRow;
use skep_kernel::{LoadedProgram, ProgramInfo, program_ids};

use crate::args::MapsArgs;
use crate::failure::Failure;
use crate::observe::table::{Side, Table};
use crate::observe::{bytes, failure, holders, json_holders, survey};
use crate::text::print;
use crate::vm::json::{Json, list};

/// Lists maps.
pub fn run(args: &MapsArgs) -> Result<(), Failure> {
    if let Some(kind) = &args.kind
        && MapType::from_name(kind).is_none()
    {
        let names: Vec<&str> = MapType::ALL.iter().map(|kind| kind.name()).collect();
        return Err(Failure::Usage(format!("there is no map type `{kind}`; there are: {}", names.join(", "))));
    }
    let survey = survey()?;
    let mut rows = MapRow::all(&survey, &programs()?, args.count).map_err(failure)?;
    rows.retain(|row| {
        args.name.as_ref().is_none_or(|name| row.info.name.contains(name))
            && args.kind.as_ref().is_none_or(|kind| row.type_name() == *kind)
            && args.pid.is_none_or(|pid| row.holders.iter().any(|(holder, _)| *holder == pid))
    });
    if args.json {
        return print(&format!("{}\n", list(rows.iter().map(json))));
    }
    print(&text(&rows))
}

/// Facts about all programs.
pub fn programs() -> Result<Vec<ProgramInfo>, Failure> {
    let mut all = Vec::new();
    for id in program_ids() {
        all.extend(LoadedProgram::by_id(id.map_err(failure)?).and_then(|program| program.info()).ok());
    }
    Ok(all)
}

fn text(rows: &[MapRow]) -> String {
    let mut table = Table::new(&[
        ("ID", Side::Right),
        ("TYPE", Side::Left),
        ("NAME", Side::Left),
        ("KEY", Side::Right),
        ("VALUE", Side::Right),
        ("ENTRIES", Side::Right),
        ("MEMORY", Side::Right),
        ("FROZEN", Side::Left),
        ("PROGRAMS", Side::Left),
        ("HELD BY", Side::Left),
    ]);
    for row in rows {
        let entries = match row.entries {
            Some(count) => format!("{count}/{}", row.info.max_entries),
            None => row.info.max_entries.to_string(),
        };
        table.row([
            row.info.id.to_string(),
            row.type_name(),
            row.info.name.clone(),
            row.info.key_size.to_string(),
            row.info.value_size.to_string(),
            entries,
            row.memory.map(bytes).unwrap_or_default(),
            if row.frozen == Some(true) { "yes".to_owned() } else { String::new() },
            row.programs.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
            holders(&row.holders, &row.pins),
        ]);
    }
    if rows.is_empty() { "no maps\n".to_owned() } else { table.text() }
}

/// A map as a JSON object.
pub fn json(row: &MapRow) -> String {
    let info = &row.info;
    let mut object = Json::object()
        .raw("id", info.id)
        .text("type", &row.type_name())
        .text("name", &info.name)
        .raw("flags", info.flags)
        .raw("bytes_key", info.key_size)
        .raw("bytes_value", info.value_size)
        .raw("max_entries", info.max_entries);
    if let Some(entries) = row.entries {
        object = object.raw("entries", entries);
    }
    if let Some(memory) = row.memory {
        object = object.raw("bytes_memory", memory);
    }
    if let Some(frozen) = row.frozen {
        object = object.raw("frozen", frozen);
    }
    object = object.raw("btf_id", info.btf_id).raw("programs", list(row.programs.iter().map(u32::to_string)));
    json_holders(object, &row.holders, &row.pins).end()
}
