//! Arguments and results of `bpf(2)` as the kernel lays them out (`union bpf_attr` and friends, `linux/bpf.h`).
//!
//! Each command has its own structure. The kernel takes shorter ones than its own for zeros, and longer ones as long
//! as the excess is zero, so a field that a kernel does not know matters only when it is used. All padding is spelled
//! out: every byte of a structure is initialised. Those for attaching are declared where they are used.

use super::layout::{constants, plain};

constants! {
    /// Command numbers, `enum bpf_cmd`.
    mod cmd: std::ffi::c_int = "BPF_" {
        MAP_CREATE = 0,
        MAP_LOOKUP_ELEM = 1,
        MAP_UPDATE_ELEM = 2,
        MAP_DELETE_ELEM = 3,
        MAP_GET_NEXT_KEY = 4,
        PROG_LOAD = 5,
        OBJ_PIN = 6,
        OBJ_GET = 7,
        PROG_ATTACH = 8,
        PROG_DETACH = 9,
        PROG_TEST_RUN = 10,
        PROG_GET_NEXT_ID = 11,
        MAP_GET_NEXT_ID = 12,
        PROG_GET_FD_BY_ID = 13,
        MAP_GET_FD_BY_ID = 14,
        OBJ_GET_INFO_BY_FD = 15,
        PROG_QUERY = 16,
        RAW_TRACEPOINT_OPEN = 17,
        BTF_LOAD = 18,
        BTF_GET_FD_BY_ID = 19,
        TASK_FD_QUERY = 20,
        MAP_LOOKUP_AND_DELETE_ELEM = 21,
        MAP_FREEZE = 22,
        BTF_GET_NEXT_ID = 23,
        MAP_LOOKUP_BATCH = 24,
        MAP_LOOKUP_AND_DELETE_BATCH = 25,
        MAP_UPDATE_BATCH = 26,
        MAP_DELETE_BATCH = 27,
        LINK_CREATE = 28,
        LINK_UPDATE = 29,
        LINK_GET_FD_BY_ID = 30,
        LINK_GET_NEXT_ID = 31,
        ENABLE_STATS = 32,
        ITER_CREATE = 33,
        LINK_DETACH = 34,
        PROG_BIND_MAP = 35,
        TOKEN_CREATE = 36,
    }
}

constants! {
    /// Flags of the commands, from several anonymous enumerations.
    mod flag: u64 = "BPF_" {
        /// Updates: create or replace.
        ANY = 0,
        /// Updates: only create.
        NOEXIST = 1,
        /// Updates: only replace.
        EXIST = 2,
        /// Lookups and updates: hold the value's spin lock.
        F_LOCK = 4,
        /// Maps: count the memory node.
        F_NUMA_NODE = 4,
        /// Maps: may be mapped into memory.
        F_MMAPABLE = 1024,
        /// Maps: a token is given.
        F_TOKEN_FD = 65536,
        /// Maps: the types of the value are those of a module's BTF.
        F_VTYPE_BTF_OBJ_FD = 32768,
        /// Opening: this process only reads.
        F_RDONLY = 8,
        /// Opening: this process only writes.
        F_WRONLY = 16,
    }
}

/// Test runs on the processor that is given (`BPF_F_TEST_RUN_ON_CPU`, Linux 5.10).
pub(crate) const TEST_RUN_ON_CPU: u32 = 1 << 0;
/// Test runs of XDP programs whose frames really go where the program sends them (`BPF_F_TEST_XDP_LIVE_FRAMES`, 5.18).
pub(crate) const TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;
/// Programs: a token is given (`BPF_F_TOKEN_FD`, 6.9).
pub(crate) const TOKEN_FD: u32 = 1 << 16;

/// Longest name of a map or program with its terminating NUL (`BPF_OBJ_NAME_LEN`).
pub(crate) const NAME_LEN: usize = 16;

