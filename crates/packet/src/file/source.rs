//! A stream of bytes with a window on it: the place where a capture reader does I/O.
//!
//! Decompression of files goes on in a thread of its own, see [`ahead`](super::ahead); all else is read here. Copying a
//! plain file on a second thread does not pay: the copies are bound by memory, and records then have to come from the
//! other processor's cache (measured on two processors: the same time for twice the work).
//!
//! Large reads into one reused buffer beat a memory map here: a map costs a page fault per few packets (measured 0.17 s
//! against 0.05 s for 600 MB from the page cache), and a file that shrinks while it is mapped would kill the process.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::ahead::{Ahead, HEADROOM, PIECE};
use super::decompress::{self, Compression};

/// One read's worth: large enough to make system calls cheap, small enough to stay in the second-level cache.
const CHUNK: usize = 512 * 1024;

// The first piece that is read ahead lies behind the first chunk, so its headroom has an offset, too.
const _: () = assert!(CHUNK >= HEADROOM);

/// Identifies an open file, so that a program can refuse to write over its own input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The identity of an open file, if it is a regular one.
    pub(crate) fn of(file: &File) -> Option<Self> {
        let meta = file.metadata().ok()?;
        meta.is_file().then(|| Self { device: meta.dev(), inode: meta.ino() })
    }

    /// The identity of the regular file of this name, if there is one.
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        meta.is_file().then(|| Self { device: meta.dev(), inode: meta.ino() })
    }
}

/// The bytes that are available now, and where they are in the stream.
pub(crate) struct Source {
    input: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// First byte that nobody has consumed.
    pub(crate) start: usize,
    end: usize,
    /// Stream offset of `buffer[0]`.
    base: u64,
    ended: bool,
    ahead: Option<Ahead>,
    /// Whether decompression may move to another thread and has not.
    may_start: bool,
    /// To be reported when the bytes before it have been consumed.
    fault: Option<io::Error>,
    stop: Option<Arc<AtomicBool>>,
    /// Bytes taken from the file or pipe, before decompression.
    taken: Arc<AtomicU64>,
    pub(crate) total: Option<u64>,
    pub(crate) id: Option<FileId>,
    pub(crate) compression: Compression,
}

