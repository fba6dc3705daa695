//! Structures of bpf(2), perf_event_open(2) and io_uring (`linux/bpf.h`, `linux/perf_event.h`, `linux/io_uring.h`), and
//! of requests of `ioctl` about disks and network devices.

use std::fmt::Write as _;

use skep_isa::{AttachType, MapType, ProgType};

use super::net;
use super::text::{Bytes, Style, address, hex, quote};
use super::values::{flags, value};

/// How a field of the argument of bpf(2) is written.
#[derive(Debug, Clone, Copy)]
enum Field {
    /// A number of 4 bytes.
    U32,
    /// A descriptor, or another number with a sign.
    I32,
    /// A number of 8 bytes.
    U64,
    /// Bits of 4 bytes.
    Hex,
    /// An address in 8 bytes.
    Pointer,
    /// A text of so many bytes.
    Text(usize),
    /// The type of a map.
    Map,
    /// The type of a program.
    Program,
    /// To what it is attached.
    Attach,
    /// Flags of an update.
    Update,
    /// Version of the kernel.
    Version,
}

/// Fields by the place where they begin.
type Fields = &'static [(usize, &'static str, Field)];

// TABLE: commands of bpf(2) and the fields of the argument; those that lie behind its length are not written.
#[rustfmt::skip]
const COMMANDS: &[(&[u64], Fields)] = &[
    (&[0], &[
        (0, "map_type", Field::Map), (4, "key_size", Field::U32), (8, "value_size", Field::U32),
        (12, "max_entries", Field::U32), (16, "map_flags", Field::Hex), (20, "inner_map_fd", Field::I32),
        (28, "map_name", Field::Text(16)), (44, "map_ifindex", Field::U32), (48, "btf_fd", Field::I32),
        (52, "btf_key_type_id", Field::U32), (56, "btf_value_type_id", Field::U32),
        (60, "btf_vmlinux_value_type_id", Field::U32), (64, "map_extra", Field::U64),
    ]),
    (&[1, 2, 0x15], &[
        (0, "map_fd", Field::I32), (8, "key", Field::Pointer), (16, "value", Field::Pointer), (24, "flags", Field::Update),
    ]),
    (&[3], &[(0, "map_fd", Field::I32), (8, "key", Field::Pointer)]),
    (&[4], &[(0, "map_fd", Field::I32), (8, "key", Field::Pointer), (16, "next_key", Field::Pointer)]),
    (&[5], &[
        (0, "prog_type", Field::Program), (4, "insn_cnt", Field::U32), (8, "insns", Field::Pointer),
        (16, "license", Field::Pointer), (24, "log_level", Field::U32), (28, "log_size", Field::U32),
        (32, "log_buf", Field::Pointer), (40, "kern_version", Field::Version), (44, "prog_flags", Field::Hex),
        (48, "prog_name", Field::Text(16)), (64, "prog_ifindex", Field::U32),
        (68, "expected_attach_type", Field::Attach), (72, "prog_btf_fd", Field::I32),
        (76, "func_info_rec_size", Field::U32), (80, "func_info", Field::Pointer), (88, "func_info_cnt", Field::U32),
        (92, "line_info_rec_size", Field::U32), (96, "line_info", Field::Pointer), (104, "line_info_cnt", Field::U32),
        (108, "attach_btf_id", Field::U32), (112, "attach_prog_fd", Field::I32), (120, "fd_array", Field::Pointer),
    ]),
    (&[6, 7], &[(0, "pathname", Field::Pointer), (8, "bpf_fd", Field::I32), (12, "file_flags", Field::Hex)]),
    (&[8], &[
        (0, "target_fd", Field::I32), (4, "attach_bpf_fd", Field::I32), (8, "attach_type", Field::Attach),
        (12, "attach_flags", Field::Hex), (16, "replace_bpf_fd", Field::I32),
    ]),
    (&[9], &[
        (0, "target_fd", Field::I32), (4, "attach_bpf_fd", Field::I32), (8, "attach_type", Field::Attach),
    ]),
    (&[0xa], &[
        (0, "prog_fd", Field::I32), (4, "retval", Field::U32), (8, "data_size_in", Field::U32),
        (12, "data_size_out", Field::U32), (16, "data_in", Field::Pointer), (24, "data_out", Field::Pointer),
        (32, "repeat", Field::U32), (36, "duration", Field::U32), (40, "ctx_size_in", Field::U32),
        (44, "ctx_size_out", Field::U32), (48, "ctx_in", Field::Pointer), (56, "ctx_out", Field::Pointer),
    ]),
    (&[0xb, 0xc, 0x17, 0x1f], &[
        (0, "start_id", Field::U32), (4, "next_id", Field::U32), (8, "open_flags", Field::Hex),
    ]),
    (&[0xd], &[(0, "prog_id", Field::U32), (4, "next_id", Field::U32), (8, "open_flags", Field::Hex)]),
    (&[0xe], &[(0, "map_id", Field::U32), (4, "next_id", Field::U32), (8, "open_flags", Field::Hex)]),
    (&[0xf], &[(0, "info.bpf_fd", Field::I32), (4, "info.info_len", Field::U32), (8, "info.info", Field::Pointer)]),
    (&[0x10], &[
        (0, "query.target_fd", Field::I32), (4, "query.attach_type", Field::Attach),
        (8, "query.query_flags", Field::Hex), (12, "query.attach_flags", Field::Hex),
        (16, "query.prog_ids", Field::Pointer), (24, "query.prog_cnt", Field::U32),
    ]),
    (&[0x11], &[(0, "raw_tracepoint.name", Field::Pointer), (8, "raw_tracepoint.prog_fd", Field::I32)]),
    (&[0x12], &[
        (0, "btf", Field::Pointer), (8, "btf_log_buf", Field::Pointer), (16, "btf_size", Field::U32),
        (20, "btf_log_size", Field::U32), (24, "btf_log_level", Field::U32),
    ]),
    (&[0x13], &[(0, "btf_id", Field::U32)]),
    (&[0x16], &[(0, "map_fd", Field::I32)]),
    (&[0x18, 0x19, 0x1a, 0x1b], &[
        (0, "batch.in_batch", Field::Pointer), (8, "batch.out_batch", Field::Pointer), (16, "batch.keys", Field::Pointer),
        (24, "batch.values", Field::Pointer), (32, "batch.count", Field::U32), (36, "batch.map_fd", Field::I32),
        (40, "batch.elem_flags", Field::U64), (48, "batch.flags", Field::U64),
    ]),
    (&[0x1c], &[
        (0, "link_create.prog_fd", Field::I32), (4, "link_create.target_fd", Field::I32),
        (8, "link_create.attach_type", Field::Attach), (12, "link_create.flags", Field::Hex),
    ]),
    (&[0x1d], &[
        (0, "link_update.link_fd", Field::I32), (4, "link_update.new_prog_fd", Field::I32),
        (8, "link_update.flags", Field::Hex), (12, "link_update.old_prog_fd", Field::I32),
    ]),
    (&[0x1e], &[(0, "link_id", Field::U32)]),
    (&[0x20], &[(0, "enable_stats.type", Field::U32)]),
    (&[0x21], &[(0, "iter_create.link_fd", Field::I32), (4, "iter_create.flags", Field::Hex)]),
    (&[0x22], &[(0, "link_detach.link_fd", Field::I32)]),
    (&[0x23], &[
        (0, "prog_bind_map.prog_fd", Field::I32), (4, "prog_bind_map.map_fd", Field::I32),
        (8, "prog_bind_map.flags", Field::Hex),
    ]),
];

