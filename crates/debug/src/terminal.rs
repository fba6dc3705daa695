//! Commands of a line, and their answers as text: the debugger in a terminal, or with a script on standard input.

use std::fmt::Write as _;
use std::io::{self, BufRead, Write};

use crate::session::{Breakpoint, Reach, Session, Stop};

/// Instructions around the place that are shown.
const AROUND: u32 = 4;
/// Bytes of memory that `memory` shows at most.
const MOST_BYTES: usize = 4096;

// TABLE
/// The commands: names, arguments, meaning.
const COMMANDS: &[(&[&str], &str, &str)] = &[
    (&["step", "s"], "[NUMBER]", "to the next line, into functions"),
    (&["next", "n"], "[NUMBER]", "to the next line of this function"),
    (&["stepi", "si"], "[NUMBER]", "to the next instruction"),
    (&["finish", "out"], "", "to the caller"),
    (&["continue", "c"], "", "to the next breakpoint or the end"),
    (&["back", "bs"], "[NUMBER]", "back to the line before"),
    (&["backn", "bn"], "[NUMBER]", "back to the line before in this function"),
    (&["backi", "bi"], "[NUMBER]", "back to the instruction before"),
    (&["reverse", "rc"], "", "back to the breakpoint before or the start"),
    (&["break", "b"], "LINE | *SLOT", "stop there; without argument the list"),
    (&["delete", "d"], "NUMBER", "remove a breakpoint"),
    (&["registers", "r"], "", "values, and what the verifier knows on all paths"),
    (&["print", "p"], "EXPRESSION", "the value of an expression"),
    (&["watch", "w"], "EXPRESSION", "show its value at every stop; without argument remove all"),
    (&["memory", "m"], "ADDRESS [BYTES]", "bytes of memory"),
    (&["where", "bt"], "", "the functions on the way"),
    (&["list", "l"], "", "source and instructions"),
    (&["help", "h"], "", "this list, and what expressions are made of"),
    (&["quit", "q"], "", "the end"),
];

/// Whether there is more to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next command.
    Command,
    /// The session is over.
    Quit,
}

/// A session with what is shown at every stop.
#[derive(Debug)]
pub struct Terminal {
    session: Session,
    watches: Vec<String>,
    last: String,
}

impl Terminal {
    /// In front of the first instruction.
    pub fn new(session: Session) -> Self {
        Self { session, watches: Vec::new(), last: String::new() }
    }

    /// Answers commands until the input ends or one of them says so.
    ///
    /// # Errors
    /// If the output cannot be written or the input cannot be read.
    pub fn run(&mut self, input: &mut dyn BufRead, output: &mut dyn Write, prompt: &str) -> io::Result<()> {
        output.write_all(self.place(None).as_bytes())?;
        let mut line = Vec::new();
        loop {
            output.write_all(prompt.as_bytes())?;
            output.flush()?;
            line.clear();
            if input.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let (text, next) = self.command(&String::from_utf8_lossy(&line));
            output.write_all(text.as_bytes())?;
            if next == Next::Quit {
                return output.flush();
            }
        }
    }

    /// The answer to a command. An empty one repeats the last.
    pub fn command(&mut self, line: &str) -> (String, Next) {
        let line = line.trim();
        let line = if line.is_empty() { self.last.clone() } else { line.to_owned() };
        self.last.clone_from(&line);
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        let rest = rest.trim();
        let Some((names, ..)) = COMMANDS.iter().find(|(names, ..)| names.contains(&word)) else {
            return (
                if word.is_empty() {
                    String::new()
                } else {
                    format!("there is no command `{word}`; `help` lists them\n")
                },
                Next::Command,
            );
        };
        let text = match names[0] {
            "step" => self.moves(Reach::Line, false, rest),
            "next" => self.moves(Reach::Over, false, rest),
            "stepi" => self.moves(Reach::Instruction, false, rest),
            "finish" => self.moves(Reach::Out, false, ""),
            "continue" => self.moves(Reach::Far, false, ""),
            "back" => self.moves(Reach::Line, true, rest),
            "backn" => self.moves(Reach::Over, true, rest),
            "backi" => self.moves(Reach::Instruction, true, rest),
            "reverse" => self.moves(Reach::Far, true, ""),
            "break" => self.set_breakpoint(rest),
            "delete" => self.delete_breakpoint(rest),
            "registers" => self.registers(),
            "print" => answer(self.session.evaluate(rest)),
            "watch" => self.watch(rest),
            "memory" => answer(self.memory(rest)),
            "where" => self.frames(),
            "list" => self.listing(),
            "quit" => return (String::new(), Next::Quit),
            _ => help(),
        };
        (text, Next::Command)
    }

