//! What the kernel runs, as a listing: translated instructions and machine code with their functions and source lines.

use std::collections::BTreeMap;

use skep_btf::{Btf, NameOff, TypeId};
use skep_isa::ProgType;
use skep_isa::ebpf::{Callee, Imm64, Insn, InsnIdx, Notation, line as line_of};
use skep_object::{Function, Line, Names, Program};

use super::places::Symbols;
use super::rows::function_name;
use super::types::KernelTypes;
use crate::errors::KernelError;
use crate::map::LoadedMap;
use crate::prog::{LineRecord, LoadedProgram};
use crate::prog_info::{ProgramDump, ProgramInfo};

/// `BPF_JMP | BPF_CALL`
const CALL: u8 = 0x85;
/// The source register of calls inside of a program (`BPF_PSEUDO_CALL`).
const PSEUDO_CALL: u8 = 1;

/// The code of a program in the kernel.
#[derive(Debug)]
pub struct KernelCode {
    /// The translated instructions with functions and lines, in the form that [`skep_object::listing`] takes. Without
    /// instructions if the kernel hides them.
    pub program: Program,
    /// The machine code, a part for each function; empty if the program is interpreted or the code is hidden.
    pub machine: Vec<MachineFunction>,
    maps: BTreeMap<u32, String>,
    /// Names of what is called outside of the program, by the instruction.
    callees: BTreeMap<InsnIdx, String>,
}

/// The machine code of one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineFunction {
    /// Its name; empty if it is not known.
    pub name: String,
    /// Where it is in memory; 0 if the process may not know.
    pub address: u64,
    /// The code.
    pub code: Vec<u8>,
    /// The source lines by their distance from the start, in bytes.
    pub lines: Vec<(u64, Line)>,
}

/// Reads back what the kernel made of a program. `symbols` names addresses, `call_base` is the address of
/// `__bpf_call_base`, from which the kernel counts functions that translated code calls.
///
/// # Errors
/// [`KernelError::System`] if the descriptor is not one of a program.
pub fn kernel_code(
    program: &LoadedProgram,
    symbols: &Symbols<'_>,
    call_base: Option<u64>,
) -> Result<KernelCode, KernelError> {
    let (info, dump) = (program.info()?, program.dump()?);
    let types = KernelTypes::new();
    let btf = types.get(info.btf_id);
    let functions = functions(&dump, btf.as_deref(), &info);
    let several = functions.len().max(dump.symbols.len()) > 1;
    let insns: Vec<Insn> = dump.translated.iter().map(|insn| own_call(*insn, several)).collect();
    let callees = callees(&insns, &types, symbols, call_base);
    let machine = machine(&dump, btf.as_deref(), &functions);
    let mut code = Program::new(&info.name, info.prog_type.unwrap_or(ProgType::SocketFilter), insns);
    code.lines = dump.lines.iter().filter_map(|record| line(btf.as_deref()?, record)).collect();
    code.functions = functions;
    let maps = info.map_ids.iter().filter_map(|id| Some((*id, LoadedMap::by_id(*id).ok()?.name().to_owned())));
    Ok(KernelCode { program: code, machine, maps: maps.collect(), callees })
}

/// Calls inside of a program as they were loaded. For the compiler the kernel puts the number of the function in the place
/// of the distance, and the distance where jumps have theirs (`jit_subprogs` in `kernel/bpf/verifier.c`).
fn own_call(insn: Insn, several: bool) -> Insn {
    if several && insn.code == CALL && insn.src == PSEUDO_CALL && insn.off != 0 {
        return Insn { imm: insn.off.into(), off: 0, ..insn };
    }
    insn
}

/// The functions by their records; without records one, with the name that the kernel keeps.
fn functions(dump: &ProgramDump, btf: Option<&Btf>, info: &ProgramInfo) -> Vec<Function> {
    let named = dump.functions.iter().map(|record| Function {
        at: InsnIdx(record.at),
        name: btf.and_then(|btf| function_name(btf, TypeId(record.ty))).unwrap_or_default().into(),
        ty: Some(record.ty),
    });
    let mut named: Vec<Function> = named.collect();
    if named.is_empty() {
        named.push(Function { at: InsnIdx(0), name: info.name.as_str().into(), ty: None });
    }
    named
}

fn line(btf: &Btf, record: &LineRecord) -> Option<Line> {
    Some(Line {
        at: InsnIdx(record.at),
        file: btf.string(NameOff(record.file)).ok()?.into(),
        line: record.line,
        column: record.column,
        text: btf.string(NameOff(record.text)).ok()?.trim_start().into(),
    })
}

