//! Stack traces of processes from a copy of registers and stack.

use std::fs::File;

use super::{Mapped, Processes, State, open, vdso_bytes};
use crate::unwind::{CallFrames, Registers, Stack, Step};

/// The call frame information of a file.
#[derive(Debug, Default)]
pub(super) enum Frames {
    /// It was not asked for so far.
    #[default]
    Unread,
    /// The file has none.
    None,
    Read(Box<CallFrames>),
}

impl Processes {
    /// The addresses of a stack trace, innermost first, at most so many. `registers` are the bytes of `struct pt_regs`,
    /// `stack` those of the stack from the address `base` on. Where a file has no call frame information, frame pointers are
    /// followed; where nothing leads on, the trace ends.
    pub fn unwind(&mut self, pid: u32, registers: &[u8], (base, stack): (u64, &[u8]), most: usize) -> Vec<u64> {
        let stack = Stack { base, bytes: stack };
        let (mut found, mut exact) = (Vec::new(), true);
        let mut current = Registers::of_kernel(registers);
        while let Some(registers) = current
            && let Some(address) = registers.instruction()
            && found.len() < most
        {
            found.push(address);
            // A function that called is in the instruction in front of the one that it goes on with.
            let within = if exact { address } else { address.wrapping_sub(1) };
            current = match self.step(pid, within, &registers, stack) {
                Step::Caller { registers, exact: interrupted } => {
                    exact = interrupted;
                    Some(*registers)
                }
                Step::Unknown => {
                    exact = false;
                    registers.by_frame_pointer(stack)
                }
                Step::End => None,
            };
        }
        found
    }

    fn step(&mut self, pid: u32, address: u64, registers: &Registers, stack: Stack<'_>) -> Step {
        let Some((Some(number), offset)) = self.locate(pid, address) else { return Step::Unknown };
        self.files[number].read_frames();
        if self.load(number).is_none() {
            return Step::Unknown;
        }
        let Mapped { state: State::Read(functions), frames: Frames::Read(frames), .. } = &mut self.files[number] else {
            return Step::Unknown;
        };
        match functions.head().address(offset) {
            Some(address) => frames.step(address, registers, stack),
            None => Step::Unknown,
        }
    }
}

impl Mapped {
    /// Reads the call frame information, if that has not been done.
    fn read_frames(&mut self) {
        if !matches!(self.frames, Frames::Unread) {
            return;
        }
        let again = |file: &File| file.try_clone().ok();
        let found = match &self.state {
            State::Open(file) => again(file).and_then(CallFrames::of_file),
            _ if self.name == "[vdso]" => vdso_bytes().and_then(|bytes| CallFrames::of_bytes(&bytes)),
            _ => self.ways.iter().find_map(|way| CallFrames::of_file(open(way)?)),
        };
        self.frames = found.map_or(Frames::None, |found| Frames::Read(Box::new(found)));
    }
}
