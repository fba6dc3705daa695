//! From the C sources to what the engines take: two BPF objects and a shared object for this machine.
//!
//! The reader of object files here knows what clang makes of our sources: one program in section `xdp`, its functions
//! in `.text`, data sections, and maps in `.maps` whose sizes come from [`Program::maps`].

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use object::elf::{R_BPF_64_32, R_BPF_64_64};
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationFlags, RelocationTarget, SectionIndex};
use skep_isa::ebpf::{self, Endian, Insn};
use skep_isa::{MapType, ProgType};
use skep_object::{MapIdx, MapSpec, Object, Program as BpfProgram};
use tempfile::TempDir;

use crate::programs::Program;

/// Bytes of an instruction slot.
const SLOT: u64 = 8;
/// `BPF_PSEUDO_MAP_FD` and `BPF_PSEUDO_MAP_VALUE` of `linux/bpf.h`.
const LOADS_MAP: u8 = 1;
const LOADS_MAP_VALUE: u8 = 2;

/// A program compiled for every engine.
#[derive(Debug, Clone)]
pub struct Built {
    /// The row that it comes from.
    pub program: Program,
    /// Its context begins with two 32-bit addresses, `data` and `data_end` of `struct xdp_md`.
    pub xdp: Object,
    /// Its context is two 64-bit addresses.
    pub flat: Object,
    /// The shared object.
    pub native: PathBuf,
    /// The packet.
    pub input: Vec<u8>,
    /// Keeps the shared object until nobody needs it.
    _directory: Rc<TempDir>,
}

impl Built {
    /// Instruction slots of the program.
    pub fn slots(&self) -> usize {
        self.xdp.programs[0].insns.len()
    }
}

/// clang and a directory for what it makes.
#[derive(Debug)]
pub struct Compiler {
    directory: Rc<TempDir>,
}

impl Compiler {
    /// Looks for clang.
    ///
    /// # Errors
    /// If it is not there or there is no place for its output.
    pub fn find() -> Result<Self, String> {
        let found = Command::new("clang").arg("--version").output();
        if !found.is_ok_and(|output| output.status.success()) {
            return Err("clang does not run here; install it (Debian: apt-get install clang)".to_owned());
        }
        let directory = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        Ok(Self { directory: Rc::new(directory) })
    }

    /// Compiles a program for all engines.
    ///
    /// # Errors
    /// What clang says, or what is unexpected in the object file.
    pub fn build(&self, program: Program) -> Result<Built, String> {
        const BPF: [&str; 6] = ["-g", "-target", "bpf", "-mcpu=v3", "-c", "-fno-ident"];
        let in_file = |file: &Path, error: String| format!("{}: {error}", file.display());
        let object = |form: &str| {
            let file = self.clang(program, form, &BPF)?;
            let bytes = std::fs::read(&file).map_err(|error| in_file(&file, error.to_string()))?;
            read_object(&bytes, program).map_err(|error| in_file(&file, error))
        };
        Ok(Built {
            program,
            xdp: object("XDP")?,
            flat: object("FLAT")?,
            native: self.clang(program, "NATIVE", &["-shared", "-fPIC"])?,
            input: (program.input)(),
            _directory: Rc::clone(&self.directory),
        })
    }

    /// Compiles the source of a program with `-DFORM` and gives the path of the result.
    fn clang(&self, program: Program, form: &str, options: &[&str]) -> Result<PathBuf, String> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/programs");
        let output = self.directory.path().join(format!("{}-{form}", program.name));
        let result = Command::new("clang")
            .arg("-O2")
            .args(options)
            .arg(format!("-D{form}"))
            .arg("-o")
            .arg(&output)
            .arg(sources.join(format!("{}.c", program.name)))
            .output()
            .map_err(|error| format!("clang: {error}"))?;
        if !result.status.success() {
            return Err(format!("clang cannot compile {}: {}", program.name, String::from_utf8_lossy(&result.stderr)));
        }
        Ok(output)
    }
}

