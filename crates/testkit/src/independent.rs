//! A classic BPF machine that knows programs only by their printed text.
//!
//! It reads the three outputs of `tcpdump -d`, `-dd` and `-ddd` and runs them. It is written from the manual pages
//! bpf(4) and pcap-filter(7) and from libpcap's user-space rules, uses nothing of `skep-isa`, and aims at being
//! obvious, not fast: a wrong printer, encoder or interpreter elsewhere has no chance to agree with it by accident.

mod read;

use std::collections::BTreeMap;
use std::fmt;

/// Where the user-space and the kernel's interpretation of a valid program differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A shift by a run-time count of 32 or more uses its lowest five bits (kernel) instead of giving 0 (libpcap).
    pub masked_shifts: bool,
    /// `X + k` wraps around at 32 bits (kernel) instead of being out of range (libpcap).
    pub wrapping_index: bool,
}

impl Rules {
    /// libpcap's `bpf_filter`, which decides for `tcpdump -r`.
    pub const LIBPCAP: Self = Self { masked_shifts: false, wrapping_index: false };
    /// The Linux kernel (`net/core/filter.c`).
    pub const KERNEL: Self = Self { masked_shifts: true, wrapping_index: true };
}

/// What a program runs on.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// The captured bytes.
    pub data: &'a [u8],
    /// The length on the wire, which `#pktlen` gives.
    pub wire_len: u32,
    /// Values of ancillary words by the name that a listing has for them (`type`, `vlanp`); absent ones end the
    /// program with 0, as in a recording.
    pub ancillary: BTreeMap<&'static str, u32>,
    /// Whose interpretation to follow.
    pub rules: Rules,
}

impl<'a> Input<'a> {
    /// A packet from a recording under libpcap's rules.
    #[must_use]
    pub fn recorded(data: &'a [u8], wire_len: u32) -> Self {
        Self { data, wire_len, ancillary: BTreeMap::new(), rules: Rules::LIBPCAP }
    }
}

/// The formats in which tcpdump prints programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `-d`: a listing with mnemonics.
    Listing,
    /// `-dd`: C initialisers.
    CArray,
    /// `-ddd`: decimal numbers after a count.
    Decimal,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::Listing, Self::CArray, Self::Decimal];

    /// The option that makes tcpdump print it.
    #[must_use]
    pub const fn option(self) -> &'static str {
        match self {
            Self::Listing => "-d",
            Self::CArray => "-dd",
            Self::Decimal => "-ddd",
        }
    }
}

/// Why a text could not be read or a program not be run to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A line that is no instruction.
    Unreadable {
        /// The line as it stands in the text.
        line: String,
    },
    /// A jump or the end of the program led to an instruction that does not exist.
    NoSuchInstruction {
        /// The index that was wanted.
        index: usize,
    },
    /// More steps than a program without loops could take.
    EndlessLoop,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { line } => write!(f, "`{line}` is no instruction in this format"),
            Self::NoSuchInstruction { index } => {
                write!(f, "the program runs into instruction {index}, which is missing")
            }
            Self::EndlessLoop => f.write_str("the program loops"),
        }
    }
}

impl std::error::Error for Fault {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Constant(u32),
    X,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Load `width` bytes at a fixed place into A.
    LoadAt {
        width: u32,
        at: u32,
    },
    /// Load `width` bytes at X plus a distance into A.
    LoadBehindX {
        width: u32,
        at: u32,
    },
    /// Load an ancillary word into A.
    LoadNamed(String),
    LoadConstant(u32),
    LoadCell(u32),
    LoadLength,
    XConstant(u32),
    XCell(u32),
    XLength,
    /// X = 4 * (byte & 15).
    XHeaderLength(u32),
    StoreA(u32),
    StoreX(u32),
    Compute {
        with: char,
        by: Source,
    },
    Negate,
    /// `when` is one of `=`, `>`, `g` (at least) and `&`; targets are absolute.
    Branch {
        when: char,
        by: Source,
        yes: usize,
        no: usize,
    },
    Jump(usize),
    ReturnConstant(u32),
    ReturnA,
    AToX,
    XToA,
}

/// A program read from text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    steps: Vec<Step>,
}

impl Program {
    /// Reads what tcpdump (or skep) printed.
    ///
    /// # Errors
    /// [`Fault::Unreadable`] with the first bad line.
    pub fn read(text: &str, format: Format) -> Result<Self, Fault> {
        let steps = match format {
            Format::Listing => read::listing(text)?,
            Format::CArray => read::c_array(text)?,
            Format::Decimal => read::decimal(text)?,
        };
        Ok(Self { steps })
    }

