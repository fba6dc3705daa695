//! `skep seccomp`: the filters of a process, explained.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use skep_isa::classic::{self, Insn, JmpOp, Op, Size};
use skep_isa::syscalls::{Arch, X32_BIT};
use skep_kernel::seccomp::{self, Action, Call, Case, Decision, Mode, Value};

use crate::args::SeccompArgs;
use crate::failure::Failure;
use crate::vm::json::{Json, list, quoted};

/// A number that no architecture has: what filters do to calls that they do not know.
const UNKNOWN_CALL: u32 = 0x3fff_ffff;
/// How calls of that number are named.
const UNKNOWN: &str = "unknown numbers";

/// The architectures whose system calls this kernel may have.
fn reachable() -> &'static [Arch] {
    match Arch::native() {
        Some(Arch::Aarch64) => &[Arch::Aarch64],
        _ => &[Arch::X86_64, Arch::I386],
    }
}

pub fn run(args: &SeccompArgs) -> Result<(), Failure> {
    let mode = seccomp::mode_of(args.pid).map_err(Failure::run)?;
    let filters = match mode {
        Mode::Filters(_) => seccomp::filters_of(args.pid).map_err(Failure::run)?,
        Mode::Disabled | Mode::Strict => Vec::new(),
    };
    let chosen = match args.filter {
        None => &filters[..],
        Some(number) => filters.get(number..=number).ok_or_else(|| {
            Failure::Usage(format!("process {} has {} filters; --filter counts them from 0", args.pid, filters.len()))
        })?,
    };
    let text = if args.dump {
        dump(chosen, args.filter.unwrap_or(0))
    } else {
        let report = Report::new(chosen, &args.call)?;
        if args.json { report.json(args.pid, mode, filters.len()) } else { report.text(args.pid, mode, &filters) }
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::ClosedPipe),
        result => result.map_err(Failure::run),
    }
}

fn dump(filters: &[Vec<Insn>], first: usize) -> String {
    let mut text = String::new();
    for (number, filter) in (first..).zip(filters) {
        let _ = writeln!(text, "filter {number}, {} instructions", filter.len());
        let mut word = None;
        for (at, insn) in filter.iter().enumerate() {
            let line = classic::line(insn, at, classic::PadStyle::V1_11);
            match meaning(insn, &mut word) {
                Some(meaning) => {
                    let _ = writeln!(text, "{:48}; {meaning}", line.replace('\t', " "));
                }
                None => {
                    let _ = writeln!(text, "{}", line.replace('\t', " "));
                }
            }
        }
    }
    text
}

/// What an instruction means in a seccomp filter. `word` is the word that was loaded last.
fn meaning(insn: &Insn, word: &mut Option<u32>) -> Option<String> {
    match insn.decode()? {
        Op::LdAbs(Size::Word, offset) => {
            *word = Some(offset);
            Some(match offset {
                0 => "number of the system call".to_owned(),
                4 => "architecture".to_owned(),
                offset => Value::Word(offset).to_string(),
            })
        }
        Op::JumpK { op: JmpOp::Eq, k, .. } => match word {
            Some(0) => Arch::native()?.syscall(k).map(str::to_owned),
            Some(4) => Arch::ALL.iter().find(|arch| arch.audit() == k).map(Arch::to_string),
            _ => None,
        },
        Op::RetK(k) => Some(Action::of(k).to_string()),
        _ => None,
    }
}

/// What all filters together decide.
fn decide(filters: &[Vec<Insn>], call: Call) -> Option<Decision> {
    let mut decisions = filters.iter().map(|filter| seccomp::decide(filter, call));
    let newest = decisions.next()?;
    Some(decisions.fold(newest, |newer, older| newer.with_older(&older)))
}

/// System calls with the same decision.
struct Group {
    cases: Vec<Case>,
    calls: Vec<String>,
}

/// The decisions for an architecture.
struct Section {
    name: String,
    groups: Vec<Group>,
}

