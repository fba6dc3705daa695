//! What the comparisons with clang share.

pub mod skip;

use std::collections::BTreeSet;

use skep_btf::core::{CoreKind, Relocation, relocate};
use skep_btf::{Btf, TypeId};
use skep_object::Object;

pub use skip::skip;

/// Relocations of a program: kind, root, value on this kernel.
pub type Relocations = BTreeSet<(String, String, Option<u64>)>;

/// What relocations of a program come to on this kernel: kind, root, value.
pub fn relocations(object: &Object, program: &str, kernel: &Btf) -> Relocations {
    let mut found = BTreeSet::new();
    let Ok(local) = Btf::parse(object.btf.clone()) else { return found };
    for relocation in object.programs.iter().filter(|of| of.name == program).flat_map(|of| &of.core_relocations) {
        let kind = CoreKind::new(relocation.kind).expect("a kind");
        let ty = TypeId(relocation.ty);
        let root = local.name(ty).unwrap_or_default().to_owned();
        let asked = Relocation { ty, access: &relocation.access, kind };
        let value = relocate(&local, asked, &[kernel]).ok().and_then(|answer| answer.value);
        // Numbers of types of the object are its own business.
        if kind != CoreKind::TypeIdLocal {
            found.insert((kind.name().to_owned(), root, value));
        }
    }
    found
}
