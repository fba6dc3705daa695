//! The firewall in the kernel.
//!
//! What lives here: tables in maps of the kernel ([`store`]), putting rules in force and out again ([`force`]), their texts
//! ([`texts`]), connections that exist already ([`seed`]), the guard of the session that somebody types in ([`guard`]).

pub mod force;
pub mod guard;
pub mod seed;
pub mod store;
pub mod texts;
