//! Do two classic programs keep the same packets? A proof, or a packet on which they differ.
//!
//! Both programs are run on all packets at once: their verdicts become Boolean functions of the bits of the packet, in
//! a form in which equal functions are the same object (`bdd.rs`). If the two objects are the same, that is a proof. If
//! not, any packet on which the functions differ is a witness, and it is only reported after the caller's interpreter
//! has confirmed it. Where computations are too large for this, random packets that aim at the constants of both
//! programs are tried.
//!
//! Programs follow the Linux kernel: a load outside the packet rejects it, so does a division by an X of 0, shift
//! counts are taken modulo 32, scratch words begin as 0. Considered are packets of up to 1 MiB - 1 byte that were
//! captured whole; two programs may still differ on packets that were cut short, where the length that the program
//! sees is not the number of bytes that it can load.
//!
//! ```text
//! programs --exec--> functions (words over bdd, variables from inputs) --xor--> witness --run--> Outcome
//!                                                                  \--fuzzing--/
//! ```

mod bdd;
mod exec;
#[doc(hidden)]
pub mod fuzz;
mod fuzzing;
mod inputs;
pub(crate) mod live;
mod samples;
#[cfg(test)]
mod tests;
mod witness;
mod words;

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use skep_isa::classic::{Ancillary, CheckError, Insn, check_structure};
use skep_proto::LinkType;

use bdd::{Bdd, Bounded, Exhausted, Ref};
use words::Words;

/// How much work [`compare`] may do, and what witnesses should look like.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What the packets begin with: shapes the witness and the random packets, and has no influence on a proof.
    pub link: LinkType,
    /// Most nodes of decision diagrams; each takes about 30 bytes of memory.
    pub max_nodes: usize,
    /// Longest time for the symbolic search, and again for the random packets.
    pub time_limit: Duration,
    /// Most random packets that are tried when the symbolic search gives no answer.
    pub max_packets: u64,
}

impl Default for Options {
    /// Ethernet, about 120 MiB of memory, 10 seconds, 100,000 packets.
    fn default() -> Self {
        Self { link: LinkType::EN10MB, max_nodes: 4_000_000, time_limit: Duration::from_secs(10), max_packets: 100_000 }
    }
}

/// How an answer was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By running both programs on all packets at once.
    Symbolic,
    /// By running both programs on many packets, one after the other.
    Fuzzing,
}

/// Prints "symbolic search" or "fuzzing".
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Symbolic => "symbolic search",
            Self::Fuzzing => "fuzzing",
        })
    }
}

/// The value of an ancillary word that belongs to a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// The word.
    pub word: &'static Ancillary,
    /// Its value; `None` if the packet has no device that it could be read from, which rejects the packet.
    pub value: Option<u32>,
}

/// Prints `mark = 0x1f`.
impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => write!(f, "{} = {value:#x}", self.word.name),
            None => write!(f, "{}: no device", self.word.name),
        }
    }
}

/// The answer of [`compare`]. A packet is kept if the program's result is not 0; how many bytes of it does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Both programs keep the same packets, whatever the ancillary words hold. This is a proof, by symbolic search.
    Equivalent,
    /// One program keeps a packet that the other rejects.
    Different {
        /// The packet.
        witness: Vec<u8>,
        /// Ancillary words that the programs read and the values for which they differ on the packet.
        facts: Vec<Fact>,
        /// Result of the first program: bytes to keep, 0 to reject.
        a_keeps: u32,
        /// Result of the second program.
        b_keeps: u32,
        /// How the packet was found.
        method: Method,
        /// True if the packet ends before something that one of the programs loads, and no witness without that
        /// peculiarity was found. With [`Method::Symbolic`] and no computations left open there is none: the
        /// programs agree on all packets that are long enough.
        cut_short: bool,
    },
    /// There is no proof, and no packet was found on which they differ.
    Unknown {
        /// Why the symbolic search has no answer.
        reason: Reason,
        /// Number of packets on which both programs were run and agreed.
        fuzzed: u64,
    },
}

/// Why the symbolic search has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The first program is not valid.
    MalformedA(CheckError),
    /// The second program is not valid.
    MalformedB(CheckError),
    /// The programs are too large or too intricate for the limits in [`Options`].
    Budget,
    /// The programs differ if certain computations, which are too large to follow, may have any result; no packet
    /// was found that gives them such results.
    Unconfirmed,
    /// The symbolic search found a packet, but the caller's interpreter gives the same verdict for it: it does not
    /// follow the kernel.
    Interpreter,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MalformedA(error) => write!(f, "the first program is not valid: {error}"),
            Self::MalformedB(error) => write!(f, "the second program is not valid: {error}"),
            Self::Budget => f.write_str("the programs are too large for the limits of time and memory; raise them"),
            Self::Unconfirmed => {
                f.write_str("the programs compute with packet data in ways that are too large to follow")
            }
            Self::Interpreter => f.write_str("the interpreter that checks witnesses does not follow the Linux kernel"),
        }
    }
}

