//! Seccomp filters of a running process: read them, and say what they do to each system call.
//!
//! What lives here: reading the filters ([`filters_of`], through `ptrace(2)`), their actions ([`Action`]), and the
//! symbolic run that turns a filter into a decision for one system call ([`decide`]). Filters are classic programs over
//! `struct seccomp_data`; the instruction set is in `skep-isa`.

mod action;
mod condition;
mod decision;
mod read;
mod run;

pub use action::Action;
pub use condition::{Condition, Value};
pub use decision::{Case, Decision};
pub use read::{Mode, filters_of, mode_of};
pub use run::{Call, decide};
