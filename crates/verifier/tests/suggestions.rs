//! The most common refusals: headline, path, where the value comes from, and a change with which the program passes. The
//! kernel refuses the program and takes the changed one.

mod agreement;

use skep_kernel::{KernelError, LoadError, LoadOptions, RunningKernel, load_with};
use skep_object::Object;
use skep_verifier::suggest::{Advice, advise};
use skep_verifier::{Kernel, Rejection, Terms, Verdict, verify_with};

/// A program that is refused.
struct Case {
    /// The program.
    text: &'static str,
    /// Part of the headline.
    said: &'static str,
    /// Part of the line with the last branch on the path; empty if there is none.
    branch: &'static str,
    /// Part of what is told of the value; empty if nothing is.
    origin: &'static str,
    /// Part of the change.
    change: &'static str,
}

const SHARED: &str = "
struct xdp_md { u32 data; u32 data_end; u32 data_meta; u32 ingress_ifindex; };
struct __sk_buff { u32 len; };
struct pair { u64 a; u64 b; };
struct bpf_spin_lock { u32 val; };
struct bpf_list_head { u64 __opaque[2]; } __attribute__((aligned(8)));
struct bpf_list_node { u64 __opaque[3]; } __attribute__((aligned(8)));
struct node { struct bpf_list_node link; u64 value; };
struct listed { struct bpf_spin_lock lock; struct bpf_list_head head __attribute__((btf_decl_tag(\"contains:node:link\"))); };
struct guarded { struct bpf_spin_lock lock; u32 count; };
struct task_struct { int pid; } __core;
struct { __uint(type, ARRAY); __uint(max_entries, 4); __type(key, u32); __type(value, struct pair); } pairs SEC(\".maps\");
struct { __uint(type, HASH); __uint(max_entries, 4); __type(key, u64); __type(value, u64); } hash SEC(\".maps\");
struct { __uint(type, ARRAY); __uint(max_entries, 4); __type(key, u32); __type(value, struct guarded); } locks SEC(\".maps\");
struct { __uint(type, ARRAY); __uint(max_entries, 4); __type(key, u32); __type(value, struct listed); } lists SEC(\".maps\");
struct { __uint(type, RINGBUF); __uint(max_entries, 4096); } ring SEC(\".maps\");
struct node *unused_node;
extern struct bpf_list_node *bpf_list_front(struct bpf_list_head *head) __ksym;
extern struct task_struct *bpf_task_from_pid(int pid) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
static u32 (*const get_prandom_u32)(void) = (void *)7;
static long (*const ringbuf_output)(void *ring, const void *data, u64 size, u64 flags) = (void *)130;
static long (*const override_return)(void *x, u64 r) = (void *)58;
static long (*const skb_load_bytes)(void *x, u32 off, void *to, u32 size) = (void *)26;
";

/// In the order of their frequency in the kernel's tests and real programs.
const CASES: &[Case] = &[
    Case {
        text: "SEC(\"tc\") int f(struct __sk_buff *x) { return *(volatile u64 *)x != 0; }",
        said: "8 bytes at 0 of the context cannot be read",
        branch: "",
        origin: "",
        change: "read `len` with 4 bytes at 0",
    },
    Case {
        text: "SEC(\"tc\") int f(void *x) { u32 key = get_prandom_u32(); struct listed *v = map_lookup(&lists, &key);
            if (!v) return 0;
            return bpf_list_front(&v->head) ? 1 : 2; }",
        said: "the lock that guards this list or tree is not held",
        branch: "if (!v) return 0;",
        origin: "",
        change: "take the lock before this call, and give it back behind it",
    },
    Case {
        text: "SEC(\"tp/raw_syscalls/sys_enter\") int f(u64 *x) { u64 *p = (u64 *)x[2];
            return *p & 1; }",
        said: "is a number and not an address",
        branch: "",
        origin: "8 bytes are read from the context",
        change: "read the 8 bytes by probe_read_kernel",
    },
    Case {
        text: "SEC(\"xdp\") int f(struct xdp_md *x) { u8 *p = (void *)(u64)x->data; void *end = (void *)(u64)x->data_end;
            if ((void *)(p + 4) > end) return 1;
            return p[4]; }",
        said: "not known to be in the packet; 4 bytes are",
        branch: "if ((void *)(p + 4) > end)",
        origin: "4 bytes are read from the context",
        change: "with the end of the packet first",
    },
    Case {
        text: "SEC(\"xdp\") int f(void *x) { u32 key = get_prandom_u32(); char *found = map_lookup(&pairs, &key); s64 at = (s32)get_prandom_u32();
            if (!found || at > 15) return 1;
            return found[at]; }",
        said: "further away than pointers may be moved",
        branch: "if (!found || at > 15) return 1;",
        origin: "tells",
        change: "compare r",
    },
    Case {
        text: "SEC(\"xdp\") int f(void *x) { u64 word;
            asm volatile(\"%0 = r5\" : \"=r\"(word));
            return word & 1; }",
        said: "r5 was never written on this path",
        branch: "",
        origin: "nothing on the path writes it",
        change: "give r5 a value",
    },
    Case {
        text: "SEC(\"xdp\") int f(void *x) { void *record = ringbuf_reserve(&ring, 8, 0);
            return record ? 1 : 2; }",
        said: "is not given back",
        branch: "",
        origin: "",
        change: "give it back here with ringbuf_discard",
    },
    Case {
        text: "SEC(\"cgroup_skb/ingress\") int f(void *x) { return get_prandom_u32(); }",
        said: "the result may be from ",
        branch: "",
        origin: "it is the result of get_prandom_u32",
        change: "in place of what is not 0 to 1",
    },
    Case {
        text: "SEC(\"xdp\") int f(void *x) { u32 key = get_prandom_u32(); char *found = map_lookup(&pairs, &key); u32 size = get_prandom_u32();
            if (!found) return 1;
            return ringbuf_output(&ring, found, size, 0); }",
        said: "the size in r3 may be too large",
        branch: "if (!found) return 1;",
        origin: "it is the result of get_prandom_u32",
        change: "compare r3 with 16 first, the size of the memory",
    },
    Case {
        text: "SEC(\"tc\") int f(void *x) { u32 one = 1, two = 2; struct guarded *a, *b;
            a = map_lookup(&locks, &one); if (!a) return 0;
            b = map_lookup(&locks, &two); if (!b) return 0;
            spin_lock(&a->lock); a->count++; spin_unlock(&b->lock); return a->count & 1; }",
        said: "another lock is given back than the one that is held",
        branch: "",
        origin: "",
        change: "give back the lock that was taken at instruction",
    },
    Case {
        text: "SEC(\"xdp\") int f(void *x) { u32 key = get_prandom_u32(); char *found = map_lookup(&pairs, &key); u64 key2 = 1, *at = map_lookup(&hash, &key2);
            if (!found || !at) return 1;
            return found[*at]; }",
        said: "a number without a lower bound is added to a pointer to a map value",
        branch: "if (!found || !at) return 1;",
        origin: "8 bytes are read from a map value",
        change: "before it is added",
    },
    Case {
        text: "SEC(\"tc\") int f(void *x) { struct task_struct *t = bpf_task_from_pid(1); bpf_task_release(t); return 0; }",
        said: "the pointer may be null",
        branch: "",
        origin: "it is the result of",
        change: "compare r1 with null first",
    },
    Case {
        text: "SEC(\"xdp\") int f(void *x) { u32 key = get_prandom_u32(); char *found = map_lookup(&pairs, &key); u32 at = get_prandom_u32();
            if (!found || at > 16) return 1;
            return found[at]; }",
        said: "may reach byte 17 of a map value, which has 16 bytes",
        branch: "if (!found || at > 16) return 1;",
        origin: "adds",
        change: "with 15 before it is added",
    },
    Case {
        text: "SEC(\"xdp\") int f(void *x) { asm volatile(\"*(u64 *)(r10 - 520) = %0\" : : \"r\"(x)); return 1; }",
        said: "8 bytes at r10-520 are not in the 512 bytes of stack",
        branch: "",
        origin: "",
        change: "access r10-512, which is in the stack and aligned",
    },
    Case {
        text: "SEC(\"xdp\") int f(void *x) { u32 word = 0; skb_load_bytes(x, 0, &word, 4); return word & 1; }",
        said: "this type of program cannot call skb_load_bytes",
        branch: "",
        origin: "",
        change: "call xdp_load_bytes in place of skb_load_bytes",
    },
    Case {
        text: "SEC(\"xdp\") int f(void *x) { return override_return(x, 1); }",
        said: "this type of program cannot call override_return",
        branch: "",
        origin: "",
        change: "without this call the program passes",
    },
    Case {
        text: "SEC(\"xdp\") int f(void *x) { u64 key = 1; u64 *found = map_lookup(&hash, &key);
            return *found; }",
        said: "may be null: it is a map value that was not tested",
        branch: "",
        origin: "it is the result of map_lookup_elem: a map value or null",
        change: "compare r0 with null first",
    },
];

