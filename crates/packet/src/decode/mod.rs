//! Decoders from bytes to borrowed headers. They allocate nothing, never panic, and stop at the first byte that is
//! not there.
//!
//! [`Layers::of`] decodes a whole packet; the types below it decode one header each:
//!
//! ```text
//! link ── tunnel (VLAN, MPLS, PPPoE) ── net (IPv4, IPv6, ARP) ── transport ── app
//!                                        └── tunnel (GRE, IP in IP, VXLAN, Geneve) ── link or net again
//! ```

pub mod app;
pub mod layers;
pub mod link;
pub mod net;
pub mod part;
pub mod transport;
pub mod tunnel;
pub mod wlan;

pub use layers::{Fault, Layers, Net, Transport, Vlans};
pub use link::{Link, Llc, Mac, Next};
pub use net::{Arp, Ipv4, Ipv6, NetError};
pub use part::{Cut, Part, checksum};
pub use transport::{Icmp, Tcp, TcpError, TcpOption, Udp};
pub use tunnel::{Geneve, Gre, MplsLabel, Tunnel};
pub use wlan::Wlan;
