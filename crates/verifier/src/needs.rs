//! Which release of the kernel each construct of a program needs, by the tables of `skep_isa`.

use skep_isa::ebpf::{AluOp, AtomicOp, Callee, Imm64, JmpOp, Op, Order, Width};
use skep_isa::{Release, helpers, versions};
use skep_object::{Object, Program};

/// Something that not every kernel has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The slot of the instruction; `None` if the whole program needs it.
    pub at: Option<u32>,
    /// What it is: "helper ringbuf_output".
    pub what: String,
    /// The first release that has it.
    pub since: Release,
}

// TABLE
/// Attach types that programs are loaded without on kernels that do not have them.
const OPTIONAL: &[&str] = &["xdp", "sk_reuseport_select"];

/// What a program needs, the youngest first; each construct once, where it comes first.
pub fn needs(object: &Object, program: &Program) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    let mut add = |at: Option<u32>, what: String, since: Release| {
        if needs.iter().all(|need| need.what != what) {
            needs.push(Need { at, what, since });
        }
    };
    let prog_type = program.prog_type;
    add(None, format!("programs of type {prog_type}"), prog_type.since());
    if let Some(attach) = program.attach_type.filter(|attach| !OPTIONAL.contains(&attach.name())) {
        add(None, format!("attach type {attach}"), attach.since());
    }
    let mut at = 0;
    while let Some(insn) = program.insns.get(at) {
        let Ok(op) = insn.decode(program.insns.get(at + 1).copied()) else {
            at += 1;
            continue;
        };
        let slot = u32::try_from(at).ok();
        if let Some(feature) = feature(op).and_then(versions::by_name) {
            add(slot, format!("instructions like `{}` ({})", feature.example, feature.name), feature.since);
        }
        match op {
            Op::Call(Callee::Helper(id)) => {
                if let Some(helper) = u32::try_from(id).ok().and_then(helpers::by_id) {
                    add(slot, format!("helper {}", helper.name), helper.since);
                }
            }
            Op::LoadImm { value: Imm64::MapFd(map) | Imm64::MapFdValue { fd: map, .. }, .. } => {
                if let Some(map) = usize::try_from(map).ok().and_then(|map| object.maps.get(map)) {
                    add(slot, format!("maps of type {}", map.map_type), map.map_type.since());
                }
            }
            _ => {}
        }
        if is_backwards(op) {
            let loops = versions::by_name("loops").map_or(Release::new(5, 3), |feature| feature.since);
            add(slot, "loops".to_owned(), loops);
        }
        at += op.slots() as usize;
    }
    needs.sort_by_key(|need| std::cmp::Reverse(need.since));
    needs
}

/// The first need that a release does not meet, in the order of the program.
pub fn first_unmet(needs: &[Need], release: Release) -> Option<&Need> {
    needs.iter().filter(|need| need.since > release).min_by_key(|need| need.at)
}

fn is_backwards(op: Op) -> bool {
    match op {
        Op::Goto { off } | Op::JumpIf { off, .. } => off < 0,
        Op::GotoLong { off } => off < 0,
        _ => false,
    }
}

/// The name of what an instruction belongs to, in the table of versions.
fn feature(op: Op) -> Option<&'static str> {
    Some(match op {
        Op::Alu { op: AluOp::SDiv | AluOp::SMod, .. } => "sdiv",
        Op::MovSx { .. } => "movsx",
        Op::Load { signed: true, .. } => "ldsx",
        Op::Swap { order: Order::Swap, .. } => "bswap",
        Op::GotoLong { .. } => "gotol",
        Op::AddrSpaceCast { .. } => "addr-space-cast",
        Op::MayGoto { .. } => "may-goto",
        Op::LoadAcquire { .. } | Op::StoreRelease { .. } => "load-acquire",
        Op::Atomic { fetch, op, .. } if fetch || op != AtomicOp::Add => "atomics",
        Op::JumpIf { width: Width::W32, .. } => "v3",
        Op::JumpIf { op: JmpOp::Lt | JmpOp::Le | JmpOp::SLt | JmpOp::SLe, .. } => "v2",
        Op::Call(Callee::Local(_)) => "calls",
        Op::Call(Callee::Kfunc { .. }) => "kfunc-calls",
        Op::LoadImm { value: Imm64::Func(_), .. } => "callbacks",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_isa::ProgType;
    use skep_isa::ebpf::{Insn, Reg};

    #[test]
    fn the_youngest_comes_first() {
        let mut insns: Vec<Insn> = Vec::new();
        Op::mov_imm(Reg::R0, 7).emit(&mut insns);
        Op::Call(Callee::Helper(130)).emit(&mut insns);
        Op::MovSx { width: Width::W64, from: skep_isa::ebpf::Size::B, dst: Reg::R0, src: Reg::R0 }.emit(&mut insns);
        Op::Exit.emit(&mut insns);
        let program = Program::new("test", ProgType::Xdp, insns);
        let needs = needs(&Object::default(), &program);
        let found: Vec<_> = needs.iter().map(|need| (need.at, need.since.to_string())).collect();
        assert_eq!(found, [(Some(2), "6.6".to_owned()), (Some(1), "5.8".to_owned()), (None, "4.8".to_owned())]);
        assert_eq!(first_unmet(&needs, Release::new(5, 4)).map(|need| need.at), Some(Some(1)));
        assert_eq!(first_unmet(&needs, Release::new(6, 1)).map(|need| need.at), Some(Some(2)));
        assert_eq!(first_unmet(&needs, Release::new(6, 6)), None);
    }
}
