//! Arguments and results of `bpf(2)` as the kernel lays them out (`union bpf_attr` and friends, `linux/bpf.h`).
//!
//! Each command has its own structure. The kernel takes shorter ones than its own for zeros, and longer ones as long
//! as the excess is zero, so a field that a kernel does not know matters only when it is used. All padding is spelled
//! out: every byte of a structure is initialised.

use std::ffi::c_int;

/// Command numbers, `enum bpf_cmd`.
pub(crate) mod cmd {
    use super::c_int;
    pub(crate) const MAP_CREATE: c_int = 0;
    pub(crate) const MAP_LOOKUP_ELEM: c_int = 1;
    pub(crate) const MAP_UPDATE_ELEM: c_int = 2;
    pub(crate) const MAP_DELETE_ELEM: c_int = 3;
    pub(crate) const MAP_GET_NEXT_KEY: c_int = 4;
    pub(crate) const PROG_LOAD: c_int = 5;
    pub(crate) const PROG_TEST_RUN: c_int = 10;
    pub(crate) const OBJ_GET_INFO_BY_FD: c_int = 15;
    pub(crate) const MAP_LOOKUP_AND_DELETE_ELEM: c_int = 21;
    pub(crate) const MAP_FREEZE: c_int = 22;
    pub(crate) const MAP_UPDATE_BATCH: c_int = 26;
}

/// Longest name of a map or program with its terminating NUL (`BPF_OBJ_NAME_LEN`).
pub(crate) const NAME_LEN: usize = 16;

/// Marks structures of plain integers without hidden padding: any bit pattern is a value, every byte is initialised.
///
/// # Safety
/// `repr(C)`, all fields integers or arrays of them, and the sizes of the fields add up to the size of the structure.
pub(crate) unsafe trait Plain: Copy + Default {}

