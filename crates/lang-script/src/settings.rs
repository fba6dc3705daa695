//! Settings of the `config` block.

use std::sync::Arc;

use skep_diag::{Diagnostic, Span};

use crate::ast::{Name, Setting, Spanned};
use crate::plan::{self, MissingProbes, StackMode};
use crate::words;

/// Settings that matter to the compiler, and those for the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of the texts that `str` reads, the zero included.
    pub max_strlen: u32,
    /// Entries of a map without a declaration.
    pub max_map_keys: u32,
    /// How stack traces are printed when the script does not say it.
    pub stack_mode: StackMode,
    /// The largest object on the stack, in bytes; larger ones are kept per processor.
    pub on_stack_limit: u32,
    /// Licence of the programs.
    pub license: Arc<str>,
    /// The most probes.
    pub max_probes: u64,
    /// Whether `typeinfo` may be used.
    pub typeinfo: Allowed,
    /// What the host needs.
    pub host: plan::Settings,
}

/// Whether something that may change can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// It can.
    Yes,
    /// It can, with a warning.
    Warned,
    /// It cannot.
    No,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_strlen: 1024,
            max_map_keys: 4096,
            stack_mode: StackMode::Bpftrace,
            on_stack_limit: 32,
            license: "GPL".into(),
            max_probes: 1024,
            typeinfo: Allowed::No,
            host: plan::Settings::default(),
        }
    }
}

/// One setting as the reference shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its name in the `config` block; in the environment `BPFTRACE_` and the name in capital letters.
    pub name: &'static str,
    /// The value without it.
    pub default: &'static str,
    /// What values it has.
    pub values: &'static str,
    /// What it is for; empty for those that are accepted and mean nothing here.
    pub doc: &'static str,
}

/// A setting that scripts for the reference may have, and that means nothing here.
const fn ignored(name: &'static str) -> Row {
    Row { name, default: "", values: "any", doc: "" }
}

const fn row(name: &'static str, default: &'static str, values: &'static str, doc: &'static str) -> Row {
    Row { name, default, values, doc }
}

// TABLE
/// All settings.
pub const SETTINGS: &[Row] = &[
    row("cpp_demangle", "true", "`true` or `false`", "Whether names of C++ functions are made readable."),
    row(
        "license",
        "\"GPL\"",
        "a text",
        "Licence of the programs; some helpers need one that is compatible with the GPL.",
    ),
    row("max_cat_bytes", "10240", "a number below 2^32", "Bytes of a file that `cat` prints at most."),
    row("max_map_keys", "4096", "a number from 1 to 2^30", "Entries of a map that is not declared with a size."),
    row("max_probes", "1024", "a number above 0", "The most probes, wildcards resolved."),
    row(
        "max_strlen",
        "1024",
        "a number from 1 to 16384",
        "Bytes of the texts that `str` reads, the zero behind them included.",
    ),
    row("missing_probes", "error", "`error`, `warn` or `ignore`", "What happens with probes that do not exist."),
    row(
        "on_stack_limit",
        "32",
        "a number up to 256",
        "The largest object on the stack, in bytes; larger ones are kept per processor.",
    ),
    row(
        "perf_rb_pages",
        "64",
        "a number of pages from 1 to 2^18",
        "Pages of 4 KiB of the buffer that records go through, made a power of two.",
    ),
    row("print_maps_on_exit", "true", "`true` or `false`", "Whether maps are printed at the end."),
    row("stack_mode", "bpftrace", "`bpftrace`, `perf`, `raw` or `build_id`", "How stack traces are printed."),
    row("str_trunc_trailer", "\"..\"", "a text", "What is put behind texts that were cut."),
    row(
        "unstable_typeinfo",
        "error",
        "`enable`, `warn` or `error`",
        "Whether `typeinfo` may be used, which may change; `warn` says where it is.",
    ),
    ignored("cache_user_symbols"),
    ignored("lazy_symbolication"),
    ignored("log_size"),
    ignored("max_bpf_progs"),
    ignored("max_type_res_iterations"),
    ignored("show_debug_info"),
    ignored("symbol_source"),
    ignored("unstable_addr"),
    ignored("unstable_dw_ustack"),
    ignored("unstable_import"),
    ignored("unstable_import_statement"),
    ignored("unstable_macro"),
    ignored("unstable_map_decl"),
    ignored("unstable_tseries"),
    ignored("use_blazesym"),
];

// TABLE
/// Names that settings had in the environment of earlier releases of bpftrace, and those that they have now.
const FORMER: &[(&str, &str)] =
    &[("cat_bytes_max", "max_cat_bytes"), ("map_keys_max", "max_map_keys"), ("strlen", "max_strlen")];

