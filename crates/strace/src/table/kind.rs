//! What arguments are: the words of the rows in [`calls`](mod@super::calls).
//!
//! ```text
//!  int uint long ulong hex addr key id dev mode modeif      numbers
//!  fd dirfd path text                                       descriptors, texts
//!  f:SET fl:SET e:SET n:FORM                                flags; of 64 bits; one of several values; a form of its own
//!  in:N inhex:N out outhex outtext                          bytes whose length is argument N; filled by the call
//!  s:STRUCT o:STRUCT rem:STRUCT                             structures; filled by the call; filled if it was interrupted
//!  io:STRUCT:STRUCT left:STRUCT                             what it is before, and when the call has filled it
//!  sz:STRUCT:N szd:STRUCT:N                                 structures that have grown: argument N has the size
//!  a:STRUCT:N[:MOST] fa:STRUCT:N oar:STRUCT                 arrays with argument N as length; filled; with the result
//!  iov:N iovout:N iovaddr:N msg msgout mmsg:N mmsgout:N       vectors, messages
//!  sa:N sao:N socklen                                       addresses of sockets
//!  by:CHOICE                                                by the argument in front: a row of `choices`
//! ```
//!
//! Others are special to some calls; those without a length, and `by`, stand for all arguments from there on.

use super::choices::{self, Choice};
use super::sets::{self, Set};
use super::structs::{self, Struct};
use crate::decode::numbers::{self, Number};

