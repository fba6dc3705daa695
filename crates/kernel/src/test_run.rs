//! Running programs in the kernel on given input (`BPF_PROG_TEST_RUN`).

use std::os::fd::AsFd;
use std::time::Duration;

use skep_isa::Release;

use crate::errors::KernelError;
use crate::features::{Capability, running_release};
use crate::prog::LoadedProgram;
use crate::sys::attr::{TEST_RUN_ON_CPU, TEST_XDP_LIVE_FRAMES, TestRun as Done};
use crate::sys::program::{self, Run};

/// Most runs of one `BPF_PROG_TEST_RUN`, so that a call cannot last for hours.
const MOST_RUNS: u32 = 1_000_000;
/// Room for the packet that a test run gives back: more than helpers make of a page.
const LONGEST_OUTPUT: usize = 1 << 17;
/// Room for a context: the largest (`struct __sk_buff`) has less than 256 bytes.
const LONGEST_CONTEXT: usize = 1 << 12;
const ACTION: &str = "run a program on a test packet";

/// Result of a test run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestRun {
    /// What the program returned, the last time.
    pub result: u32,
    /// Mean duration of a run.
    pub duration: Duration,
}

/// What to run a program on.
#[derive(Debug, Clone, Copy, Default)]
pub struct TestInput<'a> {
    /// The packet; empty for programs that look at none.
    pub data: &'a [u8],
    /// The context as the program sees it, for types whose context may be given (Linux 5.2): `struct __sk_buff` for
    /// traffic control, `struct xdp_md` for XDP, the arguments of raw tracepoints. Empty for the kernel's choice.
    pub context: &'a [u8],
    /// Number of runs, from 1 to 1,000,000 (others are clamped); 0 for types that run once only.
    pub repeat: u32,
    /// The processor to run on (raw tracepoints; Linux 5.10).
    pub cpu: Option<u32>,
    /// XDP: frames really go where the program sends them, which needs a context with an interface (Linux 5.18).
    pub live_frames: bool,
    /// XDP with live frames: how many go in one go, 0 for the kernel's choice of 64, at most 256.
    pub batch_size: u32,
}

/// What a program made of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestOutput {
    /// Result and duration.
    pub run: TestRun,
    /// The packet as the program left it; empty if there is none.
    pub data: Vec<u8>,
    /// The context as the program left it; empty for types that give none back.
    pub context: Vec<u8>,
}

impl LoadedProgram {
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
        let mut run = Run { data, repeat: repeat.clamp(1, MOST_RUNS), ..Run::default() };
        Ok(result(&self.run(&mut run)?))
    }

    /// As [`test_run`](Self::test_run) once, for programs that change packets: what became of it.
    ///
    /// # Errors
    /// As for [`test_run`](Self::test_run).
    pub fn test_packet(&self, data: &[u8]) -> Result<(TestRun, Vec<u8>), KernelError> {
        let mut output = vec![0; LONGEST_OUTPUT];
        let done = self.run(&mut Run { data, data_out: &mut output, repeat: 1, ..Run::default() })?;
        output.truncate(done.data_size_out as usize);
        Ok((result(&done), output))
    }

    /// Runs the program with everything that the kernel lets one choose.
    ///
    /// # Errors
    /// As for [`test_run`](Self::test_run).
    pub fn test(&self, input: &TestInput<'_>) -> Result<TestOutput, KernelError> {
        // Frames that are gone cannot be given back, and some types have no packet.
        let wants_data = !input.live_frames && !input.data.is_empty();
        let mut data = vec![0; if wants_data { LONGEST_OUTPUT } else { 0 }];
        let wants_context = !input.live_frames && !input.context.is_empty() && !input.data.is_empty();
        let mut context = vec![0; if wants_context { LONGEST_CONTEXT } else { 0 }];
        let mut run = Run {
            data: input.data,
            data_out: &mut data,
            context: input.context,
            context_out: &mut context,
            repeat: input.repeat.min(MOST_RUNS),
            flags: input.cpu.map_or(0, |_| TEST_RUN_ON_CPU) | if input.live_frames { TEST_XDP_LIVE_FRAMES } else { 0 },
            cpu: input.cpu.unwrap_or(0),
            batch_size: input.batch_size,
        };
        let done = self.run(&mut run)?;
        data.truncate(done.data_size_out as usize);
        context.truncate(done.ctx_size_out as usize);
        Ok(TestOutput { run: result(&done), data, context })
    }

    fn run(&self, run: &mut Run<'_>) -> Result<Done, KernelError> {
        program::test_run(self.as_fd(), run).map_err(|errno| match errno {
            libc::EINVAL if run.context.is_empty() && run.flags == 0 => KernelError::Invalid {
                action: ACTION,
                problem: format!(
                    "the kernel does not accept {} bytes; give an Ethernet header of 14 bytes and a payload, together \
                     less than a page",
                    run.data.len()
                ),
            },
            libc::EINVAL => KernelError::Invalid {
                action: ACTION,
                problem: format!(
                    "the kernel does not accept {} bytes of packet, {} bytes of context and these choices for `{}`; fields \
                     of the context that a program of this type cannot be given must be 0",
                    run.data.len(),
                    run.context.len(),
                    self.name()
                ),
            },
            // ENOTSUPP has no name in user space.
            libc::EOPNOTSUPP | 524 => KernelError::Unsupported {
                what: "test runs of this program type".to_owned(),
                since: Some(Release::new(4, 12)),
                running: running_release(),
            },
            libc::EPERM => KernelError::not_permitted(ACTION, &[Capability::Bpf, Capability::SysAdmin]),
            libc::ENXIO => KernelError::Invalid {
                action: ACTION,
                problem: "the processor that was asked for does not exist or is offline".to_owned(),
            },
            errno => KernelError::system(ACTION, errno),
        })
    }
}

fn result(done: &Done) -> TestRun {
    TestRun { result: done.retval, duration: Duration::from_nanos(done.duration.into()) }
}