/// An object that is fitted to the running kernel.
fn object(text: &str) -> Option<Object> {
    let source = format!("{SHARED}{text}\nchar licence[] SEC(\"license\") = \"GPL\";\n");
    let bytes = match skep_testkit::clang::compile_text(&source, &[]) {
        Ok(bytes) => bytes,
        Err(why) => {
            agreement::skip(&why);
            return None;
        }
    };
    let mut object = Object::from_elf(&bytes).unwrap();
    object.resolve(&RunningKernel::for_object(&object)).unwrap_or_else(|error| panic!("{text}: {error}"));
    Some(object)
}

/// Whether the running kernel takes the program.
fn kernel_takes(object: &Object, name: &str) -> bool {
    let options = LoadOptions { programs: Some(&[name]), pins: None, ..LoadOptions::default() };
    match load_with(object, &options) {
        Ok(_) => true,
        Err(LoadError::Program { error: KernelError::Rejected { .. }, .. }) => false,
        Err(error) => panic!("{name}: {error}"),
    }
}

/// The advice on a program, and the refusal.
fn advice(object: &Object, index: usize, kernel: Kernel) -> Option<(Rejection, Advice)> {
    let types = RunningKernel::new().types().ok();
    let program = &object.programs[index];
    let types = types?;
    match verify_with(object, program, kernel, &types) {
        Verdict::Rejected(rejection) => {
            let advice =
                advise(object, program, kernel, &Terms { types: Some(&types), ..Terms::default() }, &rejection);
            Some((rejection, advice))
        }
        _ => None,
    }
}

