//! The filter expression: where its text comes from, and compiling it for a link type.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use skep_diag::{Diagnostic, Severity};
use skep_lang_filter::names::SystemResolver;
use skep_lang_filter::parse::MAX_SOURCE;
use skep_lang_filter::{Compat, Filter, Live, Options};
use skep_packet::LinkType;

use crate::args::FilterArgs;
use crate::failure::{Failure, colour_on_stderr, say_part};

/// Bytes that an accepting program keeps if `-s` does not say: more than any packet has.
const WHOLE: u32 = 262_144;

/// An expression and how it is to be compiled.
pub struct Expression {
    /// The text.
    pub text: String,
    /// Where it comes from, for messages.
    pub name: String,
    options: Options,
}

/// What an expression is compiled for.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// How packets begin.
    pub link: LinkType,
    /// Whether the kernel's words about packets can be asked for.
    pub live: bool,
    /// The network's mask, as far as it is known.
    pub netmask: Option<u32>,
    /// Whether the recording comes from a machine of the other byte order.
    pub swapped: bool,
}

impl Target {
    /// For packets of a recording.
    ///
    /// tcpdump takes the mask of the network to be 0 there, so that `ip broadcast` knows 0.0.0.0 and 255.255.255.255.
    pub fn recording(link: LinkType) -> Self {
        Self { link, live: false, netmask: Some(0), swapped: false }
    }

    /// For packets of an interface.
    pub fn live(link: LinkType, netmask: Option<u32>) -> Self {
        Self { link, live: true, netmask, swapped: false }
    }
}

impl Expression {
    /// The expression of the command line or of the file that it names.
    pub fn of(args: &FilterArgs) -> Result<Self, Failure> {
        let (text, name) = match &args.expression_file {
            Some(path) => (read_file(path)?, path.display().to_string()),
            None => (args.expression.join(" "), "expression".to_owned()),
        };
        Ok(Self { text, name, options: options(args) })
    }

    /// One of the two given to `--diff`.
    pub fn of_text(args: &FilterArgs, text: &str, name: &str) -> Self {
        Self { text: text.to_owned(), name: name.to_owned(), options: options(args) }
    }

    /// One that is not the user's.
    pub fn internal(text: String) -> Self {
        let options = Options { snaplen: WHOLE, ..Options::default() };
        Self { text, name: "filter".to_owned(), options }
    }

    /// Whether it is empty, so that all packets match.
    pub fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Compiles it, without printing anything.
    pub fn try_compile(&self, target: Target) -> Result<Filter, Vec<Diagnostic>> {
        let live = target.live.then(Live::default);
        let Target { link, netmask, swapped, .. } = target;
        let options = Options { link, live, netmask, swapped, ..self.options };
        skep_lang_filter::compile(&self.text, &options, &SystemResolver::new())
    }

    /// Draws diagnostics about it on standard error.
    pub fn warn(&self, diagnostics: &[Diagnostic]) {
        let colour = colour_on_stderr();
        for one in diagnostics {
            say_part!("{}", skep_diag::render(one, &self.name, &self.text, colour));
        }
    }
}

/// Compiles an expression; warnings go to standard error.
pub fn compile(expression: &Expression, target: Target) -> Result<Filter, Failure> {
    match expression.try_compile(target) {
        Ok(filter) => {
            expression.warn(&filter.warnings);
            Ok(filter)
        }
        Err(mut diagnostics) => {
            diagnostics.retain(|one| one.severity == Severity::Error);
            Err(Failure::expression(&diagnostics, &expression.name, &expression.text))
        }
    }
}

fn options(args: &FilterArgs) -> Options {
    Options {
        snaplen: args.snaplen.filter(|&len| len != 0).unwrap_or(WHOLE).min(WHOLE),
        compat: Compat::from(args.compat),
        ip6_ext: args.ip6_ext,
        optimize: !args.no_optimize,
        ..Options::default()
    }
}

/// Reads an expression from a file. Comments become blanks, so that places in messages stay right.
fn read_file(path: &Path) -> Result<String, Failure> {
    let name = path.display();
    let open = || -> io::Result<Box<dyn Read>> {
        Ok(if path.as_os_str() == "-" { Box::new(io::stdin()) } else { Box::new(File::open(path)?) })
    };
    let mut bytes = Vec::new();
    let limit = MAX_SOURCE as u64 + 1;
    let result = open().and_then(|file| file.take(limit).read_to_end(&mut bytes));
    result.map_err(|error| Failure::Run(format!("cannot read the expression in {name}: {}", plain(&error))))?;
    if bytes.len() > MAX_SOURCE {
        let text = format!(
            "the expression in {name} is longer than {MAX_SOURCE} bytes; put addresses into a set: `host @FILE`"
        );
        return Err(Failure::Run(text));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        Failure::Run(format!("{name} is no text: byte {} is not UTF-8", error.utf8_error().valid_up_to()))
    })?;
    Ok(without_comments(&text))
}

fn without_comments(text: &str) -> String {
    let mut in_comment = false;
    let blank = |c: char| {
        in_comment = (in_comment || c == '#') && c != '\n';
        if in_comment { " ".repeat(c.len_utf8()) } else { c.to_string() }
    };
    text.chars().map(blank).collect()
}

/// An I/O error without the system's number.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_become_blanks_of_the_same_length() {
        let text = "tcp # é all\nor udp#";
        let clean = without_comments(text);
        assert_eq!(clean, "tcp         \nor udp ");
        assert_eq!(clean.len(), text.len());
    }
}
