//! What the random functions mean: a plain walk over the representation, which shares nothing with code generation.

use skep_ir::{AtomicOp, Binary, Callee, Cond, Edge, Entity, Function, InstData, Module, Type, Unary, Value, Width};
use skep_isa::ebpf::Width as Register;

/// Where the variable lies.
const GLOBAL: u64 = 1 << 32;
/// Where the objects of the frame lie, each 64 KiB behind the one before.
const FRAME: u64 = 2 << 32;

/// A run: the memory that lasts.
pub struct Run<'m> {
    module: &'m Module,
    /// The bytes of the variable.
    pub global: Vec<u8>,
}

struct Frame<'m> {
    func: &'m Function,
    values: Vec<u64>,
    slots: Vec<Vec<u8>>,
}

impl<'m> Run<'m> {
    pub fn new(module: &'m Module) -> Self {
        Self { module, global: module.globals[0].bytes.clone() }
    }

    /// Runs a function to its end.
    pub fn call(&mut self, func: &'m Function, args: &[u64]) -> u64 {
        let mut frame = Frame {
            func,
            values: vec![0; func.value_count()],
            slots: func.slots.iter().map(|slot| vec![0; slot.size as usize]).collect(),
        };
        let mut block = func.entry();
        frame.enter(block, args);
        loop {
            for &inst in &func[block].insts {
                let node = &func[inst];
                let results = node.results.clone();
                let edge = match &node.data {
                    InstData::Return(value) => return value.map_or(0, |value| frame.get(value)),
                    InstData::Jump(edge) => Some(edge),
                    InstData::Branch { cond, args, yes, no } => {
                        let holds = frame.compare(*cond, *args);
                        for (result, arg) in results.iter().zip(args) {
                            let value = frame.get(*arg);
                            frame.set(*result, value);
                        }
                        Some(if holds { yes } else { no })
                    }
                    InstData::Switch { value, cases, default } => {
                        let value = frame.get(*value);
                        let found = cases.iter().find(|(case, _)| case.cast_unsigned() == value);
                        Some(found.map_or(default, |(_, edge)| edge))
                    }
                    data => {
                        let value = self.compute(&mut frame, data, results.first().copied());
                        if let Some(result) = results.first() {
                            frame.set(*result, value);
                        }
                        None
                    }
                };
                if let Some(Edge { block: to, args }) = edge {
                    let args: Vec<u64> = args.iter().map(|&arg| frame.get(arg)).collect();
                    frame.enter(*to, &args);
                    block = *to;
                }
            }
        }
    }

