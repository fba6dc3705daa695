//! `-z`: a command for each complete file of a series, run in the background.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::failure::note;

/// Runs the command and collects what has ended.
pub struct PostRotate {
    command: Option<String>,
    running: Vec<Child>,
}

impl PostRotate {
    /// With no command, nothing is run.
    pub fn new(command: Option<String>) -> Self {
        Self { command, running: Vec::new() }
    }

    /// Starts `COMMAND FILE`. That it cannot be started is said and does not end the capture.
    pub fn run(&mut self, file: &Path) {
        let Some(command) = &self.command else { return };
        // No shell: the command is a program, as for tcpdump. Its output must not get between ours.
        match Command::new(command).arg(file).stdin(Stdio::null()).stdout(Stdio::null()).spawn() {
            Ok(child) => self.running.push(child),
            Err(error) => {
                let reason = super::expression::plain(&error);
                note(&format!(
                    "cannot run `{command} {}`: {reason}; -z takes one program without arguments",
                    file.display()
                ));
            }
        }
        self.reap();
    }

    /// Forgets those that have ended.
    pub fn reap(&mut self) {
        self.running.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    /// Waits for all.
    pub fn wait(mut self) {
        for child in &mut self.running {
            // It is gone either way.
            let _ = child.wait();
        }
    }
}
