//! Programs: load with the verifier's reason on failure.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use skep_isa::ebpf::{self, Callee, Endian, Imm64, Insn, Op};
use skep_isa::programs::facts;
use skep_isa::{AttachType, ProgType, Release};

use crate::errors::{KernelError, describe};
use crate::features::{Capability, has_capability, running_release};
use crate::log::VerifierLog;
use crate::map::LoadedMap;
use crate::memlock::with_memory;
use crate::sys::attr::{FuncInfo, LineInfo, ProgLoad, TOKEN_FD, name_text, object_name};
use crate::sys::info::{self, Object};
use crate::sys::program::{self, Parts};

/// First size of the buffer for the verifier's log.
const FIRST_LOG: usize = 256 << 10;
/// Largest one: the kernel takes up to 1 GiB, but nobody reads that.
const LARGEST_LOG: usize = 16 << 20;

/// What to load: the arguments of `BPF_PROG_LOAD`.
#[derive(Debug, Clone, Copy)]
pub struct ProgramDefinition<'a> {
    /// Name shown by tools; cut to 15 bytes.
    pub name: &'a str,
    /// Type.
    pub prog_type: ProgType,
    /// The instructions; references to maps are descriptors already.
    pub insns: &'a [Insn],
    /// Licence; helpers marked `gpl_only` need one that the kernel counts as compatible with the GPL.
    pub license: &'a str,
}

/// What only some programs need.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProgramOptions<'a> {
    /// Where it will be attached, for types that the verifier treats differently from place to place.
    pub attach_type: Option<AttachType>,
    /// For programs of tables of operations (`struct_ops`): the position of the member in the structure `attach_btf_id`,
    /// in place of an attach type (Linux 5.6).
    pub member: Option<u32>,
    /// `BPF_F_*` of loading programs.
    pub flags: u32,
    /// The types, functions and source lines of the program (Linux 5.0).
    pub debug: Option<ProgramDebug<'a>>,
    /// The function, tracepoint or structure of the kernel that it belongs to: a number in the kernel's BTF, or in that of
    /// [`attach_btf`](Self::attach_btf) or the program [`attach_program`](Self::attach_program). 0 for none.
    pub attach_btf_id: u32,
    /// The BTF of the module in which `attach_btf_id` counts (Linux 5.11).
    pub attach_btf: Option<BorrowedFd<'a>>,
    /// The program that it replaces or observes (Linux 5.5).
    pub attach_program: Option<BorrowedFd<'a>>,
    /// Maps and module BTF that instructions name by their position here (Linux 5.14).
    pub descriptors: &'a [BorrowedFd<'a>],
    /// The network device that is to run it, 0 for the processor.
    pub device: u32,
    /// A token whose rights count beside those of the process (Linux 6.9).
    pub token: Option<BorrowedFd<'a>>,
    /// What the verifier is to log also when it accepts the program: [`LoadedProgram::log`].
    pub log: LogLevel,
}

/// What describes a program to the verifier and to tools.
#[derive(Debug, Clone, Copy)]
pub struct ProgramDebug<'a> {
    /// BTF that is loaded: a [`LoadedBtf`](crate::LoadedBtf).
    pub btf: BorrowedFd<'a>,
    /// Each function that the code consists of, in the order of the code.
    pub functions: &'a [FunctionRecord],
    /// Source lines in the order of the code, one for the start of each function at least; or none.
    pub lines: &'a [LineRecord],
}

/// A function begins (`struct bpf_func_info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionRecord {
    /// Its first instruction slot.
    pub at: u32,
    /// Its type of kind `FUNC`, a number in the program's BTF.
    pub ty: u32,
}

/// A source line begins (`struct bpf_line_info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineRecord {
    /// Its first instruction slot.
    pub at: u32,
    /// The name of the file, an offset in the strings of the program's BTF.
    pub file: u32,
    /// The text, an offset in the strings of the program's BTF.
    pub text: u32,
    /// Number from 1, at most 4,194,303; 0 if unknown.
    pub line: u32,
    /// Column from 1, at most 1,023; 0 if unknown.
    pub column: u16,
}

/// What the verifier writes about a program that it accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Nothing.
    #[default]
    None,
    /// Figures: instructions looked at, states, stack depth, time (Linux 5.2).
    Statistics,
    /// The instructions of each path with the state that it came to.
    Paths,
    /// The same with the state before each instruction.
    States,
}

