//! Everything that has to be green before a push, cheapest first, stopping at the first failure.

use std::process::{Command, ExitCode};

use crate::tidy;

/// One cargo command.
struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
    variable: Option<(&'static str, &'static str)>,
}

const STEPS: &[Step] = &[
    Step { name: "formatting", arguments: &["fmt", "--all", "--check"], variable: None },
    Step { name: "tidy", arguments: &["xtask", "tidy"], variable: None },
    Step {
        name: "lints",
        arguments: &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        variable: None,
    },
    Step {
        name: "documentation",
        arguments: &["doc", "--workspace", "--no-deps"],
        variable: Some(("RUSTDOCFLAGS", "-D warnings")),
    },
    Step { name: "tests", arguments: &["test", "--workspace"], variable: None },
];

/// The sub-command.
pub fn run() -> ExitCode {
    for Step { name, arguments, variable } in STEPS {
        println!("prepush: {name}: cargo {}", arguments.join(" "));
        let mut command = Command::new("cargo");
        command.args(*arguments).current_dir(tidy::root()).envs(*variable);
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(_) => {
                eprintln!("prepush: {name} failed");
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("prepush: cannot run cargo: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("prepush: all green");
    ExitCode::SUCCESS
}
