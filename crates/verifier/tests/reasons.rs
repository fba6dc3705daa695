//! Common refusals: what is said about them, and that the remedy is one. The kernel agrees with both.

use skep_kernel::{Capability, KernelError, LoadError, has_capability, load};
use skep_object::Object;
use skep_verifier::{Kernel, Verdict, verify};

/// A program that is refused, what is said, where in its source, and the program with the remedy.
struct Case {
    faulty: &'static str,
    said: &'static str,
    line: &'static str,
    mended: &'static str,
}

const XDP: &str = "struct xdp_md { u32 data; u32 data_end; u32 data_meta; };
struct pair { u64 a; u64 b; };
struct { __uint(type, ARRAY); __uint(max_entries, 4); __type(key, u32); __type(value, struct pair); } pairs SEC(\".maps\");
struct { __uint(type, HASH); __uint(max_entries, 4); __type(key, u64); __type(value, u64); } hash SEC(\".maps\");
static u32 (*const get_prandom_u32)(void) = (void *)7;
static void (*const ringbuf_discard)(void *record, u64 flags) = (void *)133;
static long (*const ringbuf_output)(void *ring, const void *data, u64 size, u64 flags) = (void *)130;
struct { __uint(type, RINGBUF); __uint(max_entries, 4096); } ring SEC(\".maps\");
";

const CASES: &[Case] = &[
    Case {
        faulty: "SEC(\"xdp\") int f(struct xdp_md *x) { u8 *p = (void *)(u64)x->data;
            return *p; }",
        said: "not known to be in the packet; 0 bytes are",
        line: "return *p; }",
        mended: "SEC(\"xdp\") int f(struct xdp_md *x) { u8 *p = (void *)(u64)x->data; void *end = (void *)(u64)x->data_end;
            if ((void *)(p + 1) > end) return 1;
            return *p; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { u64 key = 1; u64 *found = map_lookup(&hash, &key);
            return *found; }",
        said: "may be null: it is a map value that was not tested",
        line: "return *found; }",
        mended: "SEC(\"xdp\") int f(void *x) { u64 key = 1; u64 *found = map_lookup(&hash, &key);
            if (!found) return 1;
            return *found; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { u32 key = 1; char *found = map_lookup(&pairs, &key); u32 at = get_prandom_u32();
            if (!found || at > 16) return 1;
            return found[at]; }",
        said: "may reach byte 17 of a map value, which has 16 bytes",
        line: "return found[at]; }",
        mended: "SEC(\"xdp\") int f(void *x) { u32 key = 1; char *found = map_lookup(&pairs, &key); u32 at = get_prandom_u32();
            if (!found || at > 15) return 1;
            return found[at]; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { u32 key = 1; char *found = map_lookup(&pairs, &key); s64 at = (s32)get_prandom_u32();
            if (!found || at > 15) return 1;
            return found[at]; }",
        said: "further away than pointers may be moved",
        line: "return found[at]; }",
        mended: "SEC(\"xdp\") int f(void *x) { u32 key = 1; char *found = map_lookup(&pairs, &key); s64 at = (s32)get_prandom_u32();
            if (!found || at > 15 || at < 0) return 1;
            return found[at]; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(struct xdp_md *x) { u64 *p = (u64 *)(u64)get_prandom_u32();
            return *p; }",
        said: "is a number and not an address",
        line: "return *p; }",
        mended: "SEC(\"xdp\") int f(struct xdp_md *x) { u64 word = get_prandom_u32(); u64 *p = &word;
            return *p; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { void *record = ringbuf_reserve(&ring, 8, 0);
            return record ? 1 : 2; }",
        said: "is not given back",
        line: "",
        mended: "SEC(\"xdp\") int f(void *x) { void *record = ringbuf_reserve(&ring, 8, 0);
            if (record) ringbuf_discard(record, 0);
            return record ? 1 : 2; }",
    },
    Case {
        faulty: "SEC(\"cgroup_skb/ingress\") int f(void *x) { return 2; }",
        said: "the result may be from 2 to 2",
        line: "",
        mended: "SEC(\"cgroup_skb/ingress\") int f(void *x) { return 1; }",
    },
    Case {
        faulty: "static long (*const override_return)(void *x, u64 r) = (void *)58;
            SEC(\"xdp\") int f(void *x) { return override_return(x, 1); }",
        said: "this type of program cannot call override_return",
        line: "return override_return(x, 1);",
        mended: "SEC(\"xdp\") int f(void *x) { return ktime_get_ns() & 1; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(struct xdp_md *x) { return *(volatile u32 *)((char *)x + 60); }",
        said: "4 bytes at 60 of the context cannot be read",
        line: "return *(volatile u32 *)",
        mended: "SEC(\"xdp\") int f(struct xdp_md *x) { return *(volatile u32 *)((char *)x + 12); }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(struct xdp_md *x) { *(volatile u32 *)((char *)x + 12) = 1; return 1; }",
        said: "4 bytes at 12 of the context cannot be written",
        line: "*(volatile u32 *)",
        mended: "SEC(\"tc\") int f(void *x) { *(volatile u32 *)((char *)x + 8) = 1; return 1; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { volatile u64 n = get_prandom_u32(); while (n != 1) { } return 1; }",
        said: "",
        line: "",
        mended: "SEC(\"xdp\") int f(void *x) { u32 sum = 0;
            _Pragma(\"clang loop unroll(disable)\") for (u32 i = 0; i < 20; i++) sum += get_prandom_u32();
            return sum; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { u32 key = 1; char *found = map_lookup(&pairs, &key); u32 size = get_prandom_u32();
            if (!found) return 1;
            return ringbuf_output(&ring, found, size, 0); }",
        said: "the size in r3 may be too large",
        line: "return ringbuf_output(",
        mended: "SEC(\"xdp\") int f(void *x) { u32 key = 1; char *found = map_lookup(&pairs, &key); u32 size = get_prandom_u32();
            if (!found || size > sizeof(struct pair)) return 1;
            return ringbuf_output(&ring, found, size, 0); }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { u32 key = 1; char *found = map_lookup(&pairs, &key); s32 size = get_prandom_u32();
            if (!found || size > 16) return 1;
            return ringbuf_output(&ring, found, size, 0); }",
        said: "the size in r3 may be negative",
        line: "return ringbuf_output(",
        mended: "SEC(\"xdp\") int f(void *x) { u32 key = 1; char *found = map_lookup(&pairs, &key); u32 size = get_prandom_u32();
            if (!found || size > 16) return 1;
            return ringbuf_output(&ring, found, size, 0); }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { u64 word;
            asm volatile(\"%0 = r5\" : \"=r\"(word));
            return word & 1; }",
        said: "r5 was never written on this path",
        line: "asm volatile(",
        mended: "SEC(\"xdp\") int f(void *x) { u64 word;
            asm volatile(\"r5 = 1\\n%0 = r5\" : \"=r\"(word) : : \"r5\");
            return word & 1; }",
    },
    Case {
        faulty: "static __attribute__((noinline)) int deep(u32 n) { char room[300]; asm volatile(\"\" : : \"r\"(room) : \"memory\"); *(volatile char *)room = n; return n + 1; }
            SEC(\"xdp\") int f(void *x) { char room[300]; asm volatile(\"\" : : \"r\"(room) : \"memory\"); *(volatile char *)room = 1;
            return deep(get_prandom_u32()) & 1; }",
        said: "bytes together, more than 512",
        line: "",
        mended: "static __attribute__((noinline)) int deep(u32 n) { char room[100]; asm volatile(\"\" : : \"r\"(room) : \"memory\"); *(volatile char *)room = n; return n + 1; }
            SEC(\"xdp\") int f(void *x) { char room[300]; asm volatile(\"\" : : \"r\"(room) : \"memory\"); *(volatile char *)room = 1;
            return deep(get_prandom_u32()) & 1; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(void *x) { u64 *found = map_lookup(&hash, x);
            return found ? 1 : 2; }",
        said: "in r2, which is the context",
        line: "map_lookup(&hash, x);",
        mended: "SEC(\"xdp\") int f(void *x) { u64 key = 1; u64 *found = map_lookup(&hash, &key);
            return found ? 1 : 2; }",
    },
    Case {
        faulty: "SEC(\"xdp\") int f(struct xdp_md *x) { u32 by = get_prandom_u32() & 4;
            return *(volatile u32 *)((char *)x + by) & 1; }",
        said: "the pointer to the context was moved",
        line: "return *(volatile u32 *)",
        mended: "SEC(\"xdp\") int f(struct xdp_md *x) { u32 by = get_prandom_u32() & 4;
            return *(volatile u32 *)((char *)x + 12) & by & 1; }",
    },
];

