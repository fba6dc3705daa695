//! Layouts that programs and the host share: values of the maps between them, records that are no rows of fields.

/// Layout of [`HOST`](super::system_maps::HOST): offsets in bytes of 64-bit words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostInfo;

impl HostInfo {
    /// Boot-clock nanoseconds at the start of the script (`elapsed`).
    pub const START: u32 = 0;
    /// Process id of the child of `-c`, 0 without one (`cpid`).
    pub const CHILD: u32 = 8;
    /// Number of possible processors (`ncpus`).
    pub const CPUS: u32 = 16;
    /// Inode of the host's process id namespace, for ids inside of a container.
    pub const PID_NAMESPACE: u32 = 24;
    /// Device of that inode.
    pub const PID_NAMESPACE_DEVICE: u32 = 32;
    /// Wall-clock nanoseconds since 1970 minus boot-clock nanoseconds: the intervals of a series begin at whole seconds of
    /// the wall clock.
    pub const WALL_OFFSET: u32 = 40;
    /// International atomic time in nanoseconds minus boot-clock nanoseconds, at the start of the script
    /// (`nsecs(sw_tai)`).
    pub const TAI_OFFSET: u32 = 48;
    /// Bytes in all.
    pub const SIZE: u32 = 56;
}

/// Layout of [`LOST`](super::system_maps::LOST): offsets in bytes of 64-bit words.
/// A script ends also if the record of its `exit()` found no room, and its status is that of a failure also if those of its
/// errors did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostInfo;

impl LostInfo {
    /// Records for which there was no room.
    pub const RECORDS: u32 = 0;
    /// Status of an `exit()` among them, as 32 bits, plus one; 0 if there was none.
    pub const EXIT: u32 = 8;
    /// Errors (`errorf()`) among them.
    pub const ERRORS: u32 = 16;
    /// Bytes in all.
    pub const SIZE: u32 = 24;
}

/// Layout of the record of [`Action::Packet`](super::Action::Packet).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketRecord;

impl PacketRecord {
    /// Boot-clock nanoseconds, 8 bytes.
    pub const TIME: u32 = 8;
    /// Bytes of the packet, 4 bytes.
    pub const WHOLE: u32 = 16;
    /// Bytes that follow, 4 bytes.
    pub const LEN: u32 = 20;
    /// The bytes.
    pub const BYTES: u32 = 24;

    /// Bytes of a record with room for so many.
    pub const fn size(room: u32) -> u32 {
        Self::BYTES + room.next_multiple_of(8)
    }
}

/// Layout of the record of [`Action::Unwind`](super::Action::Unwind).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnwindRecord;

impl UnwindRecord {
    /// The process, 8 bytes.
    pub const PID: u32 = 8;
    /// What the copy is known by, 8 bytes: a hash of the addresses of code in it.
    pub const HASH: u32 = 16;
    /// The registers of the process: `struct pt_regs` of x86-64.
    pub const REGISTERS: u32 = 24;
    /// Bytes of the registers.
    pub const REGISTERS_SIZE: u32 = 168;
    /// Address of the first byte of the copy, 8 bytes.
    pub const BASE: u32 = Self::REGISTERS + Self::REGISTERS_SIZE;
    /// Bytes that could be copied, 8 bytes.
    pub const LEN: u32 = Self::BASE + 8;
    /// The copy.
    pub const STACK: u32 = Self::LEN + 8;

    /// Bytes of a record with room for so many of the stack.
    pub const fn size(room: u32) -> u32 {
        Self::STACK + room.next_multiple_of(8)
    }
}
