//! The C part as text.

use super::Printer;
use crate::ast::{Definition, Member, TypeExpr, TypeKind};

impl Printer<'_> {
    pub(super) fn definition(&mut self, definition: &Definition) {
        match definition {
            Definition::Include { name, system: true } => self.line(&format!("#include <{name}>")),
            Definition::Include { name, system: false } => self.line(&format!("#include \"{name}\"")),
            Definition::Constant { name, value } if value.is_empty() => self.line(&format!("#define {}", name.node)),
            Definition::Constant { name, value } => self.line(&format!("#define {} {value}", name.node)),
            Definition::Directive(text) => self.line(&format!("#{text}")),
            Definition::Composite { name, union, packed, align, members } => {
                let keyword = if *union { "union" } else { "struct" };
                self.line(&format!("{keyword} {} {{", name.node));
                self.members(members);
                let attributes = match (packed, align) {
                    (false, None) => String::new(),
                    (true, None) => " __attribute__((packed))".into(),
                    (false, Some(align)) => format!(" __attribute__((aligned({align})))"),
                    (true, Some(align)) => format!(" __attribute__((packed, aligned({align})))"),
                };
                self.line(&format!("}}{attributes};"));
            }
            Definition::Enum { name, values } => {
                self.line(&name.as_ref().map_or("enum {".into(), |name| format!("enum {} {{", name.node)));
                self.indent += 1;
                for (name, value) in values {
                    self.comments_before(name.span.start);
                    let value = value.as_ref().map(|value| format!(" = {}", self.expr(value))).unwrap_or_default();
                    self.line(&format!("{}{value},", name.node));
                    self.comments_behind(name.span.end);
                }
                self.indent -= 1;
                self.line("};");
            }
            Definition::Typedef { name, ty } => {
                let text = format!("typedef {};", self.declaration(ty, &name.node));
                self.line(&text);
            }
        }
    }

    fn members(&mut self, members: &[Member]) {
        self.indent += 1;
        for Member { name, ty, bits, inner } in members {
            self.comments_before(name.as_ref().map_or(ty.span.start, |name| name.span.start));
            let name_text = name.as_ref().map_or("", |name| &name.node);
            let bits = bits.map(|bits| format!(" : {bits}")).unwrap_or_default();
            if let Some((union, members)) = inner {
                self.line(if *union { "union {" } else { "struct {" });
                self.members(members);
                let rest = self.declaration(ty, name_text);
                let rest = rest.trim_start_matches("struct ").trim_start_matches("union ").trim();
                let space = if rest.is_empty() { "" } else { " " };
                self.line(&format!("}}{space}{rest}{bits};"));
            } else {
                let text = format!("{}{bits};", self.declaration(ty, name_text));
                self.line(&text);
            }
            self.comments_behind(name.as_ref().map_or(ty.span.end, |name| name.span.end));
        }
        self.indent -= 1;
    }

    /// A declaration as C writes it: the name stands within the type.
    fn declaration(&self, ty: &TypeExpr, name: &str) -> String {
        let (mut base, mut sizes) = (ty, String::new());
        while let TypeKind::Array(inner, size) = &base.node {
            sizes.push_str(&format!("[{}]", size.as_ref().map(|size| self.expr(size)).unwrap_or_default()));
            base = inner;
        }
        let base = self.type_expr(base);
        let space = if name.is_empty() || base.ends_with('*') { "" } else { " " };
        format!("{base}{space}{name}{sizes}")
    }
}
