//! The network interfaces of this machine, as far as a capture cares.
//!
//! Asks through sockets, not through sysfs, so that the answers belong to the network namespace of the calling
//! thread; only "is it wireless" comes from sysfs.

use std::ffi::CStr;
use std::fmt;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::error::{CaptureError, last_errno, nearest};
use super::options::InterfaceChoice;

/// Name of the pseudo interface for all interfaces.
pub const ANY: &str = "any";

/// Whether a cable or radio link exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Connection {
    /// There is nothing to connect: loopback, `any`.
    NotApplicable,
    /// The driver does not tell.
    Unknown,
    /// There is a link.
    Connected,
    /// There is none.
    Disconnected,
}

/// An interface. `Display` prints it as `tcpdump -D` does after the number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceInfo {
    /// The system's number, from 1; 0 for `any`.
    pub index: u32,
    /// Name.
    pub name: String,
    /// What it is, for interfaces whose name does not say it.
    pub description: Option<String>,
    /// Hardware type, `ARPHRD_*`; 0xffff for `any` (`ARPHRD_VOID`).
    pub hardware: u16,
    /// Whether it is switched on.
    pub up: bool,
    /// Whether it is ready to carry packets.
    pub running: bool,
    /// Whether it leads back to this machine.
    pub loopback: bool,
    /// Whether it is a radio.
    pub wireless: bool,
    /// Whether it has a link.
    pub connection: Connection,
}

impl InterfaceInfo {
    fn any() -> Self {
        Self {
            index: 0,
            name: ANY.to_owned(),
            description: Some("Pseudo-device that captures on all interfaces".to_owned()),
            hardware: u16::MAX,
            up: true,
            running: true,
            loopback: false,
            wireless: false,
            connection: Connection::NotApplicable,
        }
    }

    /// Sorting key: interfaces that can deliver packets first, `any` and loopback after real ones, then by the first
    /// number in the name. The order of libpcap, so that numbers given to `-i` mean the same.
    fn merit(&self) -> (bool, bool, bool, bool, bool, u32) {
        let digits: String =
            self.name.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        let unplugged = !self.wireless && self.connection == Connection::Disconnected;
        let unit = digits.parse().unwrap_or(0);
        (!self.running, !self.up, unplugged, self.loopback, self.name == ANY, unit)
    }
}

impl fmt::Display for InterfaceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(description) = &self.description {
            write!(f, " ({description})")?;
        }
        let link = match (self.wireless, self.connection) {
            (_, Connection::NotApplicable) | (false, Connection::Unknown) => None,
            (true, Connection::Unknown) => Some("Wireless"),
            (true, Connection::Connected) => Some("Wireless, Associated"),
            (true, Connection::Disconnected) => Some("Wireless, Not associated"),
            (false, Connection::Connected) => Some("Connected"),
            (false, Connection::Disconnected) => Some("Disconnected"),
        };
        let states = [(self.up, "Up"), (self.running, "Running"), (self.loopback, "Loopback")];
        let mut words: Vec<&str> = states.iter().filter(|state| state.0).map(|state| state.1).collect();
        if words.is_empty() {
            words.push("none");
        }
        words.extend(link);
        write!(f, " [{}]", words.join(", "))
    }
}

/// All interfaces that can be captured on, best first, with `any` among them.
///
/// # Errors
/// [`CaptureError::System`] if the kernel does not list them.
pub fn list_interfaces() -> Result<Vec<InterfaceInfo>, CaptureError> {
    let query = Query::new()?;
    // One that disappears between listing and asking is left out.
    let mut list: Vec<InterfaceInfo> =
        names()?.into_iter().filter_map(|(index, name)| query.describe(index, &name).ok().flatten()).collect();
    list.push(InterfaceInfo::any());
    list.sort_by_key(InterfaceInfo::merit);
    Ok(list)
}

/// The interface to capture on if none is named: the first of [`list_interfaces`] that is up and leads elsewhere.
///
/// # Errors
/// As for [`list_interfaces`].
pub fn default_interface() -> Result<Option<InterfaceInfo>, CaptureError> {
    Ok(list_interfaces()?.into_iter().find(|interface| interface.up && !interface.loopback))
}

