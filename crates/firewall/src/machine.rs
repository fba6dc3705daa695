//! The programs in our virtual machine: the same code on the same tables, for explanations and replays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use skep_object::Object;
use skep_vm::ebpf::{Clock, Map, Skb, Vm, Worker, XdpFrame};

use crate::build::{BuildError, Plan};
use crate::described::known;
use crate::facts::Place;
use crate::program::{self, COOKIE_CHECK, COOKIE_MAKE, Hook, SOCKET_GROUP, SOCKET_LOOKUP, SOCKET_RELEASE, SOCKET_USER};
use crate::rules::Direction;
use crate::rules::special::NOBODY;
use crate::tables::entry::{details, line};
use crate::tables::layout::{COUNTER_BYTES, SLOT_BYTES, SLOTS, book, maps, record};
use crate::tables::{Entry, Head, Record, Sizes, Store, TableError};

/// Tables in maps of the virtual machine.
#[derive(Debug)]
pub struct VmTables {
    sizes: Sizes,
    index: Arc<Map>,
    heads: Arc<Map>,
    entries: Arc<Map>,
    details: Arc<Map>,
    rules: Arc<Map>,
    counters: Arc<Map>,
    book: Arc<Map>,
    flows: Arc<Map>,
}

/// A firewall in this process.
#[derive(Debug)]
pub struct Machine {
    /// Its tables.
    pub tables: VmTables,
    worker: Worker,
    programs: [usize; 3],
    sender: Arc<Sender>,
}

/// Whose socket sends the packet that is looked at, for the helpers that tell.
#[derive(Debug, Default)]
struct Sender {
    user: AtomicU64,
    group: AtomicU64,
}

/// What a program of the machine made of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it goes on.
    pub passes: bool,
    /// Its mark then.
    pub mark: u32,
    /// What its sender is told in place of it.
    pub answer: Option<Vec<u8>>,
    /// What it became, if it passes and is not what it was: translated.
    pub changed: Option<Vec<u8>>,
}

fn find(object: &Object, vm: &Vm, name: &str) -> Result<Arc<Map>, String> {
    let position = object.maps.iter().position(|map| map.name == name);
    position.and_then(|position| vm.map(position)).ok_or_else(|| format!("the programs have no map `{name}`"))
}

impl Machine {
    /// Builds programs and tables of a plan.
    ///
    /// # Errors
    /// What does not fit.
    pub fn new(plan: &Plan) -> Result<Self, BuildError> {
        let own = |problem: String| BuildError { rule: None, problem };
        let object = program::object(&plan.shape).map_err(own)?;
        let sender = Arc::new(Sender::default());
        let (user, group) = (Arc::clone(&sender), Arc::clone(&sender));
        let vm = Vm::new(&object)
            .helper(SOCKET_USER.cast_signed(), move |_, _| Ok(user.user.load(Ordering::Relaxed)))
            .helper(SOCKET_GROUP.cast_signed(), move |_, _| Ok(group.group.load(Ordering::Relaxed)))
            // Nobody listens in the machine, so nobody gives cookies.
            .helper(SOCKET_LOOKUP.cast_signed(), |_, _| Ok(0));
        let vm = { [SOCKET_RELEASE, COOKIE_MAKE, COOKIE_CHECK].into_iter() }
            .fold(vm, |vm, helper| vm.helper(helper.cast_signed(), |_, _| Ok(0)));
        let vm = vm.load().map_err(|error| own(error.to_string()))?;
        let map = |name| find(&object, &vm, name).map_err(own);
        let mut tables = VmTables {
            sizes: plan.shape.sizes,
            index: map(maps::INDEX)?,
            heads: map(maps::HEADS)?,
            entries: map(maps::ENTRIES)?,
            details: map(maps::DETAILS)?,
            rules: map(maps::RULES)?,
            counters: map(maps::COUNTERS)?,
            book: map(maps::BOOK)?,
            flows: map(maps::FLOWS.table)?,
        };
        plan.fill(&mut tables)?;
        let mut programs = [0; 3];
        for (place, hook) in programs.iter_mut().zip(Hook::ALL) {
            *place = vm.find(hook.program()).ok_or_else(|| own("a program is missing".to_owned()))?;
        }
        let worker = vm.worker().map_err(|error| own(format!("the virtual machine gets no memory: {error}")))?;
        Ok(Self { tables, worker, programs, sender })
    }

    /// Stops all clocks at a time, in nanoseconds since the beginning of 1970.
    pub fn set_time(&mut self, nanoseconds: u64) {
        self.worker.set_clock(Clock::fixed(nanoseconds));
    }

    /// The connection of a packet is known from a time on, in nanoseconds since the beginning of 1970.
    ///
    /// # Errors
    /// If it has no ports, or does not fit.
    pub fn know(&mut self, packet: &[u8], place: Place, time: u64) -> Result<(), String> {
        let (key, value) = known(packet, place, time).ok_or("the packet belongs to no connection")?;
        self.tables.flows.user().update(&key, &value, 0).map_err(|error| error.to_string())
    }

