//! The tools: what people know BPF for, as scripts with a head that says what they answer, print and accept.
//!
//! ```text
//!  tools/NAME.bt --head--> Header --+--> command line (clap) --> Selection --+--> filters: macros that the script asks
//!                                   |                                       +--> named arguments of the script
//!                                   +--> columns --> View <-----------------+--> where, sort, top, form of the output
//!                                                     ^
//!  records of the script --> Viewer (a sink of trace) +<-- recordings
//! ```
//!
//! What lives here: the catalogue, heads, command lines, rows, and the pages that are made of them; what `skep doctor` makes
//! of what its collectors see; timing the hooks of netfilter. What does not: compiling and running scripts, which is done
//! by whoever has a [`command::Selection`].
//!
//! ```
//! use skep_tools::catalogue::Catalogue;
//!
//! let tool = Catalogue::embedded().find("tcplife").unwrap();
//! assert!(tool.header.columns.iter().any(|column| column.head == "RADDR"));
//! let selection = skep_tools::command::parse(tool, ["--pid", "4711", "-o", "json"])?;
//! assert_eq!(selection.wanted.pids, [4711]);
//! # Ok::<(), clap::Error>(())
//! ```

pub mod catalogue;
pub mod command;
pub mod condition;
pub mod doctor;
pub mod filters;
pub mod fuzz;
pub mod header;
pub mod metrics;
pub mod named;
pub mod netfilter;
pub mod page;
pub mod processes;
pub mod pushdown;
pub mod recording;
pub mod row;
pub mod view;
pub mod viewer;
