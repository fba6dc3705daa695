//! Decompressing ahead: a thread that decompresses a file while the packets before are filtered and printed.
//!
//! A few buffers go round between the thread and the [`Source`](super::source). Pieces come in order, each with the
//! fault that ended it, so nothing changes for the decoders.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Bytes of a piece: large enough to make system calls and hand-overs cheap, small enough for the caches.
pub(crate) const PIECE: usize = 128 * 1024;
/// Free bytes in front of a piece, for the beginning of a record whose end is in the piece.
pub(crate) const HEADROOM: usize = 64 * 1024;
/// Buffers in the round, that of the source included.
const BUFFERS: usize = 8;

/// Part of a stream: `buffer[HEADROOM..HEADROOM + len]`.
pub(crate) struct Piece {
    pub(crate) buffer: Vec<u8>,
    /// Less than [`PIECE`] if the stream ended or failed here.
    pub(crate) len: usize,
    pub(crate) fault: Option<io::Error>,
}

/// The round of buffers and its thread, which ends when this is dropped.
pub(crate) struct Ahead {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    ready: VecDeque<Piece>,
    free: Vec<Vec<u8>>,
    /// Nothing more is to be read: the stream ended or failed, or nobody wants the rest.
    over: bool,
    /// The thread has ended.
    gone: bool,
}

impl Ahead {
    /// Starts the thread.
    ///
    /// # Errors
    /// Gives the stream back if the system has no thread left.
    pub(crate) fn start(input: Box<dyn Read + Send>) -> Result<Self, Box<dyn Read + Send>> {
        let free = (1..BUFFERS).map(|_| vec![0; HEADROOM + PIECE]).collect();
        let state = State { ready: VecDeque::new(), free, over: false, gone: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        // Handed over by way of a shared place, because a thread that does not start drops what it was given.
        let parcel = Arc::new(Mutex::new(Some(input)));
        let (theirs, gift) = (Arc::clone(&shared), Arc::clone(&parcel));
        let spawned = thread::Builder::new().name("decompress".into()).spawn(move || {
            let _leaving = Leaving(&theirs);
            let input = lock(&gift).take();
            if let Some(input) = input {
                theirs.read_all(input);
            }
        });
        match spawned {
            Ok(thread) => Ok(Self { shared, thread: Some(thread) }),
            Err(_) => Err(lock(&parcel).take().unwrap_or_else(|| Box::new(io::empty()))),
        }
    }

    /// The next piece. Its buffer, or another one, must come back with [`give_back`](Self::give_back).
    ///
    /// There is nothing behind a piece that is short, and this must not be called again.
    pub(crate) fn next(&mut self) -> Piece {
        let mut state = self.shared.lock();
        loop {
            if let Some(piece) = state.ready.pop_front() {
                return piece;
            }
            if state.gone {
                let fault = Some(io::Error::other("the decompressor failed at something it did not expect"));
                return Piece { buffer: vec![0; HEADROOM + PIECE], len: 0, fault };
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
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
    fn read_all(&self, mut input: Box<dyn Read + Send>) {
        while let Some(buffer) = self.wait_for_buffer() {
            let piece = read_piece(buffer, &mut input);
            let mut state = self.lock();
            state.over |= piece.len < PIECE;
            state.ready.push_back(piece);
            drop(state);
            self.changed.notify_one();
        }
    }

    fn wait_for_buffer(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        loop {
            if state.over {
                return None;
            }
            if let Some(buffer) = state.free.pop() {
                return Some(buffer);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
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

/// Reads until the piece is full, or the stream ends or fails.
fn read_piece(mut buffer: Vec<u8>, input: &mut dyn Read) -> Piece {
    let mut len = 0;
    let mut fault = None;
    while len < PIECE {
        match input.read(&mut buffer[HEADROOM + len..HEADROOM + PIECE]) {
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Panics;

    impl Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("on purpose")
        }
    }

    #[test]
    fn a_thread_that_panics_is_an_error() {
        let Ok(mut ahead) = Ahead::start(Box::new(Panics)) else { return };
        let piece = ahead.next();
        assert_eq!(piece.len, 0);
        assert!(piece.fault.is_some());
    }

    #[test]
    fn an_error_comes_behind_the_bytes_before_it() {
        let input = io::repeat(7).take(PIECE as u64 + 10).chain(Fails);
        let Ok(mut ahead) = Ahead::start(Box::new(input)) else { return };
        let first = ahead.next();
        assert_eq!((first.len, first.fault.is_none()), (PIECE, true));
        ahead.give_back(vec![0; 5]);
        let second = ahead.next();
        assert_eq!((second.len, second.fault.is_some()), (10, true));
        assert_eq!(second.buffer[HEADROOM..HEADROOM + 10], [7; 10]);
    }

    struct Fails;

    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("on purpose"))
        }
    }
}
