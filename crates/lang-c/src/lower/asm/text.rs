//! From the text of assembly to instructions: operands are put in, names of the program become references.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;

use skep_isa::ebpf::{Callee, Imm64, Insn, InsnIdx, Op, assemble, decode_program};

use crate::konst::{Const, Eval, Symbol};
use crate::lower::Lower;
use crate::parse::Parsed;
use crate::parse::ast::{Asm, Expr, ExprKind, Storage};
use crate::source::Diag;

/// What stands in the place of a reference until the text is assembled, with its number in the low bits.
const MARK: u64 = 0x5ea1_c0de_0000_0000;
/// The same for a distance of a call.
const CALL_MARK: u32 = 0x5ea1_0000;

/// Assembled text.
pub struct Assembled {
    /// The slots.
    pub insns: Vec<Insn>,
    /// The instructions with their places.
    pub ops: Vec<(InsnIdx, Op)>,
    /// What slots refer to, and bytes from its start.
    pub references: Vec<(u32, Symbol, i64)>,
    /// The slot behind the text; one for each label of `asm goto` follows.
    pub end: u32,
}

impl Lower<'_> {
    /// Assembles statements of assembly one behind the other. `register` gives the register of an operand, and `None` if it
    /// is a constant.
    pub fn assemble(&mut self, all: &[&Asm], register: &dyn Fn(usize) -> Option<u8>) -> Parsed<Assembled> {
        let (mut lines, mut references) = (Vec::new(), Vec::new());
        for (number, asm) in all.iter().enumerate() {
            let text = self.expanded(asm, number, register, &mut references)?;
            lines.extend(text.split(['\n', ';']).map(|line| self.call_by_name(line.trim(), &mut references)));
        }
        lines = repeated(lines);
        choose(&mut lines);
        spell_may_goto(&mut lines);
        spell_space_cast(&mut lines);
        number_labels(&mut lines);
        lines.iter_mut().for_each(|line| *line = signed_numbers(&added(line)));
        let Some(&first) = all.first() else { return Err(crate::parse::Reported) };
        let labels: Vec<String> =
            (0..first.labels.len()).map(|number| format!("{}: exit", label_name(number))).collect();
        let length = lines.len();
        let whole = [lines.as_slice(), &["exit".to_owned()], &labels].concat().join("\n");
        let insns = assemble(&whole).map_err(|error| {
            let line = lines.get(error.line - 1).filter(|_| error.line <= length).map_or("", String::as_str);
            let text = format!("the assembly `{line}` cannot be understood: {}", error.reason);
            self.diags.push(Diag::error(first.loc, text));
            crate::parse::Reported
        })?;
        let end = insns.len() - 1 - labels.len();
        let ops = match decode_program(&insns) {
            Ok(ops) => ops,
            Err(error) => return self.error(first.loc, format!("the assembly: {error}")),
        };
        let mut found = Vec::new();
        for (at, op) in &ops {
            let number = match op {
                Op::LoadImm { value: Imm64::Value(value), .. } if value & !0xffff == MARK => (value & 0xffff) as usize,
                Op::Call(Callee::Local(distance)) if distance.cast_unsigned() & !0xffff == CALL_MARK => {
                    (distance & 0xffff) as usize
                }
                _ => continue,
            };
            if let Some((symbol, off)) = references.get(number).cloned() {
                found.push((at.0, symbol, off));
            }
        }
        Ok(Assembled { insns, ops, references: found, end: end as u32 })
    }

    /// The text without comments, with everything behind `%` put in.
    fn expanded(
        &mut self,
        asm: &Asm,
        number: usize,
        register: &dyn Fn(usize) -> Option<u8>,
        references: &mut Vec<(Symbol, i64)>,
    ) -> Parsed<String> {
        let text = without_comments(&asm.text);
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(next) = rest.strip_prefix('%') {
                out.push('%');
                rest = next;
                continue;
            }
            if let Some(next) = rest.strip_prefix('=') {
                let _ = write!(out, "{number}");
                rest = next;
                continue;
            }
            let letter = rest.chars().next().filter(char::is_ascii_alphabetic);
            let named = if letter.is_some() { &rest[1..] } else { rest };
            let Some((operand, next)) = named_operand(named) else {
                return self
                    .error(asm.loc, "what follows `%` in the assembly is no operand; write `%%` for the sign itself");
            };
            rest = next;
            if letter == Some('l') {
                let operands = asm.outputs.len() + asm.inputs.len();
                let program = Rc::clone(&self.program);
                let func = self.f().frame().map(|frame| frame.func);
                let names: &[Rc<str>] = func.map_or(&[], |func| &program.func(func).labels);
                let found = match operand {
                    Named::Number(at) => at.checked_sub(operands),
                    Named::Name(name) => asm
                        .labels
                        .iter()
                        .position(|label| names.get(label.0 as usize).is_some_and(|known| **known == *name)),
                };
                let Some(found) = found.filter(|&at| at < asm.labels.len()) else {
                    return self.error(asm.loc, "the assembly jumps to a label that is not among its labels");
                };
                out.push_str(&label_name(found));
                continue;
            }
            let mut all = asm.outputs.iter().chain(&asm.inputs);
            let found = match operand {
                Named::Number(at) => Some(at).filter(|&at| at < asm.outputs.len() + asm.inputs.len()),
                Named::Name(name) => all.position(|operand| operand.name.as_deref() == Some(name)),
            };
            let Some(found) = found else {
                return self.error(asm.loc, "the assembly names an operand that it does not have");
            };
            let Some(operand) = asm.outputs.iter().chain(&asm.inputs).nth(found) else { continue };
            match register(found) {
                Some(register) if super::is_memory(operand) => {
                    let _ = write!(out, "(r{register} + 0)");
                }
                Some(register) => {
                    let wide = letter != Some('w') && !operand.constraint.contains('w');
                    let _ = write!(out, "{}{register}", if wide { 'r' } else { 'w' });
                }
                None => match self.constant_operand(&operand.expr) {
                    Some(Const::Int(value)) => {
                        let (more, behind) = terms(rest);
                        rest = behind;
                        let _ = write!(out, "{}", value.wrapping_add(more));
                    }
                    Some(Const::Addr(symbol, off)) => {
                        let _ = write!(out, "{:#x}", MARK | references.len() as u64);
                        references.push((symbol, off));
                    }
                    Some(Const::Wide(_)) | None => {
                        return self.error(operand.expr.loc, "this operand of the assembly has to be a constant");
                    }
                },
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    /// What an operand with the constraint `i` is.
    fn constant_operand(&mut self, expr: &Expr) -> Option<Const> {
        let program = Rc::clone(&self.program);
        let eval = Eval { types: &self.types, program: &program, variables: true };
        if let Some(found) = eval.eval(expr) {
            return Some(found);
        }
        let mut inner = expr;
        loop {
            match &inner.kind {
                ExprKind::Cast(next) => inner = next,
                // Helpers are variables that nothing assigns to.
                ExprKind::Var(var) => {
                    let item = program.var(*var);
                    match item.init.as_ref().filter(|_| !item.assigned && item.storage != Storage::Local) {
                        Some(init) => return eval.eval(&init.entries.last()?.expr),
                        None => {
                            let value = self.value(inner).ok()?;
                            return self.f().constant(value).map(Const::Int);
                        }
                    }
                }
                // `*(long *)&(struct bpf_insn) { ... }`
                ExprKind::Deref(ptr) => {
                    let mut ptr = &**ptr;
                    while let ExprKind::Cast(next) = &ptr.kind {
                        ptr = next;
                    }
                    let ExprKind::AddrOf(place) = &ptr.kind else { return None };
                    let ExprKind::Compound(_, init) = &place.kind else { return None };
                    let bytes = self.init_bytes(place.ty, init).ok()?;
                    return Some(Const::Int(i64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)));
                }
                _ => {
                    let value = self.value(inner).ok()?;
                    return self.f().constant(value).map(Const::Int);
                }
            }
        }
    }

    /// A call of a function of the program, by its name or by an operand.
    fn call_by_name(&self, line: &str, references: &mut Vec<(Symbol, i64)>) -> String {
        let (labels, statement) = line.rsplit_once(':').map_or(("", line), |(label, rest)| (label, rest.trim()));
        let Some(callee) = statement.strip_prefix("call").filter(|rest| rest.starts_with(char::is_whitespace)) else {
            return line.to_owned();
        };
        let callee = callee.trim();
        let mark = callee.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let number = match mark {
            Some(mark) if mark & !0xffff == MARK => mark & 0xffff,
            _ => {
                let Some(found) = self.program.funcs.iter().position(|func| *func.name == *callee) else {
                    return line.to_owned();
                };
                references.push((Symbol::Func(crate::parse::ast::FuncId(found as u32)), 0));
                references.len() as u64 - 1
            }
        };
        let colon = if labels.is_empty() { "" } else { ": " };
        format!("{labels}{colon}call pc+{}", u64::from(CALL_MARK) + number)
    }
}

