//! Where types, enumerators and functions come from that no header declares: the kernel's type information.
//!
//! The embedded `vmlinux.h` declares next to nothing. When the parser meets a name that it does not know, it asks a
//! [`TypeSource`]; what is asked for is materialised and nothing else.

use skep_btf::{Btf, Kind, Selection, TypeId};

/// What a name is looked for as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// `struct NAME`.
    Struct,
    /// `union NAME`.
    Union,
    /// `enum NAME`.
    Enum,
    /// A name of a type: `typedef`, or a basic type of the kernel's own naming.
    Typedef,
    /// A constant of an enumeration; the answer is the enumeration that declares it.
    Enumerator,
    /// A function.
    Func,
    /// A variable.
    Var,
}

/// Types of a kernel, asked for by name.
pub trait TypeSource {
    /// The type of this name and kind.
    fn find(&mut self, name: &str, what: NameKind) -> Option<TypeId>;
    /// Says which names are going to be asked for, so that they can be looked for together. Others can be asked for too.
    fn expect(&mut self, names: &mut dyn Iterator<Item = &str>) {
        let _ = names;
    }
    /// What the numbers refer to.
    fn btf(&self) -> &Btf;
}

/// A [`TypeSource`] over one blob: of the running kernel, of a file, or made for a test.
#[derive(Debug)]
pub struct BtfTypes<'a> {
    btf: &'a Btf,
    expected: Selection,
    enumerators: Option<Enumerators>,
}

/// Enumerators by name, with the enumeration that declares each. The first declaration counts.
type Enumerators = std::collections::HashMap<Box<str>, TypeId>;

impl<'a> BtfTypes<'a> {
    /// Answers from `btf`.
    pub fn new(btf: &'a Btf) -> Self {
        Self { btf, expected: Selection::default(), enumerators: None }
    }
}

impl TypeSource for BtfTypes<'_> {
    fn find(&mut self, name: &str, what: NameKind) -> Option<TypeId> {
        let btf = self.btf;
        if let Some(named) = self.expected.get(name) {
            return match what {
                NameKind::Enumerator => named.enumerator,
                _ => named.types.iter().copied().find(|&id| btf.kind(id).is_ok_and(|kind| is(what, &kind))),
            };
        }
        if what == NameKind::Enumerator {
            return self.enumerators.get_or_insert_with(|| enumerators(btf)).get(name).copied();
        }
        if name.is_empty() {
            return None;
        }
        if what == NameKind::Func {
            return btf.find_function(name);
        }
        btf.find_type(name, |kind| is(what, kind))
    }

    fn expect(&mut self, names: &mut dyn Iterator<Item = &str>) {
        self.expected = self.btf.select(names);
    }

    fn btf(&self) -> &Btf {
        self.btf
    }
}

/// Whether a type is what a name is looked for as.
const fn is(what: NameKind, kind: &Kind<'_>) -> bool {
    match what {
        NameKind::Struct => matches!(kind, Kind::Struct(_)),
        NameKind::Union => matches!(kind, Kind::Union(_)),
        NameKind::Enum => matches!(kind, Kind::Enum(_) | Kind::Enum64(_)),
        NameKind::Typedef => matches!(kind, Kind::Typedef { .. }),
        NameKind::Var => matches!(kind, Kind::Var { .. }),
        NameKind::Func => matches!(kind, Kind::Func { .. }),
        NameKind::Enumerator => false,
    }
}

/// Indexes the enumerators of all enumerations.
fn enumerators(btf: &Btf) -> Enumerators {
    let mut found = Enumerators::new();
    for id in btf.ids() {
        let Ok(Kind::Enum(list) | Kind::Enum64(list)) = btf.kind(id) else { continue };
        for value in list.values() {
            if let Ok(name) = btf.string(value.name) {
                found.entry(name.into()).or_insert(id);
            }
        }
    }
    found
}

/// A [`TypeSource`] that knows nothing: for programs that declare all they use.
#[derive(Debug)]
pub struct NoTypes(Btf);

impl NoTypes {
    /// An empty one.
    pub fn new() -> Self {
        let blob = skep_btf::BtfBuilder::new().to_bytes();
        Self(Btf::parse(blob).unwrap_or_else(|error| unreachable!("an empty blob is well-formed: {error}")))
    }
}

impl Default for NoTypes {
    fn default() -> Self {
        Self::new()
    }
}

impl TypeSource for NoTypes {
    fn find(&mut self, _: &str, _: NameKind) -> Option<TypeId> {
        None
    }

    fn btf(&self) -> &Btf {
        &self.0
    }
}
