//! Reading ahead: a thread that reads or decompresses a file while the packets before are filtered.
//!
//! A few buffers go round between the thread and the [`Source`](super::source). Pieces are numbered and handed out in
//! order, each with the fault that ended it, so nothing changes for the decoders. A file that can be read at any place
//! is read by both sides: the thread that filters reads a piece itself rather than wait for one, which keeps two
//! processors busy whichever half of the work is the larger. A decompressor stays on its thread.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Bytes of a piece: large enough to make system calls and hand-overs cheap, small enough for the caches.
pub(crate) const PIECE: usize = 128 * 1024;
/// Free bytes in front of a piece, for the beginning of a record whose end is in the piece.
pub(crate) const HEADROOM: usize = 64 * 1024;
/// Buffers in the round, that of the source included.
const BUFFERS: usize = 8;

/// What can be read at any place, by several threads at once.
pub(crate) trait ReadAt: Send + Sync {
    /// As [`FileExt::read_at`].
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

/// Part of a stream: `buffer[HEADROOM..HEADROOM + len]`.
pub(crate) struct Piece {
    pub(crate) buffer: Vec<u8>,
    /// Less than [`PIECE`] if the stream ended or failed here.
    pub(crate) len: usize,
    pub(crate) fault: Option<io::Error>,
}

/// Where the bytes come from.
pub(crate) enum Origin {
    /// A file, and the offset of the first piece.
    Places(Arc<dyn ReadAt>, u64),
    /// Something that gives its bytes in order only.
    Stream(Box<dyn Read + Send>),
}

/// The round of buffers and its thread, which ends when this is dropped.
pub(crate) struct Ahead {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    places: Option<(Arc<dyn ReadAt>, u64)>,
    /// Number of the piece that comes next.
    wanted: u64,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    ready: BTreeMap<u64, Piece>,
    free: Vec<Vec<u8>>,
    /// Number of the next piece that nobody reads yet.
    unclaimed: u64,
    /// Nothing more is to be read: the stream ended or failed, or nobody wants the rest.
    over: bool,
    /// The thread has ended.
    gone: bool,
}

impl Ahead {
    /// Starts the thread.
    ///
    /// # Errors
    /// Gives the origin back if the system has no thread left.
    pub(crate) fn start(origin: Origin) -> Result<Self, Origin> {
        let free = (1..BUFFERS).map(|_| vec![0; HEADROOM + PIECE]).collect();
        let state = State { ready: BTreeMap::new(), free, unclaimed: 0, over: false, gone: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let places = match &origin {
            Origin::Places(file, first) => Some((Arc::clone(file), *first)),
            Origin::Stream(_) => None,
        };
        // Handed over by way of a shared place, because a thread that does not start drops what it was given.
        let parcel = Arc::new(Mutex::new(Some(origin)));
        let (theirs, gift) = (Arc::clone(&shared), Arc::clone(&parcel));
        let spawned = thread::Builder::new().name("read-ahead".into()).spawn(move || {
            let _gone = Leaving(&theirs);
            if let Some(origin) = lock(&gift).take() {
                theirs.read_all(origin);
            }
        });
        match (spawned, places) {
            (Ok(thread), places) => Ok(Self { shared, thread: Some(thread), places, wanted: 0 }),
            (Err(_), places) => {
                let origin = lock(&parcel).take().or_else(|| places.map(|(file, first)| Origin::Places(file, first)));
                Err(origin.unwrap_or_else(|| Origin::Stream(Box::new(io::empty()))))
            }
        }
    }

    /// The next piece. Its buffer, or another one, must come back with [`give_back`](Self::give_back).
    ///
    /// There is nothing behind a piece that is short, and this must not be called again.
    pub(crate) fn next(&mut self) -> Piece {
        let mut state = self.shared.lock();
        loop {
            if let Some(piece) = state.ready.remove(&self.wanted) {
                self.wanted += 1;
                return piece;
            }
            if let Some((file, first)) = &self.places
                && let Some((number, buffer)) = state.claim()
            {
                drop(state);
                let piece = read_place(&**file, first + number * PIECE as u64, buffer);
                state = self.shared.lock();
                state.deliver(number, piece);
                continue;
            }
            // Pieces are claimed in order and one buffer is here, so the piece that is missing is being read.
            if state.gone {
                let fault = Some(io::Error::other("the decompressor failed at something it did not expect"));
                return Piece { buffer: vec![0; HEADROOM + PIECE], len: 0, fault };
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The file, if it can be read at any place, and where that began.
    pub(crate) const fn places(&self) -> Option<&(Arc<dyn ReadAt>, u64)> {
        self.places.as_ref()
    }

    /// Returns a buffer to the round, whatever its size has become.
    pub(crate) fn give_back(&mut self, mut buffer: Vec<u8>) {
        if buffer.len() != HEADROOM + PIECE {
            buffer.resize(HEADROOM + PIECE, 0);
            buffer.shrink_to_fit();
        }
        self.shared.lock().free.push(buffer);
        self.shared.changed.notify_one();
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // If it panicked, the reader has heard of it as an error.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The work of the thread.
    fn read_all(&self, mut origin: Origin) {
        while let Some((number, buffer)) = self.wait_for_buffer() {
            let piece = match &mut origin {
                Origin::Places(file, first) => read_place(&**file, *first + number * PIECE as u64, buffer),
                Origin::Stream(stream) => read_piece(buffer, |_, rest| stream.read(rest)),
            };
            self.lock().deliver(number, piece);
            self.changed.notify_one();
        }
    }

    fn wait_for_buffer(&self) -> Option<(u64, Vec<u8>)> {
        let mut state = self.lock();
        loop {
            if state.over {
                return None;
            }
            if let Some(claim) = state.claim() {
                return Some(claim);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    /// The number of a piece to be read and the buffer for it.
    fn claim(&mut self) -> Option<(u64, Vec<u8>)> {
        if self.over {
            return None;
        }
        let buffer = self.free.pop()?;
        self.unclaimed += 1;
        Some((self.unclaimed - 1, buffer))
    }

    fn deliver(&mut self, number: u64, piece: Piece) {
        self.over |= piece.len < PIECE;
        self.ready.insert(number, piece);
    }
}

/// Tells the other side when the thread ends, even by a panic.
struct Leaving<'a>(&'a Shared);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.lock().gone = true;
        self.0.changed.notify_one();
    }
}

/// No code panics while it holds one of these locks, so what they guard is whole even then.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_place(file: &dyn ReadAt, offset: u64, buffer: Vec<u8>) -> Piece {
    read_piece(buffer, |done, rest| file.read_at(rest, offset + done as u64))
}

/// Reads until the piece is full, or the stream ends or fails.
fn read_piece(mut buffer: Vec<u8>, mut read: impl FnMut(usize, &mut [u8]) -> io::Result<usize>) -> Piece {
    let mut len = 0;
    let mut fault = None;
    while len < PIECE {
        match read(len, &mut buffer[HEADROOM + len..HEADROOM + PIECE]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                fault = Some(error);
                break;
            }
        }
    }
    Piece { buffer, len, fault }
}
