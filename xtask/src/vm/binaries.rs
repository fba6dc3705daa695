//! The test programs: built by cargo on the host, found in the messages that it prints about them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::vm::host;

/// A program that cargo built.
#[derive(Debug, PartialEq)]
pub struct Binary {
    /// The program.
    pub path: PathBuf,
    /// Package and target, such as `skep-kernel: programs`.
    pub title: String,
    /// The directory of the package, in which its tests run.
    pub directory: PathBuf,
    /// False for programs that tests start themselves.
    pub is_test: bool,
}

/// Builds the tests that `selection` (arguments of `cargo test`) chooses.
///
/// # Errors
/// A message if cargo cannot be run, fails, or builds no test.
pub fn build(root: &Path, selection: &[String]) -> Result<Vec<Binary>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--no-run", "--message-format", "json-render-diagnostics"]).args(selection);
    command.current_dir(root).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| host::cannot_run(&command, &error))?;
    if !output.status.success() {
        return Err(format!("`cargo test --no-run {}` failed", selection.join(" ")));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let binaries: Vec<Binary> = text.lines().filter_map(binary).collect();
    if binaries.iter().any(|binary| binary.is_test) {
        Ok(binaries)
    } else {
        Err(format!("`cargo test --no-run {}` built no test", selection.join(" ")))
    }
}

/// What a message of cargo says about a program, if it does.
fn binary(message: &str) -> Option<Binary> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = PathBuf::from(message["executable"].as_str()?);
    let directory = Path::new(message["manifest_path"].as_str()?).parent()?.to_path_buf();
    let name = message["target"]["name"].as_str()?;
    // `PATH#NAME@VERSION`, or `PATH#VERSION` if the directory has the name of the package.
    let package = message["package_id"].as_str()?.rsplit(['/', '#']).find_map(|part| {
        let name = part.split('@').next()?;
        name.starts_with(|c: char| !c.is_ascii_digit()).then_some(name)
    })?;
    let is_test = message["profile"]["test"] == true;
    let unit = message["target"]["kind"] != serde_json::json!(["test"]);
    let title = if unit { format!("{package}: unit tests of {name}") } else { format!("{package}: {name}") };
    Some(Binary { path, title, directory, is_test })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_messages() {
        let message = r#"{"reason":"compiler-artifact","package_id":"path+file:///x/crates/kernel#skep-kernel@0.1.0",
            "manifest_path":"/x/crates/kernel/Cargo.toml","target":{"kind":["test"],"name":"programs"},
            "profile":{"test":true},"executable":"/x/target/debug/deps/programs-1"}"#;
        let found = binary(message).unwrap();
        assert_eq!((found.title.as_str(), found.is_test), ("skep-kernel: programs", true));
        assert_eq!(found.directory, Path::new("/x/crates/kernel"));
        let library = message.replace(r#""/x/target/debug/deps/programs-1""#, "null");
        assert_eq!(binary(&library), None);
        let unit = message.replace(r#"["test"]"#, r#"["lib"]"#).replace("kernel#skep-kernel@0.1.0", "xtask#0.1.0");
        assert_eq!(binary(&unit).unwrap().title, "xtask: unit tests of programs");
        assert_eq!(binary("   Compiling"), None);
    }
}
