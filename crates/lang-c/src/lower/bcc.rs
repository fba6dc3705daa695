//! Memory of the kernel in the dialect of BCC: `task->real_parent->tgid` reads each pointer by a helper, at the offsets
//! that the running kernel has.

use skep_ir::{Callee, FuncKind, InstData, Type, Value};
use skep_isa::AttachType;

use super::Lower;
use super::place::{Addr, Realm};
use crate::parse::Parsed;
use crate::parse::ast::{Expr, ExprKind};
use crate::types::{IntTy, QTy, Types};

/// `bpf_probe_read_kernel`
const PROBE_READ_KERNEL: u32 = 113;

// TABLE
/// Records of the kernel's that programs access themselves: contexts, and what helpers give.
const OWN: &[&str] = &[
    "pt_regs",
    "__sk_buff",
    "xdp_md",
    "bpf_perf_event_data",
    "bpf_raw_tracepoint_args",
    "bpf_sock_ops",
    "sk_msg_md",
    "bpf_cgroup_dev_ctx",
    "bpf_sock_addr",
    "bpf_sockopt",
    "bpf_sysctl",
    "bpf_sk_lookup",
    "sk_reuseport_md",
    "bpf_sock",
    "bpf_tcp_sock",
    "bpf_flow_keys",
];

impl Lower<'_> {
    /// Whose memory a pointer leads to.
    pub fn realm(&self, ptr: &Expr, to: QTy) -> Realm {
        let packet = |lower: &Self| lower.types.as_record(to).is_some_and(|id| lower.types.record(id).packet);
        match self.bcc {
            true if packet(self) => Realm::Packet,
            true if self.leads_into_kernel(ptr, to) && !self.iterates() => Realm::Kernel,
            _ if self.types.in_arena(to) => Realm::Arena,
            _ => Realm::Own,
        }
    }

    /// Whether the program is an iterator, which follows pointers itself: helpers take only those that it has read so.
    fn iterates(&self) -> bool {
        let kind = self.current.as_ref().map(|current| &current.function.kind);
        matches!(kind, Some(FuncKind::Program(info)) if info.attach_type == Some(AttachType::TraceIter))
    }

    /// Whether a pointer is to memory of the kernel: to a record of its types, or one that was read from there.
    fn leads_into_kernel(&self, ptr: &Expr, to: QTy) -> bool {
        if let Some(id) = self.types.as_record(to) {
            let record = self.types.record(id);
            return record.kernel.is_some() && !OWN.contains(&&*record.tag);
        }
        match &ptr.kind {
            ExprKind::PtrAdd(inner, ..) => self.leads_into_kernel(inner, to),
            ExprKind::Cast(inner) if self.types.is_ptr(inner.ty) => self.leads_into_kernel(inner, to),
            _ => self.is_in_kernel(ptr),
        }
    }

    /// Whether an lvalue is in memory of the kernel.
    fn is_in_kernel(&self, place: &Expr) -> bool {
        match &place.kind {
            ExprKind::Member(base, ..) | ExprKind::Index(base, _) | ExprKind::Decay(base) => self.is_in_kernel(base),
            ExprKind::Deref(ptr) => self.leads_into_kernel(ptr, place.ty),
            _ => false,
        }
    }

    /// A copy of what is at a place of the kernel, on the stack: of a bit-field the unit that it is in.
    pub fn fetched(&mut self, addr: &Addr, ty: QTy) -> Parsed<Addr> {
        let mut unit = Addr { realm: Realm::Own, ..addr.clone() };
        let (mut size, mut inside) = (self.types.size(ty).unwrap_or(8), 0);
        if addr.bits.is_some() {
            unit = self.storage_unit(&unit);
            if let Some(way) = &addr.core {
                size = self.unit_of(way).1;
            }
            inside = std::mem::take(&mut unit.off);
        }
        let kind = [IntTy::UChar, IntTy::UShort, IntTy::UInt, IntTy::ULong].into_iter().find(|int| int.size() == size);
        let mut copy = self.temporary("", kind.map_or(ty, Types::int));
        let (to, from) = (self.pointer(copy.clone()), self.pointer(unit.clone()));
        self.read_kernel(to, size, from);
        copy = copy.plus(inside);
        copy.bits = addr.bits;
        Ok(copy)
    }

    /// A call of the helper that reads memory of the kernel; what cannot be read is zero.
    pub fn read_kernel(&mut self, to: Value, size: u64, from: Value) {
        let [to, from] = [to, from].map(|ptr| self.f().make_ptr(ptr));
        let size = self.f().number(size.cast_signed(), Type::I32);
        self.f().value(InstData::Call(Callee::Helper(PROBE_READ_KERNEL), vec![to, size, from]), Type::I64);
    }
}
