//! What is alive in the kernel and how it hangs together: programs with the places where they run, maps with the programs
//! that use them, links in words, who holds each of them and where it is pinned.
//!
//! [`Survey`] looks once and answers many questions; lists of rows ([`ProgramRow`], [`MapRow`], [`LinkRow`]) are made of
//! it. [`find_program`], [`find_map`] and [`find_link`] understand what people call things: a number, a name, a path.
//! [`MapTypesOf`] reads and writes entries by their types, [`kernel_code`] turns what the kernel runs into a listing.

mod attachments;
mod cgroups;
mod code;
mod fdinfo;
mod find;
mod namespaces;
mod pins;
mod places;
mod rates;
mod rows;
mod survey;
mod typed;
mod types;

pub use attachments::Attachment;
pub use code::{KernelCode, MachineFunction, kernel_code};
pub use find::{find_link, find_map, find_program, program_names};
pub use pins::{Pin, Pinned, pins};
pub use places::Symbols;
pub use rates::{Rate, Sample, average};
pub use rows::{LinkRow, MapRow, ProgramRow};
pub use survey::{Survey, uptime};
pub use typed::{MapTypesOf, TypedError};
pub use types::KernelTypes;
