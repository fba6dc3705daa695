//! Where programs run: one row for each program at each place.

/// A program at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The number of the program.
    pub program: u32,
    /// The link that keeps it there, `None` for older ways of attaching.
    pub link: Option<u32>,
    /// What kind of place it is: `xdp`, `tcx_ingress`, `cgroup_inet_egress`, `tracepoint`.
    pub kind: String,
    /// Which one, in words: the name of a device, function, tracepoint, control group.
    pub place: String,
    /// The same for comparing.
    pub(super) site: Where,
}

/// What identifies a place that is found in two ways: by looking at it, and through a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Where {
    /// A device by its number.
    Device(u32),
    /// A control group by its number.
    Cgroup(u64),
    /// A network namespace by its inode.
    Namespace(u64),
    /// Nothing that is looked at.
    Other,
}

impl Attachment {
    /// A program that was found by looking at a place.
    pub(super) fn new(program: u32, kind: &str, place: String, site: Where) -> Self {
        Self { program, link: None, kind: kind.to_owned(), place, site }
    }

    /// `xdp eth0`
    pub fn words(&self) -> String {
        if self.place.is_empty() { self.kind.clone() } else { format!("{} {}", self.kind, self.place) }
    }
}
