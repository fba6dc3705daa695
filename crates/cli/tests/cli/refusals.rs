//! What `skep build` and its like say about programs that no kernel would load: place, headline, path, and a change that
//! was verified.

use std::fmt::Write as _;

use crate::support::{Run, has_types};

/// A program in C that is refused.
struct Case {
    /// The program; its line with `/*!*/` is the one that is shown, with a caret at what follows.
    text: &'static str,
    /// Part of the headline.
    said: &'static str,
    /// Part of the last branch of the path; empty if there is none.
    branch: &'static str,
    /// Part of what is told of the value; empty if nothing is.
    origin: &'static str,
    /// Part of the change.
    change: &'static str,
}

const SHARED: &str = "#include \"vmlinux.h\"
#include <bpf/bpf_helpers.h>
struct pair { __u64 a; __u64 b; };
struct guarded { struct bpf_spin_lock lock; __u32 count; };
struct node { struct bpf_list_node link; __u64 value; };
struct listed { struct bpf_spin_lock lock; struct bpf_list_head head __attribute__((btf_decl_tag(\"contains:node:link\"))); };
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4); __type(key, __u32); __type(value, struct pair); } pairs SEC(\".maps\");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4); __type(key, __u64); __type(value, __u64); } hash SEC(\".maps\");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4); __type(key, __u32); __type(value, struct guarded); } locks SEC(\".maps\");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4); __type(key, __u32); __type(value, struct listed); } lists SEC(\".maps\");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } ring SEC(\".maps\");
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym;
extern struct task_struct *bpf_task_from_pid(int pid) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
char licence[] SEC(\"license\") = \"GPL\";
struct node *unused;
";

/// The most frequent refusals in the kernel's tests and in programs of others, each as somebody would write it.
const CASES: &[Case] = &[
    Case {
        text: "SEC(\"tc\") int f(struct __sk_buff *skb)
{
	return *(__u64 *)/*!*/skb != 0;
}",
        said: "8 bytes at 0 of the context cannot be read",
        branch: "",
        origin: "",
        change: "read `len` with 4 bytes at 0",
    },
    Case {
        text: "SEC(\"tc\") int f(struct __sk_buff *skb)
{
	__u32 key = 1;
	struct listed *list = bpf_map_lookup_elem(&lists, &key);
	if (!list)
		return 0;
	/*!*/bpf_list_pop_front(&list->head);
	return 0;
}",
        said: "the lock that guards this list or tree is not held",
        branch: "if (!list)",
        origin: "",
        change: "",
    },
    Case {
        text: "SEC(\"tracepoint/raw_syscalls/sys_enter\") int f(__u64 *args)
{
	__u64 *memory = (__u64 *)args[2];
	return /*!*/*memory & 1;
}",
        said: "is a number and not an address",
        branch: "",
        origin: "8 bytes are read from the context",
        change: "read the 8 bytes by probe_read_kernel",
    },
    Case {
        text: "SEC(\"xdp\") int f(struct xdp_md *ctx)
{
	__u8 *start = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (start + 4 > end)
		return 1;
	return /*!*/start[4];
}",
        said: "not known to be in the packet; 4 bytes are",
        branch: "if (start + 4 > end)",
        origin: "4 bytes are read from the context",
        change: "with the end of the packet first",
    },
    Case {
        text: "SEC(\"xdp\") int f(struct xdp_md *ctx)
{
	__u32 key = 1;
	char *found = bpf_map_lookup_elem(&pairs, &key);
	long at = (int)bpf_get_prandom_u32();
	if (!found || at > 15)
		return 1;
	return /*!*/found[at];
}",
        said: "may be",
        branch: "if (!found || at > 15)",
        origin: "tells",
        change: "",
    },
    Case {
        text: "SEC(\"xdp\") __attribute__((naked)) int f(struct xdp_md *ctx)
{
	asm volatile(\"r0 = r5; r0 &= 1; exit;\");
}",
        said: "r5 was never written on this path",
        branch: "",
        origin: "nothing on the path writes it",
        change: "give r5 a value",
    },
    Case {
        text: "SEC(\"xdp\") int f(struct xdp_md *ctx)
{
	void *record = bpf_ringbuf_reserve(&ring, 8, 0);
	return record ? 1 : 2;
}",
        said: "is not given back",
        branch: "return record ? 1 : 2;",
        origin: "",
        change: "give it back here with ringbuf_discard",
    },
    Case {
        text: "SEC(\"cgroup_skb/ingress\") int f(struct __sk_buff *skb)
{
	return bpf_get_prandom_u32();
}",
        said: "the result may be from ",
        branch: "",
        origin: "it is the result of get_prandom_u32",
        change: "in place of what is not 0 to 1",
    },
    Case {
        text: "SEC(\"xdp\") int f(struct xdp_md *ctx)
{
	__u32 key = 1, size = bpf_get_prandom_u32();
	char *found = bpf_map_lookup_elem(&pairs, &key);
	if (!found)
		return 1;
	return /*!*/bpf_ringbuf_output(&ring, found, size, 0);
}",
        said: "the size in r3 may be too large",
        branch: "if (!found)",
        origin: "it is the result of get_prandom_u32",
        change: "compare r3 with 16 first, the size of the memory",
    },
    Case {
        text: "SEC(\"tc\") int f(struct __sk_buff *skb)
{
	__u32 one = 1, two = 2;
	struct guarded *a = bpf_map_lookup_elem(&locks, &one), *b;
	if (!a)
		return 0;
	b = bpf_map_lookup_elem(&locks, &two);
	if (!b)
		return 0;
	bpf_spin_lock(&a->lock);
	a->count++;
	/*!*/bpf_spin_unlock(&b->lock);
	return 0;
}",
        said: "another lock is given back than the one that is held",
        branch: "if (!b)",
        origin: "",
        change: "give back the lock that was taken at instruction",
    },
    Case {
        text: "SEC(\"tc\") int f(struct __sk_buff *skb)
{
	struct task_struct *task = bpf_task_from_pid(1);
	/*!*/bpf_task_release(task);
	return 0;
}",
        said: "the pointer may be null",
        branch: "",
        origin: "it is the result of",
        change: "compare r1 with null first",
    },
    Case {
        text: "SEC(\"xdp\") int f(struct xdp_md *ctx)
{
	__u32 key = 1, at = bpf_get_prandom_u32();
	char *found = bpf_map_lookup_elem(&pairs, &key);
	if (!found || at > 16)
		return 1;
	return /*!*/found[at];
}",
        said: "may reach byte 17 of a map value, which has 16 bytes",
        branch: "if (!found || at > 16)",
        origin: "",
        change: "before it is added",
    },
    Case {
        text: "SEC(\"xdp\") __attribute__((naked)) int f(struct xdp_md *ctx)
{
	asm volatile(\"*(u64 *)(r10 - 520) = r1; r0 = 1; exit;\");
}",
        said: "8 bytes at r10-520 are not in the 512 bytes of stack",
        branch: "",
        origin: "",
        change: "access r10-512, which is in the stack and aligned",
    },
    Case {
        text: "SEC(\"xdp\") int f(struct xdp_md *ctx)
{
	__u32 word = 0;
	bpf_skb_load_bytes/*!*/(ctx, 0, &word, 4);
	return word & 1;
}",
        said: "this type of program cannot call skb_load_bytes",
        branch: "",
        origin: "",
        change: "call xdp_load_bytes in place of skb_load_bytes",
    },
    Case {
        text: "SEC(\"xdp\") int f(struct xdp_md *ctx)
{
	__u64 key = 1, *found = bpf_map_lookup_elem(&hash, &key);
	return /*!*/*found;
}",
        said: "may be null: it is a map value that was not tested",
        branch: "",
        origin: "it is the result of map_lookup_elem: a map value or null",
        change: "compare r0 with null first",
    },
];

#[track_caller]
fn skep(args: &[&str]) -> Run {
    crate::support::skep(args)
}

/// Writes a file into a directory of its own.
fn file(name: &str, text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    (directory, path.display().to_string())
}

/// The text between two headings of a refusal, or to its end.
fn part<'a>(text: &'a str, from: &str, to: &[&str]) -> &'a str {
    let Some((_, rest)) = text.split_once(from) else { return "" };
    let end = to.iter().filter_map(|heading| rest.find(heading)).min().unwrap_or(rest.len());
    &rest[..end]
}

/// What is not as expected about a case.
fn faults(case: &Case) -> String {
    let text = format!("{SHARED}{}\n", case.text.replace("/*!*/", ""));
    let (directory, path) = file("case.bpf.c", &text);
    let object = directory.path().join("case.o").display().to_string();
    let run = skep(&["build", &path, "-o", &object]);
    let err = &run.err;
    let mut faults = String::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            let _ = writeln!(faults, "{what}");
        }
    };
    expect(run.status == Some(2), "the status is not 2");
    expect(!std::path::Path::new(&object).exists(), "an object was written");
    // The compiler may have warned before.
    let headline = err.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    expect(headline.starts_with("error: program `f` would be refused by Linux "), "the headline begins otherwise");
    expect(headline.contains(case.said), "the headline says something else");
    // The place: file, line, and the line itself with a caret below it.
    if let Some(before) = case.text.split("/*!*/").next().filter(|before| before.len() < case.text.len()) {
        let line = SHARED.lines().count() + before.lines().count();
        expect(err.contains(&format!("case.bpf.c:{line}:")), "another line is shown");
        let shown = case.text.lines().find(|line| line.contains("/*!*/")).unwrap_or_default().replace("/*!*/", "");
        expect(err.contains(shown.trim()) && err.contains('^'), "the line has no caret");
    }
    let headings = ["\n  on the path", "\n  where the value comes from", "\n  checked:", "\nnote:"];
    let branches = part(err, "  on the path\n", &headings);
    expect(branches.lines().last().unwrap_or_default().contains(case.branch), "the path ends otherwise");
    expect(
        part(err, "where the value comes from\n", &headings).contains(case.origin),
        "the value comes from elsewhere",
    );
    expect(part(err, "checked: the program passes with\n", &headings).contains(case.change), "the change is another");
    expect(err.contains("note: with --no-verify it is written all the same"), "--no-verify is not named");
    if faults.is_empty() { faults } else { format!("{}\n{err}{faults}\n", case.text) }
}

#[test]
fn common_mistakes_in_c_are_shown_in_the_source() {
    if !has_types() {
        return;
    }
    let faults: String = CASES.iter().map(faults).collect();
    assert!(faults.is_empty(), "{faults}");
}

/// What is not as expected about a script with a function in C.
fn script_faults(name: &str, c: &str, said: &str, line: Option<usize>) -> String {
    let (directory, path) = file("helpers.bpf.c", &format!("{SHARED}{c}\n"));
    let script = directory.path().join("case.bt").display().to_string();
    std::fs::write(&script, format!("import \"{path}\";\nBEGIN {{\n  @a = {name}(nsecs);\n}}\n")).unwrap();
    let object = directory.path().join("case.o").display().to_string();
    let run = skep(&["script", "--emit-elf", &object, &script]);
    let err = &run.err;
    // The end of a probe is a place in the script.
    let line = line.map(|line| format!("helpers.bpf.c:{}:", SHARED.lines().count() + line));
    let line = line.unwrap_or_else(|| "case.bt:3:3".to_owned());
    let headline = err.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    let whole = run.status == Some(2)
        && headline.starts_with("error: probe `begin` would be refused by Linux ")
        && headline.contains(said)
        && err.contains(&line)
        && !std::path::Path::new(&object).exists();
    if whole { String::new() } else { format!("{c}\n{line} {said}\n{err}\n") }
}

#[test]
fn mistakes_in_functions_of_scripts_have_a_probe_and_a_place() {
    if !has_types() {
        return;
    }
    let faults = [
        script_faults(
            "peek",
            "__u64 peek(__u64 at)\n{\n\treturn *(__u64 *)at;\n}",
            "is a number and not an address",
            Some(3),
        ),
        script_faults(
            "count",
            "__u64 count(__u64 at)\n{\n\t__u64 *found = bpf_map_lookup_elem(&hash, &at);\n\treturn ++*found;\n}",
            "may be null: it is a map value that was not tested",
            Some(4),
        ),
        script_faults(
            "pick",
            "__u64 pick(__u64 at)\n{\n\t__u32 key = 1;\n\tchar *found = bpf_map_lookup_elem(&pairs, &key);\n\
             \tif (!found)\n\t\treturn 0;\n\treturn found[at & 31];\n}",
            "may reach byte 32 of a map value, which has 16 bytes",
            Some(7),
        ),
        script_faults(
            "bytes",
            "__u64 bytes(__u64 at)\n{\n\t__u32 word = 0;\n\tbpf_skb_load_bytes((void *)at, 0, &word, 4);\n\
             \treturn word;\n}",
            "this type of program cannot call skb_load_bytes",
            Some(4),
        ),
        script_faults(
            "held",
            "__u64 held(__u64 at)\n{\n\t__u64 *record = bpf_ringbuf_reserve(&ring, 8, 0);\n\tif (!record)\n\t\treturn 0;\n\
             \t*record = at;\n\treturn 1;\n}",
            "is not given back",
            None,
        ),
    ];
    let faults = faults.concat();
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn filters_and_lists_of_rules_are_verified() {
    let run = skep(&["filter", "-y", "EN10MB", "--ebpf", "-v", "tcp port 80"]).ok();
    assert!(run.out.contains("exit") && run.err.contains("verified for 6.1, 6.12, 6.18 in "), "{run:?}");
    let run = skep(&["filter", "-y", "EN10MB", "--ebpf", "--no-verify", "-v", "tcp port 80"]).ok();
    assert!(!run.err.contains("verified for"), "{run:?}");
    let (_directory, path) = file("rules", "default in drop\naccept in tcp to port 22\naccept in state established\n");
    let run = skep(&["firewall", "check", "--verify", &path]).ok();
    assert!(run.out.starts_with("2 rules"), "{run:?}");
}

#[test]
fn targets_and_no_verify() {
    if !has_types() {
        return;
    }
    // A ring buffer is too young for the oldest kernels only.
    let text = format!(
        "{SHARED}SEC(\"xdp\") int f(struct xdp_md *ctx)\n{{\n\t__u32 word = 7;\n\tbpf_ringbuf_output(&ring, &word, 4, 0);\n\treturn 2;\n}}\n"
    );
    let (directory, path) = file("case.bpf.c", &text);
    let object = directory.path().join("case.o").display().to_string();
    let run = skep(&["build", &path, "-o", &object, "-v"]).ok();
    assert!(run.err.contains("verified for 6.1, 6.12, 6.18 in "), "{run:?}");
    std::fs::remove_file(&object).unwrap();
    let run = skep(&["build", &path, "-o", &object, "--target-kernel", "5.4"]);
    assert_eq!(run.status, Some(2), "{run:?}");
    assert!(run.err.contains("program `f` would be refused by Linux 5.4: Linux 5.8 is the first with"), "{run:?}");
    assert!(!std::path::Path::new(&object).exists());
    skep(&["build", &path, "-o", &object, "--target-kernel", "5.4", "--no-verify"]).ok();
    assert!(std::path::Path::new(&object).exists());
    skep(&["build", &path, "-o", &object, "--target-kernel", "5.10"]).ok();
}

#[test]
fn programs_of_all_tools_are_verified() {
    if !has_types() {
        return;
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools");
    let directory = tempfile::tempdir().unwrap();
    let object = directory.path().join("tool.o").display().to_string();
    let (mut verified, mut refused) = (0, String::new());
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "bt") {
            continue;
        }
        let run = skep(&["script", "--emit-elf", &object, "-v", path.to_str().unwrap()]);
        if run.err.contains("would be refused") {
            let _ = writeln!(refused, "{}:\n{}", path.display(), run.err);
        }
        verified += usize::from(run.status == Some(0) && run.err.contains("verified for"));
    }
    println!("{verified} tools are verified");
    assert!(refused.is_empty(), "{refused}");
    // Which of them can be compiled depends on the kernel's types and tracepoints.
    assert!(verified > 0);
}
