//! What a kernel allows to each type of program at each hook, as it was asked of running kernels, one load each.
//!
//! The files under `data/` have a paragraph for each hook: the helpers that may be called, results that are accepted, and
//! which bytes of the context may be read (`r`) and written (`w`) in which sizes, and what is read.

use std::collections::HashMap;
use std::sync::OnceLock;

use skep_isa::ProgType;

use crate::reg::Kind;

/// A release of the kernel whose rules are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kernel {
    /// Linux 6.1, of Debian.
    V6_1,
    /// Linux 6.12, of Debian.
    V6_12,
    /// Linux 6.18.
    V6_18,
}

impl Kernel {
    /// All of them, the oldest first.
    pub const ALL: [Self; 3] = [Self::V6_1, Self::V6_12, Self::V6_18];

    /// `6.18`
    pub fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V6_18 => "6.18",
        }
    }

    /// The hooks of this kernel.
    fn hooks(self) -> &'static HashMap<(u32, u32), Hook> {
        static HOOKS: [OnceLock<HashMap<(u32, u32), Hook>>; 3] = [const { OnceLock::new() }; 3];
        let (index, text) = match self {
            Self::V6_1 => (0, include_str!("../data/linux-6.1.txt")),
            Self::V6_12 => (1, include_str!("../data/linux-6.12.txt")),
            Self::V6_18 => (2, include_str!("../data/linux-6.18.txt")),
        };
        HOOKS[index].get_or_init(|| parse(text))
    }

    /// What is allowed at a hook: the attach type is 0 for types that are loaded without one.
    pub fn hook(self, prog_type: ProgType, attach_type: u32) -> Option<&'static Hook> {
        let hooks = self.hooks();
        let number = prog_type.number();
        // Types that take any attach type, or none, have one row.
        let only = || {
            let mut rows = hooks.iter().filter(|((one, _), _)| *one == number);
            rows.next().filter(|_| rows.next().is_none()).map(|(_, hook)| hook)
        };
        hooks.get(&(number, attach_type)).or_else(only)
    }
}

/// What is read from the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// A number.
    Number,
    /// A pointer, perhaps null.
    Pointer(Kind, bool),
    /// A pointer to a structure with a type of the kernel.
    Typed,
}

/// An access to the context that is allowed.
#[derive(Debug, Clone, Copy)]
struct Access {
    first: u32,
    last: u32,
    step: u32,
    size: u32,
    read: bool,
    write: bool,
    field: Field,
}

/// What is allowed at one hook.
#[derive(Debug, Default)]
pub struct Hook {
    helpers: Vec<(u32, u32)>,
    /// Results that are accepted; `None` for any.
    pub results: Option<Vec<i64>>,
    accesses: Vec<Access>,
}

impl Hook {
    /// Whether the helper may be called.
    pub fn has_helper(&self, id: u32) -> bool {
        self.helpers.iter().any(|(first, last)| (*first..=*last).contains(&id))
    }

    /// What is read from `size` bytes at a distance; `None` if they cannot be read.
    pub fn read(&self, off: i64, size: u32) -> Option<Field> {
        self.find(off, size).filter(|access| access.read).map(|access| access.field)
    }

    /// Whether `size` bytes at a distance can be written.
    pub fn writes(&self, off: i64, size: u32) -> bool {
        self.find(off, size).is_some_and(|access| access.write)
    }

    fn find(&self, off: i64, size: u32) -> Option<&Access> {
        let off = u32::try_from(off).ok()?;
        self.accesses.iter().find(|access| {
            access.size == size
                && (access.first..=access.last).contains(&off)
                && (off - access.first).is_multiple_of(access.step)
        })
    }
}

fn parse(text: &str) -> HashMap<(u32, u32), Hook> {
    let mut hooks = HashMap::new();
    let mut key = (0, 0);
    for line in text.lines() {
        let Some((word, rest)) = line.split_once(' ') else { continue };
        match word {
            "program" => {
                let mut numbers = rest.split(' ').filter_map(|number| number.parse().ok());
                key = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
                hooks.insert(key, Hook::default());
            }
            _ => {
                if let Some(hook) = hooks.get_mut(&key) {
                    fill(hook, word, rest);
                }
            }
        }
    }
    hooks
}

fn fill(hook: &mut Hook, word: &str, rest: &str) {
    match word {
        "helpers" => hook.helpers = rest.split(' ').filter_map(range).map(|(first, last, _)| (first, last)).collect(),
        "results" => {
            hook.results = (rest != "any").then(|| rest.split(' ').filter_map(|word| word.parse().ok()).collect())
        }
        _ => {
            let Some((head, list)) = rest.split_once(": ") else { return };
            let Some((kind, size)) = head.rsplit_once(' ') else { return };
            let size = size.parse().unwrap_or(0);
            let field = field(kind);
            hook.accesses.extend(list.split(' ').filter_map(range).map(|(first, last, step)| Access {
                first,
                last,
                step,
                size,
                read: word.contains('r'),
                write: word.contains('w'),
                field,
            }));
        }
    }
}

fn field(name: &str) -> Field {
    match name {
        "scalar" => Field::Number,
        "pkt" => Field::Pointer(Kind::Packet, false),
        "pkt_meta" => Field::Pointer(Kind::PacketMeta, false),
        "pkt_end" => Field::Pointer(Kind::PacketEnd, false),
        "sock" => Field::Pointer(Kind::Socket, false),
        "sock_or_null" => Field::Pointer(Kind::Socket, true),
        "sock_common_or_null" => Field::Pointer(Kind::SockCommon, true),
        "flow_keys" => Field::Pointer(Kind::FlowKeys, false),
        _ => Field::Typed,
    }
}

/// `8`, `8-24`, or `8-24/4`.
fn range(text: &str) -> Option<(u32, u32, u32)> {
    let (range, step) = text.split_once('/').unwrap_or((text, "1"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    Some((first.parse().ok()?, last.parse().ok()?, step.parse().ok().filter(|step| *step > 0)?))
}