    /// Number of instructions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// True for a program without instructions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Runs the program. Returns its value, the number of bytes to keep, and the number of executed instructions.
    ///
    /// # Errors
    /// [`Fault::NoSuchInstruction`] and [`Fault::EndlessLoop`] (`protochain` programs contain loops).
    pub fn run(&self, input: &Input) -> Result<(u32, usize), Fault> {
        let mut machine = Machine { a: 0, x: 0, cells: [0; 16], input };
        let mut index = 0;
        for count in 1..=self.steps.len().max(1000) * 20 {
            let step = self.steps.get(index).ok_or(Fault::NoSuchInstruction { index })?;
            index += 1;
            match machine.step(step) {
                Next::Follow => {}
                Next::Go(target) => index = target,
                Next::Stop(value) => return Ok((value, count)),
            }
        }
        Err(Fault::EndlessLoop)
    }
}

/// Reads and runs in one go; see [`Program`].
///
/// # Errors
/// Those of [`Program::read`] and [`Program::run`].
pub fn run(text: &str, format: Format, input: &Input) -> Result<u32, Fault> {
    Program::read(text, format)?.run(input).map(|(value, _)| value)
}

enum Next {
    Follow,
    Go(usize),
    Stop(u32),
}

struct Machine<'a> {
    a: u32,
    x: u32,
    cells: [u32; 16],
    input: &'a Input<'a>,
}

