//! Warnings about expressions that are valid but often do not mean what their authors think.

use super::MAX_WARNINGS;
use crate::ast::{Accessor, Arith, Ast, NodeKind, Primitive, Proto};
use crate::suggest::shorten;
use skep_diag::{Diagnostic, Span};

/// `a or b and c`: read as `(a or b) and c`, where most languages read `a or (b and c)`.
///
/// `a and b or c` is not warned of, because both readings agree.
pub(super) fn mixed(source: &str, left: Span, and: Span) -> Diagnostic {
    let left_text = shorten(source.get(left.range()).unwrap_or(""));
    Diagnostic::warning(and, "`and` after `or` without parentheses: both bind equally, from left to right")
        .with_label("applies to everything before it")
        .with_help(format!("this is read as `({left_text}) and ...`; write parentheses to say which is meant"))
}

/// `vlan` and its like shift what is written after them, even on the other side of an `or`.
pub(super) fn offset_shifts(ast: &Ast, source: &str, warnings: &mut Vec<Diagnostic>) {
    let shifts = |node: &crate::ast::Node| matches!(&node.kind, NodeKind::Primitive(primitive) if is_shift(primitive));
    if !ast.nodes.iter().any(shifts) {
        return;
    }
    let mut facts: Vec<Facts> = Vec::with_capacity(ast.nodes.len());
    for node in &ast.nodes {
        let get = |id: crate::ast::NodeId| usize::try_from(id.0).ok().and_then(|at| facts.get(at)).copied();
        let fact = match &node.kind {
            NodeKind::Not(a) => get(*a).unwrap_or_default(),
            NodeKind::And(a, b) => get(*a).unwrap_or_default().join(get(*b).unwrap_or_default()),
            NodeKind::Or(a, b) => {
                let (left, right) = (get(*a).unwrap_or_default(), get(*b).unwrap_or_default());
                if let (Some(shift), Some(shifted)) = (left.shift.filter(|_| !left.warned), right.shifted) {
                    if warnings.len() < 2 * MAX_WARNINGS {
                        warnings.push(shift_warning(source, shift, shifted));
                    }
                    Facts { warned: true, ..left.join(right) }
                } else {
                    left.join(right)
                }
            }
            NodeKind::Primitive(primitive) => Facts {
                shift: is_shift(primitive).then_some(node.span),
                shifted: reads_shifted(primitive).then_some(node.span),
                warned: false,
            },
        };
        facts.push(fact);
    }
}

/// What a subtree contains.
#[derive(Clone, Copy, Default)]
struct Facts {
    /// A primitive that shifts what follows.
    shift: Option<Span>,
    /// A primitive that would be shifted.
    shifted: Option<Span>,
    /// The shift was warned of already.
    warned: bool,
}

impl Facts {
    fn join(self, other: Self) -> Self {
        Self {
            shift: self.shift.or(other.shift),
            shifted: self.shifted.or(other.shifted),
            warned: self.warned || other.warned,
        }
    }
}

fn shift_warning(source: &str, shift: Span, shifted: Span) -> Diagnostic {
    let text = |span: Span| shorten(source.get(span.range()).unwrap_or(""));
    let (shift_text, shifted_text) = (text(shift), text(shifted));
    Diagnostic::warning(
        shifted,
        format!("`{shifted_text}` is looked for behind the header of `{shift_text}`, although `or` stands between"),
    )
    .with_label("offsets are shifted here")
    .with_help(format!("`{shift_text}` shifts the offsets of everything written after it"))
    .with_help(format!("write `{shifted_text}` first: `{shifted_text} or ({shift_text} and ...)`"))
}

/// Whether a primitive changes the offsets of those after it.
fn is_shift(primitive: &Primitive) -> bool {
    matches!(
        primitive,
        Primitive::Vlan(_) | Primitive::Mpls(_) | Primitive::Pppoes(_) | Primitive::Geneve(_) | Primitive::Vxlan(_)
    )
}

/// Whether a primitive reads bytes whose offset can be shifted.
fn reads_shifted(primitive: &Primitive) -> bool {
    match primitive {
        Primitive::Less(_)
        | Primitive::Greater(_)
        | Primitive::Inbound
        | Primitive::Outbound
        | Primitive::IfIndex(_)
        | Primitive::Byte { .. } => false,
        Primitive::Relation(_, a, b) => arith_reads(a) || arith_reads(b),
        _ => true,
    }
}

/// The depth of arithmetic is bounded, so that recursion is harmless.
fn arith_reads(arith: &Arith) -> bool {
    match arith {
        Arith::Number(_) | Arith::Len | Arith::Meta(..) => false,
        Arith::Neg(a) => arith_reads(a),
        Arith::Binary(_, a, b, _) => arith_reads(a) || arith_reads(b),
        Arith::Load { proto, offset, .. } => {
            !matches!(proto, Accessor::Proto(Proto::Link | Proto::Radio)) || arith_reads(offset)
        }
    }
}