/// Compares two classic programs: do they keep the same packets?
///
/// `run` gives the result of a program on a packet whose length on the wire is that of the slice; it is called with
/// the two programs, or with versions of them in which loads of ancillary words are replaced by constants. A witness
/// is reported only after `run` has given different verdicts for it.
///
/// ```
/// use skep_isa::classic::{Insn, JmpOp, Size};
/// use skep_lang_filter::diff::{Options, Outcome, compare};
///
/// // An interpreter that is good enough for these two programs.
/// let run = |program: &[Insn], packet: &[u8]| match packet {
///     [first, ..] => u32::from((u32::from(*first) >= program[1].k) == (program[1].jt == 0)),
///     [] => 0,
/// };
/// let least = |k| [Insn::ld_abs(Size::Byte, 0), Insn::jump_k(JmpOp::Ge, k, 0, 1), Insn::ret_k(1), Insn::ret_k(0)];
/// let below = |k| [Insn::ld_abs(Size::Byte, 0), Insn::jump_k(JmpOp::Ge, k, 1, 0), Insn::ret_k(1), Insn::ret_k(0)];
/// assert_eq!(compare(&least(0), &below(256), &Options::default(), &run), Outcome::Equivalent);
/// let Outcome::Different { witness, .. } = compare(&least(7), &least(9), &Options::default(), &run) else { panic!() };
/// assert!(witness[0] == 7 || witness[0] == 8);
/// ```
pub fn compare(a: &[Insn], b: &[Insn], options: &Options, run: &dyn Fn(&[Insn], &[u8]) -> u32) -> Outcome {
    if let Err(error) = check_structure(a) {
        return Outcome::Unknown { reason: Reason::MalformedA(error), fuzzed: 0 };
    }
    if let Err(error) = check_structure(b) {
        return Outcome::Unknown { reason: Reason::MalformedB(error), fuzzed: 0 };
    }
    let pair = Pair { a, b, link: options.link, run };
    let reason = match differences(a, b, options) {
        Err(Exhausted) => Reason::Budget,
        Ok((_, Differences { any: Ref::FALSE, .. })) => return Outcome::Equivalent,
        Ok((words, differences)) => {
            let found = witness::find(&words, differences.long_enough, &pair).map(|found| (found, false));
            match found.or_else(|| witness::find(&words, differences.any, &pair).map(|found| (found, true))) {
                Some((found, cut_short)) => return found.outcome(Method::Symbolic, cut_short),
                None if words.inputs.has_open() => Reason::Unconfirmed,
                None => Reason::Interpreter,
            }
        }
    };
    let (fuzzed, found) = fuzzing::search(&pair, options.max_packets, options.time_limit);
    match found {
        Some(found) => {
            // A witness that does not hinge on its end differs just as well with more bytes.
            let longer = [&found.packet[..], &[0; PADDING]].concat();
            match pair.try_packet(&longer, &found.facts) {
                Some(longer) => longer.outcome(Method::Fuzzing, false),
                None => found.outcome(Method::Fuzzing, true),
            }
        }
        None => Outcome::Unknown { reason, fuzzed },
    }
}

/// Bytes that show whether a witness depends on its length; more than the headers of any ordinary packet.
const PADDING: usize = 256;

/// The packets that exactly one of two programs keeps.
struct Differences {
    any: Ref,
    /// Those that hold everything that either program loads.
    long_enough: Ref,
}

fn differences(a: &[Insn], b: &[Insn], options: &Options) -> Bounded<(Words, Differences)> {
    let deadline = Instant::now().checked_add(options.time_limit);
    let work = || {
        let mut words = Words::new(Bdd::new(options.max_nodes, deadline));
        let first = exec::verdict(&mut words, a, &[])?;
        let second = exec::verdict(&mut words, b, &[first.keeps, first.too_short])?;
        let any = words.bdd.xor(first.keeps, second.keeps)?;
        let too_short = words.bdd.or(first.too_short, second.too_short)?;
        let long_enough = words.bdd.and(any, too_short.not())?;
        Ok((words, Differences { any, long_enough }))
    };
    // The recursion may go deeper than the stack of the calling thread.
    thread::scope(|scope| {
        let helper = thread::Builder::new().stack_size(bdd::STACK).spawn_scoped(scope, work);
        helper.map_err(|_| Exhausted)?.join().unwrap_or(Err(Exhausted))
    })
}

/// Two programs and the means to run them.
struct Pair<'a> {
    a: &'a [Insn],
    b: &'a [Insn],
    link: LinkType,
    run: &'a dyn Fn(&[Insn], &[u8]) -> u32,
}

/// A packet that was confirmed to make a difference.
struct Found {
    packet: Vec<u8>,
    facts: Vec<Fact>,
    a_keeps: u32,
    b_keeps: u32,
}

impl Found {
    fn outcome(self, method: Method, cut_short: bool) -> Outcome {
        let Self { packet, facts, a_keeps, b_keeps } = self;
        Outcome::Different { witness: packet, facts, a_keeps, b_keeps, method, cut_short }
    }
}

impl Pair<'_> {
    /// Runs both programs on a packet, with the given values in the ancillary words; `None` if they agree.
    fn try_packet(&self, packet: &[u8], facts: &[Fact]) -> Option<Found> {
        let run = |program: &[Insn]| match facts {
            [] => (self.run)(program, packet),
            _ => (self.run)(&with_facts(program, facts), packet),
        };
        let (a_keeps, b_keeps) = (run(self.a), run(self.b));
        let differ = (a_keeps == 0) != (b_keeps == 0);
        differ.then(|| Found { packet: packet.to_vec(), facts: facts.to_vec(), a_keeps, b_keeps })
    }
}

/// The program with constants in place of the ancillary words whose values are given.
fn with_facts(program: &[Insn], facts: &[Fact]) -> Vec<Insn> {
    let replace = |insn: &Insn| {
        let fact =
            facts.iter().find(|fact| *insn == Insn { k: fact.word.k(), ..*insn } && witness::reads_fact(insn))?;
        Some(fact.value.map_or(Insn::ret_k(0), Insn::ld_imm))
    };
    program.iter().map(|insn| replace(insn).unwrap_or(*insn)).collect()
}
