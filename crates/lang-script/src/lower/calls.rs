//! System calls: one program at the raw tracepoint of all of them, which hands on to the program of the call.

use skep_ir::{Builder, Callee, FuncKind, Function, MapDecl, Memory, ProgramInfo, Type as IrType, Width};
use skep_isa::{MapType as KernelMap, ProgType};

use super::{Unit, helpers};
use crate::check::CallSide;
use crate::plan::{Attach, CallTable};

/// Numbers that a table has room for: more than there are system calls.
const CALLS: u32 = 512;

impl Unit<'_> {
    /// Gives a system call its place in a table. A table has one place for each call, so several programs for one call are
    /// in several tables.
    pub fn in_table(&mut self, attach: Attach) -> Attach {
        let Attach::SystemCall { ret, number, .. } = attach else { return attach };
        let taken = |table: usize| {
            let wanted = Attach::SystemCall { ret, number, table: index(table) };
            self.plan.probes.iter().any(|probe| probe.attach == wanted)
        };
        let tables = self.plan.call_tables.iter().enumerate();
        let free = tables.filter(|(_, table)| table.ret == ret).map(|(table, _)| table).find(|&table| !taken(table));
        let table = free.unwrap_or_else(|| self.call_table(ret));
        Attach::SystemCall { ret, number, table: index(table) }
    }

    fn call_table(&mut self, ret: bool) -> usize {
        let side = if ret { CallSide::Exit } else { CallSide::Enter };
        let serial = self.plan.call_tables.len();
        let name = format!("skep_{}_{serial}", side.event());
        let map = self.module.add_map(MapDecl::new(&name, KernelMap::ProgArray, 4, 4, CALLS));
        let program = format!("calls_{}_{serial}", side.event());
        let section = format!("raw_tp/{}", side.event());
        let info = ProgramInfo { prog_type: ProgType::RawTracepoint, attach_type: None, flags: 0, section };
        let context = IrType::ptr(Memory::Context);
        let mut function = Function::new(&program, FuncKind::Program(info), &[context], Some(IrType::I32));
        let slot = function.add_slot("number", 8, 8);
        let mut b = Builder::new(&mut function);
        let context = b.function.params()[0];
        let number = match side {
            CallSide::Enter => b.load_as(IrType::I64, Width::W64, false, context, 8),
            CallSide::Exit => {
                let (offset, bytes) = self.input.env.arch.call_number();
                let place = b.slot_addr(slot);
                let zero = b.i64(0);
                b.store(Width::W64, place, 0, zero);
                let registers = b.load_as(IrType::I64, Width::W64, false, context, 0);
                let from = b.binary_const(skep_ir::Binary::Add, registers, offset.into());
                let size = b.i64(bytes.into());
                b.call_void(Callee::Helper(helpers::PROBE_READ_KERNEL), &[place, size, from]);
                let place = b.slot_addr(slot);
                b.load_as(IrType::I64, Width::W64, false, place, 0)
            }
        };
        let table = b.map_addr(map);
        // A call that is not traced goes on here.
        b.call_void(Callee::Helper(helpers::TAIL_CALL), &[context, table, number]);
        let zero = b.i32(0);
        b.ret(Some(zero));
        self.module.add_function(function);
        self.plan.call_tables.push(CallTable { ret, program, object_map: name });
        serial
    }
}

fn index(table: usize) -> u32 {
    u32::try_from(table).unwrap_or(u32::MAX)
}
