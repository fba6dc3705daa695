//! Programs: load with the verifier's reason on failure, ask about them, run them on test packets.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use skep_isa::ebpf::{Endian, Insn};
use skep_isa::{AttachType, ProgType, Release};

use crate::errors::{KernelError, describe};
use crate::features::{Capability, running_release};
use crate::log::VerifierLog;
use crate::sys::attr::{ProgLoad, name_text, object_name};
use crate::sys::info;
use crate::sys::program::{self, Parts, Run};

/// First size of the buffer for the verifier's log.
const FIRST_LOG: usize = 256 << 10;
/// Largest one: the kernel takes up to 1 GiB, but nobody reads that.
const LARGEST_LOG: usize = 16 << 20;
/// Most runs of one `BPF_PROG_TEST_RUN`, so that a call cannot last for hours.
const MOST_RUNS: u32 = 1_000_000;
/// Room for the packet that a test run gives back: more than helpers make of a page.
const LONGEST_OUTPUT: usize = 1 << 17;

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
pub struct ProgramOptions {
    /// Where it will be attached, for types that the verifier treats differently from place to place.
    pub attach_type: Option<AttachType>,
    /// `BPF_F_*` of loading programs.
    pub flags: u32,
}

/// A program in the kernel. It lives as long as this value, an attachment or another descriptor.
#[derive(Debug)]
pub struct LoadedProgram {
    fd: OwnedFd,
    name: String,
    insn_count: usize,
}

/// Facts about a loaded program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramInfo {
    /// The number under which `bpftool prog show id` finds the program.
    pub id: u32,
    /// The type, `None` if it is newer than our table.
    pub prog_type: Option<ProgType>,
    /// The name that the kernel keeps, at most 15 bytes.
    pub name: String,
    /// Digest of the instructions.
    pub tag: [u8; 8],
    /// Bytes of the instructions after the verifier rewrote them; 0 without privilege.
    pub translated_bytes: u32,
    /// Bytes of machine code; 0 if the program is interpreted.
    pub machine_bytes: u32,
}

