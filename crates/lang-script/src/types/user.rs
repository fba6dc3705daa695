//! What compilers say about programs: where arguments of functions and of USDT probes are when a probe fires.

use std::sync::Arc;

use super::{Parameter, Type};

/// A function of a program or library, as its debug information describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFunction {
    /// Its parameters in order, and where each is at the start of the function.
    pub params: Vec<(Parameter, Home)>,
    /// Type of its result.
    pub result: Type,
    /// Where the result is when the function returns; for a register, that for results.
    pub result_home: Home,
}

/// Where the calling convention puts a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// In the register of the integer argument with this number.
    Register(u32),
    /// In memory; the register of the integer argument with this number holds the address.
    Address(u32),
    /// On the stack, so many bytes behind the first argument there.
    Stack(u32),
    /// Where programs cannot read it, for the reason given.
    Nowhere(&'static str),
}

/// The places of a USDT probe where its arguments are found in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsdtSite {
    /// Offsets of the places in the file.
    pub places: Vec<u64>,
    /// The arguments; of those that cannot be read, the reason.
    pub arguments: Arc<[Result<UsdtArgument, String>]>,
}

/// An argument of a USDT probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsdtArgument {
    /// Bytes: 1, 2, 4 or 8.
    pub bytes: u8,
    /// Whether it has a sign.
    pub signed: bool,
    /// Where it is.
    pub location: UsdtLocation,
}

/// Where an argument of a USDT probe is. Registers are given by their offsets in the context of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsdtLocation {
    /// The value itself.
    Constant(i64),
    /// In a register.
    Register {
        /// Which.
        context: u32,
        /// Its lowest byte in the register: 1 for `ah` and its kin, else 0.
        first: u8,
    },
    /// In memory of the process at the sum of these.
    Memory {
        /// A register.
        base: u32,
        /// Another one, and what it is multiplied with.
        index: Option<(u32, u8)>,
        /// Bytes.
        displacement: i64,
    },
}
