//! What the kernel tells about a program (`struct bpf_prog_info`).

use std::os::fd::AsFd;
use std::time::Duration;

use skep_isa::ProgType;
use skep_isa::ebpf::{Endian, Insn};

use crate::errors::KernelError;
use crate::prog::{FunctionRecord, LineRecord, LoadedProgram};
use crate::sys::attr::{FuncInfo, LineInfo, name_text};
use crate::sys::bpf::address;
use crate::sys::info::{self, ProgInfo as Raw};

/// Most bytes or records of one part that are read back.
const MOST: u32 = 64 << 20;

/// Facts about a loaded program. What a kernel does not tell, or not without privilege, is 0 or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProgramInfo {
    /// The number under which `bpftool prog show id` finds the program.
    pub id: u32,
    /// The type, `None` if it is newer than our table.
    pub prog_type: Option<ProgType>,
    /// The type as a number.
    pub type_number: u32,
    /// The name that the kernel keeps, at most 15 bytes.
    pub name: String,
    /// Digest of the instructions.
    pub tag: [u8; 8],
    /// Bytes of the instructions after the verifier rewrote them; 0 without privilege.
    pub translated_bytes: u32,
    /// Bytes of machine code; 0 if the program is interpreted.
    pub machine_bytes: u32,
    /// When it was loaded, as time since the machine was started.
    pub loaded_at: Duration,
    /// The user who loaded it.
    pub uid: u32,
    /// Whether its licence is compatible with the GPL.
    pub gpl_compatible: bool,
    /// The numbers of the maps that it uses.
    pub map_ids: Vec<u32>,
    /// The network device that runs it, 0 for the processor.
    pub ifindex: u32,
    /// Device and inode of the network namespace of that device.
    pub netns: (u64, u64),
    /// The number of its BTF, 0 if it was loaded without.
    pub btf_id: u32,
    /// The number of the BTF in which `attach_btf_id` counts (Linux 5.18).
    pub attach_btf_obj_id: u32,
    /// The function or structure of the kernel that it belongs to (Linux 5.18).
    pub attach_btf_id: u32,
    /// Instructions that the verifier looked at (Linux 5.16).
    pub verified_insns: u32,
    /// How long it has run, if statistics are on ([`crate::enable_stats`], Linux 5.1).
    pub run_time: Duration,
    /// How often it has run, if statistics are on.
    pub run_count: u64,
    /// How often it did not run because it was running already (Linux 5.12).
    pub recursion_misses: u64,
}

/// What a program looks like after it was loaded: translated code, machine code, and what belongs to their parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProgramDump {
    /// The instructions after the verifier rewrote them; empty without `CAP_PERFMON` or under `kernel.kptr_restrict`.
    pub translated: Vec<Insn>,
    /// The machine code, all functions one after the other.
    pub machine: Vec<u8>,
    /// Bytes of machine code of each function.
    pub machine_lengths: Vec<u32>,
    /// Where each function begins in memory; 0 if the process may not know.
    pub symbols: Vec<u64>,
    /// The functions with their types.
    pub functions: Vec<FunctionRecord>,
    /// The source lines; positions are in `translated`, texts in the program's BTF.
    pub lines: Vec<LineRecord>,
    /// Where the code of each of these lines begins in memory.
    pub line_addresses: Vec<u64>,
    /// Digest of each function.
    pub tags: Vec<[u8; 8]>,
}