/// What an argument is.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum Kind {
    Int,
    Uint,
    Long,
    Ulong,
    Hex,
    Addr,
    Key,
    Id,
    Dev,
    Mode,
    /// A mode that counts only if the flags in front of it make a file.
    ModeIf,
    /// A mode with the type of a file.
    MknodMode,
    /// Permissions with flags that make an object of System V.
    IpcMode,
    /// Flags of 64 bits.
    LongFlags(&'static Set),
    /// Bits of which 32 count.
    ShortHex,
    /// A number with a form of its own.
    Number(&'static Number),
    /// The number of a key.
    Serial,
    /// An argument that the call does not use.
    Skip,
    Fd,
    DirFd,
    /// The directory of a mark of fanotify(7), which may be none.
    MarkFd,
    Path,
    /// A name that is shown as a whole and is no path.
    Name,
    Text,
    Flags(&'static Set),
    Value(&'static Set),
    Signal,
    In(u8),
    InHex(u8),
    Out,
    /// A text that the call fills, with its end counted in the result.
    OutCounted,
    OutHex,
    OutText,
    Struct(&'static Struct),
    OutStruct(&'static Struct),
    Rem(&'static Struct),
    /// A structure before, and as the call has filled it.
    InOut(&'static Struct, &'static Struct),
    /// A structure that the call may change; what is left stands behind the result.
    Left(&'static Struct),
    /// A structure only if the flags two arguments in front make a file.
    IfMade(&'static Struct),
    /// A structure whose size is an argument; whether what is behind is only hinted at.
    Sized(&'static Struct, u8, bool),
    /// With the most elements that the kernel takes.
    Array(&'static Struct, u8, u32),
    FilledArray(&'static Struct, u8),
    ResultArray(&'static Struct),
    Argv,
    Envp,
    Vector(u8),
    OutVector(u8),
    /// Only places and lengths.
    AddressVector(u8),
    Message,
    OutMessage,
    Messages(u8),
    OutMessages(u8),
    SockAddr(u8),
    OutSockAddr,
    SockLen,
    SigSet(u8),
    OutSigSet(u8),
    Cpus(u8),
    OutCpus,
    OpenFlags,
    /// Flags of `open` without a way to access.
    OpenOnly,
    SockType,
    Protocol,
    SockOpt,
    OptVal(u8),
    OutOptVal,
    MremapAddr,
    Offset,
    SendOffset,
    Wstatus,
    /// A message of a queue of System V.
    QueueMessage(u8),
    OutQueueMessage(u8),
    /// Two descriptors.
    OutFds,
    /// Sets of memory nodes.
    Nodes(u8),
    OutNodes(u8),
    /// What stands for a file.
    Handle,
    OutHandle,
    /// Capabilities, as the version in front of them has it.
    Capabilities,
    /// A name of at most 64 bytes.
    HostName(u8),
    /// The name of a thread.
    ThreadName,
    OutThreadName,
    /// Arguments of `mount` that its flags may make meaningless.
    MountType,
    MountData,
    Dirents,
    Dirents32,
    PollFds(u8),
    PpollFds(u8),
    // All arguments from here on.
    By(&'static Choice),
    Ioctl,
    Fcntl,
    Clone,
    Clone3,
    Futex,
    ArchPrctl,
    Select(&'static Struct),
    SigReturn,
    Bpf,
}

/// What a result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Result {
    Int,
    Long,
    Uint,
    Hex,
    Fd,
    Mode,
    Poll,
    Fcntl,
    Sched,
    Personality,
    /// An error number in 32 bits.
    Ldt,
    /// The call does not return.
    Never,
}

/// The number of an argument in a word.
fn number(word: Option<&str>) -> Option<u8> {
    word?.parse().ok().filter(|number| *number < 6)
}

impl Kind {
    /// The kind that a word means.
    pub fn parse(word: &str) -> Option<Self> {
        let mut parts = word.split(':');
        let head = parts.next()?;
        let mut next = || parts.next();
        let set = |name: Option<&str>| sets::find(name?);
        let structure = |name: Option<&str>| structs::find(name?);
        if let Some((_, kind)) = PLAIN.iter().find(|row| row.0 == word) {
            return Some(*kind);
        }
        Some(match head {
            "f" => Self::Flags(set(next())?),
            "fl" => Self::LongFlags(set(next())?),
            "n" => Self::Number(numbers::find(next()?)?),
            "by" => Self::By(choices::find(next()?)?),
            "inhex" => Self::InHex(number(next())?),
            "io" => Self::InOut(structure(next())?, structure(next())?),
            "left" => Self::Left(structure(next())?),
            "ifmade" => Self::IfMade(structure(next())?),
            "sz" => Self::Sized(structure(next())?, number(next())?, false),
            "szd" => Self::Sized(structure(next())?, number(next())?, true),
            "iovaddr" => Self::AddressVector(number(next())?),
            "mmsg" => Self::Messages(number(next())?),
            "mmsgout" => Self::OutMessages(number(next())?),
            "queuemsg" => Self::QueueMessage(number(next())?),
            "queuemsgout" => Self::OutQueueMessage(number(next())?),
            "nodes" => Self::Nodes(number(next())?),
            "onodes" => Self::OutNodes(number(next())?),
            "hostname" => Self::HostName(number(next())?),
            "e" => match next() {
                Some("signal") => Self::Signal,
                name => Self::Value(set(name)?),
            },
            "in" => Self::In(number(next())?),
            "s" => Self::Struct(structure(next())?),
            "o" => match next() {
                Some("wstatus") => Self::Wstatus,
                name => Self::OutStruct(structure(name)?),
            },
            "rem" => Self::Rem(structure(next())?),
            "select" => Self::Select(structure(next())?),
            "a" => {
                let (one, length) = (structure(next())?, number(next())?);
                Self::Array(one, length, next().map_or(Some(u32::MAX), |most| most.parse().ok())?)
            }
            "fa" => Self::FilledArray(structure(next())?, number(next())?),
            "oar" => Self::ResultArray(structure(next())?),
            "iov" => Self::Vector(number(next())?),
            "iovout" => Self::OutVector(number(next())?),
            "sa" => Self::SockAddr(number(next())?),
            "sao" => Self::OutSockAddr,
            "sigset" => Self::SigSet(number(next())?),
            "osigset" => Self::OutSigSet(number(next())?),
            "cpus" => Self::Cpus(number(next())?),
            "optval" => Self::OptVal(number(next())?),
            "pollfds" => Self::PollFds(number(next())?),
            "ppollfds" => Self::PpollFds(number(next())?),
            _ => return None,
        })
    }

    /// Whether it can only be told when the call has ended.
    pub const fn at_end(self) -> bool {
        matches!(
            self,
            Self::Out
                | Self::OutHex
                | Self::OutText
                | Self::OutCounted
                | Self::OutStruct(_)
                | Self::InOut(..)
                | Self::FilledArray(..)
                | Self::Messages(_)
                | Self::OutMessages(_)
                | Self::OutQueueMessage(_)
                | Self::OutFds
                | Self::OutNodes(_)
                | Self::OutHandle
                | Self::OutThreadName
                | Self::Rem(_)
                | Self::ResultArray(_)
                | Self::OutVector(_)
                | Self::OutMessage
                | Self::OutSockAddr
                | Self::OutSigSet(_)
                | Self::OutCpus
                | Self::OutOptVal
                | Self::SendOffset
                | Self::Wstatus
                | Self::Dirents
                | Self::Dirents32
                | Self::SockLen
        )
    }

    /// Whether it stands for all arguments from here on.
    pub const fn is_rest(self) -> bool {
        matches!(
            self,
            Self::Ioctl
                | Self::Fcntl
                | Self::Clone
                | Self::Clone3
                | Self::Futex
                | Self::ArchPrctl
                | Self::Select(_)
                | Self::SigReturn
                | Self::Bpf
        )
    }
}

// TABLE: words without parameters.
const PLAIN: &[(&str, Kind)] = &[
    ("int", Kind::Int),
    ("uint", Kind::Uint),
    ("long", Kind::Long),
    ("ulong", Kind::Ulong),
    ("hex", Kind::Hex),
    ("addr", Kind::Addr),
    ("key", Kind::Key),
    ("id", Kind::Id),
    ("dev", Kind::Dev),
    ("mode", Kind::Mode),
    ("modeif", Kind::ModeIf),
    ("mknodmode", Kind::MknodMode),
    ("ipcmode", Kind::IpcMode),
    ("hex32", Kind::ShortHex),
    ("serial", Kind::Serial),
    ("skip", Kind::Skip),
    ("fd", Kind::Fd),
    ("dirfd", Kind::DirFd),
    ("path", Kind::Path),
    ("name", Kind::Name),
    ("text", Kind::Text),
    ("out", Kind::Out),
    ("outhex", Kind::OutHex),
    ("outtext", Kind::OutText),
    ("outcounted", Kind::OutCounted),
    ("argv", Kind::Argv),
    ("envp", Kind::Envp),
    ("msg", Kind::Message),
    ("msgout", Kind::OutMessage),
    ("fds", Kind::OutFds),
    ("markfd", Kind::MarkFd),
    ("handle", Kind::Handle),
    ("handleout", Kind::OutHandle),
    ("capabilities", Kind::Capabilities),
    ("threadname", Kind::ThreadName),
    ("threadnameout", Kind::OutThreadName),
    ("mounttype", Kind::MountType),
    ("mountdata", Kind::MountData),
    ("socklen", Kind::SockLen),
    ("ocpus", Kind::OutCpus),
    ("openflags", Kind::OpenFlags),
    ("openonly", Kind::OpenOnly),
    ("socktype", Kind::SockType),
    ("proto", Kind::Protocol),
    ("sockopt", Kind::SockOpt),
    ("optvalout", Kind::OutOptVal),
    ("mremapaddr", Kind::MremapAddr),
    ("offset", Kind::Offset),
    ("sendoff", Kind::SendOffset),
    ("dirents", Kind::Dirents),
    ("dirents32", Kind::Dirents32),
    ("ioctl", Kind::Ioctl),
    ("fcntl", Kind::Fcntl),
    ("clone", Kind::Clone),
    ("clone3", Kind::Clone3),
    ("futex", Kind::Futex),
    ("archprctl", Kind::ArchPrctl),
    ("sigreturn", Kind::SigReturn),
    ("bpf", Kind::Bpf),
];

// TABLE
const RESULTS: &[(&str, Result)] = &[
    ("int", Result::Int),
    ("long", Result::Long),
    ("uint", Result::Uint),
    ("hex", Result::Hex),
    ("fd", Result::Fd),
    ("mode", Result::Mode),
    ("poll", Result::Poll),
    ("fcntl", Result::Fcntl),
    ("sched", Result::Sched),
    ("personality", Result::Personality),
    ("ldt", Result::Ldt),
    ("never", Result::Never),
];

impl Result {
    /// The result that a word means.
    pub fn parse(word: &str) -> Option<Self> {
        RESULTS.iter().find(|row| row.0 == word).map(|row| row.1)
    }
}
