//! Network interfaces by name and number, and what XDP does on them.

use super::words::suggestion;
use super::xdp::XdpState;
use crate::errors::KernelError;
use crate::sys::netlink::{self, Message, Socket, kind};

/// Bytes in `struct ifinfomsg`.
pub(super) const IFINFO: usize = 16;
/// `IFLA_IFNAME`
const NAME: u16 = 3;
/// `IFLA_XDP`
pub(super) const XDP: u16 = 43;

/// A network interface of the calling thread's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its number, from 1.
    pub index: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// The XDP programs that it runs.
    pub xdp: XdpState,
}

/// All interfaces of the calling thread's network namespace.
///
/// # Errors
/// [`KernelError::System`] if the kernel gives no netlink socket.
pub fn interfaces() -> Result<Vec<Interface>, KernelError> {
    const ACTION: &str = "list the network interfaces";
    let mut found = Vec::new();
    let mut socket = Socket::open().map_err(|refusal| KernelError::system(ACTION, refusal.errno))?;
    socket
        .dump(Message::new(kind::GETLINK, 0, &[0; IFINFO]), |kind, body| {
            if kind == kind::NEWLINK {
                found.extend(read(body));
            }
        })
        .map_err(|refusal| KernelError::system(ACTION, refusal.errno))?;
    Ok(found)
}

/// An `RTM_NEWLINK` message.
fn read(body: &[u8]) -> Option<Interface> {
    let index = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
    let attributes = body.get(IFINFO..)?;
    let name = netlink::attribute(attributes, NAME)?;
    let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
    let xdp = netlink::attribute(attributes, XDP).map(XdpState::read).unwrap_or_default();
    Some(Interface { index, name, xdp })
}

/// The interface with this name.
///
/// # Errors
/// [`KernelError::Invalid`] with the names that exist if there is none.
pub fn interface(name: &str) -> Result<Interface, KernelError> {
    let mut all = interfaces()?;
    if let Some(at) = all.iter().position(|interface| interface.name == name) {
        return Ok(all.swap_remove(at));
    }
    Err(KernelError::Invalid { action: "find a network interface", problem: missing(&format!("`{name}`"), name, &all) })
}

/// There is no such interface; which ones there are.
fn missing(shown: &str, name: &str, all: &[Interface]) -> String {
    let names: Vec<&str> = all.iter().map(|interface| interface.name.as_str()).collect();
    let near = if name.is_empty() { String::new() } else { suggestion(name, names.iter().copied()) };
    if near.is_empty() {
        format!("there is no interface {shown} in this network namespace; there are: {}", names.join(", "))
    } else {
        format!("there is no interface {shown} in this network namespace{near}")
    }
}

/// What to say about an interface that does not exist; `None` if it does, or if nobody can tell.
pub(super) fn missing_index(index: u32) -> Option<String> {
    let all = interfaces().ok()?;
    let exists = all.iter().any(|interface| interface.index == index);
    (!exists).then(|| missing(&format!("with number {index}"), "", &all))
}

/// The name of an interface for texts.
pub(super) fn shown(index: u32) -> String {
    let all = interfaces().unwrap_or_default();
    let name = all.into_iter().find(|interface| interface.index == index).map(|interface| interface.name);
    name.map_or_else(|| format!("interface {index}"), |name| format!("`{name}`"))
}
