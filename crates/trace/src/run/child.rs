//! The command of `-c`: made at once so that its number is known, started when everything is attached.

use std::path::Path;
use std::process::{Child as Process, Command};

use skep_kernel::Waiting;

/// A command that waits for its start, or runs. Dropping it ends it.
#[derive(Debug)]
pub struct Child {
    state: State,
    id: u32,
    command: String,
}

#[derive(Debug)]
enum State {
    Waiting(Waiting),
    Running(Process),
    /// It could not be started.
    Over,
}

impl Child {
    /// Prepares a simple command: words, with the quotes of the shell. One that the shell has to make something of (variables,
    /// patterns, redirections) is run by `/bin/sh`, which becomes it. The process has the number that the command will have.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub fn prepare(command: &str) -> Result<Self, String> {
        let words = words(command);
        let made = match words.as_deref() {
            Some([]) => return Err("the command of `-c` is empty: write a program with its arguments".to_owned()),
            Some([program, arguments @ ..]) => {
                let place = if program.contains('/') { "" } else { " in PATH" };
                let known = if place.is_empty() {
                    Path::new(program).is_file()
                } else {
                    skep_sym::find_program(program).is_ok()
                };
                if !known {
                    return Err(format!("cannot start `{command}`: there is no program `{program}`{place}"));
                }
                let mut made = Command::new(program);
                made.args(arguments);
                made
            }
            None => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(format!("exec {command}"));
                shell
            }
        };
        let waiting = Waiting::prepare(made);
        let waiting = waiting.map_err(|error| format!("cannot start `{command}`: {}", error.kind()))?;
        Ok(Self { id: waiting.id(), state: State::Waiting(waiting), command: command.to_owned() })
    }

    /// Its number.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Lets it run.
    ///
    /// # Errors
    /// If it cannot be run: it is no program, or was killed meanwhile.
    pub(super) fn go_on(&mut self) -> Result<(), String> {
        if let State::Waiting(waiting) = std::mem::replace(&mut self.state, State::Over) {
            let started = waiting.go_on();
            let process = started.map_err(|error| format!("cannot start `{}`: {}", self.command, error.kind()))?;
            self.state = State::Running(process);
        }
        Ok(())
    }

    /// Ends it if it still runs.
    pub(super) fn end(self) {}
}

impl Drop for Child {
    fn drop(&mut self) {
        if let State::Running(process) = &mut self.state {
            // It was started by us and belongs to the run.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The words of a simple command without their quotes; `None` if only a shell understands it.
fn words(command: &str) -> Option<Vec<String>> {
    /// Letters that mean something outside of quotes.
    const SPECIAL: &str = "$`|&;<>()*?[]{}~#!=\n";
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some('\''), _) => word.get_or_insert_default().push(letter),
            (Some(_), '$' | '`' | '\\' | '!') => return None,
            (Some(_), _) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(letter);
            }
            (None, '\\') => word.get_or_insert_default().push(letters.next()?),
            (None, ' ' | '\t') => words.extend(word.take()),
            // Only the first word can be a variable that is set.
            (None, '=') if !words.is_empty() => word.get_or_insert_default().push(letter),
            (None, _) if SPECIAL.contains(letter) => return None,
            (None, _) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_commands_need_no_shell() {
        let split = |text: &str| words(text).map(|words| words.join("|"));
        assert_eq!(split(" ls  -l 'a b' \"c d\" e\\ f '' x=1").as_deref(), Some("ls|-l|a b|c d|e f||x=1"));
        assert_eq!(split("a'b'\"c\"d").as_deref(), Some("abcd"));
        assert_eq!(split("").as_deref(), Some(""));
        for shell in ["echo $x", "a | b", "a > b", "ls *", "x=1 env", "echo \"$x\"", "echo 'open", "a; b", "a &", "a\\"]
        {
            assert_eq!(split(shell), None, "{shell}");
        }
        assert_eq!(split("echo '$x | *'").as_deref(), Some("echo|$x | *"));
    }

    #[test]
    fn it_waits_and_runs() {
        let mut child = Child::prepare("cat /dev/null").unwrap();
        let name = || std::fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap();
        assert_ne!(name().trim(), "cat");
        child.go_on().unwrap();
        let State::Running(process) = &mut child.state else { panic!() };
        assert!(process.wait().unwrap().success());
        for command in ["", "  ", "no-such-program x", "/no/such/program"] {
            assert!(Child::prepare(command).is_err(), "{command}");
        }
        let mut shell = Child::prepare("exit $((3))").unwrap();
        shell.go_on().unwrap();
        let mut directory = Child::prepare("/etc/passwd").unwrap();
        assert!(directory.go_on().unwrap_err().contains("cannot start `/etc/passwd`"));
    }
}
