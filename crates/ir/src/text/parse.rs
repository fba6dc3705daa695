//! Reads modules and functions.

use std::collections::{HashMap, HashSet};

use skep_isa::{AttachType, MapType, ProgType};

use super::ParseError;
use super::cursor::{Cursor, Reference};
use super::inst;
use super::lex::{Position, Token};
use crate::entity::{Block, CoreRef, Entity, FuncRef, GlobalRef, KfuncRef, MapRef, Slot, Value};
use crate::function::{BlockData, Function, Inlining, Loc, SlotData};
use crate::inst::InstData;
use crate::module::{Core, FuncKind, Global, Kfunc, MapDecl, Module, ProgramInfo, Source};
use crate::op::CoreKind;
use crate::types::Type;

/// How deep maps may be nested. The kernel allows two levels.
const MAP_DEPTH: usize = 4;
/// Most bytes of all variables that are written as `zero N`, so that a short text does not ask for all memory.
const ZERO_BYTES: usize = 1 << 26;
/// Most values and blocks of a module that no text defines (gaps in the numbers).
const GAPS: usize = 1 << 20;

/// Reads the text form of a module.
///
/// Numbers of values and blocks are kept as they are written; gaps become values and blocks that are not used. The text
/// need not follow the rules of [`verify`](crate::verify::verify).
///
/// # Errors
/// The first place that cannot be read or refers to something that does not exist.
pub fn parse(text: &str) -> Result<Module, ParseError> {
    let mut parser = Parser { cursor: Cursor::new(text)?, zero_budget: ZERO_BYTES, gap_budget: GAPS };
    let module = parser.module()?;
    let count = |prefix| match prefix {
        MapRef::PREFIX => module.maps.len(),
        GlobalRef::PREFIX => module.globals.len(),
        CoreRef::PREFIX => module.cores.len(),
        KfuncRef::PREFIX => module.kfuncs.len(),
        _ => module.functions.len(),
    };
    match parser.cursor.globals.iter().find(|reference| reference.index >= count(reference.prefix)) {
        None => Ok(module),
        Some(Reference { prefix, index, at }) => Err(at.error(format!("`{prefix}{index}` is not declared"))),
    }
}

struct Parser {
    cursor: Cursor,
    zero_budget: usize,
    gap_budget: usize,
}

/// An instruction whose results have numbers already.
struct RawInst {
    results: Vec<(Value, Type)>,
    data: InstData,
    loc: Loc,
}

/// A block as it is written.
struct RawBlock {
    number: Block,
    params: Vec<(Value, Type)>,
    insts: Vec<RawInst>,
}

impl Parser {
    fn module(&mut self) -> Result<Module, ParseError> {
        let mut module = Module::default();
        self.cursor.skip_lines();
        while *self.cursor.peek() != Token::End {
            let at = self.cursor.position();
            match self.cursor.word("`func`, `map`, `global` or another item of a module")?.as_str() {
                "license" => module.license = self.cursor.text()?,
                "map" => {
                    self.number(MapRef::PREFIX, module.maps.len())?;
                    let map = self.map(0)?;
                    module.maps.push(map);
                }
                "global" => {
                    self.number(GlobalRef::PREFIX, module.globals.len())?;
                    module.globals.push(self.global()?);
                }
                "core" => {
                    self.number(CoreRef::PREFIX, module.cores.len())?;
                    module.cores.push(self.core()?);
                }
                "kfunc" => {
                    self.number(KfuncRef::PREFIX, module.kfuncs.len())?;
                    let name = self.cursor.name()?;
                    let weak = self.cursor.eat_word("weak");
                    let variable = self
                        .cursor
                        .eat_word("variable")
                        .then(|| self.cursor.number("the number of a type"))
                        .transpose()?;
                    module.kfuncs.push(Kfunc { name, weak, variable });
                }
                "func" => {
                    if matches!(self.cursor.peek(), Token::Word(_)) {
                        self.number(FuncRef::PREFIX, module.functions.len())?;
                    }
                    module.functions.push(self.function()?);
                }
                "source" => {
                    let (name, text) = (self.cursor.text()?.into(), self.cursor.text()?.into());
                    module.sources.push(Source { name, text });
                }
                "btf" => module.btf = self.cursor.hex()?,
                other => return Err(at.error(format!("`{other}` begins no item of a module"))),
            }
            self.cursor.line_end()?;
        }
        Ok(module)
    }

    /// The number of something that is declared: the next one.
    fn number(&mut self, prefix: &'static str, next: usize) -> Result<(), ParseError> {
        let at = self.cursor.position();
        let index = self.cursor.index(prefix, &format!("`{prefix}{next}`"))?;
        if index == next {
            Ok(())
        } else {
            Err(at.error(format!("expected `{prefix}{next}`, found `{prefix}{index}`")))
        }
    }

