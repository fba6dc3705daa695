//! `skep debug`: a program step by step, for people and for editors. The debugger is `skep_debug`.

use std::io::{self, IsTerminal, Write};

use skep_debug::Session;
use skep_debug::dap::Server;
use skep_debug::terminal::Terminal;

use crate::args::DebugArgs;
use crate::failure::Failure;
use crate::vm::input::Work;
use crate::vm::load::Chosen;

/// Runs the program and talks about it until the end.
pub fn run(args: &DebugArgs) -> Result<(), Failure> {
    let chosen = Chosen::new(&args.program)?;
    let work = Work::new(&args.program, &chosen)?.for_debugger();
    let session = Session::new(chosen.object, chosen.index, &work, chosen.fuel).map_err(Failure::run)?;
    if !args.dap && !args.plain && io::stdin().is_terminal() && io::stdout().is_terminal() {
        return skep_debug::screen::run(session).map_err(Failure::run);
    }
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let result = if args.dap {
        Server::new(session).run(&mut input, &mut output)
    } else {
        // A script needs no prompts between the answers.
        let prompt = if io::stdin().is_terminal() { "(skep) " } else { "" };
        Terminal::new(session).run(&mut input, &mut output, prompt)
    };
    match result.and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::ClosedPipe),
        other => other.map_err(Failure::run),
    }
}
