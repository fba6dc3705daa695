//! The host side of scripts: records and maps to output.
//!
//! ```text
//!   Plan (lang-script) ---------------+---------------------+
//!                                     |                     |
//!   ring buffer --record--> events::Dispatcher        maps::Snapshot <--entries-- MapSource
//!                                     |    \                |
//!                              format::Format  value::Value-+--> text, JSON, tables, CSV
//!                                     |
//!                              events::Output          flame::Folded: stack traces in keys as a picture
//!
//!   compiler of scripts --asks--> programs::Programs: types, lines, names and probes of programs in user space
//! ```
//!
//! Values are decoded by the shapes of the plan and rendered in the forms of bpftrace, byte for byte where that is not a
//! bug. Where it is one, ours differs: JSON is always valid (keys keep their spaces, texts are UTF-8), bounds of linear
//! histograms have 64 bits, and every record is counted.
//!
//! ```
//! use skep_lang_script::plan::{Shape, lay_out};
//! use skep_trace::format::Format;
//! use skep_trace::names::{Clock, Names, NoSymbols};
//! use skep_trace::value::Renderer;
//!
//! let arguments = lay_out(8, [Shape::Int { bytes: 4, signed: true }, Shape::Text(4)]);
//! let record = [[0; 8].as_slice(), &42i32.to_le_bytes(), b"abc\0"].concat();
//! let mut names = Names::new(Box::new(NoSymbols), Clock::system());
//! let mut renderer = Renderer { names: &mut names, enums: &[], truncation: "..", full: 0, flags: &[] };
//! let mut out = Vec::new();
//! Format::compile("%5d %s\n", 2)?.render(&arguments, &record, &mut renderer, &mut out);
//! assert_eq!(out, b"   42 abc\n");
//! # Ok::<(), skep_trace::format::FormatError>(())
//! ```
//!
//! Guarantees: decoding and rendering never fail and never panic, whatever the bytes; a record that the program sent is
//! handled, came after the end, was damaged, or was lost, and is counted as exactly one of these.

pub mod events;
pub mod flame;
pub mod format;
pub mod fuzz;
pub mod maps;
pub mod names;
pub mod programs;
pub mod run;
pub mod table;
#[cfg(test)]
mod testing;
pub mod value;
