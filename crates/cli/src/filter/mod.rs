//! `skep filter`: chooses what to do and leaves it to the modules below.
//!
//! ```text
//! args -> expression (text, compiled per link type) -> dump   listings, explanation, 64-bit code
//!                                                   -> diff   two expressions compared
//!                                                   -> read   recordings  \
//!                                                   -> live   interfaces  /--> output  lines, files, counts
//! ```

mod attach;
mod diff;
mod dump;
mod expression;
mod live;
mod output;
mod postrotate;
mod read;
mod source;

use crate::args::FilterArgs;
use crate::failure::Failure;

pub use attach::{Installed, install};
pub use expression::{Expression, Target};
pub use live::{capture_options, catch_signals, open_capture, print_summary};
pub use source::{Stop, end_requested, finish_reading, open as open_recording};

/// Does what the arguments ask for.
pub fn run(args: &FilterArgs) -> Result<(), Failure> {
    check(args)?;
    if args.list_interfaces {
        return dump::interfaces();
    }
    if args.list_data_link_types {
        return dump::link_types(args);
    }
    if let Some(pair) = &args.diff {
        return diff::run(args, pair);
    }
    if args.dump > 0 || args.explain || args.dot || args.ebpf {
        return dump::run(args);
    }
    match &args.read {
        Some(path) => read::run(args, path),
        None => live::run(args),
    }
}

/// Combinations that the parser of the command line cannot judge.
fn check(args: &FilterArgs) -> Result<(), Failure> {
    let rotating = args.file_size.is_some() || args.seconds.is_some();
    if rotating && args.write.as_ref().is_some_and(|path| path.as_os_str() == "-") {
        return Err(Failure::Usage(
            "-C and -G begin new files, but -w - writes to standard output; name a file".into(),
        ));
    }
    if args.write.as_ref().is_some_and(|path| path.as_os_str() == "-") && args.print {
        let text = "--print and -w - both write to standard output; save to a file, or leave --print out";
        return Err(Failure::Usage(text.into()));
    }
    Ok(())
}
