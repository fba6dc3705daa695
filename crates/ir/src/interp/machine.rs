//! Runs functions.

use super::{Host, OutOfBounds, Reason, Trap};
use crate::entity::{Block, Entity, FuncRef, Inst, Value};
use crate::eval;
use crate::function::{Function, Loc};
use crate::inst::{Callee, Edge, InstData};
use crate::module::Module;
use crate::op::Width;
use crate::types::{Memory as Class, Type};

/// Most functions that call each other at a time.
const MOST_FRAMES: usize = 8;
/// Instructions that [`interpret`] allows: as many as the kernel's verifier looks at.
const STEPS: u64 = 1_000_000;
/// Addresses of functions: their numbers below this. No region is so far up.
const FUNCTIONS: u64 = 0x7fff_0000_0000_0000;

/// Calls a function of a module, at most a million instructions long.
///
/// Arguments are cut to the types of the parameters; missing ones are 0.
///
/// # Errors
/// What the function must not have done. Modules that follow the [rules](mod@crate::verify) run until a trap that they leave
/// to the kernel's verifier: the limit of instructions, bounds of variable offsets.
pub fn interpret(module: &Module, function: FuncRef, args: &[u64], host: &mut dyn Host) -> Result<Option<u64>, Trap> {
    Machine::new(module, STEPS).call(host, function, args)
}

/// A module that is being run.
#[derive(Debug)]
pub struct Machine<'m> {
    module: &'m Module,
    steps: u64,
    depth: usize,
}

/// A call that is going on.
struct Frame<'m> {
    function: &'m Function,
    values: Vec<u64>,
    slots: Vec<u64>,
}

/// What comes after an instruction.
enum Next<'e> {
    Inst,
    Block(&'e Edge),
    Return(Option<u64>),
}

impl From<OutOfBounds> for Reason {
    fn from(error: OutOfBounds) -> Self {
        Self::Bounds(error)
    }
}

/// Why an instruction did not work: here, or in a function that it called.
enum Stop {
    Here(Reason),
    Below(Trap),
}

impl<T: Into<Reason>> From<T> for Stop {
    fn from(reason: T) -> Self {
        Self::Here(reason.into())
    }
}

impl<'m> Machine<'m> {
    /// A machine that runs so many instructions.
    pub const fn new(module: &'m Module, steps: u64) -> Self {
        Self { module, steps, depth: 0 }
    }

    /// Instructions that may still be run.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// A trap without an instruction, for hosts.
    pub fn trap(reason: Reason) -> Trap {
        Trap { function: String::new(), inst: String::new(), loc: Loc::default(), reason }
    }

    /// The function with an address that `func_addr` gave.
    pub fn function_at(&self, address: u64) -> Option<FuncRef> {
        let index = usize::try_from(address.checked_sub(FUNCTIONS)?).ok()?;
        (index < self.module.functions.len()).then(|| FuncRef::new(index))
    }

    /// Calls a function.
    ///
    /// # Errors
    /// As those of [`interpret`].
    pub fn call(&mut self, host: &mut dyn Host, number: FuncRef, args: &[u64]) -> Result<Option<u64>, Trap> {
        let Some(function) = self.module.functions.get(number.index()) else {
            return Err(Self::trap(Reason::Rule(format!("{number} does not exist"))));
        };
        if function.assembly.is_some() {
            let reason = Reason::Rule("a function in assembly cannot be interpreted".to_owned());
            return Err(Trap { function: function.name.clone(), ..Self::trap(reason) });
        }
        if self.depth >= MOST_FRAMES {
            return Err(Trap { function: function.name.clone(), ..Self::trap(Reason::Depth) });
        }
        self.depth += 1;
        let slots =
            function.slots.iter().map(|slot| host.memory().add(vec![0; slot.size as usize], true)).collect::<Vec<_>>();
        let mut frame = Frame { function, values: vec![0; function.value_count()], slots };
        for (at, &param) in function.params().iter().enumerate() {
            frame.set(param, args.get(at).copied().unwrap_or(0));
        }
        let result = self.run(host, &mut frame);
        frame.slots.iter().for_each(|&slot| host.memory().remove(slot));
        self.depth -= 1;
        result
    }