/// Result of a test run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestRun {
    /// What the program returned, the last time.
    pub result: u32,
    /// Mean duration of a run.
    pub duration: Duration,
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
    pub fn load_with(definition: &ProgramDefinition<'_>, options: ProgramOptions) -> Result<Self, KernelError> {
        let insns: Vec<[u8; 8]> = definition.insns.iter().map(|insn| insn.to_bytes(Endian::NATIVE)).collect();
        let license = CString::new(definition.license).map_err(|_| KernelError::Invalid {
            action: LOAD,
            problem: "the licence contains a NUL character; use for example \"GPL\"".to_owned(),
        })?;
        let mut attr = ProgLoad {
            prog_type: definition.prog_type.number(),
            prog_name: object_name(definition.name),
            // Kernels before 5.0 compare this for some program types; a value is never harmful.
            kern_version: 0,
            prog_flags: options.flags,
            expected_attach_type: options.attach_type.map_or(0, AttachType::number),
            ..ProgLoad::default()
        };
        let parts = Parts { insns: &insns, license: &license, functions: &[], lines: &[], fd_array: &[] };
        let first = program::prog_load(attr, parts, &mut []);
        let errno = match first {
            Ok(fd) => return Ok(Self { fd, name: definition.name.to_owned(), insn_count: insns.len() }),
            Err(errno) => errno,
        };
        if let Some(error) = early_error(errno, insns.len()) {
            return Err(error);
        }
        attr.log_level = 1;
        let mut log = vec![0; FIRST_LOG];
        loop {
            log.fill(0);
            match program::prog_load(attr, parts, &mut log) {
                // It may pass now if the first attempt met a lack of memory.
                Ok(fd) => return Ok(Self { fd, name: definition.name.to_owned(), insn_count: insns.len() }),
                Err(libc::ENOSPC) if log.len() < LARGEST_LOG => log = vec![0; log.len() * 4],
                Err(again) => {
                    let log = VerifierLog::new(&log, again == libc::ENOSPC);
                    return Err(refusal(definition, errno, log));
                }
            }
        }
    }

    /// The name that it was loaded with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of instruction slots that it was loaded with.
    pub fn insn_count(&self) -> usize {
        self.insn_count
    }

    /// Asks the kernel about the program.
    ///
    /// # Errors
    /// [`KernelError::System`] before Linux 4.13.
    pub fn info(&self) -> Result<ProgramInfo, KernelError> {
        let info = info::prog_info(self.as_fd())
            .map_err(|errno| KernelError::system("ask for the properties of a program", errno))?;
        Ok(ProgramInfo {
            id: info.id,
            prog_type: ProgType::from_number(info.r#type),
            name: name_text(&info.name),
            tag: info.tag,
            translated_bytes: info.xlated_prog_len,
            machine_bytes: info.jited_prog_len,
        })
    }

    /// Runs the program in the kernel on a packet, `repeat` times (1 to 1,000,000, others are clamped).
    ///
    /// `data` begins with an Ethernet header of 14 bytes. For socket filters the kernel takes it off, so offset 0 of
    /// the program is byte 14 of `data` and `len` is 14 less; [`crate::Verdicts`] hides that. Programs at the
    /// traffic control hooks and XDP programs see all of `data`. The packet arrives on the loopback device.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if the packet is too short or too long, [`KernelError::Unsupported`] if programs of
    /// this type cannot be tested.
    pub fn test_run(&self, data: &[u8], repeat: u32) -> Result<TestRun, KernelError> {
        self.run_on(data, &mut [], repeat).map(|(run, _)| run)
    }

    /// As [`test_run`](Self::test_run) once, for programs that change packets: what became of it.
    ///
    /// # Errors
    /// As for [`test_run`](Self::test_run).
    pub fn test_packet(&self, data: &[u8]) -> Result<(TestRun, Vec<u8>), KernelError> {
        let mut output = vec![0; LONGEST_OUTPUT];
        let (run, length) = self.run_on(data, &mut output, 1)?;
        output.truncate(length);
        Ok((run, output))
    }

    fn run_on(&self, data: &[u8], output: &mut [u8], repeat: u32) -> Result<(TestRun, usize), KernelError> {
        const ACTION: &str = "run a program on a test packet";
        let repeat = repeat.clamp(1, MOST_RUNS);
        let mut run = Run { data, data_out: output, repeat, ..Run::default() };
        match program::test_run(self.as_fd(), &mut run) {
            Ok(done) => {
                let duration = Duration::from_nanos(done.duration.into());
                Ok((TestRun { result: done.retval, duration }, done.data_size_out as usize))
            }
            Err(libc::EINVAL) => Err(KernelError::Invalid {
                action: ACTION,
                problem: format!(
                    "the kernel does not accept {} bytes; give an Ethernet header of 14 bytes and a payload, together \
                     less than a page",
                    data.len()
                ),
            }),
            // ENOTSUPP has no name in user space.
            Err(libc::EOPNOTSUPP | 524) => Err(KernelError::Unsupported {
                what: "test runs of this program type".to_owned(),
                since: Some(Release::new(4, 12)),
                running: running_release(),
            }),
            Err(libc::EPERM) => Err(KernelError::not_permitted(ACTION, NEEDS)),
            Err(errno) => Err(KernelError::system(ACTION, errno)),
        }
    }
}

impl AsFd for LoadedProgram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

const LOAD: &str = "load a program";
const NEEDS: &[Capability] = &[Capability::Bpf, Capability::SysAdmin];

/// Failures for which the verifier's log says nothing.
fn early_error(errno: i32, insns: usize) -> Option<KernelError> {
    match errno {
        // E2BIG also means that the verifier gave up, about which the log has more.
        libc::E2BIG if insns > 4096 && !crate::features::has_capability(Capability::Bpf) => {
            Some(KernelError::Invalid {
                action: LOAD,
                problem: format!(
                    "it has {insns} instructions, and without {} at most 4096 are allowed",
                    Capability::Bpf
                ),
            })
        }
        libc::EPERM => Some(KernelError::not_permitted(LOAD, NEEDS)),
        libc::ENOSYS => Some(KernelError::Unsupported {
            what: "bpf(2), which needs CONFIG_BPF_SYSCALL".to_owned(),
            since: Some(Release::new(3, 18)),
            running: running_release(),
        }),
        libc::EMFILE | libc::ENFILE | libc::ENOMEM => Some(KernelError::system(LOAD, errno)),
        _ => None,
    }
}

fn refusal(definition: &ProgramDefinition<'_>, errno: i32, log: VerifierLog) -> KernelError {
    let reason = match errno {
        libc::E2BIG => format!("it has {} instructions, which is more than the kernel takes", definition.insns.len()),
        libc::EINVAL => {
            "the kernel gave no reason; an instruction, the program type or a flag may be unknown to it".to_owned()
        }
        libc::EACCES => "an access is not allowed".to_owned(),
        libc::EBADF => "a reference to a map is not a descriptor of a map".to_owned(),
        errno => describe(errno),
    };
    KernelError::Rejected { program: definition.name.to_owned(), reason, log }
}
