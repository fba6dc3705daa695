//! Stepping through a program in the machine of user space, forwards and backwards.
//!
//! ```text
//!  Object, Work --vm--> Recording --+-- Session --+-- terminal: commands of a line
//!               --verifier--> Noted-+             |        +-- screen: the same on a whole screen
//!                                                 +-- dap: an editor, by the Debug Adapter Protocol
//! ```
//!
//! A program of the kernel runs for microseconds and without side effects outside of its memory, so it is run once, every
//! step is kept ([`recording`]), and the debugger moves in what was kept: a step back costs as much as a step forward.
//! Beside the value that a register has stands what the verifier knows of it on all paths.
//!
//! What lives here: the recording, the moves and breakpoints ([`session`]), expressions ([`expr`]) and the ways to talk to
//! people ([`terminal`], [`screen`], [`dap`]). What does not: reading files and options, which is the command line's.
//!
//! # Guarantees
//! Commands and messages are answered, whatever they are; none ends the session but those that say so.

pub mod dap;
pub mod expr;
#[doc(hidden)]
pub mod fuzz;
pub mod recording;
pub mod screen;
pub mod session;
pub mod terminal;

pub use recording::{Recording, Work};
pub use session::{Breakpoint, Session, Stop};