impl Field {
    /// Bytes that it takes.
    const fn size(self) -> usize {
        match self {
            Self::U64 | Self::Pointer | Self::Update => 8,
            Self::Text(size) => size,
            _ => 4,
        }
    }

    fn write(self, bytes: Bytes<'_>, at: usize, style: Style, out: &mut String) {
        // Writing to a string succeeds.
        let _ = match self {
            Self::U32 => write!(out, "{}", bytes.u32(at)),
            Self::I32 => write!(out, "{}", bytes.i32(at)),
            Self::U64 => write!(out, "{}", bytes.u64(at)),
            Self::Hex => return hex(bytes.u32(at).into(), out),
            Self::Pointer => return address(bytes.u64(at), out),
            Self::Update => return value("bpf_update", bytes.u64(at), out),
            Self::Text(size) => {
                let text = bytes.field(at, size);
                let length = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
                return quote(&text[..length], false, style, out);
            }
            Self::Map => {
                named("BPF_MAP_TYPE_", bytes.u32(at), MapType::from_number(bytes.u32(at)).map(MapType::name), out)
            }
            Self::Program => {
                named("BPF_PROG_TYPE_", bytes.u32(at), ProgType::from_number(bytes.u32(at)).map(ProgType::name), out)
            }
            Self::Attach => {
                named("BPF_", bytes.u32(at), AttachType::from_number(bytes.u32(at)).map(AttachType::name), out)
            }
            Self::Version => {
                let version = bytes.u32(at);
                write!(out, "KERNEL_VERSION({}, {}, {})", version >> 16, version >> 8 & 0xff, version & 0xff)
            }
        };
    }
}

