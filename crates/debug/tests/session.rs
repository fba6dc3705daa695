//! A packet filter made by clang, stepped forwards and backwards by commands and by an editor's messages: the values are those
//! of the packet.

use serde_json::{Value, json};
use skep_debug::dap::Server;
use skep_debug::session::Reach;
use skep_debug::terminal::{Next, Terminal};
use skep_debug::{Breakpoint, Session, Stop, Work};
use skep_object::Object;
use skep_random::random_test;
use skep_vm::classic::Metadata;
use skep_vm::ebpf::DEFAULT_FUEL;

/// Counts bytes of the payload of UDP packets to port 53; the function is called.
const SOURCE: &str = "struct xdp_md { u32 data; u32 data_end; };
struct udp { u16 source; u16 destination; u16 length; u16 sum; };
struct totals { u64 packets; u64 bytes; };
struct { __uint(type, ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, struct totals); } totals SEC(\".maps\");
static __attribute__((noinline)) int note(u32 length)
{
    u32 key = 0;
    struct totals *found = map_lookup(&totals, &key);
    if (!found)
        return 0;
    found->packets += 1;
    found->bytes += length;
    return 1;
}
SEC(\"xdp\") int filter(struct xdp_md *x)
{
    u8 *start = (void *)(u64)x->data, *end = (void *)(u64)x->data_end;
    struct udp *udp = (void *)(start + 34);
    if ((void *)(udp + 1) > (void *)end)
        return 2;
    if (udp->destination != __builtin_bswap16(53))
        return 2;
    return note(__builtin_bswap16(udp->length)) ? 1 : 2;
}
";

/// Ethernet, IPv4 and UDP to port 53, with a length of 20.
fn packet() -> Vec<u8> {
    let mut bytes = vec![0; 54];
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[14] = 0x45;
    bytes[23] = 17;
    bytes[34..42].copy_from_slice(&[0x30, 0x39, 0, 53, 0, 20, 0, 0]);
    bytes
}

/// The line of the source that contains a text; the header is line 1.
fn line(text: &str) -> u32 {
    let at = SOURCE.lines().position(|line| line.contains(text)).unwrap();
    u32::try_from(at + 2).unwrap()
}

fn session() -> Option<Session> {
    let licence = "char licence[] SEC(\"license\") = \"GPL\";";
    match skep_testkit::clang::compile_text(&format!("{SOURCE}\n{licence}\n"), &[]) {
        Ok(bytes) => {
            let object = Object::from_elf(&bytes).unwrap();
            Some(Session::new(object, 0, &Work::Frame(packet(), Metadata::default()), DEFAULT_FUEL).unwrap())
        }
        Err(why) => {
            println!("SKIPPED: {why}");
            assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
            None
        }
    }
}

#[test]
fn forwards_and_back_give_the_same_values() {
    let Some(mut session) = session() else { return };
    assert_eq!(session.verdict().accepted(), Some(true), "{:?}", session.verdict());
    assert_eq!(*session.end(), Ok(1));
    let look = |session: &Session| {
        let parts: Vec<_> = session.parts().to_vec();
        (*session.step(), session.registers(), parts)
    };
    let mut seen = vec![look(&session)];
    while session.go(Reach::Instruction, false) == Stop::Moved {
        seen.push(look(&session));
    }
    let (_, steps) = session.position();
    assert_eq!(seen.len(), steps);
    let first = seen[0].2.iter().find(|part| part.name == "totals").unwrap();
    assert!(first.bytes.iter().all(|byte| *byte == 0));
    assert_eq!(session.evaluate("u64[totals]").as_deref(), Ok("1 (0x1)"));
    assert_eq!(session.evaluate("(struct totals *)totals").map(|text| text.contains("20")), Ok(true));
    for (number, expected) in seen.iter().enumerate().rev() {
        assert_eq!(session.position().0, number);
        assert_eq!(look(&session), *expected, "step {number}");
        session.go(Reach::Instruction, true);
    }
    assert_eq!(session.go(Reach::Instruction, true), Stop::Start);
}

#[test]
fn lines_calls_and_breakpoints() {
    let Some(mut session) = session() else { return };
    let inner = line("found->bytes += length");
    session.breakpoints.push(Breakpoint::Line(inner));
    assert_eq!(session.go(Reach::Far, false), Stop::Breakpoint(Breakpoint::Line(inner)));
    let frames = session.frames();
    let names: Vec<&str> = frames.iter().map(|frame| frame.name.as_str()).collect();
    assert_eq!(names, ["note", "filter"]);
    assert_eq!(frames[0].line.as_ref().map(|(_, number, _)| *number), Some(inner));
    assert_eq!(session.go(Reach::Out, false), Stop::Moved);
    assert_eq!(session.frames().len(), 1);
    // Back over the call: in front of it, still in the same function.
    assert_eq!(session.go(Reach::Far, true), Stop::Breakpoint(Breakpoint::Line(inner)));
    session.breakpoints.clear();
    assert_eq!(session.go(Reach::Out, true), Stop::Moved);
    assert_eq!(session.frames().len(), 1);
    assert!(!session.can_stop_at(Breakpoint::Line(9999)) && !session.can_stop_at(Breakpoint::Slot(9999)));
}

#[test]
fn the_verifiers_knowledge_holds() {
    let Some(mut session) = session() else { return };
    let mut packets = 0;
    loop {
        for register in session.registers() {
            let Some(known) = &register.known else { continue };
            // Numbers that are known exactly are what the register holds.
            if let Ok(number) = known.parse::<i64>() {
                assert_eq!(register.value, number.cast_unsigned(), "{register:?} at {:?}", session.step());
            }
            // Places in the packet are where the register points to.
            if let Some(place) = known.strip_prefix("the packet") {
                let distance: u64 = place.split(' ').next().unwrap().trim_start_matches('+').parse().unwrap_or(0);
                let packet = session.parts().iter().find(|part| part.name == "packet").unwrap();
                assert!(register.value == packet.start + distance || place.starts_with('\''), "{register:?}");
                packets += u32::from(place.starts_with([' ', '+']));
            }
        }
        if session.go(Reach::Instruction, false) != Stop::Moved {
            break;
        }
    }
    assert!(packets > 0, "no register is known to point into the packet");
}

#[test]
fn commands_of_a_terminal() {
    let Some(session) = session() else { return };
    let mut terminal = Terminal::new(session);
    let mut say = |command: &str| terminal.command(command).0;
    let check = line("if (udp->destination");
    assert!(say(&format!("break {check}")).starts_with("breakpoint 1"));
    assert!(say("break 9999").contains("nothing of the program"));
    let stopped = say("continue");
    assert!(stopped.contains("breakpoint") && stopped.contains("udp->destination"), "{stopped}");
    assert_eq!(say("print be16[packet + 36]"), "53 (0x35)\n");
    assert!(say("print (struct nothing *)totals").contains("no type `nothing`"));
    let typed = say("print (struct totals *)totals");
    assert!(typed.contains("packets") && typed.contains("bytes"), "{typed}");
    assert_eq!(say("watch u64[totals + 8]"), "0 (0x0)\n");
    assert!(say("memory packet+34 8").contains("30 39 00 35 00 14 00 00"));
    assert!(say("registers").contains("the packet"));
    let end = say("c");
    assert!(end.contains("the end: the result will be 1") && end.contains("u64[totals + 8] = 20"), "{end}");
    assert!(say("where").starts_with("#0 filter"));
    let back = say("reverse");
    assert!(back.contains("breakpoint") && back.contains("u64[totals + 8] = 0"), "{back}");
    assert!(say("rc").contains("the start"));
    assert!(say("backi").contains("the start"));
    assert!(say("stepi 3").contains("step 4 of"));
    assert!(say("backi").contains("step 3 of"));
    assert!(say("list").contains('>'));
    assert!(say("nonsense").contains("there is no command `nonsense`"));
    assert!(say("print nothing").contains("there is no `nothing`"));
    assert_eq!(terminal.command("quit").1, Next::Quit);
}

#[test]
fn messages_of_an_editor() {
    let Some(session) = session() else { return };
    let mut server = Server::new(session);
    let mut number = 0;
    let mut ask = |command: &str, arguments: Value| -> Vec<Value> {
        number += 1;
        let request = json!({ "seq": number, "type": "request", "command": command, "arguments": arguments });
        let answers = server.message(request.to_string().as_bytes());
        assert_eq!(answers[0]["request_seq"], number, "{answers:?}");
        answers
    };
    let answers = ask("initialize", json!({ "adapterID": "skep" }));
    assert_eq!((&answers[0]["body"]["supportsStepBack"], &answers[1]["event"]), (&json!(true), &json!("initialized")));
    let check = line("if (udp->destination");
    let set = ask(
        "setBreakpoints",
        json!({ "source": { "path": "filter.c" }, "breakpoints": [{ "line": check }, { "line": 9999 }] }),
    );
    assert_eq!(set[0]["body"]["breakpoints"][0]["verified"], true);
    assert_eq!(set[0]["body"]["breakpoints"][1]["verified"], false);
    assert_eq!(ask("configurationDone", json!({}))[1]["body"]["reason"], "entry");
    assert_eq!(ask("continue", json!({ "threadId": 1 }))[1]["body"]["reason"], "breakpoint");
    let stack = ask("stackTrace", json!({ "threadId": 1 }));
    assert_eq!(stack[0]["body"]["stackFrames"][0]["line"], check);
    assert_eq!(stack[0]["body"]["stackFrames"][0]["name"], "filter");
    assert_eq!(ask("evaluate", json!({ "expression": "be16[packet + 36]" }))[0]["body"]["result"], "53 (0x35)");
    let failed = ask("evaluate", json!({ "expression": "1 +" }));
    assert_eq!(failed[0]["success"], false);
    let memory = ask("variables", json!({ "variablesReference": 3 }));
    let rows = memory[0]["body"]["variables"].as_array().unwrap();
    let packet = rows.iter().find(|row| row["name"] == "packet").unwrap();
    let read = ask("readMemory", json!({ "memoryReference": packet["memoryReference"], "offset": 34, "count": 3 }));
    assert_eq!(read[0]["body"]["data"], "MDkA");
    let known = ask("variables", json!({ "variablesReference": 2 }));
    assert!(known[0].to_string().contains("the packet"), "{known:?}");
    let before = ask("stackTrace", json!({}))[0]["body"].clone();
    ask("next", json!({ "threadId": 1 }));
    assert_ne!(ask("stackTrace", json!({}))[0]["body"], before);
    ask("stepBack", json!({ "threadId": 1 }));
    assert_eq!(ask("stackTrace", json!({}))[0]["body"]["stackFrames"][0]["line"], check);
    let rows = ask("disassemble", json!({ "memoryReference": "0", "instructionCount": 3 }));
    assert_eq!(rows[0]["body"]["instructions"].as_array().unwrap().len(), 3);
    ask("setBreakpoints", json!({ "breakpoints": [] }));
    ask("continue", json!({}));
    let end = ask("continue", json!({}));
    assert!(end.iter().any(|event| event["event"] == "terminated"), "{end:?}");
    assert!(end[1]["body"]["output"].as_str().is_some_and(|text| text.contains("the result is 1")), "{end:?}");
    assert_eq!(ask("reverseContinue", json!({}))[1]["body"]["reason"], "entry");
    assert_eq!(ask("unheard", json!({}))[0]["success"], false);
}

#[test]
fn anything_is_answered() {
    random_test(|u| {
        let words =
            ["s", "bi", "r", "rc", "c", "b", "*3", "print", "u64[", "r10", "-", "8", "]", "\n", "packet", "(", "m"];
        let mut text = String::new();
        for _ in 0..u.int_in_range(0..=20)? {
            text.push_str(u.choose(&words)?);
            text.push_str(u.choose(&["", " ", "\n"])?);
        }
        skep_debug::fuzz::commands(text.as_bytes());
        skep_debug::fuzz::expressions(text.as_bytes());
        skep_debug::fuzz::expressions(u.bytes(u.len())?);
        Ok(())
    })
    .budget_ms(1_000);
}
