//! Random modules, and bodies of property tests, shared by `cargo test` and the fuzz targets. Each body takes arbitrary
//! bytes.

mod generate;
mod memory;
mod statements;

pub use generate::module;
pub use skep_isa::fuzz::Bytes;

use crate::entity::FuncRef;
use crate::interp::{Trap, World, interpret};
use crate::module::Module;
use crate::text::parse;
use crate::verify::{Options, verify_with};

/// Any bytes as a text: reading never panics, and what can be read prints to a text that reads the same.
pub fn text(data: &[u8]) {
    round_trip(&String::from_utf8_lossy(data));
    // Damaged texts of modules come closer to the grammar than random bytes do.
    let (seed, damage) = data.split_at(data.len() / 2);
    let mut text = module(&mut Bytes::new(seed)).to_string().into_bytes();
    for &[high, low, new] in damage.as_chunks::<3>().0 {
        let at = usize::from(u16::from_le_bytes([high, low])) % text.len().max(1);
        if new.is_multiple_of(4) && at < text.len() {
            text.remove(at);
        } else if let Some(byte) = text.get_mut(at) {
            *byte = new;
        }
    }
    round_trip(&String::from_utf8_lossy(&text));
}

fn round_trip(text: &str) {
    let Ok(module) = parse(text) else { return };
    let printed = module.to_string();
    let again = parse(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    assert_eq!(again.to_string(), printed);
    // Whatever the module is, judging it does not fail; if it follows the rules, it runs to an end.
    if verify_with(&module, Options { report_unreachable: true }).is_ok() {
        for function in 0..u32::try_from(module.functions.len()).unwrap_or(0).min(4) {
            let mut world = World::new(&module);
            let context = world.add_context(&[0; 256]);
            let _ = interpret(&module, FuncRef(function), &[context], &mut world);
        }
    }
}

/// Generated modules follow the rules, survive their text, and run without a trap to the same end.
pub fn modules(data: &[u8]) {
    let module = module(&mut Bytes::new(data));
    if let Err(violations) = verify_with(&module, Options { report_unreachable: true }) {
        let list: Vec<String> = violations.iter().map(ToString::to_string).collect();
        panic!("{}\n{module}", list.join("\n"));
    }
    let text = module.to_string();
    let read = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(read.to_string(), text);
    let packet = &data[..data.len().min(64)];
    let (first, world) = run(&module, packet);
    let result = first.unwrap_or_else(|trap| panic!("{trap}\n{text}"));
    let (second, other) = run(&read, packet);
    assert_eq!(second, Ok(result), "{text}");
    for map in (0..module.maps.len()).map(|at| crate::MapRef(u32::try_from(at).unwrap_or(0))) {
        assert_eq!(world.entries(map), other.entries(map));
    }
}

/// Runs the program of a generated module, which is its last function, with a packet: the result, and the world
/// afterwards with maps and variables.
pub fn run(module: &Module, packet: &[u8]) -> (Result<u64, Trap>, World) {
    let mut world = World::new(module);
    world.set_packet(packet);
    let context = world.add_context(&[0; 256]);
    let program = FuncRef(u32::try_from(module.functions.len()).unwrap_or(1).saturating_sub(1));
    let result = interpret(module, program, &[context], &mut world);
    (result.map(Option::unwrap_or_default), world)
}
