//! Modules, functions and instructions as text.

use std::fmt::{self, Display, Formatter, Write};

use crate::entity::{Block, CoreRef, Value};
use crate::entity::{Entity, FuncRef, GlobalRef, Inst, KfuncRef, MapRef, Slot};
use crate::function::{Function, Inlining, Loc};
use crate::inst::{Callee, Edge, InstData};
use crate::module::{Core, FuncKind, Global, Kfunc, MapDecl, Module};
use crate::op::Width;

/// A name: bare if it consists of letters, digits, `_`, `.` and `$`, else in quotes.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let bare = !self.0.is_empty() && self.0.chars().all(super::is_name_char);
        if bare { write!(f, "@{}", self.0) } else { write!(f, "@{}", Quoted(self.0)) }
    }
}

/// A text in quotes.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// Bytes as hexadecimal digits in quotes.
struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_char('"')
    }
}

/// Items with commas between them.
fn list<T: Display>(f: &mut Formatter<'_>, items: impl IntoIterator<Item = T>) -> fmt::Result {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

/// Values with their types.
fn typed(f: &mut Formatter<'_>, function: &Function, values: &[Value]) -> fmt::Result {
    list(f, values.iter().map(|&value| format!("{value}: {}", function.ty(value))))
}

impl Display for Module {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "license {}", Quoted(&self.license))?;
        for (at, map) in self.maps.iter().enumerate() {
            write!(f, "map {} ", MapRef::new(at))?;
            print_map(f, map, 0)?;
        }
        for (at, global) in self.globals.iter().enumerate() {
            print_global(f, GlobalRef::new(at), global)?;
        }
        for (at, core) in self.cores.iter().enumerate() {
            print_core(f, CoreRef::new(at), core)?;
        }
        for (at, Kfunc { name, weak, variable }) in self.kfuncs.iter().enumerate() {
            write!(f, "kfunc {} {}{}", KfuncRef::new(at), Name(name), if *weak { " weak" } else { "" })?;
            if let Some(ty) = variable {
                write!(f, " variable {ty}")?;
            }
            writeln!(f)?;
        }
        for (at, function) in self.functions.iter().enumerate() {
            write!(f, "\nfunc {} ", FuncRef::new(at))?;
            print_function(f, function)?;
        }
        if !self.sources.is_empty() || !self.btf.is_empty() {
            writeln!(f)?;
        }
        for source in &self.sources {
            writeln!(f, "source {} {}", Quoted(&source.name), Quoted(&source.text))?;
        }
        if self.btf.is_empty() { Ok(()) } else { writeln!(f, "btf {}", Hex(&self.btf)) }
    }
}

fn print_map(f: &mut Formatter<'_>, map: &MapDecl, depth: usize) -> fmt::Result {
    let MapDecl { name, map_type, key_size, value_size, max_entries, flags, inner, types, contents } = map;
    write!(f, "{} = {map_type} key {key_size} value {value_size} entries {max_entries}", Name(name))?;
    if *flags != 0 {
        write!(f, " flags {flags}")?;
    }
    if *types != [0; 2] {
        write!(f, " types {}, {}", types[0], types[1])?;
    }
    if inner.is_none() && contents.is_empty() {
        return writeln!(f);
    }
    writeln!(f, " {{")?;
    let indent = 2 * depth;
    if let Some(inner) = inner {
        write!(f, "{:indent$}  inner ", "")?;
        print_map(f, inner, depth + 1)?;
    }
    for (key, value) in contents {
        writeln!(f, "{:indent$}  entry {} = {}", "", Hex(key), Hex(value))?;
    }
    writeln!(f, "{:indent$}}}", "")
}

fn print_global(f: &mut Formatter<'_>, number: GlobalRef, global: &Global) -> fmt::Result {
    let Global { name, section, bytes, align, ty } = global;
    write!(f, "global {number} {} in {} align {align}", Name(name), Quoted(section))?;
    if *ty != 0 {
        write!(f, " type {ty}")?;
    }
    if bytes.iter().all(|&byte| byte == 0) {
        writeln!(f, " = zero {}", bytes.len())
    } else {
        writeln!(f, " = {}", Hex(bytes))
    }
}

