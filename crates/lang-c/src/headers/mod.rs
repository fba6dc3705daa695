//! Headers that need no file.
//!
//! What lives here: the headers under `include/`, which we wrote ourselves with the names that programs expect, and those
//! that are made from the tables of `skep-isa`. Headers in directories of `-I` come first, except for `vmlinux.h`: it
//! stands for the types of the kernel, which the parser asks for one by one.

mod helpers;

use std::borrow::Cow;

/// The header that stands for all types of the kernel.
pub const VMLINUX: &str = "vmlinux.h";

macro_rules! texts {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("../../include/", $name)))),*] };
}

// TABLE
/// Headers that are texts.
const TEXTS: &[(&str, &str)] = texts! {
    "vmlinux.h"
    "bpf/bpf_helpers.h"
    "bpf/bpf_tracing.h"
    "bpf/bpf_core_read.h"
    "bpf/bpf_endian.h"
    "bpf/usdt.bpf.h"
    "bcc/helpers.h"
    "bcc/proto.h"
    "bcc/usdt.h"
    "linux/types.h"
    "linux/bpf.h"
    "linux/if_ether.h"
    "linux/if_packet.h"
    "linux/if_vlan.h"
    "linux/in.h"
    "linux/in6.h"
    "linux/ip.h"
    "linux/ipv6.h"
    "linux/tcp.h"
    "linux/udp.h"
    "linux/icmp.h"
    "linux/icmpv6.h"
    "linux/pkt_cls.h"
    "linux/ptrace.h"
    "linux/socket.h"
    "linux/stddef.h"
    "linux/version.h"
    "linux/errno.h"
    "stdint.h"
    "stdatomic.h"
    "stdbool.h"
    "stddef.h"
    "limits.h"
};

/// Other names of the same headers.
const ALIASES: &[(&str, &str)] = &[
    ("bpf_helpers.h", "bpf/bpf_helpers.h"),
    ("bpf_tracing.h", "bpf/bpf_tracing.h"),
    ("bpf_core_read.h", "bpf/bpf_core_read.h"),
    ("bpf_endian.h", "bpf/bpf_endian.h"),
    ("usdt.bpf.h", "bpf/usdt.bpf.h"),
    ("bpf_helper_defs.h", "bpf/bpf_helper_defs.h"),
    ("uapi/linux/bpf.h", "linux/bpf.h"),
    ("linux/bpf_common.h", "linux/bpf.h"),
    ("linux/bpf_perf_event.h", "linux/bpf.h"),
    ("linux/kernel.h", "linux/types.h"),
    ("linux/const.h", "linux/types.h"),
    ("linux/byteorder/little_endian.h", "bpf/bpf_endian.h"),
    ("asm/byteorder.h", "bpf/bpf_endian.h"),
    ("asm/types.h", "linux/types.h"),
    ("asm/ptrace.h", "linux/ptrace.h"),
    ("asm/errno.h", "linux/errno.h"),
    ("asm-generic/errno.h", "linux/errno.h"),
    ("asm-generic/errno-base.h", "linux/errno.h"),
    ("errno.h", "linux/errno.h"),
    ("sys/types.h", "linux/types.h"),
    ("sys/socket.h", "linux/socket.h"),
    ("netinet/in.h", "linux/in.h"),
    ("inttypes.h", "stdint.h"),
];

/// The header made from the table of helpers.
pub(crate) const HELPER_DEFS: &str = "bpf/bpf_helper_defs.h";

/// The same for the parser, which gets the declarations of those helpers that the program names
/// ([`Pragma::Helpers`](crate::lex::Pragma::Helpers)): most programs name ten of two hundred.
pub(crate) const HELPERS_BY_USE: &str = "#pragma once\n#include <linux/types.h>\n#pragma skep helpers\n";

/// Declarations of the helpers whose names are wanted.
pub(crate) fn helpers_named(wanted: impl Fn(&str) -> bool) -> String {
    helpers::definitions(|helper| wanted(&format!("bpf_{}", helper.name)))
}

/// The name of a header that may be asked for by another one.
pub(crate) fn own_name(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| *name)
}

/// The names of all headers.
pub fn names() -> impl Iterator<Item = &'static str> {
    TEXTS.iter().map(|(name, _)| *name).chain([HELPER_DEFS]).chain(ALIASES.iter().map(|(name, _)| *name))
}

/// The header with this name: its own name, under which it is read once, and its text.
pub fn find(name: &str) -> Option<(&'static str, Cow<'static, str>)> {
    let name = own_name(name);
    if name == HELPER_DEFS {
        let head = "#pragma once\n#include <linux/types.h>\n";
        return Some((HELPER_DEFS, (head.to_owned() + &helpers::definitions(|_| true)).into()));
    }
    TEXTS.iter().find(|(known, _)| *known == name).map(|&(name, text)| (name, text.into()))
}

/// All headers by their own names, with their texts.
pub fn files() -> impl Iterator<Item = (&'static str, Cow<'static, str>)> {
    names().filter_map(|name| find(name).filter(|(own, _)| *own == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found() {
        for name in names() {
            assert!(find(name).is_some_and(|(_, text)| text.contains("#pragma once")), "{name}");
        }
    }
}
