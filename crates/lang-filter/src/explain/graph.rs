//! The decisions of a program as a graph: questions, their outcomes, and the verdicts at the ends.

use std::fmt::Write;

use skep_isa::classic::{Insn, Op};

/// Deepest indentation of the text form; what lies deeper is printed at this depth.
const MAX_DEPTH: usize = 16;

/// What a path through straight code ends in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    /// A conditional jump, and the ends of the straight code behind its two outcomes.
    Question { text: String, yes: usize, no: usize },
    /// The end of the program.
    Verdict(String),
}

/// The decision graph: one node for each conditional jump and each return.
#[derive(Debug, Clone)]
pub(super) struct Graph {
    /// The node at each instruction; `None` for straight code.
    nodes: Vec<Option<Node>>,
    start: usize,
}

impl Graph {
    /// The graph of a program; `questions` has the text for each conditional jump.
    pub(super) fn new(program: &[Insn], questions: Vec<Option<String>>) -> Self {
        // A node behind the program stands for jumps that leave it.
        let outside = program.len();
        let mut ends = vec![outside; program.len() + 1];
        let mut nodes = vec![None; program.len() + 1];
        nodes[outside] = Some(Node::Verdict("leaves the program".to_owned()));
        let mut questions = questions;
        for at in (0..program.len()).rev() {
            let end = |distance: u32| ends.get((at + 1).saturating_add(distance as usize)).copied().unwrap_or(outside);
            let node = match program[at].decode() {
                Some(Op::JumpK { jt, jf, .. } | Op::JumpX { jt, jf, .. }) => {
                    let text = questions.get_mut(at).and_then(Option::take).unwrap_or_default();
                    Some(Node::Question { text, yes: end(jt.into()), no: end(jf.into()) })
                }
                Some(Op::RetK(0)) => Some(Node::Verdict("reject".to_owned())),
                Some(Op::RetK(k)) => Some(Node::Verdict(format!("accept {k} bytes"))),
                Some(Op::RetA) => Some(Node::Verdict("accept A bytes".to_owned())),
                None => Some(Node::Verdict("not an instruction".to_owned())),
                Some(_) => None,
            };
            ends[at] = match (&node, program[at].decode()) {
                (Some(_), _) => at,
                (None, Some(Op::Ja(k))) => end(k),
                (None, _) => end(0),
            };
            nodes[at] = node;
        }
        Self { nodes, start: ends[0] }
    }

    fn node(&self, at: usize) -> Option<&Node> {
        self.nodes.get(at).and_then(Option::as_ref)
    }

    /// The nodes that can be reached, in the order of the program.
    fn reachable(&self) -> Vec<usize> {
        let mut seen = vec![false; self.nodes.len()];
        let mut todo = vec![self.start];
        while let Some(at) = todo.pop() {
            if !std::mem::replace(&mut seen[at], true)
                && let Some(Node::Question { yes, no, .. }) = self.node(at)
            {
                todo.extend([*yes, *no]);
            }
        }
        (0..seen.len()).filter(|&at| seen[at]).collect()
    }

    /// The graph in the language of Graphviz.
    pub(super) fn dot(&self) -> String {
        let mut out = String::from("digraph filter {\n    node [shape=box, fontname=\"sans-serif\"];\n");
        for at in self.reachable() {
            match self.node(at) {
                Some(Node::Question { text, yes, no }) => {
                    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
                    let _ = writeln!(out, "    n{at} [label=\"({at:03}) {text}\"];");
                    if yes == no {
                        let _ = writeln!(out, "    n{at} -> n{yes} [label=\"either\"];");
                    } else {
                        let _ = writeln!(out, "    n{at} -> n{yes} [label=\"yes\"];");
                        let _ = writeln!(out, "    n{at} -> n{no} [label=\"no\", style=dashed];");
                    }
                }
                Some(Node::Verdict(text)) => {
                    let colour = if text.starts_with("accept") { "palegreen" } else { "mistyrose" };
                    let _ =
                        writeln!(out, "    n{at} [label=\"{text}\", shape=oval, style=filled, fillcolor={colour}];");
                }
                None => {}
            }
        }
        out.push_str("}\n");
        out
    }

    /// The graph as indented text.
    ///
    /// Where one outcome is settled - a verdict, or a question that has its place elsewhere - it stands in the line of the question,
    /// and the other outcome follows in the next line. Otherwise the questions after "yes" are indented.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        // What waits for its turn further out counts as printed: deeper lines only name it.
        let mut printed = vec![false; self.nodes.len()];
        let mut todo = vec![(self.start, 0)];
        while let Some((mut at, depth)) = todo.pop() {
            let mut depth: usize = depth;
            printed[at] = false;
            while let Some(node) = self.node(at)
                && !std::mem::replace(&mut printed[at], true)
            {
                let indent = "|  ".repeat(depth.min(MAX_DEPTH));
                let (text, yes, no) = match node {
                    Node::Verdict(text) => {
                        let _ = writeln!(out, "{indent}{text}");
                        break;
                    }
                    Node::Question { text, yes, no } => (text, *yes, *no),
                };
                let _ = write!(out, "{indent}({at:03}) {text}");
                let (settled_yes, settled_no) = (self.settled(yes, &printed), self.settled(no, &printed));
                if yes == no {
                    let _ = writeln!(out, "  then: {}", self.label(yes));
                    at = yes;
                    continue;
                }
                if settled_yes || !settled_no {
                    let _ = write!(out, "  yes: {}", self.label(yes));
                }
                if settled_no || !settled_yes {
                    let _ = write!(out, "  no: {}", self.label(no));
                }
                out.push('\n');
                at = match (settled_yes, settled_no) {
                    (true, true) => break,
                    (true, false) => no,
                    (false, true) => yes,
                    (false, false) => {
                        todo.push((no, depth));
                        printed[no] = true;
                        depth += 1;
                        yes
                    }
                };
            }
        }
        out
    }

    /// Whether nothing more has to be printed below a reference to the node.
    fn settled(&self, at: usize, printed: &[bool]) -> bool {
        printed.get(at).copied().unwrap_or(true) || matches!(self.node(at), Some(Node::Verdict(_)) | None)
    }

    fn label(&self, at: usize) -> String {
        match self.node(at) {
            Some(Node::Verdict(text)) => text.split(' ').next().unwrap_or_default().to_owned(),
            _ => format!("({at:03})"),
        }
    }
}