    fn map(&mut self, depth: usize) -> Result<MapDecl, ParseError> {
        let cursor = &mut self.cursor;
        let name = cursor.name()?;
        cursor.expect('=')?;
        let map_type = cursor.named("a map type", MapType::from_name)?;
        let mut sizes = [0; 3];
        for (size, word) in sizes.iter_mut().zip(["key", "value", "entries"]) {
            cursor.expect_word(word)?;
            *size = cursor.number("a 32-bit number")?;
        }
        let mut map = MapDecl::new(&name, map_type, sizes[0], sizes[1], sizes[2]);
        if cursor.eat_word("flags") {
            map.flags = cursor.number("flags")?;
        }
        if cursor.eat_word("types") {
            map.types[0] = cursor.number("the id of a type")?;
            cursor.expect(',')?;
            map.types[1] = cursor.number("the id of a type")?;
        }
        if cursor.eat('{') {
            cursor.line_end()?;
            self.map_body(&mut map, depth)?;
        }
        Ok(map)
    }

    fn map_body(&mut self, map: &mut MapDecl, depth: usize) -> Result<(), ParseError> {
        while !self.cursor.eat('}') {
            if self.cursor.eat_word("entry") {
                let key = self.cursor.hex()?;
                self.cursor.expect('=')?;
                map.contents.push((key, self.cursor.hex()?));
            } else if map.inner.is_none() && self.cursor.eat_word("inner") {
                if depth >= MAP_DEPTH {
                    return Err(self.cursor.position().error("maps are nested too deep"));
                }
                map.inner = Some(Box::new(self.map(depth + 1)?));
            } else {
                return self.cursor.expected("`entry`, `inner` (once) or `}`");
            }
            self.cursor.line_end()?;
        }
        Ok(())
    }

    fn global(&mut self) -> Result<Global, ParseError> {
        let cursor = &mut self.cursor;
        let name = cursor.name()?;
        cursor.expect_word("in")?;
        let section = cursor.text()?;
        cursor.expect_word("align")?;
        let align = cursor.number("an alignment")?;
        let ty = if cursor.eat_word("type") { cursor.number("the id of a type")? } else { 0 };
        cursor.expect('=')?;
        let at = cursor.position();
        let bytes = if cursor.eat_word("zero") {
            let size: usize = cursor.number("a number of bytes")?;
            let rest = self.zero_budget.checked_sub(size);
            self.zero_budget =
                rest.ok_or_else(|| at.error(format!("variables of zeros have more than {ZERO_BYTES} bytes together")))?;
            vec![0; size]
        } else {
            cursor.hex()?
        };
        Ok(Global { name, section, bytes, align, ty })
    }

    fn core(&mut self) -> Result<Core, ParseError> {
        let cursor = &mut self.cursor;
        cursor.expect('=')?;
        let kind = cursor.named("the kind of a constant", CoreKind::from_name)?;
        cursor.expect_word("type")?;
        let ty = cursor.number("the id of a type")?;
        cursor.expect_word("access")?;
        let access = cursor.text()?.into();
        cursor.expect_word("local")?;
        Ok(Core { kind, ty, access, local: cursor.number("a 64-bit number")? })
    }

    /// A function behind its number.
    fn function(&mut self) -> Result<Function, ParseError> {
        let cursor = &mut self.cursor;
        let at = cursor.position();
        let name = cursor.name()?;
        cursor.expect(':')?;
        let kind = kind(cursor)?;
        let ty = if cursor.eat_word("type") { cursor.number("the id of a type")? } else { 0 };
        let inlining = if cursor.eat_word("inline") {
            cursor.named("`free`, `always` or `never`", Inlining::from_name)?
        } else {
            Inlining::Free
        };
        let result = if *cursor.peek() == Token::Arrow {
            cursor.arrow()?;
            Some(cursor.ty()?)
        } else {
            None
        };
        cursor.expect('{')?;
        cursor.line_end()?;
        let mut function = Function::empty(&name, kind, result);
        function.ty = ty;
        function.inlining = inlining;
        while self.cursor.eat_word("slot") {
            self.number(Slot::PREFIX, function.slots.len())?;
            function.slots.push(slot(&mut self.cursor)?);
            self.cursor.line_end()?;
        }
        self.cursor.locals.clear();
        let mut definitions = HashMap::new();
        let mut blocks = Vec::new();
        while !self.cursor.eat('}') {
            blocks.push(self.block(&mut definitions)?);
        }
        if blocks.is_empty() {
            return Err(at.error("the function has no block"));
        }
        self.check_locals(&function, &blocks, &definitions)?;
        self.fill(&mut function, blocks, &definitions, at)?;
        Ok(function)
    }

    /// A block with its instructions.
    fn block(&mut self, definitions: &mut HashMap<Value, Type>) -> Result<RawBlock, ParseError> {
        let cursor = &mut self.cursor;
        let number = Block::new(cursor.index(Block::PREFIX, "a block such as `b1:`")?);
        let mut params = Vec::new();
        if cursor.eat('(') {
            while !cursor.eat(')') {
                if !params.is_empty() {
                    cursor.expect(',')?;
                }
                params.push(definition(cursor, definitions)?);
            }
        }
        cursor.expect(':')?;
        cursor.line_end()?;
        let mut insts = Vec::new();
        loop {
            match cursor.peek() {
                Token::Word(word) if !is_entity(word, Block::PREFIX) => {}
                _ => return Ok(RawBlock { number, params, insts }),
            }
            insts.push(raw_inst(cursor, definitions)?);
            cursor.line_end()?;
        }
    }

