//! Structured code over [`Builder`]: variables, branches that leave for a block, loops, maps.
//!
//! Variables are objects on the stack; the optimiser makes values of them.

use skep_ir::{
    Binary, Block, Builder, Callee, Cond, FuncKind, FuncRef, Function, MapRef, Memory, Slot, Type, Unary, Value, Width,
};
use skep_isa::helpers::number;

/// A number that can be set again.
#[derive(Debug, Clone, Copy)]
pub struct Var(Slot);

/// Writes one function.
pub struct Code<'f> {
    /// For everything that has no shorter name here.
    pub b: Builder<'f>,
    /// Where keys of 4 bytes are made: one place for all of a function, because the stack is small.
    key: Option<Slot>,
}

/// `bpf_map_lookup_elem`
pub const MAP_LOOKUP: u32 = number("map_lookup_elem");
/// `bpf_map_update_elem`
pub const MAP_UPDATE: u32 = number("map_update_elem");
/// `bpf_map_delete_elem`
pub const MAP_DELETE: u32 = number("map_delete_elem");
/// `bpf_for_each_map_elem`
pub const FOR_EACH: u32 = number("for_each_map_elem");
/// `bpf_ktime_get_ns`
pub const TIME: u32 = number("ktime_get_ns");
/// `bpf_tail_call`
pub const TAIL_CALL: u32 = number("tail_call");
/// `bpf_skb_load_bytes`
pub const SKB_LOAD: u32 = number("skb_load_bytes");
/// `bpf_ringbuf_output`
pub const RINGBUF_OUTPUT: u32 = number("ringbuf_output");
/// `bpf_skb_store_bytes`
pub const SKB_STORE: u32 = number("skb_store_bytes");
/// `bpf_skb_change_tail`
pub const SKB_CHANGE_TAIL: u32 = number("skb_change_tail");
/// `bpf_l4_csum_replace`
pub const L4_SUM_REPLACE: u32 = number("l4_csum_replace");
/// `bpf_l3_csum_replace`
pub const L3_SUM_REPLACE: u32 = number("l3_csum_replace");
/// `bpf_get_prandom_u32`
pub const RANDOM: u32 = number("get_prandom_u32");
/// `bpf_fib_lookup`
pub const ROUTE: u32 = number("fib_lookup");
/// `bpf_csum_diff`
pub const SUM_DIFF: u32 = number("csum_diff");
/// `bpf_redirect`
pub const REDIRECT: u32 = number("redirect");
/// `bpf_skc_lookup_tcp`
pub const SOCKET_LOOKUP: u32 = number("skc_lookup_tcp");
/// `bpf_sk_release`
pub const SOCKET_RELEASE: u32 = number("sk_release");
/// `bpf_tcp_gen_syncookie`
pub const COOKIE_MAKE: u32 = number("tcp_gen_syncookie");
/// `bpf_tcp_check_syncookie`
pub const COOKIE_CHECK: u32 = number("tcp_check_syncookie");
/// `bpf_get_socket_uid`
pub const SOCKET_USER: u32 = number("get_socket_uid");
/// `bpf_skb_ancestor_cgroup_id`
pub const SOCKET_GROUP: u32 = number("skb_ancestor_cgroup_id");
/// `bpf_ktime_get_tai_ns`: up to 37 leap seconds ahead of the time of day.
pub const REAL_TIME: u32 = number("ktime_get_tai_ns");
/// `bpf_xdp_get_buff_len`
pub const XDP_LENGTH: u32 = number("xdp_get_buff_len");
/// `bpf_xdp_load_bytes`
pub const XDP_LOAD: u32 = number("xdp_load_bytes");

