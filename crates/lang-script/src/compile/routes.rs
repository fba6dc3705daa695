//! The way to attach each place on this kernel. What a script writes is a wish: a kprobe may be served by fentry, fentry
//! by a kprobe, either by an event that happens at the same moment. What programs read there comes out the same.
//!
//! ```text
//!  kprobe:f    --> fentry --> kprobe, many at once --> kprobe --> event of the same meaning --> error with what is near
//!  fentry:f    --> fentry --> kprobe -------------------------> event of the same meaning --> error with what is near
//!  tracepoint  --> raw tracepoint, if it tells all that is read --> tracepoint
//! ```
//!
//! The first way that the kernel can go and that gives the script what it reads is taken, before anything is compiled.

use super::needs::Needs;
use super::{Ability, Environment};
use crate::check::{Access, CallSide, Mapped};
use crate::providers::equivalents::{self, Equivalent, Event, Passing, Source, Test};
use crate::providers::renamed::{self, VERSIONS};
use crate::providers::{KernelPlace, Point};
use crate::registers::Arch;
use crate::types::definitions::Types;
use crate::types::{Prototype, Type};

/// How one place is reached.
#[derive(Debug, Clone)]
pub struct Route {
    /// Where the program is attached.
    pub point: Point,
    /// Where its values come from.
    pub access: Access,
    /// Which way was taken instead of the one that is written, and why; empty if none.
    pub why: String,
}

impl Route {
    /// Whether a program for this place fits no other one.
    pub fn binds(&self) -> bool {
        let tied = matches!(self.point, Point::Typed { .. } | Point::Program { .. } | Point::Iter { .. });
        match &self.access {
            Access::Usual => tied,
            // The number of the system call is not part of the program.
            Access::Event(mapped) => tied || mapped.call.is_none() || !mapped.args.is_empty(),
            _ => true,
        }
    }

    fn as_written(point: &Point) -> Self {
        Self { point: point.clone(), access: Access::Usual, why: String::new() }
    }
}

/// Why a place cannot be reached, and what to do instead.
#[derive(Debug, Clone)]
pub struct Unreachable {
    /// What is wrong.
    pub message: String,
    /// What helps.
    pub help: String,
}

/// Finds ways for the places of one attach point.
pub struct Router<'r, 'a> {
    env: &'r Environment<'a>,
    types: &'r Types<'a>,
    needs: &'r Needs,
}

/// A function of the kernel under the name that it has here.
struct Function {
    name: String,
    /// For each argument of the function of the script its place; `None` if all are as written.
    args: Option<&'static [Option<u32>]>,
    note: String,
}

impl<'r, 'a> Router<'r, 'a> {
    /// For a probe that needs these things.
    pub fn new(env: &'r Environment<'a>, types: &'r Types<'a>, needs: &'r Needs) -> Self {
        Self { env, types, needs }
    }

    /// The way for each place, or several if several events are needed for one. Of many places those that cannot be
    /// reached are left out.
    pub fn routes(&self, points: &[Point]) -> Result<Vec<(usize, Route)>, Unreachable> {
        match points {
            [point] => Ok(self.one(point)?.into_iter().map(|route| (0, route)).collect()),
            [Point::Kprobe { .. }, ..]
                if self.can(Ability::KprobeMulti).is_ok() || self.can(Ability::Kprobe).is_ok() =>
            {
                Ok(points.iter().map(Route::as_written).enumerate().collect())
            }
            [Point::Kprobe { .. } | Point::Typed { .. }, ..] => {
                let mut found = Vec::new();
                let mut last = None;
                for (index, point) in points.iter().enumerate() {
                    match self.one(point) {
                        Ok(routes) => found.extend(routes.into_iter().map(|route| (index, route))),
                        Err(problem) => last = Some(problem),
                    }
                }
                last.filter(|_| found.is_empty()).map_or(Ok(found), Err)
            }
            [Point::Tracepoint { .. }, ..] => {
                Ok(points.iter().map(|point| self.tracepoint(point)).enumerate().collect())
            }
            _ => Ok(points.iter().map(Route::as_written).enumerate().collect()),
        }
    }