struct Report {
    sections: Vec<Section>,
}

impl Report {
    fn new(filters: &[Vec<Insn>], only: &[String]) -> Result<Self, Failure> {
        let known = |name: &String| Arch::ALL.iter().any(|arch| arch.number(name).is_some());
        if let Some(name) = only.iter().find(|name| !known(name)) {
            return Err(Failure::Usage(format!("there is no system call `{name}`; `man syscalls` lists them")));
        }
        let mut sections = Vec::new();
        for arch in reachable() {
            let calls = arch.syscalls().map(|(number, name)| (number, name.to_owned()));
            let mut calls: Vec<_> = calls.filter(|call| only.is_empty() || only.contains(&call.1)).collect();
            if only.is_empty() {
                calls.push((UNKNOWN_CALL, UNKNOWN.to_owned()));
            }
            sections.push(section(arch.name(), arch.audit(), &calls, filters));
        }
        if Arch::native() == Some(Arch::X86_64) {
            let calls = Arch::X86_64.syscalls().map(|(number, name)| (number | X32_BIT, name.to_owned()));
            let calls: Vec<_> = calls.filter(|call| only.is_empty() || only.contains(&call.1)).collect();
            sections.push(section("x32 (x86_64 with short pointers)", Arch::X86_64.audit(), &calls, filters));
        }
        Ok(Self { sections })
    }

    fn text(&self, pid: i32, mode: Mode, filters: &[Vec<Insn>]) -> String {
        let mut text = format!("process {pid}");
        match mode {
            Mode::Disabled => return text + ": no seccomp filter; every system call is allowed\n",
            Mode::Strict => return text + ": strict mode; only read, write, exit and sigreturn are allowed\n",
            Mode::Filters(_) => {
                let _ = write!(text, ": {} filter{}", filters.len(), if filters.len() == 1 { "" } else { "s" });
            }
        }
        let sizes: Vec<String> = filters.iter().map(|filter| filter.len().to_string()).collect();
        let _ = writeln!(text, " of {} instructions, newest first", sizes.join(", "));
        for section in &self.sections {
            section.write(&mut text);
        }
        text
    }

    fn json(&self, pid: i32, mode: Mode, filters: usize) -> String {
        let mode = match mode {
            Mode::Disabled => "disabled",
            Mode::Strict => "strict",
            Mode::Filters(_) => "filter",
        };
        let sections = self.sections.iter().map(|section| {
            let groups = section.groups.iter().map(|group| {
                let cases = group
                    .cases
                    .iter()
                    .map(|case| Json::object().text("when", &case.when).text("action", &action(case)).end());
                let calls = list(group.calls.iter().map(|call| quoted(call)));
                Json::object().raw("calls", calls).raw("cases", list(cases)).end()
            });
            Json::object().text("arch", &section.name).raw("decisions", list(groups)).end()
        });
        let object = Json::object().raw("pid", pid).text("mode", mode).raw("filters", filters);
        object.raw("architectures", list(sections)).end() + "\n"
    }
}

fn section(name: &str, arch: u32, calls: &[(u32, String)], filters: &[Vec<Insn>]) -> Section {
    let mut groups: Vec<Group> = Vec::new();
    for (number, name) in calls {
        let Some(decision) = decide(filters, Call { arch, number: *number }) else { continue };
        let cases = decision.cases();
        match groups.iter_mut().find(|group| group.cases == cases) {
            Some(group) => group.calls.push(name.clone()),
            None => groups.push(Group { cases, calls: vec![name.clone()] }),
        }
    }
    // Unconditional ones first, the largest group at the front.
    groups.sort_by_key(|group| (group.cases.len() > 1, std::cmp::Reverse(group.calls.len())));
    Section { name: name.to_owned(), groups }
}

fn action(case: &Case) -> String {
    case.action.map_or_else(|| "too complex to tell".to_owned(), |action| action.to_string())
}

/// Columns of a line.
const WIDTH: usize = 100;

