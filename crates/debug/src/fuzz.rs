//! Bodies of fuzz targets. They panic when a guarantee does not hold.

use skep_isa::ProgType;
use skep_isa::ebpf::assemble;
use skep_object::{Object, Program};
use skep_vm::ebpf::DEFAULT_FUEL;

use crate::dap::Server;
use crate::expr::Expr;
use crate::recording::Work;
use crate::session::Session;
use crate::terminal::Terminal;

/// A program with a loop and a call, for commands.
const PROGRAM: &str = "r6 = 3 \n *(u64 *)(r10 -8) = r6 \n call pc+4 \n r6 += -1 \n *(u64 *)(r10 -8) = r6 \n if r6 != 0 goto -4 \n exit \n r0 = 7 \n exit";

/// A session with a small program.
///
/// # Panics
/// If the machine does not take it.
pub fn session() -> Session {
    let insns = assemble(PROGRAM).expect("the text is a program");
    let mut object = Object::new("GPL");
    object.add_program(Program::new("fuzz", ProgType::SocketFilter, insns));
    Session::new(object, 0, &Work::Context(vec![1, 2, 3, 4]), DEFAULT_FUEL).expect("the program runs")
}

/// Any text is an expression or an error.
pub fn expressions(bytes: &[u8]) {
    let _ = Expr::parse(&String::from_utf8_lossy(bytes));
}

/// Any text is answered by both interfaces.
pub fn commands(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut terminal = Terminal::new(session());
    for line in text.lines().take(64) {
        terminal.command(line);
    }
    let mut server = Server::new(session());
    let mut output = Vec::new();
    let _ = server.run(&mut &bytes[..], &mut output);
    for line in text.lines().take(64) {
        server.message(line.as_bytes());
    }
}
