//! How lines look, and which are written.

use std::collections::BTreeSet;

use crate::decode::text::Style;
use crate::fds::Detail;

/// Where the thread is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefix {
    /// Nowhere.
    #[default]
    None,
    /// `[pid 1001] ` as soon as there is more than one.
    Several,
    /// `1001 `
    Always,
    /// `1001<name> `
    Named,
}

/// How the time of a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stamp {
    /// Not at all.
    #[default]
    None,
    /// `18:48:30`
    Seconds,
    /// `18:48:30.254179`
    Microseconds,
    /// `1795805310.254179`
    Unix,
}

/// How lines look, and which are written.
#[derive(Debug, Clone)]
pub struct Look {
    /// How arguments are written.
    pub style: Style,
    /// Column of the results.
    pub column: usize,
    /// Where the thread is named.
    pub prefix: Prefix,
    /// The time of day.
    pub stamp: Stamp,
    /// The time since the line before.
    pub relative: bool,
    /// The time that a call took.
    pub duration: bool,
    /// Whether ends of processes are left out.
    pub no_ends: bool,
    /// Signals that are written, by bits from 1 on.
    pub signals: u64,
    /// Only calls about these paths; all if there are none.
    pub paths: Vec<String>,
    /// What is said about descriptors.
    pub detail: Detail,
    /// Whether all calls that open and close descriptors are seen.
    pub tracked: bool,
    /// Calls that are seen only to know what descriptors stand for, and are not written.
    pub hidden: BTreeSet<u32>,
    /// One JSON object for each call.
    pub json: bool,
    /// The thread that waits for its start in a call of which nothing is written.
    pub command: Option<u32>,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            style: Style::default(),
            column: 40,
            prefix: Prefix::None,
            stamp: Stamp::None,
            relative: false,
            duration: false,
            no_ends: false,
            signals: u64::MAX,
            paths: Vec::new(),
            detail: Detail::None,
            tracked: true,
            hidden: BTreeSet::new(),
            json: false,
            command: None,
        }
    }
}