impl Machine<'_> {
    fn step(&mut self, step: &Step) -> Next {
        match step {
            Step::LoadAt { width, at } => return self.load(*width, u64::from(*at)),
            Step::LoadBehindX { width, at } => {
                let wide = u64::from(self.x) + u64::from(*at);
                let place = if self.input.rules.wrapping_index { wide & 0xffff_ffff } else { wide };
                return self.load(*width, place);
            }
            Step::LoadNamed(name) => match self.input.ancillary.get(name.as_str()) {
                Some(value) => self.a = *value,
                None => return Next::Stop(0),
            },
            Step::LoadConstant(value) => self.a = *value,
            Step::LoadCell(cell) => self.a = self.cells[*cell as usize % 16],
            Step::LoadLength => self.a = self.input.wire_len,
            Step::XConstant(value) => self.x = *value,
            Step::XCell(cell) => self.x = self.cells[*cell as usize % 16],
            Step::XLength => self.x = self.input.wire_len,
            Step::XHeaderLength(at) => match self.input.data.get(*at as usize) {
                Some(byte) => self.x = u32::from(byte & 15) * 4,
                None => return Next::Stop(0),
            },
            Step::StoreA(cell) => self.cells[*cell as usize % 16] = self.a,
            Step::StoreX(cell) => self.cells[*cell as usize % 16] = self.x,
            Step::Compute { with, by } => match self.compute(*with, self.value(*by)) {
                Some(value) => self.a = value,
                None => return Next::Stop(0),
            },
            Step::Negate => self.a = 0u32.wrapping_sub(self.a),
            Step::Branch { when, by, yes, no } => {
                let other = self.value(*by);
                let holds = match when {
                    '=' => self.a == other,
                    '>' => self.a > other,
                    'g' => self.a >= other,
                    _ => self.a & other != 0,
                };
                return Next::Go(if holds { *yes } else { *no });
            }
            Step::Jump(target) => return Next::Go(*target),
            Step::ReturnConstant(value) => return Next::Stop(*value),
            Step::ReturnA => return Next::Stop(self.a),
            Step::AToX => self.x = self.a,
            Step::XToA => self.a = self.x,
        }
        Next::Follow
    }

    fn value(&self, source: Source) -> u32 {
        match source {
            Source::Constant(value) => value,
            Source::X => self.x,
        }
    }

    /// Big-endian load; out of range ends the program with 0.
    fn load(&mut self, width: u32, at: u64) -> Next {
        let end = at + u64::from(width);
        if end > self.input.data.len() as u64 {
            return Next::Stop(0);
        }
        self.a = 0;
        for place in at..end {
            self.a = self.a << 8 | u32::from(self.input.data[place as usize]);
        }
        Next::Follow
    }

    /// `None` ends the program with 0: division by zero.
    fn compute(&self, with: char, by: u32) -> Option<u32> {
        let a = self.a;
        Some(match with {
            '+' => a.wrapping_add(by),
            '-' => a.wrapping_sub(by),
            '*' => a.wrapping_mul(by),
            '/' if by == 0 => return None,
            '/' => a / by,
            '%' if by == 0 => return None,
            '%' => a % by,
            '&' => a & by,
            '|' => a | by,
            '^' => a ^ by,
            _ if by >= 32 && !self.input.rules.masked_shifts => 0,
            '<' => a << (by & 31),
            _ => a >> (by & 31),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn value(listing: &str, data: &[u8]) -> u32 {
        run(listing, Format::Listing, &Input::recorded(data, data.len() as u32)).unwrap()
    }

    #[test]
    fn loads_follow_the_manual() {
        let data = [0x45, 1, 2, 3, 4, 5];
        assert_eq!(value("(000) ld [1]\n(001) ret a", &data), 0x0102_0304);
        assert_eq!(value("(000) ret a", &data), 0);
        assert_eq!(
            value("(000) ldh [4]\n(001) tax\n(002) txa\n(003) st M[3]\n(004) ldx M[3]\n(005) ret", &data),
            0x0405
        );
        assert_eq!(value("(000) ldh [5]\n(001) ret #7", &data), 0);
        assert_eq!(value("(000) ldxb 4*([0]&0xf)\n(001) txa\n(002) sub #15\n(003) ret a", &data), 5);
        assert_eq!(value("(000) ldx #0x3\n(001) ldb [x + 2]\n(002) ret a", &data), 5);
        assert_eq!(value("(000) ldx #0xffffffff\n(001) ldb [x + 2]\n(002) ret #1", &data), 0);
        assert_eq!(value("(000) ld #pktlen\n(001) ret a", &data), 6);
        assert_eq!(value("(000) ldh [type]\n(001) ret #1", &data), 0);
    }

    #[test]
    fn kernel_rules_differ_in_two_places() {
        let mut input = Input::recorded(&[9, 8], 2);
        let shift = "(000) ld #1\n(001) ldx #0x21\n(002) lsh x\n(003) ret a";
        let wrap = "(000) ldx #0xffffffff\n(001) ldb [x + 2]\n(002) ret a";
        assert_eq!(run(shift, Format::Listing, &input), Ok(0));
        assert_eq!(run(wrap, Format::Listing, &input), Ok(0));
        input.rules = Rules::KERNEL;
        assert_eq!(run(shift, Format::Listing, &input), Ok(2));
        assert_eq!(run(wrap, Format::Listing, &input), Ok(8));
    }

    #[test]
    fn formats_agree_and_ancillary_words_have_names() {
        let listing =
            "(000) ldh      [type]\n(001) jeq      #0x4             jt 2\tjf 3\n(002) ret      #0\n(003) ret      #9\n";
        let array = "{ 0x28, 0, 0, 0xfffff004 },\n{ 0x15, 0, 1, 0x00000004 },\n{ 0x6, 0, 0, 0x00000000 },\n{ 0x6, 0, 0, 0x00000009 },\n";
        let decimal = "4\n40 0 0 4294963204\n21 0 1 4\n6 0 0 0\n6 0 0 9\n";
        let program = Program::read(listing, Format::Listing).unwrap();
        assert_eq!(Program::read(array, Format::CArray).unwrap(), program);
        assert_eq!(Program::read(decimal, Format::Decimal).unwrap(), program);
        let mut input = Input::recorded(&[], 0);
        assert_eq!(program.run(&input), Ok((0, 1)));
        input.ancillary.insert("type", 4);
        assert_eq!(program.run(&input), Ok((0, 3)));
        input.ancillary.insert("type", 3);
        assert_eq!(program.run(&input), Ok((9, 3)));
    }

    #[test]
    fn faults_are_values() {
        let input = Input::recorded(&[], 0);
        assert_eq!(run("(000) ja 0", Format::Listing, &input), Err(Fault::EndlessLoop));
        assert_eq!(run("(000) ja 9", Format::Listing, &input), Err(Fault::NoSuchInstruction { index: 9 }));
        for bad in ["(000) frob #1", "ld #1", "(001) ld #1", "(000) ld", "(000) jeq #1", "(000) ld #1 jt 1 jf 2"] {
            assert!(matches!(Program::read(bad, Format::Listing), Err(Fault::Unreadable { .. })), "{bad}");
        }
        assert!(Program::read("2\n6 0 0 0\n", Format::Decimal).is_err());
        assert!(Program::read("{ 0x6, 0, 0 },", Format::CArray).is_err());
        assert!(Program::read("{ 0x99, 0, 0, 0x0 },", Format::CArray).is_err());
        assert_eq!(value("(000) ld #5\n(001) ldx #0\n(002) div x\n(003) ret #1", &[]), 0);
    }
}