    /// Runs the program of traffic control on a packet.
    ///
    /// # Errors
    /// What went wrong in the machine, which is a defect of this crate.
    pub fn run(&mut self, packet: &[u8], place: Place) -> Result<Outcome, String> {
        self.sender.user.store(place.owner.unwrap_or(NOBODY).into(), Ordering::Relaxed);
        self.sender.group.store(place.group.unwrap_or(0), Ordering::Relaxed);
        let mut skb = Skb::new(packet);
        skb.meta.ifindex = Some(place.interface);
        skb.meta.mark = place.mark;
        skb.meta.vlan_tci = place.vlan;
        skb.meta.vlan_tpid = 0x8100;
        let hook = if place.direction == Direction::In { Hook::Ingress } else { Hook::Egress };
        let verdict = self.worker.run_skb(self.programs[hook as usize], &mut skb).map_err(|error| error.to_string())?;
        let passes = i64::from(verdict.code.cast_signed()) == hook.pass();
        let is_answer = verdict.redirect.is_some();
        let bytes = Some(skb.packet).filter(|bytes| is_answer || passes && bytes != packet);
        let (answer, changed) = if is_answer { (bytes, None) } else { (None, bytes) };
        Ok(Outcome { passes, mark: skb.meta.mark, answer, changed })
    }

    /// Runs the program of XDP on a packet.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn run_xdp(&mut self, packet: &[u8], interface: u32) -> Result<bool, String> {
        let mut frame = XdpFrame::new(packet);
        frame.ingress_ifindex = interface;
        let verdict = self.worker.run_xdp(self.programs[Hook::Xdp as usize], &mut frame);
        Ok(i64::from(verdict.map_err(|error| error.to_string())?.code) == Hook::Xdp.pass())
    }

    /// Packets that a rule has counted.
    pub fn packets(&self, rule: u32) -> u64 {
        let counter = self.tables.counters.user().lookup(&rule.to_ne_bytes()).unwrap_or_default();
        let sum = counter.chunks(COUNTER_BYTES).filter_map(|chunk| chunk.first_chunk::<8>());
        sum.map(|bytes| u64::from_ne_bytes(*bytes)).sum()
    }
}

fn failed(error: impl std::fmt::Display) -> TableError {
    TableError::Store(format!("a table of the virtual machine: {error}"))
}

impl VmTables {
    fn get(map: &Map, number: u32) -> Result<Vec<u8>, TableError> {
        map.user().lookup(&number.to_ne_bytes()).map_err(failed)
    }

    fn put(map: &Map, number: u32, value: &[u8]) -> Result<(), TableError> {
        map.user().update(&number.to_ne_bytes(), value, 0).map_err(failed)
    }

    fn edit(map: &Map, number: u32, at: usize, part: &[u8]) -> Result<(), TableError> {
        let mut value = Self::get(map, number)?;
        value[at..at + part.len()].copy_from_slice(part);
        Self::put(map, number, &value)
    }
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

impl Store for VmTables {
    fn sizes(&self) -> Sizes {
        self.sizes
    }

    fn head(&self, bucket: u32) -> Result<Head, TableError> {
        Ok(Head::read(long(&Self::get(&self.heads, bucket)?, 0)))
    }

    fn set_head(&mut self, bucket: u32, head: Head) -> Result<(), TableError> {
        Self::put(&self.heads, bucket, &head.word().to_ne_bytes())
    }

    fn entry(&self, number: u32) -> Result<Entry, TableError> {
        Ok(Entry::read(&Self::get(&self.entries, number)?, &Self::get(&self.details, number)?))
    }

    fn write_entry(&mut self, number: u32, entry: &Entry) -> Result<(), TableError> {
        let (first, rest) = entry.bytes();
        Self::put(&self.details, number, &rest)?;
        Self::put(&self.entries, number, &first)
    }

    fn set_next(&mut self, number: u32, next: u32) -> Result<(), TableError> {
        Self::edit(&self.entries, number, line::NEXT as usize, &next.to_ne_bytes())
    }

    fn set_free(&mut self, number: u32, free: [u64; 2]) -> Result<(), TableError> {
        let bytes = [free[0].to_ne_bytes(), free[1].to_ne_bytes()].concat();
        Self::edit(&self.details, number, details::FREE as usize, &bytes)
    }

    fn widen(&mut self, slot: u32, way: u8, classes: u8) -> Result<(), TableError> {
        let (line, at) = (slot / SLOTS, SLOT_BYTES * (slot % SLOTS) as usize + usize::from(way));
        let old = Self::get(&self.index, line)?.get(at).copied().unwrap_or_default();
        if old | classes == old { Ok(()) } else { Self::edit(&self.index, line, at, &[old | classes]) }
    }

    fn book(&self, word: u32) -> Result<u64, TableError> {
        debug_assert!(word < book::WORDS);
        Ok(long(&Self::get(&self.book, word)?, 0))
    }

    fn set_book(&mut self, word: u32, value: u64) -> Result<(), TableError> {
        Self::put(&self.book, word, &value.to_ne_bytes())
    }

    fn set_record(&mut self, rule: u32, record: &Record) -> Result<(), TableError> {
        debug_assert!(record.bytes().len() == record::SIZE);
        Self::put(&self.rules, rule, &record.bytes())
    }

    /// Entries are never used again: the programs of this machine run between changes, and the tables do not live long.
    fn now(&self) -> u64 {
        0
    }

    fn secret(&self) -> u64 {
        0
    }
}
