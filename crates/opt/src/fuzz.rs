//! The random test as a library function: `cargo test` runs it for a second, a fuzzer without end.

use skep_ir::fuzz::{Bytes, module, run};
use skep_ir::{Entity, MapRef, Module, verify};

use crate::{Options, Report, optimise, optimise_with};

/// A random module before and behind the passes: the rules hold behind each of them, and the program gives the same
/// result and leaves the same maps and variables.
///
/// # Panics
/// If that is not so.
pub fn passes(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let options = Options {
        cpu: if bytes.one_in(2) { 4 } else { 3 },
        inline_size: usize::from(bytes.u8() % 80),
        inline_once: usize::from(bytes.u8()),
        unroll: u32::from(bytes.u8() % 12),
        merge_lookups: bytes.one_in(2),
        verify: true,
        ..Options::default()
    };
    let side_by_side = bytes.one_in(8);
    let before = module(&mut bytes);
    if side_by_side {
        on_all_processors(&before, &options);
    }
    let mut after = before.clone();
    let mut steps = Vec::new();
    optimise_with(&mut after, &options, &mut |step| {
        if step.changed {
            steps.push((step.pass.name, step.function.to_string()));
        }
    });
    let packet = &data[..data.len().min(64)];
    compare(&before, &after, packet, &steps);
    // Once more: nothing is broken by finding one's own output.
    let mut again = after.clone();
    optimise_with(&mut again, &options, &mut |_| {});
    compare(&before, &again, packet, &[]);
}

/// Many programs give the same whether they are looked at side by side or one after the other.
fn on_all_processors(module: &Module, options: &Options) {
    let options = Options { verify: false, ..options.clone() };
    let mut all = module.clone();
    for number in 0..8 {
        for (program, _) in module.programs() {
            let mut copy = module.functions[program.index()].clone();
            copy.name = format!("{}_{number}", copy.name);
            all.add_function(copy);
        }
    }
    let mut one_by_one = all.clone();
    let (together, apart) = (optimise(&mut all, &options), optimise_with(&mut one_by_one, &options, &mut |_| {}));
    assert_eq!(all.to_string(), one_by_one.to_string());
    let changed = |report: &Report| report.passes.iter().map(|pass| pass.changed).collect::<Vec<_>>();
    assert_eq!((together.after, changed(&together)), (apart.after, changed(&apart)));
}

fn compare(before: &Module, after: &Module, packet: &[u8], steps: &[(&str, String)]) {
    assert!(verify(after).is_ok(), "the rules are broken:\n{after}");
    let (expected, world) = run(before, packet);
    let (found, other) = run(after, packet);
    let same = |what: &str, equal: bool| {
        let steps = || steps.iter().map(|(pass, text)| format!("behind {pass}:\n{text}\n")).collect::<String>();
        assert!(equal, "{what} differs\nbefore:\n{before}\nafter:\n{after}\n{}", steps());
    };
    same(&format!("the result, {expected:?} and {found:?},"), expected == found);
    for map in (0..before.maps.len()).map(MapRef::new) {
        same(&format!("map {map}"), world.entries(map) == other.entries(map));
    }
    for global in (0..before.globals.len()).map(skep_ir::GlobalRef::new) {
        same(&format!("variable {global}"), world.global_bytes(global) == other.global_bytes(global));
    }
    same("the packet", world.packet_bytes() == other.packet_bytes());
}

#[cfg(test)]
mod tests {
    use super::passes;

    #[test]
    fn smoke() {
        skep_random::random_test(|u| {
            passes(u.bytes(u.len())?);
            Ok(())
        })
        .size_max(4_000)
        .budget_ms(2_000);
    }
}
