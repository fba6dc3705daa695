//! A host firewall: an ordered list of rules, found by tables whose cost does not grow with their number.
//!
//! ```text
//!  text --parse--> RuleSet --expand--> entries --insert--> tables (memory | our machine | the kernel)
//!                     |                                        ^
//!                  linear (the meaning)                        | look up
//!                                                       programs: XDP, traffic control
//! ```
//!
//! ```
//! use skep_firewall::build::plan;
//! use skep_firewall::facts::Place;
//! use skep_firewall::machine::Machine;
//!
//! let rules = skep_firewall::parse("default in drop\naccept in tcp to port 22", &|_| Err("no files".to_owned()));
//! let rules = rules.map_err(|errors| errors[0].message.clone())?;
//! let mut machine = Machine::new(&plan(&rules, &|_| None)?)?;
//! // Not of the internet protocol: no rule is asked.
//! assert!(machine.run(&[0; 60], Place::default())?.passes);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Rules are matched one at a time only by [`linear`], which says what they mean; everything else is held against it.

pub mod build;
pub mod described;
pub mod export;
pub mod facts;
#[doc(hidden)]
pub mod fuzz;
pub mod import;
pub mod linear;
pub mod live;
pub mod machine;
pub mod program;
pub mod resolve;
pub mod rules;
pub mod sample;
pub mod tables;
pub mod verified;
pub mod zone;

pub use rules::{RuleSet, parse};
