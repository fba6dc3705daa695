//! Putting rules in force, and taking them out.
//!
//! ```text
//!  DIRECTORY/fw_switch, fw_banks_*          the switch and the programs of both banks
//!  DIRECTORY/skep_fw_at_*                   the dispatchers
//!  DIRECTORY/links/{in,out,xdp}_NUMBER      their links, by interface
//!  DIRECTORY/bank0, bank1                   tables and texts
//! ```
//!
//! Everything is pinned, so rules stay in force without any process. A new list is built in the bank that is not in force;
//! if anything fails or the process dies before the switch is turned, nothing has changed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use skep_isa::MapType;
use skep_kernel::attach::{Direction, Order, XdpMode, attach_tcx, attach_xdp, interfaces};
use skep_kernel::{LoadOptions, LoadedMap, LoadedProgram, MapMemory, Rights, Update, load_with, pin, unpin};
use skep_object::MapSpec;

use super::bank::{Bank, LiveRules};
use super::carry::{carry, fits};
use super::members::{MEMBERS, Member, Members};
use super::names::{Answers, KEPT as NAMES_KEPT, members as named_members};
use super::seed;
use super::store::{Filling, KernelTables, monotonic, since_boot};
use super::texts::{State, TEXTS, Texts};
use crate::build::{Plan, plan};
use crate::program::{self, BANKS, Hook, SWITCH, Shape, dispatcher};
use crate::rules::{Prefix, RuleSet, special};
use crate::tables::Store as _;
use crate::tables::layout::maps;

/// Where the firewall of this machine is pinned.
pub const DIRECTORY: &str = "/sys/fs/bpf/skep/firewall";
/// Where commands wait for each other.
const LOCK: &str = "/run/skep-firewall.lock";
/// Word of the book: a number while the list still has to be confirmed, else 0.
const PENDING: u32 = 5;
/// Word of the book: 1 if the programs read the payload.
pub(super) const PAYLOAD: u32 = 6;
/// Word of the book: 1 if the programs change addresses.
pub(super) const TRANSLATES: u32 = 7;

/// Word of the book: 1 if the programs give cookies.
pub(super) const COOKIES: u32 = 9;

/// What is said where something has to be in force.
pub const SWITCH_MISSING: &str = "no rules are in force; `skep firewall apply FILE` puts some";

/// Maps that a new list takes over from the old one.
const KEPT: [&str; 6] =
    [maps::FLOWS.table, maps::FLOWS.full, maps::TRANSLATIONS.table, maps::TRANSLATIONS.full, maps::EVENTS, maps::WATCH];

/// The number of the text that has the conditions which the programs find out about.
pub(super) const CONDITIONS: u32 = 1;

/// Why something could not be done, as sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveError(pub String);

impl fmt::Display for LiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LiveError {}

pub(super) fn failed(error: impl fmt::Display) -> LiveError {
    LiveError(error.to_string())
}

pub(super) type Live<T> = Result<T, LiveError>;

/// The firewall in the kernel. While a value exists, other commands wait.
#[derive(Debug)]
pub struct Firewall {
    directory: PathBuf,
    switch: MapMemory,
    /// The bank in force, once something of it was asked for.
    open: Option<Bank>,
    _lock: File,
}

/// Addresses of names by set, with the times at which they leave.
type Named = BTreeMap<String, Vec<(Prefix, u64)>>;

/// How rules are put in force.
#[derive(Debug, Clone, Default)]
pub struct ApplyOptions {
    /// At these interfaces; empty for all but the loopback device.
    pub interfaces: Vec<String>,
    /// Whether arriving packets are also judged by XDP, and how.
    pub xdp: Option<XdpMode>,
    /// What is known about the names in sets.
    pub answers: Answers,
    /// A number other than 0: the list has to be confirmed, else [`Firewall::roll_back`] with this number takes it back.
    pub pending: u64,
}

fn made_before(error: impl fmt::Display) -> LiveError {
    LiveError(format!("{error}; the rules were put in force by another version of skep: apply them again"))
}

fn lock() -> Live<File> {
    let file =
        File::create(LOCK).map_err(|error| LiveError(format!("cannot open `{LOCK}`: {error}; root is needed")))?;
    file.lock().map_err(|error| LiveError(format!("cannot lock `{LOCK}`: {error}")))?;
    Ok(file)
}

