//! Arguments of USDT probes for programs that read them with `bpf_usdt_arg` of libbpf's `usdt.bpf.h`.
//!
//! A program that includes that file brings a map of descriptions along: each says where the arguments of a place are. The
//! cookie of the probe is the number of its description; the user's own cookie stands in the description.
//!
//! ```text
//!  description   12 arguments of 16 bytes | cookie, 8 bytes | number of arguments, 2 bytes | 6 bytes that no program reads
//!  argument      value, 8 bytes | kind, 4 bytes | register, 2 bytes | signed, 1 byte | 64 - its bits, 1 byte
//! ```

use std::collections::HashMap;

use skep_isa::Release;
use skep_object::{MapIdx, Object};

use super::uprobe::UserPlace;
use crate::errors::KernelError;
use crate::features::running_release;
use crate::load::Loaded;
use crate::map::{LoadedMap, Update};

const ACTION: &str = "prepare the arguments of a USDT probe";
/// The map with the descriptions.
const MAP: &str = "__bpf_usdt_specs";
/// Bytes of a description.
const BYTES: usize = 208;
/// Bytes of an argument in it.
const EACH: usize = 16;
/// Most arguments that it can hold.
const MOST: usize = 12;
/// Where the cookie is.
const COOKIE: usize = MOST * EACH;
/// Where the number of arguments is.
const COUNT: usize = COOKIE + 8;
/// The last byte, which no program reads: 1 if the description is in use.
const MARK: usize = BYTES - 1;

/// The kinds of arguments (`enum __bpf_usdt_arg_type`).
mod kind {
    pub(super) const CONSTANT: u32 = 0;
    pub(super) const REGISTER: u32 = 1;
    pub(super) const MEMORY: u32 = 2;
    /// Memory at the sum of two registers: libbpf since 1.7. The place of the second register stands in the 12 bits behind
    /// the first 8, the logarithm of its factor in the next 4.
    pub(super) const INDEXED: u32 = 3;
    /// None that any version knows: reading the argument gives `-EINVAL`.
    pub(super) const UNKNOWN: u32 = 255;
}

/// A place of a USDT probe, and where its arguments are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsdtPlace {
    /// The place.
    pub place: UserPlace,
    /// The arguments, or why they cannot be read.
    pub arguments: Result<Vec<UsdtArgument>, String>,
}

/// An argument of a USDT probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsdtArgument {
    /// Bytes: 1, 2, 4 or 8; others cannot be read.
    pub size: u8,
    /// Whether it is extended by its sign.
    pub signed: bool,
    /// Where it is.
    pub location: UsdtLocation,
}

/// Where an argument is. Registers are places in the kernel's `struct pt_regs`, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsdtLocation {
    /// The value itself.
    Constant(i64),
    /// In a register.
    Register(u16),
    /// In the memory of the process, at the sum of these.
    Memory {
        /// A register.
        base: u16,
        /// Another one, and what it is multiplied with: 1, 2, 4 or 8.
        index: Option<(u16, u8)>,
        /// Bytes.
        displacement: i64,
    },
    /// Where programs cannot read it: in a vector register, or at a symbol.
    Unknown,
}

/// The descriptions of an object, read when the first probe needs them.
pub(super) struct Descriptions<'a> {
    /// `None` if the programs read no arguments.
    map: Option<&'a LoadedMap>,
    known: Option<Known>,
}

/// What is in the map.
struct Known {
    numbers: HashMap<Vec<u8>, u32>,
    free: Vec<u32>,
}

impl<'a> Descriptions<'a> {
    /// Those of a loaded object.
    pub(super) fn of(loaded: &'a Loaded, object: &Object) -> Self {
        let mut maps = (0..).map(MapIdx).zip(&object.maps).filter(|(_, spec)| spec.name == MAP);
        Self { map: maps.find_map(|(index, _)| loaded.map(index)), known: None }
    }

    /// The cookie for a probe: the number of the description of its place, which is stored unless there is one like it. If
    /// the programs read no arguments, the user's own.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if the map has another layout, is full, or the arguments cannot be described;
    /// [`KernelError::Unsupported`] before Linux 5.15.
    pub(super) fn cookie(&mut self, place: &UsdtPlace, cookie: u64) -> Result<u64, KernelError> {
        let Some(map) = self.map else { return Ok(cookie) };
        let arguments = place.arguments.as_ref().map_err(|problem| invalid(problem.clone()))?;
        let description = describe(arguments, cookie)?;
        let known = match self.known.take() {
            Some(known) => known,
            None => Known::read(map)?,
        };
        let known = self.known.insert(known);
        if let Some(number) = known.numbers.get(&description) {
            return Ok((*number).into());
        }
        let number = known.free.pop().ok_or_else(|| {
            let room = map.max_entries();
            invalid(format!("map `{MAP}` is full with {room} different places; define BPF_USDT_MAX_SPEC_CNT larger"))
        })?;
        map.set(&number.to_ne_bytes(), &description, Update::Any)?;
        known.numbers.insert(description, number);
        Ok(number.into())
    }
}

