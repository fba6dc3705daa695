//! The command line of `cargo xtask vm`.

use std::time::Duration;

use crate::vm::built;

/// What the sub-command understands.
pub const USAGE: &str = "\
usage: cargo xtask vm [OPTIONS] [-- TEST ARGUMENTS]

Boots kernels of Debian in an emulator and runs tests in them.

  --kernel VERSION      one release, such as 6.1 (may be repeated; default: 6.1 and 6.12,
                        without those that no package source offers); 6.12+infrared is built here
                        from Debian's sources, with settings that no package has
  -p, --package NAME    the tests of this package (may be repeated; default: skep-kernel)
  --test NAME, --lib    only these test programs of the packages, as for `cargo test`
  --shell COMMAND       run this command instead of tests
  --with PROGRAM|PATH   take along a program of the host with its libraries, by name or absolute path, or a
                        directory with everything below it (may be repeated)
  --time-limit SECONDS  give up after this time per kernel (default: 300)
  --memory MEGABYTES    memory of the machine (default: 1024)
  --mitigations         let the kernel do what it does against attacks by speculation; it costs time, and
                        changes what processes with few capabilities may load
  --fetch               fetch the kernels and do nothing else
  --list                show the kernels that are cached and that the package sources offer
";

/// The releases of the matrix, as `MAJOR.MINOR`: those that stable Debian releases run.
pub const KERNELS: &[&str] = &["6.1", "6.12"];

/// A parsed command line.
#[derive(Debug, PartialEq)]
pub struct Options {
    /// Releases to boot, one after the other.
    pub kernels: Vec<String>,
    /// Packages, and arguments for `cargo test` that choose test programs.
    pub selection: Vec<String>,
    /// A command for the shell instead of tests.
    pub shell: Option<String>,
    /// Programs of the host that come along besides the usual ones.
    pub with: Vec<String>,
    /// Time after which the emulator is ended.
    pub time_limit: Duration,
    /// Memory of the machine in megabytes.
    pub memory: u32,
    /// Whether the kernel does something against attacks by speculation.
    pub mitigations: bool,
    /// Whether the releases were named: then all of them have to be there.
    pub named: bool,
    /// Fetch kernels and do nothing else.
    pub fetch: bool,
    /// Show kernels and do nothing else.
    pub list: bool,
    /// Arguments for each test program.
    pub arguments: Vec<String>,
}

impl Options {
    /// Reads the words after `vm`.
    ///
    /// # Errors
    /// A message that names the word which was not understood.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            kernels: Vec::new(),
            selection: Vec::new(),
            shell: None,
            with: Vec::new(),
            time_limit: Duration::from_secs(300),
            memory: 1024,
            mitigations: false,
            named: false,
            fetch: false,
            list: false,
            arguments: Vec::new(),
        };
        let mut packages = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().map(|value| (*value).to_owned()).ok_or(format!("`{word}` needs a value"));
            match *word {
                "--kernel" => options.kernels.push(release(&value()?)?),
                "-p" | "--package" => packages.extend(["--package".to_owned(), value()?]),
                "--test" => options.selection.extend(["--test".to_owned(), value()?]),
                "--lib" => options.selection.push("--lib".to_owned()),
                "--shell" => options.shell = Some(value()?),
                "--with" => options.with.push(value()?),
                "--time-limit" => options.time_limit = Duration::from_secs(number(word, &value()?)?.into()),
                "--memory" => options.memory = number(word, &value()?)?,
                "--mitigations" => options.mitigations = true,
                "--fetch" => options.fetch = true,
                "--list" => options.list = true,
                "--" => {
                    options.arguments = words.by_ref().map(|word| (*word).to_owned()).collect();
                }
                _ => return Err(format!("`{word}` is not an option of `cargo xtask vm`\n\n{USAGE}")),
            }
        }
        if packages.is_empty() {
            packages = vec!["--package".to_owned(), "skep-kernel".to_owned()];
        }
        options.selection.splice(0..0, packages);
        options.named = !options.kernels.is_empty();
        if !options.named {
            options.kernels = KERNELS.iter().map(|kernel| (*kernel).to_owned()).collect();
        }
        Ok(options)
    }
}

/// A release of two numbers, and the name of settings if it is to be built: the text becomes part of file names and
/// patterns.
fn release(text: &str) -> Result<String, String> {
    let number = match text.split_once('+') {
        Some((number, name)) => built::find(name).map(|_| number)?,
        None => text,
    };
    let valid = number.split_once('.').is_some_and(|(major, minor)| {
        [major, minor].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    });
    if valid { Ok(text.to_owned()) } else { Err(format!("`--kernel {text}`: expected two numbers, such as 6.12")) }
}

fn number(option: &str, text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("`{option} {text}`: expected a number above 0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_options_the_whole_matrix_runs() {
        let options = Options::parse(&[]).unwrap();
        assert_eq!(options.kernels, KERNELS);
        assert_eq!(options.selection, ["--package", "skep-kernel"]);
        assert_eq!((options.shell, options.list, options.time_limit.as_secs()), (None, false, 300));
    }

    #[test]
    fn packages_come_before_the_choice_of_tests() {
        let words = ["--test", "kernel", "-p", "skep-vm", "--kernel", "6.12", "--", "--exact", "name"];
        let options = Options::parse(&words).unwrap();
        assert_eq!(options.selection, ["--package", "skep-vm", "--test", "kernel"]);
        assert_eq!(options.arguments, ["--exact", "name"]);
        assert_eq!(options.kernels, ["6.12"]);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(Options::parse(&["--kernel", "6.12+infrared"]).unwrap().kernels, ["6.12+infrared"]);
        for (words, expected) in [
            (&["--kernel", "6.12+x"][..], "`+x`: there are no such settings; expected infrared"),
            (&["--kernel", "6"], "`--kernel 6`: expected two numbers, such as 6.12"),
            (&["--kernel", "../6.1"], "`--kernel ../6.1`: expected two numbers, such as 6.12"),
            (&["--kernel"], "`--kernel` needs a value"),
            (&["--time-limit", "0"], "`--time-limit 0`: expected a number above 0"),
        ] {
            assert_eq!(Options::parse(words).unwrap_err(), expected);
        }
        assert!(Options::parse(&["--kernels"]).unwrap_err().starts_with("`--kernels` is not an option"));
    }
}
