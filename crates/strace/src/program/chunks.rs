//! Functions that copy memory of the traced program into the record.
//!
//! Every one is verified by itself, so their loops and branches do not multiply. They have no pointers as arguments: the
//! working memory of the processor is looked up again, which the kernel does without a call.

use skep_ir::{Binary, Cond, FuncRef, Function, MapRef, Module, Unary, Value, Width};

use super::code::{self, Code};
use super::layout::{MESSAGE_STEP, MESSAGES, chunk, field, length, op, part, work};

/// Elements of arrays of pointers and vectors that are looked at: one more than is shown.
const MOST_ELEMENTS: i64 = 65;
/// Pointers that are counted.
const MOST_COUNTED: i64 = 1024;
/// Of those, so many with one look at the memory.
const COUNTED_TOGETHER: i64 = 16;
/// Bytes of `struct msghdr`.
const MESSAGE: i64 = 56;
/// Bytes of `struct mmsghdr`, and where it has the length of what was received.
const MESSAGE_ENTRY: i64 = 64;
const MESSAGE_LENGTH: i64 = 56;
/// Bytes of a name or control data of a message.
const MOST_NAME: i64 = 128;
const MOST_CONTROL: i64 = 256;

/// What functions share.
pub struct Chunks {
    scratch: MapRef,
    /// `(meta, address, bytes, most)`
    bytes: FuncRef,
    /// `(meta, address, most)`
    text: FuncRef,
    /// `(meta, address, elements, most)`
    texts: FuncRef,
    counted: FuncRef,
    vector: FuncRef,
    message: FuncRef,
    messages: FuncRef,
}

/// Adds all functions; gives the one that performs an operation of a descriptor: `(operation)`.
pub fn add(module: &mut Module, scratch: MapRef) -> FuncRef {
    let add = |module: &mut Module, function: Function| module.add_function(function);
    let bytes = add(module, bytes(scratch));
    let text = add(module, text(scratch));
    let none = FuncRef(0);
    let mut chunks =
        Chunks { scratch, bytes, text, texts: none, counted: none, vector: none, message: none, messages: none };
    chunks.texts = add(module, texts(&chunks));
    chunks.counted = add(module, counted(&chunks));
    chunks.vector = add(module, vector(&chunks));
    chunks.message = add(module, message(&chunks));
    chunks.messages = add(module, messages(&chunks));
    add(module, operation(&chunks))
}

/// The working memory.
pub fn work_memory(code: &mut Code<'_>, scratch: MapRef) -> Value {
    let zero = code.num(0);
    code.value_or_leave(scratch, zero)
}

/// Where the next chunk begins, and its offset in the record; the function ends if the record is full.
fn begin(code: &mut Code<'_>, memory: Value) -> (Value, Value) {
    let cursor = code.load(Width::W64, memory, work::CURSOR);
    let limit = code.num(work::LIMIT);
    code.leave_if(Cond::Ugt, cursor, limit);
    let record = code.b.ptr_add_const(memory, work::RECORD.into());
    (code.b.ptr_add(record, cursor), cursor)
}

/// Writes the head of a chunk and moves the cursor behind its bytes.
fn finish(code: &mut Code<'_>, memory: Value, at: (Value, Value), meta: Value, got: Value, full: Value) {
    let mark = code.load(Width::W64, memory, work::MARK);
    let meta = code.b.binary(Binary::Or, meta, mark);
    let meta = code.b.unary(Unary::Truncate, meta);
    code.b.store(Width::W32, at.0, chunk::KIND, meta);
    let short = code.b.unary(Unary::Truncate, got);
    code.b.store(Width::W32, at.0, chunk::GOT, short);
    code.b.store(Width::W64, at.0, chunk::FULL, full);
    let zero = code.num(0);
    let bytes = code.var(got);
    code.when(Cond::Slt, got, zero, |code| {
        let zero = code.num(0);
        code.set(bytes, zero);
        let one = code.num(1);
        code.add_to(memory, work::FAILED, one);
    });
    let bytes = code.get(bytes);
    let rounded = code.with(Binary::Add, bytes, 7);
    let rounded = code.with(Binary::And, rounded, !7);
    let behind = code.with(Binary::Add, rounded, chunk::HEAD);
    let cursor = code.b.binary(Binary::Add, at.1, behind);
    code.b.store(Width::W64, memory, work::CURSOR, cursor);
}

