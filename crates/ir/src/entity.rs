//! Indices of what a module and a function consist of. Each is a type of its own, so that they cannot be mixed up.

use std::fmt;

/// An index into a table of a module or a function.
pub trait Entity: Copy {
    /// The entity with this index.
    ///
    /// # Panics
    /// If `index` does not fit into 32 bits.
    fn new(index: usize) -> Self;
    /// Its index.
    fn index(self) -> usize;
}

macro_rules! entities {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub struct $name(pub u32);

            impl Entity for $name {
                fn new(index: usize) -> Self {
                    Self(u32::try_from(index).unwrap_or_else(|_| panic!("more than 2^32 entities")))
                }

                fn index(self) -> usize {
                    self.0 as usize
                }
            }

            impl $name {
                /// What stands in front of the number in the text form.
                pub const PREFIX: &'static str = $prefix;
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, concat!($prefix, "{}"), self.0)
                }
            }
        )+
    };
}

entities! {
    /// A value of a function: defined once, by an instruction or as a parameter of a block.
    Value = "v";
    /// An instruction of a function.
    Inst = "i";
    /// A basic block of a function.
    Block = "b";
    /// An object on the stack of a function.
    Slot = "s";
    /// A function of a module.
    FuncRef = "f";
    /// A map of a module.
    MapRef = "m";
    /// A variable of a module.
    GlobalRef = "g";
    /// A constant of a module that depends on the kernel's types.
    CoreRef = "c";
    /// A kernel function that a module calls by name.
    KfuncRef = "k";
}