/// Most lines that repetitions make.
const MOST_LINES: usize = 1 << 17;

/// Writes what is between `.rept N` and `.endr` so many times.
fn repeated(lines: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(lines.len());
    // Where each begins that is not closed yet, and its number.
    let mut open: Vec<(usize, usize)> = Vec::new();
    for line in lines {
        let text = line.trim();
        if let Some(count) = text.strip_prefix(".rept ").and_then(|count| count.trim().parse().ok()) {
            open.push((out.len(), count));
        } else if text == ".endr"
            && let Some((start, count)) = open.pop()
        {
            let body = out.split_off(start);
            if count.saturating_mul(body.len().max(1)) > MOST_LINES {
                // No program is that long: the assembler refuses this line.
                out.push(format!(".rept {count}"));
                continue;
            }
            (0..count).for_each(|_| out.extend_from_slice(&body));
        } else {
            out.push(line);
        }
    }
    out
}

/// Keeps what is between `.ifc A, B` and `.endif` only where the two texts are the same.
fn choose(lines: &mut [String]) {
    let mut kept: Vec<bool> = Vec::new();
    for line in lines {
        let text = line.trim();
        if let Some(pair) = text.strip_prefix(".ifc ") {
            kept.push(pair.split_once(',').is_some_and(|(one, other)| one.trim() == other.trim()));
        } else if text != ".endif" || kept.pop().is_none() {
            if kept.contains(&false) {
                line.clear();
            }
            continue;
        }
        line.clear();
    }
}

