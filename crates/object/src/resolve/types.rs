//! Type information as the kernel takes it: without what only loaders understand.

use skep_btf::{Btf, Kind, Linkage, TypeId};

use crate::btf_edit::{self, Record, kind, set_word, word};

/// The same types with the same numbers as the kernel takes them.
///
/// * Functions that are only declared count as global ones and get names for their parameters; the sections that list
///   them list a variable in their place, which is added at the end.
/// * Declared variables count as defined ones, and their sections get sizes and places. Symbols of the kernel become
///   integers there, because their types may have no size.
pub(super) fn for_kernel(btf: &Btf, original: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    let records = btf_edit::records(&bytes);
    let record = |id: TypeId| (id.0 as usize).checked_sub(1).and_then(|index| records.get(index)).copied();
    let added = Added::new(&bytes, records.len());
    let mut changed = false;
    for section in btf.ids() {
        let Ok(Kind::Datasec { vars, .. }) = btf.kind(section) else { continue };
        let Some(place) = record(section) else { continue };
        if !vars.iter().any(|var| is_extern(btf, var.ty)) {
            continue;
        }
        changed = true;
        let symbols = btf.name(section) == Ok(".ksyms");
        let mut end = 0u32;
        for (index, var) in vars.iter().enumerate() {
            let at = place.at + 12 + 12 * index;
            let mut size = btf.size_of(var.ty).unwrap_or(4);
            match (btf.kind(var.ty), record(var.ty)) {
                (Ok(Kind::Func { proto, .. }), Some(function)) => {
                    // The count in a function's record is its linkage: 1 is global.
                    let info = word(&bytes, function.at + 4);
                    set_word(&mut bytes, function.at + 4, info & !0xffff | 1);
                    set_word(&mut bytes, at, added.variable);
                    name_parameters(&mut bytes, record(proto), added.parameter_name);
                    size = 4;
                }
                (Ok(Kind::Var { .. }), Some(variable)) => {
                    set_word(&mut bytes, variable.at + 12, 1);
                    if symbols {
                        set_word(&mut bytes, variable.at + 8, added.int);
                        size = 4;
                    }
                }
                _ => {}
            }
            let align = if size.is_power_of_two() && size <= 8 { size } else { 1 };
            let start = end.checked_next_multiple_of(align).unwrap_or(end);
            set_word(&mut bytes, at + 4, start);
            set_word(&mut bytes, at + 8, size);
            end = start.saturating_add(size);
        }
        set_word(&mut bytes, place.at + 8, end);
    }
    if changed { added.behind(&bytes) } else { bytes }
}

fn is_extern(btf: &Btf, id: TypeId) -> bool {
    match btf.kind(id) {
        Ok(Kind::Var { linkage, .. } | Kind::Func { linkage, .. }) => linkage == Linkage::Extern,
        _ => false,
    }
}

/// Gives the parameters of a prototype names: those of functions must have them.
fn name_parameters(bytes: &mut [u8], proto: Option<Record>, name: u32) {
    let Some(proto) = proto.filter(|proto| proto.kind == kind::FUNC_PROTO) else { return };
    for index in 0..proto.count {
        let at = proto.at + 12 + 8 * index;
        // The end of a variadic list has neither name nor type.
        if word(bytes, at) == 0 && word(bytes, at + 4) != 0 {
            set_word(bytes, at, name);
        }
    }
}

/// What is put behind the types and strings of a blob: an integer and a variable.
struct Added {
    /// Numbers of the two types.
    int: u32,
    variable: u32,
    /// Where the names start among the strings.
    int_name: u32,
    variable_name: u32,
    parameter_name: u32,
}

/// The added names, one after the other.
const NAMES: [&[u8]; 3] = [b"int\0", b"dummy_ksym\0", b"arg\0"];

impl Added {
    fn new(bytes: &[u8], types: usize) -> Self {
        let int = u32::try_from(types).unwrap_or(u32::MAX).saturating_add(1);
        let int_name = word(bytes, 20);
        let variable_name = int_name.saturating_add(NAMES[0].len() as u32);
        let parameter_name = variable_name.saturating_add(NAMES[1].len() as u32);
        Self { int, variable: int.saturating_add(1), int_name, variable_name, parameter_name }
    }

    /// The blob with the additions.
    fn behind(&self, bytes: &[u8]) -> Vec<u8> {
        let header = word(bytes, 4) as usize;
        let part = |offset: usize, len: usize| {
            let start = header.saturating_add(word(bytes, offset) as usize);
            let end = start.saturating_add(word(bytes, len) as usize).min(bytes.len());
            bytes.get(start..end).unwrap_or_default()
        };
        let (types, strings) = (part(8, 12), part(16, 20));
        // An integer of 4 bytes, signed; a global variable of that type.
        let int = [self.int_name, kind::INT << 24, 4, 1 << 24 | 32];
        let variable = [self.variable_name, kind::VAR << 24, self.int, 1];
        let new: Vec<u8> = int.into_iter().chain(variable).flat_map(u32::to_le_bytes).collect();
        let names = NAMES.concat();
        let type_len = (types.len() + new.len()) as u32;
        let mut blob = bytes.get(..4).unwrap_or_default().to_vec();
        for number in [24, 0, type_len, type_len, (strings.len() + names.len()) as u32] {
            blob.extend_from_slice(&number.to_le_bytes());
        }
        [&blob[..], types, &new, strings, &names].concat()
    }
}
