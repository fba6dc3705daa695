//! Reads instructions.

use super::ParseError;
use super::cursor::Cursor;
use super::lex::Token;
use crate::entity::{FuncRef, GlobalRef, KfuncRef, MapRef, Slot, Value};
use crate::inst::{Callee, Edge, InstData};
use crate::op::{AtomicOp, Binary, Cond, Space, Unary, Width};

/// An instruction without its results.
pub fn inst(cursor: &mut Cursor) -> Result<InstData, ParseError> {
    let at = cursor.position();
    let word = cursor.word("an instruction")?;
    let mut parts = word.split('.');
    let opcode = parts.next().unwrap_or_default();
    let mut suffix = Suffix::default();
    for part in parts {
        match part {
            "signed" if !suffix.signed => suffix.signed = true,
            "volatile" if !suffix.volatile => suffix.volatile = true,
            part => match Width::from_name(part) {
                Some(width) if suffix.width.is_none() => suffix.width = Some(width),
                _ => return Err(at.error(format!("`.{part}` has no meaning behind `{opcode}`"))),
            },
        }
    }
    let data = match suffix.width {
        Some(width) => access(cursor, opcode, width, &mut suffix)?,
        None => match plain(cursor, opcode)? {
            None => control(cursor, opcode)?,
            data => data,
        },
    };
    if suffix.signed || suffix.volatile {
        return Err(at.error(format!("`{word}` is no instruction: a suffix does not belong there")));
    }
    data.ok_or_else(|| at.error(format!("`{word}` is no instruction")))
}

/// What stands behind the name of an instruction.
#[derive(Default)]
struct Suffix {
    width: Option<Width>,
    signed: bool,
    volatile: bool,
}

/// Instructions with a width. What they take from the suffix is no longer there afterwards.
fn access(
    cursor: &mut Cursor,
    opcode: &str,
    width: Width,
    suffix: &mut Suffix,
) -> Result<Option<InstData>, ParseError> {
    Ok(Some(match opcode {
        "load" => {
            let (ptr, off) = at(cursor)?;
            let (signed, volatile) = (std::mem::take(&mut suffix.signed), std::mem::take(&mut suffix.volatile));
            InstData::Load { width, signed, ptr, off, volatile }
        }
        "store" => {
            let (ptr, off) = at(cursor)?;
            let volatile = std::mem::take(&mut suffix.volatile);
            InstData::Store { width, ptr, off, value: comma_value(cursor)?, volatile }
        }
        "atomic" => {
            let op = cursor.named("an atomic operation", AtomicOp::from_name)?;
            let (ptr, off) = at(cursor)?;
            InstData::Atomic { op, width, ptr, off, value: comma_value(cursor)? }
        }
        "compare_exchange" => {
            let (ptr, off) = at(cursor)?;
            let expected = comma_value(cursor)?;
            InstData::CompareExchange { width, ptr, off, expected, value: comma_value(cursor)? }
        }
        "packet_load" => match cursor.peek() {
            Token::Number(_) => InstData::PacketLoad { width, base: None, k: cursor.number("an offset")? },
            _ => {
                let (base, k) = at(cursor)?;
                InstData::PacketLoad { width, base: Some(base), k }
            }
        },
        _ => return Ok(None),
    }))
}

/// Instructions that compute, and calls.
fn plain(cursor: &mut Cursor, opcode: &str) -> Result<Option<InstData>, ParseError> {
    if let Some(op) = Unary::from_name(opcode) {
        return Ok(Some(InstData::Unary(op, cursor.value()?)));
    }
    if let Some(op) = Binary::from_name(opcode) {
        return Ok(Some(InstData::Binary(op, values(cursor)?)));
    }
    Ok(Some(match opcode {
        "const" => InstData::Const(cursor.number("a constant")?),
        "compare" => InstData::Compare(cond(cursor)?, values(cursor)?),
        "select" => InstData::Select(cond(cursor)?, values(cursor)?),
        "ptr_add" => InstData::PtrAdd(cursor.value()?, comma_value(cursor)?),
        "ptr_add_const" => InstData::PtrAddConst(cursor.value()?, comma_number(cursor, "an offset")?),
        "ptr_diff" => InstData::PtrDiff(cursor.value()?, comma_value(cursor)?),
        "ptr_to_int" => InstData::PtrToInt(cursor.value()?),
        "cast" => InstData::Cast(cursor.value()?),
        "space_cast" => InstData::SpaceCast(cursor.named("a kind of address", Space::from_name)?, cursor.value()?),
        "opaque" => InstData::Opaque(cursor.value()?),
        "copy" => {
            let [to, from] = values(cursor)?;
            let len = comma_number(cursor, "a number of bytes")?;
            InstData::Copy { to, from, len, align: align(cursor)? }
        }
        "fill" => {
            let to = cursor.value()?;
            let len = comma_number(cursor, "a number of bytes")?;
            let byte = comma_number(cursor, "a byte")?;
            InstData::Fill { to, len, byte, align: align(cursor)? }
        }
        "slot_addr" => InstData::SlotAddr(cursor.local(Slot::PREFIX, "an object such as `s0`")?),
        "map_addr" => InstData::MapAddr(cursor.global(MapRef::PREFIX, "a map such as `m0`")?),
        "global_addr" => InstData::GlobalAddr(cursor.global(GlobalRef::PREFIX, "a variable such as `g0`")?),
        "func_addr" => InstData::FuncAddr(cursor.global(FuncRef::PREFIX, "a function such as `f0`")?),
        "kernel_addr" => InstData::KernelAddr(cursor.global(KfuncRef::PREFIX, "a kernel variable such as `k0`")?),
        "core" => InstData::Core(cursor.global("c", "a constant such as `c0`")?),
        "call" => InstData::Call(callee(cursor)?, arguments(cursor)?),
        _ => return Ok(None),
    }))
}

