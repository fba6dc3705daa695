//! Reading records: any bytes give a record or nothing, with whatever is whole in them.

use crate::decode::text::Bytes;
use crate::program::layout::{NARROW, chunk, field, kind, op, part};

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A system call begins.
    Enter,
    /// A system call ends.
    Exit,
    /// A thread was made: thread and process.
    Fork(u32, u32),
    /// A thread has ended, with this status.
    End(u32),
    /// A signal is delivered.
    Signal(u64),
    /// A signal was ignored.
    Ignored(u64),
}

/// A record.
#[derive(Debug, Clone, Copy)]
pub struct Record<'r> {
    /// What has happened.
    pub what: What,
    /// Number of the system call.
    pub number: u32,
    /// Whether it is a call of the 32-bit table.
    pub narrow: bool,
    /// Nanoseconds since boot.
    pub time: u64,
    /// Thread.
    pub thread: u32,
    /// Process.
    pub process: u32,
    /// Name of the thread.
    pub name: &'r [u8],
    /// What the call returned.
    pub result: i64,
    /// Arguments.
    pub args: [u64; 6],
    chunks: &'r [u8],
}

/// Captured data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'r> {
    /// The operation.
    pub kind: u8,
    /// Whether it belongs to the beginning, although it was captured at the end.
    pub again: bool,
    /// The argument.
    pub arg: u8,
    /// Which part of it.
    pub part: u16,
    /// The bytes; `None` if they could not be read.
    pub bytes: Option<&'r [u8]>,
    /// Bytes that there are, or a count.
    pub full: u64,
}

impl<'r> Record<'r> {
    /// Reads a record; `None` if it has no whole head or is of no known kind.
    pub fn parse(bytes: &'r [u8]) -> Option<Self> {
        const HEAD: usize = field::CHUNKS as usize;
        if bytes.len() < HEAD {
            return None;
        }
        let head = Bytes(bytes);
        let args = std::array::from_fn(|number| head.u64(field::ARGS as usize + 8 * number));
        let what = match head.u32(field::KIND as usize) {
            kind::ENTER => What::Enter,
            kind::EXIT => What::Exit,
            kind::FORK => What::Fork(args[0] as u32, args[1] as u32),
            kind::END => What::End(args[0] as u32),
            kind::SIGNAL => What::Signal(args[0] & 0xffff_ffff),
            kind::IGNORED => What::Ignored(args[0] & 0xffff_ffff),
            _ => return None,
        };
        let number = head.u32(field::NUMBER as usize);
        Some(Self {
            what,
            number: number & !NARROW,
            narrow: number & NARROW != 0,
            time: head.u64(field::TIME as usize),
            thread: head.u32(field::THREAD as usize),
            process: head.u32(field::PROCESS as usize),
            name: head.field(field::NAME as usize, 16),
            result: head.i64(field::RESULT as usize),
            args,
            chunks: &bytes[HEAD..],
        })
    }

    /// The captured data, in the order in which they were captured, up to the first that is damaged.
    pub fn chunks(&self) -> impl Iterator<Item = Chunk<'r>> + use<'r> {
        const HEAD: usize = chunk::HEAD as usize;
        let mut rest = self.chunks;
        std::iter::from_fn(move || {
            let (head, behind) = rest.split_at_checked(HEAD)?;
            let head = Bytes(head);
            let got = head.i32(chunk::GOT as usize);
            let length = usize::try_from(got).unwrap_or(0);
            let bytes = behind.get(..length)?;
            rest = behind.get(length.next_multiple_of(8)..).unwrap_or_default();
            let kind = head.u8(0);
            // Texts come with their end.
            let text = kind & !chunk::AGAIN == op::TEXT || kind & !chunk::AGAIN == op::TEXTS;
            let bytes = match bytes.split_last() {
                Some((0, front)) if text => front,
                _ => bytes,
            };
            Some(Chunk {
                kind: kind & !chunk::AGAIN,
                again: kind & chunk::AGAIN != 0,
                arg: head.u8(1),
                part: head.u16(2),
                bytes: (got >= 0).then_some(bytes),
                full: head.u64(chunk::FULL as usize),
            })
        })
    }
}