/// `(meta, address, bytes, most)`: copies bytes, as many as there are but at most so many.
fn bytes(scratch: MapRef) -> Function {
    code::function("strace_bytes", 4, |code, args| {
        let &[meta, address, full, most] = args else { return };
        let memory = work_memory(code, scratch);
        let at = begin(code, memory);
        let wanted = code.min(full, most);
        let cap = code.num(work::MOST);
        let wanted = code.min(wanted, cap);
        let to = code.b.ptr_add_const(at.0, chunk::HEAD as i32);
        let zero = code.num(0);
        let got = code.var(wanted);
        code.when(Cond::Ne, wanted, zero, |code| {
            let failed = code.helper(code::READ_USER, &[to, wanted, address]);
            let zero = code.num(0);
            code.when(Cond::Ne, failed, zero, |code| {
                let fault = code.num(-1);
                code.set(got, fault);
            });
        });
        let got = code.get(got);
        finish(code, memory, at, meta, got, full);
        code.b.ret(Some(got));
    })
}

/// `(meta, address, most)`: copies a text, at most so many bytes with its end.
fn text(scratch: MapRef) -> Function {
    code::function("strace_text", 3, |code, args| {
        let &[meta, address, most] = args else { return };
        let memory = work_memory(code, scratch);
        let at = begin(code, memory);
        let cap = code.num(work::MOST);
        let most = code.min(most, cap);
        let to = code.b.ptr_add_const(at.0, chunk::HEAD as i32);
        let got = code.helper(code::READ_USER_STR, &[to, most, address]);
        let zero = code.num(0);
        let shown = code.var(got);
        code.when(Cond::Slt, got, zero, |code| {
            let fault = code.num(-1);
            code.set(shown, fault);
        });
        // The verifier does not know that a text is no longer than it may be.
        let shown = code.get(shown);
        let cap = code.num(work::MOST);
        let known = code.var(shown);
        code.when(Cond::Sgt, shown, cap, |code| code.set(known, cap));
        let shown = code.get(known);
        finish(code, memory, at, meta, shown, shown);
        code.b.ret(Some(shown));
    })
}

/// The same chunk with the number of a part in place of the whole.
fn with_part(code: &mut Code<'_>, meta: Value, number: Value) -> Value {
    let low = code.with(Binary::And, meta, 0xffff);
    let high = code.with(Binary::Shl, number, 16);
    code.b.binary(Binary::Or, low, high)
}

fn constant_part(code: &mut Code<'_>, meta: Value, number: u16) -> Value {
    let number = code.num(number.into());
    with_part(code, meta, number)
}

/// Reads memory of the user to the stack, filled with zeros if that fails. Gives what the helper returns.
fn peek(code: &mut Code<'_>, to: Value, bytes: i64, address: Value) -> Value {
    let bytes = code.num(bytes);
    code.helper(code::READ_USER, &[to, bytes, address])
}

/// The address of an element.
fn element(code: &mut Code<'_>, array: Value, index: Value, size: i64) -> Value {
    let distance = code.with(Binary::Mul, index, size);
    code.b.binary(Binary::Add, array, distance)
}

