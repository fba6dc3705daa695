//! Our own engines.

use std::time::Instant;

use skep_vm::ebpf::{Engine as SkepEngine, Setup, Vm, Worker};

use crate::compile::Built;
use crate::engine::{Engine, Loaded, Outcome, Refusal, Runner, failed, repeated};

/// The engines of this project, in the order of their columns.
pub fn engines() -> Vec<Box<dyn Engine>> {
    let row = |name, engine, proved| -> Box<dyn Engine> { Box::new(Skep { name, engine, proved }) };
    vec![
        row("skep caged", SkepEngine::Jit, false),
        row("skep proved", SkepEngine::Jit, true),
        row("skep interp", SkepEngine::Interpreter, false),
    ]
}

/// One of our engines.
#[derive(Debug, Clone, Copy)]
struct Skep {
    name: &'static str,
    engine: SkepEngine,
    /// Without checks: the kernel's verifier has accepted the same programs.
    proved: bool,
}

impl Engine for Skep {
    fn name(&self) -> &'static str {
        self.name
    }

    fn available(&self) -> Result<(), String> {
        Ok(())
    }

    fn load(&self, built: &Built) -> Result<Loaded, Refusal> {
        let setup: Setup = Vm::new(&built.flat).fuel(u64::MAX >> 1).engine(self.engine);
        // SAFETY: the programs are those of this benchmark. The kernel, where it takes part, has verified them; they
        // access their context, their stack, the input and their maps.
        let setup = if self.proved { unsafe { setup.proved() } } else { setup };
        let vm = setup.load().map_err(failed)?;
        let mut worker = vm.worker().map_err(failed)?;
        // The input lies behind the two addresses in the context that say where it starts and ends.
        let len = 16 + built.input.len();
        worker.context(len).map_err(failed)?[16..].copy_from_slice(&built.input);
        let start = worker.context_address() + 16;
        let end = start + built.input.len() as u64;
        let context = worker.context(len).map_err(failed)?;
        context[..8].copy_from_slice(&start.to_ne_bytes());
        context[8..16].copy_from_slice(&end.to_ne_bytes());
        // A program is compiled when it first runs.
        let begin = Instant::now();
        vm.prepare(0);
        let compile = Some(begin.elapsed());
        Ok(Loaded { runner: Box::new(SkepRunner { worker }), compile })
    }
}

struct SkepRunner {
    worker: Worker,
}

impl Runner for SkepRunner {
    fn run(&mut self, repeat: u32) -> Result<Outcome, String> {
        repeated(repeat, || self.worker.execute(0).map_err(|fault| fault.to_string()))
    }
}
