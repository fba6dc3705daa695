//! The classifier: rules as entries in tables that programs look up.
//!
//! ```text
//!  rule --expand--> entries: one prefix for each side, one range of ports, bits of the packet with a mask
//!  entry --place--> cell: length class of the source, of the destination, way of the port
//!                   key:  hash of the cell and the bits of the packet that the classes keep: a chain by order of rules
//!                   index: for each side, class and hash of the kept bits: in which cells there may be something
//! ```
//!
//! A packet asks the index once for each class of each side; what both sides and the port leave over are the buckets that
//! are looked into, mostly one. The index only ever says too much, never too little, so an entry is added by widening the
//! index, writing the entry, and linking it into its chain with one store; it is removed by one store too. Programs that run
//! meanwhile see the tables before or after.
//!
//! What lives here: the layout ([`layout`], [`mod@entry`]), how rules become entries ([`mod@expand`]), how entries get in and out
//! ([`change`]), and tables in this process ([`memory`]). Tables of the kernel and of our virtual machine are in
//! [`live`](crate::live) and [`machine`](crate::machine).

pub mod change;
pub mod entry;
pub mod expand;
pub mod layout;
pub mod memory;

pub use change::{Store, TableError};
pub use entry::Entry;
pub use expand::expand;
pub use layout::{Head, Key, Record, Sizes};
pub use memory::Memory;