/// `(meta, address, elements, most)`: copies the texts that an array of pointers points to, and the number that there
/// are, as far as they are counted.
fn texts(chunks: &Chunks) -> Function {
    code::function("strace_texts", 4, |code, args| {
        let &[meta, address, elements, most] = args else { return };
        let pointer = code.buffer(8);
        // One more than is shown tells that there are more.
        code.repeat(
            MOST_ELEMENTS,
            |_, index| (Cond::Ugt, index, elements),
            |code, index| {
                let from = element(code, address, index, 8);
                let failed = peek(code, pointer, 8, from);
                let zero = code.num(0);
                let meta = with_part(code, meta, index);
                code.when(Cond::Ne, failed, zero, |code| {
                    let nothing = code.num(0);
                    let fault = code.num(0);
                    // Reading no address fails, and leaves a chunk that says so.
                    let one = code.num(1);
                    let whole = constant_part(code, meta, part::WHOLE);
                    code.call(chunks.bytes, &[whole, nothing, one, one]);
                    code.b.ret(Some(fault));
                });
                let target = code.load(Width::W64, pointer, 0);
                code.leave_if(Cond::Eq, target, zero);
                code.call(chunks.text, &[meta, target, most]);
            },
        );
    })
}

/// `(meta, address)`: the number of pointers up to a null pointer; a fault if one could not be read.
fn counted(chunks: &Chunks) -> Function {
    code::function("strace_count", 2, |code, args| {
        let &[meta, address] = args else { return };
        let (zero, one) = (code.num(0), code.num(1));
        let (count, going, unread, fault) = (code.var(zero), code.var(one), code.var(zero), code.var(zero));
        let ended = |code: &mut Code<'_>, _| {
            let zero = code.num(0);
            (Cond::Eq, code.get(going), zero)
        };
        // Many pointers at a time, as every turn of a loop costs time when the program is loaded.
        let block = code.buffer(8 * COUNTED_TOGETHER as u32);
        code.repeat(MOST_COUNTED / COUNTED_TOGETHER, ended, |code, index| {
            let first = code.with(Binary::Mul, index, COUNTED_TOGETHER);
            code.set(count, first);
            let from = element(code, address, first, 8);
            let failed = peek(code, block, 8 * COUNTED_TOGETHER, from);
            let zero = code.num(0);
            code.either(
                Cond::Ne,
                failed,
                zero,
                |code| {
                    let (zero, one) = (code.num(0), code.num(1));
                    code.set(going, zero);
                    code.set(unread, one);
                },
                |code| {
                    // Without branches, of which the verifier would follow each: 1 as long as no pointer was null, added up.
                    let (mut alive, mut found) = (code.num(1), first);
                    for number in 0..COUNTED_TOGETHER {
                        let target = code.load(Width::W64, block, 8 * number as i16);
                        let zero = code.num(0);
                        let negative = code.b.binary(Binary::Sub, zero, target);
                        let either = code.b.binary(Binary::Or, target, negative);
                        let some = code.with(Binary::Lshr, either, 63);
                        alive = code.b.binary(Binary::And, alive, some);
                        found = code.b.binary(Binary::Add, found, alive);
                    }
                    code.set(count, found);
                    code.set(going, alive);
                },
            );
        });
        // Where so many cannot be read, they are read one by one.
        let pointer = code.buffer(8);
        let start = code.get(count);
        let unread = code.get(unread);
        code.set(going, unread);
        code.repeat(COUNTED_TOGETHER, ended, |code, index| {
            let number = code.b.binary(Binary::Add, start, index);
            let from = element(code, address, number, 8);
            let failed = peek(code, pointer, 8, from);
            let zero = code.num(0);
            let target = code.load(Width::W64, pointer, 0);
            code.set(count, number);
            code.when(Cond::Ne, failed, zero, |code| {
                let (zero, none) = (code.num(0), code.num(-1));
                code.set(going, zero);
                code.set(fault, none);
            });
            code.when(Cond::Eq, target, zero, |code| code.set(going, zero));
        });
        let memory = work_memory(code, chunks.scratch);
        let at = begin(code, memory);
        let (got, count) = (code.get(fault), code.get(count));
        finish(code, memory, at, meta, got, count);
    })
}

