//! The binary `skep` as its users run it: arguments in, output, files and exit status out.

mod build;
mod debug;
mod dns;
mod dns_matching;
mod dump;
mod errors;
mod features;
mod firewall;
mod firewall_live;
mod language;
mod live;
mod object;
mod observe;
mod probe;
mod programs;
mod read;
mod script;
mod script_loss;
mod script_options;
mod script_vm;
mod strace;
mod support;
mod tools;
mod verify;
mod vm;
mod write;
