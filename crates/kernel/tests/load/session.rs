//! A session delivers everything that its programs write, by type, and ends for each reason that there is.

use std::ops::ControlFlow;
use std::process::Command;
use std::time::{Duration, Instant};

use skep_kernel::session::{End, Event, Session, SessionOptions};
use skep_object::Object;

use super::delivery::in_namespace;
use super::objects::{object, set_variable};
use crate::common::can_load;

fn prepared() -> Option<Object> {
    let mut object = object("session")?;
    set_variable(&mut object, "process", &std::process::id().to_ne_bytes());
    Some(object)
}

fn call() {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { libc::getppid() };
}

/// Tests in other threads of this process make the same call: one at a time.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn everything_is_delivered() {
    if !can_load() {
        return;
    }
    let Some(object) = prepared() else { return };
    in_namespace(move || {
        let _turn = TURN.lock();
        deliver(&object);
        let instances = std::fs::read_dir("/sys/kernel/tracing/instances").unwrap();
        let own = format!("skep-{}-", std::process::id());
        let ours = instances.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&own));
        assert_eq!(ours.count(), 0, "the tracing instance is removed");
    });
}

fn deliver(object: &Object) {
    let types = [("untyped", "u64")];
    let options = SessionOptions { types: &types, ..SessionOptions::default() };
    let mut session = Session::start(object, &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(session.attachments().attached.len(), 1);
    assert_eq!(session.notes(), [""; 0]);
    (0..3).for_each(|_| call());
    let own = std::process::id();
    let mut lines = Vec::new();
    let end = session.run(Some(Duration::from_millis(300)), None, &mut |event| {
        lines.push(match event {
            Event::Record { map, cpu, value, bytes } => {
                assert!(bytes.len() >= 8 && cpu.is_some() == (map == "samples"));
                format!("{map} {}", value.map_or_else(|| "?".to_owned(), |value| value.to_string()))
            }
            Event::Printed(text) => format!("printed {text}"),
            Event::Lost { .. } | Event::Iterator { .. } => "nothing like that".to_owned(),
        });
        ControlFlow::Continue(())
    });
    assert_eq!(end.unwrap(), End::Time);
    for number in 1..=3 {
        let event = format!("{{\"process\":{own},\"number\":{number},\"text\":\"hello\"}}");
        for expected in [
            format!("records {event}"),
            format!("samples {event}"),
            format!("untyped {number}"),
            format!("printed number {number}"),
        ] {
            assert!(lines.contains(&expected), "{expected}: {lines:#?}");
        }
    }
    let contents = session.contents(8);
    let map = |name: &str| contents.iter().find(|map| map.name == name).unwrap();
    let seen = &map("seen").entries;
    assert_eq!(seen[0].0, Some(own.to_string()));
    assert!(seen[0].1.starts_with(&format!("{{\"process\":{own},\"number\":")), "{seen:?}");
    let (key, counts) = &map("counts").entries[0];
    assert_eq!(key.as_deref(), Some("2"));
    let each = counts.trim_matches(['[', ']']).split(',').map(|count| count.parse::<u64>().unwrap());
    assert!(each.sum::<u64>() >= 3, "{counts}");
    assert!(map(".bss").entries[0].1.starts_with("{\"total\":"), "{contents:?}");
    assert!(!contents.iter().any(|map| map.name.starts_with(".rodata")), "constants are not shown");
    session.close().unwrap();
}

#[test]
fn sessions_end_for_every_reason() {
    if !can_load() {
        return;
    }
    let Some(mut object) = prepared() else { return };
    // Without messages there is no need for the tracing file system.
    object.programs[0].insns = skep_isa::ebpf::assemble("r0 = 0\nexit\n").unwrap();
    object.programs[0].functions.clear();
    object.programs[0].lines.clear();
    let mut session = Session::start(&object, &SessionOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    let mut nothing = |_: Event<'_>| ControlFlow::Continue(());
    let mut child = Command::new("sleep").arg("0.1").spawn().unwrap();
    let begin = Instant::now();
    assert_eq!(session.run(None, Some(&mut child), &mut nothing).unwrap(), End::Process);
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert_eq!(session.run(Some(Duration::ZERO), None, &mut nothing).unwrap(), End::Time);
    // A signal to this very thread, in which it is blocked meanwhile.
    let thread = std::thread::spawn(move || {
        // SAFETY: the calls have no memory arguments.
        let own = unsafe { libc::pthread_self() };
        let helper = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            // SAFETY: the thread lives until `join` below has returned, which waits for this one.
            unsafe { libc::pthread_kill(own, libc::SIGTERM) }
        });
        let end = session.run(Some(Duration::from_secs(20)), None, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(helper.join().unwrap(), 0);
        end
    });
    assert_eq!(thread.join().unwrap(), End::Signal(libc::SIGTERM));
}

#[test]
fn wrong_types_are_named() {
    let Some(object) = prepared() else { return };
    let start = |types: &[(&str, &str)]| {
        let options = SessionOptions { types, ..SessionOptions::default() };
        Session::start(&object, &options).unwrap_err().to_string()
    };
    assert!(
        start(&[("nothing", "u64")]).starts_with("there is no map `nothing`; there are: records, untyped, samples")
    );
    assert!(start(&[("records", "struct nothing")]).starts_with("the object describes no type `struct nothing`"));
    assert!(start(&[("records", "enum event")]).contains("no type `enum event`"));
}
