//! A program on its way: where it is, how it moves, what can be seen.

use skep_btf::{Btf, TypeId, Value};
use skep_isa::ebpf::{InsnIdx, Notation, line};
use skep_object::{Line, Object, Program};
use skep_verifier::noted::Noted;
use skep_verifier::{Kernel, Verdict, verify_noting};

use crate::expr::{self, Expr, Source};
use crate::recording::{Part, RecordError, Recording, Step, Work};

/// Where the program is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakpoint {
    /// At the first instruction of a line of the source.
    Line(u32),
    /// At the instruction at a slot.
    Slot(u32),
}

/// Why a move ended where it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// At the place that was asked for.
    Moved,
    /// At a breakpoint.
    Breakpoint(Breakpoint),
    /// In front of the first instruction.
    Start,
    /// In front of the last instruction.
    End,
}

/// How far a move goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To the next instruction.
    Instruction,
    /// To another line, also that of a function that is called.
    Line,
    /// To another line of this function, or to its caller.
    Over,
    /// To the caller.
    Out,
    /// As far as possible.
    Far,
}

/// A register as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// `r0` to `r10`.
    pub name: String,
    /// Its value.
    pub value: u64,
    /// What the verifier knows of it here, on all paths; `None` if it differs between them or was not looked at.
    pub known: Option<String>,
    /// Whether the step before has changed it.
    pub changed: bool,
}

/// A function on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its name.
    pub name: String,
    /// The instruction that it is at.
    pub at: u32,
    /// Its line: file, number, text.
    pub line: Option<(String, u32, String)>,
}

/// A program that is debugged.
#[derive(Debug)]
pub struct Session {
    object: Object,
    btf: Option<Btf>,
    recording: Recording,
    noted: Noted,
    verdict: Verdict,
    program: usize,
    /// Where the program stops.
    pub breakpoints: Vec<Breakpoint>,
}

impl Session {
    /// Runs a program, with so much fuel at most, and stands in front of its first instruction.
    ///
    /// # Errors
    /// If it cannot be run on this.
    pub fn new(object: Object, program: usize, work: &Work, fuel: u64) -> Result<Self, RecordError> {
        let recording = Recording::new(&object, program, work, fuel)?;
        let (verdict, noted) = verify_noting(&object, &object.programs[program], Kernel::newest());
        let btf = Btf::parse(object.btf.clone()).ok();
        Ok(Self { object, btf, recording, noted, verdict, program, breakpoints: Vec::new() })
    }

    /// What the verifier says of the program.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// How the run ends: register 0, or what stops it.
    pub fn end(&self) -> &Result<u64, String> {
        &self.recording.end
    }

    /// The number of the step, and how many there are.
    pub fn position(&self) -> (usize, usize) {
        (self.recording.now(), self.recording.steps.len())
    }

    /// The program that runs.
    pub fn program(&self) -> &Program {
        let index = self.recording.step().program;
        self.object.programs.get(index).unwrap_or(&self.object.programs[self.program])
    }

    /// The step that it is at.
    pub fn step(&self) -> &Step {
        self.recording.step()
    }

    /// The parts of memory, as they are now.
    pub fn parts(&self) -> &[Part] {
        self.recording.parts()
    }

    /// Bytes of memory as they are now.
    pub fn read(&self, address: u64, size: usize) -> Option<&[u8]> {
        self.recording.read(address, size)
    }

    fn line_of(&self, step: &Step) -> Option<&Line> {
        let program = self.object.programs.get(step.program)?;
        program.line_of(InsnIdx::new(step.at as usize)).filter(|line| line.line > 0)
    }

    /// Which line of which function a step belongs to.
    fn place(&self, step: &Step) -> (usize, u8, Option<(&str, u32)>) {
        (step.program, step.depth, self.line_of(step).map(|line| (&*line.file, line.line)))
    }

    /// Goes on, or back, until something ends the move. Breakpoints end every move but that of one instruction.
    pub fn go(&mut self, reach: Reach, back: bool) -> Stop {
        let start = *self.recording.step();
        let last = self.recording.steps.len() - 1;
        let mut now = self.recording.now();
        let stop = loop {
            let next = if back { now.checked_sub(1) } else { Some(now + 1).filter(|next| *next <= last) };
            let Some(next) = next else { break if back { Stop::Start } else { Stop::End } };
            now = next;
            let step = &self.recording.steps[now];
            if reach == Reach::Instruction {
                break Stop::Moved;
            }
            if let Some(breakpoint) = self.breakpoint_at(now) {
                break Stop::Breakpoint(breakpoint);
            }
            let ended = match reach {
                Reach::Line => self.is_another_line(now, &start),
                Reach::Over => {
                    step.depth < start.depth || step.depth == start.depth && self.is_another_line(now, &start)
                }
                Reach::Out => step.depth < start.depth,
                Reach::Instruction | Reach::Far => false,
            };
            if ended {
                break Stop::Moved;
            }
        };
        self.recording.go(now);
        stop
    }

    /// Whether a step begins another line than that of the start of a move.
    fn is_another_line(&self, step: usize, start: &Step) -> bool {
        let here = &self.recording.steps[step];
        self.begins_line(step) && (self.line_of(here).is_none() || self.place(here) != self.place(start))
    }

