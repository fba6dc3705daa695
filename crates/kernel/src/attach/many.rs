//! All kinds of attachments as one type, and detaching many of them at once.

use std::os::fd::AsFd;
use std::path::Path;

use super::cgroup::CgroupSlot;
use super::infrared::InfraredSlot;
use super::link::Link;
use super::lwt::RouteSlot;
use super::netns::FlowDissectorSlot;
use super::perf::PerfProbe;
use super::socket::ReuseportSlot;
use super::sockmap::SockmapSlot;
use super::struct_ops::TableSlot;
use super::tc::TcSlot;
use super::xdp::XdpSlot;
use crate::errors::KernelError;

/// A program at a hook; dropping it detaches.
#[derive(Debug)]
#[non_exhaustive]
pub enum Attachment {
    /// A link.
    Link(Link),
    /// A program of a perf event: probes and tracepoints on kernels without links for them.
    Perf(PerfProbe),
    /// An XDP program that was set through rtnetlink.
    Xdp(XdpSlot),
    /// A filter of the classifier `bpf`.
    Tc(TcSlot),
    /// A program of a control group, without link.
    Cgroup(CgroupSlot),
    /// A program of a socket map, without link.
    Sockmap(SockmapSlot),
    /// The flow dissector of a network namespace, without link.
    FlowDissector(FlowDissectorSlot),
    /// The selector of a reuseport group.
    Reuseport(ReuseportSlot),
    /// A route with programs.
    Route(RouteSlot),
    /// A decoder at a receiver of infrared signals.
    Infrared(InfraredSlot),
    /// A table of operations, registered without link.
    Table(TableSlot),
}

impl Attachment {
    /// The link, if it is one.
    pub fn as_link(&self) -> Option<&Link> {
        match self {
            Self::Link(link) => Some(link),
            _ => None,
        }
    }

    /// Detaches and tells whether that worked; dropping does the same and ignores failures.
    ///
    /// # Errors
    /// [`KernelError::System`] and the errors of the kind, for example when somebody else has removed the program.
    pub fn detach(self) -> Result<(), KernelError> {
        match self {
            Self::Link(link) => drop(link),
            Self::Perf(probe) => drop(probe),
            Self::Xdp(slot) => return slot.detach(),
            Self::Tc(slot) => return slot.detach(),
            Self::Cgroup(slot) => return slot.detach(),
            Self::Sockmap(slot) => return slot.detach(),
            Self::FlowDissector(slot) => return slot.detach(),
            Self::Reuseport(slot) => return slot.detach(),
            Self::Route(slot) => return slot.detach(),
            Self::Infrared(slot) => return slot.detach(),
            Self::Table(slot) => return slot.detach(),
        }
        Ok(())
    }

    /// Leaves the program attached when this process ends, if the kernel keeps it without a descriptor of ours.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] for links and perf events, which end with their descriptor: [`pin`](Self::pin) links.
    /// The program is detached then.
    pub fn leave(self) -> Result<(), KernelError> {
        match self {
            Self::Link(_) | Self::Perf(_) => {
                return Err(KernelError::Invalid {
                    action: "leave a program attached",
                    problem: "this attachment ends with the process that made it; pin its link below /sys/fs/bpf"
                        .to_owned(),
                });
            }
            Self::Xdp(slot) => slot.leave(),
            Self::Tc(slot) => slot.leave(),
            Self::Cgroup(slot) => slot.leave(),
            Self::Sockmap(slot) => slot.leave(),
            Self::FlowDissector(slot) => slot.leave(),
            Self::Reuseport(slot) => slot.leave(),
            Self::Route(slot) => slot.leave(),
            Self::Infrared(slot) => slot.leave(),
            Self::Table(slot) => slot.leave(),
        }
        Ok(())
    }

    /// Gives the link a name in a BPF file system; see [`Link::pin`].
    ///
    /// # Errors
    /// [`KernelError::Unsupported`] if it is no link, and the errors of [`Link::pin`].
    pub fn pin(&self, path: impl AsRef<Path>) -> Result<(), KernelError> {
        self.link_for("pinning this attachment, which is no link")?.pin(path)
    }

    /// Puts another program in place of the attached one; see [`Link::update`].
    ///
    /// # Errors
    /// [`KernelError::Unsupported`] if it is no link, and the errors of [`Link::update`].
    pub fn update(&self, program: impl AsFd) -> Result<(), KernelError> {
        self.link_for("replacing the program of this attachment, which is no link")?.update(program, None)
    }

    fn link_for(&self, what: &str) -> Result<&Link, KernelError> {
        self.as_link().ok_or_else(|| KernelError::Unsupported {
            what: what.to_owned(),
            since: None,
            running: crate::features::running_release(),
        })
    }
}

/// Most threads of [`detach_all`]. They do nothing but wait.
const DETACHERS: usize = 512;
/// Bytes of their stacks.
const STACK: usize = 64 << 10;

/// Detaches many at once.
///
/// Behind probes of files and of tracepoints with records the kernel waits until no processor can run the program any more,
/// about a tenth of a second on a busy machine. Threads wait for that together: three hundred links of places in files
/// ([`attach_uprobe_multi`](super::attach_uprobe_multi)) take as long as one. What is attached through performance events
/// (tracepoints, uprobes before Linux 6.6) waits under a lock, one after the other. Raw tracepoints do not wait.
///
/// # Errors
/// The first failure; the others are detached all the same.
pub fn detach_all(mut attachments: Vec<Attachment>) -> Result<(), KernelError> {
    let threads = attachments.len().clamp(1, DETACHERS);
    let each = attachments.len().div_ceil(threads);
    let one_by_one = |part: Vec<Attachment>| part.into_iter().rev().map(Attachment::detach).fold(Ok(()), Result::and);
    std::thread::scope(|scope| {
        let mut running = Vec::with_capacity(threads);
        // The last part is for this thread.
        while attachments.len() > each {
            let part = attachments.split_off(attachments.len().saturating_sub(each));
            // A thread that cannot be made drops its part, which detaches as well.
            let builder = std::thread::Builder::new().stack_size(STACK);
            if let Ok(thread) = builder.spawn_scoped(scope, move || one_by_one(part)) {
                running.push(thread);
            }
        }
        let own = one_by_one(attachments);
        running.into_iter().map(|thread| thread.join().unwrap_or(Ok(()))).fold(own, Result::and)
    })
}

impl From<Link> for Attachment {
    fn from(link: Link) -> Self {
        Self::Link(link)
    }
}
