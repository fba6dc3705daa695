//! The binary `skep` as its users run it: arguments in, output, files and exit status out.

mod dns;
mod dump;
mod errors;
mod features;
mod live;
mod observe;
mod object;
mod read;
mod support;
mod vm;
mod write;
