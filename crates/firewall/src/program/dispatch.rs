//! The programs at the hooks: they go on in those of the bank that is in force.
//!
//! There are two banks. A new list of rules is built in the one that is not in force; one store to the switch puts it in
//! force at all hooks of all interfaces at once, and another one takes it back.

use skep_ir::{Binary, Cond, MapDecl, Module, Type, Width};
use skep_isa::MapType;
use skep_object::Object;

use super::code::{self, Code};
use super::{Hook, MMAPABLE};

/// Number of banks.
pub const BANKS: u32 = 2;
/// The map of the switch: the bank in force, and the panic mode, each a word of 32 bits.
pub const SWITCH: &str = "fw_switch";
/// Bytes of the switch.
pub const SWITCH_BYTES: usize = 8;
/// Panic mode: every packet vanishes.
pub const PANIC_DROP: u32 = 1;
/// Panic mode: every packet goes on.
pub const PANIC_ACCEPT: u32 = 2;

impl Hook {
    /// The map of programs that the dispatcher of this hook goes on in.
    pub const fn banks(self) -> &'static str {
        match self {
            Self::Xdp => "fw_banks_xdp",
            Self::Ingress | Self::Egress => "fw_banks_tc",
        }
    }

    /// The place of this hook's program of a bank in that map.
    pub const fn slot(self, bank: u32) -> u32 {
        match self {
            Self::Xdp | Self::Ingress => bank,
            Self::Egress => BANKS + bank,
        }
    }

    /// The name of its dispatcher.
    pub const fn dispatcher(self) -> &'static str {
        match self {
            Self::Xdp => "skep_fw_at_xdp",
            Self::Ingress => "skep_fw_at_in",
            Self::Egress => "skep_fw_at_out",
        }
    }
}

/// The dispatchers of all hooks, compiled.
///
/// # Errors
/// What the compiler has to say, which is a defect of this crate.
pub fn dispatcher() -> Result<Object, String> {
    let mut module = Module::new("GPL");
    let mut switch = MapDecl::new(SWITCH, MapType::Array, 4, SWITCH_BYTES as u32, 1);
    switch.flags = MMAPABLE;
    let switch = module.add_map(switch);
    let banks = [Hook::Xdp, Hook::Ingress]
        .map(|hook| module.add_map(MapDecl::new(hook.banks(), MapType::ProgArray, 4, 4, 2 * BANKS)));
    for hook in Hook::ALL {
        let mut function = hook.function(hook.dispatcher());
        code::write(&mut function, |code: &mut Code<'_>, params| {
            let state = code.only(switch, hook.drop());
            let panic = code.load(Width::W32, state, 4);
            code.when_is(Cond::Eq, panic, PANIC_DROP.into(), |code| code.give(hook.drop()));
            code.when_is(Cond::Eq, panic, PANIC_ACCEPT.into(), |code| code.give(hook.pass()));
            let bank = code.load(Width::W32, state, 0);
            let slot = code.with(Binary::Add, bank, hook.slot(0).into());
            let map = code.b.map_addr(banks[usize::from(hook != Hook::Xdp)]);
            code.b.call(skep_ir::Callee::Helper(code::TAIL_CALL), &[params[0], map, slot], Type::I64);
            // Only reached without a program in the bank: nothing is let through unseen.
            code.give(hook.drop());
        });
        module.add_function(function);
    }
    super::compile(module)
}