impl LogLevel {
    /// `BPF_LOG_LEVEL1`, `LEVEL2` and `STATS` of `linux/bpf_verifier.h`.
    const fn number(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Statistics => 4,
            Self::Paths => 1 | 4,
            Self::States => 2 | 4,
        }
    }
}

/// A program in the kernel. It lives as long as this value, an attachment or another descriptor.
#[derive(Debug)]
pub struct LoadedProgram {
    fd: OwnedFd,
    name: String,
    insn_count: usize,
    log: VerifierLog,
}

impl LoadedProgram {
    /// Loads a program.
    ///
    /// The first attempt asks for no log. If the verifier refuses, a second one collects its reason.
    ///
    /// # Errors
    /// [`KernelError::Rejected`] with the verifier's log, [`KernelError::NotPermitted`], [`KernelError::Invalid`] if
    /// name or licence hold a NUL or the program is too long, [`KernelError::System`] otherwise.
    pub fn load(definition: &ProgramDefinition<'_>) -> Result<Self, KernelError> {
        Self::load_with(definition, ProgramOptions::default())
    }

    /// Loads a program with what only some types need.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn load_with(definition: &ProgramDefinition<'_>, options: ProgramOptions<'_>) -> Result<Self, KernelError> {
        let insns: Vec<[u8; 8]> = definition.insns.iter().map(|insn| insn.to_bytes(Endian::NATIVE)).collect();
        let license = CString::new(definition.license).map_err(|_| KernelError::Invalid {
            action: LOAD,
            problem: "the licence contains a NUL character; use for example \"GPL\"".to_owned(),
        })?;
        let descriptors = used_descriptors(definition.insns, options.descriptors)?;
        let functions: Vec<FuncInfo> = options.debug.map_or(Vec::new(), |debug| records(debug.functions));
        let lines: Vec<LineInfo> = options.debug.map_or(Vec::new(), |debug| lines(debug.lines));
        let fd_array: Vec<i32> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let parts =
            Parts { insns: &insns, license: &license, functions: &functions, lines: &lines, fd_array: &fd_array };
        let mut attr = arguments(definition, &options);
        let loaded = |fd, log| Self { fd, name: definition.name.to_owned(), insn_count: insns.len(), log };
        let mut errno = 0;
        if options.log == LogLevel::None {
            errno = match with_memory(|| program::prog_load(&mut attr, parts, &mut [])) {
                Ok(fd) => return Ok(loaded(fd, VerifierLog::default())),
                Err(errno) => errno,
            };
            if let Some(error) = early_error(errno, definition) {
                return Err(error);
            }
            // Of a log without end its end tells.
            let level = if gave_up(errno) && !keeps_end() { LogLevel::Statistics } else { LogLevel::Paths };
            attr.log_level = level.number();
        }
        let mut log = vec![0; FIRST_LOG];
        loop {
            log.fill(0);
            match with_memory(|| program::prog_load(&mut attr, parts, &mut log)) {
                // It may pass now if the first attempt met a lack of memory.
                Ok(fd) => return Ok(loaded(fd, VerifierLog::new(&log, false))),
                Err(libc::ENOSPC) if log.len() < LARGEST_LOG && !gave_up(errno) => {
                    // A kernel that tells the length saves attempts.
                    let told = usize::try_from(attr.log_true_size).unwrap_or(LARGEST_LOG);
                    let wanted = if told > log.len() { told } else { log.len() * 16 };
                    log = vec![0; wanted.min(LARGEST_LOG)];
                }
                Err(again) => {
                    let first = if errno == 0 { again } else { errno };
                    if let Some(error) = early_error(first, definition) {
                        return Err(error);
                    }
                    let mut text = VerifierLog::new(&log, again == libc::ENOSPC);
                    if again == libc::ENOSPC && !keeps_end() {
                        // The reason, which stands at the end, fits without the paths.
                        attr.log_level = LogLevel::Statistics.number();
                        log.truncate(FIRST_LOG);
                        log.fill(0);
                        let _ = with_memory(|| program::prog_load(&mut attr, parts, &mut log));
                        text.add_end(&log);
                    }
                    if first == libc::ENOMEM && !text.text().contains(TOO_COMPLEX) {
                        return Err(KernelError::system(LOAD, first));
                    }
                    return Err(refusal(definition, first, text));
                }
            }
        }
    }

    /// Opens a program by its number; see [`program_ids`](crate::program_ids). Linux 4.13.
    ///
    /// # Errors
    /// [`KernelError::NoSuchId`], [`KernelError::NotPermitted`].
    pub fn by_id(id: u32) -> Result<Self, KernelError> {
        crate::ids::open(Object::Program, id, 0).and_then(Self::from_fd)
    }

    /// Takes over a program that some other part of the program opened.
    ///
    /// # Errors
    /// [`KernelError::System`] if `fd` is not a program or the kernel is older than 4.13.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, KernelError> {
        let info = info::prog_info(fd.as_fd())
            .map_err(|errno| KernelError::system("ask for the properties of a program", errno))?;
        let insn_count = info.xlated_prog_len as usize / 8;
        Ok(Self { fd, name: name_text(&info.name), insn_count, log: VerifierLog::default() })
    }

    /// Keeps a map alive as long as the program, although its code does not refer to the map (`BPF_PROG_BIND_MAP`,
    /// Linux 5.10).
    ///
    /// # Errors
    /// [`KernelError::System`].
    pub fn bind_map(&self, map: &LoadedMap) -> Result<(), KernelError> {
        match crate::sys::map::bind(self.as_fd(), map.as_fd()) {
            Ok(()) | Err(libc::EEXIST) => Ok(()),
            Err(errno) => Err(KernelError::system("bind a map to a program", errno)),
        }
    }

    /// What the verifier wrote about it, if [`ProgramOptions::log`] asked for it.
    pub fn log(&self) -> &VerifierLog {
        &self.log
    }

    /// The name that it was loaded with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of instruction slots that it was loaded with.
    pub fn insn_count(&self) -> usize {
        self.insn_count
    }
}