fn object(text: &str) -> Option<Object> {
    let compiled =
        skep_testkit::clang::compile_text(&format!("{XDP}{text}\nchar licence[] SEC(\"license\") = \"GPL\";\n"), &[]);
    match compiled {
        Ok(bytes) => Some(Object::from_elf(&bytes).unwrap()),
        Err(why) => {
            println!("SKIPPED: {why}");
            assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
            None
        }
    }
}

/// Whether the running kernel takes the object; `None` without privileges.
fn kernel_takes(object: &Object) -> Option<bool> {
    if !has_capability(Capability::SysAdmin) {
        println!("SKIPPED: loading programs needs CAP_SYS_ADMIN");
        return None;
    }
    match load(object) {
        Ok(_) => Some(true),
        Err(LoadError::Program { error: KernelError::Rejected { .. }, .. }) => Some(false),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn refusals_and_their_remedies() {
    for case in CASES {
        let (Some(faulty), Some(mended)) = (object(case.faulty), object(case.mended)) else { return };
        let program = &faulty.programs[0];
        for kernel in Kernel::ASKED {
            match verify(&faulty, program, kernel) {
                Verdict::Rejected(rejection) => {
                    let said = rejection.reason.to_string();
                    assert!(said.contains(case.said), "{}\non {}: {said}", case.faulty, kernel.name());
                    let line = program.line_of(skep_isa::ebpf::InsnIdx::new(rejection.at as usize));
                    let text = line.map_or("", |line| &line.text);
                    assert!(text.contains(case.line), "{}\nat {text:?}", case.faulty);
                }
                other => panic!("{}\non {}: {other:?}", case.faulty, kernel.name()),
            }
            let verdict = verify(&mended, &mended.programs[0], kernel);
            assert_eq!(verdict.accepted(), Some(true), "{}\non {}: {verdict:?}", case.mended, kernel.name());
        }
        if let Some(taken) = kernel_takes(&faulty) {
            assert!(!taken, "the kernel takes {}", case.faulty);
            assert_eq!(kernel_takes(&mended), Some(true), "{}", case.mended);
        }
    }
}
