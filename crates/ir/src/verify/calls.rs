//! Calls.

use skep_isa::helpers;

use super::check::{Check, ensure, fits};
use super::control::Judged;
use crate::entity::{Entity, FuncRef, Value};
use crate::inst::Callee;
use crate::module::FuncKind;
use crate::types::{Memory, Type};

/// Most arguments: the registers r1 to r5 (RFC 9669, 2.1).
const MOST_ARGUMENTS: usize = 5;
/// `bpf_map_lookup_elem`
const MAP_LOOKUP_ELEM: u32 = 1;

/// Judges a call.
pub fn judge(check: &Check<'_>, callee: Callee, args: &[Value], results: &[Type]) -> Judged {
    ensure(args.len() <= MOST_ARGUMENTS, || format!("a call has at most five arguments, not {}", args.len()))?;
    ensure(results.len() <= 1, || "a call has at most one result".to_owned())?;
    match callee {
        Callee::Func(function) => local(check, function, args, results),
        Callee::Helper(id) => {
            ensure(helpers::by_id(id).is_some(), || format!("there is no helper with the number {id}"))?;
            no_packet_end(check, args)?;
            if id == MAP_LOOKUP_ELEM { lookup(check, args, results) } else { Ok(()) }
        }
        Callee::Kfunc(_) => no_packet_end(check, args),
    }
}

fn no_packet_end(check: &Check<'_>, args: &[Value]) -> Judged {
    let end = |value: &&Value| check.ty(**value).pointer().is_some_and(|pointer| pointer.to == Memory::PacketEnd);
    match args.iter().find(end) {
        Some(value) => Err(format!("{value} is the end of the packet, which the kernel takes no argument of")),
        None => Ok(()),
    }
}

/// What a look-up finds may be missing.
fn lookup(check: &Check<'_>, args: &[Value], results: &[Type]) -> Judged {
    let &[map, _] = args else { return Err("map_lookup_elem takes a map and a key".to_owned()) };
    let map = match check.pointer(map)? {
        Memory::Map(map) | Memory::InnerMap(map) => map,
        Memory::Any => return Ok(()),
        _ => return Err(format!("{map} is not a map")),
    };
    let Some(pointer) = results.first().and_then(|result| result.pointer()) else { return Ok(()) };
    ensure(pointer.nullable || pointer.to == Memory::Any, || "what is looked up may be null".to_owned())?;
    ensure(!matches!(pointer.to, Memory::MapValue(other) | Memory::InnerMap(other) if other != map), || {
        format!("the result is of {}, the map is {map}", pointer.to)
    })
}

fn local(check: &Check<'_>, number: FuncRef, args: &[Value], results: &[Type]) -> Judged {
    let callee = &check.module.functions[number.index()];
    let name = &callee.name;
    ensure(matches!(callee.kind, FuncKind::Static | FuncKind::Global), || {
        format!("`{name}` is a program or a callback, which only the kernel calls")
    })?;
    // The callee may be out of shape: that is reported where it is checked.
    let Some(&entry) = callee.blocks.first().filter(|entry| entry.index() < callee.block_count()) else {
        return Ok(());
    };
    let params = &callee[entry].params;
    ensure(params.len() == args.len(), || format!("`{name}` takes {} arguments, not {}", params.len(), args.len()))?;
    for (&param, &arg) in params.iter().zip(args) {
        let Some(expected) = (param.index() < callee.value_count()).then(|| callee.ty(param)) else { continue };
        let given = check.ty(arg);
        ensure(fits(given, expected), || format!("{arg} is of type {given}, `{name}` takes {expected}"))?;
    }
    match (callee.result, results) {
        (_, []) => Ok(()),
        (Some(expected), &[result]) => {
            ensure(fits(expected, result), || format!("`{name}` returns {expected}, the result is of type {result}"))
        }
        (_, _) => Err(format!("`{name}` returns nothing")),
    }
}
