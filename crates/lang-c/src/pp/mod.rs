//! The preprocessor: C11 with the extensions of GNU and clang.
//!
//! What lives here: directives, macros, includes, conditions and pragmas; the result is a list of tokens for the parser.
//! Headers that need no file are in [`headers`]. Nothing here knows the grammar of C.
//!
//! Guarantees: any text gives a result or an error with a place. The depth of includes, conditions and arguments, the
//! size of all files and the number of tokens that macros make are limited.

mod builtin;
mod condition;
mod directives;
mod expand;
mod include;
mod macros;
mod output;
mod paste;
mod pragma;
mod subst;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use skep_ir::hash::QuickMap;

use crate::headers;
use crate::lex::lexer;
use crate::lex::raw::{RawKind, RawToken};
use crate::lex::{Pragma, Token};
use crate::options::{MacroOption, Options};
use crate::source::{Diags, FileId, FileSource, Loc, Sources, Sym};

use condition::Condition;
use macros::Macro;

/// Tokens that macros may make in one translation unit.
const MAX_EXPANDED: usize = 4_000_000;

/// Tokens that reach the parser.
const MAX_TOKENS: usize = 4_000_000;

/// How deeply arguments of macros may hold uses of macros.
const MAX_DEPTH: u32 = 200;

/// The main file.
#[derive(Debug, Clone)]
pub struct MainFile<'a> {
    /// Its name as messages say it; headers in quotes are looked for next to it.
    pub name: &'a str,
    /// Its text.
    pub text: &'a [u8],
}

/// Preprocesses a translation unit: everything is expanded, keywords are told from names, adjacent strings are one. The
/// last token is the end. After an error the tokens are of use for finding more errors only.
pub fn preprocess(
    main: &MainFile<'_>,
    options: &Options,
    files: &dyn FileSource,
    sources: &mut Sources,
    diags: &mut Diags,
) -> Vec<Token> {
    let mut pp = Preprocessor::new(options, files, sources, diags);
    pp.helpers_by_use = true;
    pp.start(main);
    let mut raw = pp.run();
    pp.declare_helpers(&mut raw);
    output::tokens(&raw, &pp.pragmas, pp.sources, pp.diags)
}

/// The text after preprocessing, as `skep build -E` prints it: line by line as far as the source has lines.
pub fn preprocess_to_text(
    main: &MainFile<'_>,
    options: &Options,
    files: &dyn FileSource,
    sources: &mut Sources,
    diags: &mut Diags,
) -> String {
    let mut pp = Preprocessor::new(options, files, sources, diags);
    pp.start(main);
    let raw = pp.run();
    output::text(&raw, &pp.pragmas, pp.sources)
}

/// A file that is being read.
#[derive(Debug)]
struct FileFrame {
    file: FileId,
    tokens: Rc<[RawToken]>,
    at: usize,
    conditions: Vec<Condition>,
    /// Index of the directory it was found in, for `#include_next`.
    found_in: Option<usize>,
    /// The directory part of its path, with the slash.
    dir: String,
}

/// Tokens that are read before anything else: an expansion, or the argument of a macro.
#[derive(Debug)]
struct MacroFrame {
    tokens: Vec<RawToken>,
    at: usize,
    /// The macro that is not expanded again until this is read.
    name: Option<Sym>,
}

struct Preprocessor<'a> {
    options: &'a Options,
    reader: &'a dyn FileSource,
    sources: &'a mut Sources,
    diags: &'a mut Diags,
    macros: QuickMap<Sym, Rc<Macro>>,
    /// Macros that are being expanded, with how often.
    active: QuickMap<Sym, u32>,
    saved: HashMap<Sym, Vec<Option<Rc<Macro>>>>,
    poisoned: HashSet<Sym>,
    once: HashSet<FileId>,
    /// Files that were read, with their tokens.
    cache: HashMap<String, (FileId, Rc<[RawToken]>)>,
    files: Vec<FileFrame>,
    frames: Vec<MacroFrame>,
    /// True while only `frames` are read: an argument, or the line of a directive.
    isolated: bool,
    /// True in the line of `#if`: `defined` and its like are operators.
    in_condition: bool,
    depth: u32,
    expanded: usize,
    included: usize,
    /// True if only those helpers are declared that the program names.
    helpers_by_use: bool,
    counter: u64,
    pragmas: Vec<Pragma>,
    /// True once reading on has no point.
    stopped: bool,
    words: builtin::Words,
}