/// The setting with a name, with or without `BPFTRACE_` in front, in any letters.
pub fn find(name: &str) -> Option<&'static Row> {
    let lower = name.to_ascii_lowercase();
    let known = lower.strip_prefix("bpftrace_").unwrap_or(&lower);
    let known = FORMER.iter().find(|(former, _)| *former == known).map_or(known, |(_, now)| now);
    SETTINGS.iter().find(|row| row.name == known)
}

/// A setting as the environment gives it: text. It is to be put behind those of the script, and replaces them.
///
/// # Errors
/// What values it can have. A name that is no setting is `Ok(None)`.
pub fn from_text(name: &str, value: &str) -> Result<Option<(Name, Spanned<Setting>)>, String> {
    let Some(row) = find(name) else { return Ok(None) };
    let nowhere = Span::new(0, 0);
    let setting = match value {
        "true" => Setting::Bool(true),
        "false" => Setting::Bool(false),
        value => value.parse().map_or_else(|_| Setting::Text(value.into()), Setting::Int),
    };
    if !row.doc.is_empty() && Settings::default().set(row.name, &setting).is_err() {
        return Err(format!("{name}={value}: it is {}", row.values));
    }
    Ok(Some((Spanned::new(row.name.into(), nowhere), Spanned::new(setting, nowhere))))
}

/// The settings of a script.
pub fn read(config: &[(Name, Spanned<Setting>)], problems: &mut Vec<Diagnostic>) -> Settings {
    let mut settings = Settings::default();
    for (name, value) in config {
        let Some(row) = find(&name.node) else {
            let error = Diagnostic::error(name.span, format!("there is no setting `{}`", name.node));
            let names = SETTINGS.iter().filter(|row| !row.doc.is_empty()).map(|row| row.name);
            let lower = name.node.to_ascii_lowercase();
            problems.push(match words::nearest(&lower, names) {
                Some(near) => error.with_help(format!("did you mean `{near}`?")),
                None => error,
            });
            continue;
        };
        if !row.doc.is_empty() && settings.set(row.name, &value.node).is_err() {
            let error = Diagnostic::error(value.span, format!("`{}` cannot have this value", name.node));
            problems.push(error.with_help(format!("it is {}", row.values)));
        }
    }
    settings
}

/// Bytes of a page.
const PAGE: u64 = 4096;

/// A value is none that the setting can have.
struct Unfit;

impl Settings {
    /// Names and values of the settings that mean something, in the order of their names.
    pub fn values(&self) -> Vec<(&'static str, Setting)> {
        let number = |number: u64| Setting::Int(number.into());
        let word = |word: &str| Setting::Text(word.into());
        let missing = match self.host.missing_probes {
            MissingProbes::Error => "error",
            MissingProbes::Warn => "warn",
            MissingProbes::Ignore => "ignore",
        };
        let mode = match self.stack_mode {
            StackMode::Bpftrace => "bpftrace",
            StackMode::Perf => "perf",
            StackMode::Raw => "raw",
            StackMode::BuildId => "build_id",
        };
        let typeinfo = match self.typeinfo {
            Allowed::Yes => "enable",
            Allowed::Warned => "warn",
            Allowed::No => "error",
        };
        vec![
            ("cpp_demangle", Setting::Bool(self.host.demangle)),
            ("license", Setting::Text(self.license.clone())),
            ("max_cat_bytes", number(self.host.max_cat_bytes)),
            ("max_map_keys", number(self.max_map_keys.into())),
            ("max_probes", number(self.max_probes)),
            ("max_strlen", number(self.max_strlen.into())),
            ("missing_probes", word(missing)),
            ("on_stack_limit", number(self.on_stack_limit.into())),
            ("perf_rb_pages", number(self.host.ring_bytes / PAGE)),
            ("print_maps_on_exit", Setting::Bool(self.host.print_maps_on_exit)),
            ("stack_mode", word(mode)),
            ("str_trunc_trailer", Setting::Text(self.host.truncation.clone())),
            ("unstable_typeinfo", word(typeinfo)),
        ]
    }

