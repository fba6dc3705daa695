//! Which types of programs are loaded as objects of clang, attached and seen to run, by which test, and on which kernels
//! they cannot be: the one list of excuses of these tests.

use skep_isa::ProgType;
use skep_kernel::KernelError;

use super::objects::object;
use super::{delivery, hooks, struct_ops, targets};

/// A kernel that the tests run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    /// The running one: its policy may forbid programs at functions, and it may be built without some hooks.
    Host,
    /// One of Debian's packages in the emulator.
    Packaged(&'static str),
}

/// Programs of one type.
struct Row {
    prog_type: ProgType,
    /// The source, and programs of this type in it.
    object: &'static str,
    programs: &'static [&'static str],
    /// The test that attaches them and makes them run.
    test: fn(),
    /// Where they cannot be loaded or attached.
    absent: &'static [Kernel],
}

const V6_1: Kernel = Kernel::Packaged("6.1");
const V6_12: Kernel = Kernel::Packaged("6.12");
/// Whether the host has kprobes, takes programs at functions, or has a part that may be left out, is its own affair.
const HOST: &[Kernel] = &[Kernel::Host];
const OLD: &[Kernel] = &[Kernel::Host, V6_1];
const PACKAGED: &[Kernel] = &[Kernel::Host, V6_1, V6_12];
const EVERYWHERE: &[Kernel] = &[];

const fn row(
    prog_type: ProgType,
    object: &'static str,
    programs: &'static [&'static str],
    test: fn(),
    absent: &'static [Kernel],
) -> Row {
    Row { prog_type, object, programs, test, absent }
}

