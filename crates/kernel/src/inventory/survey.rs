//! One look at everything: where programs run, who holds what, what is pinned.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::attachments::{Attachment, Where};
use super::cgroups::Cgroups;
use super::namespaces::Networks;
use super::pins::{Pin, Pinned, pins};
use super::places::{Speaker, Symbols, Words};
use super::types::KernelTypes;
use crate::errors::KernelError;
use crate::holders::{Held, Holder, holders, numbers};
use crate::ids::{OpenLink, link_ids};
use crate::link_info::LinkInfo;
use crate::stats::{ProbePlace, descriptor_use};

/// The name of the files of performance events.
const PERF_EVENT: &str = "anon_inode:[perf_event]";

/// What was found. Everything in it is of the time of [`Survey::look`].
#[derive(Debug)]
pub struct Survey {
    attachments: Vec<Attachment>,
    links: Vec<(LinkInfo, Attachment)>,
    holders: Vec<Holder>,
    events: Vec<Event>,
    pins: Vec<Pin>,
    types: KernelTypes,
}

/// A performance event with a program, open in a process.
#[derive(Debug)]
struct Event {
    pid: u32,
    command: String,
    program: u32,
    place: ProbePlace,
}

/// How long the machine has been running, suspended times included, in hundredths of a second. `None` without procfs.
pub fn uptime() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    Duration::try_from_secs_f64(text.split_ascii_whitespace().next()?.parse().ok()?).ok()
}

impl Survey {
    /// Looks at all links, network devices, control groups, descriptors and pins. `symbols` names addresses.
    ///
    /// What this process must not see is left out: other processes' descriptors without `CAP_SYS_PTRACE`, other network
    /// namespaces without `CAP_SYS_ADMIN`.
    ///
    /// # Errors
    /// [`KernelError::NotPermitted`] if links cannot be listed. Kernels without links (before 5.8) have none.
    pub fn look(symbols: &Symbols<'_>) -> Result<Self, KernelError> {
        let types = KernelTypes::new();
        let (cgroups, networks) = (Cgroups::read(), Networks::read());
        let speaker = Speaker { types: &types, cgroups: &cgroups, networks: &networks, symbols };
        let mut seen = networks.attachments.clone();
        seen.extend(cgroups.attachments());
        let mut links = Vec::new();
        for info in link_infos()? {
            let words = speaker.link(&info);
            links.push((info.clone(), joined(&info, words, &mut seen)));
        }
        let mut attachments: Vec<Attachment> = links.iter().map(|(_, attachment)| attachment.clone()).collect();
        attachments.append(&mut seen);
        let events = events();
        for event in &events {
            let words = speaker.probe(&event.place);
            let attachment = Attachment::new(event.program, &words.kind, words.place, Where::Other);
            let same = |known: &Attachment| {
                known.program == attachment.program && known.kind == attachment.kind && known.place == attachment.place
            };
            if !attachments.iter().any(same) {
                attachments.push(attachment);
            }
        }
        let me = std::process::id();
        let holders = holders().into_iter().filter(|holder| holder.pid != me).collect();
        Ok(Self { attachments, links, holders, events, pins: pins(), types })
    }

    /// Where programs run.
    pub fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    /// The links with their places.
    pub fn links(&self) -> impl Iterator<Item = (&LinkInfo, &Attachment)> {
        self.links.iter().map(|(info, attachment)| (info, attachment))
    }

    /// The places where a program runs.
    pub fn places_of(&self, program: u32) -> Vec<Attachment> {
        self.attachments.iter().filter(|attachment| attachment.program == program).cloned().collect()
    }

    /// The processes, by number and name, that hold a program themselves, through a link or through a performance event.
    pub fn holders_of_program(&self, program: u32) -> Vec<(u32, String)> {
        let events = self.events.iter().filter(|event| event.program == program);
        let mut found = self.holding(|held| match held {
            Held::Program(id) => id == program,
            Held::Link { program: id, .. } => id == program,
            _ => false,
        });
        found.extend(events.map(|event| (event.pid, event.command.clone())));
        found.into_iter().collect()
    }

    /// The processes that hold a map.
    pub fn holders_of_map(&self, map: u32) -> Vec<(u32, String)> {
        self.holding(|held| held == Held::Map(map)).into_iter().collect()
    }

    /// The processes that hold a link.
    pub fn holders_of_link(&self, link: u32) -> Vec<(u32, String)> {
        self.holding(|held| matches!(held, Held::Link { link: id, .. } if id == link)).into_iter().collect()
    }

    fn holding(&self, wanted: impl Fn(Held) -> bool) -> BTreeSet<(u32, String)> {
        let found = self.holders.iter().filter(|holder| wanted(holder.object));
        found.map(|holder| (holder.pid, holder.command.clone())).collect()
    }

    /// Where something is pinned.
    pub fn pins_of(&self, object: Pinned) -> Vec<PathBuf> {
        self.pins.iter().filter(|pin| pin.object == object).map(|pin| pin.path.clone()).collect()
    }

    /// The types that were read for the texts, and more on demand.
    pub fn types(&self) -> &KernelTypes {
        &self.types
    }
}

/// The place of a link. Where looking at the place has found the program as well, that row gives its words (it knows
/// other network namespaces) and goes away.
fn joined(info: &LinkInfo, words: Words, seen: &mut Vec<Attachment>) -> Attachment {
    let mut attachment = Attachment {
        program: info.program,
        link: Some(info.id),
        kind: words.kind,
        place: words.place,
        site: words.site,
    };
    let same =
        |row: &Attachment| row.program == info.program && row.kind == attachment.kind && row.site == attachment.site;
    if attachment.site != Where::Other
        && let Some(at) = seen.iter().position(same)
    {
        attachment.place = seen.swap_remove(at).place;
    }
    attachment
}

/// Facts about all links. Those that go away meanwhile are left out.
fn link_infos() -> Result<Vec<LinkInfo>, KernelError> {
    let mut found = Vec::new();
    for id in link_ids() {
        match id {
            Ok(id) => found.extend(OpenLink::by_id(id).ok().and_then(|link| link.info().ok())),
            Err(error @ KernelError::NotPermitted { .. }) => return Err(error),
            // Before Linux 5.8 the command does not exist.
            Err(_) => break,
        }
    }
    Ok(found)
}

/// The performance events of all processes that run programs, one for each process and place.
fn events() -> Vec<Event> {
    let mut found: Vec<Event> = Vec::new();
    for pid in numbers("/proc") {
        let mut command = None;
        for fd in numbers(&format!("/proc/{pid}/fd")) {
            if !fs::read_link(format!("/proc/{pid}/fd/{fd}")).is_ok_and(|link| link.as_os_str() == PERF_EVENT) {
                continue;
            }
            let Ok(Some(used)) = descriptor_use(pid, fd) else { continue };
            let command = command.get_or_insert_with(|| {
                fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
            });
            // There is one for each processor.
            let known = |event: &Event| event.pid == pid && event.program == used.program && event.place == used.place;
            if !found.iter().any(known) {
                found.push(Event { pid, command: command.clone(), program: used.program, place: used.place });
            }
        }
    }
    found
}
