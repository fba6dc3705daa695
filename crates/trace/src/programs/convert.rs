//! Types of debug information as types of scripts.

use std::fmt::Write as _;
use std::sync::Arc;

use skep_lang_script::plan::Enumeration;
use skep_lang_script::types::user::{Home, UserFunction};
use skep_lang_script::types::{Composite, CompositeId, Member, Parameter, Space, Type};
use skep_sym::{DebugFunction, DebugInfo, DebugMember, DebugType, EntryId};

use super::{FIRST_COMPOSITE, Programs};

/// Pointers to pointers and arrays in arrays that are told apart; what is deeper has no type.
const DEEPEST: u32 = 4;

impl Programs {
    /// A type of a program. Structures stay unread: the graph of types has cycles.
    pub(super) fn convert(&self, program: usize, debug: &DebugInfo, entry: Option<EntryId>) -> Type {
        self.convert_within(program, debug, entry, 0)
    }

    fn convert_within(&self, program: usize, debug: &DebugInfo, entry: Option<EntryId>, depth: u32) -> Type {
        if depth > DEEPEST {
            return Type::Void;
        }
        match debug.kind(entry) {
            // The language has no floating-point numbers.
            DebugType::Void | DebugType::Function | DebugType::Float { .. } => Type::Void,
            DebugType::Bool => Type::Bool,
            DebugType::Int { bytes, signed, .. } => integer(bytes, signed),
            DebugType::Pointer(to) => self.convert_within(program, debug, to, depth + 1).pointer(Space::User),
            DebugType::Array { element, counts } => {
                let letters = matches!(debug.kind(element), DebugType::Int { bytes: 1, letter: true, .. });
                let count = |count: &u64| u32::try_from(*count).unwrap_or(u32::MAX);
                let (inner, outer) = match counts.split_last() {
                    Some((last, outer)) => (count(last), outer),
                    None => (0, &counts[..]),
                };
                let row = if letters && inner > 0 {
                    Type::Text(inner)
                } else {
                    Type::Array(Arc::new(self.convert_within(program, debug, element, depth + 1)), inner)
                };
                outer.iter().rev().fold(row, |row, size| Type::Array(Arc::new(row), count(size)))
            }
            DebugType::Composite(entry) => {
                Type::Composite(CompositeId::Kernel(self.composite_number(program, debug, entry)))
            }
            DebugType::Enum { bytes, signed, name, values } => {
                let values = values.into_iter().map(|(value, name)| (value, name.into())).collect();
                let names = Arc::new(Enumeration { name: name.into(), values });
                match bytes {
                    1 | 2 | 4 | 8 => Type::Enum { bytes: bytes as u8, signed, names },
                    _ => Type::Void,
                }
            }
        }
    }

    /// The number of a structure: the same for all units that describe it in the same way.
    fn composite_number(&self, program: usize, debug: &DebugInfo, entry: EntryId) -> u32 {
        if let Some(known) = self.composites.borrow().by_entry.get(&(program, entry)) {
            return *known;
        }
        let layout = layout(debug, entry);
        let mut composites = self.composites.borrow_mut();
        let same = layout.as_ref().and_then(|layout| composites.by_layout.get(&(program, layout.clone()))).copied();
        let number = same.unwrap_or_else(|| {
            composites.list.push((program, entry));
            FIRST_COMPOSITE + u32::try_from(composites.list.len() - 1).unwrap_or(u32::MAX - FIRST_COMPOSITE)
        });
        composites.by_entry.insert((program, entry), number);
        if let Some(layout) = layout {
            composites.by_layout.insert((program, layout), number);
        }
        number
    }

    pub(super) fn convert_composite(&self, program: usize, debug: &DebugInfo, entry: EntryId) -> Option<Composite> {
        let read = debug.composite(entry)?;
        let members = read.members.iter().map(|member| self.member(program, debug, member)).collect();
        let size = u32::try_from(read.bytes).unwrap_or(u32::MAX);
        Some(Composite { name: read.name.into(), size, align: 8, members })
    }

    fn member(&self, program: usize, debug: &DebugInfo, member: &DebugMember) -> Member {
        let ty = self.convert(program, debug, member.ty);
        let name: Arc<str> = member.name.as_str().into();
        let at = |offset: u64| u32::try_from(offset).unwrap_or(u32::MAX);
        let Some((first, bits)) = member.bits else {
            return Member { name, ty, offset: at(member.offset), bits: None, indirect: false };
        };
        // The integer that the field is in: aligned by its own width, if the field does not cross its end.
        let width = ty.scalar().map_or(8, |scalar| u64::from(scalar.0) * 8);
        let aligned = first / width * width;
        let start = if first + u64::from(bits) <= aligned + width { aligned } else { first / 8 * 8 };
        let place = (u8::try_from(first - start).unwrap_or(0), bits);
        Member { name, ty, offset: at(start / 8), bits: Some(place), indirect: false }
    }

    pub(super) fn convert_function(&self, program: usize, debug: &DebugInfo, function: &DebugFunction) -> UserFunction {
        let params = function.params.iter().map(|param| {
            let ty = self.convert(program, debug, param.ty);
            (Parameter { name: param.name.as_str().into(), ty }, home(&param.home))
        });
        UserFunction {
            params: params.collect(),
            result: self.convert(program, debug, function.result),
            result_home: home(&function.result_home),
        }
    }
}

fn integer(bytes: u64, signed: bool) -> Type {
    match bytes {
        1 | 2 | 4 | 8 => Type::int(bytes as u8, signed),
        16 => Type::Array(Arc::new(Type::U64), 2),
        _ => Type::Void,
    }
}

fn home(home: &skep_sym::Home) -> Home {
    match *home {
        skep_sym::Home::Register(number) => Home::Register(number),
        skep_sym::Home::Address(number) => Home::Address(number),
        skep_sym::Home::Stack(bytes) => Home::Stack(bytes),
        skep_sym::Home::Nowhere(why) => Home::Nowhere(why),
    }
}

/// Name, size and members of a structure as one text; `None` without a name.
fn layout(debug: &DebugInfo, entry: EntryId) -> Option<String> {
    let read = debug.composite(entry).filter(|read| !read.name.is_empty())?;
    let mut text = format!("{} {} {}", read.name, read.union, read.bytes);
    for member in &read.members {
        // Writing to a text cannot fail.
        let _ = write!(text, ";{}@{}", member.name, member.bits.map_or(member.offset * 8, |bits| bits.0));
    }
    Some(text)
}
