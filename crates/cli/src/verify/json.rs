//! Verdicts as JSON, a line for each program and kernel.

use skep_isa::ebpf::InsnIdx;
use skep_object::Program;
use skep_verifier::{Kernel, Verdict, facts, needs};

use super::{Context, Judged};
use crate::vm::json::{Json, list, quoted};

/// The lines of one program.
pub(super) fn lines(text: &mut String, context: &Context<'_>, one: &Judged<'_>, kernels: &[Kernel]) {
    let object = context.object;
    let needs = needs::needs(object, one.program).into_iter().map(|need| {
        let json = Json::object().text("what", &need.what).text("since", &need.since.to_string());
        if let Some(at) = need.at { json.raw("instruction", at).end() } else { json.end() }
    });
    let needs = list(needs);
    for (kernel, (verdict, noted)) in kernels.iter().zip(&one.verdicts) {
        let mut json = Json::object()
            .text("program", &one.program.name)
            .text("type", one.program.prog_type.name())
            .text("kernel", kernel.name())
            .text("verdict", super::word(verdict));
        match verdict {
            Verdict::Accepted(found) => {
                let uses = facts::uses(object, one.program, noted);
                json = json
                    .raw("helpers", list(uses.helpers.iter().map(|name| quoted(name))))
                    .raw("kernel_functions", uses.kernel_functions)
                    .raw("maps", list(uses.maps.iter().map(|name| quoted(name))))
                    .raw("drops", list(uses.drops.iter().map(|name| quoted(name))))
                    .raw("changes_packets", uses.changes_packet)
                    .raw("writes_user_memory", uses.writes_user)
                    .raw("overrides", uses.overrides)
                    .raw("longest", found.longest.map_or_else(|| "null".to_owned(), |longest| longest.to_string()))
                    .raw("stack", found.stack)
                    .raw("processed", found.processed);
            }
            Verdict::Rejected(rejection) => {
                json = place(json.text("reason", &rejection.reason.to_string()), one.program, rejection.at);
                let step =
                    |(at, taken): &(u32, bool)| place(Json::object(), one.program, *at).raw("jumps", taken).end();
                json = json.raw("path", list(rejection.path.iter().map(step))).text("help", rejection.reason.help());
                let advice = context.advice(one.program, *kernel, rejection);
                let origins = advice.origins.iter();
                let origins = origins
                    .map(|origin| place(Json::object(), one.program, origin.at).text("what", &origin.what).end());
                // Changes that were tried: the program passes with all of them.
                let changes = advice.changes.iter().map(|change| {
                    let json = Json::object().text("what", &change.words).raw("instruction", change.at);
                    let line = change.line.as_ref().map_or(0, |line| line.line);
                    json.raw("line", line).raw("code", list(change.code.iter().map(|insn| quoted(insn)))).end()
                });
                json = json.raw("origins", list(origins)).raw("changes", list(changes));
            }
            Verdict::Undecided { at, what } => json = place(json.text("reason", what), one.program, *at),
        }
        text.push_str(&json.raw("needs", &needs).end());
        text.push('\n');
    }
}

/// An instruction with its source line.
fn place(json: Json, program: &Program, at: u32) -> Json {
    let json = json.raw("instruction", at);
    match program.line_of(InsnIdx::new(at as usize)).filter(|line| line.line > 0) {
        Some(line) => json.text("file", &line.file).raw("line", line.line).text("text", line.text.trim()),
        None => json,
    }
}
