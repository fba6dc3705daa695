//! Options that need more than to be passed on: what they exclude, what is not available, regular expressions.

use regex_lite::Regex;
use skep_lang_script::compile::Switches;
use skep_lang_script::providers::Kind;
use skep_trace::run::Mode;

use crate::args::{FeatureArg, ModeArg, ScriptArgs};
use crate::failure::Failure;

/// What is to be done with the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// It is run.
    Run(Mode),
    /// It is compiled.
    Compile,
    /// It is compiled again and again.
    CompilerBench,
    /// It is printed in the usual form.
    Format,
}

impl Task {
    /// From `--mode` or the options that are the same.
    pub fn of(args: &ScriptArgs) -> Self {
        match args.mode {
            Some(ModeArg::Codegen) => Self::Compile,
            Some(ModeArg::CompilerBench) => Self::CompilerBench,
            Some(ModeArg::Format) => Self::Format,
            None if args.fmt => Self::Format,
            Some(ModeArg::Test) => Self::Run(Mode::Test),
            None if args.test => Self::Run(Mode::Test),
            Some(ModeArg::Bench) => Self::Run(Mode::Bench),
            None if args.bench => Self::Run(Mode::Bench),
            None => Self::Run(Mode::Trace),
        }
    }

    /// Which probes take part.
    pub fn wants(self, kind: Kind) -> bool {
        match (self, kind) {
            (_, Kind::Begin | Kind::End) => true,
            (Self::Run(mode), Kind::Test) => mode == Mode::Test,
            (Self::Run(mode), Kind::Bench) => mode == Mode::Bench,
            (Self::Run(mode), _) => mode == Mode::Trace,
            _ => true,
        }
    }
}

/// Says no to what is not available, and what would help.
pub fn refuse(args: &ScriptArgs) -> Result<(), Failure> {
    let (option, instead) = if args.other.aot.is_some() {
        ("--aot", "compiling takes milliseconds and needs no compiler: keep the script itself")
    } else if args.other.emit_llvm.is_some() {
        ("--emit-llvm", "nothing is compiled by LLVM: `-d ir` and `-d opt` print the intermediate representation")
    } else {
        return Ok(());
    };
    Err(Failure::Usage(format!("{option} is not available; {instead}")))
}

/// The regular expression of `--probe-filter`.
pub fn filter(args: &ScriptArgs) -> Result<Option<Regex>, Failure> {
    let compile =
        |text: &String| Regex::new(text).map_err(|error| Failure::Usage(format!("--probe-filter {text}: {error}")));
    args.probe_filter.as_ref().map(compile).transpose()
}

/// What the compiler is to do otherwise.
pub fn switches(args: &ScriptArgs) -> Switches {
    let without = |feature| args.no_feature.contains(&feature);
    Switches {
        only_process: args.pid,
        report_reads: args.helper_errors > 0,
        kprobe_multi: !without(FeatureArg::KprobeMulti),
        uprobe_multi: !without(FeatureArg::UprobeMulti),
    }
}