/// The name of an interface by its number, `None` if it is gone.
#[must_use]
pub fn interface_name(index: u32) -> Option<String> {
    let mut buffer: [libc::c_char; libc::IF_NAMESIZE] = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the length that the function requires.
    let name = unsafe { libc::if_indextoname(index, buffer.as_mut_ptr()) };
    if name.is_null() {
        return None;
    }
    // SAFETY: on success the buffer holds a string with its terminating NUL, and `name` points to it.
    Some(unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
}

/// Finds the interface that was chosen.
pub(super) fn resolve(choice: &InterfaceChoice) -> Result<InterfaceInfo, CaptureError> {
    let missing = |name: &str| -> CaptureError {
        let names: Vec<String> =
            list_interfaces().unwrap_or_default().into_iter().map(|interface| interface.name).collect();
        CaptureError::NoSuchInterface { name: name.to_owned(), candidates: nearest(name, &names) }
    };
    match choice {
        InterfaceChoice::Any => Ok(InterfaceInfo::any()),
        InterfaceChoice::Named(name) if name == ANY => Ok(InterfaceInfo::any()),
        InterfaceChoice::Named(name) => {
            let found = names()?.into_iter().find(|(_, other)| other == name);
            if let Some((index, name)) = found {
                return Query::new()?.describe(index, &name)?.ok_or_else(|| missing(&name));
            }
            let position = name.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            match position {
                Some(position) => list_interfaces()?.into_iter().nth(position).ok_or_else(|| missing(name)),
                None => Err(missing(name)),
            }
        }
        InterfaceChoice::Index(index) => {
            let gone = || missing(&format!("number {index}"));
            let name = interface_name(*index).ok_or_else(gone)?;
            Query::new()?.describe(*index, &name)?.ok_or_else(gone)
        }
    }
}

/// Number and name of every interface, by number.
fn names() -> Result<Vec<(u32, String)>, CaptureError> {
    // SAFETY: the function takes no arguments.
    let first = unsafe { libc::if_nameindex() };
    if first.is_null() {
        return Err(CaptureError::last("list the network interfaces"));
    }
    let mut list = Vec::new();
    let mut next = first;
    // SAFETY: the array ends with an entry whose index is 0 and whose name is null; `next` does not pass it.
    while let entry = unsafe { &*next }
        && entry.if_index != 0
        && !entry.if_name.is_null()
    {
        // SAFETY: a name that is not null is a string with a terminating NUL.
        let name = unsafe { CStr::from_ptr(entry.if_name) };
        list.push((entry.if_index, name.to_string_lossy().into_owned()));
        // SAFETY: this entry is not the last one.
        next = unsafe { next.add(1) };
    }
    // SAFETY: `first` came from `if_nameindex` and is freed once.
    unsafe { libc::if_freenameindex(first) };
    list.sort_unstable();
    Ok(list)
}

/// A socket for questions about interfaces.
struct Query {
    socket: OwnedFd,
}

/// `struct ethtool_value`
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// `ETHTOOL_GLINK`: is there a link?
const ETHTOOL_GLINK: u32 = 0x0a;

impl Query {
    fn new() -> Result<Self, CaptureError> {
        // SAFETY: no pointers are involved. The kernel answers such questions on sockets of every family.
        let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(CaptureError::last("open a socket"));
        }
        // SAFETY: the call succeeded, so the descriptor is open and belongs to nobody else.
        Ok(Self { socket: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Asks one question. `None` if the interface is gone.
    fn ask(&self, request: libc::c_ulong, ifreq: &mut libc::ifreq) -> Result<Option<()>, i32> {
        // SAFETY: all requests made here take a `struct ifreq`, which lives through the call; the only one that
        // follows a pointer in it is made in `connection`, where that is valid.
        if unsafe { libc::ioctl(self.socket.as_raw_fd(), request as _, std::ptr::from_mut(ifreq)) } == 0 {
            return Ok(Some(()));
        }
        match last_errno() {
            libc::ENODEV | libc::ENXIO => Ok(None),
            errno => Err(errno),
        }
    }

    /// Everything about one interface, `None` if it is gone.
    fn describe(&self, index: u32, name: &str) -> Result<Option<InterfaceInfo>, CaptureError> {
        const ACTION: &str = "ask for the properties of a network interface";
        let Some(mut request) = request_for(name) else { return Ok(None) };
        let failed = |errno| CaptureError::system(ACTION, errno);
        if self.ask(libc::SIOCGIFFLAGS, &mut request).map_err(failed)?.is_none() {
            return Ok(None);
        }
        // SAFETY: the successful request above stored the flags.
        let flags = i32::from(unsafe { request.ifr_ifru.ifru_flags });
        if self.ask(libc::SIOCGIFHWADDR, &mut request).map_err(failed)?.is_none() {
            return Ok(None);
        }
        // SAFETY: the successful request above stored a socket address, whose family is the hardware type.
        let hardware = unsafe { request.ifr_ifru.ifru_hwaddr.sa_family };
        let loopback = flags & libc::IFF_LOOPBACK != 0;
        let wireless = is_wireless(name);
        let connection = if loopback { Connection::NotApplicable } else { self.connection(&mut request) };
        Ok(Some(InterfaceInfo {
            index,
            name: name.to_owned(),
            description: None,
            hardware,
            up: flags & libc::IFF_UP != 0,
            running: flags & libc::IFF_RUNNING != 0,
            loopback,
            wireless,
            connection,
        }))
    }

    fn connection(&self, request: &mut libc::ifreq) -> Connection {
        let mut value = EthtoolValue { command: ETHTOOL_GLINK, data: 0 };
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // The kernel writes the answer through the pointer, which is valid until the end of this function.
        match self.ask(libc::SIOCETHTOOL, request) {
            Ok(Some(())) if value.data != 0 => Connection::Connected,
            Ok(Some(())) => Connection::Disconnected,
            _ => Connection::Unknown,
        }
    }
}

/// A request about the interface, `None` if no interface can have this name.
fn request_for(name: &str) -> Option<libc::ifreq> {
    // SAFETY: `ifreq` is a C structure of characters and a union of plain values, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() >= request.ifr_name.len() || bytes.contains(&0) {
        return None;
    }
    for (to, &from) in request.ifr_name.iter_mut().zip(bytes) {
        *to = from.cast_signed();
    }
    Some(request)
}

fn is_wireless(name: &str) -> bool {
    // Names come from the kernel, which allows no slash and neither `.` nor `..`.
    let device = Path::new("/sys/class/net").join(name);
    device.join("wireless").exists() || device.join("phy80211").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_like_tcpdump() {
        let mut info = InterfaceInfo { index: 2, name: "eth0".to_owned(), description: None, ..InterfaceInfo::any() };
        info.connection = Connection::Connected;
        assert_eq!(info.to_string(), "eth0 [Up, Running, Connected]");
        info.connection = Connection::Unknown;
        (info.up, info.running) = (false, false);
        assert_eq!(info.to_string(), "eth0 [none]");
        info.wireless = true;
        info.connection = Connection::Disconnected;
        assert_eq!(info.to_string(), "eth0 [none, Wireless, Not associated]");
        assert_eq!(
            InterfaceInfo::any().to_string(),
            "any (Pseudo-device that captures on all interfaces) [Up, Running]"
        );
    }

    #[test]
    fn loopback_is_listed_and_found() {
        let list = list_interfaces().unwrap();
        assert!(list.iter().any(|interface| interface.name == ANY));
        let Some(lo) = list.iter().find(|interface| interface.name == "lo") else { return };
        assert!(lo.loopback && lo.hardware == libc::ARPHRD_LOOPBACK);
        assert_eq!(resolve(&InterfaceChoice::Named("lo".to_owned())).unwrap(), *lo);
        assert_eq!(resolve(&InterfaceChoice::Index(lo.index)).unwrap(), *lo);
        assert_eq!(interface_name(lo.index).as_deref(), Some("lo"));
        let position = list.iter().position(|interface| interface.name == "lo").unwrap() + 1;
        assert_eq!(resolve(&InterfaceChoice::Named(position.to_string())).unwrap(), *lo);
    }

    #[test]
    fn what_does_not_exist() {
        let error = resolve(&InterfaceChoice::Named("lo0".to_owned())).unwrap_err();
        assert!(error.to_string().starts_with("there is no interface `lo0`; "), "{error}");
        assert!(resolve(&InterfaceChoice::Named("0".to_owned())).is_err());
        assert!(resolve(&InterfaceChoice::Named("no\0ne".to_owned())).is_err());
        assert!(resolve(&InterfaceChoice::Named("a".repeat(300))).is_err());
        assert!(resolve(&InterfaceChoice::Index(u32::MAX)).is_err());
        assert!(request_for("exactly15chars_").is_some());
        assert!(request_for("sixteen_chars_xx").is_none());
    }
}