impl AsFd for LoadedProgram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether the kernel keeps the end of a log that is too long; before 6.4 it kept the beginning.
fn keeps_end() -> bool {
    running_release().is_none_or(|running| running >= Release::new(6, 4))
}

const LOAD: &str = "load a program";
const NEEDS: &[Capability] = &[Capability::Bpf, Capability::SysAdmin];

/// The numbers of `BPF_PROG_LOAD`; addresses come later.
fn arguments(definition: &ProgramDefinition<'_>, options: &ProgramOptions<'_>) -> ProgLoad {
    let number = |fd: Option<BorrowedFd<'_>>| fd.map_or(0, |fd| fd.as_raw_fd().cast_unsigned());
    ProgLoad {
        prog_type: definition.prog_type.number(),
        prog_name: object_name(definition.name),
        // Kernels before 5.0 compare this for some program types; a value is never harmful.
        kern_version: 0,
        prog_flags: options.flags | options.token.map_or(0, |_| TOKEN_FD),
        prog_ifindex: options.device,
        expected_attach_type: options.member.or(options.attach_type.map(AttachType::number)).unwrap_or(0),
        prog_btf_fd: number(options.debug.map(|debug| debug.btf)),
        attach_btf_id: options.attach_btf_id,
        // One place for both: there is no program that belongs to a module.
        attach_prog_fd: number(options.attach_program.or(options.attach_btf)),
        prog_token_fd: options.token.map_or(0, |token| token.as_raw_fd()),
        log_level: options.log.number(),
        ..ProgLoad::default()
    }
}

fn records(functions: &[FunctionRecord]) -> Vec<FuncInfo> {
    functions.iter().map(|function| FuncInfo { insn_off: function.at, type_id: function.ty }).collect()
}

fn lines(lines: &[LineRecord]) -> Vec<LineInfo> {
    let place = |line: &LineRecord| line.line.min(0x3f_ffff) << 10 | u32::from(line.column.min(0x3ff));
    lines
        .iter()
        .map(|line| LineInfo {
            insn_off: line.at,
            file_name_off: line.file,
            line_off: line.text,
            line_col: place(line),
        })
        .collect()
}

