//! Watching: what becomes of packets, as it happens.
//!
//! Programs send records only while the one value of `fw_watch` says that somebody reads them, and until when; so they cost
//! one look at it otherwise, also if the reader was killed. Both maps are taken over by the next list, so one reader sees
//! what all lists do.

use std::collections::HashMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use skep_kernel::{LoadedMap, MapMemory, Rights, RingBuffer};

use super::force::{Firewall, Live, LiveError, SWITCH_MISSING, failed};
use super::store::{lost, monotonic};
use super::texts::{State, TEXTS, Texts};
use crate::program::{BANKS, Hook, work};
use crate::tables::layout::{maps, special, watch};

/// Where readers keep each other out.
const LOCK: &str = "/run/skep-firewall-watch.lock";
/// Programs are told this long ahead that somebody reads, again and again.
const AHEAD: Duration = Duration::from_secs(3);
/// How often it is looked whether everything is as it was.
const TURN: Duration = Duration::from_millis(250);
/// How long what is known about a rule is believed.
const FRESH: Duration = Duration::from_secs(2);

/// What is read; bits of [`watch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Records of rules with `log`.
    pub logs: bool,
    /// Packets that go on.
    pub accepted: bool,
    /// Packets that vanish.
    pub dropped: bool,
}

impl Wanted {
    fn bits(self) -> u32 {
        let bits = [(self.logs, watch::LOGS), (self.accepted, watch::ACCEPTED), (self.dropped, watch::DROPPED)];
        bits.into_iter().filter(|(is, _)| *is).fold(0, |all, (_, bit)| all | bit)
    }
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A rule with `log` met it; what becomes of it is not known yet.
    Logged,
    /// It goes on.
    Accepted,
    /// It vanishes.
    Dropped,
    /// It vanishes, and its sender is told if it may be.
    Rejected,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// Where it was met.
    pub hook: Hook,
    /// The number of the interface.
    pub interface: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// The bank of the rule.
    pub bank: u32,
    /// The number of the rule, or of what decided without one.
    pub rule: u32,
    /// Whether a limit counts as exceeded because the table of limits was full.
    pub no_limit: bool,
    /// Bytes of the packet.
    pub length: u32,
    /// Its first bytes, from the Ethernet header on.
    pub packet: Vec<u8>,
}

impl Event {
    /// Reads a record; `None` if it is none of ours.
    fn read(record: &[u8]) -> Option<Self> {
        let record: &[u8; work::RECORD] = record.try_into().ok()?;
        let word = |at: i16| u32::from_ne_bytes(std::array::from_fn(|byte| record[at as usize + byte]));
        let time = u64::from_ne_bytes(std::array::from_fn(|byte| record[work::NOW as usize + byte]));
        let outcome = match (u32::from(record[work::KIND as usize]), word(work::VERDICT)) {
            (watch::LOGS, _) => Outcome::Logged,
            (_, crate::tables::layout::ACCEPT) => Outcome::Accepted,
            (_, crate::tables::layout::REJECT) => Outcome::Rejected,
            _ => Outcome::Dropped,
        };
        let captured = (word(work::CAPTURED) as usize).min(work::MOST_CAPTURED);
        let packet = record.get(work::PACKET as usize..)?.get(..captured)?.to_vec();
        Some(Self {
            time,
            hook: *Hook::ALL.get(usize::from(record[work::HOOK as usize]))?,
            interface: word(work::INTERFACE),
            outcome,
            bank: record[work::BANK as usize].into(),
            rule: word(work::RULE),
            no_limit: record[work::NO_LIMIT as usize] != 0,
            length: word(work::LENGTH),
            packet,
        })
    }
}

/// A reader of records.
#[derive(Debug)]
pub struct Watch {
    directory: PathBuf,
    wanted: Wanted,
    ring: RingBuffer,
    flag: MapMemory,
    /// The number of the ring buffer: another one means that the rules were taken out meanwhile.
    ring_id: u32,
    /// Records that were lost in each bank when this was looked at last.
    seen: [Option<u64>; BANKS as usize],
    lost: u64,
    labels: HashMap<(u32, u32), (Instant, String)>,
    /// When it was looked at whether everything is as it was.
    looked: Instant,
    _lock: File,
}

/// What is added to the monotonic clock for the time of day, in nanoseconds.
pub fn wall_offset() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec - monotonic().cast_signed()
}

impl Watch {
    /// Begins to watch what is in force in a directory.
    ///
    /// # Errors
    /// If nothing is in force or somebody else watches.
    pub fn new(directory: &Path, wanted: Wanted) -> Live<Self> {
        let lock =
            File::create(LOCK).map_err(|error| LiveError(format!("cannot open `{LOCK}`: {error}; root is needed")))?;
        if lock.try_lock().is_err() {
            return Err(LiveError("another `skep firewall watch` is running: records have one reader".to_owned()));
        }
        let (ring, flag, ring_id) = Self::maps(directory)?;
        let mut watch = Self {
            directory: directory.to_owned(),
            wanted,
            ring,
            flag,
            ring_id,
            seen: [None; BANKS as usize],
            lost: 0,
            labels: HashMap::new(),
            looked: Instant::now(),
            _lock: lock,
        };
        // What nobody has read is old.
        watch.ring.consume(|_| ControlFlow::Continue(())).map_err(failed)?;
        watch.count_lost();
        watch.lost = 0;
        watch.go_on()?;
        Ok(watch)
    }

