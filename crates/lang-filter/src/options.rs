//! What a filter is compiled for.

pub use crate::parse::Compat;
use skep_proto::LinkType;

/// Facts about a live capture, where the kernel knows more about a packet than its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Live {}

/// Target of a compilation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How the packets begin.
    pub link: LinkType,
    /// What an accepting program returns: the number of bytes to keep.
    pub snaplen: u32,
    /// The network's mask, for `ip broadcast`; host byte order.
    pub netmask: Option<u32>,
    /// Whose meaning applies where releases of libpcap differ.
    pub compat: Compat,
    /// Set for a live capture on Linux: the kernel's words about a packet can be asked for.
    pub live: Option<Live>,
    /// The recording was written on a machine of the other byte order (matters for BSD loopback only).
    pub swapped: bool,
    /// Ports and protocols are also looked for behind IPv6 extension headers.
    pub ip6_ext: bool,
    /// Optimise. Without it the program follows the expression step by step.
    pub optimize: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            link: LinkType::EN10MB,
            snaplen: 262_144,
            netmask: Some(0),
            compat: Compat::default(),
            live: None,
            swapped: false,
            ip6_ext: false,
            optimize: true,
        }
    }
}
