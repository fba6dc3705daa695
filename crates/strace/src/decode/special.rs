//! Arguments with a form of their own: messages, sets of nodes, what stands for files, structures that have grown.

use std::fmt::Write as _;

use super::text::{Bytes, Style, address, end_array, quote};
use super::{Writer, net, values};
use crate::program::layout::{MESSAGE_STEP, MESSAGES, op, part};
use crate::table::kind::Kind;
use crate::table::structs::Struct;

/// Bytes of a word of a set of nodes.
const WORD: usize = 8;
/// Bytes in front of the text of a message of a queue, and of what stands for a file.
const HEAD: usize = 8;
/// `MAX_HANDLE_SZ`
const HANDLE: usize = 128;
/// Most bytes of the name of a thread.
const THREAD_NAME: usize = 15;

impl<'r> Writer<'_, 'r> {
    /// Writes an argument of one of the kinds that are special.
    pub(super) fn special(&mut self, kind: Kind, number: usize, raw: u64) {
        match kind {
            Kind::InHex(length) => self.in_hex(number, self.view.arg(length.into()) as u32 as i32, raw),
            Kind::OutCounted => self.counted(number, raw),
            Kind::InOut(before, after) => match self.bytes_of(number, true) {
                Some(bytes) => self.structure(after, Some(bytes), raw),
                None => self.structure(before, self.bytes_of(number, false), raw),
            },
            Kind::Left(one) => self.structure(one, self.bytes_of(number, false), raw),
            Kind::Sized(one, length, hint) => self.sized(one, number, self.view.arg(length.into()), hint, raw),
            Kind::FilledArray(one, length) => {
                let bytes = self.bytes_of(number, true);
                match (bytes, self.view.failed()) {
                    (None, true) => address(raw, &mut self.out),
                    _ => self.array(one, bytes, self.view.arg(length.into()), raw),
                }
            }
            Kind::AddressVector(count) => {
                let view = self.view;
                let get = |wanted| if wanted == part::VECTOR { view.before(number, part::WHOLE) } else { None };
                net::vector(raw, view.arg(count.into()), &get, self.style, &mut self.out);
            }
            Kind::Messages(_) | Kind::OutMessages(_) => self.messages(kind, number, raw),
            Kind::QueueMessage(length) => {
                self.queue_message(self.bytes_of(number, false), self.view.arg(length.into()), raw);
            }
            // strace shows all of the room for the text, whatever came.
            Kind::OutQueueMessage(length) => {
                self.queue_message(self.bytes_of(number, true), self.view.arg(length.into()), raw);
            }
            Kind::OutFds => match self.bytes_of(number, true).map(Bytes) {
                Some(bytes) => {
                    self.out.push('[');
                    self.descriptor(bytes.i32(0));
                    self.out.push_str(", ");
                    self.descriptor(bytes.i32(4));
                    self.out.push(']');
                }
                None => address(raw, &mut self.out),
            },
            Kind::Nodes(bits) => self.nodes(self.bytes_of(number, false), self.view.arg(bits.into()), raw),
            Kind::OutNodes(bits) => self.nodes(self.bytes_of(number, true), self.view.arg(bits.into()), raw),
            Kind::Handle => self.handle(number, raw),
            Kind::OutHandle => self.handle_out(number, raw),
            Kind::Capabilities => {
                let version = number.checked_sub(1).and_then(|head| self.bytes_of(head, false));
                match version.zip(self.bytes_of(number, false)) {
                    Some((head, bytes)) => {
                        values::sets_of_capabilities(Bytes(head).u32(0), Bytes(bytes), &mut self.out)
                    }
                    None => address(raw, &mut self.out),
                }
            }
            Kind::HostName(length) => {
                const MOST: u32 = 64;
                let bytes = self.bytes_of(number, false).filter(|_| self.view.arg(length.into()) as u32 <= MOST);
                self.bytes(bytes, (self.view.arg(length.into()) as u32).into(), raw);
            }
            Kind::ThreadName => self.thread_name(self.text_of(number, false), raw),
            Kind::OutThreadName => self.thread_name(self.text_of(number, true), raw),
            Kind::MountType | Kind::MountData => self.mount_text(kind, number, raw),
            other => self.filled_after(other, number, raw),
        }
    }

    /// The bytes of an argument: as they were when the call began, or as a call that has succeeded has left them.
    fn bytes_of(&self, number: usize, end: bool) -> Option<&'r [u8]> {
        self.view.captured(op::BYTES, number, end).filter(|_| !end || !self.view.failed())?.bytes
    }

    /// The same of a text.
    fn text_of(&self, number: usize, end: bool) -> Option<&'r [u8]> {
        self.view.captured(op::TEXT, number, end).filter(|_| !end || !self.view.failed())?.bytes
    }

    /// Bytes of a length that may be negative, always as hexadecimal numbers.
    fn in_hex(&mut self, number: usize, length: i32, raw: u64) {
        let bytes = self.bytes_of(number, false).filter(|_| length >= 0);
        let before = self.style.hex;
        self.style.hex = 2;
        self.bytes(bytes, length.max(0).unsigned_abs().into(), raw);
        self.style.hex = before;
    }

    /// A text whose end is counted by the result.
    fn counted(&mut self, number: usize, raw: u64) {
        let full = u64::try_from(self.view.result()).unwrap_or(0).saturating_sub(1);
        let bytes = self.bytes_of(number, true);
        self.bytes(bytes.map(|bytes| bytes.strip_suffix(&[0]).unwrap_or(bytes)), full, raw);
    }

    /// A structure that newer kernels know with more fields: what is behind those that are known is said.
    fn sized(&mut self, one: &Struct, number: usize, size: u64, hint: bool, raw: u64) {
        let known = usize::from(one.size);
        let Some(bytes) = self.bytes_of(number, false).filter(|bytes| bytes.len() >= known && size >= known as u64)
        else {
            return address(raw, &mut self.out);
        };
        let (front, behind) = bytes.split_at(known);
        (one.write)(Bytes(front), self.style, &mut self.out);
        let more = if hint { size > known as u64 } else { behind.iter().any(|byte| *byte != 0) };
        if !more {
            return;
        }
        self.out.pop();
        if hint {
            self.out.push_str(", ...}");
        } else {
            // Writing to a string succeeds.
            let _ = write!(self.out, ", /* bytes {known}..{} */ ", bytes.len() - 1);
            let shown = &behind[..behind.len().min(self.style.most)];
            quote(shown, behind.len() > shown.len(), Style { hex: 2, ..self.style }, &mut self.out);
            self.out.push('}');
        }
    }

    /// Several messages, and how long those are that were sent or received.
    fn messages(&mut self, kind: Kind, number: usize, raw: u64) {
        let view = self.view;
        let end = matches!(kind, Kind::OutMessages(_));
        let done = usize::try_from(view.result()).unwrap_or(0);
        let (heads, lengths) = (self.bytes_of(number, false), self.bytes_of(number, true));
        let count = match kind {
            Kind::Messages(count) => view.arg(count.into()) as u32 as usize,
            _ => done,
        };
        let place = |index: usize| number + (index << MESSAGE_STEP);
        let there =
            |index| if end { view.after(place(index), part::WHOLE) } else { view.before(place(index), part::WHOLE) };
        let known = |index: usize| there(index).is_some_and(|chunk| chunk.bytes.is_some());
        if !known(0) || end && view.failed() {
            return if count == 0 && raw != 0 && !end { self.out.push_str("[]") } else { address(raw, &mut self.out) };
        }
        self.out.push('[');
        let shown = count.min(MESSAGES as usize).min(self.style.elements());
        let mut written = 0;
        for index in (0..shown).take_while(|index| known(*index)) {
            self.out.push_str(if index == 0 { "{msg_hdr=" } else { ", {msg_hdr=" });
            let old = heads.filter(|_| end).map(|bytes| Bytes(bytes).i32(64 * index + 8));
            net::message(view, place(index), end, old, self.style, &mut self.out);
            if let Some(bytes) = lengths.filter(|_| index < done) {
                let _ = write!(self.out, ", msg_len={}", Bytes(bytes).u32(64 * index + 56));
            }
            self.out.push('}');
            written += 1;
        }
        end_array(written, count as u64, &mut self.out);
    }

    /// A message of a queue: its type and its text.
    fn queue_message(&mut self, bytes: Option<&[u8]>, length: u64, raw: u64) {
        let Some((head, text)) = bytes.and_then(|bytes| bytes.split_at_checked(HEAD)) else {
            return address(raw, &mut self.out);
        };
        let _ = write!(self.out, "{{mtype={}, mtext=", Bytes(head).i64(0));
        self.bytes(Some(text), length, raw);
        self.out.push('}');
    }

    /// A set of memory nodes in words of 16 digits.
    fn nodes(&mut self, bytes: Option<&[u8]>, bits: u64, raw: u64) {
        let Some(bytes) = bytes.filter(|bytes| bytes.len() >= WORD) else {
            return if bits == 0 && raw != 0 { self.out.push_str("[]") } else { address(raw, &mut self.out) };
        };
        self.out.push('[');
        let words = bytes.as_chunks::<WORD>().0;
        let words = &words[..words.len().min(self.style.elements())];
        for (at, word) in words.iter().enumerate() {
            self.out.push_str(if at == 0 { "" } else { ", " });
            let _ = match u64::from_le_bytes(*word) {
                0 => write!(self.out, "{:016}", 0),
                word => write!(self.out, "{word:#016x}"),
            };
        }
        end_array(words.len(), bits.saturating_sub(1).div_ceil(64), &mut self.out);
    }

    /// What stands for a file: `{handle_bytes=8, handle_type=1, f_handle="\x13..."}`.
    fn handle(&mut self, number: usize, raw: u64) {
        let Some(bytes) = self.bytes_of(number, false).filter(|bytes| bytes.len() >= HEAD) else {
            return address(raw, &mut self.out);
        };
        let _ = write!(self.out, "{{handle_bytes={}", Bytes(bytes).u32(0));
        self.handle_rest(bytes);
    }

    fn handle_rest(&mut self, bytes: &[u8]) {
        let length = Bytes(bytes).u32(0) as usize;
        let _ = write!(self.out, ", handle_type={}, f_handle=", Bytes(bytes).i32(4));
        let data = &bytes[HEAD..];
        quote(&data[..data.len().min(length)], length > HANDLE, Style { hex: 2, ..self.style }, &mut self.out);
        self.out.push('}');
    }

    /// The same, filled by the call, with the length before.
    fn handle_out(&mut self, number: usize, raw: u64) {
        let Some(old) = self.bytes_of(number, false).filter(|bytes| bytes.len() >= 4) else {
            return address(raw, &mut self.out);
        };
        let _ = write!(self.out, "{{handle_bytes={}", Bytes(old).u32(0));
        match self.bytes_of(number, true).filter(|bytes| bytes.len() >= HEAD) {
            Some(new) => {
                if Bytes(new).u32(0) != Bytes(old).u32(0) {
                    let _ = write!(self.out, " => {}", Bytes(new).u32(0));
                }
                self.handle_rest(new);
            }
            None => self.out.push('}'),
        }
    }

    fn thread_name(&mut self, bytes: Option<&[u8]>, raw: u64) {
        match bytes {
            Some(bytes) => {
                let shown = &bytes[..bytes.len().min(THREAD_NAME).min(self.style.most)];
                quote(shown, bytes.len() > shown.len(), self.style, &mut self.out);
            }
            None => address(raw, &mut self.out),
        }
    }

    /// The type of a file system or what is said to it, if the flags of `mount` let it count.
    fn mount_text(&mut self, kind: Kind, number: usize, raw: u64) {
        const REMOUNT: u64 = 0x20;
        /// MS_BIND, MS_MOVE, and what changes how mounts spread.
        const MOVES: u64 = 0x3000 | 0x1e_0000;
        let bits = self.view.arg(3);
        let counts = bits & (REMOUNT | MOVES) == 0 || bits & REMOUNT != 0 && matches!(kind, Kind::MountData);
        match self.text_of(number, false).filter(|_| counts) {
            Some(bytes) => super::text::text(bytes, self.style.most, self.style, &mut self.out),
            None => address(raw, &mut self.out),
        }
    }
}
