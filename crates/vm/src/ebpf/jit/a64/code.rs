//! The growing list of instruction words, and instructions without operands of their own kind.

/// Machine code under construction. Words are numbers, not bytes: the architecture stores them little-endian.
#[derive(Debug, Default)]
pub(crate) struct Code {
    pub(super) words: Vec<u32>,
}

impl Code {
    /// No instructions yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The instructions so far. Places that wait for [`Code::patch`] hold an instruction that traps.
    pub(crate) fn words(&self) -> &[u32] {
        &self.words
    }

    /// Appends one instruction.
    pub(super) fn push(&mut self, word: u32) {
        self.words.push(word);
    }

    /// `nop`
    pub(crate) fn nop(&mut self) {
        self.push(0xd503_201f);
    }

    /// `brk #number`: a debugger's trap; Linux delivers SIGTRAP.
    pub(crate) fn brk(&mut self, number: u16) {
        self.push(0xd420_0000 | u32::from(number) << 5);
    }

    /// `udf #number`: never an instruction; Linux delivers SIGILL.
    pub(crate) fn udf(&mut self, number: u16) {
        self.push(number.into());
    }
}
