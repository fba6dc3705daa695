//! `skep vm plugin`: the protocol by which conformance suites run a program on an engine.

use std::io::{self, Read};

use skep_isa::ProgType;
use skep_isa::ebpf::{Endian, from_bytes};
use skep_vm::classic::Metadata;
use skep_vm::ebpf::{Engine, Helpers, Input, Setup};

use super::load::worker;
use crate::args::{VmPluginArgs, hex_bytes};
use crate::failure::Failure;
use crate::text::print;

/// Ends programs that loop without end after some seconds. The longest tests that are known need a tenth of it.
const FUEL: u64 = 1 << 36;

/// Runs the program on standard input.
pub fn run(args: &VmPluginArgs) -> Result<(), Failure> {
    let mut text = String::new();
    let read = io::stdin().lock().read_to_string(&mut text);
    read.map_err(|error| Failure::Run(format!("cannot read the program from standard input: {error}")))?;
    let bytes = hex_bytes(&text).map_err(|error| Failure::Run(format!("the program on standard input: {error}")))?.0;
    let insns = from_bytes(&bytes, Endian::NATIVE).ok_or_else(|| {
        let len = bytes.len();
        Failure::Run(format!(
            "the program is {len} bytes long, which is not a multiple of the 8 bytes of an instruction"
        ))
    })?;
    let engine = args.engine.engine();
    let helpers = Helpers::none().with(5, |_, [first, ..]| Ok(first));
    let setup = Setup::new().helpers(helpers).fuel(FUEL).engine(engine);
    let vm = setup.program("standard input", ProgType::SocketFilter, &insns).load().map_err(Failure::run)?;
    if engine == Engine::Jit && !vm.prepare(0) {
        return Err(no_compiled_code());
    }
    let mut memory = args.memory.as_ref().map_or_else(Vec::new, |bytes| bytes.0.clone());
    let input = Input { context: &mut memory, packet: &[], meta: &Metadata::default() };
    let value = worker(&vm)?.run(0, input).map_err(Failure::run)?;
    print(&format!("{value:x}\n"))
}

/// `--jit` where there is none.
pub fn no_compiled_code() -> Failure {
    Failure::Run(
        "the program cannot be compiled here: this processor is not supported, or the system forbids executable \
         memory; use --interp"
            .to_owned(),
    )
}