/// A system call as far as it is known: its beginning, its end, or both.
#[derive(Debug, Clone, Copy)]
pub struct View<'r> {
    enter: Option<Record<'r>>,
    exit: Option<Record<'r>>,
}

impl<'r> View<'r> {
    /// `None` without beginning and end.
    pub fn new(enter: Option<Record<'r>>, exit: Option<Record<'r>>) -> Option<Self> {
        (enter.is_some() || exit.is_some()).then_some(Self { enter, exit })
    }

    /// The beginning, or the end if that is all that is known.
    pub fn first(&self) -> Record<'r> {
        self.enter.or(self.exit).unwrap_or(EMPTY)
    }

    /// The end.
    pub fn exit(&self) -> Option<Record<'r>> {
        self.exit
    }

    /// An argument.
    pub fn arg(&self, number: usize) -> u64 {
        self.first().args.get(number).copied().unwrap_or(0)
    }

    /// What the call returned; 0 as long as that is not known.
    pub fn result(&self) -> i64 {
        self.exit.map_or(0, |exit| exit.result)
    }

    /// Whether it is known to have failed.
    pub fn failed(&self) -> bool {
        is_error(self.result())
    }

    /// What was captured of an argument when the call began.
    pub fn before(&self, arg: usize, number: u16) -> Option<Chunk<'r>> {
        let of = |chunk: &Chunk<'_>| usize::from(chunk.arg) == arg && chunk.part == number;
        let first = self.enter.and_then(|record| record.chunks().find(of));
        // What could not be read then may have been read at the end.
        let whole = first.is_some_and(|chunk| chunk.bytes.is_some());
        let again = self.exit.and_then(|record| record.chunks().find(|chunk| chunk.again && of(chunk)));
        if whole { first } else { again.or(first) }
    }

    /// What one operation has captured of an argument as a whole, when the call began or ended.
    pub fn captured(&self, what: u8, arg: usize, end: bool) -> Option<Chunk<'r>> {
        let of = |chunk: &Chunk<'_>| {
            usize::from(chunk.arg) == arg && chunk.part == part::WHOLE && chunk.kind == what && !(end && chunk.again)
        };
        let at_end =
            |again| self.exit.and_then(|record| record.chunks().find(|chunk| chunk.again == again && of(chunk)));
        if end {
            return at_end(false);
        }
        let first = self.enter.and_then(|record| record.chunks().find(of));
        let whole = first.is_some_and(|chunk| chunk.bytes.is_some());
        if whole { first } else { at_end(true).or(first) }
    }

    /// What was captured of an argument when the call ended.
    pub fn after(&self, arg: usize, number: u16) -> Option<Chunk<'r>> {
        let of = |chunk: &Chunk<'_>| !chunk.again && usize::from(chunk.arg) == arg && chunk.part == number;
        self.exit.and_then(|record| record.chunks().find(of))
    }

    /// The bytes of an argument as they were when the call began.
    pub fn bytes_before(&self, arg: usize) -> Option<&'r [u8]> {
        self.before(arg, part::WHOLE)?.bytes
    }

    /// The bytes of an argument as they were when the call ended.
    pub fn bytes_after(&self, arg: usize) -> Option<&'r [u8]> {
        self.after(arg, part::WHOLE)?.bytes
    }
}

/// Whether a result is an error number.
pub fn is_error(result: i64) -> bool {
    (-4095..0).contains(&result)
}

/// Stands for a record that is not there.
const EMPTY: Record<'static> = Record {
    what: What::Enter,
    number: 0,
    narrow: false,
    time: 0,
    thread: 0,
    process: 0,
    name: &[],
    result: 0,
    args: [0; 6],
    chunks: &[],
};