/// A name of the tables of `isa` as headers of the kernel have it.
fn named(start: &str, number: u32, name: Option<&str>, out: &mut String) -> std::fmt::Result {
    match name {
        Some(name) => write!(out, "{start}{}", name.to_ascii_uppercase()),
        None => write!(out, "{number:#x} /* {start}??? */"),
    }
}

/// The argument of a command of bpf(2), as far as it reaches; `false` if the command is not known.
pub fn bpf(command: u64, bytes: &[u8], style: Style, out: &mut String) -> bool {
    let Some((_, fields)) = COMMANDS.iter().find(|(commands, _)| commands.contains(&command)) else { return false };
    let mut separator = "{";
    for (at, name, field) in *fields {
        if at + field.size() <= bytes.len() {
            let _ = write!(out, "{separator}{name}=");
            field.write(Bytes(bytes), *at, style, out);
            separator = ", ";
        }
    }
    out.push_str(if separator == "{" { "{}" } else { "}" });
    true
}

// TABLE: bits of `struct perf_event_attr` from its 40th byte on, as far as they are alone.
const PERF_BITS: &[&str] = &[
    "disabled",
    "inherit",
    "pinned",
    "exclusive",
    "exclude_user",
    "exclude_kernel",
    "exclude_hv",
    "exclude_idle",
    "mmap",
    "comm",
    "freq",
    "inherit_stat",
    "enable_on_exec",
    "task",
    "watermark",
];
// TABLE: those behind the two bits of `precise_ip`, from bit 17 on.
const PERF_LATER_BITS: &[&str] = &[
    "mmap_data",
    "sample_id_all",
    "exclude_host",
    "exclude_guest",
    "exclude_callchain_kernel",
    "exclude_callchain_user",
    "mmap2",
    "comm_exec",
    "use_clockid",
    "context_switch",
    "write_backward",
    "namespaces",
    "ksymbol",
    "bpf_event",
    "aux_output",
    "cgroup",
    "text_poke",
    "build_id",
    "inherit_thread",
    "remove_on_exec",
    "sigtrap",
];
/// The bit that says that a rate is meant and no period.
const PERF_FREQ: u64 = 1 << 10;