impl<'a> Preprocessor<'a> {
    fn new(options: &'a Options, reader: &'a dyn FileSource, sources: &'a mut Sources, diags: &'a mut Diags) -> Self {
        let words = builtin::Words::new(sources);
        Self {
            options,
            reader,
            sources,
            diags,
            macros: QuickMap::default(),
            active: QuickMap::default(),
            saved: HashMap::new(),
            poisoned: HashSet::new(),
            once: HashSet::new(),
            cache: HashMap::new(),
            files: Vec::new(),
            frames: Vec::new(),
            isolated: false,
            in_condition: false,
            depth: 0,
            expanded: 0,
            included: 0,
            helpers_by_use: false,
            counter: 0,
            pragmas: Vec::new(),
            stopped: false,
            words,
        }
    }

    /// Puts the files onto the stack that are read before the main file, and the main file below them.
    fn start(&mut self, main: &MainFile<'_>) {
        let Some(file) = self.sources.add(main.name, main.text, false, Loc::default()) else {
            self.diags.error(Loc::default(), format!("'{}' is too large", main.name));
            return;
        };
        let tokens = self.lex(file);
        self.push_file(file, tokens, None, main.name);
        for path in self.options.includes.iter().rev() {
            self.include_option(path);
        }
        let mut text = format!("#define __BPF_CPU_VERSION__ {}\n", self.options.cpu());
        if self.options.cpu() >= 3 {
            text.push_str("#define __BPF_FEATURE_JMP32 1\n#define __BPF_FEATURE_ALU32 1\n");
        }
        if self.options.cpu() >= 2 {
            text.push_str("#define __BPF_FEATURE_JMP_EXT 1\n");
        }
        if self.options.cpu() >= 4 {
            text.push_str(builtin::CPU4);
        }
        for option in &self.options.macros {
            match option {
                MacroOption::Define(name, value) => {
                    let value = value.as_deref().unwrap_or("1");
                    let line = format!("#define {name} {value}");
                    text.push_str(line.lines().next().unwrap_or(""));
                }
                MacroOption::Undefine(name) => text.push_str(&format!("#undef {name}")),
            }
            text.push('\n');
        }
        if self.options.bcc {
            text.push_str("#include <bcc/helpers.h>\n");
            text.push_str(&self.options.prelude);
        }
        self.push_text("<command line>", &text);
        self.push_text("<built-in>", builtin::PREDEFINED);
    }

    /// Puts a text of our own onto the stack.
    fn push_text(&mut self, name: &str, text: &str) {
        if let Some(file) = self.sources.add(name, text.as_bytes(), true, Loc::default()) {
            let tokens = self.lex(file);
            self.push_file(file, tokens, None, "");
        }
    }

    fn push_file(&mut self, file: FileId, tokens: Rc<[RawToken]>, found_in: Option<usize>, path: &str) {
        let dir = path.rfind('/').map_or("", |slash| &path[..=slash]).to_owned();
        self.files.push(FileFrame { file, tokens, at: 0, conditions: Vec::new(), found_in, dir });
    }

    fn lex(&mut self, file: FileId) -> Rc<[RawToken]> {
        let (tokens, unterminated) = lexer::lex(self.sources, file);
        if let Some(at) = unterminated {
            self.diags.error(at.0, "this comment does not end: '*/' is missing");
        }
        tokens.into()
    }

    /// Puts the declarations of the helpers that are named anywhere where the header of helpers was included.
    fn declare_helpers(&mut self, tokens: &mut Vec<RawToken>) {
        let here = |token: &RawToken| match token.kind {
            RawKind::Pragma(number) => self.pragmas.get(number as usize) == Some(&Pragma::Helpers),
            _ => false,
        };
        let Some(at) = tokens.iter().position(here) else { return };
        let used: HashSet<Sym> = tokens.iter().filter_map(|token| token.name()).collect();
        let text = headers::helpers_named(|name| self.sources.known(name).is_some_and(|sym| used.contains(&sym)));
        let Some(file) = self.sources.add("<bpf/bpf_helper_defs.h>", text.as_bytes(), true, tokens[at].loc) else {
            return;
        };
        let declarations = self.lex(file);
        let count = declarations.len().saturating_sub(1);
        tokens.splice(at..=at, declarations[..count].iter().copied());
    }

    /// Reads everything to the end.
    fn run(&mut self) -> Vec<RawToken> {
        let mut out = Vec::new();
        loop {
            let token = self.next_expanded();
            if out.len() >= MAX_TOKENS {
                self.diags.error(token.loc, format!("more than {MAX_TOKENS} tokens are left after preprocessing"));
                self.stopped = true;
            }
            let end = token.is_eof() || self.stopped || self.diags.is_full();
            if end {
                out.push(RawToken { kind: RawKind::Eof, ..token });
                return out;
            }
            out.push(token);
        }
    }
}