    fn run(&mut self, host: &mut dyn Host, frame: &mut Frame<'m>) -> Result<Option<u64>, Trap> {
        let function = frame.function;
        let mut block = function.entry();
        loop {
            let mut next = None;
            for &inst in &function[block].insts {
                let trap = |reason| Trap {
                    function: function.name.clone(),
                    inst: function.display(inst).to_string(),
                    loc: function[inst].loc,
                    reason,
                };
                self.steps = self.steps.checked_sub(1).ok_or_else(|| trap(Reason::Steps))?;
                match self.step(host, frame, inst) {
                    Ok(Next::Inst) => {}
                    Ok(Next::Block(edge)) => {
                        next = Some(frame.enter(edge));
                        break;
                    }
                    Ok(Next::Return(value)) => return Ok(value),
                    Err(Stop::Here(reason)) => return Err(trap(reason)),
                    Err(Stop::Below(inner)) if inner.function.is_empty() => return Err(trap(inner.reason)),
                    Err(Stop::Below(inner)) => return Err(inner),
                }
            }
            block = next.ok_or_else(|| Trap {
                function: function.name.clone(),
                ..Self::trap(Reason::Rule(format!("{block} does not end")))
            })?;
        }
    }

    fn step(&mut self, host: &mut dyn Host, frame: &mut Frame<'m>, inst: Inst) -> Result<Next<'m>, Stop> {
        let function = frame.function;
        let node = &function[inst];
        let result = match &node.data {
            InstData::Load { .. }
            | InstData::Store { .. }
            | InstData::Atomic { .. }
            | InstData::CompareExchange { .. }
            | InstData::Copy { .. }
            | InstData::Fill { .. } => access(host, frame, inst)?,
            InstData::PacketLoad { width, base, k } => {
                let offset = base.map_or(0, |base| frame.get(base) as u32).wrapping_add_signed(*k);
                match host.packet_load(offset, *width) {
                    Some(value) => Some(value),
                    None => return Ok(Next::Return(Some(0))),
                }
            }
            InstData::Call(callee, args) => self.call_out(host, frame, *callee, args)?,
            InstData::SlotAddr(slot) => frame.slots.get(slot.index()).copied(),
            InstData::MapAddr(map) => Some(host.map(*map).ok_or_else(|| missing("map"))?),
            InstData::GlobalAddr(global) => Some(host.global(*global).ok_or_else(|| missing("variable"))?),
            InstData::FuncAddr(callee) => Some(FUNCTIONS + callee.index() as u64),
            InstData::KernelAddr(_) => return Err(Reason::Rule("there is no kernel here".to_owned()).into()),
            InstData::Core(core) => {
                let core = self.module.cores.get(core.index()).ok_or_else(|| missing("constant"))?;
                Some(core.local.cast_unsigned())
            }
            data if data.is_terminator() => {
                // Names that a branch gives anew.
                if let InstData::Branch { args, .. } = data {
                    node.results.iter().zip(args).for_each(|(&result, &arg)| frame.set(result, frame.get(arg)));
                }
                return frame.control(data);
            }
            data => Some(frame.compute(inst, data)),
        };
        if let (Some(&target), Some(value)) = (node.results.first(), result) {
            frame.set(target, value);
        }
        Ok(Next::Inst)
    }

    fn call_out(
        &mut self,
        host: &mut dyn Host,
        frame: &Frame<'m>,
        callee: Callee,
        args: &[Value],
    ) -> Result<Option<u64>, Stop> {
        let mut values = [0; 5];
        values.iter_mut().zip(args).for_each(|(value, &arg)| *value = frame.get(arg));
        match callee {
            Callee::Func(number) => self.call(host, number, values.get(..args.len()).unwrap_or(&values)),
            Callee::Helper(id) => host.helper(self, id, values).map(Some),
            Callee::Kfunc(kfunc) => host.kfunc(self, kfunc, values).map(Some),
        }
        .map_err(Stop::Below)
    }
}

fn missing(what: &str) -> Reason {
    Reason::Rule(format!("there is no such {what}"))
}

impl<'m> Frame<'m> {
    fn get(&self, value: Value) -> u64 {
        self.values[value.index()]
    }

    /// Gives a value to a name, cut to its type.
    fn set(&mut self, name: Value, value: u64) {
        self.values[name.index()] = eval::cut(self.function.ty(name), value);
    }

    /// Gives the parameters of a block their values, all at once.
    fn enter(&mut self, edge: &Edge) -> Block {
        let args: Vec<u64> = edge.args.iter().map(|&arg| self.get(arg)).collect();
        let params = &self.function[edge.block].params;
        params.iter().zip(args).for_each(|(&param, arg)| self.set(param, arg));
        edge.block
    }

    fn holds(&self, cond: crate::op::Cond, left: Value, right: Value) -> bool {
        eval::compare(cond, self.function.ty(left), self.get(left), self.get(right))
    }

