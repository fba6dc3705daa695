//! From the text of a program in C to an object.
//!
//! What lives here: the order of the stages (preprocessor, parser and lowering of `skep-lang-c`, optimiser, code
//! generator), how long each takes, and what loaders have to know beyond the code (`finish`). The stages themselves live
//! in their crates; reading files and asking the running kernel is the caller's.

mod bcc;
mod disk;
mod finish;
pub mod skeleton;

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, Instant};

use skep_isa::ebpf::Cpu;
use skep_lang_c::lex::{Pragma, TokenKind};
use skep_lang_c::options::Options;
use skep_lang_c::pp::{MainFile, preprocess, preprocess_to_text};
use skep_lang_c::provider::TypeSource;
use skep_lang_c::source::{Diags, FileSource, Sources};
use skep_lang_c::unit::Unit;
use skep_object::Object;

pub use bcc::TRACING;
pub use disk::Disk;

/// What is wanted besides the object.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes {
    /// The intermediate representation as text, before and behind the optimiser.
    pub ir: bool,
    /// Messages in colour.
    pub colour: bool,
}

/// What a program became.
#[derive(Debug)]
pub struct Built {
    /// Programs, maps, types.
    pub object: Object,
    /// The intermediate representation before and behind the optimiser, if it was asked for.
    pub ir: Option<[String; 2]>,
    /// Warnings, drawn.
    pub warnings: String,
    /// The files that were read: name, and whether they are embedded in the compiler.
    pub files: Vec<(String, bool)>,
    /// How long each stage took.
    pub times: Vec<(&'static str, Duration)>,
}

/// Why there is no object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// The source is wrong; the messages are drawn, each with line and caret.
    Source(String),
    /// No code could be made of it, for example because it takes too much stack.
    Code(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(text) | Self::Code(text) => f.write_str(text.trim_end()),
        }
    }
}

impl std::error::Error for Failed {}

/// A program before it is optimised.
#[derive(Debug)]
pub struct Front {
    /// What it became.
    pub unit: Unit,
    /// Warnings, drawn.
    pub warnings: String,
    /// The files that were read: name, and whether they are embedded in the compiler.
    pub files: Vec<(String, bool)>,
    /// Whether it asks for loops to be unrolled.
    pub unrolls: bool,
    /// How long each stage took.
    pub times: Vec<(&'static str, Duration)>,
}

/// Compiles a program up to the intermediate representation. Types that it does not declare are asked for in `types`,
/// files in `files`.
///
/// # Errors
/// [`Failed::Source`], with everything that is wrong with the source.
pub fn front(
    main: &MainFile<'_>,
    options: &Options,
    files: &dyn FileSource,
    types: &mut dyn TypeSource,
    colour: bool,
) -> Result<Front, Failed> {
    let start = Instant::now();
    let options = &described(main, options, files)?;
    let (mut sources, mut diags) = (Sources::new(), Diags::new());
    let tokens = preprocess(main, options, files, &mut sources, &mut diags);
    let read = start.elapsed();
    if diags.has_errors() {
        return Err(Failed::Source(diags.render(&sources, colour)));
    }
    let unrolls = tokens.iter().any(|token| matches!(token.kind, TokenKind::Pragma(Pragma::Unroll(_))));
    let unit = skep_lang_c::compile(&tokens, &sources, types, options, &mut diags);
    let messages = diags.render(&sources, colour);
    let unit = match unit {
        Some(unit) if !diags.has_errors() => unit,
        _ => return Err(Failed::Source(messages)),
    };
    let files = sources.file_names().map(|(name, system)| (name.to_owned(), system)).collect();
    let times = vec![("preprocess", read), ("compile", start.elapsed().saturating_sub(read))];
    Ok(Front { unit, warnings: messages, files, unrolls, times })
}

/// Compiles a program. Types that it does not declare are asked for in `types`, files in `files`.
///
/// # Errors
/// [`Failed`], with everything that is wrong with the source.
pub fn build(
    main: &MainFile<'_>,
    options: &Options,
    files: &dyn FileSource,
    types: &mut dyn TypeSource,
    wishes: Wishes,
) -> Result<Built, Failed> {
    let Front { mut unit, warnings, files, unrolls, mut times } = front(main, options, files, types, wishes.colour)?;
    let mut last = Instant::now();
    let mut done = |stage| {
        times.push((stage, last.elapsed()));
        last = Instant::now();
    };
    let lowered = wishes.ir.then(|| unit.module.to_string());
    let cpu = options.cpu();
    // A stack that is too small for now may do when objects have become values: the code generator judges the result.
    let unroll_size = if unrolls { UNROLLED_WHERE_ASKED } else { UNROLLED };
    let passes = skep_opt::Options { cpu, unroll: UNROLL, unroll_size, verify: false, ..skep_opt::Options::default() };
    skep_opt::optimise(&mut unit.module, &passes);
    done("optimise");
    let ir = lowered.map(|text| [text, unit.module.to_string()]);
    let target = skep_codegen::Options { cpu: version(cpu), ..skep_codegen::Options::default() };
    let problem = |error: skep_codegen::Error| Failed::Code(format!("{}: {error}", main.name));
    let mut object = skep_codegen::compile(&unit.module, &target).map_err(problem)?;
    finish::finish(&mut object, &unit).map_err(|text| Failed::Code(format!("{}: {text}", main.name)))?;
    done("generate");
    Ok(Built { object, ir, warnings, files, times })
}

/// The options with what programs in the dialect of BCC expect to be declared.
fn described<'a>(
    main: &MainFile<'_>,
    options: &'a Options,
    files: &dyn FileSource,
) -> Result<Cow<'a, Options>, Failed> {
    if !options.bcc {
        return Ok(Cow::Borrowed(options));
    }
    let prelude = bcc::prelude(main.text, files).map_err(|text| Failed::Code(format!("{}: {text}", main.name)))?;
    Ok(Cow::Owned(Options { prelude, ..options.clone() }))
}

/// Rounds of a loop that is unrolled without being asked for.
const UNROLL: u32 = 16;
/// Instructions that a loop may become by that: the verifier follows each round of a loop that stays one, too.
const UNROLLED: usize = 30;
/// The same in files that ask for loops to be unrolled.
const UNROLLED_WHERE_ASKED: usize = 4_000;

/// The text after preprocessing, and the files that were read.
///
/// # Errors
/// [`Failed::Source`].
pub fn expand(
    main: &MainFile<'_>,
    options: &Options,
    files: &dyn FileSource,
    colour: bool,
) -> Result<(String, Vec<(String, bool)>), Failed> {
    let options = &described(main, options, files)?;
    let (mut sources, mut diags) = (Sources::new(), Diags::new());
    let text = preprocess_to_text(main, options, files, &mut sources, &mut diags);
    if diags.has_errors() {
        return Err(Failed::Source(diags.render(&sources, colour)));
    }
    let files = sources.file_names().map(|(name, system)| (name.to_owned(), system)).collect();
    Ok((text, files))
}

const fn version(cpu: u8) -> Cpu {
    match cpu {
        1 => Cpu::V1,
        2 => Cpu::V2,
        4 => Cpu::V4,
        _ => Cpu::V3,
    }
}
