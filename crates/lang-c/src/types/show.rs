//! Types as C writes them, for messages.

use super::{Kind, QTy, Quals, Types};

impl Types {
    /// A type as a message shows it: `const struct task_struct *`.
    pub fn show(&self, ty: QTy) -> String {
        self.declare(ty, String::new(), 32)
    }

    fn declare(&self, ty: QTy, inner: String, depth: u32) -> String {
        if depth == 0 {
            return "...".to_owned();
        }
        let quals = words(ty.quals);
        let join = |name: &str| {
            let space = if inner.is_empty() || inner.starts_with('[') { "" } else { " " };
            format!("{quals}{name}{space}{inner}")
        };
        match self.raw(ty.ty) {
            Kind::Void => join("void"),
            Kind::Int(int) => join(int.name()),
            Kind::Float(4) => join("float"),
            Kind::Float(_) => join("double"),
            Kind::Typedef(name, ..) => join(name),
            Kind::Tagged(_, of) => self.declare(QTy { ty: of.ty, quals: of.quals.with(ty.quals) }, inner, depth - 1),
            Kind::Record(id) => {
                let record = self.record(*id);
                let word = if record.union { "union" } else { "struct" };
                let tag = if record.tag.is_empty() { "(unnamed)" } else { &*record.tag };
                join(&format!("{word} {tag}"))
            }
            Kind::Enum(id) => {
                let tag = &self.enumeration(*id).tag;
                join(&format!("enum {}", if tag.is_empty() { "(unnamed)" } else { tag }))
            }
            Kind::Ptr(to) => {
                let trailing = quals.trim_end();
                let mut text =
                    format!("*{trailing}{}{inner}", if trailing.is_empty() || inner.is_empty() { "" } else { " " });
                if matches!(self.raw(to.ty), Kind::Array(..) | Kind::Func(_)) {
                    text = format!("({text})");
                }
                self.declare(*to, text, depth - 1)
            }
            Kind::Array(of, len) => {
                let len = len.map_or(String::new(), |len| len.to_string());
                let of = QTy { ty: of.ty, quals: of.quals.with(ty.quals) };
                self.declare(of, format!("{inner}[{len}]"), depth - 1)
            }
            Kind::Func(func) => {
                let mut params: Vec<String> =
                    func.params.iter().map(|&param| self.declare(param, String::new(), depth - 1)).collect();
                if func.variadic {
                    params.push("...".to_owned());
                }
                if params.is_empty() {
                    params.push("void".to_owned());
                }
                self.declare(func.ret, format!("{inner}({})", params.join(", ")), depth - 1)
            }
        }
    }
}

fn words(quals: Quals) -> String {
    let mut text = String::new();
    for (bit, word) in [
        (Quals::CONST, "const "),
        (Quals::VOLATILE, "volatile "),
        (Quals::RESTRICT, "restrict "),
        (Quals::ARENA, "__arena "),
    ] {
        if quals.has(bit) {
            text.push_str(word);
        }
    }
    text
}