/// The program and the maps of an object file.
fn read_object(bytes: &[u8], program: Program) -> Result<Object, String> {
    let file: ElfFile64<'_> = ElfFile64::parse(bytes).map_err(text)?;
    let mut reader = Reader { file: &file, result: Object::new("GPL"), sections: Vec::new(), functions_at: 0 };
    for map in (program.maps)() {
        reader.result.add_map(map);
    }
    let mut insns = reader.code("xdp")?;
    reader.functions_at = insns.len() as u64;
    insns.extend(reader.code(".text")?);
    reader.relocate("xdp", 0, &mut insns)?;
    reader.relocate(".text", reader.functions_at, &mut insns)?;
    let mut result = reader.result;
    result.add_program(BpfProgram::new(program.name, ProgType::Xdp, insns));
    result.validate().map_err(text)?;
    Ok(result)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

struct Reader<'a> {
    file: &'a ElfFile64<'a>,
    result: Object,
    /// The data sections that became maps.
    sections: Vec<(SectionIndex, MapIdx)>,
    /// The slot at which the code of `.text` begins.
    functions_at: u64,
}

impl Reader<'_> {
    fn code(&self, section: &str) -> Result<Vec<Insn>, String> {
        let section = self.file.section_by_name(section).ok_or_else(|| format!("there is no section {section}"))?;
        let bytes = section.data().map_err(text)?;
        ebpf::from_bytes(bytes, Endian::Little).ok_or_else(|| "the code ends inside an instruction".to_owned())
    }

    /// Resolves the references of a section whose code begins at slot `start` of `insns`.
    fn relocate(&mut self, section: &str, start: u64, insns: &mut [Insn]) -> Result<(), String> {
        let Some(section) = self.file.section_by_name(section) else { return Ok(()) };
        for (at, relocation) in section.relocations() {
            let RelocationTarget::Symbol(symbol) = relocation.target() else {
                return Err(format!("the reference at byte {at} has no symbol"));
            };
            let RelocationFlags::Elf { r_type } = relocation.flags() else {
                return Err(format!("the reference at byte {at} has no type"));
            };
            let symbol = self.file.symbol_by_index(symbol).map_err(text)?;
            let slot = start + at / SLOT;
            let too_far = || format!("the reference at byte {at} lies outside the code");
            let index = usize::try_from(slot).map_err(text)?;
            let insn = insns.get_mut(index).ok_or_else(too_far)?;
            match r_type {
                R_BPF_64_32 => {
                    // `imm` counts slots from the symbol, less the one that calls are relative to.
                    let target = self.functions_at + symbol.address() / SLOT;
                    let distance = target.cast_signed() - slot.cast_signed() + i64::from(insn.imm);
                    insn.imm = i32::try_from(distance).map_err(text)?;
                }
                R_BPF_64_64 => {
                    let section = symbol.section_index().ok_or_else(too_far)?;
                    let name = self.file.section_by_index(section).map_err(text)?.name().map_err(text)?.to_owned();
                    let name = name.as_str();
                    let map = if name == ".maps" {
                        insn.src = LOADS_MAP;
                        self.declared(symbol.name().map_err(text)?)?
                    } else {
                        insn.src = LOADS_MAP_VALUE;
                        let offset = i32::try_from(symbol.address()).map_err(text)? + insn.imm;
                        insns.get_mut(index + 1).ok_or_else(too_far)?.imm = offset;
                        self.data(section, name)?
                    };
                    insns.get_mut(index).ok_or_else(too_far)?.imm = i32::try_from(map.0).map_err(text)?;
                }
                other => return Err(format!("the reference at byte {at} has type {}", other.0)),
            }
        }
        Ok(())
    }

    /// The map that the source declares under this name.
    fn declared(&self, name: &str) -> Result<MapIdx, String> {
        let position = self.result.maps.iter().position(|map| map.name == name);
        let position = position.ok_or_else(|| format!("the table of programs has no map {name}"))?;
        u32::try_from(position).map(MapIdx).map_err(text)
    }

    /// The array map of one entry that holds a data section.
    fn data(&mut self, section: SectionIndex, name: &str) -> Result<MapIdx, String> {
        if let Some((_, map)) = self.sections.iter().find(|(known, _)| *known == section) {
            return Ok(*map);
        }
        let part = self.file.section_by_index(section).map_err(text)?;
        let mut map = MapSpec::new(name, MapType::Array, 4, u32::try_from(part.size()).map_err(text)?, 1);
        let bytes = part.data().map_err(text)?;
        // A section of zeros has no bytes in the file.
        if !bytes.is_empty() {
            map.contents = vec![(vec![0; 4], bytes.to_vec())];
        }
        let index = self.result.add_map(map);
        self.sections.push((section, index));
        Ok(index)
    }
}
