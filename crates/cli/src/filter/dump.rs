//! What needs no packets: listings of the bytecode, its explanation, its 64-bit translation, and lists of interfaces
//! and link types.

use std::fmt::Write as _;

use skep_isa::classic::{self, PadStyle};
use skep_isa::ebpf::InsnIdx;
use skep_isa::{ProgType, ebpf, translate};
use skep_lang_filter::explain::explain;
use skep_object::{Line, Object, Program};
use skep_packet::LinkType;
use skep_packet::ring::{Capture, list_interfaces};

use super::expression::{Expression, Target, compile};
use super::live::{capture_options, known_link, netmask_of, open_capture};
use super::source;
use crate::args::{CompatArg, FilterArgs};
use crate::failure::{Failure, say};
use crate::text::print;
use crate::verify::gate::{Aim, Gate};

/// `-d` and its relatives, `--explain`, `--dot`, `--ebpf`.
pub fn run(args: &FilterArgs) -> Result<(), Failure> {
    let expression = Expression::of(args)?;
    let target = target(args, &expression)?;
    let program = compile(&expression, target)?.program;
    let mut text = String::new();
    match args.dump {
        0 => {}
        1 => text.push_str(&classic::listing(&program, pad_style(args.compat))),
        2 => text.push_str(&classic::c_array(&program)),
        _ => text.push_str(&classic::decimal(&program)),
    }
    if args.explain || args.dot {
        let explanation = explain(&program, target.link);
        if args.explain {
            let _ = write!(text, "{explanation}\nDecisions:\n{}", explanation.text_graph());
        }
        if args.dot {
            text.push_str(&explanation.dot());
        }
    }
    if args.ebpf {
        text.push_str(&sixty_four_bits(args, &expression, &program)?);
    }
    print(&text)
}

/// What the expression is compiled for: that of `-y`, of the recording, of the interface, or Ethernet.
fn target(args: &FilterArgs, expression: &Expression) -> Result<Target, Failure> {
    if let Some(path) = &args.read {
        let reader = source::open(path, None)?;
        return Ok(Target::recording(args.link.unwrap_or(reader.link())));
    }
    let Some(interface) = &args.interface else {
        if args.link.is_none() {
            say!("Warning: assuming Ethernet");
        }
        return Ok(Target::recording(args.link.unwrap_or(LinkType::EN10MB)));
    };
    let info = known_link(interface);
    let (name, link) = match (args.link, info) {
        (Some(link), Some((name, _))) => (name, link),
        (None, Some(known)) => known,
        (link, None) => {
            let capture = open_capture(&capture_options(args, None)?)?;
            (capture.interface().name.clone(), link.unwrap_or(capture.link()))
        }
    };
    Ok(Target::live(link, netmask_of(&name, expression)))
}

fn pad_style(compat: CompatArg) -> PadStyle {
    match compat {
        CompatArg::V1_10 => PadStyle::V1_10,
        CompatArg::V1_11 => PadStyle::V1_11,
    }
}

/// The 64-bit translation, if a kernel would load it.
fn sixty_four_bits(args: &FilterArgs, expression: &Expression, program: &[classic::Insn]) -> Result<String, Failure> {
    let translation = translate::translate(program, &translate::Options::default()).map_err(Failure::run)?;
    let text = ebpf::disassemble(&translation.insns).map_err(Failure::run)?;
    if !args.no_verify {
        let mut program = Program::new("filter", ProgType::SocketFilter, translation.insns);
        // All of the program comes from all of the expression.
        let source = expression.text.lines().next().unwrap_or_default();
        program.lines = vec![Line {
            at: InsnIdx::new(0),
            file: expression.name.as_str().into(),
            line: 1,
            column: 0,
            text: source.into(),
        }];
        let mut object = Object::new("GPL");
        object.add_program(program);
        let title = |_: &Program| Some("the program of this expression".to_owned());
        Gate { aim: Aim::Here, types: None, title: &title }.pass(&object, args.verbose > 0)?;
    }
    Ok(text)
}

/// `-D`
pub fn interfaces() -> Result<(), Failure> {
    let list = list_interfaces().map_err(Failure::run)?;
    let mut text = String::new();
    for (number, interface) in (1..).zip(&list) {
        let _ = writeln!(text, "{number}.{interface}");
    }
    print(&text)
}

/// `-L`
pub fn link_types(args: &FilterArgs) -> Result<(), Failure> {
    let capture: Capture = open_capture(&capture_options(args, None)?)?;
    let name = &capture.interface().name;
    let mut text = format!("Data link types for {name} (use option -y to set):\n");
    let native = capture.link();
    for link in std::iter::once(native).chain((native != LinkType::LINUX_SLL2).then_some(LinkType::LINUX_SLL2)) {
        let _ = writeln!(text, "  {link} ({})", link.description().unwrap_or("no description"));
    }
    print(&text)
}
