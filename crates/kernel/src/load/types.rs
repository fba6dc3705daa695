//! The BTF of an object on its way to the kernel: suited to it, with the texts of source lines, and the places of what maps
//! and programs refer to.

use std::collections::HashSet;

use skep_btf::{Btf, Kind, TypeId};
use skep_isa::MapType;
use skep_isa::ebpf::{self, Callee, Imm64, Op};
use skep_object::{MapSpec, Object, Program};

use crate::errors::KernelError;
use crate::loaded_btf::LoadedBtf;
use crate::prog::{FunctionRecord, LineRecord};
use crate::sanitize::{BtfSupport, Draft};

/// Largest offset of a string (`BTF_MAX_NAME_OFFSET`).
const LAST_STRING: usize = 0xff_ffff;

/// The types of an object in the kernel, and the records that refer to them.
#[derive(Debug)]
pub(crate) struct ObjectTypes {
    /// The BTF in the kernel.
    pub(crate) loaded: LoadedBtf,
    /// For each program of the object.
    programs: Vec<(Vec<FunctionRecord>, Vec<LineRecord>)>,
}

impl ObjectTypes {
    /// Loads the BTF of an object that was fitted to the kernel, of which `btf` is the form that the kernel takes. `Ok(None)` if it has none or the kernel could not make use of it.
    ///
    /// # Errors
    /// The kernel takes BTF but not this.
    pub(crate) fn load(object: &Object, btf: &[u8]) -> Result<Option<Self>, KernelError> {
        if btf.is_empty() {
            return Ok(None);
        }
        let broken = |error: skep_btf::BtfError| KernelError::Invalid {
            action: "load type information (BTF)",
            problem: error.to_string(),
        };
        let mut draft = Draft::new(btf).map_err(broken)?;
        draft.suit(BtfSupport::ALL).map_err(broken)?;
        let of = |program: &Program| if program.autoload { records(&mut draft, program) } else { Default::default() };
        let programs = object.programs.iter().map(of).collect();
        if let Some(loaded) = LoadedBtf::try_load(&draft.finish()) {
            return Ok(Some(Self { loaded, programs }));
        }
        // What an older kernel lacks is found out only now: asking costs more than loading.
        let Some(support) = BtfSupport::of_kernel().filter(|support| support.functions) else { return Ok(None) };
        draft.suit(support).map_err(broken)?;
        Ok(Some(Self { loaded: LoadedBtf::load(&draft.finish())?, programs }))
    }

    /// The functions and lines of a program, both empty if they are not known completely.
    pub(crate) fn of_program(&self, index: usize) -> (&[FunctionRecord], &[LineRecord]) {
        self.programs.get(index).map_or((&[], &[]), |(functions, lines)| (functions, lines))
    }

    /// The types of keys and values of a map, `None` if the object does not say or maps of this type take none.
    pub(crate) fn of_map(&self, spec: &MapSpec) -> Option<(u32, u32)> {
        if WITHOUT_TYPES.contains(&spec.map_type) {
            return None;
        }
        Some((spec.key_type.unwrap_or(0), spec.value_type?))
    }
}

// TABLE
/// Types of maps that the kernel creates only without types of keys and values.
const WITHOUT_TYPES: [MapType; 16] = [
    MapType::Ringbuf,
    MapType::UserRingbuf,
    MapType::PerfEventArray,
    MapType::CgroupArray,
    MapType::StackTrace,
    MapType::ArrayOfMaps,
    MapType::HashOfMaps,
    MapType::Devmap,
    MapType::DevmapHash,
    MapType::Cpumap,
    MapType::Xskmap,
    MapType::Sockmap,
    MapType::Sockhash,
    MapType::Queue,
    MapType::Stack,
    MapType::ProgArray,
];

/// The records of a program. The kernel wants a function record for each function, and a line for the start of each.
fn records(draft: &mut Draft, program: &Program) -> (Vec<FunctionRecord>, Vec<LineRecord>) {
    let callback = exception_callback(draft.btf(), program);
    let Some(starts) = starts(program, callback) else { return Default::default() };
    let functions: Vec<FunctionRecord> = program
        .functions
        .iter()
        .filter_map(|function| Some(FunctionRecord { at: function.at.0, ty: function.ty? }))
        .filter(|function| matches!(draft.btf().kind(TypeId(function.ty)), Ok(Kind::Func { .. })))
        .collect();
    if !functions.iter().map(|function| function.at).eq(starts.iter().copied()) {
        return Default::default();
    }
    let heads = heads(program);
    let mut lines: Vec<LineRecord> = Vec::with_capacity(program.lines.len());
    for line in &program.lines {
        // Several lines for one instruction, or one for the second half of an instruction, the kernel does not take.
        if !heads.contains(&line.at.0) || lines.last().is_some_and(|last| last.at >= line.at.0) {
            continue;
        }
        let (file, text) = (draft.string(&line.file), draft.string(&line.text));
        lines.push(LineRecord { at: line.at.0, file, text, line: line.line, column: line.column });
    }
    if lines.is_empty() {
        return (functions, lines);
    }
    for start in starts {
        if let Err(at) = lines.binary_search_by_key(&start, |line| line.at) {
            let file = lines.get(at).or(lines.last()).map_or(0, |line| line.file);
            lines.insert(at, LineRecord { at: start, file, text: 0, line: 0, column: 0 });
        }
    }
    let last = lines.iter().map(|line| line.file.max(line.text)).max().unwrap_or(0);
    if last as usize > LAST_STRING {
        lines.clear();
    }
    (functions, lines)
}

/// The first slots of instructions.
fn heads(program: &Program) -> HashSet<u32> {
    ebpf::validate(&program.insns).unwrap_or_default().into_iter().map(|(at, _)| at.0).collect()
}

/// Where the function begins that exceptions of a program end in.
fn exception_callback(btf: &Btf, program: &Program) -> Option<u32> {
    let main = program.functions.first()?.ty;
    let tags = skep_object::exception_callbacks(btf);
    let (_, name) = tags.iter().find(|(target, _)| Some(target.0) == main)?;
    program.functions.iter().find(|function| *function.name == **name).map(|function| function.at.0)
}

/// Where the functions of a program begin, in ascending order, as calls and references to functions tell, and a function
/// that nothing refers to.
fn starts(program: &Program, callback: Option<u32>) -> Option<Vec<u32>> {
    let mut starts = vec![0];
    starts.extend(callback);
    for (at, op) in ebpf::validate(&program.insns).ok()? {
        let distance = match op {
            Op::Call(Callee::Local(distance)) | Op::LoadImm { value: Imm64::Func(distance), .. } => distance,
            _ => continue,
        };
        starts.push(at.0.checked_add_signed(distance)?.checked_add(1)?);
    }
    starts.sort_unstable();
    starts.dedup();
    Some(starts)
}
