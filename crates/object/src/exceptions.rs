//! Functions that exceptions end in (`__exception_cb`): no instruction refers to them, a tag of the program's main
//! function names them.

use skep_btf::{Btf, DeclTag, Kind, TypeId};

/// What such a tag begins with.
const TAG: &str = "exception_callback:";

/// All tags that name such a function: the type of the main function, and the name. The kernel takes one for each program.
pub fn exception_callbacks(btf: &Btf) -> Vec<(TypeId, &str)> {
    let tag = |id| match btf.kind(id) {
        Ok(Kind::DeclTag(DeclTag { target, component: None })) => Some((target, btf.name(id).ok()?.strip_prefix(TAG)?)),
        _ => None,
    };
    btf.ids().filter_map(tag).collect()
}