/// `(meta, address, elements, bytes, most)`: an array of `iovec`, and the first bytes of what each points to, at most
/// `bytes` altogether.
fn vector(chunks: &Chunks) -> Function {
    code::function("strace_vector", 5, |code, args| {
        let &[meta, address, elements, bytes, most] = args else { return };
        let size = code.with(Binary::Mul, elements, 16);
        let cap = code.num(MOST_ELEMENTS * 16);
        let whole = constant_part(code, meta, part::VECTOR);
        let got = code.call(chunks.bytes, &[whole, address, size, cap]);
        let zero = code.num(0);
        code.leave_if(Cond::Slt, got, zero);
        let entry = code.buffer(16);
        let left = code.var(bytes);
        code.repeat(
            MOST_ELEMENTS,
            |_, index| (Cond::Uge, index, elements),
            |code, index| {
                let from = element(code, address, index, 16);
                let failed = peek(code, entry, 16, from);
                let zero = code.num(0);
                code.leave_if(Cond::Ne, failed, zero);
                let base = code.load(Width::W64, entry, 0);
                let len = code.load(Width::W64, entry, 8);
                let rest = code.get(left);
                let len = code.min(len, rest);
                let rest = code.b.binary(Binary::Sub, rest, len);
                code.set(left, rest);
                let meta = with_part(code, meta, index);
                code.call(chunks.bytes, &[meta, base, len, most]);
            },
        );
    })
}

/// `(meta, address, bytes, most)`: a `msghdr` with its name, its vector and its control data.
fn message(chunks: &Chunks) -> Function {
    code::function("strace_message", 4, |code, args| {
        let &[meta, address, bytes, most] = args else { return };
        let head = code.buffer(MESSAGE as u32);
        let failed = peek(code, head, MESSAGE, address);
        let size = code.num(MESSAGE);
        let whole = constant_part(code, meta, part::WHOLE);
        code.call(chunks.bytes, &[whole, address, size, size]);
        let zero = code.num(0);
        code.leave_if(Cond::Ne, failed, zero);
        for (number, at, cap) in [(part::NAME, 0, MOST_NAME), (part::CONTROL, 32, MOST_CONTROL)] {
            let from = code.load(Width::W64, head, at);
            let length = match number {
                part::NAME => code.load(Width::W32, head, at + 8),
                _ => code.load(Width::W64, head, at + 8),
            };
            let zero = code.num(0);
            code.when(Cond::Ne, from, zero, |code| {
                let meta = constant_part(code, meta, number);
                let cap = code.num(cap);
                code.call(chunks.bytes, &[meta, from, length, cap]);
            });
        }
        let from = code.load(Width::W64, head, 16);
        let elements = code.load(Width::W64, head, 24);
        code.call(chunks.vector, &[meta, from, elements, bytes, most]);
    })
}

/// `(meta, address, elements, received, most)`: an array of `mmsghdr`. If it is of messages that were `received`, each is
/// as long as it says.
fn messages(chunks: &Chunks) -> Function {
    code::function("strace_messages", 5, |code, args| {
        let &[meta, address, elements, received, most] = args else { return };
        let length = code.buffer(8);
        code.repeat(
            MESSAGES,
            |_, index| (Cond::Uge, index, elements),
            |code, index| {
                let from = element(code, address, index, MESSAGE_ENTRY);
                let all = code.num(i64::MAX);
                let bytes = code.var(all);
                let zero = code.num(0);
                code.when(Cond::Ne, received, zero, |code| {
                    let at = code.with(Binary::Add, from, MESSAGE_LENGTH);
                    peek(code, length, 4, at);
                    let value = code.load(Width::W32, length, 0);
                    code.set(bytes, value);
                });
                let number = code.with(Binary::Shl, index, (8 + MESSAGE_STEP).into());
                let meta = code.b.binary(Binary::Or, meta, number);
                let bytes = code.get(bytes);
                code.call(chunks.message, &[meta, from, bytes, most]);
            },
        );
    })
}

