//! From records to lines: calls are put together from their beginnings and ends, and cut in two where another thread
//! comes between.
//!
//! ```text
//!  1001 read(3,  <unfinished ...>        the beginning of 1001, cut off by a record of 1002
//!  1002 close(4)                         = 0
//!  1001 <... read resumed>"a", 10)       = 1
//! ```
//!
//! The beginning of a call is kept until it is known whether its end follows at once; then the line is written as a whole.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use skep_isa::syscalls::Arch;
use skep_trace::names::Clock;

use crate::decode::text::Bytes;
use crate::decode::{Parts, arguments, plain, result};
use crate::fds::Descriptors;
use crate::json;
pub use crate::look::{Look, Prefix, Stamp};
use crate::program::layout::op;
use crate::record::{Record, View, What, is_error};
use crate::stack::Stacks;
use crate::table::kind::{Kind, Result as ResultKind};
use crate::table::{Call, by_number, signals};

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Calls whose end was written.
    pub calls: u64,
    /// Records that made no sense.
    pub damaged: u64,
}

/// A call whose end has not come.
#[derive(Debug)]
struct Pending {
    record: Vec<u8>,
    /// Whether its beginning stands on a line of its own, or on the one that is open.
    shown: bool,
}

/// Writes lines.
pub struct Lines {
    look: Look,
    clock: Clock,
    names: Descriptors,
    stacks: Stacks,
    out: String,
    pending: HashMap<u32, Pending>,
    /// The thread whose beginning came last and is not on a whole line.
    open: Option<u32>,
    /// Characters of the line that is open.
    width: usize,
    /// Threads that live, as far as they are known.
    live: HashSet<u32>,
    /// Threads whose present call is not wanted.
    unwanted: HashSet<u32>,
    /// Beginnings of calls that are not written.
    silent: HashMap<u32, Vec<u8>>,
    /// Signals that threads would have been told of at the end of their calls.
    queued: HashMap<u32, Vec<Vec<u8>>>,
    /// Calls of threads that `restart_syscall` goes on with.
    interrupted: HashMap<u32, u32>,
    last: Option<u64>,
    totals: Totals,
}

const EXECVE: u32 = 59;
/// The call with which the kernel goes on with one that was interrupted, and the result of that one
/// (`ERESTART_RESTARTBLOCK`).
const RESTART: &str = "restart_syscall";
const RESTARTED: i64 = -516;
/// Calls that return twice.
const TWICE: [&str; 4] = ["clone", "fork", "vfork", "clone3"];

impl Lines {
    /// Nothing is written yet.
    pub fn new(look: Look, clock: Clock) -> Self {
        let names = Descriptors::new(look.detail, !look.paths.is_empty(), look.tracked);
        Self {
            look,
            clock,
            names,
            stacks: Stacks::default(),
            out: String::new(),
            pending: HashMap::new(),
            open: None,
            width: 0,
            live: HashSet::new(),
            unwanted: HashSet::new(),
            silent: HashMap::new(),
            queued: HashMap::new(),
            interrupted: HashMap::new(),
            last: None,
            totals: Totals::default(),
        }
    }

    /// What was counted so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Takes what has been written.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// Threads that are known to live; the first one is named only if there are others.
    pub fn know(&mut self, thread: u32) {
        self.live.insert(thread);
    }

    /// Takes a record.
    pub fn record(&mut self, bytes: &[u8]) {
        let Some(record) = Record::parse(bytes) else {
            self.totals.damaged += 1;
            return;
        };
        if self.look.command == Some(record.thread) {
            // The end of the call in which it has waited for its start.
            if record.what == What::Exit && !self.pending.contains_key(&record.thread) {
                return;
            }
            self.look.command = None;
        }
        match record.what {
            What::Enter => self.enter(&record, bytes),
            What::Exit => self.exit(&record),
            What::Fork(thread, process) => {
                self.live.insert(record.thread);
                self.live.insert(thread);
                self.names.inherited(record.process, process);
            }
            What::End(status) => self.end(&record, status),
            What::Signal(number) => self.signal(&record, number),
            What::Ignored(number) if self.pending.contains_key(&record.thread) => {
                if self.look.signals & 1 << (number & 63) != 0 {
                    self.queued.entry(record.thread).or_default().push(bytes.to_vec());
                }
            }
            What::Ignored(number) => self.signal(&record, number),
        }
    }

