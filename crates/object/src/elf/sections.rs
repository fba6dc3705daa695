//! What the name of a section says about the programs in it: the table of libbpf's names, and those of older loaders.

use skep_isa::sections::{self, SECTIONS, Section, SectionName};
use skep_isa::{AttachType, ProgType};

use crate::attach::near_section;
use crate::{AttachError, AttachPoint, ProgFlags};

/// What a section's name says about its programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionKind {
    /// The part of the name that says it; empty for a name without meaning.
    pub prefix: &'static str,
    /// Type of the programs.
    pub prog_type: ProgType,
    /// Where they attach, if the kernel wants to know that when it loads them.
    pub attach_type: Option<AttachType>,
    /// Flags of loading.
    pub flags: ProgFlags,
    /// What they attach to.
    pub attach: AttachPoint,
    /// Whether loaders load them unless told otherwise.
    pub autoload: bool,
}

/// What the name of a section says.
///
/// The names are libbpf's (`skep_isa::sections`). As older loaders had it, a name may also go on with `_`, a digit or,
/// where nothing can be said about the place, `/`. A name without any meaning gives socket filters, the type with the
/// fewest rights, unless it looks like a slip of the pen.
///
/// # Errors
/// A name whose beginning is known and whose rest has the wrong form, or that is close to a known one.
///
/// ```
/// use skep_isa::{AttachType, ProgType};
/// use skep_object::section_kind;
///
/// let kind = section_kind("cgroup_skb/egress")?;
/// assert_eq!((kind.prog_type, kind.attach_type), (ProgType::CgroupSkb, Some(AttachType::CgroupInetEgress)));
/// assert_eq!(section_kind("kprobe/do_nanosleep")?.prefix, "kprobe");
/// assert_eq!(section_kind("mine")?.prefix, "");
/// assert!(section_kind("trcepoint/sched/sched_switch").unwrap_err().to_string().contains("`tracepoint`"));
/// # Ok::<(), skep_object::AttachError>(())
/// ```
pub fn section_kind(section: &str) -> Result<SectionKind, AttachError> {
    let Some(name) = sections::parse(section).or_else(|| older(section)) else {
        if let Some(near) = near_section(section) {
            return Err(AttachError { section: section.to_owned(), expected: format!("did you mean `{near}`?") });
        }
        return Ok(SectionKind {
            prefix: "",
            prog_type: ProgType::SocketFilter,
            attach_type: None,
            flags: ProgFlags::NONE,
            attach: AttachPoint::Unspecified,
            autoload: !section.starts_with('?'),
        });
    };
    let row = name.section;
    let mut flags = ProgFlags::NONE;
    if row.sleepable {
        flags = ProgFlags(flags.0 | ProgFlags::SLEEPABLE.0);
    }
    if row.frags {
        flags = ProgFlags(flags.0 | ProgFlags::XDP_FRAGS.0);
    }
    Ok(SectionKind {
        prefix: row.prefix,
        prog_type: row.prog_type,
        attach_type: row.attach_type,
        flags,
        attach: AttachPoint::parse(&name)?,
        autoload: name.autoload,
    })
}

/// A name as loaders before libbpf 1.0 took it: the longest row that it begins with.
fn older(section: &str) -> Option<SectionName<'_>> {
    let name = section.strip_prefix('?').unwrap_or(section);
    let goes_on = |row: &&Section| {
        let rest = name.strip_prefix(row.prefix).and_then(|rest| rest.chars().next());
        rest.is_some_and(|c| c == '_' || c.is_ascii_digit() || (c == '/' && !row.takes_rest))
    };
    let row = SECTIONS.iter().filter(goes_on).max_by_key(|row| row.prefix.len())?;
    Some(SectionName { section: row, rest: None, autoload: !section.starts_with('?') })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_their_own_names() {
        for row in SECTIONS {
            let kind = section_kind(row.prefix).unwrap();
            assert_eq!((kind.prefix, kind.prog_type, kind.autoload), (row.prefix, row.prog_type, true));
            assert!(!section_kind(&format!("?{}", row.prefix)).unwrap().autoload);
        }
    }

    #[test]
    fn the_longest_row_decides() {
        let prefix = |section: &str| section_kind(section).map_or("error", |kind| kind.prefix);
        assert_eq!(prefix("xdp.frags/devmap"), "xdp.frags/devmap");
        assert_eq!(prefix("xdp/other"), "xdp");
        assert_eq!(prefix("xdp_prog1"), "xdp");
        assert_eq!(prefix("socket1"), "socket");
        assert_eq!(prefix("lsm_cgroup/socket_bind"), "lsm_cgroup");
        assert_eq!(prefix("uprobe.s/libc:malloc"), "uprobe.s");
        assert_eq!(prefix("tracepoint/syscalls/sys_enter_openat"), "tracepoint");
        assert_eq!(prefix("tracepoint/sys_enter_openat"), "error");
        assert_eq!(prefix("cgroup"), "");
        assert_eq!(prefix("socketpair"), "");
        assert_eq!(prefix("sockt"), "error");
        assert_eq!(prefix(""), "");
    }
}