    fn compute(&mut self, frame: &mut Frame<'m>, data: &InstData, result: Option<Value>) -> u64 {
        let get = |value: &Value| frame.get(*value);
        match data {
            InstData::Const(number) => number.cast_unsigned(),
            InstData::Unary(op, value) => unary(*op, get(value)),
            InstData::Binary(op, [left, right]) => binary(*op, width(frame.func.ty(*left)), get(left), get(right)),
            InstData::Compare(cond, args) => frame.compare(*cond, *args).into(),
            InstData::Select(cond, [left, right, yes, no]) => {
                if frame.compare(*cond, [*left, *right]) {
                    get(yes)
                } else {
                    get(no)
                }
            }
            InstData::PtrAdd(ptr, off) => get(ptr).wrapping_add(get(off)),
            InstData::PtrAddConst(ptr, off) => get(ptr).wrapping_add_signed((*off).into()),
            InstData::SlotAddr(slot) => FRAME + (slot.index() as u64) * 0x1_0000,
            InstData::GlobalAddr(_) => GLOBAL,
            InstData::Load { width, signed, ptr, off, .. } => {
                let value = self.read(frame, get(ptr).wrapping_add_signed((*off).into()), *width);
                let unused = 64 - 8 * width.bytes();
                if *signed { ((value << unused).cast_signed() >> unused).cast_unsigned() } else { value }
            }
            InstData::Store { width, ptr, off, value, .. } => {
                let (place, value) = (get(ptr).wrapping_add_signed((*off).into()), get(value));
                self.write(frame, place, *width, value);
                0
            }
            InstData::Atomic { op, width, ptr, off, value } => {
                let (place, value) = (get(ptr).wrapping_add_signed((*off).into()), get(value));
                let old = self.read(frame, place, *width);
                let new = match op {
                    AtomicOp::Add => old.wrapping_add(value),
                    AtomicOp::And => old & value,
                    AtomicOp::Or => old | value,
                    AtomicOp::Xor => old ^ value,
                    AtomicOp::Xchg => value,
                };
                self.write(frame, place, *width, new);
                old
            }
            InstData::CompareExchange { width, ptr, off, expected, value } => {
                let (place, value) = (get(ptr).wrapping_add_signed((*off).into()), get(value));
                let expected = get(expected);
                let old = self.read(frame, place, *width);
                if old == expected {
                    self.write(frame, place, *width, value);
                }
                old
            }
            InstData::Fill { to, len, byte, .. } => {
                for place in get(to)..get(to) + u64::from(*len) {
                    self.write(frame, place, Width::W8, (*byte).into());
                }
                0
            }
            InstData::Copy { to, from, len, .. } => {
                let (to, from) = (get(to), get(from));
                for at in 0..u64::from(*len) {
                    let byte = self.read(frame, from + at, Width::W8);
                    self.write(frame, to + at, Width::W8, byte);
                }
                0
            }
            InstData::Call(Callee::Helper(_), _) => {
                assert!(result.is_none(), "only calls whose result nobody reads");
                0
            }
            InstData::Call(Callee::Func(func), args) => {
                let args: Vec<u64> = args.iter().map(get).collect();
                self.call(&self.module.functions[func.index()], &args)
            }
            other => panic!("not made: {other:?}"),
        }
    }

    fn bytes<'a>(&'a mut self, frame: &'a mut Frame<'m>, place: u64, width: Width) -> &'a mut [u8] {
        let memory =
            if place >= FRAME { &mut frame.slots[(place - FRAME) as usize / 0x1_0000] } else { &mut self.global };
        let start = (place & 0xffff) as usize;
        &mut memory[start..start + width.bytes() as usize]
    }

    fn read(&mut self, frame: &mut Frame<'m>, place: u64, width: Width) -> u64 {
        let mut value = [0; 8];
        let bytes = self.bytes(frame, place, width);
        value[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(value)
    }

    fn write(&mut self, frame: &mut Frame<'m>, place: u64, width: Width, value: u64) {
        let bytes = self.bytes(frame, place, width);
        bytes.copy_from_slice(&value.to_le_bytes()[..width.bytes() as usize]);
    }
}

impl Frame<'_> {
    fn get(&self, value: Value) -> u64 {
        self.values[value.index()]
    }

    /// 32 bits are all that a 32-bit value has.
    fn set(&mut self, value: Value, to: u64) {
        self.values[value.index()] = if self.func.ty(value) == Type::I32 { to & 0xffff_ffff } else { to };
    }

    fn enter(&mut self, block: skep_ir::Block, args: &[u64]) {
        for (&param, &arg) in self.func[block].params.iter().zip(args) {
            self.set(param, arg);
        }
    }

    fn compare(&self, cond: Cond, [left, right]: [Value; 2]) -> bool {
        let width = width(self.func.ty(left));
        cond.jump().eval(width, self.get(left), self.get(right))
    }
}

const fn width(ty: Type) -> Register {
    if matches!(ty, Type::I32) { Register::W32 } else { Register::W64 }
}

fn unary(op: Unary, value: u64) -> u64 {
    match op {
        Unary::Neg => value.wrapping_neg(),
        Unary::Extend | Unary::Truncate => value & 0xffff_ffff,
        Unary::Sext8 => value as i8 as u64,
        Unary::Sext16 => value as i16 as u64,
        Unary::Sext32 => value as i32 as u64,
        Unary::Swap16 => u64::from((value as u16).swap_bytes()),
        Unary::Swap32 => u64::from((value as u32).swap_bytes()),
        Unary::Swap64 => value.swap_bytes(),
    }
}

fn binary(op: Binary, width: Register, left: u64, right: u64) -> u64 {
    op.alu().eval(width, left, right)
}
