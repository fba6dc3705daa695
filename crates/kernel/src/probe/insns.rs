//! Instructions: loads the least program that has each.

use skep_isa::ebpf::{Endian, assemble};
use skep_isa::versions::{FEATURES, InsnFeature};
use skep_isa::{ProgType, Release};

use super::programs::attempt;
use super::reason::{Needs, of_failure};
use super::{Finding, Group, Prober, Reason, Status};
use crate::features::{Capability, running_release};

// TABLE
/// Feature, program in the kernel's notation. Features without a program need more than instructions.
const PROGRAMS: &[(&str, &str)] = &[
    ("v1", "r0 = 0\nexit"),
    ("packet-loads", "r6 = r1\nr0 = *(u16 *)skb[12]\nexit"),
    ("v2", "r0 = 0\nif r0 < 1 goto +0\nexit"),
    ("calls", "call pc+1\nexit\nr0 = 0\nexit"),
    ("v3", "r0 = 0\nif w0 == 0 goto +0\nexit"),
    ("loops", "r0 = 0\nr0 += 1\nif r0 < 3 goto -2\nexit"),
    ("atomics", "r0 = 1\n*(u64 *)(r10 -8) = r0\nr0 = atomic64_fetch_add((u64 *)(r10 -8), r0)\nexit"),
    ("v4", "r0 = -7\nr0 s/= 2\nexit"),
    ("sdiv", "r0 = -7\nr0 s/= 2\nexit"),
    ("movsx", "r1 = 255\nr0 = (s8)r1\nexit"),
    ("ldsx", "r1 = 255\n*(u64 *)(r10 -8) = r1\nr0 = *(s8 *)(r10 -8)\nexit"),
    ("bswap", "r0 = 1\nr0 = bswap32 r0\nexit"),
    // Before, the same code with a distance of 0 was a jump as well.
    ("gotol", "r0 = 0\nif r0 == 1 goto +1\ngotol +1\nr0 = 1\nexit"),
    ("may-goto", "r0 = 0\nmay_goto +1\ngoto -2\nexit"),
    ("load-acquire", "r1 = 0\n*(u64 *)(r10 -8) = r1\nr0 = load_acquire((u64 *)(r10 -8))\nexit"),
];

/// Every feature of the instruction set.
pub(super) fn probe(prober: &Prober) -> Vec<Finding> {
    let finding = |feature: &InsnFeature| Finding {
        group: Group::Instructions,
        name: feature.name.to_owned(),
        since: Some(feature.since),
        status: try_feature(prober, feature),
    };
    FEATURES.iter().map(finding).collect()
}

/// One feature by its name in the table.
pub(super) fn by_name(prober: &Prober, name: &str) -> Option<Status> {
    FEATURES.iter().find(|feature| feature.name == name).map(|feature| try_feature(prober, feature))
}

fn try_feature(prober: &Prober, feature: &InsnFeature) -> Status {
    let Some((_, text)) = PROGRAMS.iter().find(|(name, _)| *name == feature.name) else {
        return by_release(feature.since);
    };
    let insns = match assemble(text) {
        Ok(insns) => insns,
        Err(error) => return Status::Missing(Reason::Other(format!("skep cannot write the program: {error}"))),
    };
    let bytes: Vec<[u8; 8]> = insns.iter().map(|insn| insn.to_bytes(Endian::NATIVE)).collect();
    match attempt(ProgType::SocketFilter, None, &bytes).errno {
        None => Status::Present,
        Some(errno) => {
            let needs = Needs { since: feature.since, config: &[], capabilities: &[Capability::Bpf] };
            Status::Missing(of_failure(prober, errno, needs))
        }
    }
}

/// The newest version of the instruction set that the running kernel takes, 1 to 4. Where this process may not try, the
/// release decides.
pub fn instruction_set() -> u8 {
    let prober = Prober::new();
    let takes = |feature: &&InsnFeature| match try_feature(&prober, feature) {
        Status::Present | Status::Value(_) => true,
        Status::Missing(Reason::Capabilities { .. }) => {
            running_release().is_some_and(|running| running >= feature.since)
        }
        Status::Missing(_) => false,
    };
    let is_version = |feature: &&InsnFeature| {
        feature.name.strip_prefix('v').is_some_and(|number| number.parse::<u8>() == Ok(feature.version))
    };
    FEATURES.iter().filter(is_version).rev().find(takes).map_or(1, |feature| feature.version)
}

/// What cannot be tried with instructions alone goes by the release.
fn by_release(since: Release) -> Status {
    match running_release() {
        Some(running) if running >= since => Status::Value("by its release".to_owned()),
        Some(running) => Status::Missing(Reason::TooOld { since, running }),
        None => Status::Missing(Reason::Other("the release of the kernel is unknown".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_one_that_programs_have() {
        let version = instruction_set();
        assert!((1..=4).contains(&version));
        let newest = running_release().is_some_and(|running| running >= Release::new(6, 6));
        // Older kernels may have been given newer instructions, not the other way round.
        assert!(version == 4 || !newest, "{version}");
    }

    #[test]
    fn programs_belong_to_rows_and_can_be_written() {
        for (name, text) in PROGRAMS {
            assert!(skep_isa::versions::by_name(name).is_some(), "{name}");
            assert!(assemble(text).is_ok(), "{name}: {:?}", assemble(text));
        }
    }
}