/// The names of functions of the kernel that are called.
fn callees(
    insns: &[Insn],
    types: &KernelTypes,
    symbols: &Symbols<'_>,
    call_base: Option<u64>,
) -> BTreeMap<InsnIdx, String> {
    let name = |insn: &Insn| {
        let address = call_base.map(|base| base.wrapping_add_signed(insn.imm.into()));
        let named = address.and_then(symbols).filter(|name| !name.contains('+'));
        match insn.src {
            // The kernel leaves the type's number where the distance is too large.
            2 if named.is_none() && insn.off == 0 => {
                let btf = types.vmlinux().ok()?;
                function_name(&btf, TypeId(insn.imm.cast_unsigned()))
            }
            0 | 2 => named,
            _ => None,
        }
    };
    let calls = insns.iter().enumerate().filter(|(_, insn)| insn.code == CALL && insn.src != PSEUDO_CALL);
    calls.filter_map(|(at, insn)| Some((InsnIdx::new(at), name(insn)?))).collect()
}

/// Machine code, function by function.
fn machine(dump: &ProgramDump, btf: Option<&Btf>, functions: &[Function]) -> Vec<MachineFunction> {
    let mut rest = dump.machine.as_slice();
    let mut found = Vec::new();
    let whole = [u32::try_from(rest.len()).unwrap_or(0)];
    let lengths = if dump.machine_lengths.is_empty() { &whole[..] } else { &dump.machine_lengths };
    for (number, length) in lengths.iter().enumerate() {
        let (code, others) = rest.split_at(rest.len().min(*length as usize));
        rest = others;
        if code.is_empty() {
            continue;
        }
        let address = dump.symbols.get(number).copied().unwrap_or(0);
        let lines = dump.line_addresses.iter().zip(&dump.lines).filter_map(|(at, record)| {
            let from = at.checked_sub(address).filter(|from| address != 0 && *from < code.len() as u64)?;
            Some((from, line(btf?, record)?))
        });
        found.push(MachineFunction {
            name: functions.get(number).map(|function| function.name.to_string()).unwrap_or_default(),
            address,
            code: code.to_vec(),
            lines: lines.collect(),
        });
    }
    found
}

/// Instructions that only the kernel writes (`include/linux/filter.h`): memory accesses that may fault, addresses of
/// per-CPU data, barriers against speculation.
fn internal(insn: Insn) -> Option<String> {
    const MOVE: u8 = 0xbf;
    const NOSPEC: u8 = 0xc2;
    /// The bits of the mode, and the modes by what they are otherwise.
    const MODE: u8 = 0xe0;
    const MODES: [(u8, u8, u8, &str); 6] = [
        // Class, the kernel's mode, the mode that it replaces, remark.
        (1, 0x20, 0x60, "may fault"),
        (1, 0x40, 0x80, "may fault"),
        (1, 0xa0, 0x60, "arena"),
        (2, 0xa0, 0x60, "arena"),
        (3, 0xa0, 0x60, "arena"),
        (3, 0xe0, 0xc0, "arena"),
    ];
    match insn {
        Insn { code: MOVE, off: -1, dst, src, .. } => Some(format!("r{dst} = &(void __percpu *)(r{src})")),
        Insn { code: NOSPEC, .. } => Some("nospec".to_owned()),
        _ => {
            let row = MODES.iter().find(|(class, mode, ..)| insn.code & 7 == *class && insn.code & MODE == *mode)?;
            let plain = Insn { code: insn.code & !MODE | row.2, ..insn };
            Some(format!("{}  // {}", line_of(&plain.decode(None).ok()?, Notation::Plain), row.3))
        }
    }
}

impl KernelCode {
    /// A map as listings name it.
    fn map(&self, id: i32) -> String {
        let name = self.maps.get(&id.cast_unsigned()).map(String::as_str).unwrap_or_default();
        if name.is_empty() { format!("map[id:{id}]") } else { format!("map[{name} id:{id}]") }
    }
}

impl Names for KernelCode {
    fn load(&self, _: InsnIdx, value: Imm64) -> Option<String> {
        match value {
            // The kernel puts the numbers of maps where their descriptors were.
            Imm64::MapFd(id) => Some(self.map(id)),
            Imm64::MapFdValue { fd, offset } => Some(format!("{}[0]+{offset}", self.map(fd))),
            _ => None,
        }
    }

    fn callee(&self, at: InsnIdx, callee: Callee) -> Option<String> {
        match callee {
            Callee::Local(_) => None,
            _ => self.callees.get(&at).cloned(),
        }
    }

    fn internal(&self, insn: Insn) -> Option<String> {
        internal(insn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_of_the_kernel() {
        let insn = |code, dst, src, off| Insn { code, dst, src, off, imm: 0 };
        assert_eq!(internal(insn(0xbf, 1, 2, -1)).unwrap(), "r1 = &(void __percpu *)(r2)");
        assert_eq!(internal(insn(0x39, 1, 2, 8)).unwrap(), "r1 = *(u64 *)(r2 +8)  // may fault");
        assert_eq!(internal(insn(0xc2, 0, 0, 0)).unwrap(), "nospec");
        assert_eq!(internal(insn(0xff, 0, 0, 0)), None);
    }

    #[test]
    fn calls_are_put_right() {
        let call = Insn { code: CALL, dst: 0, src: PSEUDO_CALL, off: 7, imm: 1 };
        assert_eq!(own_call(call, true), Insn { off: 0, imm: 7, ..call });
        assert_eq!(own_call(call, false), call);
    }
}