    /// Nothing happens: what has begun is shown.
    pub fn idle(&mut self) {
        if let Some(thread) = self.open
            && !self.look.json
            && let Some(pending) = self.pending.remove(&thread)
        {
            if !pending.shown
                && let Some(record) = Record::parse(&pending.record)
                && let Some(view) = View::new(Some(record), None)
            {
                self.beginning(&view);
            }
            self.pending.insert(thread, Pending { shown: true, ..pending });
        }
    }

    /// Ends the line that is open.
    pub fn finish(&mut self) {
        self.cut_off(None);
    }

    /// Writes what stands in front of a line.
    fn head(&mut self, record: &Record<'_>) {
        let start = self.out.len();
        match self.look.prefix {
            Prefix::None => {}
            Prefix::Several if self.live.len() < 2 => {}
            Prefix::Several => drop(write!(self.out, "[pid {:5}] ", record.thread)),
            Prefix::Always => drop(write!(self.out, "{:<5} ", record.thread)),
            Prefix::Named if record.name.is_empty() => drop(write!(self.out, "{} ", record.thread)),
            Prefix::Named => {
                let name = String::from_utf8_lossy(record.name);
                let _ = write!(self.out, "{}<{}> ", record.thread, name.escape_default());
            }
        }
        if self.look.relative {
            let passed = record.time.saturating_sub(self.last.unwrap_or(record.time)) / 1000;
            let _ = write!(self.out, "{:6}.{:06} ", passed / 1_000_000, passed % 1_000_000);
        }
        self.last = Some(record.time);
        let wall = i128::from(record.time) + i128::from(self.clock.wall_offset());
        let micro = wall.rem_euclid(1_000_000_000) / 1000;
        match self.look.stamp {
            Stamp::None => {}
            Stamp::Unix => drop(write!(self.out, "{}.{micro:06} ", wall.div_euclid(1_000_000_000))),
            Stamp::Seconds | Stamp::Microseconds => {
                let mut text = Vec::new();
                self.clock.boot_time(record.time, "%H:%M:%S", &mut text);
                self.out.push_str(&String::from_utf8_lossy(&text));
                if self.look.stamp == Stamp::Microseconds {
                    let _ = write!(self.out, ".{micro:06}");
                }
                self.out.push(' ');
            }
        }
        self.width = self.out[start..].chars().count();
    }

    fn add(&mut self, text: &str) {
        self.out.push_str(text);
        self.width += text.chars().count();
    }

    fn end_line(&mut self) {
        self.out.push('\n');
        self.width = 0;
    }

    /// Ends the line of another thread that has not come to its end.
    fn cut_off(&mut self, thread: Option<u32>) {
        let Some(open) = self.open.filter(|open| Some(*open) != thread) else { return };
        self.open = None;
        if self.look.json {
            return;
        }
        let Some(pending) = self.pending.remove(&open) else { return };
        if !pending.shown
            && let Some(record) = Record::parse(&pending.record)
            && let Some(view) = View::new(Some(record), None)
        {
            self.beginning(&view);
        }
        self.add(" <unfinished ...>");
        self.end_line();
        self.pending.insert(open, Pending { shown: true, ..pending });
    }