    /// The result of an instruction that only computes.
    fn compute(&self, inst: Inst, data: &InstData) -> u64 {
        let ty = self.function[inst].results.first().map_or(Type::I64, |&result| self.function.ty(result));
        match *data {
            InstData::Const(number) => number.cast_unsigned(),
            InstData::Unary(op, value) => eval::unary(op, ty, self.get(value)),
            InstData::Binary(op, [left, right]) => eval::binary(op, ty, self.get(left), self.get(right)),
            InstData::Compare(cond, [left, right]) => self.holds(cond, left, right).into(),
            InstData::Select(cond, [left, right, yes, no]) => {
                self.get(if self.holds(cond, left, right) { yes } else { no })
            }
            InstData::PtrAdd(ptr, offset) => self.get(ptr).wrapping_add(self.get(offset)),
            InstData::PtrAddConst(ptr, offset) => self.get(ptr).wrapping_add_signed(offset.into()),
            InstData::PtrDiff(left, right) => self.get(left).wrapping_sub(self.get(right)),
            // Here memory has one address.
            InstData::PtrToInt(value)
            | InstData::Cast(value)
            | InstData::SpaceCast(_, value)
            | InstData::Opaque(value) => self.get(value),
            _ => 0,
        }
    }

    fn control(&self, data: &'m InstData) -> Result<Next<'m>, Stop> {
        Ok(match data {
            InstData::Jump(edge) => Next::Block(edge),
            InstData::Branch { cond, args: [left, right], yes, no } => {
                Next::Block(if self.holds(*cond, *left, *right) { yes } else { no })
            }
            InstData::Switch { value, cases, default } => {
                let ty = self.function.ty(*value);
                let number = self.get(*value);
                let case = cases.iter().find(|case| eval::cut(ty, case.0.cast_unsigned()) == number);
                Next::Block(case.map_or(default, |case| &case.1))
            }
            // The limit of the kernel is 2^23 rounds; ours is the limit of instructions.
            InstData::MayGoto { next, .. } => Next::Block(next),
            InstData::Return(value) => Next::Return(value.map(|value| self.get(value))),
            _ => return Err(Reason::Unreachable.into()),
        })
    }
}

/// Reads or writes memory; what was read.
fn access(host: &mut dyn Host, frame: &Frame<'_>, inst: Inst) -> Result<Option<u64>, Stop> {
    let at = |ptr, off: i16| frame.get(ptr).wrapping_add_signed(off.into());
    Ok(match frame.function[inst].data {
        InstData::Load { width, signed, ptr, off, .. } => Some(match packet_pointer(host, frame, inst, ptr) {
            Some(pointer) => pointer?,
            None => {
                let bytes = host.memory().read(at(ptr, off), width.bytes())?;
                let ty = frame.function[inst].results.first().map_or(Type::I64, |&value| frame.function.ty(value));
                eval::load(width, signed, ty, bytes)
            }
        }),
        InstData::Store { width, ptr, off, value, .. } => {
            host.memory().write(at(ptr, off), width.bytes(), frame.get(value))?;
            None
        }
        InstData::Atomic { op, width, ptr, off, value } => {
            let (address, memory) = (at(ptr, off), host.memory());
            let old = memory.read(address, width.bytes())?;
            memory.write(address, width.bytes(), eval::atomic(op, old, frame.get(value)))?;
            Some(old)
        }
        InstData::CompareExchange { width, ptr, off, expected, value } => {
            let (address, memory) = (at(ptr, off), host.memory());
            let old = memory.read(address, width.bytes())?;
            let equal = old == eval::load(width, false, Type::I64, frame.get(expected));
            // The exchange writes in both cases: what is read-only fails in both.
            memory.write(address, width.bytes(), if equal { frame.get(value) } else { old })?;
            Some(old)
        }
        InstData::Copy { to, from, len, .. } => {
            let bytes = host.memory().slice(frame.get(from), len as usize)?.to_vec();
            host.memory().slice_mut(frame.get(to), len as usize)?.copy_from_slice(&bytes);
            None
        }
        InstData::Fill { to, len, byte, .. } => {
            host.memory().slice_mut(frame.get(to), len as usize)?.fill(byte);
            None
        }
        _ => None,
    })
}

/// For a load of a pointer into the packet from a context: that pointer. Contexts hold them in fields of 32 bits, which
/// the kernel replaces by loads of the real ones.
fn packet_pointer(host: &dyn Host, frame: &Frame<'_>, inst: Inst, from: Value) -> Option<Result<u64, Reason>> {
    let function = frame.function;
    if function.ty(from).pointer()?.to != Class::Context {
        return None;
    }
    let number = match function.ty(*function[inst].results.first()?).pointer()?.to {
        Class::PacketMeta => 0,
        Class::Packet => 1,
        Class::PacketEnd => 2,
        _ => return None,
    };
    Some(host.packet().map(|pointers| pointers[number]).ok_or_else(|| Reason::Host("there is no packet".to_owned())))
}

/// Bytes of a packet in network order as a number.
pub(super) fn network_order(packet: &[u8], offset: u32, width: Width) -> Option<u64> {
    let start = usize::try_from(offset).ok()?;
    let bytes = packet.get(start..start.checked_add(width.bytes() as usize)?)?;
    Some(bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}