    fn one(&self, point: &Point) -> Result<Vec<Route>, Unreachable> {
        match point {
            Point::Kprobe { ret, module, place: KernelPlace::Function(name, offset) } => {
                self.kprobe(point, *ret, module.as_deref(), name, *offset)
            }
            Point::Typed { ret, module, function } => self.typed(point, *ret, module.as_deref(), function),
            Point::Tracepoint { .. } => Ok(vec![self.tracepoint(point)]),
            _ => Ok(vec![Route::as_written(point)]),
        }
    }

    fn can(&self, ability: Ability<'_>) -> Result<(), String> {
        self.env.facts.can(ability)
    }

    /// The function under the name that this kernel has for it.
    fn function(&self, name: &str) -> Option<Function> {
        let exists = |name: &str| self.can(Ability::Function(name)).is_ok();
        if exists(name) {
            return Some(Function { name: name.to_owned(), args: None, note: String::new() });
        }
        let version = |name: &str| {
            let found = self.env.facts.versions(name);
            found.into_iter().find(|full| VERSIONS.iter().any(|ending| full[name.len()..].starts_with(ending)))
        };
        if let Some(full) = version(name) {
            let note = format!("the compiler made `{full}` of `{name}`");
            return Some(Function { name: full, args: None, note });
        }
        renamed::others(name).find_map(|row| {
            let other = if exists(row.other) { Some(row.other.to_owned()) } else { version(row.other) }?;
            let note = format!("`{name}` is `{other}` on this kernel");
            Some(Function { name: other, args: Some(row.args), note })
        })
    }

    /// The prototype of a function if programs can be attached to it with its arguments by their types.
    fn prototype(&self, module: Option<&str>, name: &str, ret: bool) -> Result<Prototype, String> {
        const MOST: usize = 6;
        let module = module.unwrap_or("");
        let prototype = self.types.source().function(module, name);
        let prototype = prototype.ok_or_else(|| format!("the kernel's types do not describe `{name}`"))?;
        if prototype.params.len() > MOST {
            return Err(format!("`{name}` has more than {MOST} arguments"));
        }
        if prototype.params.iter().any(|param| param.ty.scalar().is_none()) {
            return Err(format!("`{name}` has an argument that is no number and no pointer"));
        }
        self.can(Ability::Typed { module, function: name, ret })?;
        Ok(prototype)
    }

    /// `kprobe`, `kretprobe` of one function.
    fn kprobe(
        &self,
        point: &Point,
        ret: bool,
        module: Option<&str>,
        name: &str,
        offset: u64,
    ) -> Result<Vec<Route>, Unreachable> {
        let kprobes = self.can(Ability::Kprobe);
        if offset != 0 {
            return kprobes.map(|()| vec![Route::as_written(point)]).map_err(|why| Unreachable {
                message: format!("`{point}` cannot be attached: {why}"),
                help: format!("only kprobes reach instructions inside of functions; `fentry:{name}` is at its start"),
            });
        }
        let Some(function) = self.function(name) else {
            return self.event(point, ret, name, &format!("the kernel has no function `{name}`"));
        };
        let hard = self.needs.registers(self.env.arch.register_arguments());
        let typed = match hard {
            Some(why) => Err(why.to_owned()),
            None => self.usable(module, &function, ret),
        };
        let kprobe = || Route {
            point: Point::Kprobe {
                ret,
                module: module.map(str::to_owned),
                place: KernelPlace::Function(function.name.clone(), 0),
            },
            access: moved(&function, Access::Usual),
            why: function.note.clone(),
        };
        let fentry = |prototype: &Prototype, because: &str| {
            let typed = Point::Typed { ret, module: module.map(str::to_owned), function: function.name.clone() };
            let why = joined(&[&function.note, &format!("served by `{typed}`: {because}")]);
            Route { point: typed, access: moved(&function, Access::Words(prototype.clone())), why }
        };
        match (typed, kprobes) {
            (Ok(_), Ok(())) if self.needs.prefers_kprobe().is_some() => Ok(vec![kprobe()]),
            (Ok(_), Ok(())) if self.can(Ability::CheaperWays).is_err() => Ok(vec![kprobe()]),
            (Ok(prototype), Ok(())) => Ok(vec![fentry(&prototype, "it costs less than a kprobe and misses no call")]),
            (Ok(prototype), Err(why)) => Ok(vec![fentry(&prototype, &why)]),
            (Err(typed), Ok(())) => {
                // Asked only where there is something else, for it takes a moment.
                let others = if hard.is_none() { self.equivalents(point, ret, name, &typed) } else { Vec::new() };
                let possible = others.is_empty() || self.can(Ability::KprobeAt(&function.name)).is_ok();
                Ok(if possible { vec![kprobe()] } else { others })
            }
            (Err(typed), Err(kprobes)) => self.event(point, ret, name, &format!("{kprobes}; {typed}")),
        }
    }

