//! Compressed captures: which compression it is, and a reader that undoes it.
//!
//! Every decompressor accepts several members or frames after each other, and hands out what it could decode before it
//! reports damage. (lz4 is decoded in whole blocks, so there the block with the damage is lost.)

use std::io::{self, BufRead, BufReader, Read};

use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// How a capture file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
    /// The lz4 frame format, version 1.
    Lz4,
}

impl Compression {
    /// Tells the compression by the first four bytes. No capture format begins with any of these.
    pub(crate) fn detect(head: &[u8]) -> Self {
        match *head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Zstd,
            // A skippable frame (RFC 8878, section 3.1.2): both formats have them, only zstd tools write them first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Zstd,
            [0x04, 0x22, 0x4d, 0x18] => Self::Lz4,
            _ => Self::None,
        }
    }
}

/// Puts the decompressor in front of `input`, which must still be at its first byte.
pub(crate) fn wrap(compression: Compression, input: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    let buffered = BufReader::with_capacity(128 * 1024, input);
    match compression {
        Compression::None => Box::new(buffered),
        Compression::Gzip => Box::new(GzipMembers::new(buffered)),
        Compression::Zstd => Box::new(ZstdFrames::new(buffered)),
        Compression::Lz4 => Box::new(Lz4Frames { input: lz4_flex::frame::FrameDecoder::new(buffered) }),
    }
}

/// All gzip members of a stream, one after the other.
///
/// The library's own reader for this drops what it has decoded in the call that meets an error: up to a buffer full.
struct GzipMembers<R> {
    input: R,
    inflate: Decompress,
    /// Between two members; the stream may end here.
    between: bool,
    fault: Option<io::Error>,
}

impl<R: BufRead> GzipMembers<R> {
    fn new(input: R) -> Self {
        Self { input, inflate: Decompress::new_gzip(15), between: false, fault: None }
    }
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
            let input = self.input.fill_buf()?;
            if input.is_empty() {
                return if self.between { Ok(0) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            if self.between {
                self.inflate.reset(true);
                self.between = false;
            }
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let result = self.inflate.decompress(input, buffer, FlushDecompress::None);
            let consumed = self.inflate.total_in() - before_in;
            // Neither count can exceed the length of its slice.
            let produced = (self.inflate.total_out() - before_out) as usize;
            self.input.consume(consumed as usize);
            match result {
                Ok(Status::StreamEnd) => self.between = true,
                Ok(_) if consumed > 0 || produced > 0 => {}
                // The library's own words depend on how the data were split between calls.
                _ => self.fault = Some(io::Error::new(io::ErrorKind::InvalidData, "the gzip data are damaged")),
            }
            if produced > 0 || buffer.is_empty() {
                return Ok(produced);
            }
        }
    }
}

/// All zstd frames of a stream, one after the other.
struct ZstdFrames<R> {
    input: R,
    decoder: FrameDecoder,
    in_frame: bool,
    /// What to report once everything decoded so far has been handed out.
    fault: Option<io::Error>,
    done: bool,
}

impl<R: BufRead> ZstdFrames<R> {
    fn new(input: R) -> Self {
        Self { input, decoder: FrameDecoder::new(), in_frame: false, fault: None, done: false }
    }

    /// Begins the next frame that holds data; false at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.input.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.init(&mut self.input) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.input).take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, format!("bad zstd frame: {error}")));
                }
            }
        }
    }

    /// To be called when the whole frame has been handed out: the library computes the checksum on the way out.
    fn verify_checksum(&mut self) -> io::Result<()> {
        let (stated, computed) = (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
        if stated.is_none() || stated == computed {
            return Ok(());
        }
        self.done = true;
        let what = "the checksum of a zstd frame does not match its contents";
        Err(io::Error::new(io::ErrorKind::InvalidData, what))
    }

    /// Decodes one block. At a fault it ends the frame early, so that the decoder gives up the bytes that it holds back
    /// as history for later blocks: without that, up to a window (megabytes) of good data would be lost.
    fn next_block(&mut self) {
        const LAST_EMPTY_BLOCK_AND_CHECKSUM: &[u8] = &[1, 0, 0, 0, 0, 0, 0];
        let result = self.decoder.decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBlocks(1));
        if let Err(error) = result {
            let at_end = self.input.fill_buf().is_ok_and(<[u8]>::is_empty);
            self.fault = Some(if at_end {
                io::ErrorKind::UnexpectedEof.into()
            } else {
                io::Error::new(io::ErrorKind::InvalidData, format!("bad zstd data: {error}"))
            });
            // If even this fails there is nothing more to hand out, and the first fault is what counts.
            let _ = self.decoder.decode_blocks(LAST_EMPTY_BLOCK_AND_CHECKSUM, BlockDecodingStrategy::All);
        }
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.in_frame {
                if self.decoder.can_collect() > 0 {
                    return self.decoder.read(buffer);
                }
                if let Some(fault) = self.fault.take() {
                    self.in_frame = false;
                    self.done = true;
                    return Err(fault);
                }
                if self.decoder.is_finished() {
                    self.in_frame = false;
                    self.verify_checksum()?;
                } else {
                    self.next_block();
                }
            } else if self.done {
                return Ok(0);
            } else {
                self.in_frame = self.next_frame()?;
                self.done = !self.in_frame;
            }
        }
    }
}

/// All lz4 frames of a stream; the library's reader stops after each.
struct Lz4Frames<R: Read> {
    input: lz4_flex::frame::FrameDecoder<R>,
}

impl<R: BufRead> Read for Lz4Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.input.read(buffer).map_err(explain_lz4)?;
            if count > 0 || buffer.is_empty() || self.input.get_mut().fill_buf()?.is_empty() {
                return Ok(count);
            }
        }
    }
}

fn explain_lz4(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::Interrupted => error,
        kind => io::Error::new(kind, format!("bad lz4 data: {error}")),
    }
}
