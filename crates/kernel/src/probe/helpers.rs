//! Helpers per program type: a call of each in each, which the verifier refuses by name if the type may not.

use skep_isa::ebpf::{Endian, Insn};
use skep_isa::helpers::{HELPERS, Helper};
use skep_isa::programs::facts;
use skep_isa::{AttachType, ProgType};

use super::programs::{Attempt, attempt, least_program, needs_target, usual_attach_type};
use super::reason::{Needs, of_failure};
use super::{Finding, Group, Prober, Reason, Status};
use crate::features::Capability;

/// Every helper in every program type that can be tried. Types that need a target in the kernel, and those that cannot
/// be loaded, are left out: a guess would not be worth more than the table.
pub(super) fn probe(prober: &Prober) -> Vec<Finding> {
    let mut findings = Vec::new();
    for prog_type in ProgType::ALL.iter().copied().filter(|prog_type| !needs_target(*prog_type)) {
        let places = places(prog_type);
        if places.is_empty() {
            continue;
        }
        for helper in HELPERS {
            findings.push(Finding {
                group: Group::Helpers,
                name: format!("{}/{}", prog_type.name(), helper.name),
                since: Some(helper.since.max(prog_type.since())),
                status: try_helper(prober, prog_type, helper, &places),
            });
        }
    }
    findings
}

/// The attach types for which programs of a type load here; `None` in it stands for none at all.
fn places(prog_type: ProgType) -> Vec<Option<AttachType>> {
    let mut places = vec![usual_attach_type(prog_type)];
    places.extend(facts(prog_type).attach_types.iter().map(|attach| Some(*attach)));
    places.dedup();
    places.retain(|place| attempt(prog_type, *place, &least_program(*place)).errno.is_none());
    places
}

fn try_helper(prober: &Prober, prog_type: ProgType, helper: &Helper, places: &[Option<AttachType>]) -> Status {
    if places.iter().any(|place| may_call(&attempt(prog_type, *place, &call(helper.id, *place)))) {
        return Status::Present;
    }
    if !helper.programs.contains(prog_type) {
        return Status::Missing(Reason::NotForProgram);
    }
    let needs = Needs { since: helper.since, config: &[], capabilities: &[Capability::Bpf, Capability::Perfmon] };
    // The verifier's error number is about the program, not about this process.
    Status::Missing(match of_failure(prober, libc::EINVAL, needs) {
        Reason::Other(_) => {
            Reason::Other("the kernel was built without what it needs, or policy forbids it".to_owned())
        }
        reason => reason,
    })
}

/// A call without arguments, then the least program.
fn call(helper: u32, place: Option<AttachType>) -> [[u8; 8]; 3] {
    let call = Insn { code: 0x85, imm: helper.cast_signed(), ..Default::default() };
    let [value, exit] = least_program(place);
    [call.to_bytes(Endian::NATIVE), value, exit]
}

/// Whether the verifier got as far as looking at the arguments. It names a helper that a type may not call, in words
/// that changed with Linux 6.10.
fn may_call(attempt: &Attempt) -> bool {
    let refused = ["unknown func", "invalid func", "cannot use helper"].iter().any(|words| attempt.log.contains(words));
    attempt.errno.is_none() || !refused && !attempt.log.is_empty()
}