/// Declares a `repr(C)` structure of integers and refuses to compile if there is padding between its fields.
macro_rules! plain {
    ($(#[$doc:meta])* struct $name:ident { $($field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default)]
        #[repr(C)]
        pub(crate) struct $name { $(pub(crate) $field: $type,)* }

        const _: () = assert!(size_of::<$name>() == 0 $(+ size_of::<$type>())*, "padding must be a field");

        // SAFETY: `repr(C)`, the fields are integers, and the assertion above excludes hidden padding.
        unsafe impl Plain for $name {}

        #[cfg(test)]
        impl $name {
            /// Name, offset and size of every field.
            pub(crate) fn fields() -> Vec<(&'static str, usize, usize)> {
                vec![$((stringify!($field), std::mem::offset_of!($name, $field), size_of::<$type>()),)*]
            }
        }
    };
}

plain! {
    /// `BPF_MAP_CREATE`
    struct MapCreate {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
        inner_map_fd: u32,
        numa_node: u32,
        map_name: [u8; NAME_LEN],
        map_ifindex: u32,
        btf_fd: u32,
        btf_key_type_id: u32,
        btf_value_type_id: u32,
        btf_vmlinux_value_type_id: u32,
        map_extra: u64,
    }
}

plain! {
    /// `BPF_MAP_*_ELEM` and `BPF_MAP_GET_NEXT_KEY`, for which `value` is where the next key goes.
    struct MapElem {
        map_fd: u32,
        pad: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
}

plain! {
    /// `BPF_MAP_*_BATCH`
    struct MapBatch {
        in_batch: u64,
        out_batch: u64,
        keys: u64,
        values: u64,
        count: u32,
        map_fd: u32,
        elem_flags: u64,
        flags: u64,
    }
}

plain! {
    /// `BPF_PROG_LOAD`, as far as this crate uses it.
    struct ProgLoad {
        prog_type: u32,
        insn_cnt: u32,
        insns: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buf: u64,
        kern_version: u32,
        prog_flags: u32,
        prog_name: [u8; NAME_LEN],
        prog_ifindex: u32,
        expected_attach_type: u32,
    }
}

plain! {
    /// `BPF_PROG_TEST_RUN`
    struct TestRun {
        prog_fd: u32,
        retval: u32,
        data_size_in: u32,
        data_size_out: u32,
        data_in: u64,
        data_out: u64,
        repeat: u32,
        duration: u32,
        ctx_size_in: u32,
        ctx_size_out: u32,
        ctx_in: u64,
        ctx_out: u64,
    }
}

plain! {
    /// `BPF_OBJ_GET_INFO_BY_FD`
    struct ObjInfo {
        bpf_fd: u32,
        info_len: u32,
        info: u64,
    }
}

plain! {
    /// The beginning of `struct bpf_prog_info`.
    struct ProgInfo {
        r#type: u32,
        id: u32,
        tag: [u8; 8],
        jited_prog_len: u32,
        xlated_prog_len: u32,
        jited_prog_insns: u64,
        xlated_prog_insns: u64,
        load_time: u64,
        created_by_uid: u32,
        nr_map_ids: u32,
        map_ids: u64,
        name: [u8; NAME_LEN],
    }
}

plain! {
    /// The beginning of `struct bpf_map_info`.
    struct MapInfo {
        r#type: u32,
        id: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
        name: [u8; NAME_LEN],
    }
}

/// A name as the kernel stores it: cut to 15 bytes, characters other than letters, digits, `_` and `.` replaced.
pub(crate) fn object_name(name: &str) -> [u8; NAME_LEN] {
    let mut bytes = [0; NAME_LEN];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(NAME_LEN - 1)) {
        *to = if from.is_ascii_alphanumeric() || matches!(from, b'_' | b'.') { from } else { b'_' };
    }
    bytes
}

/// The text of a name that the kernel returned.
pub(crate) fn name_text(name: &[u8; NAME_LEN]) -> String {
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(NAME_LEN);
    String::from_utf8_lossy(&name[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;
    use std::process::Command;

    /// Field of ours, expression that names the same field in C.
    type Field = (String, usize, usize);

    /// All fields as `(C designator, offset in union bpf_attr or the named structure, size)`.
    fn all_fields() -> Vec<Field> {
        let mut all = Vec::new();
        let mut add = |container: &str, prefix: &str, base: usize, fields: Vec<(&'static str, usize, usize)>| {
            for (name, offset, size) in fields {
                let name = name.trim_start_matches("r#");
                if name != "pad" {
                    all.push((format!("{container}, {prefix}{name}"), base + offset, size));
                }
            }
        };
        add("union bpf_attr", "", 0, MapCreate::fields());
        add("union bpf_attr", "", 0, MapElem::fields());
        add("union bpf_attr", "batch.", 0, MapBatch::fields());
        add("union bpf_attr", "", 0, ProgLoad::fields());
        add("union bpf_attr", "test.", 0, TestRun::fields());
        add("union bpf_attr", "info.", 0, ObjInfo::fields());
        add("struct bpf_prog_info", "", 0, ProgInfo::fields());
        add("struct bpf_map_info", "", 0, MapInfo::fields());
        all
    }

    /// Asks the C compiler about the installed kernel headers: every offset, size and command number.
    #[test]
    fn layouts_are_those_of_the_kernel_headers() {
        let dir = std::env::temp_dir().join(format!("skep-layout-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut source = String::from("#include <stddef.h>\n#include <linux/bpf.h>\n");
        for (designator, offset, size) in all_fields() {
            let (container, field) = designator.split_once(", ").unwrap();
            writeln!(source, "_Static_assert(offsetof({designator}) == {offset}, \"{designator}\");").unwrap();
            let of = format!("sizeof((({container} *)0)->{field})");
            writeln!(source, "_Static_assert({of} == {size}, \"{designator} size\");").unwrap();
        }
        let commands = [
            ("BPF_MAP_CREATE", cmd::MAP_CREATE),
            ("BPF_MAP_LOOKUP_ELEM", cmd::MAP_LOOKUP_ELEM),
            ("BPF_MAP_UPDATE_ELEM", cmd::MAP_UPDATE_ELEM),
            ("BPF_MAP_DELETE_ELEM", cmd::MAP_DELETE_ELEM),
            ("BPF_MAP_GET_NEXT_KEY", cmd::MAP_GET_NEXT_KEY),
            ("BPF_PROG_LOAD", cmd::PROG_LOAD),
            ("BPF_PROG_TEST_RUN", cmd::PROG_TEST_RUN),
            ("BPF_OBJ_GET_INFO_BY_FD", cmd::OBJ_GET_INFO_BY_FD),
            ("BPF_MAP_LOOKUP_AND_DELETE_ELEM", cmd::MAP_LOOKUP_AND_DELETE_ELEM),
            ("BPF_MAP_FREEZE", cmd::MAP_FREEZE),
            ("BPF_MAP_UPDATE_BATCH", cmd::MAP_UPDATE_BATCH),
        ];
        for (name, number) in commands {
            writeln!(source, "_Static_assert({name} == {number}, \"{name}\");").unwrap();
        }
        let file = dir.join("layout.c");
        std::fs::write(&file, source).unwrap();
        let output = Command::new("cc").arg("-fsyntax-only").arg(&file).output();
        std::fs::remove_dir_all(&dir).unwrap();
        match output {
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                if text.contains("linux/bpf.h: No such file") {
                    crate::skip("linux/bpf.h is not installed (Debian: linux-libc-dev)");
                } else {
                    assert!(output.status.success(), "{text}");
                }
            }
            Err(error) => crate::skip(&format!("no C compiler: {error}")),
        }
    }

    #[test]
    fn names_are_cut_and_cleaned() {
        assert_eq!(&object_name("filter"), b"filter\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(&object_name("a-b c/d.e_f0123456789"), b"a_b_c_d.e_f0123\0");
        assert_eq!(name_text(&object_name("x")), "x");
        assert_eq!(name_text(&[b'n'; NAME_LEN]), "n".repeat(NAME_LEN));
    }
}
