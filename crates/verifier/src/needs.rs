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
    /// Why some releases before it do or do not refuse the program for it.
    pub older: Older,
}

/// What releases that do not have a construct do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Older {
    /// They refuse the program.
    Refuse,
    /// They refuse it where a path comes to the instruction: what marks it is a field that has to be zero in others.
    RefuseOnPath,
    /// They refuse it, but for the later patch releases of this one.
    RefuseBut(Release),
}

impl Need {
    /// Whether a release has it.
    pub fn is_met(&self, release: Release) -> bool {
        self.since <= release || self.older == Older::RefuseBut(release)
    }
}

// TABLE
/// Instructions that old releases treat otherwise than by refusing the program.
const OLDER: &[(&str, Older)] = &[
    ("movsx", Older::RefuseOnPath),
    ("sdiv", Older::RefuseOnPath),
    // 6.1.72.
    ("gotol", Older::RefuseBut(Release::new(6, 1))),
];

// TABLE
/// Attach types that programs are loaded without on kernels that do not have them.
const OPTIONAL: &[&str] = &["xdp", "sk_reuseport_select"];

/// What a program needs, the youngest first; each construct once, where it comes first.
pub fn needs(object: &Object, program: &Program) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    let mut add = |at: Option<u32>, what: String, since: Release, older: Older| {
        if needs.iter().all(|need| need.what != what) {
            needs.push(Need { at, what, since, older });
        }
    };
    let prog_type = program.prog_type;
    add(None, format!("programs of type {prog_type}"), prog_type.since(), Older::Refuse);
    if let Some(attach) = program.attach_type.filter(|attach| !OPTIONAL.contains(&attach.name())) {
        add(None, format!("attach type {attach}"), attach.since(), Older::Refuse);
    }
    let mut at = 0;
    while let Some(insn) = program.insns.get(at) {
        let Ok(op) = insn.decode(program.insns.get(at + 1).copied()) else {
            at += 1;
            continue;
        };
        let slot = u32::try_from(at).ok();
        if let Some(feature) = feature(op).and_then(versions::by_name) {
            let older = OLDER.iter().find(|(name, _)| *name == feature.name).map_or(Older::Refuse, |(_, older)| *older);
            add(slot, format!("instructions like `{}` ({})", feature.example, feature.name), feature.since, older);
        }
        match op {
            Op::Call(Callee::Helper(id)) => {
                if let Some(helper) = u32::try_from(id).ok().and_then(helpers::by_id) {
                    add(slot, format!("helper {}", helper.name), helper.since, Older::Refuse);
                }
            }
            Op::LoadImm { value: Imm64::MapFd(map) | Imm64::MapFdValue { fd: map, .. }, .. } => {
                if let Some(map) = usize::try_from(map).ok().and_then(|map| object.maps.get(map)) {
                    add(slot, format!("maps of type {}", map.map_type), map.map_type.since(), Older::Refuse);
                }
            }
            _ => {}
        }
        if is_backwards(op) {
            let loops = versions::by_name("loops").map_or(Release::new(5, 3), |feature| feature.since);
            add(slot, "loops".to_owned(), loops, Older::Refuse);
        }
        at += op.slots() as usize;
    }
    needs.sort_by_key(|need| std::cmp::Reverse(need.since));
    needs
}

/// The first need for which a release refuses the whole program, in the order of the program.
pub fn first_unmet(needs: &[Need], release: Release) -> Option<&Need> {
    let unmet = needs.iter().filter(|need| !need.is_met(release) && need.older != Older::RefuseOnPath);
    unmet.min_by_key(|need| need.at)
}

/// The need of an instruction that a release does not meet and refuses where a path comes to it.
pub fn unmet_on_path(op: Op, at: u32, release: Release) -> Option<Need> {
    let feature = feature(op).and_then(versions::by_name).filter(|feature| feature.since > release)?;
    let on_path = OLDER.contains(&(feature.name, Older::RefuseOnPath));
    let what = format!("instructions like `{}` ({})", feature.example, feature.name);
    on_path.then_some(Need { at: Some(at), what, since: feature.since, older: Older::RefuseOnPath })
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
        let decode = |insns: &[Insn], at: usize| insns[at].decode(None).unwrap();
        let program = Program::new("test", ProgType::Xdp, insns.clone());
        let needs = needs(&Object::default(), &program);
        let found: Vec<_> = needs.iter().map(|need| (need.at, need.since.to_string())).collect();
        assert_eq!(found, [(Some(2), "6.6".to_owned()), (Some(1), "5.8".to_owned()), (None, "4.8".to_owned())]);
        assert_eq!(first_unmet(&needs, Release::new(5, 4)).map(|need| need.at), Some(Some(1)));
        assert_eq!(first_unmet(&needs, Release::new(6, 1)), None);
        let unmet = |release| unmet_on_path(decode(&insns, 2), 2, release).map(|need| need.at);
        assert_eq!((unmet(Release::new(6, 1)), unmet(Release::new(6, 6))), (Some(Some(2)), None));
        assert_eq!(first_unmet(&needs, Release::new(6, 6)), None);
    }
}
