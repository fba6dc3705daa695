//! Sources: files, places in them that remember the macros they came through, names, and messages.
//!
//! What lives here: [`Sources`], [`Loc`], [`Sym`], the messages ([`Diag`]) and how they are drawn, and the trait through
//! which files are read. Reading tokens does not live here.

mod diags;
mod files;
mod names;

pub use diags::{Diag, Diags, Severity};
pub use files::{FileId, FileSource, Loc, NoFiles, Place, Sources};
pub use names::Sym;
