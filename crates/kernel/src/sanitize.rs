//! Making BTF suit a kernel: what compilers write and a kernel does not know is replaced by something of the same size.
//!
//! Which kinds a kernel knows is found out by loading a blob of one type of each kind. The numbers of types stay as they
//! are, because records about functions and members refer to them.

use std::collections::HashMap;
use std::sync::OnceLock;

use skep_btf::{Btf, BtfError, Kind, Linkage, TypeId};

use crate::sys::object::btf_load;

/// Numbers of kinds, `BTF_KIND_*` in `linux/btf.h`.
mod number {
    pub(super) const INT: u32 = 1;
    pub(super) const PTR: u32 = 2;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const CONST: u32 = 10;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const FLOAT: u32 = 16;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// Which of the later additions to BTF a kernel knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BtfSupport {
    /// Functions and their prototypes (Linux 5.0). Without them a program's BTF is of no use.
    pub functions: bool,
    /// Variables and sections (5.2).
    pub variables: bool,
    /// Functions that others see (5.6).
    pub global_functions: bool,
    /// Floating-point numbers (5.13).
    pub floats: bool,
    /// Attributes of declarations (5.16).
    pub decl_tags: bool,
    /// Attributes of types (5.17).
    pub type_tags: bool,
    /// 64-bit enumerations and signs of enumerations (6.0).
    pub enum64: bool,
}

impl BtfSupport {
    /// Everything that this module knows.
    pub const ALL: Self = Self {
        functions: true,
        variables: true,
        global_functions: true,
        floats: true,
        decl_tags: true,
        type_tags: true,
        enum64: true,
    };
    /// The first version of BTF, Linux 4.18.
    pub const NONE: Self = Self {
        functions: false,
        variables: false,
        global_functions: false,
        floats: false,
        decl_tags: false,
        type_tags: false,
        enum64: false,
    };

    /// What the running kernel knows, found out once; `None` if it takes no BTF or this process may load none.
    pub fn of_kernel() -> Option<Self> {
        static FOUND: OnceLock<Option<BtfSupport>> = OnceLock::new();
        *FOUND.get_or_init(|| {
            const INT: [u32; 4] = [1, number::INT << 24, 4, 1 << 24 | 32];
            const PROTO: [u32; 3] = [0, number::FUNC_PROTO << 24, 0];
            // A function of type 2, for itself or for everybody.
            let function = |linkage: u32| [1, number::FUNC << 24 | linkage, 2];
            // Type 1 is always an integer that the others refer to.
            let accepts = |types: &[&[u32]]| {
                let all: Vec<u32> = INT.iter().chain(types.iter().copied().flatten()).copied().collect();
                btf_load(&assemble(&all, b"\0x\0"), None, &mut []).is_ok()
            };
            accepts(&[]).then(|| Self {
                functions: accepts(&[&PROTO, &function(0)]),
                variables: accepts(&[&[1, number::VAR << 24, 1, 0], &[1, number::DATASEC << 24 | 1, 4, 2, 0, 4]]),
                global_functions: accepts(&[&PROTO, &function(1)]),
                floats: accepts(&[&[1, number::FLOAT << 24, 4]]),
                decl_tags: accepts(&[&[1, number::VAR << 24, 1, 0], &[1, number::DECL_TAG << 24, 2, u32::MAX]]),
                type_tags: accepts(&[&[1, number::TYPE_TAG << 24, 1], &[0, number::PTR << 24, 2]]),
                enum64: accepts(&[&[1, number::ENUM64 << 24 | 1, 8, 1, 0, 0]]),
            })
        })
    }
}

/// A blob of the given types and strings in the byte order of this machine.
fn assemble(types: &[u32], strings: &[u8]) -> Vec<u8> {
    let types_len = u32::try_from(types.len() * 4).unwrap_or(u32::MAX);
    let strings_len = u32::try_from(strings.len()).unwrap_or(u32::MAX);
    let mut blob = vec![];
    blob.extend(0xeb9fu16.to_ne_bytes());
    blob.extend([1, 0]);
    for word in [24, 0, types_len, types_len, strings_len].iter().chain(types) {
        blob.extend(word.to_ne_bytes());
    }
    blob.extend(strings);
    blob
}