    fn call_of(record: &Record<'_>) -> Option<&'static Call> {
        by_number(record.number).filter(|_| !record.narrow)
    }

    fn name_of(record: &Record<'_>) -> String {
        match Self::call_of(record) {
            Some(call) => call.name.to_owned(),
            None if record.narrow => match Arch::I386.syscall(record.number) {
                Some(name) => format!("{name}_32"),
                None => format!("syscall32_{:#x}", record.number),
            },
            None => format!("syscall_{:#x}", record.number),
        }
    }

    fn parts(&mut self, view: &View<'_>) -> Parts {
        match Self::call_of(&view.first()) {
            Some(call) if call.name == RESTART => {
                let interrupted = self.interrupted.get(&view.first().thread).and_then(|number| by_number(*number));
                let before = interrupted.map(|call| format!("<... resuming interrupted {} ...>", call.name));
                Parts { before: before.into_iter().collect(), ..Parts::default() }
            }
            Some(call) => arguments(call, view, self.look.style, &mut self.names),
            None => plain(view),
        }
    }

    /// Writes the beginning of a call.
    fn beginning(&mut self, view: &View<'_>) {
        self.head(&view.first());
        let name = Self::name_of(&view.first());
        let text = self.parts(view).first();
        self.add(&format!("{name}({text}"));
    }

    fn is_hidden(&self, record: &Record<'_>) -> bool {
        !record.narrow && self.look.hidden.contains(&record.number)
    }

    fn enter(&mut self, record: &Record<'_>, bytes: &[u8]) {
        self.live.insert(record.thread);
        if self.is_hidden(record) {
            self.lost_end(record.thread);
            self.silent.insert(record.thread, bytes.to_vec());
            return;
        }
        self.cut_off(Some(record.thread));
        self.lost_end(record.thread);
        let wanted = View::new(Some(*record), None).is_some_and(|view| self.is_wanted(&view));
        if !wanted {
            self.unwanted.insert(record.thread);
            return;
        }
        self.unwanted.remove(&record.thread);
        self.pending.insert(record.thread, Pending { record: bytes.to_vec(), shown: false });
        self.open = Some(record.thread);
    }

    /// A call begins although the one before has not ended: that record was lost.
    fn lost_end(&mut self, thread: u32) {
        let Some(pending) = self.pending.remove(&thread) else { return };
        if let Some(record) = Record::parse(&pending.record) {
            self.no_result(&record, pending.shown, self.open == Some(thread));
        }
        self.open = self.open.filter(|open| *open != thread);
    }

    /// Writes the end of a call that has no result.
    fn no_result(&mut self, record: &Record<'_>, shown: bool, open: bool) {
        let Some(view) = View::new(Some(*record), None) else { return };
        if self.look.json {
            let parts = self.parts(&view);
            return json::call(&mut self.out, &view, &Self::name_of(record), parts, None);
        }
        match (shown, open) {
            (false, _) => self.beginning(&view),
            (true, true) => {}
            (true, false) => self.resumed(record),
        }
        if !shown && !self.parts(&view).after.is_empty() {
            self.add(" <unfinished ...>");
        }
        self.result_column(")", "?");
        self.end_line();
    }

    fn resumed(&mut self, record: &Record<'_>) {
        self.head(record);
        let name = Self::name_of(record);
        self.add(&format!("<... {name} resumed>"));
    }

    fn result_column(&mut self, text: &str, result: &str) {
        self.add(text);
        self.add(" ");
        let gap = self.look.column.saturating_sub(self.width);
        let gap = " ".repeat(gap);
        self.add(&gap);
        self.add(&format!("= {result}"));
    }

    /// Whether a call is about one of the paths that are wanted.
    fn is_wanted(&mut self, view: &View<'_>) -> bool {
        if self.look.paths.is_empty() {
            return true;
        }
        let record = view.first();
        let Some(call) = Self::call_of(&record) else { return false };
        call.args.iter().enumerate().any(|(number, kind)| match kind {
            Kind::Path => {
                view.bytes_before(number).is_some_and(|path| self.look.paths.iter().any(|p| p.as_bytes() == path))
            }
            Kind::Fd | Kind::DirFd => {
                let found = self.names.find(record.process, view.arg(number) as u32 as i32);
                found.is_some_and(|name| self.look.paths.iter().any(|path| path == name))
            }
            _ => false,
        })
    }

    /// The beginning that an end belongs to. A thread that runs another program takes the number of its process.
    fn take_pending(&mut self, record: &Record<'_>) -> Option<(u32, Pending)> {
        let thread = match self.pending.get(&record.thread) {
            Some(_) => record.thread,
            None if record.number == EXECVE => {
                let same = |pending: &Pending| {
                    Record::parse(&pending.record)
                        .is_some_and(|one| one.process == record.process && one.number == record.number)
                };
                *self.pending.iter().find(|(_, pending)| same(pending))?.0
            }
            None => return None,
        };
        Some((thread, self.pending.remove(&thread)?))
    }

    fn exit(&mut self, record: &Record<'_>) {
        if self.is_hidden(record) {
            let enter = self.silent.remove(&record.thread);
            if let Some(view) = View::new(enter.as_deref().and_then(Record::parse), Some(*record)) {
                self.track(&view);
            }
            return;
        }
        if self.unwanted.remove(&record.thread) {
            return;
        }
        let pending = self.take_pending(record);
        let name = Self::name_of(record);
        if record.result == RESTARTED && name != RESTART {
            self.interrupted.insert(record.thread, record.number);
        }
        if pending.is_none() && TWICE.contains(&name.as_str()) && record.result == 0 {
            // The beginning belongs to the thread that made this one.
            return;
        }
        let matching = pending
            .filter(|(_, pending)| Record::parse(&pending.record).is_some_and(|enter| enter.number == record.number));
        let (thread, bytes, shown) = match matching {
            Some((thread, pending)) => (thread, Some(pending.record), pending.shown),
            None => (record.thread, None, false),
        };
        let open = self.open == Some(thread);
        self.cut_off(Some(thread));
        self.open = None;
        let enter = bytes.as_deref().and_then(Record::parse);
        let Some(view) = View::new(enter, Some(*record)) else { return };
        if enter.is_none() && !self.is_wanted(&view) {
            return;
        }
        self.totals.calls += 1;
        self.track(&view);
        if self.look.json {
            let parts = self.parts(&view);
            let took = enter.map(|enter| record.time.saturating_sub(enter.time));
            json::call(&mut self.out, &view, &name, parts, took);
        } else {
            self.whole(&view, shown, open);
        }
        for bytes in self.queued.remove(&record.thread).unwrap_or_default() {
            if let Some(record) = Record::parse(&bytes)
                && let What::Ignored(number) = record.what
            {
                self.signal(&record, number);
            }
        }
    }

    /// Writes the end of a call, and its beginning if that is not there yet.
    fn whole(&mut self, view: &View<'_>, shown: bool, open: bool) {
        let Some(exit) = view.exit() else { return };
        let call = Self::call_of(&view.first());
        let parts = self.parts(view);
        let text = if shown {
            if !open {
                self.resumed(&exit);
            }
            parts.second()
        } else {
            self.head(&view.first());
            let name = Self::name_of(&view.first());
            format!("{name}({}{}", parts.first(), parts.second())
        };
        let result = result(call, view, self.look.style, &mut self.names);
        self.result_column(&format!("{text})"), &result);
        let first = view.first();
        if self.look.duration && first.what == What::Enter {
            let took = exit.time.saturating_sub(first.time) / 1000;
            self.add(&format!(" <{}.{:06}>", took / 1_000_000, took % 1_000_000));
        }
        self.end_line();
        let stack = first.chunks().find(|chunk| chunk.kind == op::STACK).and_then(|chunk| chunk.bytes);
        if let Some(bytes) = stack {
            self.stacks.write(first.process, bytes, &mut self.out);
        }
    }

    /// Remembers what calls do to descriptors.
    fn track(&mut self, view: &View<'_>) {
        let first = view.first();
        let Some(call) = Self::call_of(&first) else { return };
        if view.failed() {
            return;
        }
        let (process, fd) = (first.process, view.result() as i32);
        match call.name {
            "close" => self.names.closed(process, view.arg(0) as u32 as i32),
            "dup" | "dup2" | "dup3" => self.names.copied(process, view.arg(0) as u32 as i32, fd),
            _ if call.result == ResultKind::Fd => {
                let path = call.args.iter().position(|kind| matches!(kind, Kind::Path));
                let path = path.and_then(|number| view.bytes_before(number));
                self.names.opened(process, fd, path);
            }
            _ => {}
        }
    }

    fn end(&mut self, record: &Record<'_>, status: u32) {
        self.cut_off(Some(record.thread));
        self.queued.remove(&record.thread);
        self.interrupted.remove(&record.thread);
        self.silent.remove(&record.thread);
        self.unwanted.remove(&record.thread);
        self.lost_end(record.thread);
        if !self.look.no_ends {
            if self.look.json {
                json::end(&mut self.out, record, status);
            } else {
                self.head(record);
                let mut text = String::from("+++ ");
                match (status & 0x7f, status & 0x80 != 0) {
                    (0, _) => drop(write!(text, "exited with {}", status >> 8 & 0xff)),
                    (signal, core) => {
                        text.push_str("killed by ");
                        signals::name(signal.into(), &mut text);
                        text.push_str(if core { " (core dumped)" } else { "" });
                    }
                }
                text.push_str(" +++");
                self.add(&text);
                self.end_line();
            }
        }
        self.live.remove(&record.thread);
        if record.thread == record.process {
            self.names.ended(record.process);
            self.stacks.forget(record.process);
        }
    }

    fn signal(&mut self, record: &Record<'_>, number: u64) {
        // Nobody is told of the one that ends a process at once; its end says so.
        const KILL: u64 = 9;
        if number == 0
            || number == KILL
            || self.look.signals & 1 << (number & 63) == 0
            || is_error(number.cast_signed())
        {
            return;
        }
        self.cut_off(None);
        let bytes = record.chunks().find(|chunk| chunk.kind == op::SIGNAL).and_then(|chunk| chunk.bytes);
        let mut text = String::from("--- ");
        signals::name(number, &mut text);
        text.push(' ');
        let mut info = String::new();
        if let Some(bytes) = bytes {
            signals::info(Bytes(bytes), &mut info);
        }
        if self.look.json {
            return json::signal(&mut self.out, record, text[4..].trim_end(), &info);
        }
        self.head(record);
        self.add(&format!("{text}{info} ---"));
        self.end_line();
    }
}