fn print_core(f: &mut Formatter<'_>, number: CoreRef, core: &Core) -> fmt::Result {
    let Core { kind, ty, access, local } = core;
    writeln!(f, "core {number} = {} type {ty} access {} local {local}", kind.name(), Quoted(access))
}

impl Display for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("func ")?;
        print_function(f, self)
    }
}

/// Everything behind the number of a function.
fn print_function(f: &mut Formatter<'_>, function: &Function) -> fmt::Result {
    write!(f, "{}: ", Name(&function.name))?;
    match &function.kind {
        FuncKind::Static => f.write_str("static")?,
        FuncKind::Global => f.write_str("global")?,
        FuncKind::Callback => f.write_str("callback")?,
        FuncKind::Program(info) => {
            write!(f, "program {} {}", info.prog_type, Quoted(&info.section))?;
            if let Some(attach_type) = info.attach_type {
                write!(f, " attach {attach_type}")?;
            }
            if info.flags != 0 {
                write!(f, " flags {}", info.flags)?;
            }
        }
    }
    if function.ty != 0 {
        write!(f, " type {}", function.ty)?;
    }
    if function.inlining != Inlining::Free {
        write!(f, " inline {}", function.inlining.name())?;
    }
    if let Some(result) = function.result {
        write!(f, " -> {result}")?;
    }
    writeln!(f, " {{")?;
    if let Some(assembly) = &function.assembly {
        writeln!(f, "  ; {} slots of assembly", assembly.insns.len())?;
    }
    for (at, slot) in function.slots.iter().enumerate() {
        write!(f, "  slot {} {} align {}", Slot::new(at), slot.size, slot.align)?;
        if !slot.name.is_empty() {
            write!(f, " {}", Name(&slot.name))?;
        }
        writeln!(f)?;
    }
    function.blocks.iter().try_for_each(|&block| print_block(f, function, block))?;
    writeln!(f, "}}")
}

fn print_block(f: &mut Formatter<'_>, function: &Function, block: Block) -> fmt::Result {
    write!(f, "{block}")?;
    let params = &function[block].params;
    if !params.is_empty() {
        f.write_char('(')?;
        typed(f, function, params)?;
        f.write_char(')')?;
    }
    writeln!(f, ":")?;
    function[block].insts.iter().try_for_each(|&inst| writeln!(f, "  {}", function.display(inst)))
}

/// One instruction with its results and its place, as a line of the text form.
#[derive(Debug, Clone, Copy)]
pub struct InstText<'f> {
    function: &'f Function,
    inst: Inst,
}

impl Function {
    /// An instruction as a line of the text form.
    pub const fn display(&self, inst: Inst) -> InstText<'_> {
        InstText { function: self, inst }
    }
}

impl Display for InstText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let node = &self.function[self.inst];
        if !node.results.is_empty() {
            typed(f, self.function, &node.results)?;
            f.write_str(" = ")?;
        }
        write!(f, "{}", node.data)?;
        let Loc { source, line, column } = node.loc;
        if node.loc == Loc::default() { Ok(()) } else { write!(f, " ; @{source}:{line}:{column}") }
    }
}

impl Display for Edge {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.block)?;
        list(f, &self.args)?;
        f.write_char(')')
    }
}

impl Display for Callee {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Helper(id) => match skep_isa::helpers::by_id(*id) {
                Some(helper) => write!(f, "helper {}", helper.name),
                None => write!(f, "helper {id}"),
            },
            Self::Kfunc(kfunc) => kfunc.fmt(f),
            Self::Func(function) => function.fmt(f),
        }
    }
}

/// A pointer and a distance.
struct At(Value, i32);

impl Display for At {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.0, if self.1 < 0 { '-' } else { '+' }, self.1.unsigned_abs())
    }
}

fn at(ptr: Value, off: i16) -> At {
    At(ptr, off.into())
}

