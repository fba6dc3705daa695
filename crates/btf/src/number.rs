//! The encoding of records: numbers of kinds, the word that all types share, and which words of a record refer to names
//! and to other types (`linux/btf.h`).

/// `BTF_KIND_INT`.
pub(crate) const INT: u8 = 1;
/// `BTF_KIND_PTR`.
pub(crate) const PTR: u8 = 2;
/// `BTF_KIND_ARRAY`.
pub(crate) const ARRAY: u8 = 3;
/// `BTF_KIND_STRUCT`.
pub(crate) const STRUCT: u8 = 4;
/// `BTF_KIND_UNION`.
pub(crate) const UNION: u8 = 5;
/// `BTF_KIND_ENUM`.
pub(crate) const ENUM: u8 = 6;
/// `BTF_KIND_FWD`.
pub(crate) const FWD: u8 = 7;
/// `BTF_KIND_TYPEDEF`.
pub(crate) const TYPEDEF: u8 = 8;
/// `BTF_KIND_VOLATILE`.
pub(crate) const VOLATILE: u8 = 9;
/// `BTF_KIND_CONST`.
pub(crate) const CONST: u8 = 10;
/// `BTF_KIND_RESTRICT`.
pub(crate) const RESTRICT: u8 = 11;
/// `BTF_KIND_FUNC`.
pub(crate) const FUNC: u8 = 12;
/// `BTF_KIND_FUNC_PROTO`.
pub(crate) const FUNC_PROTO: u8 = 13;
/// `BTF_KIND_VAR`.
pub(crate) const VAR: u8 = 14;
/// `BTF_KIND_DATASEC`.
pub(crate) const DATASEC: u8 = 15;
/// `BTF_KIND_FLOAT`.
pub(crate) const FLOAT: u8 = 16;
/// `BTF_KIND_DECL_TAG`.
pub(crate) const DECL_TAG: u8 = 17;
/// `BTF_KIND_TYPE_TAG`.
pub(crate) const TYPE_TAG: u8 = 18;
/// `BTF_KIND_ENUM64`.
pub(crate) const ENUM64: u8 = 19;

/// The second word of a record: kind, flag, and number of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Info(pub u32);

impl Info {
    /// `count` must be below 65,536.
    pub(crate) const fn new(kind: u8, flag: bool, count: u32) -> Self {
        Self((kind as u32) << 24 | (flag as u32) << 31 | count & 0xffff)
    }

    pub(crate) const fn kind(self) -> u8 {
        (self.0 >> 24 & 0x1f) as u8
    }

    pub(crate) const fn count(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    pub(crate) const fn flag(self) -> bool {
        self.0 >> 31 != 0
    }

    /// Whether the third word of the record is a type, not a size.
    pub(crate) const fn has_target(self) -> bool {
        matches!(
            self.kind(),
            PTR | TYPEDEF | VOLATILE | CONST | RESTRICT | FUNC | FUNC_PROTO | VAR | DECL_TAG | TYPE_TAG
        )
    }

    /// How the words after the first three are laid out; `None` for kinds that do not exist.
    pub(crate) const fn layout(self) -> Option<Layout> {
        let count = self.count();
        Some(match self.kind() {
            INT | VAR | DECL_TAG => Layout { count: 1, words: 1, names: &[], types: &[] },
            ARRAY => Layout { count: 1, words: 3, names: &[], types: &[0, 1] },
            STRUCT | UNION => Layout { count, words: 3, names: &[0], types: &[1] },
            ENUM64 => Layout { count, words: 3, names: &[0], types: &[] },
            DATASEC => Layout { count, words: 3, names: &[], types: &[0] },
            ENUM => Layout { count, words: 2, names: &[0], types: &[] },
            FUNC_PROTO => Layout { count, words: 2, names: &[0], types: &[1] },
            PTR..=ENUM64 => Layout { count: 0, words: 0, names: &[], types: &[] },
            _ => return None,
        })
    }

    /// Bytes after the common part; `None` for kinds that do not exist.
    pub(crate) const fn rest(self) -> Option<usize> {
        let (fixed, each) = RESTS[self.kind() as usize];
        if fixed == NO_KIND { None } else { Some(fixed as usize + self.count() * each as usize) }
    }
}

/// In [`RESTS`] for kinds that do not exist.
const NO_KIND: u8 = u8::MAX;

/// For each kind the bytes after the common part: those that there always are, and those of each record. Made of
/// [`Info::layout`], which opening a kernel's types would ask 150,000 times.
static RESTS: [(u8, u8); 32] = {
    let mut rests = [(NO_KIND, 0); 32];
    let mut kind = 0;
    while kind < rests.len() {
        if let (Some(none), Some(one)) =
            (Info::new(kind as u8, false, 0).layout(), Info::new(kind as u8, false, 1).layout())
        {
            let fixed = 4 * none.count * none.words;
            rests[kind] = (fixed as u8, (4 * one.count * one.words - fixed) as u8);
        }
        kind += 1;
    }
    rests
};

/// The words after the first three: `count` parts of `words` words, of which some are names and some types.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub count: usize,
    pub words: usize,
    pub names: &'static [usize],
    pub types: &'static [usize],
}

impl Layout {
    /// Positions in the record of the words that are names or types, after the first three words.
    fn places(self, fields: &'static [usize]) -> impl Iterator<Item = usize> {
        (0..self.count).flat_map(move |part| fields.iter().map(move |field| 3 + part * self.words + field))
    }
}

/// Positions of the words of a record that are names.
pub(crate) fn name_places(info: Info) -> impl Iterator<Item = usize> {
    let places = info.layout().map(|layout| layout.places(layout.names));
    [0].into_iter().chain(places.into_iter().flatten())
}

/// Positions of the words of a record that are types.
pub(crate) fn type_places(info: Info) -> impl Iterator<Item = usize> {
    let places = info.layout().map(|layout| layout.places(layout.types));
    info.has_target().then_some(2).into_iter().chain(places.into_iter().flatten())
}
