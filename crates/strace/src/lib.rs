//! `skep strace`: the system calls of a command, of processes, of control groups or of the whole system, as lines like
//! those of strace, or counted.
//!
//! Nothing is stopped: two programs at the kernel's raw tracepoints `sys_enter` and `sys_exit` copy what a line needs into
//! a ring buffer, or count. What they copy is data ([`capture`]), made from one table of all calls ([`mod@table`]); what
//! records mean is told by [`record`] and [`decode`], how lines are put together by [`lines`], and [`session`] runs it all.
//!
//! What lives here: the programs, the table, the text of every argument. What does not: loading and attaching
//! (`skep_kernel`), the compiler (`skep_ir`, `skep_opt`, `skep_codegen`), options of the command line (`skep_cli`).

pub mod capture;
pub mod decode;
pub mod fds;
#[doc(hidden)]
pub mod fuzz;
pub mod json;
pub mod lines;
mod look;
pub mod program;
pub mod record;
pub mod select;
pub mod session;
pub mod stack;
pub mod summary;
pub mod table;

pub use session::{Outcome, Request, StraceError, Target, run};
