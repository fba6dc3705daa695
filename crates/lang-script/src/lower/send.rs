//! Records: room in the ring buffer, fields written right into it, submitted.

use std::sync::Arc;

use skep_diag::Span;
use skep_ir::{Cond, Memory, Type as IrType, Value, Width};

use super::body::Body;
use super::helpers;
use super::memory::At;
use crate::check::tree::{Call, Expr, Kind, Request};
use crate::plan::{Action, Field, PrintTo, Shape, lay_out};
use crate::types::{Space, Type};

/// Bytes of a record's action.
const HEAD: u32 = 8;
/// Texts that `join` reads, and bytes of each.
const JOINED: u32 = 16;
const JOINED_BYTES: u32 = 1024;

/// What is lost if there is no room for a record.
pub enum Lost {
    /// The record.
    Record,
    /// An error, which decides about the exit status.
    Error,
    /// The end of the script, with this status.
    Exit(Value),
}

/// Whether an expression has to be evaluated before there is a record: it could leave the program, or it sends a record
/// that has to come first.
const fn comes_first(kind: &Kind) -> bool {
    matches!(kind, Kind::Block(..) | Kind::Function(..) | Kind::Inline(..) | Kind::Builtin(Call::Unwind(_)))
}

/// A field whose value is known before there is a record.
enum Ready {
    /// A number.
    Number(Type, Value),
    /// Bytes in memory.
    Bytes(At, u32),
    /// Written when there is a record.
    Later,
}