    fn moves(&mut self, reach: Reach, back: bool, count: &str) -> String {
        let count = if count.is_empty() { Some(1) } else { count.parse::<u32>().ok() };
        let Some(count) = count else { return "expected a number of steps\n".to_owned() };
        let mut stop = Stop::Moved;
        for _ in 0..count {
            stop = self.session.go(reach, back);
            if stop != Stop::Moved {
                break;
            }
        }
        self.place(Some(stop))
    }

    /// Where the program is, why it stopped there, and the values that are watched.
    fn place(&self, stop: Option<Stop>) -> String {
        let mut text = String::new();
        match stop {
            Some(Stop::Breakpoint(_)) => text.push_str("breakpoint\n"),
            Some(Stop::Start) => text.push_str("the start\n"),
            Some(Stop::End) => match self.session.end() {
                Ok(result) => _ = writeln!(text, "the end: the result will be {} ({result:#x})", result.cast_signed()),
                Err(fault) => _ = writeln!(text, "the end: {fault}"),
            },
            _ => {}
        }
        let (now, steps) = self.session.position();
        let frames = self.session.frames();
        let name = frames.first().map_or("", |frame| &frame.name);
        let _ = writeln!(text, "step {} of {steps}, {name}", now + 1);
        if let Some((file, line, source)) = frames.first().and_then(|frame| frame.line.as_ref()) {
            let _ = writeln!(text, "{file}:{line}: {source}");
        }
        let at = self.session.step().at;
        let _ = writeln!(text, "{at:>6}: {}", self.session.instruction(at).unwrap_or_default());
        self.watched().lines().for_each(|line| _ = writeln!(text, "  {line}"));
        text
    }

    fn set_breakpoint(&mut self, rest: &str) -> String {
        if rest.is_empty() {
            let mut text = String::new();
            for (number, breakpoint) in self.session.breakpoints.iter().enumerate() {
                let _ = writeln!(text, "{}: {}", number + 1, name(*breakpoint));
            }
            return if text.is_empty() { "there are no breakpoints\n".to_owned() } else { text };
        }
        let breakpoint = match rest.strip_prefix('*') {
            Some(slot) => slot.parse().ok().map(Breakpoint::Slot),
            None => rest.parse().ok().map(Breakpoint::Line),
        };
        match breakpoint {
            None => "expected the number of a line, or `*` and that of an instruction\n".to_owned(),
            Some(breakpoint) if !self.session.can_stop_at(breakpoint) => {
                format!("nothing of the program is at {}\n", name(breakpoint))
            }
            Some(breakpoint) => {
                self.session.breakpoints.push(breakpoint);
                format!("breakpoint {} at {}\n", self.session.breakpoints.len(), name(breakpoint))
            }
        }
    }

