//! The firewall in the kernel.
//!
//! What lives here: tables in maps of the kernel ([`store`]), putting rules in force and out again ([`force`]), changing one of
//! them ([`bank`]) or a set, their texts ([`texts`]) and the members of sets ([`members`]), the addresses of names in them ([`names`]), connections that exist already
//! ([`seed`]), the guard of the session that somebody types in ([`guard`]), what becomes of packets as it happens ([`watch`]) and
//! whose they are ([`owners`]), what packets cost ([`bench`](mod@bench)).

pub mod bank;
pub mod bench;
mod carry;
pub mod force;
pub mod guard;
pub mod members;
pub mod names;
pub mod owners;
pub mod seed;
mod sets;
pub mod store;
pub mod texts;
pub mod watch;