    fn maps(directory: &Path) -> Live<(RingBuffer, MapMemory, u32)> {
        let firewall = Firewall::open(directory)?.ok_or_else(|| LiveError(SWITCH_MISSING.to_owned()))?;
        let events = firewall.map_in_force(maps::EVENTS)?;
        let flag = firewall.map_in_force(maps::WATCH)?.memory().map_err(failed)?;
        let id = events.id();
        Ok((RingBuffer::open(&events).map_err(failed)?, flag, id))
    }

    /// Tells the programs that somebody reads for a while.
    fn go_on(&self) -> Live<()> {
        let wrong = || LiveError("the programs cannot be told to send records".to_owned());
        let kinds = self.flag.u32_at(watch::KINDS as usize).ok_or_else(wrong)?;
        kinds.store(self.wanted.bits(), Ordering::Release);
        let until = self.flag.u64_at(watch::UNTIL as usize).ok_or_else(wrong)?;
        until.store(monotonic() + u64::try_from(AHEAD.as_nanos()).unwrap_or(u64::MAX), Ordering::Release);
        Ok(())
    }

    /// Waits for records, at most a quarter of a second, and hands them on until `each` breaks. Gives whether rules are in
    /// force.
    ///
    /// # Errors
    /// If the maps cannot be read.
    pub fn wait(&mut self, mut each: impl FnMut(Event) -> ControlFlow<()>) -> Live<bool> {
        let record = |record: &[u8]| Event::read(record).map_or(ControlFlow::Continue(()), &mut each);
        self.ring.wait(Some(TURN), record).map_err(failed)?;
        if self.looked.elapsed() < TURN {
            return Ok(true);
        }
        self.looked = Instant::now();
        self.count_lost();
        // Taken out and put in force again means other maps; lists that follow one another share them.
        let pinned = (0..BANKS).find_map(|bank| self.pinned(bank, maps::EVENTS));
        let Some(id) = pinned.map(|map| map.id()) else { return Ok(false) };
        if id != self.ring_id {
            (self.ring, self.flag, self.ring_id) = Self::maps(&self.directory)?;
        }
        self.go_on()?;
        Ok(true)
    }

    fn pinned(&self, bank: u32, name: &str) -> Option<LoadedMap> {
        LoadedMap::pinned(self.directory.join(format!("bank{bank}")).join(name), Rights::All).ok()
    }

    fn count_lost(&mut self) {
        for bank in 0..BANKS {
            let now = self.pinned(bank, maps::COUNTERS).and_then(|counters| lost(&counters).ok());
            let before = std::mem::replace(&mut self.seen[bank as usize], now);
            if let (Some(now), Some(before)) = (now, before) {
                // A bank that was built anew counts from 0.
                self.lost += now.checked_sub(before).unwrap_or(now);
            }
        }
    }

    /// Records that there was no room for since watching began.
    pub fn lost(&mut self) -> u64 {
        self.count_lost();
        self.lost
    }

    /// What decided: `rule 3: drop in udp`, with the number that `list` has, or what stands for no rule.
    pub fn label(&mut self, event: &Event) -> String {
        if let Some(name) = special::name(event.rule) {
            return name.to_owned();
        }
        let mut label = self.rule_label(event);
        if event.no_limit {
            label.push_str(" (full table of limits)");
        }
        label
    }

    fn rule_label(&mut self, event: &Event) -> String {
        let key = (event.bank, event.rule);
        if let Some((read, label)) = self.labels.get(&key)
            && read.elapsed() < FRESH
        {
            return label.clone();
        }
        let label = self.text(event.bank, event.rule).unwrap_or_else(|| "a rule that has been taken out".to_owned());
        self.labels.insert(key, (Instant::now(), label.clone()));
        label
    }

    fn text(&self, bank: u32, rule: u32) -> Option<String> {
        let texts = Texts::open(&self.pinned(bank, TEXTS)?).ok()?;
        let own = texts.row(rule);
        if own.state == State::Absent {
            return None;
        }
        let rows = (special::FIRST..texts.rows()).map(|number| texts.row(number));
        let before = rows.filter(|row| row.state != State::Absent && row.order < own.order).count();
        Some(format!("rule {}: {}", before + 1, texts.text(rule).ok()?))
    }
}

impl Drop for Watch {
    /// Nobody reads any more.
    fn drop(&mut self) {
        if let Some(until) = self.flag.u64_at(watch::UNTIL as usize) {
            until.store(0, Ordering::Release);
        }
    }
}