fn width(width: Width) -> &'static str {
    width.name()
}

impl Display for InstData {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let flag = |set: bool, name: &'static str| if set { name } else { "" };
        match self {
            Self::Const(number) => write!(f, "const {number}"),
            Self::Unary(op, value) => write!(f, "{} {value}", op.name()),
            Self::Binary(op, [left, right]) => write!(f, "{} {left}, {right}", op.name()),
            Self::Compare(cond, [left, right]) => write!(f, "compare {} {left}, {right}", cond.name()),
            Self::Select(cond, values) => {
                write!(f, "select {} ", cond.name())?;
                list(f, values)
            }
            Self::PtrAdd(ptr, offset) => write!(f, "ptr_add {ptr}, {offset}"),
            Self::PtrAddConst(ptr, offset) => write!(f, "ptr_add_const {ptr}, {offset}"),
            Self::PtrDiff(left, right) => write!(f, "ptr_diff {left}, {right}"),
            Self::PtrToInt(ptr) => write!(f, "ptr_to_int {ptr}"),
            Self::Cast(value) => write!(f, "cast {value}"),
            Self::SpaceCast(space, value) => write!(f, "space_cast {} {value}", space.name()),
            Self::Opaque(value) => write!(f, "opaque {value}"),
            Self::Load { width: bytes, signed, ptr, off, volatile } => {
                let (signed, volatile) = (flag(*signed, ".signed"), flag(*volatile, ".volatile"));
                write!(f, "load.{}{signed}{volatile} {}", width(*bytes), at(*ptr, *off))
            }
            Self::Store { width: bytes, ptr, off, value, volatile } => {
                let volatile = flag(*volatile, ".volatile");
                write!(f, "store.{}{volatile} {}, {value}", width(*bytes), at(*ptr, *off))
            }
            Self::Atomic { op, width: bytes, ptr, off, value } => {
                write!(f, "atomic.{} {} {}, {value}", width(*bytes), op.name(), at(*ptr, *off))
            }
            Self::CompareExchange { width: bytes, ptr, off, expected, value } => {
                write!(f, "compare_exchange.{} {}, {expected}, {value}", width(*bytes), at(*ptr, *off))
            }
            Self::Copy { to, from, len, align } => write!(f, "copy {to}, {from}, {len} align {align}"),
            Self::Fill { to, len, byte, align } => write!(f, "fill {to}, {len}, {byte} align {align}"),
            Self::PacketLoad { width: bytes, base, k } => match base {
                Some(base) => write!(f, "packet_load.{} {}", width(*bytes), At(*base, *k)),
                None => write!(f, "packet_load.{} {k}", width(*bytes)),
            },
            Self::SlotAddr(slot) => write!(f, "slot_addr {slot}"),
            Self::MapAddr(map) => write!(f, "map_addr {map}"),
            Self::GlobalAddr(global) => write!(f, "global_addr {global}"),
            Self::KernelAddr(kfunc) => write!(f, "kernel_addr {kfunc}"),
            Self::FuncAddr(function) => write!(f, "func_addr {function}"),
            Self::Core(core) => write!(f, "core {core}"),
            Self::Call(callee, args) => {
                write!(f, "call {callee}(")?;
                list(f, args)?;
                f.write_char(')')
            }
            control => control.print_control(f),
        }
    }
}

impl InstData {
    fn print_control(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jump(edge) => write!(f, "jump {edge}"),
            Self::Branch { cond, args: [left, right], yes, no } => {
                write!(f, "branch {} {left}, {right} -> {yes}, {no}", cond.name())
            }
            Self::Switch { value, cases, default } => {
                write!(f, "switch {value} [")?;
                list(f, cases.iter().map(|(number, edge)| format!("{number} -> {edge}")))?;
                write!(f, "] else {default}")
            }
            Self::MayGoto { next, done } => write!(f, "may_goto {next}, {done}"),
            Self::Return(Some(value)) => write!(f, "return {value}"),
            Self::Return(None) => f.write_str("return"),
            _ => f.write_str("unreachable"),
        }
    }
}