/// Bits that are used, with the two of `precise_ip`.
const PERF_USED: usize = 38;
/// The bit that says that a wakeup is counted in bytes and not in events.
const PERF_WATERMARK: u64 = 1 << 14;
/// `PERF_TYPE_HW_CACHE` and `PERF_TYPE_BREAKPOINT`
const PERF_CACHE: u32 = 3;
const PERF_BREAKPOINT: u32 = 5;

/// `PERF_COUNT_HW_CACHE_RESULT_MISS<<16|PERF_COUNT_HW_CACHE_OP_READ<<8|PERF_COUNT_HW_CACHE_LL`
fn perf_cache(config: u64, out: &mut String) {
    let rest = config >> 24;
    if rest != 0 {
        let _ = write!(out, "{rest:#x}<<24|");
    }
    value("perf_cache_result", config >> 16 & 0xff, out);
    out.push_str("<<16|");
    value("perf_cache_op", config >> 8 & 0xff, out);
    out.push_str("<<8|");
    value("perf_cache", config & 0xff, out);
}

/// `{type=PERF_TYPE_SOFTWARE, size=PERF_ATTR_SIZE_VER7, config=PERF_COUNT_SW_CPU_CLOCK, ...}`; with `-v` all fields of the
/// first version.
pub fn perf_event_attr(bytes: Bytes<'_>, style: Style, out: &mut String) {
    const FIRST: u32 = 64;
    let (kind, config, bits) = (bytes.u32(0), bytes.u64(8), bytes.u64(40));
    out.push_str("{type=");
    value("perf_type", kind.into(), out);
    out.push_str(", size=");
    value("perf_size", bytes.u32(4).into(), out);
    out.push_str(", config=");
    match kind {
        0 => value("perf_hardware", config, out),
        1 => value("perf_software", config, out),
        PERF_CACHE => perf_cache(config, out),
        _ => hex(config, out),
    }
    let _ = write!(out, ", sample_{}={}", if bits & PERF_FREQ == 0 { "period" } else { "freq" }, bytes.u64(16));
    out.push_str(", sample_type=");
    flags("perf_sample", bytes.u64(24), out);
    out.push_str(", read_format=");
    flags("perf_format", bytes.u64(32), out);
    let alone = |first: usize, names: &'static [&'static str], out: &mut String| {
        for (at, name) in names.iter().enumerate() {
            let bit = bits >> (first + at) & 1;
            if bit == 1 || style.full {
                let _ = write!(out, ", {name}={bit}");
            }
        }
    };
    alone(0, PERF_BITS, out);
    let precise = ["arbitrary skid", "constant skid", "requested to have 0 skid", "must have 0 skid"];
    let _ = write!(out, ", precise_ip={} /* {} */", bits >> 15 & 3, precise[(bits >> 15 & 3) as usize]);
    alone(17, PERF_LATER_BITS, out);
    if bits >> PERF_USED != 0 {
        let _ = write!(out, ", __reserved_1={:#x} /* Bits 63..{PERF_USED} */", bits >> PERF_USED);
    }
    if !style.full {
        return out.push_str(", ...}");
    }
    let unit = if bits & PERF_WATERMARK == 0 { "events" } else { "watermark" };
    let _ = write!(out, ", wakeup_{unit}={}", bytes.u32(48));
    if kind == PERF_BREAKPOINT {
        out.push_str(", bp_type=");
        value("perf_breakpoint", bytes.u32(52).into(), out);
        out.push_str(", bp_addr=");
    } else {
        out.push_str(", config1=");
    }
    hex(bytes.u64(56), out);
    out.push_str(if bytes.u32(4) > FIRST { ", ...}" } else { "}" });
}

/// What a program asks for: `{flags=0, sq_thread_cpu=0, sq_thread_idle=0`
fn io_uring_start(bytes: Bytes<'_>, out: &mut String) {
    const ATTACH: u32 = 0x20;
    out.push_str("{flags=");
    flags("io_uring_setup", bytes.u32(8).into(), out);
    let _ = write!(out, ", sq_thread_cpu={}, sq_thread_idle={}", bytes.u32(12), bytes.u32(16));
    if bytes.u32(8) & ATTACH != 0 {
        let _ = write!(out, ", wq_fd={}", bytes.i32(24));
    }
}

