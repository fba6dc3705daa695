//! Live capture: packets of an interface through a ring of memory shared with the kernel (`TPACKET_V3`, packet(7)).
//!
//! What lives here: opening a capture, walking over its packets without copying them, the pseudo header of captures
//! on all interfaces, lists of interfaces, and ending a wait by signals. What does not: compiling filters and loading
//! programs; [`Capture::install`] lends the socket to whoever does.
//!
//! ```no_run
//! use skep_packet::ring::{Capture, CaptureOptions, InterfaceChoice, Wait};
//! use std::time::Duration;
//!
//! let mut capture = Capture::open(&CaptureOptions::new(InterfaceChoice::Named("eth0".to_owned())))?;
//! capture.accept_all()?;
//! while capture.wait(Some(Duration::from_secs(1)))? == Wait::Ready {
//!     while let Some(packet) = capture.next_packet()? {
//!         println!("{} bytes", packet.orig_len);
//!     }
//! }
//! println!("{} dropped", capture.stats()?.dropped);
//! # Ok::<(), skep_packet::ring::CaptureError>(())
//! ```

mod arphrd;
mod capture;
mod cooked;
mod error;
mod interfaces;
mod live;
mod memory;
mod options;
mod socket;
mod wake;

pub use capture::{Capture, CaptureStats, InstallError, Wait};
pub use cooked::{SLL2_LEN, rewrite_for_cooked};
pub use error::CaptureError;
pub use interfaces::{ANY, Connection, InterfaceInfo, default_interface, interface_name, list_interfaces};
pub use live::{LivePacket, VlanTag};
pub use options::{CaptureOptions, Directions, InterfaceChoice, LARGEST_SNAPLEN};
pub use wake::{Signal, Signals, Waker};
