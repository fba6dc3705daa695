//! Running programs of the host, with errors that say which package has a missing one.

use std::io::ErrorKind;
use std::process::{Command, Output};

/// Programs that the sub-command runs, and the Debian package of each.
// TABLE: a row for every program that is started on the host.
const PACKAGES: &[(&str, &str)] = &[
    ("apt-cache", "apt"),
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
    ("ldd", "libc-bin"),
    ("make", "make"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("setpriv", "util-linux"),
    ("strip", "binutils"),
    ("tar", "tar"),
    ("xz", "xz-utils"),
];

/// Runs a command to its end and gives what it wrote to its standard output.
///
/// # Errors
/// A message with the command and what it wrote to its error output.
pub fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    let Output { status, stdout, stderr } = command.output().map_err(|error| cannot_run(command, &error))?;
    if status.success() {
        Ok(stdout)
    } else {
        Err(format!("{} failed ({status}): {}", shown(command), String::from_utf8_lossy(&stderr).trim()))
    }
}

/// What to say when a program did not start.
pub fn cannot_run(command: &Command, error: &std::io::Error) -> String {
    let name = command.get_program().to_string_lossy();
    let package = PACKAGES.iter().find(|(program, _)| *program == name).map_or(&*name, |(_, package)| package);
    match error.kind() {
        ErrorKind::NotFound => format!("`{name}` is not installed; its Debian package is `{package}`"),
        _ => format!("cannot run {}: {error}", shown(command)),
    }
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    format!("`{}`", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_show_the_command() {
        let error = output(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err();
        assert_eq!(error, "`sh -c echo broken >&2; exit 3` failed (exit status: 3): broken");
    }

    #[test]
    fn missing_programs_name_their_package() {
        let error = std::io::Error::from(ErrorKind::NotFound);
        let message = cannot_run(&Command::new("qemu-system-x86_64"), &error);
        assert_eq!(message, "`qemu-system-x86_64` is not installed; its Debian package is `qemu-system-x86`");
    }
}