    /// Whether fentry or fexit gives what the probe reads.
    fn usable(&self, module: Option<&str>, function: &Function, ret: bool) -> Result<Prototype, String> {
        let prototype = self.prototype(module, &function.name, ret)?;
        let name = &function.name;
        let count = u32::try_from(prototype.params.len()).unwrap_or(0);
        if self.needs.highest_argument().is_some_and(|number| number >= count) {
            return Err(format!("`{name}` has {count} arguments"));
        }
        if ret && prototype.result == Type::Void && self.needs.uses("retval") {
            return Err(format!("`{name}` returns nothing"));
        }
        Ok(prototype)
    }

    /// `fentry`, `fexit` of one function.
    fn typed(&self, point: &Point, ret: bool, module: Option<&str>, name: &str) -> Result<Vec<Route>, Unreachable> {
        let function = match self.function(name) {
            Some(function) => function,
            // What the kernel's symbols do not show may still be in its types; loading says what is wrong with it.
            None if self.types.source().function(module.unwrap_or(""), name).is_some() => {
                Function { name: name.to_owned(), args: None, note: String::new() }
            }
            None => return self.event(point, ret, name, &format!("the kernel has no function `{name}`")),
        };
        let own = module.unwrap_or("");
        let typed = self.can(Ability::Typed { module: own, function: &function.name, ret });
        let Err(refused) = typed else {
            let point = Point::Typed { ret, module: module.map(str::to_owned), function: function.name.clone() };
            return Ok(vec![Route { point, access: Access::Usual, why: function.note }]);
        };
        let kprobe = self.can(Ability::Kprobe).and_then(|()| {
            if ret && self.needs.fields().any(|field| !matches!(field, "ret" | "retval")) {
                return Err("a kretprobe does not know the arguments any more".to_owned());
            }
            Ok(())
        });
        match kprobe {
            Ok(()) => {
                let place = KernelPlace::Function(function.name.clone(), 0);
                let kprobe = Point::Kprobe { ret, module: module.map(str::to_owned), place };
                let why = joined(&[&function.note, &format!("served by `{kprobe}`: {refused}")]);
                Ok(vec![Route { point: kprobe, access: Access::Registers, why }])
            }
            Err(kprobes) => self.event(point, ret, name, &joined(&[&refused, &kprobes])),
        }
    }

