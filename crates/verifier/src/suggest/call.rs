//! Calls and fields of contexts: sizes of memory, helpers that do the same, fields as they can be read.

use skep_isa::ebpf::{Callee, JmpOp, Op, Reg as Register, Size, Src};
use skep_isa::helpers;
use skep_isa::programs;

use super::{Scene, sized};
use crate::reg::Kind;

// TABLE
/// Helpers that do the same for other types of programs, or nearly: what is called, and what may be called.
const ALIKE: &[(&str, &str)] = &[
    ("skb_load_bytes", "xdp_load_bytes"),
    ("xdp_load_bytes", "skb_load_bytes"),
    ("probe_read", "probe_read_kernel"),
    ("probe_read_str", "probe_read_kernel_str"),
    ("copy_from_user", "probe_read_user"),
    ("get_current_task_btf", "get_current_task"),
    ("get_current_task", "get_current_task_btf"),
    ("ktime_get_boot_ns", "ktime_get_ns"),
    ("ktime_get_coarse_ns", "ktime_get_ns"),
    ("jiffies64", "ktime_get_ns"),
    ("skb_output", "perf_event_output"),
    ("xdp_output", "perf_event_output"),
    ("perf_event_output", "skb_output"),
    ("get_socket_cookie", "get_prandom_u32"),
];

impl Scene<'_, '_> {
    /// A size that is passed to a helper is bounded by what the memory before it has.
    pub(super) fn bound_size(&mut self, reg: u8) {
        let (Op::Call(_), Some(before), Some(size)) = (self.op, reg.checked_sub(1), Register::new(reg)) else {
            return;
        };
        if before == 0 || reg > 5 || !self.value(reg).is_number() {
            return;
        }
        let memory = self.value(before);
        let off = i64::from(memory.off) + memory.num.u64().max.cast_signed();
        let room = match memory.kind {
            Kind::Value(map) => self.verifier.maps.get(map as usize).map(|map| i64::from(map.value_size) - off),
            Kind::Memory(total) => Some(i64::from(total) - off),
            Kind::Stack(_) => Some(-off),
            Kind::Packet | Kind::PacketMeta => Some(i64::from(memory.range) - off),
            _ => None,
        };
        let Some(room) = room.and_then(|room| i32::try_from(room).ok()).filter(|room| *room > 0) else { return };
        let depth = self.state.depth();
        let words = format!("compare {size} with {room} first, the size of the memory");
        self.leave_unless(self.at, depth, &[], (JmpOp::Le, size, Src::Imm(room)), &words);
        // Not 0 either.
        let words = format!("compare {size} with 1 and {room} first");
        for result in self.results(depth) {
            let ops = [
                super::jump(JmpOp::Eq, size, Src::Imm(0), 1),
                super::jump(JmpOp::Le, size, Src::Imm(room), 2),
                super::set(Register::R0, result),
                Op::Exit,
            ];
            self.offer(self.at, &ops, format!("{words}, and leave with {result} where it is not between them"));
        }
        self.skip_unless((JmpOp::Le, size, Src::Imm(room)), &format!("compare {size} with {room} first"));
    }

    /// Another helper, or none.
    pub(super) fn other_helper(&mut self, id: u32) {
        let name = helpers::by_id(id).map_or("", |helper| helper.name);
        for (_, other) in ALIKE.iter().filter(|(called, _)| *called == name) {
            let found = helpers::HELPERS.iter().find(|helper| helper.name == *other);
            if let Some(number) = found.and_then(|helper| i32::try_from(helper.id).ok()) {
                self.offer_instead(
                    self.at,
                    &[Op::Call(Callee::Helper(number))],
                    format!("call {other} in place of {name}"),
                );
            }
        }
        self.without_call();
    }

    /// The call is left out.
    pub(super) fn without_call(&mut self) {
        self.leave_out("without this call");
    }

    /// The field of the context that the access meets, as it can be accessed.
    pub(super) fn context(&mut self, off: i64, _size: u32, write: bool) {
        let prog_type = self.verifier.program.prog_type;
        let hook = self.verifier.hook;
        let fields = programs::facts(prog_type).context.map_or(&[][..], |context| context.fields);
        let holds = |field: &&skep_isa::contexts::Field| {
            let start = i64::from(field.offset);
            (start..start + i64::from(field.size)).contains(&off)
        };
        let field = fields.iter().find(holds);
        if let (Some(field), Ok(place)) = (field, i16::try_from(off)) {
            let start = i16::try_from(field.offset).unwrap_or(place);
            for (size, place) in
                [(sized(field.size), start), (Some(Size::W), place), (Some(Size::H), place), (Some(Size::B), place)]
            {
                let Some(size) = size else { continue };
                let op = match self.op {
                    Op::Load { signed, dst, base, .. } if hook.read(place.into(), size.bytes()).is_some() => {
                        Op::Load { size, signed, dst, base, off: place }
                    }
                    Op::Store { base, src, .. } if hook.writes(place.into(), size.bytes()) => {
                        Op::Store { size, base, off: place, src }
                    }
                    _ => continue,
                };
                let does = if write { "write" } else { "read" };
                let words = format!("{does} `{}` with {} bytes at {place}", field.name, size.bytes());
                self.offer_instead(self.at, &[op], words);
            }
        }
        self.leave_out("without this access");
    }
}
