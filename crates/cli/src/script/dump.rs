//! What the compiler makes on its way, as text.

use std::fmt::Write as _;
use std::time::Duration;

use skep_object::{ObjectNames, listing};

use super::build::Built;
use crate::args::StageArg;
use crate::dis;
use crate::failure::Failure;
use crate::text::print;

/// Prints the stages in the order in which they were asked for.
pub fn run(built: &Built, stages: &[StageArg]) -> Result<(), Failure> {
    const ALL: &[StageArg] =
        &[StageArg::Ast, StageArg::Ir, StageArg::Opt, StageArg::Plan, StageArg::Bytecode, StageArg::Time];
    let mut text = String::new();
    let stages = if stages.contains(&StageArg::All) { ALL } else { stages };
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
                text.push_str(&times(&built.times));
                Ok(())
            }
            StageArg::Verifier | StageArg::All => {
                return Err(Failure::Usage(
                    "`-d verifier` loads the programs and stands alone; other stages are printed without that"
                        .to_owned(),
                ));
            }
        };
    }
    print(&text)
}

/// How long stages took, one a line.
pub fn times(times: &[(&str, Duration)]) -> String {
    times.iter().map(|(name, time)| format!("{name:10}{:10.3} ms\n", time.as_secs_f64() * 1e3)).collect()
}