impl Section {
    fn write(&self, text: &mut String) {
        if let [Group { cases, .. }] = &self.groups[..]
            && let [case] = &cases[..]
        {
            let _ = writeln!(text, "\n{}: {} everything", self.name, action(case));
            return;
        }
        if self.groups.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n{}", self.name);
        let is_default = |group: &&Group| group.cases.len() == 1 && group.calls.iter().any(|call| call == UNKNOWN);
        let default = self.groups.iter().find(is_default);
        for Group { cases, calls } in self.groups.iter().filter(|group| !is_default(group)) {
            if let [case] = &cases[..] {
                let count = calls.len();
                let _ = writeln!(text, "  {}: {count} call{}", action(case), if count == 1 { "" } else { "s" });
                wrap(text, calls);
            } else {
                let _ = writeln!(text, "  by arguments: {}", calls.join(", "));
                let width = cases.iter().map(|case| action(case).len()).max().unwrap_or(0);
                for case in cases {
                    let when = if case.when == "otherwise" { String::new() } else { "if ".to_owned() };
                    let _ = writeln!(text, "    {:width$}  {when}{}", action(case), case.when);
                }
            }
        }
        if let Some(Group { cases, .. }) = default {
            let _ = writeln!(text, "  {}: everything else", action(&cases[0]));
        }
    }
}

/// Names, as many on a line as fit.
fn wrap(text: &mut String, names: &[String]) {
    let mut column = 0;
    for (at, name) in names.iter().enumerate() {
        let comma = if at + 1 == names.len() { "" } else { "," };
        if column == 0 || column + name.len() + 2 > WIDTH {
            if column != 0 {
                text.push('\n');
            }
            text.push_str("    ");
            column = 4;
        } else {
            text.push(' ');
            column += 1;
        }
        let _ = write!(text, "{name}{comma}");
        column += name.len() + comma.len();
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(jumps: &[(u32, u32)], otherwise: u32) -> Vec<Insn> {
        let mut insns = vec![Insn::ld_abs(Size::Word, 0)];
        for &(number, action) in jumps {
            insns.extend([Insn::jump_k(JmpOp::Eq, number, 0, 1), Insn::ret_k(action)]);
        }
        insns.push(Insn::ret_k(otherwise));
        insns
    }

    #[test]
    fn filters_together() {
        let read = Arch::X86_64.number("read").unwrap();
        let mount = Arch::X86_64.number("mount").unwrap();
        let filters = [filter(&[(mount, 0x0005_0001)], 0x7fff_0000), filter(&[(read, 0x7ffc_0000)], 0x7fff_0000)];
        let section = section("x86_64", Arch::X86_64.audit(), &calls(Arch::X86_64), &filters);
        let mut text = String::new();
        section.write(&mut text);
        let expected = "\nx86_64\n  allow and log: 1 call\n    read\n  fail with EPERM: 1 call\n    mount\n  allow: everything \
                        else\n";
        assert_eq!(text, expected);
        let report = Report { sections: vec![section] };
        let json: serde_json::Value = serde_json::from_str(&report.json(1, Mode::Filters(None), 2)).unwrap();
        assert_eq!(json["architectures"][0]["decisions"][1]["calls"][0], "read");
    }

    fn calls(arch: Arch) -> Vec<(u32, String)> {
        let calls = arch.syscalls().map(|(number, name)| (number, name.to_owned()));
        calls.chain([(UNKNOWN_CALL, UNKNOWN.to_owned())]).collect()
    }

    #[test]
    fn names_are_checked() {
        assert!(matches!(Report::new(&[], &["opne".to_owned()]), Err(Failure::Usage(text)) if text.contains("opne")));
    }

    #[test]
    fn instructions_are_annotated() {
        let text = dump(&[filter(&[(1, 0)], 0x7fff_0000)], 0);
        assert!(text.contains("; number of the system call") && text.contains("; kill thread"), "{text}");
    }
}