/// BTF that can be changed: words of the types and the strings.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    btf: Btf,
    words: Vec<u32>,
    /// Where each type begins in `words`; type 1 comes first.
    starts: Vec<usize>,
    strings: Vec<u8>,
    added: HashMap<String, u32>,
}

impl Draft {
    /// Takes a blob apart.
    ///
    /// # Errors
    /// What is wrong with it, also if strings and types overlap.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, BtfError> {
        let btf = Btf::parse(bytes.to_vec())?;
        let word =
            |at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_ne_bytes);
        // `Btf::parse` has checked the header and the two parts.
        let header = word(4) as usize;
        let part = |offset: u32, length: u32| header + offset as usize..header + offset as usize + length as usize;
        let types = part(word(8), word(12));
        let strings = bytes.get(part(word(16), word(20))).unwrap_or_default().to_vec();
        let words: Vec<u32> = types.step_by(4).map(word).collect();
        let mut starts = Vec::with_capacity(btf.len());
        let mut at = 0;
        for id in btf.ids() {
            starts.push(at);
            at += 3 + match btf.kind(id)? {
                Kind::Int(_) | Kind::Var { .. } | Kind::DeclTag(_) => 1,
                Kind::Array(_) => 3,
                Kind::Struct(all) | Kind::Union(all) => 3 * all.members().len(),
                Kind::Datasec { vars, .. } => 3 * vars.iter().len(),
                Kind::Enum64(all) => 3 * all.values().len(),
                Kind::Enum(all) => 2 * all.values().len(),
                Kind::FuncProto(proto) => 2 * proto.params().len(),
                _ => 0,
            };
        }
        Ok(Self { btf, words, starts, strings, added: HashMap::new() })
    }

    /// The types before any change.
    pub(crate) fn btf(&self) -> &Btf {
        &self.btf
    }

    /// The place of a text among the strings, which is added if it was not added before. Texts end at their first NUL.
    pub(crate) fn string(&mut self, text: &str) -> u32 {
        let text = text.split('\0').next().unwrap_or_default();
        if text.is_empty() {
            return 0;
        }
        if let Some(at) = self.added.get(text) {
            return *at;
        }
        let at = u32::try_from(self.strings.len()).unwrap_or(0);
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        self.added.insert(text.to_owned(), at);
        at
    }

    /// The blob.
    pub(crate) fn finish(&self) -> Vec<u8> {
        assemble(&self.words, &self.strings)
    }

    /// The number of a 4-byte integer, which is added if there is none.
    fn integer(&mut self) -> u32 {
        let int = |id: &TypeId| matches!(self.btf.kind(*id), Ok(Kind::Int(int)) if int.size == 4);
        if let Some(id) = self.btf.ids().find(int) {
            return id.0;
        }
        if self.starts.len() == self.btf.len() {
            let name = self.string("int");
            self.starts.push(self.words.len());
            self.words.extend([name, number::INT << 24, 4, 1 << 24 | 32]);
        }
        u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }

    /// Replaces what `support` lacks, fills in what compilers leave to the loader, and makes definitions of what is only
    /// declared. What was fitted to a kernel that knows more can be fitted again.
    ///
    /// # Errors
    /// A type that cannot be read.
    pub(crate) fn suit(&mut self, support: BtfSupport) -> Result<(), BtfError> {
        let int = self.integer();
        for id in self.btf.ids() {
            let start = self.starts[id.0 as usize - 1];
            let count = self.words[start + 1] & 0xffff;
            let mut set = |name: bool, kind: u32, count: u32| {
                if !name {
                    self.words[start] = 0;
                }
                self.words[start + 1] = kind << 24 | count;
            };
            match self.btf.kind(id)? {
                Kind::Datasec { size, vars } => {
                    let vars: Vec<_> = vars.iter().map(|var| (var.ty, var.offset, var.size)).collect();
                    self.section(start, size, &vars, int, support)?;
                }
                Kind::Var { .. } if !support.variables => {
                    // An integer of a byte: its size must not exceed that of any section.
                    set(true, number::INT, 0);
                    self.words[start + 2] = 1;
                    self.words[start + 3] = 8;
                }
                Kind::Var { linkage: Linkage::Extern, .. } => {
                    // Its type may be void, which no definition can have.
                    self.words[start + 2] = int;
                    self.words[start + 3] = 1;
                }
                Kind::Func { linkage, .. } if linkage != Linkage::Static => {
                    set(true, number::FUNC, u32::from(support.global_functions));
                }
                Kind::Float { .. } if !support.floats => set(false, number::STRUCT, 0),
                Kind::DeclTag(_) if !support.decl_tags => {
                    set(true, number::INT, 0);
                    self.words[start + 2] = 1;
                    self.words[start + 3] = 8;
                }
                Kind::TypeTag(_) if !support.type_tags => set(false, number::CONST, 0),
                Kind::Enum(_) if !support.enum64 => set(true, number::ENUM, count),
                Kind::Enum64(_) if !support.enum64 => {
                    set(true, number::UNION, count);
                    for member in 0..count as usize {
                        self.words[start + 3 + 3 * member + 1] = int;
                        self.words[start + 3 + 3 * member + 2] = 0;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A section: its size and the places of its variables if the compiler left them open.
    fn section(
        &mut self,
        start: usize,
        size: u32,
        vars: &[(TypeId, u32, u32)],
        int: u32,
        support: BtfSupport,
    ) -> Result<(), BtfError> {
        let count = self.words[start + 1] & 0xffff;
        let functions = vars.iter().any(|(ty, ..)| matches!(self.btf.kind(*ty), Ok(Kind::Func { .. })));
        if functions {
            // Declared functions of the kernel; nothing refers to the section, so any type of the same length will do.
            self.words[start] = 0;
            self.words[start + 1] = number::STRUCT << 24 | count;
            self.words[start + 2] = 4 * count.max(1);
            for index in 0..vars.len() {
                self.words[start + 3 + 3 * index] = 0;
                self.words[start + 3 + 3 * index + 1] = int;
                self.words[start + 3 + 3 * index + 2] = 32 * u32::try_from(index).unwrap_or(0);
            }
            return Ok(());
        }
        let mut end = 0u32;
        for (index, (ty, offset, var_size)) in vars.iter().enumerate() {
            let external = matches!(self.btf.kind(*ty)?, Kind::Var { linkage: Linkage::Extern, .. });
            let record = start + 3 + 3 * index;
            let length = if external { 4 } else { *var_size };
            let place = if size == 0 { end.checked_next_multiple_of(8).unwrap_or(end) } else { *offset };
            self.words[record + 1] = place;
            self.words[record + 2] = length;
            end = end.max(place.saturating_add(length));
        }
        self.words[start + 2] = size.max(end).max(1);
        if !support.variables {
            self.words[start] = 0;
            self.words[start + 1] = number::STRUCT << 24 | count;
            for (index, (ty, ..)) in vars.iter().enumerate() {
                let record = start + 3 + 3 * index;
                self.words[record + 2] = self.words[record + 1].saturating_mul(8);
                self.words[record + 1] = ty.0;
                self.words[record] = 0;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One type of every kind that some kernel does not know.
    fn everything() -> Vec<u8> {
        let types: Vec<u32> = [
            vec![1, number::INT << 24, 4, 1 << 24 | 32],
            vec![0, number::FUNC_PROTO << 24, 1],
            vec![1, number::FUNC << 24 | 1, 2],
            vec![3, number::FUNC << 24 | 2, 2],
            vec![5, number::VAR << 24, 1, 1],
            vec![7, number::DATASEC << 24 | 1, 0, 5, 0, 4],
            vec![5, number::FLOAT << 24, 8],
            vec![3, number::DECL_TAG << 24, 5, u32::MAX],
            vec![3, number::TYPE_TAG << 24, 1],
            vec![0, number::PTR << 24, 9],
            vec![3, 1 << 31 | number::ENUM64 << 24 | 1, 8, 5, u32::MAX, u32::MAX],
            vec![1, 1 << 31 | number::ENUM << 24 | 1, 4, 3, u32::MAX],
            vec![13, number::VAR << 24, 0, 2],
            vec![15, number::DATASEC << 24 | 1, 0, 13, 0, 0],
            vec![0, number::DATASEC << 24 | 1, 0, 4, 0, 0],
        ]
        .concat();
        // The last section has a name too.
        let mut types = types;
        let last = types.len() - 6;
        types[last] = 7;
        assemble(&types, b"\0a\0b\0c\0.data\0d\0e\0")
    }

    fn kinds(blob: &[u8]) -> Vec<u32> {
        let draft = Draft::new(blob).unwrap();
        draft.starts.iter().map(|start| draft.words[start + 1] >> 24 & 0x1f).collect()
    }

    #[test]
    fn every_kind_has_a_replacement() {
        let blob = everything();
        let mut draft = Draft::new(&blob).unwrap();
        draft.suit(BtfSupport::NONE).unwrap();
        let suited = draft.finish();
        let old = [1, 13, 12, 12, 1, 4, 4, 1, 10, 2, 5, 6, 1, 4, 4];
        assert_eq!(kinds(&suited), old);
        let mut again = Draft::new(&blob).unwrap();
        again.suit(BtfSupport::ALL).unwrap();
        again.suit(BtfSupport::NONE).unwrap();
        assert_eq!(again.finish(), suited);
        let mut draft = Draft::new(&blob).unwrap();
        draft.suit(BtfSupport::ALL).unwrap();
        assert_eq!(kinds(&draft.finish()), [1, 13, 12, 12, 14, 15, 16, 17, 18, 2, 19, 6, 14, 15, 4]);
        let btf = Btf::parse(draft.finish()).unwrap();
        assert!(matches!(btf.kind(TypeId(6)), Ok(Kind::Datasec { size: 4, .. })));
        assert!(matches!(btf.kind(TypeId(13)), Ok(Kind::Var { ty: TypeId(1), linkage: Linkage::Global })));
    }

    /// The kernel takes both the blob that uses everything and the one that uses nothing new.
    #[test]
    fn the_kernel_accepts_what_suits_it() {
        let Some(support) = BtfSupport::of_kernel() else {
            return crate::skip("this process may load no BTF");
        };
        let load = |support| {
            let mut draft = Draft::new(&everything()).unwrap();
            draft.suit(support).unwrap();
            let mut log = vec![0; 1 << 16];
            let loaded = btf_load(&draft.finish(), None, &mut log);
            assert!(loaded.is_ok(), "{}", crate::VerifierLog::new(&log, false).text());
        };
        load(support);
        load(BtfSupport::NONE);
        assert!(btf_load(&everything(), None, &mut []).is_err(), "as compilers leave it nobody takes it");
        let release = crate::running_release().unwrap();
        if release >= skep_isa::Release::new(6, 0) {
            assert_eq!(support, BtfSupport::ALL);
        }
    }

    #[test]
    fn strings_are_added_once() {
        let mut draft = Draft::new(&everything()).unwrap();
        let before = draft.strings.len();
        let (first, second) = (draft.string("int main()"), draft.string("int main()"));
        assert_eq!((first as usize, second as usize), (before, before));
        assert_eq!(draft.string(""), 0);
        let btf = Btf::parse(draft.finish()).unwrap();
        assert_eq!(btf.string(skep_btf::NameOff(first)), Ok("int main()"));
    }
}
