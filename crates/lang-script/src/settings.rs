//! Settings of the `config` block.

use std::sync::Arc;

use skep_diag::Diagnostic;

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

/// Bytes of a page.
const PAGE: u64 = 4096;

/// Names of settings that are accepted and mean nothing here.
const WITHOUT_MEANING: &[&str] = &[
    "cache_user_symbols",
    "lazy_symbolication",
    "log_size",
    "max_bpf_progs",
    "max_type_res_iterations",
    "show_debug_info",
    "symbol_source",
    "unstable_addr",
    "unstable_dw_ustack",
    "unstable_import",
    "unstable_import_statement",
    "unstable_macro",
    "unstable_map_decl",
    "unstable_tseries",
    "use_blazesym",
];

/// Names of the settings that mean something.
const NAMES: &[&str] = &[
    "cpp_demangle",
    "license",
    "max_cat_bytes",
    "max_map_keys",
    "max_probes",
    "max_strlen",
    "missing_probes",
    "on_stack_limit",
    "perf_rb_pages",
    "print_maps_on_exit",
    "stack_mode",
    "str_trunc_trailer",
    "unstable_typeinfo",
];

/// The settings of a script.
pub fn read(config: &[(Name, Spanned<Setting>)], problems: &mut Vec<Diagnostic>) -> Settings {
    let mut settings = Settings::default();
    for (name, value) in config {
        let lower = name.node.to_ascii_lowercase();
        let known = lower.strip_prefix("bpftrace_").unwrap_or(&lower);
        if WITHOUT_MEANING.contains(&known) {
            continue;
        }
        match settings.set(known, &value.node) {
            Ok(true) => {}
            Ok(false) => {
                let error = Diagnostic::error(name.span, format!("there is no setting `{}`", name.node));
                problems.push(match words::nearest(known, NAMES.iter().copied()) {
                    Some(near) => error.with_help(format!("did you mean `{near}`?")),
                    None => error,
                });
            }
            Err(expected) => problems.push(
                Diagnostic::error(value.span, format!("`{}` cannot have this value", name.node)).with_help(expected),
            ),
        }
    }
    settings
}

/// The setting in a variable of the environment (`BPFTRACE_NAME=value`); `None` if it is none.
pub fn from_environment(variable: &str, value: &str) -> Option<(Name, Spanned<Setting>)> {
    let name = variable.strip_prefix("BPFTRACE_")?.to_ascii_lowercase();
    if !NAMES.contains(&name.as_str()) && !WITHOUT_MEANING.contains(&name.as_str()) {
        return None;
    }
    let setting = match (value, value.parse()) {
        ("true", _) => Setting::Bool(true),
        ("false", _) => Setting::Bool(false),
        (_, Ok(number)) => Setting::Int(number),
        (text, Err(_)) => Setting::Text(text.into()),
    };
    let span = skep_diag::Span::new(0, 0);
    Some((Spanned::new(variable.into(), span), Spanned::new(setting, span)))
}

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

    /// Sets one; whether there is one of that name.
    fn set(&mut self, name: &str, value: &Setting) -> Result<bool, &'static str> {
        match name {
            "max_strlen" => self.max_strlen = number(value, 1, 16_384).ok_or("it is a number from 1 to 16384")?,
            "max_map_keys" => {
                self.max_map_keys = number(value, 1, 1 << 30).ok_or("it is a number from 1 to 2^30")?;
            }
            "max_probes" => self.max_probes = number(value, 1, u32::MAX).ok_or("it is a number above 0")?.into(),
            "max_cat_bytes" => {
                self.host.max_cat_bytes = number(value, 0, u32::MAX).ok_or("it is a number below 2^32")?.into();
            }
            "on_stack_limit" => self.on_stack_limit = number(value, 0, 256).ok_or("it is a number up to 256")?,
            "perf_rb_pages" => {
                let pages = number(value, 1, 1 << 18).ok_or("it is a number of pages from 1 to 2^18")?;
                self.host.ring_bytes = u64::from(pages.next_power_of_two()) * PAGE;
            }
            "print_maps_on_exit" => {
                self.host.print_maps_on_exit = truth(value).ok_or("it is `true` or `false`")?;
            }
            "cpp_demangle" => self.host.demangle = truth(value).ok_or("it is `true` or `false`")?,
            "license" => self.license = text(value).ok_or("it is a text")?,
            "str_trunc_trailer" => self.host.truncation = text(value).ok_or("it is a text")?,
            "unstable_typeinfo" => {
                self.typeinfo = match (text(value).as_deref(), truth(value)) {
                    (Some("enable"), _) | (_, Some(true)) => Allowed::Yes,
                    (Some("warn"), _) => Allowed::Warned,
                    (Some("error"), _) | (_, Some(false)) => Allowed::No,
                    _ => return Err("it is `enable`, `warn` or `error`"),
                };
            }
            "stack_mode" => {
                self.stack_mode = text(value)
                    .and_then(|text| stack_mode(&text))
                    .ok_or("it is `bpftrace`, `perf`, `raw` or `build_id`")?;
            }
            "missing_probes" => {
                self.host.missing_probes = match text(value).as_deref() {
                    Some("error") => MissingProbes::Error,
                    Some("warn") => MissingProbes::Warn,
                    Some("ignore") => MissingProbes::Ignore,
                    _ => return Err("it is `error`, `warn` or `ignore`"),
                };
            }
            _ => return Ok(false),
        }
        Ok(true)
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

fn number(value: &Setting, least: u32, most: u32) -> Option<u32> {
    let Setting::Int(number) = value else { return None };
    u32::try_from(*number).ok().filter(|number| (least..=most).contains(number))
}

fn truth(value: &Setting) -> Option<bool> {
    match value {
        Setting::Bool(value) => Some(*value),
        Setting::Int(number) => Some(*number != 0),
        Setting::Text(_) => None,
    }
}

fn text(value: &Setting) -> Option<Arc<str>> {
    match value {
        Setting::Text(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_can_be_set_and_read() {
        let values = Settings::default().values();
        assert!(values.iter().map(|value| value.0).eq(NAMES.iter().copied()));
        for (name, value) in values {
            // The size of the ring is chosen by the host unless it is set.
            let value = if name == "perf_rb_pages" { Setting::Int(64) } else { value };
            assert_eq!(Settings::default().set(name, &value), Ok(true), "{name}");
        }
    }

    #[test]
    fn settings_come_from_the_environment() {
        let setting = |name, value| from_environment(name, value).map(|setting| setting.1.node);
        assert_eq!(setting("BPFTRACE_MAX_STRLEN", "200"), Some(Setting::Int(200)));
        assert_eq!(setting("BPFTRACE_PRINT_MAPS_ON_EXIT", "false"), Some(Setting::Bool(false)));
        assert_eq!(setting("BPFTRACE_STACK_MODE", "perf"), Some(Setting::Text("perf".into())));
        assert_eq!(setting("BPFTRACE_COLOR", "1"), None);
        assert_eq!(setting("PATH", "/bin"), None);
    }
}