impl Source {
    /// Opens a file, or standard input for `-`.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = if path.as_os_str() == "-" {
            File::from(io::stdin().as_fd().try_clone_to_owned()?)
        } else {
            File::open(path)?
        };
        let meta = file.metadata()?;
        if meta.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let id = FileId::of(&file);
        let mut source = Self::new(file)?;
        source.total = id.map(|_| meta.len());
        source.id = id;
        // A thread that waits for a pipe could not be ended together with the reader.
        let two = thread::available_parallelism().is_ok_and(|count| count.get() > 1);
        source.may_start = two && id.is_some() && source.compression != Compression::None;
        Ok(source)
    }

    /// Looks at the first bytes of any stream and puts the right decompressor in front of it.
    pub(crate) fn new(input: impl Read + Send + 'static) -> io::Result<Self> {
        let taken = Arc::new(AtomicU64::new(0));
        let mut counted = Counted { input, taken: Arc::clone(&taken) };
        let mut head = [0; 4];
        let mut have = 0;
        while have < head.len() {
            match counted.read(&mut head[have..]) {
                Ok(0) => break,
                Ok(count) => have += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let compression = Compression::detect(&head[..have]);
        let mut buffer = vec![0; CHUNK];
        let (input, end) = if compression == Compression::None {
            buffer[..have].copy_from_slice(&head[..have]);
            (Box::new(counted) as Box<dyn Read + Send>, have)
        } else {
            let whole = io::Cursor::new(head[..have].to_vec()).chain(counted);
            (decompress::wrap(compression, whole), 0)
        };
        Ok(Self {
            input,
            buffer,
            start: 0,
            end,
            base: 0,
            ended: false,
            ahead: None,
            may_start: false,
            fault: None,
            stop: None,
            taken,
            total: None,
            id: None,
            compression,
        })
    }

    /// Makes the stream end, before it waits for more input, once the flag is set.
    pub(crate) fn stop_on(&mut self, flag: Arc<AtomicBool>) {
        self.stop = Some(flag);
    }

    /// True if somebody wants the stream to end here.
    pub(crate) fn stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// What is available without I/O.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The available bytes, and the place to note how many of them have been consumed.
    pub(crate) fn split(&mut self) -> (&[u8], &mut usize, u64) {
        (&self.buffer[..self.end], &mut self.start, self.base)
    }

    /// Where the next byte is in the stream.
    #[inline]
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// `count` bytes from `from`, counted from the start of the buffer.
    #[inline]
    pub(crate) fn at(&self, from: usize, count: usize) -> &[u8] {
        &self.buffer[from..from + count]
    }

    /// Marks available bytes as done with.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        debug_assert!(self.start + count <= self.end);
        self.start += count;
    }

    /// Makes at least `need` bytes available; false if the stream ends before.
    ///
    /// The buffer grows only while bytes arrive, so a length that the file merely claims costs nothing.
    pub(crate) fn fill(&mut self, need: usize) -> io::Result<bool> {
        while self.end - self.start < need {
            if self.ended || self.stopped() {
                return Ok(false);
            }
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
            if self.reads_ahead() {
                self.next_piece();
                continue;
            }
            self.make_room(need);
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(count) => self.end += count,
                // The loop looks at the flag, which the signal may have set.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Drops `count` bytes that nobody needs to see. Returns how many the stream still had.
    pub(crate) fn skip(&mut self, count: u64) -> io::Result<u64> {
        let mut left = count;
        while left > 0 {
            if self.start == self.end && !self.fill(1)? {
                break;
            }
            let available = self.end - self.start;
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(available);
            self.consume(step);
            left -= step as u64;
        }
        Ok(count - left)
    }

    /// Whether pieces come from the other thread. It starts behind the first chunk, which is enough for `-c 1`.
    fn reads_ahead(&mut self) -> bool {
        let offset = self.base + self.end as u64;
        if self.may_start && offset >= CHUNK as u64 {
            self.may_start = false;
            let input = std::mem::replace(&mut self.input, Box::new(io::empty()));
            match Ahead::start(input) {
                Ok(ahead) => self.ahead = Some(ahead),
                // The system has no thread left, so it goes on here.
                Err(input) => self.input = input,
            }
        }
        self.ahead.is_some()
    }

    /// Puts the next piece behind the bytes that are available: by moving those, which are few, in front of it.
    fn next_piece(&mut self) {
        let Some(ahead) = &mut self.ahead else { return };
        let mut piece = ahead.next();
        let offset = self.base + self.end as u64;
        let left = self.end - self.start;
        if left <= HEADROOM {
            let start = HEADROOM - left;
            piece.buffer[start..HEADROOM].copy_from_slice(&self.buffer[self.start..self.end]);
            std::mem::swap(&mut self.buffer, &mut piece.buffer);
            (self.start, self.end) = (start, HEADROOM + piece.len);
            self.base = offset - HEADROOM as u64;
        } else {
            // A record that needs more than the headroom is rare. Only for it, the buffer grows.
            self.buffer.copy_within(self.start..self.end, 0);
            self.buffer.truncate(left);
            self.buffer.extend_from_slice(&piece.buffer[HEADROOM..HEADROOM + piece.len]);
            (self.base, self.start, self.end) = (self.base + self.start as u64, 0, self.buffer.len());
        }
        ahead.give_back(piece.buffer);
        if piece.len < PIECE {
            self.ahead = None;
            self.ended = piece.fault.is_none();
        }
        self.fault = piece.fault;
    }

    fn make_room(&mut self, need: usize) {
        let free = self.buffer.len() - self.end;
        if self.start > 0 && (free < CHUNK / 4 || self.start == self.end) {
            self.buffer.copy_within(self.start..self.end, 0);
            self.base += self.start as u64;
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            let doubled = self.buffer.len().saturating_mul(2);
            self.buffer.resize(doubled.min(self.start + need).max(self.end + 1), 0);
        }
    }
}

/// Counts what is taken from the file, for a progress display.
struct Counted<R> {
    input: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_length_costs_no_memory() {
        let mut source = Source::new(io::Cursor::new(vec![1; 3 * CHUNK])).unwrap();
        assert!(!source.fill(1 << 30).unwrap());
        assert_eq!(source.bytes().len(), 3 * CHUNK);
        assert!(source.buffer.len() <= 6 * CHUNK);
    }

    #[test]
    fn skipping_and_offsets() {
        let data: Vec<u8> = (0..3 * CHUNK).map(|at| (at % 251) as u8).collect();
        let mut source = Source::new(io::Cursor::new(data.clone())).unwrap();
        source.fill(10).unwrap();
        source.consume(10);
        assert_eq!(source.skip(CHUNK as u64 + 5).unwrap(), CHUNK as u64 + 5);
        assert_eq!(source.offset(), CHUNK as u64 + 15);
        source.fill(4).unwrap();
        assert_eq!(source.bytes()[..4], data[CHUNK + 15..CHUNK + 19]);
        assert_eq!(source.skip(u64::MAX).unwrap(), 2 * CHUNK as u64 - 15);
        assert!(!source.fill(1).unwrap());
    }
}