    /// Sets one that means something.
    fn set(&mut self, name: &str, value: &Setting) -> Result<(), Unfit> {
        match name {
            "max_strlen" => self.max_strlen = number(value, 1, 16_384)?,
            "max_map_keys" => self.max_map_keys = number(value, 1, 1 << 30)?,
            "max_probes" => self.max_probes = number(value, 1, u32::MAX)?.into(),
            "max_cat_bytes" => self.host.max_cat_bytes = number(value, 0, u32::MAX)?.into(),
            "on_stack_limit" => self.on_stack_limit = number(value, 0, 256)?,
            "perf_rb_pages" => {
                let pages = number(value, 1, 1 << 18)?;
                self.host.ring_bytes = u64::from(pages.next_power_of_two()) * PAGE;
            }
            "print_maps_on_exit" => self.host.print_maps_on_exit = truth(value)?,
            "cpp_demangle" => self.host.demangle = truth(value)?,
            "license" => self.license = text(value)?,
            "str_trunc_trailer" => self.host.truncation = text(value)?,
            "stack_mode" => self.stack_mode = stack_mode(&text(value)?).ok_or(Unfit)?,
            "unstable_typeinfo" => {
                self.typeinfo = match (text(value).as_deref(), truth(value)) {
                    (Ok("enable"), _) | (_, Ok(true)) => Allowed::Yes,
                    (Ok("warn"), _) => Allowed::Warned,
                    (Ok("error"), _) | (_, Ok(false)) => Allowed::No,
                    _ => return Err(Unfit),
                };
            }
            "missing_probes" => {
                self.host.missing_probes = match &*text(value)? {
                    "error" => MissingProbes::Error,
                    "warn" => MissingProbes::Warn,
                    "ignore" => MissingProbes::Ignore,
                    _ => return Err(Unfit),
                };
            }
            _ => return Err(Unfit),
        }
        Ok(())
    }
}

/// The way of printing stack traces with a name.
pub fn stack_mode(name: &str) -> Option<StackMode> {
    Some(match name {
        "bpftrace" => StackMode::Bpftrace,
        "perf" => StackMode::Perf,
        "raw" => StackMode::Raw,
        "build_id" => StackMode::BuildId,
        _ => return None,
    })
}

fn number(value: &Setting, least: u32, most: u32) -> Result<u32, Unfit> {
    let Setting::Int(number) = value else { return Err(Unfit) };
    u32::try_from(*number).ok().filter(|number| (least..=most).contains(number)).ok_or(Unfit)
}

fn truth(value: &Setting) -> Result<bool, Unfit> {
    match value {
        Setting::Bool(value) => Ok(*value),
        Setting::Int(number) => Ok(*number != 0),
        Setting::Text(_) => Err(Unfit),
    }
}

fn text(value: &Setting) -> Result<Arc<str>, Unfit> {
    match value {
        Setting::Text(text) => Ok(text.clone()),
        _ => Err(Unfit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_values_of_their_settings() {
        for row in SETTINGS {
            assert_eq!(find(&format!("BPFTRACE_{}", row.name.to_uppercase())), Some(row));
            assert!(row.doc.is_empty() || (row.doc.ends_with('.') && !row.default.is_empty()), "{}", row.name);
            if row.doc.is_empty() {
                continue;
            }
            let default = row.default.trim_matches('"');
            let (name, value) = from_text(row.name, default).unwrap().unwrap();
            // The default of the reader is the one that the table shows.
            let mut problems = Vec::new();
            let mut found = read(&[(name, value)], &mut problems);
            assert!(problems.is_empty(), "{problems:?}");
            if row.name == "perf_rb_pages" {
                assert_eq!(found.host.ring_bytes, u64::from(crate::lower::RING_BYTES));
                found.host.ring_bytes = 0;
            }
            assert_eq!(found, Settings::default(), "{}", row.name);
        }
    }

    #[test]
    fn the_environment_gives_texts() {
        let error = from_text("BPFTRACE_MAX_STRLEN", "many").unwrap_err();
        assert_eq!(error, "BPFTRACE_MAX_STRLEN=many: it is a number from 1 to 16384");
        assert!(from_text("BPFTRACE_LOG_SIZE", "many").unwrap().is_some());
        assert!(from_text("BPFTRACE_NO_SUCH", "1").unwrap().is_none());
        let (name, value) = from_text("BPFTRACE_MAX_STRLEN", "64").unwrap().unwrap();
        assert_eq!(read(&[(name, value)], &mut Vec::new()).max_strlen, 64);
    }

    #[test]
    fn every_setting_can_be_set_and_read() {
        let values = Settings::default().values();
        let known = SETTINGS.iter().filter(|row| !row.doc.is_empty()).map(|row| row.name);
        assert!(values.iter().map(|value| value.0).eq(known));
        for (name, value) in values {
            // The size of the ring is chosen by the host unless it is set.
            let value = if name == "perf_rb_pages" { Setting::Int(64) } else { value };
            assert!(Settings::default().set(name, &value).is_ok(), "{name}");
        }
    }
}