    /// `tracepoint`: as raw tracepoint where that means the same. A raw tracepoint needs no record, and the kernel does not
    /// wait for a grace period when it is detached.
    fn tracepoint(&self, point: &Point) -> Route {
        let Point::Tracepoint { category, event } = point else { return Route::as_written(point) };
        if self.can(Ability::CheaperWays).is_err() || self.needs.uses("kstack") {
            return Route::as_written(point);
        }
        let event_of_call = if category == "syscalls" { equivalents::traced_call(event) } else { None };
        if let Some((ret, name)) = event_of_call {
            let Some(number) = native(self.env.arch).number(name) else { return Route::as_written(point) };
            let side = if ret { CallSide::Exit } else { CallSide::Enter };
            if !self.fields_are_told(category, event, side) {
                return Route::as_written(point);
            }
            let target = Point::SystemCall { ret, number, name: name.to_owned() };
            let mapped = self.call(point.to_string(), String::new(), &target, side, Vec::new());
            let why = format!("served by `{target}`, which is detached at once");
            return Route { point: target, access: Access::Event(mapped), why };
        }
        let raw = Point::RawTracepoint { module: None, event: event.clone() };
        let why = format!("served by `{raw}`, which is detached at once");
        if category == "raw_syscalls" {
            let side = if event == "sys_exit" { CallSide::Exit } else { CallSide::Enter };
            if !matches!(event.as_str(), "sys_enter" | "sys_exit") || !self.fields_are_told(category, event, side) {
                return Route::as_written(point);
            }
            let mapped =
                Mapped { when: Vec::new(), ..self.call(point.to_string(), String::new(), &raw, side, Vec::new()) };
            return Route { point: raw, access: Access::Event(mapped), why };
        }
        let without_record = self.needs.fields().next().is_none();
        if without_record && self.types.source().raw_tracepoint(event).is_some() {
            return Route { point: raw, access: Access::Usual, why };
        }
        Route::as_written(point)
    }

    /// Whether a raw tracepoint of system calls tells all fields that are read.
    fn fields_are_told(&self, category: &str, event: &str, side: CallSide) -> bool {
        let mut fields = self.needs.fields().peekable();
        if fields.peek().is_none() {
            return true;
        }
        let Some(record) = self.types.source().tracepoint(category, event) else { return false };
        fields.all(|field| {
            let member = record.members.iter().find(|member| &*member.name == field);
            member.is_some_and(|member| {
                member.ty.scalar().is_some() && side.field(member.offset, self.env.arch) != Source::Missing
            })
        })
    }

    /// What a raw tracepoint of system calls tells in place of something else.
    fn call(&self, instead_of: String, function: String, target: &Point, side: CallSide, args: Vec<Source>) -> Mapped {
        // 32-bit programs have other numbers.
        let own = self.env.arch.own_calls();
        let test = |(register, value)| vec![Test { source: Source::Register(register), equal: true, value }];
        Mapped {
            instead_of,
            function,
            what: target.to_string(),
            args,
            result: if side == CallSide::Exit { Source::Word(1) } else { Source::Missing },
            when: own.map(test).into_iter().collect(),
            call: Some(side),
        }
    }

