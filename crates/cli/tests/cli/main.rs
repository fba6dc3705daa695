//! The binary `skep` as its users run it: arguments in, output, files and exit status out.

mod dns;
mod dump;
mod errors;
mod features;
mod live;
mod object;
mod observe;
mod read;
mod script;
mod script_loss;
mod script_options;
mod script_vm;
mod support;
mod vm;
mod write;