impl Known {
    fn read(map: &LoadedMap) -> Result<Self, KernelError> {
        let cookies = Release::new(5, 15);
        if running_release().is_some_and(|running| running < cookies) {
            return Err(KernelError::unsupported(
                "cookies of user probes, which arguments of USDT probes need",
                cookies,
            ));
        }
        if (map.key_size(), map.value_size()) != (4, BYTES) {
            return Err(invalid(format!(
                "map `{MAP}` has keys of {} and values of {} bytes, expected 4 and {BYTES}; compile with another \
                 `usdt.bpf.h`",
                map.key_size(),
                map.value_size()
            )));
        }
        let (mut numbers, mut free) = (HashMap::new(), Vec::new());
        for entry in map.entries() {
            let (key, value) = entry?;
            let number = key.try_into().map_or(0, u32::from_ne_bytes);
            if value[MARK] == 0 {
                free.push(number);
            } else {
                numbers.insert(value, number);
            }
        }
        free.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
        Ok(Self { numbers, free })
    }
}

fn invalid(problem: String) -> KernelError {
    KernelError::Invalid { action: ACTION, problem }
}

fn describe(arguments: &[UsdtArgument], cookie: u64) -> Result<Vec<u8>, KernelError> {
    if arguments.len() > MOST {
        let problem = format!("it has {} arguments, and programs can be told of {MOST}", arguments.len());
        return Err(invalid(problem));
    }
    let mut all = vec![0; BYTES];
    for (argument, place) in arguments.iter().zip(all.chunks_exact_mut(EACH)) {
        let mut put = |value: i64, kind: u32, register: u16| {
            place[..8].copy_from_slice(&value.to_ne_bytes());
            place[8..12].copy_from_slice(&kind.to_ne_bytes());
            place[12..14].copy_from_slice(&register.to_ne_bytes());
        };
        let readable = matches!(argument.size, 1 | 2 | 4 | 8);
        match if readable { argument.location } else { UsdtLocation::Unknown } {
            UsdtLocation::Unknown => put(0, kind::UNKNOWN, 0),
            UsdtLocation::Constant(value) => put(value, kind::CONSTANT, 0),
            UsdtLocation::Register(register) => put(0, kind::REGISTER, register),
            UsdtLocation::Memory { base, index: None, displacement } => put(displacement, kind::MEMORY, base),
            UsdtLocation::Memory { base, index: Some((index, factor)), displacement } => {
                let index = u32::from(index) & 0xfff;
                put(displacement, kind::INDEXED | index << 8 | factor.trailing_zeros() << 20, base);
            }
        }
        place[14] = u8::from(argument.signed);
        place[15] = 64u8.saturating_sub(argument.size.saturating_mul(8));
    }
    all[COOKIE..COOKIE + 8].copy_from_slice(&cookie.to_ne_bytes());
    let count = u16::try_from(arguments.len()).unwrap_or(0);
    all[COUNT..COUNT + 2].copy_from_slice(&count.to_ne_bytes());
    all[MARK] = 1;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_have_the_layout_of_the_header() {
        let argument = |size, signed, location| UsdtArgument { size, signed, location };
        let memory = |index| UsdtLocation::Memory { base: 32, index, displacement: -16 };
        let all = [
            argument(4, true, UsdtLocation::Register(112)),
            argument(8, false, memory(None)),
            argument(1, true, UsdtLocation::Constant(-5)),
            argument(2, false, memory(Some((80, 4)))),
            argument(16, false, UsdtLocation::Unknown),
        ];
        let bytes = describe(&all, 7).unwrap();
        let each: Vec<&[u8]> = bytes.chunks_exact(16).collect();
        let kind = |at: usize| u32::from_ne_bytes(each[at][8..12].try_into().unwrap());
        let value = |at: usize| i64::from_ne_bytes(each[at][..8].try_into().unwrap());
        assert_eq!((kind(0), each[0][12], each[0][14], each[0][15]), (1, 112, 1, 32));
        assert_eq!((kind(1), value(1), each[1][12], each[1][14], each[1][15]), (2, -16, 32, 0, 0));
        assert_eq!((kind(2), value(2), each[2][15]), (0, -5, 56));
        assert_eq!((kind(3), value(3)), (3 | 80 << 8 | 2 << 20, -16));
        assert_eq!((kind(4), each[4][15]), (255, 0));
        assert_eq!((&bytes[192..200], &bytes[200..202]), (&7u64.to_ne_bytes()[..], &5u16.to_ne_bytes()[..]));
        let error = describe(&[all[0]; 13], 0).unwrap_err().to_string();
        assert!(error.contains("13 arguments"), "{error}");
    }
}
