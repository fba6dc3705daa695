//! Kernel objects that are read without helpers: the verifier takes all such reads that the compiler makes, and they give
//! what a helper reads.

use skep_ir::{Callee, InstData};
use skep_lang_script::types::btf::BtfTypes;
use skep_lang_script::types::{Composite, CompositeId, Step, Tag, Type, TypeSource};

use super::world;

fn composite(types: &BtfTypes<'_>, ty: &Type) -> Option<std::sync::Arc<Composite>> {
    match ty {
        Type::Composite(CompositeId::Kernel(id)) => types.composite(*id),
        _ => None,
    }
}

/// Ways to numbers in the thread: its own members, and those of what its pointers lead to.
fn ways(types: &BtfTypes<'_>) -> Vec<String> {
    let task = types.find(Tag::Struct, "task_struct").unwrap();
    let task = composite(types, &task).unwrap();
    let named = |whole: &Composite| -> Vec<(String, Type)> {
        let members = whole.members.iter().filter(|member| !member.name.is_empty() && member.bits.is_none());
        members.map(|member| (member.name.to_string(), member.ty.clone())).collect()
    };
    let mut ways = Vec::new();
    for (name, ty) in named(&task) {
        if ty.scalar().is_some() {
            ways.push(format!("curtask->{name}"));
        }
        let (through, inner) = match &ty {
            Type::Pointer(to, _) => ("->", composite(types, to)),
            ty => (".", composite(types, ty)),
        };
        for (inner, ty) in inner.as_deref().map(named).into_iter().flatten().take(12) {
            if ty.scalar().is_some() {
                ways.push(format!("curtask->{name}{through}{inner}"));
            }
        }
    }
    ways
}

/// Number of helper calls by which the programs of a script read the kernel.
fn reads(text: &str) -> usize {
    /// `probe_read`, `probe_read_user`, `probe_read_kernel`
    const PROBE_READS: [u32; 3] = [4, 112, 113];
    let compiled = world::build("direct", text).unwrap_or_else(|problems| panic!("{problems}"));
    let functions = compiled.module.functions.iter();
    let insts = functions.flat_map(|f| f.blocks.iter().flat_map(|&block| &f[block].insts).map(|&inst| &f[inst].data));
    insts.filter(|data| matches!(data, InstData::Call(Callee::Helper(id), _) if PROBE_READS.contains(id))).count()
}

#[test]
fn all_that_is_read_directly_is_accepted() {
    let Some(btf) = world::kernel_types() else { return world::skip("the kernel has no types") };
    let ways = ways(&BtfTypes::new(btf));
    assert!(ways.len() > 300, "{}", ways.len());
    let mut accepted = 0;
    for some in ways.chunks(25) {
        // Names of members that are words of the language are left out.
        let script = |ways: &[&String]| -> String {
            let statements: String = ways.iter().map(|way| format!("@d = (uint64){way};\n")).collect();
            format!("begin {{\n{statements}}}")
        };
        let good: Vec<&String> = some.iter().filter(|way| world::build("direct", &script(&[*way])).is_ok()).collect();
        accepted += good.len();
        let text = script(&good);
        if let Err(reason) = world::check("direct", &text) {
            panic!("{reason}\n{text}");
        }
    }
    assert!(accepted > 300, "{accepted} of {}", ways.len());
}

#[test]
fn reads_need_no_helper_where_the_type_is_known() {
    let Some(btf) = world::kernel_types() else { return world::skip("the kernel has no types") };
    let types = BtfTypes::new(btf);
    for text in [
        "begin { @ = curtask->pid; }",
        "begin { @ = ppid; }",
        "begin { @ = curtask->group_leader->real_parent->tgid; }",
        "fentry:vfs_read { @ = args.file->f_inode->i_ino; }",
    ] {
        assert_eq!(reads(text), 0, "{text}");
    }
    // What somebody says is an address is only that.
    assert_eq!(reads("begin { $t = (struct task_struct *)(uint64)curtask; @ = $t->pid; }"), 1);
    assert_eq!(reads("kprobe:vfs_read { @ = ((struct file *)arg0)->f_flags; }"), 1);
    let Some(Type::Composite(CompositeId::Kernel(task))) = types.find(Tag::Struct, "task_struct") else { panic!() };
    let task_members = types.composite(task).unwrap();
    let member = |name: &str| task_members.members.iter().find(|member| &*member.name == name).unwrap().offset;
    assert_eq!(types.walk(task, member("pid"), 4), Some(Step::Number));
    assert_eq!(types.walk(task, member("comm") + 3, 1), Some(Step::Number));
    assert_eq!(types.walk(task, member("real_parent"), 8), Some(Step::Pointer(task)));
    // Half a pointer, beyond a number, behind the end.
    assert_eq!(types.walk(task, member("real_parent"), 4), None);
    assert_eq!(types.walk(task, member("pid") + 2, 4), None);
    assert_eq!(types.walk(task, task_members.size, 1), None);
    assert_eq!(types.walk(u32::MAX, 0, 1), None);
}
