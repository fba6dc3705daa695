//! DNS: messages, pairing of queries with responses, sets of domains, and reports.
//!
//! [`Message`] decodes one message without allocating; [`Tracker`] takes packets and gives finished transactions with
//! latency and answers; [`DomainSet`] chooses some by name; [`report`] shows them and counts.
//!
//! Damaged messages are error values with the offset of the fault, never fatal.

pub mod domains;
pub mod error;
pub mod message;
pub mod name;
pub mod rdata;
pub mod report;
pub mod tracker;
pub mod transaction;
pub mod types;

mod stats;
mod stream;

pub use domains::{DomainPatternError, DomainSet};
pub use error::{DnsError, DnsErrorKind};
pub use message::{Edns, Message, Question, Record, Section};
pub use name::Name;
pub use rdata::RData;
pub use tracker::{Tracker, TrackerOptions};
pub use transaction::{Event, Protocol, Transaction};
pub use types::{ClassName, RcodeName, TypeName, rtype};
