//! What is known at each instruction, kept for those who want to look at it: `skep verify --states`, the debugger.

use std::fmt;

use crate::reg::{Kind, Reg};
use crate::state::{Byte, State};

/// States of one instruction that are kept; later ones are only counted.
const KEPT: usize = 16;
/// States that are kept of one program.
const KEPT_TOGETHER: usize = 100_000;

/// What is known when one path reaches an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// How deep in calls the running function is; the main one is at 0.
    pub depth: u8,
    /// Its registers.
    pub registers: [Reg; 11],
    /// Its stack: the distance of eight bytes from `r10`, and what they hold.
    pub stack: Vec<(i32, Held)>,
}

/// What eight bytes of stack hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// A value that was spilled.
    Value(Reg),
    /// A letter for each byte, the lowest address first: `m` something, `0` zero, `?` never written, `r` a part of a value, `k` of an iterator or
    /// dynptr.
    Bytes(String),
}

/// The states of a program, by instruction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    places: Vec<Place>,
    kept: usize,
}

/// What was seen at one instruction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// How often a path came here.
    pub visits: u64,
    /// The first states that differ.
    pub moments: Vec<Moment>,
    /// Whether there were more than are kept.
    pub cut: bool,
    /// What holds for each register on all paths; the registers of different functions are not joined.
    joined: Option<Box<[Option<Reg>; 11]>>,
}

impl Noted {
    /// Nothing seen of a program with so many slots.
    pub(crate) fn new(slots: usize) -> Self {
        Self { places: vec![Place::default(); slots], kept: 0 }
    }

    /// What was seen at the instruction at a slot.
    pub fn at(&self, slot: u32) -> Option<&Place> {
        self.places.get(slot as usize).filter(|place| place.visits > 0)
    }

    /// A path has come to a slot.
    pub(crate) fn note(&mut self, slot: u32, state: &State) {
        let Some(place) = self.places.get_mut(slot as usize) else { return };
        place.visits += 1;
        let registers = &state.current().regs;
        match &mut place.joined {
            None => place.joined = Some(Box::new(registers.map(Some))),
            Some(joined) => joined.iter_mut().zip(registers).for_each(|(all, one)| *all = join(*all, one)),
        }
        if place.cut {
            return;
        }
        let moment = Moment::of(state);
        if place.moments.contains(&moment) {
            return;
        }
        if place.moments.len() < KEPT && self.kept < KEPT_TOGETHER {
            place.moments.push(moment);
            self.kept += 1;
        } else {
            place.cut = true;
        }
    }
}

impl Place {
    /// What holds for a register on all paths that come here; `None` if it is different things on different paths.
    pub fn register(&self, number: usize) -> Option<&Reg> {
        self.joined.as_ref()?.get(number)?.as_ref()
    }
}

/// What holds for both.
fn join(all: Option<Reg>, one: &Reg) -> Option<Reg> {
    let all = all?;
    if all.kind != one.kind {
        return None;
    }
    let num = all.num.union(one.num);
    if all.is_number() {
        return Some(Reg::number(num));
    }
    let fixed = all.off == one.off;
    let num = if fixed { num } else { skep_domain::Scalar::UNKNOWN };
    let nullable = all.nullable || one.nullable;
    Some(Reg {
        num,
        nullable,
        range: all.known_bytes().min(one.known_bytes()),
        off: if fixed { all.off } else { 0 },
        ..all
    })
}

impl Moment {
    fn of(state: &State) -> Self {
        let frame = state.current();
        let slots = frame.stack.iter().enumerate().filter(|(_, slot)| slot.bytes != [Byte::Invalid; 8]);
        let stack = slots.map(|(index, slot)| {
            let distance = -8 * i32::try_from(index + 1).unwrap_or(0);
            let held = if slot.bytes == [Byte::Spill; 8] {
                Held::Value(plain(&slot.value))
            } else {
                Held::Bytes(slot.bytes.iter().map(|byte| letter(*byte)).collect())
            };
            (distance, held)
        });
        Self { depth: state.depth(), registers: frame.regs.map(|reg| plain(&reg)), stack: stack.collect() }
    }
}

/// Without what only tells copies from one another.
fn plain(reg: &Reg) -> Reg {
    Reg { id: 0, delta: None, precise: false, ..*reg }
}

fn letter(byte: Byte) -> char {
    match byte {
        Byte::Invalid => '?',
        Byte::Spill => 'r',
        Byte::Zero => '0',
        Byte::Kernel => 'k',
        _ => 'm',
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        if self.depth > 0 {
            write!(f, "in call {}", self.depth)?;
            comma = ", ";
        }
        // The frame pointer is always the same.
        for (number, reg) in self.registers.iter().enumerate().take(10).filter(|(_, reg)| reg.kind != Kind::Unset) {
            write!(f, "{comma}r{number} = {reg}")?;
            comma = ", ";
        }
        for (distance, held) in &self.stack {
            write!(f, "{comma}[r10{distance:+}] = ")?;
            match held {
                Held::Value(reg) => write!(f, "{reg}")?,
                Held::Bytes(letters) => write!(f, "{letters}")?,
            }
            comma = ", ";
        }
        Ok(())
    }
}

impl fmt::Display for Reg {
    /// `7`, `0..255`, `the packet+14 (18 bytes known)`, `a map value+(0..7)`, `a map value or null`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_number() {
            return write!(f, "{}", self.num);
        }
        write!(f, "{}", self.kind)?;
        if !self.is_pointer() {
            return Ok(());
        }
        if self.off != 0 {
            write!(f, "{:+}", self.off)?;
        }
        if self.num.as_constant() != Some(0) {
            write!(f, "+({})", self.num)?;
        }
        if self.kind.is_packet() {
            write!(f, " ({} bytes known)", self.known_bytes())?;
        }
        if self.nullable { f.write_str(" or null") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Frame;

    #[test]
    fn registers_are_joined_and_moments_kept() {
        let mut noted = Noted::new(1);
        let mut state = State::new(Frame::new(0, None, 0));
        for number in [3, 5] {
            state.set(1, Reg::constant(number));
            state.set(2, if number == 3 { Reg::pointer(Kind::Context) } else { Reg::UNKNOWN });
            state.set(3, Reg { range: 10 + u32::try_from(number).unwrap(), ..Reg::pointer(Kind::Packet) });
            noted.note(0, &state);
        }
        noted.note(0, &state);
        let place = noted.at(0).unwrap();
        assert_eq!((place.visits, place.moments.len()), (3, 2));
        assert_eq!(place.register(1).map(|reg| (reg.num.u64().min, reg.num.u64().max)), Some((3, 5)));
        assert_eq!(place.register(2), None);
        assert_eq!(place.register(3).map(ToString::to_string).as_deref(), Some("the packet (13 bytes known)"));
        assert_eq!(place.moments[0].to_string(), "r1 = 3, r2 = the context, r3 = the packet (13 bytes known)");
        assert_eq!(noted.at(1), None);
    }
}
