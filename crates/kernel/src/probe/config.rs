//! The configuration that the running kernel was built with.

use std::collections::HashMap;
use std::fs;
use std::io::Read;

/// Longest configuration that is read; real ones have a quarter of a megabyte.
const LONGEST: u64 = 16 << 20;

/// Options with their values. Empty when the kernel does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KernelConfig {
    values: HashMap<String, String>,
}

impl KernelConfig {
    /// Reads `/proc/config.gz`, or else a file of the distribution under `/boot` or `/lib/modules`.
    pub fn read() -> Self {
        let text = from_proc().or_else(from_file).unwrap_or_default();
        Self::parse(&text)
    }

    /// Reads the text of a configuration: lines `CONFIG_X=value` and `# CONFIG_X is not set`.
    pub fn parse(text: &str) -> Self {
        let values = text.lines().filter_map(|line| {
            let (name, value) = match line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set")) {
                Some(name) => (name, "n"),
                None => line.split_once('=')?,
            };
            name.starts_with("CONFIG_").then(|| (name.to_owned(), value.to_owned()))
        });
        Self { values: values.collect() }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether an option is on, as `y` or as a module or with a value. `None` if the configuration is unknown.
    ///
    /// An option that the configuration does not mention is off: it depends on one that is.
    pub fn is_on(&self, option: &str) -> Option<bool> {
        if self.is_empty() {
            return None;
        }
        Some(self.values.get(option).is_some_and(|value| value != "n"))
    }

    /// What stands behind the equals sign: `y`, `m`, a number, or a text with its quotes. `None` if it is off or unknown.
    pub fn value(&self, option: &str) -> Option<&str> {
        self.values.get(option).map(String::as_str).filter(|value| *value != "n")
    }

    /// The options of a requirement such as `CONFIG_A or CONFIG_B` that are off although one would have to be on; empty
    /// if one is on, if nothing is known, or if the requirement names no option.
    pub fn missing<'a>(&self, requirement: &'a str) -> Vec<&'a str> {
        let options: Vec<&str> = requirement
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|word| word.starts_with("CONFIG_"))
            .collect();
        if options.iter().all(|option| self.is_on(option) == Some(false)) { options } else { Vec::new() }
    }
}

fn from_proc() -> Option<String> {
    let file = fs::File::open("/proc/config.gz").ok()?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

fn from_file() -> Option<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let release = release.trim();
    let places = [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")];
    places.iter().find_map(|path| {
        let mut text = String::new();
        fs::File::open(path).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
        Some(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let config =
            KernelConfig::parse("#\nCONFIG_BPF=y\nCONFIG_X=m\n# CONFIG_Y is not set\nCONFIG_HZ=250\nnonsense\n");
        assert_eq!(config.is_on("CONFIG_BPF"), Some(true));
        assert_eq!(config.is_on("CONFIG_X"), Some(true));
        assert_eq!(config.is_on("CONFIG_Y"), Some(false));
        assert_eq!(config.is_on("CONFIG_NOSUCH"), Some(false));
        assert_eq!(config.missing("CONFIG_Y or CONFIG_BPF"), [""; 0]);
        assert_eq!(config.missing("CONFIG_Y for parsers"), ["CONFIG_Y"]);
        assert_eq!(config.missing("CONFIG_Y or CONFIG_Z"), ["CONFIG_Y", "CONFIG_Z"]);
        assert_eq!(config.missing("bpf in the boot parameter lsm="), [""; 0]);
        assert_eq!(KernelConfig::default().is_on("CONFIG_BPF"), None);
        assert_eq!(KernelConfig::default().missing("CONFIG_BPF"), [""; 0]);
    }
}
