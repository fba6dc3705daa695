//! What a classic program does, in plain language: a remark for every instruction, the headers that the program
//! relies on, and a drawing of its decisions.
//!
//! Remarks come from following the program: a test of the EtherType tells which header begins at byte 14, that one
//! tells what byte 23 is, and so on (`flow.rs`); the headers are a table (`layers.rs`). Nothing here runs a program.

mod expr;
mod flow;
#[doc(hidden)]
pub mod fuzz;
mod graph;
mod layers;
#[cfg(test)]
mod tests;
mod wording;

use std::fmt;

use skep_isa::classic::{Insn, Op, PadStyle, check_structure, line};
use skep_proto::LinkType;

use graph::Graph;
use layers::Layer;

/// One instruction and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line of the listing as `tcpdump -d` prints it, without newline; the targets of a jump are separated by a
    /// tabulator.
    pub listing: String,
    /// What the instruction does, as part of a sentence.
    pub remark: String,
}

/// A program explained. Printing it gives the listing with remarks, then the headers that the program relies on.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// One line for each instruction.
    pub lines: Vec<Line>,
    /// The headers that the program relies on, where they begin and why: one sentence each, in the order in which the
    /// program meets them.
    pub layers: Vec<String>,
    graph: Graph,
}

/// Explains a program that is to run on packets of the given link type.
///
/// Programs that are not valid are explained as far as they go; the instruction that breaks a rule says so.
///
/// ```
/// use skep_isa::classic::{Insn, JmpOp, Size};
/// use skep_lang_filter::explain::explain;
/// use skep_proto::LinkType;
///
/// let program = [
///     Insn::ld_abs(Size::Half, 12),
///     Insn::jump_k(JmpOp::Eq, 0x800, 0, 1),
///     Insn::ret_k(262_144),
///     Insn::ret_k(0),
/// ];
/// let explanation = explain(&program, LinkType::EN10MB);
/// assert_eq!(explanation.lines[0].remark, "load the EtherType (bytes 12-13)");
/// assert_eq!(explanation.lines[1].remark, "EtherType is IPv4 (0x800)? yes: accept, no: reject");
/// ```
pub fn explain(program: &[Insn], link: LinkType) -> Explanation {
    // What does not decode ends the program; the remark is replaced below.
    let ops: Vec<Op> = program.iter().map(|insn| insn.decode().unwrap_or(Op::RetK(0))).collect();
    let (states, assumptions) = flow::trace(&ops, Layer::of_link(link));
    let mut lines = Vec::with_capacity(program.len());
    let mut questions = Vec::with_capacity(program.len());
    for (at, ((insn, &op), states)) in program.iter().zip(&ops).zip(&states).enumerate() {
        let mut remark = wording::remark(op, at, states);
        questions.push(wording::question(op, states));
        if let (Op::JumpK { jt, jf, .. } | Op::JumpX { jt, jf, .. }, false) = (op, states.is_empty()) {
            remark.push_str(&outcomes(program, at, jt, jf));
        }
        if insn.decode().is_none() {
            remark = "not an instruction".to_owned();
        }
        lines.push(Line { listing: line(insn, at, PadStyle::V1_11), remark });
    }
    if let Err(skep_isa::classic::CheckError::Insn { at, rule, .. }) = check_structure(program)
        && let Some(line) = lines.get_mut(at)
    {
        line.remark = format!("not valid: {rule}");
    }
    let layers = assumptions.iter().map(|one| wording::assumption(one, &assumptions)).collect();
    Explanation { lines, layers, graph: Graph::new(program, questions) }
}

/// What the two outcomes of a conditional jump lead to, where that ends the program.
fn outcomes(program: &[Insn], at: usize, jt: u8, jf: u8) -> String {
    match (wording::outcome(program, at, jt), wording::outcome(program, at, jf)) {
        (Some(yes), Some(no)) => format!(" yes: {yes}, no: {no}"),
        (Some(yes), None) => format!(" yes: {yes}"),
        (None, Some(no)) => format!(" no: {no}"),
        (None, None) => String::new(),
    }
}

impl Explanation {
    /// The decisions of the program as a graph in the language of Graphviz: `dot -Tsvg` draws it.
    pub fn dot(&self) -> String {
        self.graph.dot()
    }

    /// The decisions of the program as indented text. Each question stands once; what leads to it elsewhere names its
    /// number.
    pub fn text_graph(&self) -> String {
        self.graph.text()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listings: Vec<String> = self.lines.iter().map(|line| line.listing.replace('\t', "  ")).collect();
        let width = listings.iter().map(String::len).max().unwrap_or(0);
        for (listing, line) in listings.iter().zip(&self.lines) {
            writeln!(f, "{listing:width$}  ; {}", line.remark)?;
        }
        if !self.layers.is_empty() {
            writeln!(f, "\nHeaders assumed:")?;
        }
        for layer in &self.layers {
            writeln!(f, "  {layer}")?;
        }
        Ok(())
    }
}