/// Writes `addr_space_cast` where its bytes stand: `.byte 0xBF; .byte 0x11; .short 1; .long TO << 16 | FROM`. So headers
/// spell it for assemblers that do not know the word.
fn spell_space_cast(lines: &mut [String]) {
    let number = |text: &str, word: &str| {
        let digits = text.strip_prefix(word)?.trim();
        match digits.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => digits.parse().ok(),
        }
    };
    let filled: Vec<usize> = (0..lines.len()).filter(|&at| !lines[at].trim().is_empty()).collect();
    for four in filled.windows(4) {
        let texts = [0, 1, 2, 3].map(|at| lines[four[at]].trim());
        let values = [".byte", ".byte", ".short", ".long"].iter().zip(texts).map(|(word, text)| number(text, word));
        let values: Option<Vec<u32>> = values.collect();
        let Some([0xbf, registers, 1, spaces]) = values.as_deref() else { continue };
        let (dst, src, to, from) = (registers & 15, registers >> 4, spaces >> 16, spaces & 0xffff);
        lines[four[0]] = format!("r{dst} = addr_space_cast(r{src}, {to}, {from})");
        four[1..].iter().for_each(|&at| lines[at].clear());
    }
}

/// Writes `may_goto` where its bytes stand: `.byte 0xe5; .byte 0; .long ((%l[label] - 1b - 8) / 8) & 0xffff; .short 0`. So
/// headers spell it for assemblers that do not know the word.
fn spell_may_goto(lines: &mut [String]) {
    let statement = |line: &str| line.rsplit_once(':').map_or(line, |(_, rest)| rest).trim().to_owned();
    for at in 0..lines.len().saturating_sub(3) {
        let [first, second, third, fourth] = [0, 1, 2, 3].map(|next| statement(&lines[at + next]));
        if first != ".byte 0xe5" || second != ".byte 0" {
            continue;
        }
        // `.byte 0xe5; .byte 0; .short -3; .long 0`, with a distance.
        if let Some(distance) = third.strip_prefix(".short ").and_then(|text| text.trim().parse::<i16>().ok())
            && fourth == ".long 0"
        {
            lines[at] = lines[at].replace(&first, &format!("may_goto {distance:+}"));
            lines[at + 1..at + 4].iter_mut().for_each(String::clear);
            continue;
        }
        if fourth != ".short 0" || !third.starts_with(".long") {
            continue;
        }
        let mut words = third.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let Some(label) = words.rfind(|word| word.starts_with(LABEL)) else { continue };
        lines[at] = lines[at].replace(&first, &format!("may_goto {label}"));
        lines[at + 1..at + 4].iter_mut().for_each(String::clear);
    }
}