    /// Whether a step is the first of its line. Without lines each instruction is one.
    fn begins_line(&self, step: usize) -> bool {
        let Some(before) = step.checked_sub(1) else { return true };
        let (before, here) = (&self.recording.steps[before], &self.recording.steps[step]);
        self.line_of(here).is_none() || self.place(before) != self.place(here)
    }

    fn breakpoint_at(&self, step: usize) -> Option<Breakpoint> {
        let here = &self.recording.steps[step];
        self.breakpoints.iter().copied().find(|breakpoint| match *breakpoint {
            Breakpoint::Slot(slot) => here.at == slot,
            Breakpoint::Line(line) => {
                self.begins_line(step) && self.line_of(here).is_some_and(|place| place.line == line)
            }
        })
    }

    /// Whether a breakpoint can be reached at all: the line has instructions, the slot has one.
    pub fn can_stop_at(&self, breakpoint: Breakpoint) -> bool {
        self.object.programs.iter().any(|program| match breakpoint {
            Breakpoint::Slot(slot) => (slot as usize) < program.insns.len(),
            Breakpoint::Line(line) => program.lines.iter().any(|place| place.line == line),
        })
    }

    /// The registers, with what the verifier knows.
    pub fn registers(&self) -> Vec<Register> {
        let (now, step) = (self.recording.now(), self.recording.step());
        let before = now.checked_sub(1).map(|before| &self.recording.steps[before]);
        let place = (step.program == self.program).then(|| self.noted.at(step.at)).flatten();
        let of = |(number, value): (usize, &u64)| Register {
            name: format!("r{number}"),
            value: *value,
            known: place.and_then(|place| place.register(number)).map(ToString::to_string),
            changed: before.is_some_and(|before| before.registers[number] != *value),
        };
        step.registers.iter().enumerate().map(of).collect()
    }

    /// The functions on the way, the running one first.
    pub fn frames(&self) -> Vec<Frame> {
        let now = self.recording.now();
        let mut frames = vec![self.frame(now)];
        let mut depth = self.recording.steps[now].depth;
        for step in (0..now).rev() {
            if self.recording.steps[step].depth < depth {
                depth = self.recording.steps[step].depth;
                frames.push(self.frame(step));
            }
        }
        frames
    }

    fn frame(&self, number: usize) -> Frame {
        let step = &self.recording.steps[number];
        let program = self.object.programs.get(step.program);
        let function = program.and_then(|program| program.function_of(InsnIdx::new(step.at as usize)));
        let name = function.map(|function| function.name.to_string());
        let name = name.or_else(|| program.map(|program| program.name.clone())).unwrap_or_default();
        let line = self.line_of(step);
        let line = line.map(|line| (line.file.to_string(), line.line, line.text.trim().to_owned()));
        Frame { name, at: step.at, line }
    }

    /// The instruction at a slot of the program that runs, as text.
    pub fn instruction(&self, slot: u32) -> Option<String> {
        let insns = &self.program().insns;
        let insn = insns.get(slot as usize)?;
        insn.decode(insns.get(slot as usize + 1).copied()).ok().map(|op| line(&op, Notation::Plain))
    }

    /// The slots around the instruction that it is at, with their texts.
    pub fn listing(&self, around: u32) -> Vec<(u32, String)> {
        let at = self.step().at;
        let slots = at.saturating_sub(around)..=at.saturating_add(around);
        slots.filter_map(|slot| Some((slot, self.instruction(slot)?))).collect()
    }

    /// The value of an expression, as text.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn evaluate(&self, text: &str) -> Result<String, String> {
        match Expr::parse(text)? {
            Expr::Typed(name, address) => {
                let address = address.value(self)?;
                self.typed(&name, address)
            }
            Expr::Number(number) => {
                let value = number.value(self)?;
                Ok(format!("{} ({value:#x})", value.cast_signed()))
            }
        }
    }

    /// The value of a type at an address.
    fn typed(&self, name: &str, address: u64) -> Result<String, String> {
        let btf = self.btf.as_ref().ok_or("the object has no types (compile with -g)")?;
        let id: TypeId = btf.find(name).ok_or_else(|| format!("the object has no type `{name}`"))?;
        let size = btf.size_of(id).map_err(|error| error.to_string())?;
        let bytes = self.read(address, size as usize);
        let bytes = bytes.ok_or_else(|| format!("{size} bytes at {address:#x} are not in the program's memory"))?;
        Value::decode(btf, id, bytes).map(|value| value.to_string()).map_err(|error| error.to_string())
    }
}

impl Source for Session {
    fn register(&self, number: usize) -> Option<u64> {
        self.recording.step().registers.get(number).copied()
    }

    fn part(&self, name: &str) -> Option<u64> {
        self.parts().iter().find(|part| part.name == name).map(|part| part.start)
    }

    fn bytes(&self, address: u64, size: usize) -> Option<&[u8]> {
        self.read(address, size)
    }
}

/// The names that expressions know, for help.
pub fn names() -> &'static str {
    expr::NAMES
}
