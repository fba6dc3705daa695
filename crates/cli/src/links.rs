//! `skep links` and `skep link`: which program runs where. The words are those of `skep_kernel::inventory`.

use skep_kernel::attach::Link;
use skep_kernel::inventory::{LinkRow, find_link};
use std::os::fd::AsFd;

use crate::args::{LinkCommand, LinksArgs};
use crate::failure::Failure;
use crate::observe::table::{Side, Table};
use crate::observe::{failure, holders, json_holders, survey};
use crate::text::print;
use crate::vm::json::{Json, list};

/// Lists links.
pub fn run(args: &LinksArgs) -> Result<(), Failure> {
    let mut rows = LinkRow::all(&survey()?);
    rows.retain(|row| {
        args.prog.is_none_or(|program| row.info.program == program)
            && args.place.as_ref().is_none_or(|text| row.place.words().contains(text))
    });
    if args.json {
        return print(&format!("{}\n", list(rows.iter().map(json))));
    }
    let mut table = Table::new(&[
        ("ID", Side::Right),
        ("KIND", Side::Left),
        ("PLACE", Side::Left),
        ("PROGRAM", Side::Right),
        ("NAME", Side::Left),
        ("HELD BY", Side::Left),
    ]);
    for row in &rows {
        let program = if row.info.program == 0 { String::new() } else { row.info.program.to_string() };
        table.row([
            row.info.id.to_string(),
            row.place.kind.clone(),
            row.place.place.clone(),
            program,
            row.program_name.clone(),
            holders(&row.holders, &row.pins),
        ]);
    }
    print(&if rows.is_empty() { "no links\n".to_owned() } else { table.text() })
}

fn json(row: &LinkRow) -> String {
    let object = Json::object()
        .raw("id", row.info.id)
        .text("kind", &row.place.kind)
        .text("place", &row.place.place)
        .raw("prog_id", row.info.program)
        .text("prog_name", &row.program_name);
    json_holders(object, &row.holders, &row.pins).end()
}

/// Changes a link.
pub fn change(command: &LinkCommand) -> Result<(), Failure> {
    let LinkCommand::Detach { link } = command;
    let link = find_link(link).map_err(failure)?;
    let descriptor = link.as_fd().try_clone_to_owned().map_err(Failure::run)?;
    Link::from_fd(descriptor).and_then(Link::detach).map_err(failure)
}