/// The list of descriptors, after making sure that no instruction refers to one beyond its end, where the kernel would
/// look for it. Code that has no structure will be refused and gets none.
fn used_descriptors<'a>(insns: &[Insn], all: &'a [BorrowedFd<'a>]) -> Result<&'a [BorrowedFd<'a>], KernelError> {
    let Ok(ops) = ebpf::validate(insns) else { return Ok(&[]) };
    for (at, op) in ops {
        let index = match op {
            Op::LoadImm { value: Imm64::MapIdx(index) | Imm64::MapIdxValue { idx: index, .. }, .. } => index,
            Op::Call(Callee::Kfunc { module, .. }) if module != 0 => module.into(),
            _ => continue,
        };
        if usize::try_from(index).is_ok_and(|index| index < all.len()) {
            continue;
        }
        let problem = format!("instruction {at} refers to descriptor {index} of the program, which has {}", all.len());
        return Err(KernelError::Invalid { action: LOAD, problem });
    }
    Ok(all)
}

/// What the verifier writes when too many branches wait for it (`push_stack`). Where a callback begins it then says that
/// memory is short.
const TOO_COMPLEX: &str = "jumps is too complex";

/// Whether the verifier may have given up before it found anything wrong.
const fn gave_up(errno: i32) -> bool {
    matches!(errno, libc::E2BIG | libc::ENOMEM)
}

/// Failures for which the verifier's log says nothing.
fn early_error(errno: i32, definition: &ProgramDefinition<'_>) -> Option<KernelError> {
    let insns = definition.insns.len();
    let prog_type = definition.prog_type;
    match errno {
        // E2BIG also means that the verifier gave up, about which the log has more.
        libc::E2BIG if insns > UNPRIVILEGED_INSNS && !has_capability(Capability::Bpf) => Some(KernelError::Invalid {
            action: LOAD,
            problem: format!(
                "it has {insns} instructions, and without {} at most {UNPRIVILEGED_INSNS} are allowed",
                Capability::Bpf
            ),
        }),
        libc::E2BIG if insns > MOST_INSNS => Some(KernelError::Invalid {
            action: LOAD,
            problem: format!("it has {insns} instructions, and a kernel takes at most {MOST_INSNS}"),
        }),
        libc::EPERM => Some(KernelError::not_permitted(LOAD, needs(prog_type))),
        libc::EINVAL if running_release().is_some_and(|release| release < prog_type.since()) => {
            Some(KernelError::unsupported(&format!("programs of type {prog_type}"), prog_type.since()))
        }
        libc::ENOSYS => Some(KernelError::unsupported("bpf(2), which needs CONFIG_BPF_SYSCALL", Release::new(3, 18))),
        libc::EMFILE | libc::ENFILE => Some(KernelError::system(LOAD, errno)),
        _ => None,
    }
}

/// Most instructions of a program without `CAP_BPF` (`BPF_MAXINSNS`).
const UNPRIVILEGED_INSNS: usize = 4096;
/// Most instructions of any program (`BPF_COMPLEXITY_LIMIT_INSNS`, Linux 5.2).
const MOST_INSNS: usize = 1_000_000;

/// The capabilities that loading a program of a type takes beside `CAP_BPF`, the missing one first
/// (`bpf_prog_load` in `kernel/bpf/syscall.c`).
fn needs(prog_type: ProgType) -> &'static [Capability] {
    if !has_capability(Capability::Bpf) && !has_capability(Capability::SysAdmin) {
        return NEEDS;
    }
    let privileges = facts(prog_type).privileges;
    let lacks_perfmon = privileges.perfmon() && !has_capability(Capability::Perfmon);
    if privileges.net_admin() && !lacks_perfmon {
        &[Capability::NetAdmin, Capability::SysAdmin]
    } else if privileges.perfmon() {
        &[Capability::Perfmon, Capability::SysAdmin]
    } else {
        NEEDS
    }
}

fn refusal(definition: &ProgramDefinition<'_>, errno: i32, log: VerifierLog) -> KernelError {
    let prog_type = definition.prog_type;
    let reason = match errno {
        libc::E2BIG | libc::ENOMEM => format!(
            "it has {} instructions or too many paths; the verifier looks at {MOST_INSNS} instructions at most",
            definition.insns.len()
        ),
        libc::EINVAL => format!(
            "the kernel gave no reason; it may lack programs of type {prog_type} (an option of its configuration), or an \
             instruction, the place of attachment or a flag is unknown to it"
        ),
        libc::EACCES => "an access is not allowed".to_owned(),
        libc::EBADF => "a reference to a map or to BTF is not a descriptor of one".to_owned(),
        libc::ENOENT => "a type, function or device that it refers to does not exist in the running kernel".to_owned(),
        errno => describe(errno),
    };
    KernelError::Rejected { program: definition.name.to_owned(), reason, log }
}