    /// Events that stand for a function, or what is wrong and what is near.
    fn event(&self, point: &Point, ret: bool, name: &str, why: &str) -> Result<Vec<Route>, Unreachable> {
        if self.needs.registers(u32::MAX).is_none() {
            let found = self.equivalents(point, ret, name, why);
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let near = match (equivalents::nearby(name), self.env.probes.tracepoints()) {
            (Some((event, how)), _) => format!("`{event}` {how}"),
            (None, Ok(all)) => similar(name, &all),
            (None, Err(_)) => String::new(),
        };
        let help = if near.is_empty() {
            format!(
                "`skep run -l 'tracepoint:*'` lists the events of this kernel, and `grep -w {name} /proc/kallsyms` its functions"
            )
        } else {
            near
        };
        Err(Unreachable { message: format!("`{point}` cannot be attached: {why}"), help })
    }

    fn equivalents(&self, point: &Point, ret: bool, name: &str, why: &str) -> Vec<Route> {
        let source = self.types.source();
        let has = |event: Event| match event {
            Event::Raw(event) => source.raw_tracepoint(event).is_some(),
            Event::Tracepoint(category, event) => source.tracepoint(category, event).is_some(),
        };
        // The same function, with the same arguments, may have other names elsewhere.
        let same = |row: &&renamed::Renamed| {
            let mut places = row.args.iter().zip(0..);
            !row.args.is_empty() && places.all(|(place, own)| place.is_none_or(|place| place == own))
        };
        let names = std::iter::once(name).chain(renamed::others(name).filter(same).map(|row| row.other));
        let rows = names.flat_map(|name| equivalents::of(name, ret)).find(|row| has(row.event));
        if let Some(row) = rows {
            return vec![self.equivalent(point, row, why)];
        }
        let calls = self.system_calls(point, ret, name).into_iter().map(|(target, mapped)| {
            let why = format!("served by `{target}`: {why}");
            Route { point: target, access: Access::Event(mapped), why }
        });
        calls.collect()
    }

    fn equivalent(&self, point: &Point, row: &Equivalent, why: &str) -> Route {
        let (event, what) = match row.event {
            Event::Raw(event) => {
                (Point::RawTracepoint { module: None, event: event.to_owned() }, format!("rawtracepoint:{event}"))
            }
            Event::Tracepoint(category, event) => (
                Point::Tracepoint { category: category.to_owned(), event: event.to_owned() },
                format!("tracepoint:{category}:{event}"),
            ),
        };
        let mapped = Mapped {
            instead_of: point.to_string(),
            function: row.function.to_owned(),
            what: what.clone(),
            args: row.args.to_vec(),
            result: row.result,
            when: row.when.iter().map(|list| list.to_vec()).collect(),
            call: None,
        };
        Route { point: event, access: Access::Event(mapped), why: format!("served by `{what}`: {why}") }
    }

    /// The raw tracepoints of system calls for the function behind one or several of them.
    fn system_calls(&self, point: &Point, ret: bool, name: &str) -> Vec<(Point, Mapped)> {
        let arch = self.env.arch;
        let shared = equivalents::SHARED_CALLS
            .iter()
            .find(|(function, _)| *function == name || renamed::others(name).any(|row| row.other == *function));
        let calls: Vec<(&str, Vec<Source>)> = match (equivalents::system_call(name, arch), shared) {
            (Some((call, passing)), _) => {
                let own = (0..6).filter_map(|number| arch.call_argument(number)).map(Source::Register).collect();
                vec![(call, if passing == Passing::Registers { vec![Source::Word(0)] } else { own })]
            }
            (None, Some((_, calls))) => {
                // In this table words are the numbers of the arguments.
                let register = |source: &Source| match source {
                    Source::Word(number) => arch.call_argument(*number).map_or(Source::Missing, Source::Register),
                    other => *other,
                };
                calls.iter().map(|(call, args)| (*call, args.iter().map(register).collect())).collect()
            }
            (None, None) => Vec::new(),
        };
        let side = if ret { CallSide::Exit } else { CallSide::Enter };
        let of = |(call, args): (&str, Vec<Source>)| {
            let number = native(arch).number(call)?;
            let target = Point::SystemCall { ret, number, name: call.to_owned() };
            let args = if ret { Vec::new() } else { args };
            let mapped = self.call(point.to_string(), name.to_owned(), &target, side, args);
            Some((target, mapped))
        };
        calls.into_iter().filter_map(of).collect()
    }
}

/// The table of system calls.
const fn native(arch: Arch) -> skep_isa::syscalls::Arch {
    match arch {
        Arch::X86_64 => skep_isa::syscalls::Arch::X86_64,
        Arch::Aarch64 => skep_isa::syscalls::Arch::Aarch64,
    }
}

/// Access to a function whose arguments are elsewhere than in the one that the script names.
fn moved(function: &Function, access: Access) -> Access {
    match function.args {
        Some(args) => Access::Moved { name: function.name.clone(), args, inner: Box::new(access) },
        None => access,
    }
}

fn joined(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    parts.join("; ")
}

/// Tracepoints whose names have much of a function's name.
fn similar(function: &str, all: &[(String, String)]) -> String {
    let words: Vec<&str> = function.split('_').filter(|word| word.len() > 2).collect();
    let score = |name: &str| words.iter().filter(|word| name.split('_').any(|part| part == **word)).count();
    let mut best: Vec<(usize, String)> = all
        .iter()
        .filter(|(category, _)| category != "syscalls")
        .map(|(category, name)| (score(name), format!("`tracepoint:{category}:{name}`")))
        .filter(|(score, _)| *score >= 2)
        .collect();
    best.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let names: Vec<String> = best.into_iter().take(3).map(|(_, name)| name).collect();
    if names.is_empty() { String::new() } else { format!("events with similar names are {}", names.join(", ")) }
}
