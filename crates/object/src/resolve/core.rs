//! Relocations of the kernel's types ("compile once, run everywhere").

use skep_btf::Btf;

use super::Missing;
use super::symbols::Finder;
use crate::{Object, ObjectError};

/// Applies the relocations of all programs that are loaded.
pub(super) fn relocate(
    _object: &mut Object,
    _local: &Btf,
    _finder: &mut Finder<'_>,
    _missing: &mut Vec<Missing>,
) -> Result<(), ObjectError> {
    Ok(())
}
