//! Callbacks, iterators, locks, dynptrs, global functions and functions of the kernel: what is refused and why, and that
//! the remedy is one. The running kernel agrees with both.

use skep_kernel::{KernelError, LoadError, RunningKernel, load};
use skep_object::Object;
use skep_verifier::{Kernel, Verdict, verify_with};

/// A program that is refused, what is said, and the program with the remedy.
struct Case {
    faulty: &'static str,
    said: &'static str,
    mended: &'static str,
}

const SHARED: &str = "
struct bpf_iter_num { u64 __opaque[1]; } __attribute__((aligned(8)));
struct bpf_spin_lock { u32 val; };
struct bpf_timer { u64 __opaque[2]; } __attribute__((aligned(8)));
struct bpf_dynptr { u64 __opaque[2]; } __attribute__((aligned(8)));
struct task_struct { int pid; struct task_struct *real_parent; } __core;
struct guarded { struct bpf_spin_lock lock; u32 count; };
struct timed { struct bpf_timer timer; };
struct { __uint(type, ARRAY); __uint(max_entries, 4); __type(key, u32); __type(value, struct guarded); } locks SEC(\".maps\");
struct { __uint(type, ARRAY); __uint(max_entries, 4); __type(key, u32); __type(value, struct timed); } timers SEC(\".maps\");
struct { __uint(type, ARRAY); __uint(max_entries, 4); __type(key, u32); __type(value, u64); } numbers SEC(\".maps\");
struct { __uint(type, RINGBUF); __uint(max_entries, 4096); } ring SEC(\".maps\");
struct { __uint(type, 31); __uint(max_entries, 4096); } user_ring SEC(\".maps\");
static long (*const user_ringbuf_drain)(void *map, void *callback, void *c, u64 flags) = (void *)209;
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern void bpf_preempt_disable(void) __ksym;
extern void bpf_preempt_enable(void) __ksym;
extern struct task_struct *bpf_task_from_pid(int pid) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
static u32 (*const get_prandom_u32)(void) = (void *)7;
static long (*const ringbuf_reserve_dynptr)(void *ring, u32 size, u64 flags, struct bpf_dynptr *ptr) = (void *)198;
static void (*const ringbuf_discard_dynptr)(struct bpf_dynptr *ptr, u64 flags) = (void *)200;
static long (*const dynptr_read)(void *dst, u32 len, const struct bpf_dynptr *src, u32 offset, u64 flags) = (void *)201;
static struct guarded *locked(void) { u32 key = get_prandom_u32(); return map_lookup(&locks, &key); }
";

const CASES: &[Case] = &[
    Case {
        // Code for a structure of the kernel is not that for a value of a map.
        faulty: "static struct task_struct *(*const current_task)(void) = (void *)158;
            SEC(\"syscall\") int f(void *x) { u32 key = 0, pid; u64 c = get_prandom_u32(); char *v = map_lookup(&numbers, &key);
            struct task_struct *task = current_task(); if (!v) return 0;
            asm volatile(\"if %[c] > 1 goto 1f; %[v] = %[t]; 1: %[p] = *(u32 *)(%[v] + 0)\"
                : [p]\"=r\"(pid), [v]\"+r\"(v) : [c]\"r\"(c), [t]\"r\"(task)); return pid & 1; }",
        said: "one kind of memory on one path and another kind on another",
        // Of structures some may be relied on and others not.
        mended: "static struct task_struct *(*const current_task)(void) = (void *)158;
            SEC(\"syscall\") int f(void *x) { u32 pid; u64 c = get_prandom_u32();
            struct task_struct *task = current_task(), *v = task->real_parent;
            asm volatile(\"if %[c] > 1 goto 1f; %[v] = %[t]; 1: %[p] = *(u32 *)(%[v] + 0)\"
                : [p]\"=r\"(pid), [v]\"+r\"(v) : [c]\"r\"(c), [t]\"r\"(task)); return pid & 1; }",
    },
    Case {
        faulty: "static int later(void *map, u32 *key, struct timed *value) { timer_set_callback(&value->timer, later); return 2; }
            SEC(\"tc\") int f(void *x) { u32 key = get_prandom_u32(); struct timed *v = map_lookup(&timers, &key);
            if (v) timer_set_callback(&v->timer, later); return 1; }",
        said: "the callback returns something else than 0",
        // A function that asks for itself again is looked at once.
        mended: "static int later(void *map, u32 *key, struct timed *value) { timer_set_callback(&value->timer, later); return 0; }
            SEC(\"tc\") int f(void *x) { u32 key = get_prandom_u32(); struct timed *v = map_lookup(&timers, &key);
            if (v) timer_set_callback(&v->timer, later); return 1; }",
    },
    Case {
        faulty: "static long round(struct bpf_dynptr *ptr, u32 *c) { *c += 1; return 2; }
            SEC(\"syscall\") int f(void *x) { u32 count[2] = {}; user_ringbuf_drain(&user_ring, round, count, 0); return count[0] & 1; }",
        said: "the callback returns something else than 0 or 1",
        // What is counted in four bytes on the stack is forgotten from round to round.
        mended: "static long round(struct bpf_dynptr *ptr, u32 *c) { *c += 1; return 0; }
            SEC(\"syscall\") int f(void *x) { u32 count[2] = {}; user_ringbuf_drain(&user_ring, round, count, 0); return count[0] & 1; }",
    },
    Case {
        faulty: "static int round(u32 i, void *c) { return 0; }
            SEC(\"xdp\") int f(void *x) { return loop((u64)x, round, 0, 0) & 1; }",
        said: "the number of rounds of bpf_loop is a pointer",
        mended: "static int round(u32 i, void *c) { return 0; }
            SEC(\"xdp\") int f(void *x) { return loop(4, round, 0, 0) & 1; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { struct bpf_iter_num it; int *n, sum = 0;
            bpf_iter_num_new(&it, 0, 10); while ((n = bpf_iter_num_next(&it))) sum += *n;
            return sum; }",
        said: "is not given back",
        mended: "SEC(\"xdp\") int f(void *x) { struct bpf_iter_num it; int *n, sum = 0;
            bpf_iter_num_new(&it, 0, 10); while ((n = bpf_iter_num_next(&it))) sum += *n;
            bpf_iter_num_destroy(&it); return sum; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { struct bpf_iter_num it = {}; return bpf_iter_num_next(&it) ? 1 : 2; }",
        said: "the iterator was not begun",
        mended: "SEC(\"xdp\") int f(void *x) { struct bpf_iter_num it; bpf_iter_num_new(&it, 0, 3);
            int r = bpf_iter_num_next(&it) ? 1 : 2; bpf_iter_num_destroy(&it); return r; }",
    },
    Case {
        // An iterator that is at its end stays there; the rounds of those inside of the loop do not count.
        faulty:
            "SEC(\"xdp\") int f(void *x) { struct bpf_iter_num p, a, b, c, d; int sum = 0; bpf_iter_num_new(&p, 0, 10);
            if (bpf_iter_num_next(&p)) { bpf_iter_num_new(&a, 0, 10); while (bpf_iter_num_next(&a)) {
            bpf_iter_num_new(&b, 0, 10); if (bpf_iter_num_next(&b)) { do { bpf_iter_num_new(&c, 0, 10);
            while (bpf_iter_num_next(&c)) { bpf_iter_num_new(&d, 0, 10); while (bpf_iter_num_next(&d)) sum++;
            bpf_iter_num_destroy(&d); } bpf_iter_num_destroy(&c); } while (!bpf_iter_num_next(&b)); }
            bpf_iter_num_destroy(&b); } bpf_iter_num_destroy(&a); } bpf_iter_num_destroy(&p); return sum & 1; }",
        said: "never ends",
        mended:
            "SEC(\"xdp\") int f(void *x) { struct bpf_iter_num p, a, b, c, d; int sum = 0; bpf_iter_num_new(&p, 0, 10);
            if (bpf_iter_num_next(&p)) { bpf_iter_num_new(&a, 0, 10); while (bpf_iter_num_next(&a)) {
            bpf_iter_num_new(&b, 0, 10); if (bpf_iter_num_next(&b)) { do { bpf_iter_num_new(&c, 0, 10);
            while (bpf_iter_num_next(&c)) { bpf_iter_num_new(&d, 0, 10); while (bpf_iter_num_next(&d)) sum++;
            bpf_iter_num_destroy(&d); } bpf_iter_num_destroy(&c); } while (bpf_iter_num_next(&b)); }
            bpf_iter_num_destroy(&b); } bpf_iter_num_destroy(&a); } bpf_iter_num_destroy(&p); return sum & 1; }",
    },
    Case {
        faulty: "static int round(u32 i, void *c) { return 2; }
            SEC(\"xdp\") int f(void *x) { loop(10, round, (void *)0, 0); return 1; }",
        said: "the callback returns something else than 0 or 1",
        mended: "static int round(u32 i, void *c) { return i == 3; }
            SEC(\"xdp\") int f(void *x) { loop(10, round, (void *)0, 0); return 1; }",
    },
    Case {
        faulty: "static int round(u32 i, u64 *c) { *c += 1; return 0; }
            SEC(\"xdp\") int f(void *x) { u64 at = 0; u32 key = 0; loop(10, round, &at, 0);
            char *v = map_lookup(&numbers, &key); return v ? v[at] : 1; }",
        said: "",
        mended: "static int round(u32 i, u64 *c) { *c += 1; return 0; }
            SEC(\"xdp\") int f(void *x) { u64 at = 0; u32 key = 0; loop(10, round, &at, 0);
            char *v = map_lookup(&numbers, &key); return v && at < 8 ? v[at] : 1; }",
    },
    Case {
        faulty: "static int entry(void *map, u32 *key, u64 *value, void *c) { return value[1]; }
            SEC(\"xdp\") int f(void *x) { for_each_map_elem(&numbers, entry, (void *)0, 0); return 1; }",
        said: "may reach byte 16 of a map value, which has 8 bytes",
        mended: "static int entry(void *map, u32 *key, u64 *value, void *c) { return value[0] & 1; }
            SEC(\"xdp\") int f(void *x) { for_each_map_elem(&numbers, entry, (void *)0, 0); return 1; }",
    },
    Case {
        faulty: "static int later(void *map, u32 *key, struct timed *value) { return 1; }
            SEC(\"xdp\") int f(void *x) { u32 key = get_prandom_u32(); struct timed *v = map_lookup(&timers, &key);
            if (v) timer_set_callback(&v->timer, later); return 1; }",
        said: "the callback returns something else than 0",
        mended: "static int later(void *map, u32 *key, struct timed *value) { return 0; }
            SEC(\"xdp\") int f(void *x) { u32 key = get_prandom_u32(); struct timed *v = map_lookup(&timers, &key);
            if (v) timer_set_callback(&v->timer, later); return 1; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { struct guarded *v = locked(); if (!v) return 1;
            spin_lock(&v->lock); v->count++; return 2; }",
        said: "with a lock held",
        mended: "SEC(\"xdp\") int f(void *x) { struct guarded *v = locked(); if (!v) return 1;
            spin_lock(&v->lock); v->count++; spin_unlock(&v->lock); return 2; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { struct guarded *v = locked(); if (!v) return 1;
            spin_lock(&v->lock); v->count = get_prandom_u32(); spin_unlock(&v->lock); return 2; }",
        said: "called while a lock is held",
        mended:
            "SEC(\"xdp\") int f(void *x) { struct guarded *v = locked(); if (!v) return 1; u32 n = get_prandom_u32();
            spin_lock(&v->lock); v->count = n; spin_unlock(&v->lock); return 2; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { struct guarded *v = locked(), *w = locked(); if (!v || !w) return 1;
            spin_lock(&v->lock); v->count++; spin_unlock(&w->lock); return 2; }",
        said: "another lock is given back",
        mended: "SEC(\"xdp\") int f(void *x) { struct guarded *v = locked(), *w = locked(); if (!v || !w) return 1;
            spin_lock(&w->lock); v->count++; spin_unlock(&w->lock); return 2; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { struct guarded *v = locked(); return v ? v->lock.val : 1; }",
        said: "is accessed directly",
        mended: "SEC(\"xdp\") int f(void *x) { struct guarded *v = locked(); return v ? v->count : 1; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { bpf_rcu_read_lock(); return 1; }",
        said: "the RCU read lock held",
        mended: "SEC(\"xdp\") int f(void *x) { bpf_rcu_read_lock(); bpf_rcu_read_unlock(); return 1; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { bpf_preempt_disable(); bpf_preempt_enable(); bpf_preempt_enable(); return 1; }",
        said: "preemption is allowed again",
        mended: "SEC(\"xdp\") int f(void *x) { bpf_preempt_disable(); bpf_preempt_enable(); return 1; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { struct bpf_dynptr d; ringbuf_reserve_dynptr(&ring, 8, 0, &d); return 1; }",
        said: "is not given back",
        mended: "SEC(\"xdp\") int f(void *x) { struct bpf_dynptr d; ringbuf_reserve_dynptr(&ring, 8, 0, &d);
            ringbuf_discard_dynptr(&d, 0); return 1; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { struct bpf_dynptr d = {}; u64 n = 0; dynptr_read(&n, 8, &d, 0, 0); return n; }",
        said: "the dynptr was not initialised",
        mended: "SEC(\"xdp\") int f(void *x) { struct bpf_dynptr d; u64 n = 0; ringbuf_reserve_dynptr(&ring, 8, 0, &d);
            dynptr_read(&n, 8, &d, 0, 0); ringbuf_discard_dynptr(&d, 0); return n; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { struct bpf_dynptr d; ringbuf_reserve_dynptr(&ring, 8, 0, &d);
            ringbuf_discard_dynptr(&d, 0); ringbuf_discard_dynptr(&d, 0); return 1; }",
        said: "the dynptr was not initialised",
        mended: "SEC(\"xdp\") int f(void *x) { struct bpf_dynptr d; ringbuf_reserve_dynptr(&ring, 8, 0, &d);
            ringbuf_discard_dynptr(&d, 0); return 1; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { bpf_task_release(bpf_task_from_pid(1)); return 1; }",
        said: "may be null",
        mended:
            "SEC(\"xdp\") int f(void *x) { struct task_struct *t = bpf_task_from_pid(1); if (t) bpf_task_release(t);
            return 1; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { struct task_struct *t = bpf_task_from_pid(1); return t ? 1 : 2; }",
        said: "is not given back",
        mended: "SEC(\"xdp\") int f(void *x) { struct task_struct *t = bpf_task_from_pid(1); if (!t) return 1;
            int pid = t->pid; bpf_task_release(t); return pid; }",
    },
    Case {
        faulty: "__attribute__((noinline)) int g(u64 *n) { return *n; }
            SEC(\"xdp\") int f(void *x) { u64 n = get_prandom_u32(); return g(&n); }",
        said: "may be null",
        mended: "__attribute__((noinline)) int g(u64 *n) { return n ? *n : 0; }
            SEC(\"xdp\") int f(void *x) { u64 n = get_prandom_u32(); return g(&n); }",
    },
    Case {
        faulty: "__attribute__((noinline)) int g(u64 *n) { return n ? n[0] : 0; }
            SEC(\"xdp\") int f(void *x) { return g((u64 *)(u64)get_prandom_u32()); }",
        said: "is a number and not an address",
        mended: "__attribute__((noinline)) int g(u64 *n) { return n ? n[0] : 0; }
            SEC(\"xdp\") int f(void *x) { u64 n = get_prandom_u32(); return g(&n); }",
    },
    Case {
        faulty: "struct skb { u32 before[19]; u32 data; u32 end; };
            static int (*const store)(void *s, u32 at, const void *from, u32 len, u64 flags) = (void *)9;
            SEC(\"tc\") int f(struct skb *s) { u8 *data = (void *)(u64)s->data, *end = (void *)(u64)s->end;
            return data + 8 > end ? 0 : store(s, 20, data, 8, 0); }",
        said: "does not take pointers into the packet",
        mended: "struct skb { u32 before[19]; u32 data; u32 end; };
            static int (*const store)(void *s, u32 at, const void *from, u32 len, u64 flags) = (void *)9;
            SEC(\"tc\") int f(struct skb *s) { u8 *data = (void *)(u64)s->data, *end = (void *)(u64)s->end; u64 copy;
            if (data + 8 > end) return 0; copy = *(u64 *)data; return store(s, 20, &copy, 8, 0); }",
    },
];

fn object(text: &str) -> Option<Object> {
    match skep_testkit::clang::compile_text(&format!("{SHARED}{text}\n"), &["-Wno-incompatible-pointer-types"]) {
        Ok(bytes) => Some(Object::from_elf(&bytes).unwrap()),
        Err(why) => {
            println!("SKIPPED: {why}");
            assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
            None
        }
    }
}

/// Whether the running kernel takes the object.
fn kernel_takes(object: &Object) -> Option<bool> {
    match load(object) {
        Ok(_) => Some(true),
        Err(LoadError::Program { error: KernelError::Rejected { .. }, .. }) => Some(false),
        Err(error) => {
            println!("SKIPPED: {error}");
            assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {error}");
            None
        }
    }
}

#[test]
fn refusals_and_their_remedies() {
    let types = match RunningKernel::new().types() {
        Ok(types) => types,
        Err(error) => return println!("SKIPPED: {error}"),
    };
    for case in CASES {
        let (Some(faulty), Some(mended)) = (object(case.faulty), object(case.mended)) else { return };
        let verdict = |object: &Object| {
            let mut fitted = object.clone();
            fitted.resolve(&RunningKernel::for_object(object)).unwrap();
            verify_with(&fitted, &fitted.programs[0], Kernel::V6_18, &types)
        };
        match verdict(&faulty) {
            Verdict::Rejected(rejection) => {
                let said = rejection.reason.to_string();
                assert!(said.contains(case.said), "{}\n{said}", case.faulty);
            }
            other => panic!("{}\n{other:?}", case.faulty),
        }
        let verdict = verdict(&mended);
        assert_eq!(verdict.accepted(), Some(true), "{}\n{verdict:?}", case.mended);
        let (Some(bad), Some(good)) = (kernel_takes(&faulty), kernel_takes(&mended)) else { return };
        assert!(!bad, "the kernel takes {}", case.faulty);
        assert!(good, "the kernel refuses {}", case.mended);
    }
}
