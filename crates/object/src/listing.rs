//! Programs as listings: instructions with labels, functions, source lines, and the names of what they refer to.
//!
//! The names come from a [`Names`]: for objects from the object itself ([`ObjectNames`]), for programs of the kernel from
//! whoever asked the kernel.

use std::collections::BTreeMap;

use skep_isa::ebpf::{Callee, Imm64, Insn, InsnIdx, Notation, Op, line};
use skep_isa::helpers;

use crate::{Line, Object, Program, Variable};

/// Who knows what instructions refer to. `None` leaves the number.
pub trait Names {
    /// What a 64-bit immediate load refers to, for example `counts` or `map[counts]+8`.
    fn load(&self, at: InsnIdx, value: Imm64) -> Option<String> {
        let _ = (at, value);
        None
    }

    /// The helper, function of the kernel or function of the program that is called. Functions that the program's own
    /// records name are known without this.
    fn callee(&self, at: InsnIdx, callee: Callee) -> Option<String> {
        let _ = at;
        match callee {
            Callee::Helper(id) => helper_name(id),
            _ => None,
        }
    }

    /// The text of a slot that no program can be loaded with: kernels write such into programs that they have translated.
    fn internal(&self, insn: Insn) -> Option<String> {
        let _ = insn;
        None
    }
}

/// `bpf_map_lookup_elem`
fn helper_name(id: i32) -> Option<String> {
    helpers::by_id(u32::try_from(id).ok()?).map(|helper| format!("bpf_{}", helper.name))
}

/// The names in an object, for the programs in it.
#[derive(Debug, Clone, Copy)]
pub struct ObjectNames<'a> {
    /// The object.
    pub object: &'a Object,
    /// The program, which is one of the object's.
    pub program: &'a Program,
}

impl ObjectNames<'_> {
    /// The extern that an instruction refers to.
    fn external(&self, at: InsnIdx) -> Option<&str> {
        let used = self.program.externs.iter().find(|used| used.at == at)?;
        self.object.externs.get(used.target.index()).map(|external| external.name.as_str())
    }

    /// A variable of a map at an offset, or the map and the offset.
    fn variable(&self, index: i32, offset: u32) -> Option<String> {
        let map = self.object.maps.get(usize::try_from(index).ok()?)?;
        let inside =
            |variable: &&Variable| offset.checked_sub(variable.offset).is_some_and(|from| from < variable.size.max(1));
        Some(match map.variables().iter().find(inside) {
            Some(variable) if variable.offset == offset => variable.name.clone(),
            Some(variable) => format!("{}+{}", variable.name, offset - variable.offset),
            None => format!("{}+{offset}", map.name),
        })
    }
}

impl Names for ObjectNames<'_> {
    fn load(&self, at: InsnIdx, value: Imm64) -> Option<String> {
        if let Some(name) = self.external(at) {
            return Some(name.to_owned());
        }
        match value {
            Imm64::MapFd(index) => {
                self.object.maps.get(usize::try_from(index).ok()?).map(|map| format!("map[{}]", map.name))
            }
            Imm64::MapFdValue { fd, offset } => self.variable(fd, offset).map(|name| format!("&{name}")),
            _ => None,
        }
    }

    fn callee(&self, at: InsnIdx, callee: Callee) -> Option<String> {
        match callee {
            Callee::Helper(id) => helper_name(id),
            _ => self.external(at).map(str::to_owned),
        }
    }
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A function begins.
    Function {
        /// Where.
        at: InsnIdx,
        /// Its name.
        name: String,
    },
    /// The source line that the following instructions come from.
    Source(Line),
    /// A jump leads here.
    Label {
        /// Where.
        at: InsnIdx,
        /// What jumps call it.
        name: String,
    },
    /// An instruction.
    Insn {
        /// Where.
        at: InsnIdx,
        /// Its slots, one or two.
        slots: Vec<Insn>,
        /// The text.
        text: String,
    },
}

/// The listing of a program. What does not decode is listed as such, so that any instructions have a listing.
pub fn listing(program: &Program, names: &dyn Names) -> Vec<Item> {
    let ops = decode(&program.insns);
    let labels = labels(&ops, program.insns.len());
    let mut functions = program.functions.iter().peekable();
    let mut lines = program.lines.iter().peekable();
    let mut items = Vec::with_capacity(2 * ops.len());
    for (at, op) in &ops {
        while let Some(function) = functions.next_if(|function| function.at <= *at) {
            items.push(Item::Function { at: function.at, name: function.name.to_string() });
        }
        let mut current = None;
        while let Some(line) = lines.next_if(|line| line.at <= *at) {
            current = Some(line);
        }
        items.extend(current.map(|line| Item::Source(line.clone())));
        items.extend(labels.get(at).map(|name| Item::Label { at: *at, name: name.clone() }));
        let count = op.map_or(1, |op| op.slots() as usize);
        let slots: Vec<Insn> = program.insns[at.index()..].iter().take(count).copied().collect();
        let text = match op {
            Some(op) => text(*at, op, program, names, &labels),
            None => {
                let internal = slots.first().and_then(|slot| names.internal(*slot));
                internal.unwrap_or_else(|| "(not an instruction that programs can have)".to_owned())
            }
        };
        items.push(Item::Insn { at: *at, slots, text });
    }
    items
}

/// Every instruction, `None` for slots that do not decode.
fn decode(insns: &[Insn]) -> Vec<(InsnIdx, Option<Op>)> {
    let mut ops = Vec::with_capacity(insns.len());
    let mut at = 0;
    while let Some(insn) = insns.get(at) {
        let op = insn.decode(insns.get(at + 1).copied()).ok();
        ops.push((InsnIdx::new(at), op));
        at += op.map_or(1, |op| op.slots() as usize);
    }
    ops
}

/// The names of the targets of jumps: `L1`, `L2` and so on, in the order of their places.
fn labels(ops: &[(InsnIdx, Option<Op>)], end: usize) -> BTreeMap<InsnIdx, String> {
    let targets = ops.iter().filter_map(|(at, op)| at.target(op.as_ref()?.jump_distance()?));
    let mut labels: BTreeMap<InsnIdx, String> =
        targets.filter(|target| target.index() < end).map(|target| (target, String::new())).collect();
    for (number, name) in (1..).zip(labels.values_mut()) {
        *name = format!("L{number}");
    }
    labels
}

/// The text of an instruction with names in place of numbers.
fn text(at: InsnIdx, op: &Op, program: &Program, names: &dyn Names, labels: &BTreeMap<InsnIdx, String>) -> String {
    let plain = line(op, Notation::Plain);
    if let Some(label) = op.jump_distance().and_then(|distance| labels.get(&at.target(distance)?)) {
        let words = plain.rsplit_once(' ').map_or(plain.as_str(), |(words, _)| words);
        return format!("{words} {label}");
    }
    let function = |distance: i32| {
        let target = at.target(distance)?;
        program.functions.iter().find(|function| function.at == target).map(|function| function.name.to_string())
    };
    match *op {
        Op::Call(callee) => {
            let own = match callee {
                Callee::Local(distance) => function(distance),
                _ => None,
            };
            let name = names.callee(at, callee).or(own);
            name.map_or(plain, |name| format!("call {name}"))
        }
        Op::LoadImm { dst, value } => {
            let own = match value {
                Imm64::Func(distance) => function(distance).map(|name| format!("&{name}")),
                _ => None,
            };
            let name = names.load(at, value).or(own);
            name.map_or(plain, |name| format!("{dst} = {name} ll"))
        }
        _ => plain,
    }
}
