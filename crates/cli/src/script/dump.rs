//! What the compiler makes on its way, as text.

use std::fmt::Write as _;

use skep_object::{ObjectNames, listing};

use super::Built;
use crate::args::StageArg;
use crate::dis;
use crate::failure::Failure;
use crate::text::print;

/// Prints the stages in the order in which they were asked for.
pub fn run(built: &Built, stages: &[StageArg]) -> Result<(), Failure> {
    let mut text = String::new();
    for stage in stages {
        let _ = match stage {
            StageArg::Ast => writeln!(text, "{:#?}", built.desugared.script),
            StageArg::Ir => writeln!(text, "{}", built.lowered.as_deref().unwrap_or_default()),
            StageArg::Opt => writeln!(text, "{}", built.compiled.module),
            StageArg::Plan => writeln!(text, "{:#?}", built.compiled.plan),
            StageArg::Bytecode => {
                for program in &built.object.programs {
                    let names = ObjectNames { object: &built.object, program };
                    let code = dis::text(&listing(program, &names), false);
                    let _ = writeln!(text, "{} ({}):\n{code}", program.name, program.section);
                }
                Ok(())
            }
            StageArg::Time => {
                for (name, time) in &built.times {
                    let _ = writeln!(text, "{name:10}{:10.3} ms", time.as_secs_f64() * 1e3);
                }
                Ok(())
            }
        };
    }
    print(&text)
}