/// Instructions that end a block.
fn control(cursor: &mut Cursor, opcode: &str) -> Result<Option<InstData>, ParseError> {
    Ok(Some(match opcode {
        "jump" => InstData::Jump(edge(cursor)?),
        "branch" => {
            let (cond, args) = (cond(cursor)?, values(cursor)?);
            cursor.arrow()?;
            let yes = edge(cursor)?;
            cursor.expect(',')?;
            InstData::Branch { cond, args, yes, no: edge(cursor)? }
        }
        "switch" => switch(cursor)?,
        "may_goto" => {
            let next = edge(cursor)?;
            cursor.expect(',')?;
            InstData::MayGoto { next, done: edge(cursor)? }
        }
        "return" => match cursor.peek() {
            Token::Word(_) => InstData::Return(Some(cursor.value()?)),
            _ => InstData::Return(None),
        },
        "unreachable" => InstData::Unreachable,
        _ => return Ok(None),
    }))
}

fn switch(cursor: &mut Cursor) -> Result<InstData, ParseError> {
    let value = cursor.value()?;
    cursor.expect('[')?;
    let mut cases = Vec::new();
    while !cursor.eat(']') {
        if !cases.is_empty() {
            cursor.expect(',')?;
        }
        let number = cursor.number("the number of a case")?;
        cursor.arrow()?;
        cases.push((number, edge(cursor)?));
    }
    cursor.expect_word("else")?;
    Ok(InstData::Switch { value, cases, default: edge(cursor)? })
}

fn cond(cursor: &mut Cursor) -> Result<Cond, ParseError> {
    cursor.named("a comparison", Cond::from_name)
}

/// So many values with commas between them.
fn values<const N: usize>(cursor: &mut Cursor) -> Result<[Value; N], ParseError> {
    let mut values = [Value(0); N];
    for (at, value) in values.iter_mut().enumerate() {
        if at > 0 {
            cursor.expect(',')?;
        }
        *value = cursor.value()?;
    }
    Ok(values)
}

fn comma_value(cursor: &mut Cursor) -> Result<Value, ParseError> {
    cursor.expect(',')?;
    cursor.value()
}

fn comma_number<T: TryFrom<i128>>(cursor: &mut Cursor, what: &str) -> Result<T, ParseError> {
    cursor.expect(',')?;
    cursor.number(what)
}

fn align(cursor: &mut Cursor) -> Result<u8, ParseError> {
    cursor.expect_word("align")?;
    cursor.number("an alignment")
}

/// `v1 + 8` or `v1 - 8`
fn at<T: TryFrom<i128>>(cursor: &mut Cursor) -> Result<(Value, T), ParseError> {
    let ptr = cursor.value()?;
    let negative = cursor.eat('-');
    if !negative && !cursor.eat('+') {
        return cursor.expected("`+` or `-` and an offset");
    }
    let at = cursor.position();
    let distance: i128 = i128::from(cursor.number::<u32>("an offset")?);
    let distance = if negative { -distance } else { distance };
    let off = T::try_from(distance).map_err(|_| at.error(format!("{distance} is out of range for an offset")))?;
    Ok((ptr, off))
}

fn callee(cursor: &mut Cursor) -> Result<Callee, ParseError> {
    if cursor.eat_word("helper") {
        if matches!(cursor.peek(), Token::Number(_)) {
            return cursor.number("the number of a helper").map(Callee::Helper);
        }
        let helper = cursor.named("the name or number of a helper", skep_isa::helpers::by_name)?;
        return Ok(Callee::Helper(helper.id));
    }
    if matches!(cursor.peek(), Token::Word(word) if word.starts_with(KfuncRef::PREFIX)) {
        return cursor.global(KfuncRef::PREFIX, "a kernel function such as `k0`").map(Callee::Kfunc);
    }
    cursor.global(FuncRef::PREFIX, "a callee: `helper name`, `k0` or `f0`").map(Callee::Func)
}

/// `(v1, v2)`
fn arguments(cursor: &mut Cursor) -> Result<Vec<Value>, ParseError> {
    cursor.expect('(')?;
    let mut values = Vec::new();
    while !cursor.eat(')') {
        if !values.is_empty() {
            cursor.expect(',')?;
        }
        values.push(cursor.value()?);
    }
    Ok(values)
}

/// `b1(v1)`; without arguments `b1` will do.
fn edge(cursor: &mut Cursor) -> Result<Edge, ParseError> {
    let block = cursor.block()?;
    let args = if *cursor.peek() == Token::Sign('(') { arguments(cursor)? } else { Vec::new() };
    Ok(Edge { block, args })
}
