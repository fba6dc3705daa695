//! Attaching programs: every hook of the kernel as a function with explicit arguments and a value that detaches.
//!
//! ```text
//!  sockets   classic and loaded filters, reuseport groups      -> nothing, or ReuseportSlot
//!  network   xdp, tc (tcx, netkit, clsact), netfilter, lwt,
//!            netns (sk_lookup, flow dissector), sockmap        -> Link, or the older slot of each kind
//!  cgroup    every hook of control groups                      -> Link, or CgroupSlot
//!  devices   receivers of infrared signals                     -> InfraredSlot
//!  tracing   tracepoint, raw tracepoint, kprobe, uprobe, perf  -> Link, PerfProbe
//!            functions, security hooks, replaced functions     -> Link
//!            iterators                                         -> Link, Iter to read from
//!  tables    struct_ops                                        -> Link, TableSlot
//! ```
//!
//! Functions named `attach_*` take the newest way that the kernel has and return an [`Attachment`]; the older way of
//! each kind is also a function of its own. Dropping the value detaches. [`Attachment::leave`] leaves the program where
//! it is if the kernel can keep it without us; [`Attachment::pin`] gives a link a name in a BPF file system.
//!
//! Programs are anything with a descriptor ([`crate::LoadedProgram`]), so those that were opened elsewhere serve too.
//! Everything happens in the namespaces of the calling thread.

mod all;
mod cgroup;
mod infrared;
mod interface;
mod iter;
mod kprobe;
mod link;
mod lwt;
mod many;
mod multi;
mod netfilter;
mod netns;
mod perf;
mod pmu;
mod socket;
mod sockmap;
mod struct_ops;
mod tc;
mod tcx;
mod tracefs;
mod tracepoint;
mod tracing;
mod uprobe;
mod usdt;
mod words;
mod xdp;

pub use all::{AttachOptions, Attachments, Symbols, attach_all};
pub use cgroup::{CgroupOptions, CgroupSlot, attach_cgroup, attach_cgroup_slot, open_cgroup};
pub use infrared::{InfraredSlot, attach_infrared, open_infrared};
pub use interface::{Interface, interface, interfaces};
pub use iter::{CgroupOrder, Iter, IterTarget, attach_iter};
pub use kprobe::{KernelPlace, attach_kprobe, attach_kprobe_event, has_kprobes};
pub use link::Link;
pub use lwt::{LwtHook, LwtRoute, RouteSlot, Seg6Route, attach_lwt, attach_seg6_local};
pub use many::{Attachment, detach_all};
pub use multi::{KernelPlaces, MultiMode, attach_kprobe_multi, attach_uprobe_multi};
pub use netfilter::{NetfilterFamily, NetfilterHook, NetfilterPlace, attach_netfilter, attach_netfilter_in};
pub use netns::{FlowDissectorSlot, attach_flow_dissector, attach_sk_lookup};
pub use perf::{PerfEvent, PerfProbe, PerfRate, PerfTarget, attach_perf_event};
pub use socket::{
    ReuseportSlot, attach_classic, attach_program, attach_reuseport, bpf_extensions, detach, lock_filter,
};
pub use sockmap::{SockmapSlot, attach_sockmap, attach_sockmap_slot};
pub(crate) use struct_ops::set_table;
pub use struct_ops::{TableSlot, attach_struct_ops, attach_struct_ops_value};
pub use tc::{TcOptions, TcSlot, attach_tc, attach_tc_action, attach_tc_filter};
pub use tcx::{Direction, NetkitSide, Order, attach_netkit, attach_tcx};
pub use tracefs::{Tracefs, TracepointName};
pub use tracepoint::attach_tracepoint;
pub use tracing::{attach_freplace, attach_raw_tracepoint, attach_tracing};
pub use uprobe::{UserPlace, attach_uprobe, attach_uprobe_event};
pub use usdt::{UsdtArgument, UsdtLocation, UsdtPlace};
pub use xdp::{Expected, XdpMode, XdpSlot, XdpState, attach_xdp, attach_xdp_slot, xdp_state};