    fn delete_breakpoint(&mut self, rest: &str) -> String {
        let index = rest.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        match index.filter(|index| *index < self.session.breakpoints.len()) {
            Some(index) => format!("removed: {}\n", name(self.session.breakpoints.remove(index))),
            None => "expected the number of a breakpoint; `break` lists them\n".to_owned(),
        }
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// A breakpoint at the line or instruction where the program is; removes the one that is there. Says which.
    pub fn toggle_breakpoint(&mut self) -> String {
        let at = self.session.step().at;
        let line = self.session.frames().into_iter().next().and_then(|frame| frame.line);
        let here = line.map_or(Breakpoint::Slot(at), |(_, line, _)| Breakpoint::Line(line));
        match self.session.breakpoints.iter().position(|breakpoint| *breakpoint == here) {
            Some(index) => {
                self.session.breakpoints.remove(index);
                format!("removed: {}\n", name(here))
            }
            None => {
                self.session.breakpoints.push(here);
                format!("breakpoint at {}\n", name(here))
            }
        }
    }

    /// The values that are watched.
    pub fn watched(&self) -> String {
        let value = |watch: &String| format!("{watch} = {}", answer(self.session.evaluate(watch)));
        self.watches.iter().map(value).collect()
    }

    /// Values of registers, `*` at those that the step before has changed, and what the verifier knows.
    pub fn registers(&self) -> String {
        let mut text = String::new();
        for register in self.session.registers() {
            let changed = if register.changed { '*' } else { ' ' };
            let _ = write!(text, "{changed}{:<3} {:#018x}", register.name, register.value);
            if let Some(known) = register.known {
                let _ = write!(text, "  {known}");
            }
            text.push('\n');
        }
        text
    }

    fn watch(&mut self, rest: &str) -> String {
        if rest.is_empty() {
            self.watches.clear();
            return "nothing is watched\n".to_owned();
        }
        let value = self.session.evaluate(rest);
        if crate::expr::Expr::parse(rest).is_ok() {
            self.watches.push(rest.to_owned());
        }
        answer(value)
    }

    fn memory(&self, rest: &str) -> Result<String, String> {
        let (address, size) = match rest.rsplit_once(char::is_whitespace) {
            Some((address, size)) if size.parse::<usize>().is_ok() => (address, size.parse().unwrap_or(64)),
            _ => (rest, 64),
        };
        let crate::expr::Expr::Number(node) = crate::expr::Expr::parse(address)? else {
            return Err("expected an address; `print` shows types".to_owned());
        };
        let start = node.value(&self.session)?;
        let part = self
            .session
            .parts()
            .iter()
            .find(|part| start.checked_sub(part.start).is_some_and(|distance| distance < part.bytes.len() as u64));
        let part = part.ok_or_else(|| format!("nothing of the program is at {start:#x}"))?;
        let first = usize::try_from(start - part.start).unwrap_or(usize::MAX);
        let bytes = part.bytes.get(first..).unwrap_or_default();
        let bytes = &bytes[..bytes.len().min(size).min(MOST_BYTES)];
        let mut text = format!("{}+{first}:", part.name);
        for (row, chunk) in bytes.chunks(16).enumerate() {
            let _ = write!(text, "\n  {:#010x} ", start + row as u64 * 16);
            chunk.iter().for_each(|byte| _ = write!(text, " {byte:02x}"));
        }
        Ok(text)
    }

    fn frames(&self) -> String {
        let mut text = String::new();
        for (number, frame) in self.session.frames().iter().enumerate() {
            let _ = write!(text, "#{number} {} at instruction {}", frame.name, frame.at);
            if let Some((file, line, _)) = &frame.line {
                let _ = write!(text, ", {file}:{line}");
            }
            text.push('\n');
        }
        text
    }

    fn listing(&self) -> String {
        let (at, mut text, mut last) = (self.session.step().at, String::new(), None);
        for (slot, insn) in self.session.listing(AROUND) {
            let line = self.session.program().line_of(skep_isa::ebpf::InsnIdx::new(slot as usize));
            if let Some(line) = line.filter(|line| line.line > 0 && last != Some(line.line)) {
                last = Some(line.line);
                let _ = writeln!(text, "{}: {}", line.line, line.text.trim());
            }
            let mark = if slot == at { '>' } else { ' ' };
            let _ = writeln!(text, "{mark}{slot:>6}: {insn}");
        }
        text
    }
}

fn name(breakpoint: Breakpoint) -> String {
    match breakpoint {
        Breakpoint::Line(line) => format!("line {line}"),
        Breakpoint::Slot(slot) => format!("instruction {slot}"),
    }
}

fn answer(value: Result<String, String>) -> String {
    let mut text = value.unwrap_or_else(|why| format!("error: {why}"));
    text.push('\n');
    text
}

fn help() -> String {
    let mut text = String::new();
    for (names, arguments, about) in COMMANDS {
        let _ = writeln!(text, "  {:<28} {about}", format!("{} {arguments}", names.join(", ")));
    }
    let _ = writeln!(text, "  an empty line repeats the last command\nexpressions: {}", crate::expr::NAMES);
    text
}