/// What is not as expected about a case; `None` if it cannot be compiled.
fn faults(case: &Case, kernel: Kernel) -> Option<Vec<String>> {
    let object = object(case.text)?;
    let index = object.programs.iter().position(|program| program.name == "f")?;
    let program = &object.programs[index];
    let Some((rejection, advice)) = advice(&object, index, kernel) else {
        return Some(vec!["it is accepted".to_owned()]);
    };
    let line = |at: u32| program.line_of(skep_isa::ebpf::InsnIdx::new(at as usize)).map_or("", |line| &line.text);
    let said = rejection.reason.to_string();
    let branch = rejection.path.last().map_or("", |(at, _)| line(*at));
    let origins: Vec<&str> = advice.origins.iter().map(|origin| origin.what.as_str()).collect();
    let changes: Vec<&str> = advice.changes.iter().map(|change| change.words.as_str()).collect();
    println!("{said}\n  {origins:?}\n  {:?}", advice.changes);
    let mut faults = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    expect(said.contains(case.said), format!("it says {said:?}"));
    expect(branch.contains(case.branch), format!("the path ends with {branch:?}"));
    let told = case.origin.is_empty() || origins.iter().any(|what| what.contains(case.origin));
    expect(told, format!("of the value it tells {origins:?}"));
    expect(changes.iter().any(|words| words.contains(case.change)), format!("the changes are {changes:?}"));
    expect(!kernel_takes(&object, "f"), "the kernel takes it".to_owned());
    let mut mended = object.clone();
    if let Some(changed) = advice.mended {
        mended.programs[index] = changed;
        expect(kernel_takes(&mended, "f"), format!("the kernel refuses it with {changes:?}"));
    }
    Some(faults)
}

#[test]
fn each_has_a_change_that_passes() {
    let Some(kernel) = agreement::running().filter(|kernel| *kernel == Kernel::newest()) else { return };
    let mut all = Vec::new();
    for case in CASES {
        let Some(faults) = faults(case, kernel) else { return };
        all.extend(faults.into_iter().map(|fault| format!("{}\n  {fault}", case.text)));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

/// The kernel agrees with the changes of the programs of its own tests too.
#[test]
fn changes_of_the_kernels_own_tests() {
    let Some(kernel) = agreement::running().filter(|kernel| *kernel == Kernel::newest()) else { return };
    let directory = agreement::cache().join("objects");
    let mut paths: Vec<_> =
        std::fs::read_dir(directory).into_iter().flatten().flatten().map(|file| file.path()).collect();
    let all = std::env::var("SKEP_CORPUS").as_deref() == Ok("all");
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "o"));
    paths.sort_unstable();
    if paths.is_empty() {
        return println!("SKIPPED: no objects were compiled before (tests/corpus.rs)");
    }
    let (mut refused, mut changed, mut taken) = (0, 0, 0);
    let mut wrong = Vec::new();
    for path in paths.iter().step_by(if all { 1 } else { 12 }) {
        let Some(object) = std::fs::read(path).ok().and_then(|bytes| Object::from_elf(&bytes).ok()) else { continue };
        for index in 0..object.programs.len() {
            let mut fitted = object.clone();
            fitted.programs.iter_mut().enumerate().for_each(|(other, program)| program.autoload = other == index);
            if fitted.resolve(&RunningKernel::for_object(&fitted)).is_err() {
                continue;
            }
            let Some((rejection, advice)) = advice(&fitted, index, kernel) else { continue };
            refused += 1;
            let Some(mended) = advice.mended else { continue };
            changed += 1;
            fitted.programs[index] = mended;
            match agreement::theirs(&fitted, &fitted.programs[index]) {
                agreement::Theirs::Takes => taken += 1,
                agreement::Theirs::Silent(_) => changed -= 1,
                agreement::Theirs::Refuses(words) => {
                    let (path, program) = (path.display(), &fitted.programs[index].name);
                    wrong.push(format!("{path} {program}: {}: {:?}: {words}", rejection.reason, advice.changes));
                }
            }
        }
    }
    println!(
        "{refused} programs are refused, {changed} have a change that passes here, the kernel takes {taken} of them"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(changed * 4 > refused, "{changed} of {refused}");
}