/// A function that is verified by itself: its arguments are numbers, and it returns one.
pub fn function(name: &str, params: usize, body: impl FnOnce(&mut Code<'_>, &[Value])) -> Function {
    let mut function = Function::new(name, FuncKind::Global, &vec![Type::I64; params], Some(Type::I64));
    write(&mut function, body);
    function
}

/// Writes the body of a function; where it does not return, it returns 0.
pub fn write(function: &mut Function, body: impl FnOnce(&mut Code<'_>, &[Value])) {
    let builder = Builder::new(function);
    let params: Vec<Value> = builder.function.params().to_vec();
    let mut code = Code { b: builder, key: None };
    body(&mut code, &params);
    if !code.b.is_closed() {
        code.give(0);
    }
}

impl Code<'_> {
    /// A constant.
    pub fn num(&mut self, number: i64) -> Value {
        self.b.i64(number)
    }

    /// A constant of 64 bits.
    pub fn bits(&mut self, number: u64) -> Value {
        self.b.i64(number.cast_signed())
    }

    /// A new variable.
    pub fn var(&mut self, value: Value) -> Var {
        let var = Var(self.b.function.add_slot("", 8, 8));
        self.set(var, value);
        var
    }

    /// What a variable holds.
    pub fn get(&mut self, var: Var) -> Value {
        let at = self.b.slot_addr(var.0);
        self.b.load(Width::W64, at, 0)
    }

    /// Changes a variable.
    pub fn set(&mut self, var: Var, value: Value) {
        let at = self.b.slot_addr(var.0);
        self.b.store(Width::W64, at, 0, value);
    }

    /// Sets bits of a variable.
    pub fn or_into(&mut self, var: Var, bits: Value) {
        let old = self.get(var);
        let new = self.b.binary(Binary::Or, old, bits);
        self.set(var, new);
    }

    /// Memory on the stack, zero at first.
    pub fn buffer(&mut self, bytes: u32) -> Value {
        let slot = self.b.function.add_slot("", bytes, 8);
        let at = self.b.slot_addr(slot);
        self.b.fill(at, bytes, 0, 8);
        at
    }

    /// Reads an unsigned number as 64 bits.
    pub fn load(&mut self, width: Width, at: Value, offset: i16) -> Value {
        self.b.load_as(Type::I64, width, false, at, offset)
    }

    /// Reads a number of 16 bits in the order of the network.
    pub fn load_net16(&mut self, at: Value, offset: i16) -> Value {
        let value = self.load(Width::W16, at, offset);
        self.b.unary(Unary::Swap16, value)
    }

    /// Writes the lowest bits of a number.
    pub fn store(&mut self, width: Width, at: Value, offset: i16, value: Value) {
        let value = if width == Width::W64 { value } else { self.b.unary(Unary::Truncate, value) };
        self.b.store(width, at, offset, value);
    }

    /// An operation with a constant.
    pub fn with(&mut self, op: Binary, value: Value, number: i64) -> Value {
        self.b.binary_const(op, value, number)
    }

    /// Calls a helper.
    pub fn helper(&mut self, number: u32, args: &[Value]) -> Value {
        self.b.call(Callee::Helper(number), args, Type::I64)
    }

    /// Calls a function of ours.
    pub fn call(&mut self, function: FuncRef, args: &[Value]) -> Value {
        self.b.call(Callee::Func(function), args, Type::I64)
    }

    /// Leaves for a block if a comparison holds.
    pub fn leave_for(&mut self, block: Block, cond: Cond, left: Value, right: Value) {
        let next = self.b.block(&[]);
        self.b.branch(cond, left, right, block, next);
        self.b.switch_to(next);
    }

    /// As [`leave_for`](Self::leave_for), comparing with a constant.
    pub fn leave_if(&mut self, block: Block, cond: Cond, left: Value, right: i64) {
        let right = self.num(right);
        self.leave_for(block, cond, left, right);
    }

    /// Runs `then` if a comparison holds.
    pub fn when(&mut self, cond: Cond, left: Value, right: Value, then: impl FnOnce(&mut Self)) {
        self.either(cond, left, right, then, |_| {});
    }

    /// As [`when`](Self::when), comparing with a constant.
    pub fn when_is(&mut self, cond: Cond, left: Value, right: i64, then: impl FnOnce(&mut Self)) {
        let right = self.num(right);
        self.when(cond, left, right, then);
    }

    /// Runs `then` if a comparison holds, `otherwise` if not.
    pub fn either(
        &mut self,
        cond: Cond,
        left: Value,
        right: Value,
        then: impl FnOnce(&mut Self),
        otherwise: impl FnOnce(&mut Self),
    ) {
        let (yes, no, after) = (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
        self.b.branch(cond, left, right, yes, no);
        self.b.switch_to(yes);
        then(self);
        self.close(after);
        self.b.switch_to(no);
        otherwise(self);
        self.close(after);
        self.b.switch_to(after);
    }

    /// Goes on in a block, unless the code has left already.
    pub fn close(&mut self, to: Block) {
        if !self.b.is_closed() {
            self.b.jump(to, &[]);
        }
    }

    /// Runs the body at most so many times with 0, 1, 2... The body gets the block behind the loop, to leave for, and the
    /// block in which the next turn begins.
    pub fn repeat(&mut self, times: i64, body: impl FnOnce(&mut Self, Value, Block, Block)) {
        let zero = self.num(0);
        let counter = self.var(zero);
        let (head, run, again, after) = (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
        self.b.jump(head, &[]);
        self.b.switch_to(head);
        let (index, end) = (self.get(counter), self.num(times));
        self.b.branch(Cond::Ult, index, end, run, after);
        self.b.switch_to(run);
        let index = self.get(counter);
        body(self, index, after, again);
        self.close(again);
        self.b.switch_to(again);
        let index = self.get(counter);
        let next = self.with(Binary::Add, index, 1);
        self.set(counter, next);
        self.b.jump(head, &[]);
        self.b.switch_to(after);
    }

    /// Returns a number.
    pub fn give(&mut self, number: i64) {
        let wide = self.b.function.result != Some(Type::I32);
        let value = if wide { self.num(number) } else { self.b.i32(number as u32) };
        self.b.ret(Some(value));
    }

    /// The value of a map for the key at an address; leaves for `missing` if there is none.
    pub fn find(&mut self, map: MapRef, key: Value, missing: Block) -> Value {
        let map_at = self.b.map_addr(map);
        let found = self.b.call(Callee::Helper(MAP_LOOKUP), &[map_at, key], Type::nullable(Memory::MapValue(map)));
        let null = self.b.null(Memory::MapValue(map));
        let some = self.b.block(&[]);
        let value = self.b.branch_refining(Cond::Ne, found, null, some, missing);
        self.b.switch_to(some);
        value
    }

    /// As [`find`](Self::find) for a key of 4 bytes.
    pub fn element(&mut self, map: MapRef, number: Value, missing: Block) -> Value {
        let slot = *self.key.get_or_insert_with(|| self.b.function.add_slot("", 8, 8));
        let at = self.b.slot_addr(slot);
        self.store(Width::W32, at, 0, number);
        self.find(map, at, missing)
    }

    /// The first value of an array of one, without which the function returns `otherwise`.
    pub fn only(&mut self, map: MapRef, otherwise: i64) -> Value {
        let missing = self.b.block(&[]);
        let zero = self.num(0);
        let value = self.element(map, zero, missing);
        let here = self.b.current();
        self.b.switch_to(missing);
        self.give(otherwise);
        self.b.switch_to(here);
        value
    }
}
