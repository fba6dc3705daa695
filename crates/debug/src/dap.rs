//! The Debug Adapter Protocol, so that editors can attach: messages with a length in front, requests answered one by one.
//!
//! The program has one thread, and stands still but for the time of a request. Steps back are a capability that editors show
//! buttons for. Source lines come from the object; the instructions are the disassembly.

use std::io::{self, BufRead, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::session::{Breakpoint, Reach, Session, Stop};

/// Bytes of one message at most.
const MAX_MESSAGE: usize = 1 << 20;
/// Bytes that one request reads at most.
const MAX_READ: usize = 1 << 16;
/// Instructions that one request disassembles at most.
const MAX_DISASSEMBLED: i64 = 4096;
/// The only thread.
const THREAD: u32 = 1;
/// What variables are asked for by: registers, what is known of them, memory.
const REGISTERS: u64 = 1;
const KNOWN: u64 = 2;
const MEMORY: u64 = 3;

/// An event's name and body.
type Event = (&'static str, Value);
/// The body of a response and the events that follow, or why there is none.
type Answer = Result<(Value, Vec<Event>), String>;

/// The debugger's side of a conversation with an editor.
#[derive(Debug)]
pub struct Server {
    session: Session,
    sequence: u64,
    quit: bool,
    lines: Vec<Breakpoint>,
    slots: Vec<Breakpoint>,
}

impl Server {
    /// For a program that stands in front of its first instruction.
    pub fn new(session: Session) -> Self {
        Self { session, sequence: 0, quit: false, lines: Vec::new(), slots: Vec::new() }
    }

    /// Answers messages until the editor disconnects or the input ends.
    ///
    /// # Errors
    /// If the input cannot be read, is not of this protocol, or the output cannot be written.
    pub fn run(&mut self, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
        while let Some(message) = read_message(input)? {
            for answer in self.message(&message) {
                let text = answer.to_string();
                write!(output, "Content-Length: {}\r\n\r\n{text}", text.len())?;
            }
            output.flush()?;
            if self.quit {
                break;
            }
        }
        Ok(())
    }

    /// The answers to one message: the response and the events that follow.
    pub fn message(&mut self, message: &[u8]) -> Vec<Value> {
        let Ok(request) = serde_json::from_slice::<Value>(message) else { return Vec::new() };
        if request["type"] != "request" {
            return Vec::new();
        }
        let command = request["command"].as_str().unwrap_or_default().to_owned();
        let result = self.answer(&command, &request["arguments"]);
        let mut response = json!({
            "seq": self.next(),
            "type": "response",
            "request_seq": request["seq"],
            "command": command,
            "success": result.is_ok(),
        });
        let mut events = Vec::new();
        match result {
            Ok((body, following)) => {
                response["body"] = body;
                events = following;
            }
            Err(why) => response["message"] = why.into(),
        }
        let mut answers = vec![response];
        for (event, body) in events {
            answers.push(json!({ "seq": self.next(), "type": "event", "event": event, "body": body }));
        }
        answers
    }

    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn answer(&mut self, command: &str, arguments: &Value) -> Answer {
        let only = |body: Value| Ok((body, Vec::new()));
        match command {
            "initialize" => Ok((capabilities(), vec![("initialized", json!({}))])),
            "launch" | "attach" | "setExceptionBreakpoints" => only(json!({})),
            "configurationDone" => Ok((json!({}), vec![stopped("entry", &self.session)])),
            "setBreakpoints" => only(self.set_lines(arguments)),
            "setInstructionBreakpoints" => only(self.set_slots(arguments)),
            "threads" => only(json!({ "threads": [{ "id": THREAD, "name": self.session.program().name }] })),
            "stackTrace" => only(self.stack()),
            "scopes" => only(json!({ "scopes": [
                { "name": "Registers", "variablesReference": REGISTERS, "expensive": false, "presentationHint": "registers" },
                { "name": "Known to the verifier", "variablesReference": KNOWN, "expensive": false },
                { "name": "Memory", "variablesReference": MEMORY, "expensive": false },
            ]})),
            "variables" => only(self.variables(arguments)),
            "evaluate" => {
                let text = arguments["expression"].as_str().unwrap_or_default();
                only(json!({ "result": self.session.evaluate(text)?, "variablesReference": 0 }))
            }
            "readMemory" => only(self.read_memory(arguments)?),
            "disassemble" => only(self.disassemble(arguments)),
            "continue" => self.go(Reach::Far, false),
            "next" => self.go(reach(arguments, Reach::Over), false),
            "stepIn" => self.go(reach(arguments, Reach::Line), false),
            "stepOut" => self.go(Reach::Out, false),
            "stepBack" => self.go(reach(arguments, Reach::Over), true),
            "reverseContinue" => self.go(Reach::Far, true),
            "disconnect" | "terminate" => {
                self.quit = true;
                Ok((json!({}), vec![("terminated", json!({}))]))
            }
            other => Err(format!("the request `{other}` is not supported")),
        }
    }

    fn go(&mut self, reach: Reach, back: bool) -> Answer {
        let at_end = self.session.position().0 + 1 == self.session.position().1;
        if at_end && !back {
            return Ok((json!({ "allThreadsContinued": true }), self.ended()));
        }
        let reason = match self.session.go(reach, back) {
            Stop::Moved => "step",
            Stop::Breakpoint(_) => "breakpoint",
            Stop::Start => "entry",
            // The last instruction can still be looked at; the next move ends the program.
            Stop::End => "pause",
        };
        Ok((json!({ "allThreadsContinued": true }), vec![stopped(reason, &self.session)]))
    }

    /// The program is over: what it gave, and that it is over.
    fn ended(&self) -> Vec<Event> {
        let (text, code) = match self.session.end() {
            Ok(result) => (format!("the result is {} ({result:#x})\n", result.cast_signed()), 0),
            Err(fault) => (format!("{fault}\n"), 1),
        };
        vec![
            ("output", json!({ "category": "console", "output": text })),
            ("exited", json!({ "exitCode": code })),
            ("terminated", json!({})),
        ]
    }

    fn set_lines(&mut self, arguments: &Value) -> Value {
        let lines = arguments["breakpoints"].as_array().cloned().unwrap_or_default();
        let lines = lines.iter().map(|each| u32::try_from(each["line"].as_u64().unwrap_or(0)).unwrap_or(0));
        self.lines = lines.map(Breakpoint::Line).collect();
        let shown = self.lines.iter().map(|breakpoint| self.shown(*breakpoint)).collect::<Vec<_>>();
        self.join_breakpoints();
        json!({ "breakpoints": shown })
    }

    fn set_slots(&mut self, arguments: &Value) -> Value {
        let slots = arguments["breakpoints"].as_array().cloned().unwrap_or_default();
        let slots = slots.iter().filter_map(|each| slot(&each["instructionReference"]));
        self.slots = slots.map(Breakpoint::Slot).collect();
        let shown = self.slots.iter().map(|breakpoint| self.shown(*breakpoint)).collect::<Vec<_>>();
        self.join_breakpoints();
        json!({ "breakpoints": shown })
    }

    fn join_breakpoints(&mut self) {
        self.session.breakpoints = self.lines.iter().chain(&self.slots).copied().collect();
    }

    fn shown(&self, breakpoint: Breakpoint) -> Value {
        let verified = self.session.can_stop_at(breakpoint);
        let mut shown = json!({ "verified": verified });
        if let Breakpoint::Line(line) = breakpoint {
            shown["line"] = line.into();
        }
        if !verified {
            shown["message"] = "nothing of the program is there".into();
        }
        shown
    }

    fn stack(&self) -> Value {
        let frames: Vec<Value> = self
            .session
            .frames()
            .iter()
            .enumerate()
            .map(|(number, frame)| {
                let mut shown = json!({
                    "id": number,
                    "name": frame.name,
                    "line": 0,
                    "column": 1,
                    "instructionPointerReference": frame.at.to_string(),
                });
                if let Some((file, line, _)) = &frame.line {
                    let name = Path::new(file).file_name().map(|name| name.to_string_lossy().into_owned());
                    shown["line"] = (*line).into();
                    shown["source"] = json!({ "name": name.unwrap_or_default(), "path": file });
                }
                shown
            })
            .collect();
        json!({ "totalFrames": frames.len(), "stackFrames": frames })
    }

    fn variables(&self, arguments: &Value) -> Value {
        let row = |name: &str, value: String, memory: Option<u64>| {
            let mut row = json!({ "name": name, "value": value, "variablesReference": 0 });
            if let Some(address) = memory {
                row["memoryReference"] = format!("{address:#x}").into();
            }
            row
        };
        let registers = self.session.registers();
        let rows: Vec<Value> = match arguments["variablesReference"].as_u64() {
            Some(REGISTERS) => registers
                .iter()
                .map(|register| row(&register.name, format!("{:#x}", register.value), Some(register.value)))
                .collect(),
            Some(KNOWN) => registers
                .iter()
                .filter_map(|register| Some(row(&register.name, register.known.clone()?, None)))
                .collect(),
            Some(MEMORY) => self
                .session
                .parts()
                .iter()
                .map(|part| {
                    row(&part.name, format!("{} bytes at {:#x}", part.bytes.len(), part.start), Some(part.start))
                })
                .collect(),
            _ => Vec::new(),
        };
        json!({ "variables": rows })
    }

    fn read_memory(&self, arguments: &Value) -> Result<Value, String> {
        let reference = arguments["memoryReference"].as_str().unwrap_or_default();
        let digits = reference.strip_prefix("0x").unwrap_or(reference);
        let address = u64::from_str_radix(digits, 16).map_err(|_| format!("`{reference}` is no address"))?;
        let address = address.wrapping_add(arguments["offset"].as_i64().unwrap_or(0).cast_unsigned());
        let count = usize::try_from(arguments["count"].as_u64().unwrap_or(0)).unwrap_or(usize::MAX).min(MAX_READ);
        // As much as there is of what was asked for.
        let part = self.session.parts().iter().find_map(|part| {
            let first = usize::try_from(address.checked_sub(part.start)?).ok()?;
            part.bytes.get(first..).filter(|bytes| !bytes.is_empty())
        });
        let bytes = part.map_or(&[][..], |bytes| &bytes[..bytes.len().min(count)]);
        Ok(json!({ "address": format!("{address:#x}"), "data": base64(bytes), "unreadableBytes": count - bytes.len() }))
    }

    fn disassemble(&self, arguments: &Value) -> Value {
        let first = i64::from(slot(&arguments["memoryReference"]).unwrap_or(0));
        let first = first.saturating_add(arguments["instructionOffset"].as_i64().unwrap_or(0));
        let count = arguments["instructionCount"].as_i64().unwrap_or(0).clamp(0, MAX_DISASSEMBLED);
        let rows: Vec<Value> = (first..first.saturating_add(count))
            .map(|slot| {
                let text = u32::try_from(slot).ok().and_then(|slot| self.session.instruction(slot));
                json!({ "address": slot.to_string(), "instruction": text.unwrap_or_else(|| "?".to_owned()) })
            })
            .collect();
        json!({ "instructions": rows })
    }
}

/// The number of an instruction, as references of this server are.
fn slot(reference: &Value) -> Option<u32> {
    reference.as_str()?.parse().ok()
}

/// How far a step goes that may be asked for by instructions.
fn reach(arguments: &Value, lines: Reach) -> Reach {
    if arguments["granularity"] == "instruction" { Reach::Instruction } else { lines }
}

fn stopped(reason: &str, session: &Session) -> Event {
    let (step, steps) = session.position();
    let text = format!("step {} of {steps}", step + 1);
    ("stopped", json!({ "reason": reason, "threadId": THREAD, "allThreadsStopped": true, "text": text }))
}

fn capabilities() -> Value {
    json!({
        "supportsConfigurationDoneRequest": true,
        "supportsStepBack": true,
        "supportsEvaluateForHovers": true,
        "supportsReadMemoryRequest": true,
        "supportsDisassembleRequest": true,
        "supportsInstructionBreakpoints": true,
        "supportsSteppingGranularity": true,
        "supportsTerminateRequest": true,
    })
}

/// One message: headers, an empty line, as many bytes as the header says. `None` at the end.
fn read_message(input: &mut dyn BufRead) -> io::Result<Option<Vec<u8>>> {
    let wrong = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let mut length = None;
    loop {
        let mut line = Vec::new();
        if io::Read::take(&mut *input, 4096).read_until(b'\n', &mut line)? == 0 {
            return if length.is_none() { Ok(None) } else { Err(wrong("the input ends in a header".to_owned())) };
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(number) = line.strip_prefix("Content-Length:") {
            length = number.trim().parse::<usize>().ok();
        }
    }
    let length = length.ok_or_else(|| wrong("a message has no Content-Length".to_owned()))?;
    if length > MAX_MESSAGE {
        return Err(wrong(format!("a message has {length} bytes; at most {MAX_MESSAGE} are possible")));
    }
    let mut message = vec![0; length];
    input.read_exact(&mut message)?;
    Ok(Some(message))
}

/// Bytes in base 64 with padding, as the protocol has memory.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0u32, |word, (at, byte)| word | u32::from(*byte) << (16 - 8 * at));
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_as_text() {
        let cases: [(&[u8], &str); 4] = [(b"", ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foob", "Zm9vYg==")];
        for (bytes, text) in cases {
            assert_eq!(base64(bytes), text);
        }
    }

    #[test]
    fn messages_are_read() {
        let mut input = &b"Content-Length: 2\r\nX: y\r\n\r\n{}Content-Length: 9999999\r\n\r\n"[..];
        assert_eq!(read_message(&mut input).unwrap(), Some(b"{}".to_vec()));
        assert!(read_message(&mut input).is_err());
        assert_eq!(read_message(&mut &b""[..]).unwrap(), None);
        assert!(read_message(&mut &b"Other: 1\r\n\r\n"[..]).is_err());
    }
}
