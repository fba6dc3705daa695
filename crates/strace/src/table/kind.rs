//! What arguments are: the words of the rows in [`calls`](mod@super::calls).
//!
//! ```text
//!  int uint long ulong hex addr key id dev mode modeif      numbers
//!  fd dirfd path text                                       descriptors, texts
//!  f:SET e:SET                                              flags; one of several values
//!  in:N out outhex outtext                                  bytes whose length is argument N; filled by the call
//!  s:STRUCT o:STRUCT rem:STRUCT                             structures; filled by the call; filled if it was interrupted
//!  a:STRUCT:N oa:STRUCT:N oar:STRUCT                        arrays with argument N as length; with the result
//!  iov:N iovout:N msg msgout sa:N sao:N socklen             vectors, messages, addresses
//! ```
//!
//! Others are special to some calls; those without a length stand for all arguments from there on.

use super::sets::{self, Set};
use super::structs::{self, Struct};

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
    Fd,
    DirFd,
    Path,
    Text,
    Flags(&'static Set),
    Value(&'static Set),
    Signal,
    In(u8),
    Out,
    OutHex,
    OutText,
    Struct(&'static Struct),
    OutStruct(&'static Struct),
    Rem(&'static Struct),
    Array(&'static Struct, u8),
    OutArray(&'static Struct, u8),
    ResultArray(&'static Struct),
    Argv,
    Envp,
    Vector(u8),
    OutVector(u8),
    Message,
    OutMessage,
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
    Dirents,
    Dirents32,
    PollFds(u8),
    PpollFds(u8),
    // All arguments from here on.
    Ioctl,
    Fcntl,
    Clone,
    Clone3,
    Futex,
    Prctl,
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
    /// The call does not return.
    Never,
}

/// What `o:` and the like mean in words with a number.
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
            "a" => Self::Array(structure(next())?, number(next())?),
            "oa" => Self::OutArray(structure(next())?, number(next())?),
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
                | Self::OutStruct(_)
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
                | Self::Prctl
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
    ("fd", Kind::Fd),
    ("dirfd", Kind::DirFd),
    ("path", Kind::Path),
    ("text", Kind::Text),
    ("out", Kind::Out),
    ("outhex", Kind::OutHex),
    ("outtext", Kind::OutText),
    ("argv", Kind::Argv),
    ("envp", Kind::Envp),
    ("msg", Kind::Message),
    ("msgout", Kind::OutMessage),
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
    ("prctl", Kind::Prctl),
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
    ("never", Result::Never),
];

impl Result {
    /// The result that a word means.
    pub fn parse(word: &str) -> Option<Self> {
        RESULTS.iter().find(|row| row.0 == word).map(|row| row.1)
    }
}
