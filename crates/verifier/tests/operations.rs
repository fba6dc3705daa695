//! Programs in tables of operations, exceptions, arenas and memory for functions of the kernel, program by program against
//! the running kernel.

mod agreement;

use agreement::{Ours, Theirs};
use skep_isa::ProgType;
use skep_isa::ebpf::{Insn, Op, Size, assemble};
use skep_kernel::RunningKernel;
use skep_object::{MapFlags, MapSpec, Object, Program};
use skep_verifier::{Kernel, Verdict, verify_with};

const TABLE: &str = "
struct sock;
struct tcp_sock { u32 snd_cwnd; } __core;
struct tcp_congestion_ops {
    char name[16];
    void (*init)(struct sock *sk);
    u32 (*undo_cwnd)(struct sock *sk);
    void (*cong_avoid)(struct sock *sk, u32 ack, u32 acked);
    u32 (*ssthresh)(struct sock *sk);
};
SEC(\"struct_ops/undo\") u32 undo(u64 *ctx) { return ((struct tcp_sock *)ctx[0])->snd_cwnd; }
SEC(\"struct_ops/half\") u32 half(u64 *ctx) { return ((struct tcp_sock *)ctx[0])->snd_cwnd / 2; }
SEC(\"struct_ops/grow\") void grow(u64 *ctx)
{
    struct tcp_sock *tp = (struct tcp_sock *)ctx[0];
    if (ctx[2] > 3) tp->snd_cwnd = ctx[2];
}
SEC(\".struct_ops.link\") struct tcp_congestion_ops table = {
    .name = \"skep_table\", .undo_cwnd = (void *)undo, .cong_avoid = (void *)grow, .ssthresh = (void *)half,
};
";

/// Our verdict on a program of an object that is fitted to the running kernel.
fn ours(object: &Object, program: &Program) -> Ours {
    ours_on(object, program, Kernel::newest())
}

fn ours_on(object: &Object, program: &Program, kernel: Kernel) -> Ours {
    let types = RunningKernel::new().types().unwrap();
    match verify_with(object, program, kernel, &types) {
        Verdict::Accepted(_) => Ours::Takes,
        Verdict::Rejected(rejection) => Ours::Refuses(rejection.reason.to_string()),
        Verdict::Undecided { what, .. } => Ours::Undecided(what.to_owned()),
    }
}

/// Both verdicts are the same one.
fn agrees(theirs: &Theirs, ours: &Ours) -> bool {
    matches!((theirs, ours), (Theirs::Takes, Ours::Takes) | (Theirs::Refuses(_), Ours::Refuses(_)))
}

fn compiled(text: &str) -> Option<Object> {
    if agreement::running() != Some(Kernel::newest()) || agreement::is_emulated() {
        return None;
    }
    match skep_testkit::clang::compile_text(text, &[]) {
        Ok(bytes) => {
            let mut object = Object::from_elf(&bytes).unwrap();
            object.resolve(&RunningKernel::for_object(&object)).unwrap();
            Some(object)
        }
        Err(why) => {
            agreement::skip(&why);
            None
        }
    }
}

/// The slot of the store of a program.
fn store(program: &Program) -> usize {
    let is_store = |insn: &Insn| matches!(insn.decode(None), Ok(Op::Store { .. }));
    program.insns.iter().position(is_store).unwrap()
}

#[test]
fn what_congestion_control_writes() {
    let Some(mut object) = compiled(TABLE) else { return };
    let index = object.programs.iter().position(|program| program.name == "grow").unwrap();
    let at = store(&object.programs[index]);
    let Ok(Op::Store { base, src, off: known, .. }) = object.programs[index].insns[at].decode(None) else { panic!() };
    // The whole neighbourhood of the fields at the start of the socket and of `snd_cwnd`, and some places between.
    let near = (0..96).chain((known - 24)..(known + 40));
    let places: Vec<i16> = near.chain((96..2600).step_by(37)).chain((96..2600).step_by(64)).collect();
    let (mut taken, mut refused) = (0, 0);
    for size in [Size::B, Size::H, Size::W, Size::DW] {
        for off in &places {
            let mut insns = Vec::new();
            Op::Store { size, base, off: *off, src }.emit(&mut insns);
            object.programs[index].insns[at] = insns[0];
            let program = &object.programs[index];
            let (theirs, ours) = (agreement::theirs(&object, program), ours(&object, program));
            assert!(agrees(&theirs, &ours), "{size:?} at {off}: the kernel {theirs:?}, we {ours:?}");
            taken += u32::from(ours == Ours::Takes);
            refused += u32::from(ours != Ours::Takes);
        }
    }
    assert!(taken > 2 && refused > 500, "{taken} {refused}");
}

#[test]
fn programs_in_tables() {
    let cases = [
        ("ctx[2] > 3", "ctx[2] > 3", Ours::Takes),
        // The function has three arguments.
        ("ctx[2] > 3", "ctx[3] > 3", Ours::Refuses(String::new())),
        ("ctx[2] > 3", "*(u32 *)ctx > 3", Ours::Refuses(String::new())),
        ("ctx[2] > 3", "*((u32 *)ctx + 4) > 3", Ours::Takes),
        // 6 is trace_printk, which all programs have; 9 is skb_store_bytes, which these do not have.
        ("tp->snd_cwnd = ctx[2]", "((u32 (*)(char *, u32))6)(\"x\", 2)", Ours::Takes),
        ("tp->snd_cwnd = ctx[2]", "((u64 (*)(u64, u64, u64, u64, u64))9)(0, 0, 0, 0, 0)", Ours::Refuses(String::new())),
        ("tp->snd_cwnd = ctx[2]", "((u64 (*)(void *, u32))116)(tp, 1)", Ours::Takes),
        ("tp->snd_cwnd = ctx[2]", "((u64 (*)(u64, u32))116)(ctx[2], 1)", Ours::Refuses(String::new())),
    ];
    for (old, new, expected) in cases {
        let Some(object) = compiled(&TABLE.replace(old, new)) else { return };
        let program = object.program("grow").unwrap();
        let (theirs, ours) = (agreement::theirs(&object, program), ours(&object, program));
        assert!(agrees(&theirs, &ours), "{new}: the kernel {theirs:?}, we {ours:?}");
        assert_eq!(ours == Ours::Takes, expected == Ours::Takes, "{new}: {ours:?}");
    }
    let Some(mut object) = compiled(TABLE) else { return };
    object.license = "MIT".to_owned();
    let program = object.program("half").unwrap();
    let (theirs, ours) = (agreement::theirs(&object, program), ours(&object, program));
    assert!(matches!(&ours, Ours::Refuses(words) if words.contains("under the GPL")), "{ours:?}");
    assert!(agrees(&theirs, &ours), "{theirs:?}");
}

const THROWS: &str = "
extern void bpf_throw(u64 cookie) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
static u32 (*const get_prandom_u32)(void) = (void *)7;
#define __handler(name) __attribute__((btf_decl_tag(\"exception_callback:\" #name)))
__attribute__((noinline)) int other(u64 n) { return n + 7; }
__attribute__((noinline)) int handler(u64 cookie) { return other(cookie) & 1; }
__attribute__((noinline)) int throwing(u64 cookie) { bpf_throw(cookie); return 1; }
__attribute__((noinline)) int greedy(u64 a, u64 b) { return a & b & 1; }
__attribute__((noinline)) void *pointer(u64 a) { return 0; }
static __attribute__((noinline)) int local(u64 cookie) { return cookie; }
static int round(u32 i, void *c) { if (i == 5) bpf_throw(1); return 0; }
static int calm(u32 i, void *c) { return 0; }
";

#[test]
fn exceptions() {
    const HEAD: &str = "int f(void *x)";
    let cases = [
        (true, "SEC(\"tc\") int f(void *x) { if (get_prandom_u32() == 3) bpf_throw(2); return 1; }"),
        (true, "SEC(\"tc\") __handler(handler) int f(void *x) { bpf_throw(get_prandom_u32()); return 1; }"),
        (true, "SEC(\"tc\") __handler(handler) int f(void *x) { return 1; }"),
        (false, "SEC(\"tc\") __handler(greedy) int f(void *x) { return 1; }"),
        (false, "SEC(\"tc\") __handler(pointer) int f(void *x) { return 1; }"),
        (false, "SEC(\"tc\") __handler(missing) int f(void *x) { return 1; }"),
        (false, "SEC(\"tc\") __handler(local) int f(void *x) { return local(get_prandom_u32()); }"),
        (false, "SEC(\"tc\") __handler(handler) __handler(other) int f(void *x) { return 1; }"),
        (false, "SEC(\"tc\") __handler(handler) int f(void *x) { return handler(get_prandom_u32()); }"),
        (false, "SEC(\"tc\") __handler(throwing) int f(void *x) { return 1; }"),
        (true, "SEC(\"tc\") int f(void *x) { return throwing(3); }"),
        (false, "SEC(\"tc\") int f(void *x) { loop(10, round, (void *)0, 0); return 1; }"),
        (true, "SEC(\"tc\") int f(void *x) { loop(10, calm, (void *)0, 0); bpf_throw(0); return 1; }"),
        (false, "SEC(\"tc\") int f(void *x) { bpf_rcu_read_lock(); bpf_throw(0); return 1; }"),
        // The value that is thrown becomes the result of the program, unless a function makes another one of it.
        (false, "SEC(\"cgroup_skb/ingress\") int f(void *x) { bpf_throw(2); return 1; }"),
        (true, "SEC(\"cgroup_skb/ingress\") int f(void *x) { bpf_throw(1); return 1; }"),
        (true, "SEC(\"cgroup_skb/ingress\") __handler(handler) int f(void *x) { bpf_throw(2); return 1; }"),
        (false, "SEC(\"cgroup_skb/ingress\") __handler(other) int f(void *x) { bpf_throw(1); return 1; }"),
    ];
    for (takes, text) in cases {
        assert!(text.contains(HEAD));
        let Some(object) = compiled(&format!("{THROWS}{text}")) else { return };
        let program = object.program("f").unwrap();
        let (theirs, ours) = (agreement::theirs(&object, program), ours(&object, program));
        assert!(agrees(&theirs, &ours), "{text}: the kernel {theirs:?}, we {ours:?}");
        assert_eq!(ours == Ours::Takes, takes, "{text}: {ours:?}");
    }
}

const LOOKS: &str = "
struct __sk_buff { u32 len; };
struct nf_conn { u32 mark; };
struct bpf_sock_tuple { u32 addresses[2]; u16 ports[2]; };
struct bpf_ct_opts { s32 netns_id; s32 error; u8 l4proto; u8 dir; u8 reserved[2]; };
extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, u32 size,
                                         struct bpf_ct_opts *opts, u32 opts_size) __ksym;
extern void bpf_ct_release(struct nf_conn *connection) __ksym;
SEC(\"tc\") int f(struct __sk_buff *skb)
{
    struct bpf_sock_tuple tuple = {};
    struct bpf_ct_opts opts = { .netns_id = -1, .l4proto = 17 };
    struct nf_conn *found = bpf_skb_ct_lookup(skb, TUPLE, &opts, sizeof(opts));
    if (found) bpf_ct_release(found);
    return 0;
}
";

#[test]
fn memory_with_a_size() {
    let cases = [
        (true, "&tuple, sizeof(tuple)"),
        (true, "&tuple, 0"),
        (true, "0, 0"),
        (false, "0, 1"),
        (false, "0, sizeof(tuple)"),
        (false, "(void *)5, 0"),
        (false, "&tuple, 400"),
        (false, "&tuple, -1"),
    ];
    for (takes, arguments) in cases {
        let Some(object) = compiled(&LOOKS.replace("TUPLE", arguments)) else { return };
        let program = object.program("f").unwrap();
        let (theirs, ours) = (agreement::theirs(&object, program), ours(&object, program));
        assert!(agrees(&theirs, &ours), "{arguments}: the kernel {theirs:?}, we {ours:?}");
        assert_eq!(ours == Ours::Takes, takes, "{arguments}: {ours:?}");
    }
}

const ITERATES: &str = "
struct bpf_iter_meta; struct bpf_map; struct unix_sock;
struct bpf_iter__bpf_map_elem { struct bpf_iter_meta *meta; struct bpf_map *map; void *key; void *value; } __core;
struct bpf_iter__unix { struct bpf_iter_meta *meta; struct unix_sock *unix_sk; u32 uid; } __core;
static void *(*const look_up)(void *map, const void *key) = (void *)1;
static long (*const update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const printk)(const char *format, u32 size, ...) = (void *)6;
struct { __uint(type, HASH); __uint(max_entries, 4); __type(key, u32); __type(value, u64); } table SEC(\".maps\");
";

#[test]
fn what_iterators_hand_out() {
    const ELEMENT: &str = "SEC(\"iter/bpf_map_elem\") int f(struct bpf_iter__bpf_map_elem *x)";
    const SOCKET: &str = "SEC(\"iter/unix\") int f(struct bpf_iter__unix *x)";
    let cases = [
        // Keys are read here, but are memory that is only read, which keys of maps are not.
        (true, ELEMENT, "u32 *key = x->key; u64 value = 1; if (!key) return 0; u32 own = *key; look_up(&table, &own);"),
        (false, ELEMENT, "u32 *key = x->key; if (!key) return 0; look_up(&table, key);"),
        (false, ELEMENT, "u64 *key = x->key; u32 own = 1; if (!key) return 0; update(&table, &own, key, 0);"),
        (true, ELEMENT, "u32 *value = x->value; if (!value) return 0; look_up(&table, value);"),
        // Sockets of this iterator are not to be relied on.
        (false, SOCKET, "struct unix_sock *sk = x->unix_sk; if (!sk) return 0; printk((void *)sk, 4);"),
    ];
    for (takes, head, body) in cases {
        let Some(object) = compiled(&format!("{ITERATES}{head} {{ {body} return 0; }}")) else { return };
        let program = object.program("f").unwrap();
        let (theirs, ours) = (agreement::theirs(&object, program), ours(&object, program));
        assert_eq!(matches!(theirs, Theirs::Takes), takes, "{body}: the kernel {theirs:?}");
        // What is not decided is not accepted.
        assert_eq!(ours == Ours::Takes, takes, "{body}: {ours:?}");
    }
}

/// A pointer that equals one that is not null is not null, and nothing is known of its copies.
#[test]
fn pointers_that_are_equal() {
    let Some(kernel) = agreement::running().filter(|kernel| *kernel >= Kernel::V6_12) else { return };
    const LOOK: &str = "r1 = map[fd:0] ll\nr2 = r10\nr2 += -8\ncall 1\n";
    for (takes, read) in [(true, "r7"), (true, "r6"), (false, "r0")] {
        let text = format!(
            "*(u32 *)(r10 - 8) = 0\n{LOOK}r6 = r0\n{LOOK}r7 = r0\nif r6 == 0 goto +2\nif r6 != r7 goto +1\n\
             r0 = *(u32 *)({read} + 0)\nr0 = 0\nexit"
        );
        let mut object = Object { license: "GPL".to_owned(), ..Object::default() };
        object.maps.push(MapSpec::new("m", skep_isa::MapType::Hash, 4, 8, 4));
        let insns = assemble(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        object.add_program(Program::new("f", ProgType::SocketFilter, insns));
        let program = &object.programs[0];
        let (theirs, ours) = (agreement::theirs(&object, program), ours_on(&object, program, kernel));
        assert!(agrees(&theirs, &ours), "{read}: the kernel {theirs:?}, we {ours:?}");
        assert_eq!(ours == Ours::Takes, takes, "{read}: {ours:?}");
    }
}

/// An object with two arenas.
fn arenas() -> Object {
    let mut object = Object { license: "GPL".to_owned(), ..Object::default() };
    for (name, address) in [("one", 1 << 44), ("two", 1 << 45)] {
        let mut spec = MapSpec::new(name, skep_isa::MapType::Arena, 0, 0, 4);
        spec.flags = MapFlags(1 << 10);
        spec.extra = address;
        object.maps.push(spec);
    }
    object
}

#[test]
fn arenas_and_their_pointers() {
    let Some(kernel) = agreement::running().filter(|kernel| *kernel >= Kernel::V6_12) else { return };
    const CAST: &str = "r1 = map[fd:0] ll\nr2 = 4096\nr2 = addr_space_cast(r2, 0, 1)\n";
    let cases = [
        (true, "r0 = *(u8 *)(r2 + 5)\nr0 = 0\nexit"),
        (kernel >= Kernel::V6_18, "r0 = *(s16 *)(r2 + 5)\nr0 = 0\nexit"),
        (true, "*(u64 *)(r2 + 3) = 7\n*(u64 *)(r2 + 3) = r2\nr0 = 0\nexit"),
        (true, "r2 *= r2\nr2 ^= 77\nw2 += 5\nr0 = *(u64 *)(r2 + 0)\nr0 = 0\nexit"),
        (true, "r3 = 9\nr3 -= r2\nr0 = *(u64 *)(r3 + 0)\nr0 = 0\nexit"),
        (true, "r2 = addr_space_cast(r2, 1, 0)\nr0 = r2\nexit"),
        (false, "r2 = addr_space_cast(r2, 1, 0)\nr0 = *(u8 *)(r2 + 0)\nexit"),
        (false, "r2 = -r2\nr0 = *(u8 *)(r2 + 0)\nexit"),
        (false, "w2 = w2\nr0 = *(u8 *)(r2 + 0)\nexit"),
        (true, "r0 = 1\nlock *(u64 *)(r2 + 8) += r0\nr0 = 0\nexit"),
        (true, "r0 = 1\nr0 = atomic_fetch_add((u64 *)(r2 + 8), r0)\nr0 = 0\nexit"),
        (false, "r0 = 1\nr0 = atomic_fetch_or((u64 *)(r2 + 8), r0)\nr0 = 0\nexit"),
        (false, "r3 = map[fd:1] ll\nr0 = 0\nexit"),
        (true, "if r2 == 0 goto +1\nr0 = *(u8 *)(r2 + 0)\nr0 = 0\nexit"),
        (true, "*(u64 *)(r10 - 8) = r2\nr3 = *(u64 *)(r10 - 8)\nr0 = *(u8 *)(r3 + 0)\nr0 = 0\nexit"),
        (false, "r1 = r2\nr2 = 8\ncall 6\nr0 = 0\nexit"),
        (false, "if r2 > 7 goto +1\nr2 = r10\nr0 = *(u8 *)(r2 - 1)\nr0 = 0\nexit"),
    ];
    for (takes, text) in cases {
        let insns = assemble(&format!("{CAST}{text}")).unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut object = arenas();
        object.add_program(Program::new("f", ProgType::SocketFilter, insns));
        let program = &object.programs[0];
        let (theirs, ours) = (agreement::theirs(&object, program), ours_on(&object, program, kernel));
        assert!(agrees(&theirs, &ours), "{text}: the kernel {theirs:?}, we {ours:?}");
        assert_eq!(ours == Ours::Takes, takes, "{text}: {ours:?}");
    }
}

#[test]
fn addresses_in_memory_of_the_kernel() {
    let cases = [
        (true, "return *(u8 *)at;"),
        // The sum is made in the register of the number, and stays one.
        (false, "return *(u8 *)(at + ctx[1] * 8);"),
        (true, "return (at + ctx[1] * 8) >> 40;"),
        (true, "at *= 12; return *(u8 *)at;"),
        (true, "at ^= 77; at >>= 3; return *(u8 *)at;"),
        (false, "*(u8 *)at = 1; return 0;"),
        (false, "at = (u32)at * 3; return *(u8 *)at;"),
    ];
    for (takes, text) in cases {
        let source = format!(
            "struct task_struct {{ void *stack; }} __core;
            SEC(\"tp_btf/task_newtask\") int f(u64 *ctx) {{ u64 at = (u64)((struct task_struct *)ctx[0])->stack; {text} }}"
        );
        let Some(object) = compiled(&source) else { return };
        let program = object.program("f").unwrap();
        let (theirs, ours) = (agreement::theirs(&object, program), ours(&object, program));
        assert!(agrees(&theirs, &ours), "{text}: the kernel {theirs:?}, we {ours:?}");
        assert_eq!(ours == Ours::Takes, takes, "{text}: {ours:?}");
    }
}