/// `(operation)`: performs one operation of a descriptor. [`capture`](crate::capture) has the layout of its word.
fn operation(chunks: &Chunks) -> Function {
    code::function("strace_operation", 1, |code, args| {
        let &[word] = args else { return };
        let memory = work_memory(code, chunks.scratch);
        let what = code.bits(word, 0, 0xff);
        let number = code.bits(word, 8, 7);
        let source = code.bits(word, 16, 0xff);
        let unit = code.bits(word, 24, 0xff);
        let most = code.bits(word, 32, 0xffff);
        let extra = code.bits(word, 48, 0xffff);
        let address = argument(code, memory, number);
        let bytes = operation_length(code, memory, source, most);
        let bytes = code.b.binary(Binary::Mul, bytes, unit);
        let low = code.with(Binary::And, word, 0xffff);
        let meta = constant_part(code, low, part::WHOLE);
        let result = code.load(Width::W64, memory, work::RESULT);
        let zero = code.num(0);
        code.leave_if(Cond::Eq, address, zero);
        let is = |code: &mut Code<'_>, kind: u8, then: &mut dyn FnMut(&mut Code<'_>)| {
            let kind = code.num(kind.into());
            code.when(Cond::Eq, what, kind, |code| {
                then(code);
                code.leave();
            });
        };
        is(code, op::TEXT, &mut |code| {
            code.call(chunks.text, &[meta, address, most]);
        });
        is(code, op::BYTES, &mut |code| {
            // What stands in front of what the length counts; there is no more than all memory.
            let all = code.num(i64::MAX >> 1);
            let bytes = code.min(bytes, all);
            let bytes = code.b.binary(Binary::Add, bytes, extra);
            code.call(chunks.bytes, &[meta, address, bytes, most]);
        });
        is(code, op::TEXTS, &mut |code| {
            code.call(chunks.texts, &[meta, address, extra, most]);
        });
        is(code, op::COUNT, &mut |code| {
            code.call(chunks.counted, &[meta, address]);
        });
        is(code, op::VECTOR, &mut |code| {
            code.call(chunks.vector, &[meta, address, bytes, result, most]);
        });
        is(code, op::MESSAGE, &mut |code| {
            code.call(chunks.message, &[meta, address, result, most]);
        });
        is(code, op::MESSAGES, &mut |code| {
            code.call(chunks.messages, &[meta, address, bytes, extra, most]);
        });
    })
}

/// The argument of a call that is traced.
fn argument(code: &mut Code<'_>, memory: Value, number: Value) -> Value {
    let distance = code.with(Binary::Mul, number, 8);
    let at = code.b.ptr_add(memory, distance);
    code.load(Width::W64, at, work::RECORD + field::ARGS)
}

/// The length that a descriptor means, in its unit.
fn operation_length(code: &mut Code<'_>, memory: Value, source: Value, most: Value) -> Value {
    let bytes = code.var(most);
    let (args, result, behind) =
        (code.num(length::ARG.into()), code.num(length::RESULT.into()), code.num(length::BEHIND.into()));
    code.when(Cond::Uge, source, args, |code| {
        code.when(Cond::Ult, source, result, |code| {
            let number = code.with(Binary::Sub, source, length::ARG.into());
            let number = code.with(Binary::And, number, 7);
            let value = argument(code, memory, number);
            code.set(bytes, value);
        });
    });
    code.when(Cond::Eq, source, result, |code| {
        let value = code.load(Width::W64, memory, work::RESULT);
        code.set(bytes, value);
    });
    let pointer = code.buffer(8);
    code.when(Cond::Uge, source, behind, |code| {
        let number = code.bits(source, 0, 7);
        let address = argument(code, memory, number);
        peek(code, pointer, 4, address);
        let value = code.load(Width::W32, pointer, 0);
        code.set(bytes, value);
    });
    let nodes = code.num(length::NODES.into());
    code.when(Cond::Uge, source, nodes, |code| {
        let number = code.bits(source, 0, 7);
        let bits = argument(code, memory, number);
        // One less, in begun words.
        let words = code.with(Binary::Add, bits, 62);
        let words = code.with(Binary::Lshr, words, 6);
        let size = code.with(Binary::Shl, words, 3);
        code.set(bytes, size);
    });
    code.get(bytes)
}