/// `{flags=0, sq_thread_cpu=0, sq_thread_idle=0}`
pub fn io_uring_asked(bytes: Bytes<'_>, _: Style, out: &mut String) {
    io_uring_start(bytes, out);
    out.push('}');
}

/// `{flags=0, sq_thread_cpu=0, ..., sq_off={...}, cq_off={...}}`
pub fn io_uring_params(bytes: Bytes<'_>, _: Style, out: &mut String) {
    io_uring_start(bytes, out);
    let _ = write!(out, ", sq_entries={}, cq_entries={}, features=", bytes.u32(0), bytes.u32(4));
    flags("io_uring_features", bytes.u32(20).into(), out);
    // TABLE: names of words of 4 bytes.
    let rings: [(&str, usize, &[&str]); 2] = [
        ("sq_off", 40, &["head", "tail", "ring_mask", "ring_entries", "flags", "dropped", "array"]),
        ("cq_off", 80, &["head", "tail", "ring_mask", "ring_entries", "overflow", "cqes", "flags"]),
    ];
    for (name, start, words) in rings {
        let words = words.iter().enumerate().map(|(at, word)| format!("{word}={}", bytes.u32(start + 4 * at)));
        let _ = write!(out, ", {name}={{{}}}", words.collect::<Vec<_>>().join(", "));
    }
    out.push('}');
}

/// `[1073741824]`
pub fn bracketed_u64(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "[{}]", bytes.u64(0));
}

/// The name at the beginning of `struct ifreq`.
fn interface(bytes: Bytes<'_>, style: Style, out: &mut String) {
    let name = bytes.field(0, 16);
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    out.push_str("{ifr_name=");
    quote(&name[..length], false, style, out);
}

/// `{ifr_name="lo"}`
pub fn ifreq_name(bytes: Bytes<'_>, style: Style, out: &mut String) {
    interface(bytes, style, out);
    out.push('}');
}

/// `{ifr_name="lo", ifr_ifindex=1}`
pub fn ifreq_index(bytes: Bytes<'_>, style: Style, out: &mut String) {
    interface(bytes, style, out);
    let _ = write!(out, ", ifr_ifindex={}}}", bytes.i32(16));
}

/// `{ifr_name="lo", ifr_mtu=65536}`
pub fn ifreq_mtu(bytes: Bytes<'_>, style: Style, out: &mut String) {
    interface(bytes, style, out);
    let _ = write!(out, ", ifr_mtu={}}}", bytes.i32(16));
}

/// `{ifr_name="lo", ifr_qlen=1000}`
pub fn ifreq_queue(bytes: Bytes<'_>, style: Style, out: &mut String) {
    interface(bytes, style, out);
    let _ = write!(out, ", ifr_qlen={}}}", bytes.i32(16));
}

/// `{ifr_name="lo", ifr_flags=IFF_UP|IFF_LOOPBACK|IFF_RUNNING}`
pub fn ifreq_flags(bytes: Bytes<'_>, style: Style, out: &mut String) {
    interface(bytes, style, out);
    out.push_str(", ifr_flags=");
    flags("iff", bytes.u16(16).into(), out);
    out.push('}');
}

/// `{ifr_name="lo", ifr_addr={sa_family=AF_INET, ...}}`
pub fn ifreq_address(bytes: Bytes<'_>, style: Style, out: &mut String) {
    interface(bytes, style, out);
    out.push_str(", ifr_addr=");
    net::sockaddr(bytes.field(16, 16), style, out);
    out.push('}');
}