/// Gives labels that are numbers (`1:`, `goto 1f`, `goto 1b`) names: one number may stand for several places.
fn number_labels(lines: &mut [String]) {
    let name = |number: &str, count: usize| format!("__asm_label_{number}_{count}");
    let mut counts: HashMap<String, usize> = HashMap::new();
    for line in lines.iter_mut() {
        let mut rest = line.clone();
        let mut labels = String::new();
        while let Some((label, behind)) = rest.split_once(':') {
            let label = label.trim();
            if label.is_empty() || !label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
                break;
            }
            if label.bytes().all(|c| c.is_ascii_digit()) {
                let count = counts.entry(label.to_owned()).or_default();
                *count += 1;
                labels.push_str(&name(label, *count));
            } else {
                labels.push_str(label);
            }
            labels.push_str(": ");
            rest = behind.trim_start().to_owned();
        }
        let (before, last) = rest.rsplit_once(char::is_whitespace).unwrap_or(("", rest.as_str()));
        let jumps = ["goto", "gotol"].iter().any(|word| before.trim_end().ends_with(word));
        let number = |text: &&str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        let target = last.strip_suffix(['f', 'b']).filter(number).filter(|_| jumps);
        let rest = match target {
            Some(number) => {
                let seen = counts.get(number).copied().unwrap_or(0);
                format!("{before} {}", name(number, if last.ends_with('f') { seen + 1 } else { seen }))
            }
            None => rest,
        };
        *line = format!("{labels}{rest}");
    }
}

/// A line whose last operand is a sum of numbers (`r0 = 4 - 1`) with the number that it is.
fn added(line: &str) -> String {
    let Some((before, sum)) = line.rsplit_once("= ") else { return line.to_owned() };
    let end = sum.find(|c: char| !c.is_ascii_digit()).unwrap_or(sum.len());
    let (more, behind) = terms(&sum[end..]);
    match sum[..end].parse::<i64>() {
        Ok(first) if behind.trim().is_empty() && !sum[end..].trim().is_empty() => {
            format!("{before}= {}", first.wrapping_add(more))
        }
        _ => line.to_owned(),
    }
}

/// Numbers without suffixes, and those that are meant as 32 bits with the sign that they have as such.
fn signed_numbers(line: &str) -> String {
    let references = line.contains(&format!("{:x}", MARK >> 32));
    let wide = line.trim_end().ends_with(" ll") || line.contains(".8byte") || references;
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    let mut word = false;
    while let Some(first) = rest.chars().next() {
        if word || !first.is_ascii_digit() {
            word = first.is_ascii_alphanumeric() || first == '_';
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let number = rest[..end].trim_end_matches(['u', 'U', 'l', 'L']);
        let value = match number.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => number.parse(),
        };
        let narrow = value.ok().filter(|_| !wide && !out.ends_with('-')).and_then(|value| match value {
            0x8000_0000..=0xffff_ffff => Some(i64::from(value as u32 as i32)),
            0xffff_ffff_8000_0000.. => Some(value.cast_signed()),
            _ => None,
        });
        match narrow {
            Some(value) => {
                let _ = write!(out, "{value}");
            }
            None => out.push_str(number),
        }
        rest = &rest[end..];
    }
    // A function or variable in a register: the load of its address fills the register itself.
    if references && !line.contains("call") && !line.trim_end().ends_with(" ll") {
        out.push_str(" ll");
    }
    out
}

/// What the names of labels of `asm goto` begin with.
const LABEL: &str = "__asm_goto_";

fn label_name(number: usize) -> String {
    format!("{LABEL}{number}")
}

enum Named<'a> {
    Name(&'a str),
    Number(usize),
}

/// `[name]` or a number, and the rest.
fn named_operand(text: &str) -> Option<(Named<'_>, &str)> {
    if let Some(inner) = text.strip_prefix('[') {
        let (name, rest) = inner.split_once(']')?;
        return Some((Named::Name(name), rest));
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..end].parse().ok()?;
    Some((Named::Number(number), &text[end..]))
}

fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let line = rest.find("//");
        let block = rest.find("/*");
        let (at, end) = match (line, block) {
            (Some(line), block) if block.is_none_or(|block| line < block) => {
                (line, rest[line..].find('\n').map(|end| line + end))
            }
            (_, Some(block)) => (block, rest[block..].find("*/").map(|end| block + end + 2)),
            _ => break,
        };
        out.push_str(&rest[..at]);
        rest = end.map_or("", |end| &rest[end..]);
    }
    out.push_str(rest);
    out
}

/// The sum of the numbers that are added to a constant or subtracted from it, and what follows them.
fn terms(text: &str) -> (i64, &str) {
    let (mut sum, mut rest) = (0i64, text);
    loop {
        let trimmed = rest.trim_start_matches(' ');
        let (sign, digits) = match (trimmed.strip_prefix('+'), trimmed.strip_prefix('-')) {
            (Some(digits), _) => (1, digits),
            (_, Some(digits)) => (-1, digits),
            _ => return (sum, rest),
        };
        let digits = digits.trim_start_matches(' ');
        let end = digits.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(digits.len());
        let Ok(number) = digits[..end].parse::<i64>() else { return (sum, rest) };
        sum = sum.wrapping_add(number.wrapping_mul(sign));
        rest = &digits[end..];
    }
}
