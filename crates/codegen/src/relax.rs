//! Distances of jumps. Conditional jumps and `goto` reach 32,767 slots; what is farther takes `gotol`, or below version 4
//! of the instruction set a chain of jumps.

use skep_isa::ebpf::{Cpu, Op};

use crate::code::{Code, Insn, Item, Label};

/// How far from a jump its next station is put: near enough that what is inserted later does not push it out of reach.
const STATION: i64 = 24_000;

/// Gives every jump its distance.
pub fn relax(mut code: Code, cpu: Cpu) -> Vec<Insn> {
    loop {
        let places = places(&code);
        let far = far_jumps(&code, &places);
        if far.is_empty() {
            return finish(&code, &places);
        }
        code = if far.iter().any(|&at| is_conditional(&code.items[at])) {
            separate(code, &far)
        } else if cpu >= Cpu::V4 {
            for at in far {
                if let Item::Insn(insn) = &mut code.items[at] {
                    insn.op = Op::GotoLong { off: 0 };
                }
            }
            code
        } else {
            add_stations(code, &far, &places)
        };
    }
}

/// The slot of each item and of each label.
struct Places {
    items: Vec<i64>,
    labels: Vec<i64>,
}

fn places(code: &Code) -> Places {
    let mut places = Places { items: Vec::with_capacity(code.items.len()), labels: vec![0; code.labels as usize] };
    let mut slot = 0;
    for item in &code.items {
        places.items.push(slot);
        match item {
            Item::Label(label) => places.labels[label.0 as usize] = slot,
            Item::Insn(insn) => slot += i64::from(insn.op.slots()),
        }
    }
    places
}

fn distance(places: &Places, at: usize, target: Label) -> i64 {
    places.labels[target.0 as usize] - places.items[at] - 1
}

const fn is_conditional(item: &Item) -> bool {
    matches!(item, Item::Insn(Insn { op: Op::JumpIf { .. } | Op::MayGoto { .. }, .. }))
}

fn far_jumps(code: &Code, places: &Places) -> Vec<usize> {
    let far = |(at, item): (usize, &Item)| match item {
        Item::Insn(Insn { op: Op::GotoLong { .. }, .. }) => None,
        Item::Insn(Insn { target: Some(target), .. }) => {
            i16::try_from(distance(places, at, *target)).is_err().then_some(at)
        }
        _ => None,
    };
    code.items.iter().enumerate().filter_map(far).collect()
}

/// Turns conditional jumps that are too far into short ones around a `goto`.
fn separate(code: Code, far: &[usize]) -> Code {
    let mut new = Code { items: Vec::with_capacity(code.items.len() + 3 * far.len()), labels: code.labels };
    let mut far = far.iter().copied().peekable();
    for (at, item) in code.items.iter().enumerate() {
        let is_far = far.next_if_eq(&at).is_some();
        let (Item::Insn(insn), true) = (item, is_far && is_conditional(item)) else {
            new.items.push(*item);
            continue;
        };
        let Some(target) = insn.target else { continue };
        let goto = |target| Item::Insn(Insn::jump(Op::Goto { off: 0 }, target, insn.loc));
        let after = new.label();
        let inverse = match insn.op {
            Op::JumpIf { width, op, dst, src, off } => op.inverse().map(|op| Op::JumpIf { width, op, dst, src, off }),
            _ => None,
        };
        match inverse {
            Some(op) => new.items.extend([Item::Insn(Insn::jump(op, after, insn.loc)), goto(target)]),
            None => {
                let taken = new.label();
                new.items.push(Item::Insn(Insn { target: Some(taken), ..*insn }));
                new.items.extend([goto(after), Item::Label(taken), goto(target)]);
            }
        }
        new.items.push(Item::Label(after));
    }
    new
}

/// Puts a station on the way of each `goto` that is too far. A jump over it keeps others from running into it.
fn add_stations(code: Code, far: &[usize], places: &Places) -> Code {
    let mut new = Code { items: Vec::new(), labels: code.labels };
    let mut items = code.items;
    // Stations in front of the item with this number: the label of the station and where it leads.
    let mut stations: Vec<(usize, Label, Label)> = Vec::new();
    for &at in far {
        let Item::Insn(insn) = &mut items[at] else { continue };
        let Some(target) = insn.target else { continue };
        let here = places.items[at];
        let wanted = if places.labels[target.0 as usize] > here { here + STATION } else { here - STATION };
        let before = places.items.partition_point(|&slot| slot < wanted);
        let station = new.label();
        stations.push((before, station, target));
        insn.target = Some(station);
    }
    stations.sort_by_key(|station| station.0);
    let mut next = stations.iter().peekable();
    for (at, item) in items.iter().enumerate() {
        let mut over = None;
        while let Some((_, station, target)) = next.next_if(|station| station.0 == at) {
            let loc = match item {
                Item::Insn(insn) => insn.loc,
                Item::Label(_) => skep_ir::Loc::default(),
            };
            let falls_in = match new.items.last() {
                Some(Item::Insn(insn)) => insn.op.falls_through(),
                _ => true,
            };
            if falls_in && over.is_none() {
                let label = new.label();
                new.items.push(Item::Insn(Insn::jump(Op::Goto { off: 0 }, label, loc)));
                over = Some(label);
            }
            new.items.push(Item::Label(*station));
            new.items.push(Item::Insn(Insn::jump(Op::Goto { off: 0 }, *target, loc)));
        }
        new.items.extend(over.map(Item::Label));
        new.items.push(*item);
    }
    new
}

fn finish(code: &Code, places: &Places) -> Vec<Insn> {
    let mut out = Vec::with_capacity(code.items.len());
    for (at, item) in code.items.iter().enumerate() {
        let Item::Insn(insn) = item else { continue };
        let mut insn = *insn;
        if let Some(target) = insn.target {
            let wide = i32::try_from(distance(places, at, target)).unwrap_or(i32::MAX);
            // Far jumps have been dealt with.
            let short = i16::try_from(wide).unwrap_or(0);
            match &mut insn.op {
                Op::Goto { off } | Op::MayGoto { off } | Op::JumpIf { off, .. } => *off = short,
                Op::GotoLong { off } => *off = wide,
                _ => {}
            }
        }
        out.push(insn);
    }
    out
}