impl LoadedProgram {
    /// Asks the kernel about the program.
    ///
    /// # Errors
    /// [`KernelError::System`] before Linux 4.13.
    pub fn info(&self) -> Result<ProgramInfo, KernelError> {
        let raw = info::prog_info(self.as_fd()).map_err(error)?;
        let mut map_ids = vec![0u32; raw.nr_map_ids.min(MOST) as usize];
        let mut again =
            Raw { nr_map_ids: length(&map_ids), map_ids: address(map_ids.as_mut_ptr().cast_const()), ..Raw::default() };
        self.ask(&mut again)?;
        map_ids.truncate(again.nr_map_ids as usize);
        Ok(ProgramInfo {
            id: raw.id,
            prog_type: ProgType::from_number(raw.r#type),
            type_number: raw.r#type,
            name: name_text(&raw.name),
            tag: raw.tag,
            translated_bytes: raw.xlated_prog_len,
            machine_bytes: raw.jited_prog_len,
            loaded_at: Duration::from_nanos(raw.load_time),
            uid: raw.created_by_uid,
            gpl_compatible: raw.bits_gpl_compatible & lowest_bit() != 0,
            map_ids,
            ifindex: raw.ifindex,
            netns: (raw.netns_dev, raw.netns_ino),
            btf_id: raw.btf_id,
            attach_btf_obj_id: raw.attach_btf_obj_id,
            attach_btf_id: raw.attach_btf_id,
            verified_insns: raw.verified_insns,
            run_time: Duration::from_nanos(raw.run_time_ns),
            run_count: raw.run_cnt,
            recursion_misses: raw.recursion_misses,
        })
    }

    /// Reads back code, functions and lines.
    ///
    /// # Errors
    /// As for [`info`](Self::info).
    pub fn dump(&self) -> Result<ProgramDump, KernelError> {
        let counts = info::prog_info(self.as_fd()).map_err(error)?;
        let room = |count: u32| count.min(MOST) as usize;
        let mut translated = vec![0u8; room(counts.xlated_prog_len)];
        let mut machine = vec![0u8; room(counts.jited_prog_len)];
        let mut lengths = vec![0u32; room(counts.nr_jited_func_lens)];
        let mut symbols = vec![0u64; room(counts.nr_jited_ksyms)];
        let mut functions = vec![FuncInfo::default(); room(counts.nr_func_info)];
        let mut lines = vec![LineInfo::default(); room(counts.nr_line_info)];
        let mut line_addresses = vec![0u64; room(counts.nr_jited_line_info)];
        let mut tags = vec![[0u8; 8]; room(counts.nr_prog_tags)];
        let mut raw = Raw {
            xlated_prog_len: length(&translated),
            xlated_prog_insns: address(translated.as_mut_ptr().cast_const()),
            jited_prog_len: length(&machine),
            jited_prog_insns: address(machine.as_mut_ptr().cast_const()),
            nr_jited_func_lens: length(&lengths),
            jited_func_lens: address(lengths.as_mut_ptr().cast_const()),
            nr_jited_ksyms: length(&symbols),
            jited_ksyms: address(symbols.as_mut_ptr().cast_const()),
            func_info_rec_size: size_of::<FuncInfo>() as u32,
            nr_func_info: length(&functions),
            func_info: address(functions.as_mut_ptr().cast_const()),
            line_info_rec_size: size_of::<LineInfo>() as u32,
            nr_line_info: length(&lines),
            line_info: address(lines.as_mut_ptr().cast_const()),
            jited_line_info_rec_size: size_of::<u64>() as u32,
            nr_jited_line_info: length(&line_addresses),
            jited_line_info: address(line_addresses.as_mut_ptr().cast_const()),
            nr_prog_tags: length(&tags),
            prog_tags: address(tags.as_mut_ptr().cast_const()),
            ..Raw::default()
        };
        self.ask(&mut raw)?;
        // Where the kernel hides something it sets the address to 0.
        let hidden = raw.xlated_prog_insns == 0;
        let machine = if raw.jited_prog_insns == 0 { Vec::new() } else { machine };
        let slots = translated.as_chunks::<8>().0.iter().map(|slot| Insn::from_bytes(*slot, Endian::NATIVE));
        Ok(ProgramDump {
            translated: if hidden { Vec::new() } else { slots.collect() },
            machine,
            machine_lengths: lengths,
            symbols,
            functions: functions.iter().map(|raw| FunctionRecord { at: raw.insn_off, ty: raw.type_id }).collect(),
            lines: lines.iter().map(line).collect(),
            line_addresses,
            tags,
        })
    }

    fn ask(&self, raw: &mut Raw) -> Result<(), KernelError> {
        // SAFETY: the callers above set each address together with the length of the buffer that it belongs to, or leave
        // both at 0, and the buffers are not touched in between.
        unsafe { info::info_raw(self.as_fd(), std::ptr::from_mut(raw).cast(), size_of::<Raw>()) }
            .map(drop)
            .map_err(error)
    }
}

fn error(errno: i32) -> KernelError {
    KernelError::system("ask for the properties of a program", errno)
}

fn length<T>(items: &[T]) -> u32 {
    // No list is longer than `MOST`.
    u32::try_from(items.len()).unwrap_or(0)
}

/// Where the compiler puts the first bit field of a word.
const fn lowest_bit() -> u32 {
    if cfg!(target_endian = "little") { 1 } else { 1 << 31 }
}

fn line(raw: &LineInfo) -> LineRecord {
    LineRecord {
        at: raw.insn_off,
        file: raw.file_name_off,
        text: raw.line_off,
        line: raw.line_col >> 10,
        column: (raw.line_col & 0x3ff) as u16,
    }
}
