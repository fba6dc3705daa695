//! `skep run`: an object at work until something ends it. What happens is in `skep_kernel::session`.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::process::{Child, Command};
use std::time::Duration;

use skep_kernel::session::{End, Event, MapContents, Session, SessionOptions};
use skep_sym::SystemSymbols;

use crate::args::RunArgs;
use crate::failure::{Failure, note};
use crate::object;
use crate::text::TextOut;
use crate::vm::json::{Json, hex, list, quoted};

/// Loads, attaches, prints until the end, and detaches.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    let object = object::read(&args.object)?;
    let places = object::places(&args.attach)?;
    let sections = places.sections();
    let programs: Vec<&str> = args.object.prog.iter().map(String::as_str).collect();
    let types = args
        .types
        .iter()
        .map(|text| text.split_once('=').ok_or_else(|| Failure::Usage(format!("--type {text}: expected MAP=TYPE"))));
    let types = types.collect::<Result<Vec<_>, _>>()?;
    let options = SessionOptions {
        load: object::options(&args.object, &programs, &sections),
        attach: places.options(Some(&SystemSymbols), &sections),
        types: &types,
    };
    let mut session = Session::start(&object, &options).map_err(|error| object::refused(&error, &args.object))?;
    session.notes().iter().for_each(|text| note(text));
    let attachments = session.attachments();
    attachments.left.iter().for_each(|(program, why)| note(&format!("program `{program}` is not attached: {why}")));
    if args.object.verbose > 0 {
        attachments.attached.iter().for_each(|(program, _)| note(&format!("program `{program}` is attached")));
    }
    let mut child = args.command.as_deref().map(start).transpose()?;
    let outcome = stream(args, &mut session, child.as_mut());
    if let Some(mut child) = child {
        // It was started by us and belongs to the run.
        let _ = child.kill();
        let _ = child.wait();
    }
    let mut out = outcome?;
    if args.entries > 0 {
        session.contents(args.entries).iter().for_each(|map| contents(map, args.json, &mut out.buffer));
    }
    session.close().map_err(Failure::run)?;
    out.flush()
}

/// Runs a command line with the shell.
fn start(command: &str) -> Result<Child, Failure> {
    let child = Command::new("/bin/sh").args(["-c", command]).spawn();
    child.map_err(|error| {
        let text = error.to_string();
        Failure::Run(format!(
            "cannot start `{command}` with /bin/sh: {}",
            text.split(" (os error").next().unwrap_or_default()
        ))
    })
}

/// Prints events until the end.
fn stream(args: &RunArgs, session: &mut Session, child: Option<&mut Child>) -> Result<TextOut, Failure> {
    let mut out = TextOut::stdout(true)?;
    let mut failure = None;
    let mut left = args.count;
    let duration = if args.once { Some(Duration::ZERO) } else { args.duration };
    let end = session.run(duration, child, &mut |event| {
        let counts = matches!(event, Event::Record { .. });
        line(&event, args.json, &mut out.buffer);
        if let Err(error) = out.line_done() {
            failure = Some(error);
            return ControlFlow::Break(());
        }
        left = left.map(|left| left - u64::from(counts));
        if left == Some(0) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    let end = end.map_err(Failure::run)?;
    if args.object.verbose > 0 {
        note(match end {
            End::Time => "the time is over",
            End::Process => "the command has ended",
            End::Signal(_) => "a signal came",
            End::Enough => "that was enough",
        });
    }
    Ok(out)
}

/// An event as a line.
fn line(event: &Event<'_>, json: bool, out: &mut Vec<u8>) {
    let text = match event {
        Event::Record { map, cpu, bytes, value } => {
            let record = value.as_ref().map_or_else(|| quoted(&hex(bytes)), ToString::to_string);
            match (json, cpu) {
                (true, Some(cpu)) => Json::object().text("map", map).raw("cpu", cpu).raw("record", record).end(),
                (true, None) => Json::object().text("map", map).raw("record", record).end(),
                (false, Some(cpu)) => format!("{map} [{cpu}]: {record}"),
                (false, None) => format!("{map}: {record}"),
            }
        }
        Event::Lost { map, count } if json => Json::object().text("map", map).raw("lost", count).end(),
        Event::Lost { map, count } => format!("{map}: {count} records were lost, the buffer was full"),
        Event::Printed(message) if json => Json::object().text("printk", message).end(),
        Event::Printed(message) => (*message).to_owned(),
        Event::Iterator { program, text } if json => Json::object().text("iterator", program).text("text", text).end(),
        Event::Iterator { text, .. } => text.trim_end_matches('\n').to_owned(),
    };
    let _ = writeln!(out, "{text}");
}

/// What a map holds, for people or as one object.
fn contents(map: &MapContents, json: bool, out: &mut Vec<u8>) {
    if json {
        let entries = map.entries.iter().map(|(key, value)| match key {
            Some(key) => Json::object().raw("key", key).raw("value", value).end(),
            None => Json::object().raw("value", value).end(),
        });
        let whole = Json::object().text("map", &map.name).text("type", map.map_type.name());
        let whole = whole.raw("more", map.more).raw("entries", list(entries)).end();
        let _ = writeln!(out, "{whole}");
        return;
    }
    for (key, value) in &map.entries {
        let _ = match key {
            Some(key) => writeln!(out, "{}[{key}] = {value}", map.name),
            None => writeln!(out, "{} = {value}", map.name),
        };
    }
    if map.more > 0 {
        let _ = writeln!(out, "{}: {} more entries; --entries shows them", map.name, map.more);
    }
    if let Some(problem) = &map.problem {
        note(&format!("map `{}` is not complete: {problem}", map.name));
    }
}