plain! {
    /// `BPF_MAP_CREATE`
    struct MapCreate = "bpf_attr" {
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
        value_type_btf_obj_fd: i32,
        map_token_fd: i32,
    }

    /// `BPF_MAP_*_ELEM`; `value` is also where `BPF_MAP_GET_NEXT_KEY` puts the key.
    struct MapElem = "bpf_attr" {
        map_fd: u32,
        pad: u32,
        key: u64,
        value: u64,
        flags: u64,
    }

    /// `BPF_MAP_*_BATCH`
    struct MapBatch = "bpf_attr.batch" {
        in_batch: u64,
        out_batch: u64,
        keys: u64,
        values: u64,
        count: u32,
        map_fd: u32,
        elem_flags: u64,
        flags: u64,
    }

    /// `BPF_PROG_LOAD`
    struct ProgLoad = "bpf_attr" {
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
        prog_btf_fd: u32,
        func_info_rec_size: u32,
        func_info: u64,
        func_info_cnt: u32,
        line_info_rec_size: u32,
        line_info: u64,
        line_info_cnt: u32,
        attach_btf_id: u32,
        attach_prog_fd: u32,
        core_relo_cnt: u32,
        fd_array: u64,
        core_relos: u64,
        core_relo_rec_size: u32,
        log_true_size: u32,
        prog_token_fd: i32,
        fd_array_cnt: u32,
    }

    /// `BPF_OBJ_PIN` and `BPF_OBJ_GET`
    struct Path = "bpf_attr" {
        pathname: u64,
        bpf_fd: u32,
        file_flags: u32,
        path_fd: i32,
        pad: u32,
    }

    /// `BPF_PROG_TEST_RUN`
    struct TestRun = "bpf_attr.test" {
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
        flags: u32,
        cpu: u32,
        batch_size: u32,
        pad: u32,
    }

    /// `BPF_*_GET_NEXT_ID` and `BPF_*_GET_FD_BY_ID`
    struct Id = "bpf_attr" {
        start_id: u32,
        next_id: u32,
        open_flags: u32,
        fd_by_id_token_fd: i32,
    }

    /// `BPF_OBJ_GET_INFO_BY_FD`
    struct ObjInfo = "bpf_attr.info" {
        bpf_fd: u32,
        info_len: u32,
        info: u64,
    }

    /// `BPF_BTF_LOAD`
    struct BtfLoad = "bpf_attr" {
        btf: u64,
        btf_log_buf: u64,
        btf_size: u32,
        btf_log_size: u32,
        btf_log_level: u32,
        btf_log_true_size: u32,
        btf_flags: u32,
        btf_token_fd: i32,
    }

    /// `BPF_TASK_FD_QUERY`
    struct TaskFdQuery = "bpf_attr.task_fd_query" {
        pid: u32,
        fd: u32,
        flags: u32,
        buf_len: u32,
        buf: u64,
        prog_id: u32,
        fd_type: u32,
        probe_offset: u64,
        probe_addr: u64,
    }

    /// `BPF_ENABLE_STATS`
    struct EnableStats = "bpf_attr.enable_stats" {
        r#type: u32,
    }

    /// `BPF_PROG_BIND_MAP`
    struct BindMap = "bpf_attr.prog_bind_map" {
        prog_fd: u32,
        map_fd: u32,
        flags: u32,
    }

    /// `BPF_TOKEN_CREATE`
    struct TokenCreate = "bpf_attr.token_create" {
        flags: u32,
        bpffs_fd: u32,
    }

    /// `struct bpf_func_info`: the type of the function that begins at an instruction.
    struct FuncInfo = "bpf_func_info" {
        insn_off: u32,
        type_id: u32,
    }

    /// `struct bpf_line_info`: the source line from an instruction on; `line_col` is line << 10 | column.
    struct LineInfo = "bpf_line_info" {
        insn_off: u32,
        file_name_off: u32,
        line_off: u32,
        line_col: u32,
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

    #[test]
    fn names_are_cut_and_cleaned() {
        assert_eq!(&object_name("filter"), b"filter\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(&object_name("a-b c/d.e_f0123456789"), b"a_b_c_d.e_f0123\0");
        assert_eq!(name_text(&object_name("x")), "x");
        assert_eq!(name_text(&[b'n'; NAME_LEN]), "n".repeat(NAME_LEN));
    }
}
