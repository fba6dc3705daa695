//! Builtin values and functions that give a number.

use skep_ir::{Binary, Cond, Memory, Type as IrType, Unary, Value, Width};

use super::body::{Body, FRAME_COUNT};
use super::helpers;
use super::memory::At;
use crate::builtins::Builtin;
use crate::check::tree::{Call, Expr, Map};
use crate::plan::{HostInfo, StackKey};
use crate::types::Type;

impl Body<'_, '_, '_> {
    /// The value of a builtin with a scalar type.
    pub fn builtin_scalar(&mut self, call: &Call, expr: &Expr) -> Value {
        match call {
            Call::Value(builtin) => self.builtin_value(*builtin),
            Call::Clock(helper) => self.call_i64(*helper, &[]),
            Call::SoftTai => {
                let now = self.call_i64(helpers::BOOT_NS, &[]);
                let offset = self.host_word(HostInfo::TAI_OFFSET);
                self.b.binary(Binary::Add, now, offset)
            }
            Call::As(inner) => self.scalar(inner),
            Call::Register(name) => {
                let word = crate::check::tree::Word::Register(name.clone());
                self.argument(&word)
            }
            Call::Swap(inner) => self.swap(inner),
            Call::Length(text) => self.text_length(text),
            Call::Contains(text, part) => self.text_contains(text, part),
            Call::Frames(stack) => {
                let at = self.bytes_of(stack);
                self.load(Width::W32, false, at.plus(StackKey::FRAMES))
            }
            Call::Entries(map) => self.count_entries(*map),
            Call::Has(map, key) => {
                let key = self.key(*map, key);
                let found = self.lookup(*map, key);
                self.is_some(found)
            }
            Call::Delete(map, key) => {
                let key = self.key(*map, key);
                let key = self.addr(key);
                let map = self.b.map_addr(self.cx.maps[map.0 as usize].map);
                let result = self.call_i64(helpers::MAP_DELETE, &[map, key]);
                let zero = self.b.i64(0);
                self.b.compare(Cond::Eq, result, zero)
            }
            Call::Signal(helper, number) => {
                let number = self.scalar(number);
                let number = self.b.unary(Unary::Truncate, number);
                let result = self.call_i64(*helper, &[number]);
                self.report_failure(*helper, result, expr.span);
                result
            }
            Call::Override(value) => {
                let value = self.scalar(value);
                let context = self.context();
                self.call_void(helpers::OVERRIDE_RETURN, &[context, value]);
                self.b.i64(0)
            }
            Call::Search(text, part) => self.search(text, part, expr.span),
            Call::CompareBytes(left, right, len, room) => self.compare_order(left, right, (len, *room), expr.span),
            Call::Find(map, key, var) => self.find(*map, key, *var, expr.span),
            Call::Object(pointer) => {
                let pointer = self.scalar(pointer);
                self.object(pointer)
            }
            Call::SocketCookie(socket) => {
                let socket = self.scalar(socket);
                self.call_i64(helpers::SOCKET_COOKIE, &[socket])
            }
            Call::WriteUser(to, value, len, room) => self.write_user(to, value, len, *room, expr.span),
            Call::Packet(packet) => self.packet(packet, expr.span),
            Call::Stack
            | Call::Unwind(_)
            | Call::Str(..)
            | Call::Buf(..)
            | Call::Inet(..)
            | Call::Raw(_)
            | Call::UserSymbol(_)
            | Call::Concat(..)
            | Call::Path(..)
            | Call::NameOf(..)
            | Call::NameInTable(..) => self.b.i64(0),
        }
    }

    /// 1 if a pointer is not null.
    fn is_some(&mut self, pointer: Value) -> Value {
        let (some, none) = (self.b.block(&[]), self.b.block(&[]));
        let join = self.b.block(&[IrType::I64]);
        let to = self.b.function.ty(pointer).pointer().map_or(Memory::Record, |pointer| pointer.to);
        let null = self.b.null(to);
        self.b.branch(Cond::Ne, pointer, null, some, none);
        for (block, number) in [(some, 1), (none, 0)] {
            self.b.switch_to(block);
            let value = self.b.i64(number);
            self.b.jump(join, &[value]);
        }
        self.b.switch_to(join);
        self.b.param(join, 0)
    }

    fn builtin_value(&mut self, builtin: Builtin) -> Value {
        use Builtin as B;
        match builtin {
            B::Pid | B::Tid => self.id(builtin == B::Pid),
            B::Uid | B::Username => {
                let ids = self.call_i64(helpers::UID_GID, &[]);
                self.low_half(ids)
            }
            B::Gid => {
                let ids = self.call_i64(helpers::UID_GID, &[]);
                self.b.binary_const(Binary::Lshr, ids, 32)
            }
            B::Cpu => self.small(helpers::PROCESSOR),
            B::Rand => self.small(helpers::GET_RANDOM),
            B::Numaid => self.small(helpers::NUMA_NODE),
            B::Cgroup => self.call_i64(helpers::CGROUP_ID, &[]),
            B::Jiffies => self.call_i64(helpers::JIFFIES, &[]),
            B::Curtask => self.call_i64(helpers::CURRENT_TASK, &[]),
            B::Ctx => {
                let context = self.context();
                self.as_number(context)
            }
            B::Func => {
                let context = self.context();
                self.call_i64(helpers::GET_FUNC_IP, &[context])
            }
            B::Elapsed => {
                let now = self.call_i64(helpers::BOOT_NS, &[]);
                let start = self.host_word(HostInfo::START);
                self.b.binary(Binary::Sub, now, start)
            }
            B::Ncpus => self.host_word(HostInfo::CPUS),
            B::Cpid => self.host_word(HostInfo::CHILD),
            B::HasCpid => {
                let child = self.host_word(HostInfo::CHILD);
                let zero = self.b.i64(0);
                self.b.compare(Cond::Ne, child, zero)
            }
            B::Usermode => {
                // The lowest two bits of the code segment are the privilege level; 3 is user mode.
                let segment = self.argument(&crate::check::tree::Word::Register("cs".to_owned()));
                let level = self.b.binary_const(Binary::And, segment, 3);
                let three = self.b.i64(3);
                self.b.compare(Cond::Eq, level, three)
            }
            _ => self.b.i64(0),
        }
    }

    /// A helper that gives 32 bits.
    fn small(&mut self, helper: u32) -> Value {
        let value = self.call_i64(helper, &[]);
        self.low_half(value)
    }

    /// The id of the process, or that of the thread, in the namespace that the host asks for.
    pub fn id(&mut self, process: bool) -> Value {
        let ids = if self.cx.input.env.inner_ids { self.inner_ids() } else { self.call_i64(helpers::PID_TGID, &[]) };
        if process { self.b.binary_const(Binary::Lshr, ids, 32) } else { self.low_half(ids) }
    }

    /// `struct bpf_pidns_info` is the id of the thread, then that of the process, 32 bits each.
    fn inner_ids(&mut self) -> Value {
        let device = self.host_word(HostInfo::PID_NAMESPACE_DEVICE);
        let inode = self.host_word(HostInfo::PID_NAMESPACE);
        let temp = self.temp(8);
        self.fill(temp, 8);
        let ptr = self.addr(temp);
        let size = self.b.i64(8);
        self.call_void(helpers::NS_PID_TGID, &[device, inode, ptr, size]);
        self.load(Width::W64, false, temp)
    }

    /// A word of what the host says; 0 if it says nothing.
    pub fn host_word(&mut self, offset: u32) -> Value {
        let host = self.cx.host();
        let host = self.b.global_addr(host);
        self.load(Width::W64, false, At::start(host).plus(offset))
    }

    fn swap(&mut self, inner: &Expr) -> Value {
        let value = self.scalar(inner);
        match inner.ty {
            Type::Int { bytes: 2, .. } => self.b.unary(Unary::Swap16, value),
            Type::Int { bytes: 4, .. } => self.b.unary(Unary::Swap32, value),
            Type::Int { bytes: 8, .. } => self.b.unary(Unary::Swap64, value),
            _ => self.b.binary_const(Binary::And, value, 0xff),
        }
    }

    /// Counts the entries of a map by going over it.
    fn count_entries(&mut self, map: Map) -> Value {
        let frame = self.frame_ptr();
        let zero = self.b.i64(0);
        // The verifier would count along.
        let zero = self.unforeseen(zero);
        self.b.store(Width::W64, frame, FRAME_COUNT as i16, zero);
        let callback = self.cx.counting_callback(map);
        let address = self.b.map_addr(self.cx.maps[map.0 as usize].map);
        let function = self.b.func_addr(callback);
        let flags = self.b.i64(0);
        self.call_void(helpers::FOR_EACH, &[address, function, frame, flags]);
        let frame = self.frame_ptr();
        self.b.load_as(IrType::I64, Width::W64, false, frame, FRAME_COUNT as i16)
    }
}