    /// Everything that was used must be there.
    fn check_locals(
        &mut self,
        function: &Function,
        blocks: &[RawBlock],
        definitions: &HashMap<Value, Type>,
    ) -> Result<(), ParseError> {
        let known: HashSet<usize> = blocks.iter().map(|block| block.number.index()).collect();
        for Reference { prefix, index, at } in self.cursor.locals.drain(..) {
            let found = match prefix {
                Value::PREFIX => definitions.contains_key(&Value::new(index)),
                Block::PREFIX => known.contains(&index),
                _ => index < function.slots.len(),
            };
            if !found {
                return Err(at.error(format!("`{prefix}{index}` is not defined in this function")));
            }
        }
        Ok(())
    }

    /// Puts blocks and instructions into a function.
    fn fill(
        &mut self,
        function: &mut Function,
        blocks: Vec<RawBlock>,
        definitions: &HashMap<Value, Type>,
        at: Position,
    ) -> Result<(), ParseError> {
        let values = definitions.keys().map(|value| value.index() + 1).max().unwrap_or(0);
        let numbers = blocks.iter().map(|block| block.number.index() + 1).max().unwrap_or(0);
        // A block that is written twice has fewer numbers than blocks: that is found below.
        let gaps = (values - definitions.len()) + numbers.saturating_sub(blocks.len());
        self.gap_budget = self
            .gap_budget
            .checked_sub(gaps)
            .ok_or_else(|| at.error(format!("numbers of values and blocks leave more than {GAPS} gaps")))?;
        function.reserve(values, numbers);
        let mut seen = HashSet::new();
        for RawBlock { number, params, insts } in blocks {
            if !seen.insert(number) {
                return Err(at.error(format!("block `{number}` is defined twice")));
            }
            function.blocks.push(number);
            function[number] = BlockData::default();
            params.into_iter().for_each(|(value, ty)| function.set_param(number, value, ty));
            for RawInst { results, data, loc } in insts {
                let inst = function.make_inst_with(data, &results, loc);
                function[number].insts.push(inst);
            }
        }
        let gaps = (0..values).map(Value::new).filter(|value| !definitions.contains_key(value));
        gaps.for_each(|value| {
            function.make_inst_with(InstData::Const(0), &[(value, Type::I64)], Loc::default());
        });
        Ok(())
    }
}

/// `v1: i64`
fn definition(cursor: &mut Cursor, definitions: &mut HashMap<Value, Type>) -> Result<(Value, Type), ParseError> {
    let at = cursor.position();
    let value = Value::new(cursor.index(Value::PREFIX, "a value such as `v1`")?);
    cursor.expect(':')?;
    let ty = cursor.ty()?;
    match definitions.insert(value, ty) {
        None => Ok((value, ty)),
        Some(_) => Err(at.error(format!("`{value}` is defined twice"))),
    }
}

/// Whether a word is the number of an entity.
fn is_entity(word: &str, prefix: &str) -> bool {
    word.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// An instruction with its results and its place.
fn raw_inst(cursor: &mut Cursor, definitions: &mut HashMap<Value, Type>) -> Result<RawInst, ParseError> {
    let mut results = Vec::new();
    while matches!(cursor.peek(), Token::Word(word) if is_entity(word, Value::PREFIX)) {
        results.push(definition(cursor, definitions)?);
        if !cursor.eat(',') {
            cursor.expect('=')?;
            break;
        }
    }
    let data = inst::inst(cursor)?;
    Ok(RawInst { results, data, loc: cursor.loc() })
}

fn slot(cursor: &mut Cursor) -> Result<SlotData, ParseError> {
    let size = cursor.number("a number of bytes")?;
    cursor.expect_word("align")?;
    let align = cursor.number("an alignment")?;
    let named = matches!(cursor.peek(), Token::Name(_));
    let name = if named { cursor.name()? } else { String::new() };
    Ok(SlotData { size, align, name })
}

fn kind(cursor: &mut Cursor) -> Result<FuncKind, ParseError> {
    let at = cursor.position();
    Ok(match cursor.word("the kind of a function")?.as_str() {
        "static" => FuncKind::Static,
        "global" => FuncKind::Global,
        "callback" => FuncKind::Callback,
        "program" => {
            let prog_type = cursor.named("a program type", ProgType::from_name)?;
            let section = cursor.text()?;
            let attach_type =
                cursor.eat_word("attach").then(|| cursor.named("an attach type", AttachType::from_name)).transpose()?;
            let flags = if cursor.eat_word("flags") { cursor.number("flags")? } else { 0 };
            FuncKind::Program(ProgramInfo { prog_type, attach_type, flags, section })
        }
        other => {
            return Err(at.error(format!("`{other}` is no kind of function: program, static, global or callback")));
        }
    })
}