/// The beginning of `struct loop_info64`: `{lo_offset=0, lo_number=0, lo_flags=LO_FLAGS_READ_ONLY, ...}`
pub fn loop_info(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "{{lo_offset={}, lo_number={}, lo_flags=", bytes.u64(24), bytes.u32(40));
    flags("loop", bytes.u32(52).into(), out);
    out.push_str(", ...}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn shown(write: fn(Bytes<'_>, Style, &mut String), bytes: &[u8]) -> String {
        let mut out = String::new();
        write(Bytes(bytes), Style::default(), &mut out);
        out
    }

    #[test]
    fn arguments_of_bpf_end_where_they_end() {
        let mut out = String::new();
        let mut map = bytes(&[2, 4, 8, 2, 0, 0, 0]);
        map.extend(b"tt\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        // What strace 6.1 prints of the same bytes.
        assert!(bpf(0, &map, Style::default(), &mut out));
        let expected = "{map_type=BPF_MAP_TYPE_ARRAY, key_size=4, value_size=8, max_entries=2, map_flags=0, inner_map_fd=0, \
            map_name=\"tt\"}";
        assert_eq!(out, expected);
        out.clear();
        assert!(bpf(0xb, &bytes(&[5, 0, 0]), Style::default(), &mut out));
        assert_eq!(out, "{start_id=5, next_id=0, open_flags=0}");
        out.clear();
        assert!(bpf(5, &bytes(&[1, 2]), Style::default(), &mut out) && !bpf(0x99, &[], Style::default(), &mut out));
        assert_eq!(out, "{prog_type=BPF_PROG_TYPE_SOCKET_FILTER, insn_cnt=2}");
        // Every field has a place of its own.
        for (_, fields) in COMMANDS {
            assert!(fields.windows(2).all(|pair| pair[0].0 + pair[0].2.size() <= pair[1].0), "{fields:?}");
        }
    }

    #[test]
    fn attributes_of_events() {
        let mut attr = bytes(&[1, 128, 0, 0, 0, 0, 1 << 16, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        attr[40..48].copy_from_slice(&(1_u64 | 2 | 1 << 12 | 1 << 20).to_ne_bytes());
        // What strace 6.1 prints of what perf stat asks for.
        let expected = "{type=PERF_TYPE_SOFTWARE, size=PERF_ATTR_SIZE_VER7, config=PERF_COUNT_SW_CPU_CLOCK, sample_period=0, \
            sample_type=PERF_SAMPLE_IDENTIFIER, read_format=PERF_FORMAT_TOTAL_TIME_ENABLED|PERF_FORMAT_TOTAL_TIME_RUNNING, \
            disabled=1, inherit=1, enable_on_exec=1, precise_ip=0 /* arbitrary skid */, exclude_guest=1, ...}";
        assert_eq!(shown(perf_event_attr, &attr), expected);
    }

    #[test]
    fn network_devices_and_rings() {
        let mut request = b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        request.extend(bytes(&[0x49, 0, 0, 0, 0, 0]));
        assert_eq!(shown(ifreq_flags, &request), "{ifr_name=\"lo\", ifr_flags=IFF_UP|IFF_LOOPBACK|IFF_RUNNING}");
        assert_eq!(shown(ifreq_mtu, &request), "{ifr_name=\"lo\", ifr_mtu=73}");
        assert_eq!(shown(ifreq_name, &request), "{ifr_name=\"lo\"}");
        let text = shown(io_uring_params, &[0; 120]);
        assert!(
            text.starts_with("{flags=0, sq_thread_cpu=0, sq_thread_idle=0, sq_entries=0, cq_entries=0, features=0, ")
        );
        assert!(text.ends_with("cq_off={head=0, tail=0, ring_mask=0, ring_entries=0, overflow=0, cqes=0, flags=0}}"));
        // Nothing is no panic.
        for write in [perf_event_attr, io_uring_params, ifreq_address, ifreq_flags, loop_info, bracketed_u64] {
            assert!(!shown(write, &[]).is_empty());
        }
    }
}