impl Body<'_, '_, '_> {
    /// Sends a record.
    pub fn send(&mut self, request: &Request, args: &[Expr], span: Span) {
        match request {
            Request::Join(separator, space) => return self.join(separator, *space, &args[0], span),
            Request::Entry(map, plain) => return self.send_entry(*map, *plain, args, span),
            _ => {}
        }
        let shapes: Vec<Shape> = args.iter().map(|arg| self.cx.shape(&arg.ty)).collect();
        let fields = lay_out(HEAD, shapes);
        let size = end(&fields);
        let ready: Vec<Ready> = args.iter().map(|arg| self.prepare(arg)).collect();
        let offsets: Vec<u32> = fields.iter().map(|field| field.offset).collect();
        self.cx.needs_flags(request);
        let lost = match request {
            Request::Print(PrintTo::Error(_), _) => Lost::Error,
            _ => Lost::Record,
        };
        let action = match request.clone() {
            Request::Print(to, format) => Action::Print { to, format, args: fields },
            Request::Cat(format) => Action::Cat { format, args: fields },
            Request::System(format) => Action::System { format, args: fields },
            Request::Time(format) => Action::Time { format },
            Request::Map(map, top, div) => Action::PrintMap { map: map.0, top, div },
            Request::Clear(map) => Action::Clear { map: map.0 },
            Request::Zero(map) => Action::Zero { map: map.0 },
            Request::Value | Request::Join(..) | Request::Entry(..) => {
                let value = fields.into_iter().next().unwrap_or(Field { offset: HEAD, shape: Shape::Void });
                Action::PrintValue { value }
            }
        };
        let action = self.cx.action(action);
        self.at(span);
        if args.is_empty() && matches!(lost, Lost::Record) {
            return self.warn(action);
        }
        self.record(action, size, lost, |body, record| {
            for ((arg, ready), offset) in args.iter().zip(ready).zip(offsets) {
                body.write_ready(arg, ready, record.plus(offset));
            }
        });
    }

    /// Evaluates what has to be known before there is a record: numbers, and everything that could leave the program or
    /// sends a record itself.
    fn prepare(&mut self, arg: &Expr) -> Ready {
        if arg.ty.scalar().is_some() {
            return Ready::Number(arg.ty.clone(), self.scalar(arg));
        }
        let mut first = false;
        arg.visit(&mut |inner| first |= comes_first(&inner.kind));
        if first {
            let size = self.size(&arg.ty);
            return Ready::Bytes(self.bytes_of(arg), size);
        }
        Ready::Later
    }

    fn write_ready(&mut self, arg: &Expr, ready: Ready, to: At) {
        match ready {
            Ready::Number(ty, value) => self.store_scalar(&ty, to, value),
            Ready::Bytes(from, size) => self.copy(to, from, size),
            Ready::Later => self.write(arg, to, false),
        }
    }

    /// Makes a record, lets `fill` write its fields, and submits it. Without room it counts as lost.
    pub fn record(&mut self, action: i64, size: u32, lost: Lost, fill: impl FnOnce(&mut Self, At)) {
        let map = self.b.map_addr(self.cx.events);
        let bytes = self.b.i64(size.into());
        let flags = self.b.i64(0);
        let found = self.call(helpers::RINGBUF_RESERVE, &[map, bytes, flags], IrType::nullable(Memory::Record));
        let null = self.b.null(Memory::Record);
        let (some, none, done) = (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
        let record = self.b.branch_refining(Cond::Ne, found, null, some, none);
        self.b.switch_to(none);
        self.cx.count_lost(&mut self.b, &lost);
        self.b.jump(done, &[]);
        self.b.switch_to(some);
        let action = self.b.i64(action);
        self.store(Width::W64, At::start(record), action);
        fill(self, At::start(record));
        let flags = self.b.i64(0);
        self.call_void(helpers::RINGBUF_SUBMIT, &[record, flags]);
        self.b.jump(done, &[]);
        self.b.switch_to(done);
    }

    /// `print(@map[key])`
    fn send_entry(&mut self, map: crate::check::tree::Map, plain: bool, args: &[Expr], span: Span) {
        let (key, value) = match args.split_last() {
            Some((value, key)) if plain => (key, Some(value)),
            _ => (args, None),
        };
        let stored = &self.cx.maps[map.0 as usize];
        let (fields, key_size) = (stored.key.clone(), stored.key_size);
        // The key of a map without keys are four zero bytes.
        let shape = if fields.is_empty() { Shape::Int { bytes: 4, signed: false } } else { Shape::Tuple(fields) };
        let mut shapes = vec![shape];
        shapes.extend(value.map(|value| self.cx.shape(&value.ty)));
        let mut laid = lay_out(HEAD, shapes);
        let size = end(&laid);
        let at = self.key(map, key);
        let ready = value.map(|value| (self.prepare(value), value));
        let value_field = if plain { laid.pop() } else { None };
        let Some(key_field) = laid.pop() else { return };
        let (key_offset, value_offset) = (key_field.offset, value_field.as_ref().map_or(0, |field| field.offset));
        let action = self.cx.action(Action::PrintEntry { map: map.0, key: key_field, value: value_field });
        self.at(span);
        self.record(action, size, Lost::Record, |body, record| {
            body.copy(record.plus(key_offset), at, key_size);
            if let Some((ready, value)) = ready {
                body.write_ready(value, ready, record.plus(value_offset));
            }
        });
    }

    /// `exit(status)`: the record; the program is left by the caller.
    pub fn send_exit(&mut self, status: &Expr, span: Span) {
        let status = self.scalar(status);
        let action = self.cx.action(Action::Exit { status: HEAD });
        self.at(span);
        self.record(action, HEAD + 8, Lost::Exit(status), |body, record| {
            body.store(Width::W64, record.plus(HEAD), status);
        });
    }

    /// `join(array)`: the texts at the addresses in the array, up to the first that is 0.
    fn join(&mut self, separator: &Arc<str>, space: Space, array: &Expr, span: Span) {
        let shape = Shape::Array(Box::new(Shape::Text(JOINED_BYTES)), JOINED);
        let size = HEAD + shape.size();
        let texts = Field { offset: HEAD, shape };
        let array = self.scalar(array);
        let action = self.cx.action(Action::Join { separator: separator.clone(), texts });
        self.at(span);
        // The addresses first: where the array ends, what follows is something else.
        let pointers = self.temp(JOINED * 8);
        self.read(pointers, JOINED * 8, array, space);
        self.record(action, size, Lost::Record, |body, record| {
            let mut before = body.b.i64(1);
            for number in 0..JOINED {
                let pointer = body.load(Width::W64, false, pointers.plus(number * 8));
                let zero = body.b.i64(0);
                before = body.b.select(Cond::Eq, before, zero, zero, pointer);
                let to = record.plus(HEAD + number * JOINED_BYTES);
                body.read_text(to, JOINED_BYTES, None, before, space, false);
            }
        });
    }
}

/// Where fields end, rounded up to whole words.
fn end(fields: &[Field]) -> u32 {
    let end = fields.iter().map(|field| field.offset + field.shape.size()).max().unwrap_or(HEAD);
    end.next_multiple_of(8)
}
