//! The running kernel: verifier, JIT and `BPF_PROG_TEST_RUN`.

use skep_isa::ProgType;
use skep_isa::ebpf::{Op, Reg};
use skep_kernel::{Loaded as InKernel, LoadedProgram, ProgramDefinition, load};

use crate::compile::Built;
use crate::engine::{Engine, Loaded, Outcome, Refusal, Runner, failed, timed};

/// The kernel's JIT.
#[derive(Debug, Clone, Copy)]
pub struct Kernel;

impl Engine for Kernel {
    fn name(&self) -> &'static str {
        "kernel JIT"
    }

    fn available(&self) -> Result<(), String> {
        let mut insns = Vec::new();
        Op::mov_imm(Reg::R0, 0).emit(&mut insns);
        Op::Exit.emit(&mut insns);
        let definition = ProgramDefinition { name: "nop", prog_type: ProgType::Xdp, insns: &insns, license: "GPL" };
        let program = LoadedProgram::load(&definition).map_err(|error| error.to_string())?;
        let info = program.info().map_err(|error| error.to_string())?;
        if info.machine_bytes == 0 {
            return Err("the kernel interprets programs; set the sysctl net.core.bpf_jit_enable to 1".to_owned());
        }
        Ok(())
    }

    fn load(&self, built: &Built) -> Result<Loaded, Refusal> {
        let (loaded, time) = timed(|| load(&built.xdp));
        let runner = KernelRunner { loaded: loaded.map_err(failed)?, input: built.input.clone() };
        Ok(Loaded { runner: Box::new(runner), compile: Some(time) })
    }
}

struct KernelRunner {
    loaded: InKernel,
    input: Vec<u8>,
}

impl Runner for KernelRunner {
    fn run(&mut self, repeat: u32) -> Result<Outcome, String> {
        let program = &self.loaded.programs[0];
        let run = program.test_run(&self.input, repeat).map_err(|error| error.to_string())?;
        Ok(Outcome { result: run.result, time: run.duration * repeat })
    }
}
