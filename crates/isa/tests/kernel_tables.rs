//! Holds the tables against the types of the running kernel: enumerations, contexts, kfuncs.

use std::collections::HashMap;

use skep_btf::{Btf, Kind, TypeId};
use skep_isa::contexts::{CONTEXTS, Context};
use skep_isa::{AttachType, LinkType, MapType, ProgType, Release, helpers, kfuncs};

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// The kernel's types, `None` (and a remark) if it does not publish them.
fn kernel_types() -> Option<Btf> {
    match std::fs::read(VMLINUX) {
        Ok(bytes) => Some(Btf::parse(bytes).expect("the kernel's own types are well formed")),
        Err(error) => {
            let required = std::env::var_os("SKEP_REQUIRE_KERNEL").is_some_and(|value| value == "1");
            assert!(!required, "cannot read {VMLINUX}: {error}");
            println!("SKIPPED: cannot read {VMLINUX}: {error}");
            None
        }
    }
}

fn running() -> Release {
    Release::parse(&std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap()).unwrap()
}

/// Names and numbers of the enumeration with this name.
fn enumeration<'a>(btf: &'a Btf, name: &str) -> HashMap<&'a str, i64> {
    let is_it = |id: &TypeId| btf.name(*id) == Ok(name) && matches!(btf.kind(*id), Ok(Kind::Enum(_)));
    let id = btf.ids().find(is_it).unwrap_or_else(|| panic!("the kernel has no enum {name}"));
    let Ok(Kind::Enum(values)) = btf.kind(id) else { unreachable!() };
    values.values().map(|value| (btf.string(value.name).unwrap(), value.value)).collect()
}

/// Rows of ours against constants of the kernel, both ways.
fn agree(btf: &Btf, name: &str, prefix: &str, rows: &[(u32, String, Release)], also: &[&str]) {
    let constants = enumeration(btf, name);
    let release = running();
    for (number, row, since) in rows {
        let constant = format!("{prefix}{row}");
        match constants.get(constant.as_str()) {
            Some(found) => assert_eq!(*found, i64::from(*number), "{constant}"),
            None => assert!(*since > release, "the kernel lacks {constant}, which the table says came with {since}"),
        }
    }
    for (constant, number) in constants {
        let ours = rows.iter().any(|(row, ..)| i64::from(*row) == number);
        let known = also.contains(&constant) || constant.starts_with("__") || constant.starts_with("MAX_");
        assert!(ours || known, "{constant} = {number} has no row");
    }
}

#[test]
fn enumerations_agree_with_the_running_kernel() {
    let Some(btf) = kernel_types() else { return };
    macro_rules! rows {
        ($kind:ident) => {
            $kind::ALL.iter().map(|kind| (kind.number(), kind.name().to_uppercase(), kind.since())).collect::<Vec<_>>()
        };
    }
    agree(&btf, "bpf_prog_type", "BPF_PROG_TYPE_", &rows!(ProgType), &["BPF_PROG_TYPE_UNSPEC"]);
    agree(&btf, "bpf_link_type", "BPF_LINK_TYPE_", &rows!(LinkType), &["BPF_LINK_TYPE_UNSPEC"]);
    agree(&btf, "bpf_attach_type", "BPF_", &rows!(AttachType), &[]);
    let mut maps = rows!(MapType);
    for (_, name, _) in &mut maps {
        // The kernel renamed these when better ones came.
        if name == "CGROUP_STORAGE" || name == "PERCPU_CGROUP_STORAGE" {
            name.push_str("_DEPRECATED");
        }
    }
    if running() >= Release::new(6, 4) {
        agree(&btf, "bpf_map_type", "BPF_MAP_TYPE_", &maps, &["BPF_MAP_TYPE_UNSPEC"]);
    }
    let rows: Vec<_> = helpers::HELPERS.iter().map(|row| (row.id, row.name.to_owned(), row.since)).collect();
    agree(&btf, "bpf_func_id", "BPF_FUNC_", &rows, &["BPF_FUNC_unspec"]);
}

/// Every named field of a structure with its offset and size in bytes, members of nameless members included.
fn fields(btf: &Btf, id: TypeId, base: u32, found: &mut HashMap<String, (u32, u32)>) {
    let (Kind::Struct(composite) | Kind::Union(composite)) = btf.resolved(id).unwrap() else { return };
    for member in composite.members().filter(|member| member.bits == 0) {
        let at = base + member.bit_offset / 8;
        let name = btf.string(member.name).unwrap();
        if name.is_empty() {
            fields(btf, member.ty, at, found);
        } else if let Ok(size) = btf.size_of(member.ty) {
            found.insert(name.to_owned(), (at, size));
        }
    }
}

fn check_context(btf: &Btf, context: &Context) {
    let is_it = |id: &TypeId| btf.name(*id) == Ok(context.name) && matches!(btf.kind(*id), Ok(Kind::Struct(_)));
    let Some(id) = btf.ids().find(is_it) else { panic!("the kernel has no struct {}", context.name) };
    let size = btf.size_of(id).unwrap();
    let mut found = HashMap::new();
    fields(btf, id, 0, &mut found);
    let release = running();
    for field in context.fields {
        // The registers are a structure of the processor, with another size on each.
        if field.name == "regs" && !cfg!(target_arch = "x86_64") {
            return;
        }
        match found.remove(field.name) {
            Some(place) => assert_eq!(place, (field.offset, field.size), "{}.{}", context.name, field.name),
            None => assert!(field.since > release, "the kernel has no {}.{}", context.name, field.name),
        }
    }
    // Other names of the same bytes.
    for other in ["reply", "replylong", "cookie"] {
        found.remove(other);
    }
    assert!(found.is_empty(), "{} lacks {found:?}", context.name);
    assert!(size <= context.size, "{} has {size} bytes", context.name);
}

#[test]
fn contexts_agree_with_the_running_kernel() {
    let Some(btf) = kernel_types() else { return };
    for context in CONTEXTS {
        check_context(&btf, context);
    }
}

#[test]
fn kfuncs_of_the_running_kernel_are_not_older_than_their_rows() {
    let Some(btf) = kernel_types() else { return };
    let release = running();
    let tagged: Vec<&str> = btf
        .ids()
        .filter(|id| btf.name(*id) == Ok("bpf_kfunc"))
        .filter_map(|id| match btf.kind(id) {
            Ok(Kind::DeclTag(tag)) => btf.name(tag.target).ok(),
            _ => None,
        })
        .collect();
    if tagged.is_empty() {
        println!("the kernel does not tag its kfuncs; that came with Linux 6.10");
        return;
    }
    for name in &tagged {
        if let Some(kfunc) = kfuncs::by_name(name) {
            assert!(kfunc.since <= release, "{name} is there, but the table says that it came with {}", kfunc.since);
        }
    }
    // Those that depend on nothing but bpf(2) itself have to be there.
    for kfunc in kfuncs::KFUNCS {
        let always =
            ["bpf_iter_num_", "bpf_dynptr_", "bpf_rcu_", "bpf_cpumask_", "bpf_obj_", "bpf_list_", "bpf_rbtree_"];
        let packets = kfunc.name.contains("_from_skb") || kfunc.name.contains("_from_xdp");
        if kfunc.since <= release && always.iter().any(|start| kfunc.name.starts_with(start)) && !packets {
            assert!(
                tagged.contains(&kfunc.name),
                "the kernel lacks {}, in the table since {}",
                kfunc.name,
                kfunc.since
            );
        }
    }
}