/// Interfaces by number and name.
///
/// # Errors
/// If the kernel does not say.
pub fn all_interfaces() -> Live<Vec<(u32, String)>> {
    let all = interfaces().map_err(failed)?;
    Ok(all.into_iter().map(|each| (each.index, each.name)).collect())
}

/// The interfaces that are meant: those with these names, or all but the loopback device.
///
/// # Errors
/// A name that no interface has.
pub fn chosen(names: &[String]) -> Live<Vec<(u32, String)>> {
    let all = all_interfaces()?;
    if names.is_empty() {
        return Ok(all.into_iter().filter(|each| each.1 != "lo").collect());
    }
    let find = |name: &String| {
        let known = || all.iter().map(|each| each.1.as_str()).collect::<Vec<_>>().join(", ");
        let found = all.iter().find(|each| each.1 == *name).cloned();
        found.ok_or_else(|| LiveError(format!("there is no interface `{name}`; there are: {}", known())))
    };
    names.iter().map(find).collect()
}

impl Firewall {
    /// Opens what is pinned in a directory; `None` if nothing is in force.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(directory: &Path) -> Live<Option<Self>> {
        let lock = lock()?;
        let path = directory.join(SWITCH);
        if !path.exists() {
            return Ok(None);
        }
        let switch = LoadedMap::pinned(&path, Rights::All).and_then(|map| map.memory()).map_err(failed)?;
        Ok(Some(Self { directory: directory.to_owned(), switch, open: None, _lock: lock }))
    }

    /// Opens, or makes dispatchers with nothing behind them that are attached nowhere.
    fn open_or_make(directory: &Path) -> Live<(Self, bool)> {
        if let Some(found) = Self::open(directory)? {
            return Ok((found, false));
        }
        let lock = lock()?;
        let problem = |error| LiveError(format!("cannot make the directory `{}`: {error}", directory.display()));
        fs::create_dir_all(directory.join("links")).map_err(problem)?;
        let object = dispatcher().map_err(LiveError)?;
        let loaded = load_with(&object, &LoadOptions { pins: None, ..LoadOptions::default() }).map_err(failed)?;
        for program in &loaded.programs {
            replace_pin(program, &directory.join(program.name()))?;
        }
        // The switch comes last: without it there is no firewall.
        for (spec, map) in object.maps.iter().zip(&loaded.maps).rev() {
            replace_pin(map, &directory.join(&spec.name))?;
        }
        let switch = LoadedMap::pinned(directory.join(SWITCH), Rights::All).and_then(|map| map.memory());
        Ok((Self { directory: directory.to_owned(), switch: switch.map_err(failed)?, open: None, _lock: lock }, true))
    }

    fn bank(&self) -> u32 {
        self.switch.u32_at(0).map_or(0, |word| word.load(Ordering::Acquire)) % BANKS
    }

    fn turn(&self, bank: u32) -> Live<()> {
        let word = self.switch.u32_at(0).ok_or_else(|| LiveError("the switch cannot be written".to_owned()))?;
        word.store(bank, Ordering::Release);
        Ok(())
    }

    fn bank_directory(&self, bank: u32) -> PathBuf {
        self.directory.join(format!("bank{bank}"))
    }

    fn map(&self, bank: u32, name: &str) -> Result<LoadedMap, String> {
        LoadedMap::pinned(self.bank_directory(bank).join(name), Rights::All).map_err(|error| error.to_string())
    }

    /// A map of the bank in force.
    pub(super) fn map_in_force(&self, name: &str) -> Live<LoadedMap> {
        self.map(self.bank(), name).map_err(made_before)
    }

    fn tables(&self, bank: u32) -> Live<KernelTables> {
        KernelTables::open(|name| self.map(bank, name)).map_err(made_before)
    }

    /// Puts a list in force, in place of what was before: all of it or nothing. Gives the interfaces.
    ///
    /// # Errors
    /// What is wrong; the old rules are in force then.
    pub fn apply(directory: &Path, rules: &RuleSet, options: &ApplyOptions) -> Live<Vec<String>> {
        let at = chosen(&options.interfaces)?;
        let all = all_interfaces()?;
        let index = |name: &str| all.iter().find(|each| each.1 == name).map(|each| each.0);
        let (mut firewall, fresh) = Self::open_or_make(directory)?;
        let prepared = firewall.with_names(rules, &options.answers, fresh).and_then(|(rules, named)| {
            let plan = plan(&rules, &index).map_err(failed)?;
            if plan.shape.cookies {
                takes_cookies()?;
            }
            Ok((rules, named, plan))
        });
        let (rules, named, plan) = match prepared {
            Ok(prepared) => prepared,
            Err(error) if fresh => return firewall.remove().and(Err(error)),
            Err(error) => return Err(error),
        };
        let bank = if fresh { 0 } else { 1 - firewall.bank() };
        let built = firewall.build(bank, (&rules, &named), &plan, options.pending);
        let attached = built.and_then(|()| {
            firewall.turn(bank)?;
            // What began meanwhile. It is in force now, whether or not there is room for all.
            for names in [maps::FLOWS, maps::TRANSLATIONS] {
                let _ = firewall.carry(bank, &names);
            }
            firewall.attach(&at, options.xdp)
        });
        if let Err(error) = attached {
            if fresh {
                firewall.remove()?;
            } else {
                firewall.turn(1 - bank)?;
                firewall.clear(bank)?;
            }
            return Err(error);
        }
        Ok(at.into_iter().map(|each| each.1).collect())
    }

    /// A list with the addresses of its names, those that are known from the list in force among them.
    fn with_names<'r>(
        &mut self,
        rules: &'r RuleSet,
        answers: &Answers,
        fresh: bool,
    ) -> Live<(Cow<'r, RuleSet>, Named)> {
        if rules.names.is_empty() {
            return Ok((Cow::Borrowed(rules), Named::new()));
        }
        let mut rules = rules.clone();
        let known = if fresh { Named::new() } else { self.named()? };
        let mut named = named_members(answers, NAMES_KEPT, &known);
        for (set, list) in &mut named {
            let all = rules.sets.entry(set.clone()).or_default();
            list.retain(|(prefix, _)| !all.contains(prefix));
            all.extend(list.iter().map(|each| each.0));
        }
        Ok((Cow::Owned(rules), named))
    }

    /// Builds a list in a bank that is not in force.
    fn build(&self, bank: u32, (rules, named): (&RuleSet, &Named), plan: &Plan, pending: u64) -> Live<()> {
        self.clear(bank)?;
        let object = program::object(&Shape { bank, ..plan.shape.clone() }).map_err(LiveError)?;
        // Connections and who watches stay, unless another version of this program has made them otherwise.
        let same = |spec: &&MapSpec, map: &LoadedMap| {
            let value = spec.value_size as usize;
            let values = match spec.map_type {
                // One for each processor.
                MapType::PercpuArray => map.value_size().is_multiple_of(value.next_multiple_of(8)),
                _ => map.value_size() == value,
            };
            values && map.key_size() == spec.key_size as usize && map.max_entries() == spec.max_entries
        };
        let kept = |spec: &&MapSpec| KEPT.contains(&spec.name.as_str());
        let old = object.maps.iter().filter(kept).filter_map(|spec| {
            let map = self.map(1 - bank, &spec.name).ok()?;
            same(&spec, &map).then_some((spec.name.as_str(), map))
        });
        let mut old: Vec<(&str, LoadedMap)> = old.collect();
        // A table and what counts its entries belong together.
        for maps::Names { table, full, .. } in [maps::FLOWS, maps::TRANSLATIONS] {
            if old.iter().filter(|(name, _)| [table, full].contains(name)).count() < 2 {
                old.retain(|(name, _)| ![table, full].contains(name));
            }
        }
        let shared: Vec<(&str, &LoadedMap)> = old.iter().map(|(name, map)| (*name, map)).collect();
        let load = LoadOptions { pins: None, maps: &shared, ..LoadOptions::default() };
        // The kernel takes its time for the programs.
        let (loaded, texts) = std::thread::scope(|scope| {
            let texts = scope.spawn(|| texts_of(rules, plan));
            (load_with(&object, &load), texts.join())
        });
        let loaded = loaded.map_err(failed)?;
        let texts = texts.map_err(|_| LiveError("the texts of the rules cannot be written".to_owned()))??;
        let directory = self.bank_directory(bank);
        fs::create_dir_all(&directory).map_err(failed)?;
        for (spec, map) in object.maps.iter().zip(&loaded.maps) {
            pin(map, directory.join(&spec.name)).map_err(failed)?;
        }
        let mut tables = self.tables(bank)?;
        plan.fill(&mut tables).map_err(failed)?;
        tables.set_book(PENDING, pending).map_err(failed)?;
        tables.set_book(PAYLOAD, plan.shape.payload.into()).map_err(failed)?;
        tables.set_book(TRANSLATES, plan.shape.translates.into()).map_err(failed)?;
        tables.set_book(COOKIES, plan.shape.cookies.into()).map_err(failed)?;
        let shares = |names: maps::Names| old.iter().any(|(name, _)| *name == names.table);
        if plan.shape.translates && !shares(maps::TRANSLATIONS) {
            self.carry(bank, &maps::TRANSLATIONS)?;
        }
        if plan.shape.track && !shares(maps::FLOWS) && !self.carry(bank, &maps::FLOWS)? {
            let flows = self.map(bank, maps::FLOWS.table).map_err(LiveError)?;
            let now = monotonic();
            let all: BTreeMap<_, _> = { seed::existing().into_iter() }
                .map(|(ends, protocol)| (seed::key(ends, protocol), seed::value(now, protocol)))
                .collect();
            fits(&maps::FLOWS, all.len(), flows.max_entries() as usize)?;
            for (key, value) in &all {
                flows.set(key, value, Update::Any).map_err(failed)?;
            }
        }
        pin(&texts, directory.join(TEXTS)).map_err(failed)?;
        let (map, members) = Members::create(&rules.sets).map_err(failed)?;
        for (number, (set, prefixes)) in (0..).zip(&rules.sets) {
            for prefix in prefixes {
                let until = named.get(set).and_then(|list| list.iter().find(|each| each.0 == *prefix));
                let member =
                    until.map_or(Member::FOR_EVER, |(_, until)| Member { until: *until, settled: true, named: true });
                members.put(number, prefix, &member).map_err(failed)?;
            }
        }
        pin(&map, directory.join(MEMBERS)).map_err(failed)?;
        for hook in Hook::ALL {
            let program = loaded.program(hook.program()).ok_or_else(|| LiveError("a program is missing".to_owned()))?;
            let banks = LoadedMap::pinned(self.directory.join(hook.banks()), Rights::All).map_err(failed)?;
            banks.set_object(&hook.slot(bank).to_ne_bytes(), program).map_err(failed)?;
        }
        Ok(())
    }

    /// Takes over what is in a table of the other bank, if this bank has another one of its own; `false` if there is nothing of
    /// that kind.
    fn carry(&self, bank: u32, names: &maps::Names) -> Live<bool> {
        let both = [1 - bank, bank].map(|bank| self.map(bank, names.table).ok());
        let [Some(old), Some(new)] = both else { return Ok(false) };
        // One entry means that nothing was followed.
        if old.id() == new.id() || old.max_entries() <= 1 || new.max_entries() <= 1 {
            return Ok(false);
        }
        carry(names, &old, &new)
    }

    fn clear(&self, bank: u32) -> Live<()> {
        let Ok(entries) = fs::read_dir(self.bank_directory(bank)) else { return Ok(()) };
        for entry in entries {
            unpin(entry.map_err(failed)?.path()).map_err(failed)?;
        }
        fs::remove_dir(self.bank_directory(bank)).map_err(failed)
    }

    /// Attaches the dispatchers where they are not yet.
    fn attach(&self, at: &[(u32, String)], xdp: Option<XdpMode>) -> Live<()> {
        let program = |hook: Hook| LoadedProgram::pinned(self.directory.join(hook.dispatcher())).map_err(failed);
        for (number, _) in at {
            for (hook, name, direction) in
                [(Hook::Ingress, "in", Direction::Ingress), (Hook::Egress, "out", Direction::Egress)]
            {
                let path = self.directory.join(format!("links/{name}_{number}"));
                if !path.exists() {
                    let link = attach_tcx(program(hook)?, *number, direction, Order::First).map_err(failed)?;
                    link.pin(&path).map_err(failed)?;
                }
            }
            let path = self.directory.join(format!("links/xdp_{number}"));
            if let Some(mode) = xdp.filter(|_| !path.exists()) {
                let attachment = attach_xdp(program(Hook::Xdp)?, *number, mode).map_err(failed)?;
                let link = attachment.as_link().ok_or_else(|| LiveError("XDP has no links here".to_owned()))?;
                link.pin(&path).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Takes everything out of the kernel: all packets go on.
    ///
    /// # Errors
    /// What could not be removed.
    pub fn remove(self) -> Live<()> {
        for name in ["links", "bank0", "bank1"] {
            let Ok(entries) = fs::read_dir(self.directory.join(name)) else { continue };
            for entry in entries {
                unpin(entry.map_err(failed)?.path()).map_err(failed)?;
            }
            fs::remove_dir(self.directory.join(name)).map_err(failed)?;
        }
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            unpin(entry.map_err(failed)?.path()).map_err(failed)?;
        }
        fs::remove_dir(&self.directory).map_err(failed)
    }

    /// Confirms the list in force; `false` if nothing waits for that.
    ///
    /// # Errors
    /// If the tables cannot be reached.
    pub fn confirm(&self) -> Live<bool> {
        let mut tables = self.tables(self.bank())?;
        let waits = tables.book(PENDING).map_err(failed)? != 0;
        tables.set_book(PENDING, 0).map_err(failed)?;
        Ok(waits)
    }

    /// Takes back a list that was applied with this number and has not been confirmed; `false` if there is no such list.
    ///
    /// # Errors
    /// If the tables cannot be reached.
    pub fn roll_back(self, pending: u64) -> Live<bool> {
        let bank = self.bank();
        if pending == 0 || self.tables(bank)?.book(PENDING).map_err(failed)? != pending {
            return Ok(false);
        }
        if self.bank_directory(1 - bank).exists() {
            self.turn(1 - bank)?;
        } else {
            self.remove()?;
        }
        Ok(true)
    }

    /// Sets the panic mode: 0 for none, or one of [`program::PANIC_DROP`], [`program::PANIC_ACCEPT`].
    ///
    /// # Errors
    /// If the switch cannot be written.
    pub fn panic(&self, mode: u32) -> Live<()> {
        let word = self.switch.u32_at(4).ok_or_else(|| LiveError("the switch cannot be written".to_owned()))?;
        word.store(mode, Ordering::Release);
        Ok(())
    }

    /// The panic mode.
    pub fn panics(&self) -> u32 {
        self.switch.u32_at(4).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// The bank in force, with everything finished that a process which died had begun.
    pub(super) fn opened(&mut self) -> Live<&mut Bank> {
        let number = self.bank();
        if self.open.as_ref().is_none_or(|open| open.number != number) {
            let texts = Texts::open(&self.map(number, TEXTS).map_err(LiveError)?).map_err(failed)?;
            let members = Members::open(self.map(number, MEMBERS).map_err(LiveError)?);
            let mut bank = Bank::new(number, self.tables(number)?, texts, members);
            bank.finish()?;
            self.open = Some(bank);
        }
        self.open.as_mut().ok_or_else(|| LiveError("no bank is open".to_owned()))
    }

    /// What is in force, with counts.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn list(&mut self) -> Live<LiveRules> {
        let mut live = self.opened()?.list()?;
        let filling = |names: &maps::Names| {
            Filling::of(names, &self.map_in_force(names.table)?, &self.map_in_force(names.full)?).map_err(failed)
        };
        if live.set.translates() {
            live.translations = Some(filling(&maps::TRANSLATIONS)?);
        }
        if live.set.rules.iter().any(|rule| rule.action.limit.is_some()) {
            live.limits = Some(filling(&maps::LIMITS)?);
        }
        Ok(live)
    }

    /// Puts one rule in, in front of the one at this position (from 0), or behind all. The others are not touched.
    ///
    /// # Errors
    /// What is wrong; nothing is changed then.
    pub fn add(&mut self, text: &str, position: usize) -> Live<()> {
        self.opened()?.add(text, position)
    }

    /// Takes out the rule at a position (from 0); gives its text.
    ///
    /// # Errors
    /// If there is no such rule.
    pub fn delete(&mut self, position: usize) -> Live<String> {
        self.opened()?.delete(position)
    }

    /// What is in a set, with the time since the start of the machine at which each member leaves (0: never).
    ///
    /// # Errors
    /// If there is no such set.
    pub fn set_members(&mut self, name: &str) -> Live<Vec<(Prefix, u64)>> {
        let members = self.opened()?.set_members(name)?;
        Ok(members.into_iter().map(|(prefix, member)| (prefix, member.until)).collect())
    }

    /// Puts prefixes into a set, for so many seconds or for ever; gives how many were not there.
    ///
    /// # Errors
    /// What is wrong. Prefixes in front of the one that is named are in the set then.
    pub fn set_add(&mut self, name: &str, prefixes: &[Prefix], seconds: Option<u64>) -> Live<usize> {
        let until = seconds.map_or(0, |seconds| since_boot() + seconds * 1_000_000_000);
        self.opened()?.set_add(name, prefixes, until)
    }

    /// Takes prefixes out of a set; gives how many were there.
    ///
    /// # Errors
    /// If there is no such set.
    pub fn set_remove(&mut self, name: &str, prefixes: &[Prefix]) -> Live<usize> {
        self.opened()?.set_remove(name, prefixes)
    }

    /// Makes a set have these members and no others; gives how many came and went.
    ///
    /// # Errors
    /// As for [`set_add`](Self::set_add). Nothing has been taken out then.
    pub fn set_replace(&mut self, name: &str, prefixes: &[Prefix]) -> Live<(usize, usize)> {
        let bank = self.opened()?;
        let old: BTreeSet<Prefix> = bank.set_members(name)?.into_iter().map(|(prefix, _)| prefix).collect();
        let new: BTreeSet<Prefix> = prefixes.iter().copied().collect();
        let come: Vec<Prefix> = new.difference(&old).copied().collect();
        let go: Vec<Prefix> = old.difference(&new).copied().collect();
        Ok((bank.set_add(name, &come, 0)?, bank.set_remove(name, &go)?))
    }

    /// Takes out members whose time is over; nanoseconds until the next one leaves, if any will.
    ///
    /// # Errors
    /// If the tables cannot be reached.
    pub fn expire(&mut self) -> Live<Option<u64>> {
        let now = since_boot();
        Ok(self.opened()?.expire(now)?.map(|next| next.saturating_sub(now)))
    }
}

/// Whether the kernel makes connections of acknowledged cookies that it has not given itself.
fn takes_cookies() -> Live<()> {
    let path = "/proc/sys/net/ipv4/tcp_syncookies";
    let text = fs::read_to_string(path).map_err(|error| LiveError(format!("cannot read `{path}`: {error}")))?;
    match text.trim() {
        "2" => Ok(()),
        other => Err(LiveError(format!(
            "net.ipv4.tcp_syncookies is {other}, so the kernel makes cookies only when it is flooded already, or never; rules with \
             `syn-cookies` need 2: `sysctl -w net.ipv4.tcp_syncookies=2`"
        ))),
    }
}

/// The texts of a list, in a map of their own.
fn texts_of(rules: &RuleSet, plan: &Plan) -> Live<LoadedMap> {
    let lines: Vec<String> = rules.rules.iter().map(ToString::to_string).collect();
    let head = RuleSet { rules: Vec::new(), sets: emptied(&rules.sets), ..rules.clone() }.to_string();
    let conditions = special::to_text(&rules.conditions);
    let texts = lines.iter().chain([&head, &conditions]);
    let bytes = texts.map(|text| text.len().next_multiple_of(8)).sum::<usize>();
    let (map, texts) = Texts::create(plan.shape.sizes.rules, bytes).map_err(failed)?;
    texts.put(0, 0, State::Live, &head).map_err(failed)?;
    texts.put(CONDITIONS, 0, State::Live, &conditions).map_err(failed)?;
    for (placed, line) in plan.rules.iter().zip(&lines) {
        texts.put(placed.number, placed.order, State::Live, line).map_err(failed)?;
    }
    Ok(map)
}

/// Sets with the same names and nothing in them: what is in them is kept elsewhere.
fn emptied(sets: &BTreeMap<String, Vec<Prefix>>) -> BTreeMap<String, Vec<Prefix>> {
    sets.keys().map(|name| (name.clone(), Vec::new())).collect()
}

/// Pins something in place of what an earlier attempt left.
fn replace_pin(object: impl std::os::fd::AsFd, path: &Path) -> Live<()> {
    unpin(path).map_err(failed)?;
    pin(object, path).map_err(failed)
}
