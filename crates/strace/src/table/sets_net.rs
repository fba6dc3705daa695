//! Names of numbers around sockets (`sys/socket.h`, `netinet/*.h`, `linux/netlink.h`).

use super::sets::Set;

// TABLE: one row for each set; names in the order in which they are printed.
#[rustfmt::skip]
pub const SETS: &[Set] = &[
    Set { name: "af", unknown: "AF_???", rows: &[
        (0, "AF_UNSPEC"), (1, "AF_UNIX"), (2, "AF_INET"), (3, "AF_AX25"), (4, "AF_IPX"), (5, "AF_APPLETALK"),
        (6, "AF_NETROM"), (7, "AF_BRIDGE"), (8, "AF_ATMPVC"), (9, "AF_X25"), (0xa, "AF_INET6"), (0xb, "AF_ROSE"),
        (0xc, "AF_DECnet"), (0xd, "AF_NETBEUI"), (0xe, "AF_SECURITY"), (0xf, "AF_KEY"), (0x10, "AF_NETLINK"),
        (0x11, "AF_PACKET"), (0x12, "AF_ASH"), (0x13, "AF_ECONET"), (0x14, "AF_ATMSVC"), (0x15, "AF_RDS"),
        (0x16, "AF_SNA"), (0x17, "AF_IRDA"), (0x18, "AF_PPPOX"), (0x19, "AF_WANPIPE"), (0x1a, "AF_LLC"),
        (0x1b, "AF_IB"), (0x1c, "AF_MPLS"), (0x1d, "AF_CAN"), (0x1e, "AF_TIPC"), (0x1f, "AF_BLUETOOTH"),
        (0x20, "AF_IUCV"), (0x21, "AF_RXRPC"), (0x22, "AF_ISDN"), (0x23, "AF_PHONET"), (0x24, "AF_IEEE802154"),
        (0x25, "AF_CAIF"), (0x26, "AF_ALG"), (0x27, "AF_NFC"), (0x28, "AF_VSOCK"), (0x29, "AF_KCM"),
        (0x2a, "AF_QIPCRTR"), (0x2b, "AF_SMC"), (0x2c, "AF_XDP"), (0x2d, "AF_MCTP"),
    ] },
    Set { name: "socktype", unknown: "SOCK_???", rows: &[
        (1, "SOCK_STREAM"), (2, "SOCK_DGRAM"), (3, "SOCK_RAW"), (4, "SOCK_RDM"), (5, "SOCK_SEQPACKET"),
        (6, "SOCK_DCCP"), (0xa, "SOCK_PACKET"),
    ] },
    Set { name: "sockflags", unknown: "SOCK_???", rows: &[
        (0x80000, "SOCK_CLOEXEC"), (0x800, "SOCK_NONBLOCK"),
    ] },
    Set { name: "msg", unknown: "MSG_???", rows: &[
        (1, "MSG_OOB"), (2, "MSG_PEEK"), (4, "MSG_DONTROUTE"), (8, "MSG_CTRUNC"), (0x10, "MSG_PROBE"),
        (0x20, "MSG_TRUNC"), (0x40, "MSG_DONTWAIT"), (0x80, "MSG_EOR"), (0x100, "MSG_WAITALL"), (0x200, "MSG_FIN"),
        (0x400, "MSG_SYN"), (0x800, "MSG_CONFIRM"), (0x1000, "MSG_RST"), (0x2000, "MSG_ERRQUEUE"),
        (0x4000, "MSG_NOSIGNAL"), (0x8000, "MSG_MORE"), (0x10000, "MSG_WAITFORONE"),
        (0x20000, "MSG_SENDPAGE_NOTLAST"), (0x40000, "MSG_BATCH"), (0x80000, "MSG_NO_SHARED_FRAGS"),
        (0x4000000, "MSG_ZEROCOPY"), (0x20000000, "MSG_FASTOPEN"), (0x40000000, "MSG_CMSG_CLOEXEC"),
        (0x80000000, "MSG_CMSG_COMPAT"),
    ] },
    Set { name: "shut", unknown: "SHUT_???", rows: &[
        (0, "SHUT_RD"), (1, "SHUT_WR"), (2, "SHUT_RDWR"),
    ] },
    Set { name: "scm", unknown: "SCM_???", rows: &[
        (1, "SCM_RIGHTS"), (2, "SCM_CREDENTIALS"), (3, "SCM_SECURITY"),
    ] },
];