// TABLE
/// In the order of the numbers of the types; a type has several rows where its programs differ in what they need.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    row(ProgType::SocketFilter, "hooks", &["filtered"], hooks::sockets_and_calls, EVERYWHERE),
    row(ProgType::Kprobe, "deliver", &["call", "call_return", "function", "function_return"], delivery::programs_of_events_deliver, HOST),
    // Debian's 6.1 has no CONFIG_FPROBE, and links of many user probes came with 6.6.
    row(ProgType::Kprobe, "deliver", &["pattern"], delivery::programs_of_events_deliver, OLD),
    row(ProgType::Kprobe, "deliver", &["file_pattern"], delivery::programs_of_events_deliver, &[V6_1]),
    row(ProgType::Kprobe, "deliver", &["file", "file_return", "marker"], delivery::programs_of_events_deliver, EVERYWHERE),
    // Sections that name an attach type of tcx are loaded with it, which came with 6.6.
    row(ProgType::SchedCls, "deliver", &["arriving", "leaving"], delivery::programs_of_the_network_deliver, &[V6_1]),
    // CONFIG_NET_ACT_BPF.
    row(ProgType::SchedAct, "hooks", &["acted"], hooks::actions_of_traffic_control, HOST),
    row(ProgType::Tracepoint, "deliver", &["tracepoint"], delivery::programs_of_events_deliver, EVERYWHERE),
    row(ProgType::Xdp, "deliver", &["driver"], delivery::programs_of_the_network_deliver, EVERYWHERE),
    row(ProgType::PerfEvent, "deliver", &["sample"], delivery::iterators_and_events, EVERYWHERE),
    row(ProgType::CgroupSkb, "hooks", &["received"], hooks::control_groups, EVERYWHERE),
    row(ProgType::CgroupSock, "hooks", &["created", "released"], hooks::control_groups, EVERYWHERE),
    row(ProgType::LwtIn, "hooks", &["arriving"], hooks::packets_and_routes, EVERYWHERE),
    row(ProgType::LwtOut, "hooks", &["leaving"], hooks::packets_and_routes, EVERYWHERE),
    row(ProgType::LwtXmit, "hooks", &["transmitted"], hooks::packets_and_routes, EVERYWHERE),
    row(ProgType::SockOps, "hooks", &["operated"], hooks::control_groups, EVERYWHERE),
    row(ProgType::SkSkb, "hooks", &["stream"], hooks::messages_and_streams, EVERYWHERE),
    row(ProgType::CgroupDevice, "hooks", &["opened"], hooks::control_groups, EVERYWHERE),
    row(ProgType::SkMsg, "hooks", &["message"], hooks::messages_and_streams, EVERYWHERE),
    row(ProgType::RawTracepoint, "deliver", &["raw", "optional"], delivery::programs_of_events_deliver, EVERYWHERE),
    row(ProgType::CgroupSockAddr, "hooks", &["connecting"], hooks::control_groups, EVERYWHERE),
    // CONFIG_IPV6_SEG6_BPF.
    row(ProgType::LwtSeg6local, "hooks", &["segment"], hooks::segments, HOST),
    // CONFIG_BPF_LIRC_MODE2 demands CONFIG_RC_CORE=y; Debian has it as a module, its cloud kernels not at all. The kernel
    // 6.12+infrared of `cargo xtask vm` has it.
    row(ProgType::LircMode2, "hooks", &["remote"], hooks::remote_controls, PACKAGED),
    row(ProgType::SkReuseport, "hooks", &["chosen"], hooks::sockets_and_calls, EVERYWHERE),
    row(ProgType::FlowDissector, "hooks", &["dissected"], hooks::packets_and_routes, EVERYWHERE),
    row(ProgType::CgroupSysctl, "hooks", &["asked"], hooks::control_groups, EVERYWHERE),
    row(ProgType::RawTracepointWritable, "hooks", &["finished"], hooks::arguments_of_tracepoints, EVERYWHERE),
    row(ProgType::CgroupSockopt, "hooks", &["configured"], hooks::control_groups, EVERYWHERE),
    row(ProgType::Tracing, "deliver", &["typed"], delivery::programs_of_events_deliver, EVERYWHERE),
    row(ProgType::Tracing, "deliver", &["each_task"], delivery::iterators_and_events, EVERYWHERE),
    row(ProgType::Tracing, "deliver", &["entry", "leave"], delivery::programs_of_events_deliver, HOST),
    row(ProgType::Tracing, "hooks", &["modified"], hooks::results_of_functions, HOST),
    row(ProgType::StructOps, "struct_ops", &["start", "undo", "half", "grow"], struct_ops::tables_of_operations_are_used, HOST),
    row(ProgType::Ext, "replacement", &["better"], targets::functions_of_programs_are_replaced, HOST),
    row(ProgType::Lsm, "deliver", &["hook"], delivery::programs_of_events_deliver, HOST),
    row(ProgType::Lsm, "hooks", &["refused"], hooks::hooks_of_security_in_groups, HOST),
    row(ProgType::SkLookup, "deliver", &["lookup"], delivery::programs_of_the_network_deliver, EVERYWHERE),
    row(ProgType::Syscall, "hooks", &["called"], hooks::sockets_and_calls, EVERYWHERE),
    // Links for netfilter came with 6.4.
    row(ProgType::Netfilter, "deliver", &["firewall"], delivery::programs_of_the_network_deliver, &[V6_1]),
];

/// Why a program of the table cannot be on this kernel, if that is a fact about the kernel and not our mistake.
pub fn excuse(name: &str, error: &KernelError) -> Option<String> {
    let packaged = std::env::var("SKEP_VM_KERNEL").ok();
    let here = |kernel: &Kernel| match (kernel, packaged.as_deref()) {
        (Kernel::Host, None) => true,
        (Kernel::Packaged(release), Some(running)) => *release == running,
        _ => false,
    };
    let known = ROWS.iter().any(|row| row.programs.contains(&name) && row.absent.iter().any(here));
    let text = error.to_string();
    let plain = matches!(
        error,
        KernelError::NotPermitted { .. } | KernelError::Unsupported { .. } | KernelError::Rejected { .. }
    );
    (known && plain && !text.contains("(os error")).then_some(text)
}

#[test]
fn every_type_of_programs_is_attached_by_a_test() {
    for prog_type in ProgType::ALL {
        assert!(ROWS.iter().any(|row| row.prog_type == *prog_type), "no test attaches a program of type {prog_type}");
    }
    assert!(ROWS.is_sorted_by_key(|row| row.prog_type.number()));
    for row in ROWS {
        // The test is the evidence; that it is one is for the compiler to see.
        let _: fn() = row.test;
        let Some(object) = object(row.object) else { return };
        for name in row.programs {
            let program = object.program(name).unwrap_or_else(|| panic!("{}: no program `{name}`", row.object));
            assert_eq!(program.prog_type, row.prog_type, "{}: {name}", row.object);
        }
    }
}
