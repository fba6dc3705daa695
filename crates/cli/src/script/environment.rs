//! What the environment says: `BPFTRACE_*`, as for bpftrace.

use std::path::PathBuf;

use skep_lang_script::ast::{Name, Setting, Spanned};
use skep_lang_script::settings;

use crate::failure::{Failure, colour_on_stderr};

/// Settings that replace those of the script.
pub fn settings() -> Result<Vec<(Name, Spanned<Setting>)>, Failure> {
    let mut found = Vec::new();
    for (name, value) in std::env::vars_os() {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        if name.starts_with("BPFTRACE_") {
            found.extend(settings::from_text(name, value).map_err(Failure::Usage)?);
        }
    }
    // The order of the environment is none.
    found.sort_by(|one, other| one.0.node.cmp(&other.0.node));
    Ok(found)
}

/// The file with the types of the kernel, in place of the kernel's own.
pub fn btf() -> Option<PathBuf> {
    std::env::var_os("BPFTRACE_BTF").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Whether messages are coloured.
pub fn colour() -> bool {
    match std::env::var("BPFTRACE_COLOR").as_deref() {
        Ok("always") => true,
        Ok("never") => false,
        _ => colour_on_stderr(),
    }
}
