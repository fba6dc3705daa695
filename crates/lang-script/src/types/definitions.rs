//! The C part of a script: structures, enumerations, names of types, constants.

use std::collections::HashMap;
use std::sync::Arc;

use skep_diag::{Diagnostic, Span};

use super::{Composite, CompositeId, Member, Space, Tag, Type, TypeSource};
use crate::ast::{self, Definition, ExprKind, TypeExpr, TypeKind};
use crate::plan::Enumeration;

/// All types that a script knows: its own, and behind them those of the kernel.
pub struct Types<'a> {
    source: &'a dyn TypeSource,
    composites: Vec<Arc<Composite>>,
    tags: HashMap<(Tag, Arc<str>), Type>,
    enumerators: HashMap<Arc<str>, (i64, Type)>,
    constants: HashMap<Arc<str>, Constant>,
    /// Whether the names of structures and enumerations are those of programs before they are those of the kernel.
    programs_first: bool,
    /// Whether definitions are being read, in which pointers may lead to what is not known yet.
    defining: bool,
}

/// A constant of the C part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constant {
    /// A number.
    Int(i64),
    /// A text.
    Text(Arc<str>),
}

// TABLE
/// Structures that processes and the kernel exchange, by the names that C libraries and the kernel have for them.
const FOR_PROCESSES: &[(&str, &str)] =
    &[("itimerspec", "__kernel_itimerspec"), ("timespec", "__kernel_timespec"), ("timeval", "__kernel_old_timeval")];

/// What is wrong with a definition.
pub type Problems = Vec<Diagnostic>;

impl<'a> Types<'a> {
    /// The types of a script. Definitions that are wrong are reported and left out.
    pub fn new(source: &'a dyn TypeSource, definitions: &[ast::Spanned<Definition>], problems: &mut Problems) -> Self {
        let mut types = Self {
            source,
            composites: Vec::new(),
            tags: HashMap::new(),
            enumerators: HashMap::new(),
            constants: HashMap::new(),
            programs_first: false,
            defining: true,
        };
        for definition in definitions {
            if let Err(problem) = types.define(&definition.node) {
                problems.push(problem);
            }
        }
        types.defining = false;
        types
    }

    fn define(&mut self, definition: &Definition) -> Result<(), Diagnostic> {
        match definition {
            Definition::Constant { name, value } => {
                if let Some(constant) = self.constant_of(value) {
                    self.constants.insert(name.node.clone(), constant);
                }
            }
            Definition::Composite { name, union, packed, align, members } => {
                // The name is known inside of the definition, behind a pointer.
                let tag = if *union { Tag::Union } else { Tag::Struct };
                let number = self.add(Composite { name: name.node.clone(), ..Composite::default() });
                self.tags.insert((tag, name.node.clone()), Type::Composite(CompositeId::Script(number)));
                let composite = self.lay_out(name.node.clone(), *union, (*packed, align.unwrap_or(1)), members, 0)?;
                self.composites[number as usize] = Arc::new(composite);
            }
            Definition::Enum { name, values } => self.define_enum(name.as_ref(), values)?,
            Definition::Typedef { name, ty } => {
                let ty = self.resolve(ty)?;
                self.tags.insert((Tag::Plain, name.node.clone()), ty);
            }
            _ => {}
        }
        Ok(())
    }

    fn define_enum(
        &mut self,
        name: Option<&ast::Name>,
        values: &[(ast::Name, Option<ast::Expr>)],
    ) -> Result<(), Diagnostic> {
        let mut next = 0i64;
        let mut listed = Vec::new();
        for (name, value) in values {
            if let Some(value) = value {
                next = self.number(value).ok_or_else(|| {
                    Diagnostic::error(value.span, "the value of an enumerator must be a constant number")
                })?;
            }
            listed.push((next, name.node.clone()));
            next = next.wrapping_add(1);
        }
        let text: Arc<str> = name.map_or_else(|| "".into(), |name| name.node.clone());
        let signed = listed.iter().any(|value| value.0 < 0);
        let names = Arc::new(Enumeration { name: text.clone(), values: listed });
        let ty = Type::Enum { bytes: 4, signed, names: names.clone() };
        for (value, name) in &names.values {
            self.enumerators.insert(name.clone(), (*value, ty.clone()));
        }
        if !text.is_empty() {
            self.tags.insert((Tag::Enum, text), ty);
        }
        Ok(())
    }

    /// Adds a composite: a record of a tracepoint, arguments of a probe.
    pub fn add(&mut self, composite: Composite) -> u32 {
        self.composites.push(Arc::new(composite));
        u32::try_from(self.composites.len() - 1).unwrap_or(u32::MAX)
    }

    /// Lays out members; `least` is what addresses of the whole are a multiple of at least.
    fn lay_out(
        &mut self,
        name: Arc<str>,
        union: bool,
        (packed, least): (bool, u32),
        members: &[ast::Member],
        depth: u32,
    ) -> Result<Composite, Diagnostic> {
        let mut composite = Composite { name, size: 0, align: least.max(1), members: Vec::new() };
        // Bits are laid out as C compilers for Linux do: a field stays in one unit of its own type.
        let (mut bit, mut end) = (0u64, 0u64);
        for member in members {
            let ty = self.member_type(member, union, depth)?;
            let (size, align) = self.size_and_align(&ty);
            let align = if packed { 1 } else { u64::from(align.max(1)) };
            composite.align = composite.align.max(align as u32);
            if union {
                bit = 0;
            }
            let name: Arc<str> = member.name.as_ref().map_or_else(|| "".into(), |name| name.node.clone());
            let width = u64::from(size) * 8;
            let (start, bits) = match member.bits {
                Some(bits) if u64::from(bits) <= width && bits > 0 => {
                    if bit / width != (bit + u64::from(bits) - 1) / width {
                        bit = bit.next_multiple_of(width);
                    }
                    let unit = bit / width * width;
                    let place = ((bit - unit) as u8, bits as u8);
                    bit += u64::from(bits);
                    (unit, Some(place))
                }
                _ => {
                    let start = bit.next_multiple_of(align * 8);
                    bit = start.saturating_add(width);
                    (start, None)
                }
            };
            end = end.max(bit);
            let offset = u32::try_from(start / 8).unwrap_or(u32::MAX);
            composite.members.push(Member { name, ty, offset, bits, indirect: false });
        }
        let bytes = end.div_ceil(8).next_multiple_of(composite.align.into());
        composite.size = u32::try_from(bytes).unwrap_or(u32::MAX);
        Ok(composite)
    }

    fn member_type(&mut self, member: &ast::Member, _union: bool, depth: u32) -> Result<Type, Diagnostic> {
        const DEEPEST: u32 = 32;
        match &member.inner {
            Some((union, inner)) => {
                if depth == DEEPEST {
                    return Err(Diagnostic::error(member.ty.span, "structures are nested too deeply"));
                }
                let inner = self.lay_out("".into(), *union, (false, 1), inner, depth + 1)?;
                Ok(Type::Composite(CompositeId::Script(self.add(inner))))
            }
            None => self.resolve(&member.ty),
        }
    }

    /// The type that was written.
    ///
    /// # Errors
    /// If a name is not known, with what may have been meant.
    pub fn resolve(&self, ty: &TypeExpr) -> Result<Type, Diagnostic> {
        match &ty.node {
            TypeKind::Named(name) if &**name == "string" => Ok(Type::Text(64)),
            // The names of numbers are not looked for in traced programs: that would read all of their debug information.
            TypeKind::Named(name) => self
                .own(Tag::Plain, name)
                .or_else(|| super::named(name))
                .or_else(|| self.find(Tag::Plain, name))
                .or_else(|| self.find(Tag::Struct, name))
                .or_else(|| self.find(Tag::Enum, name))
                .ok_or_else(|| unknown(ty.span, "type", name)),
            TypeKind::Struct(name) => self.find(Tag::Struct, name).ok_or_else(|| unknown(ty.span, "struct", name)),
            TypeKind::Union(name) => self.find(Tag::Union, name).ok_or_else(|| unknown(ty.span, "union", name)),
            TypeKind::Enum(name) => self.find(Tag::Enum, name).ok_or_else(|| unknown(ty.span, "enum", name)),
            TypeKind::Pointer(to) => {
                // In a definition a pointer may lead to a type that is only declared.
                let to = match self.resolve(to) {
                    Err(_) if self.defining => Type::Void,
                    other => other?,
                };
                Ok(to.pointer(Space::Unknown))
            }
            TypeKind::Array(element, count) => self.resolve_array(ty.span, element, count.as_deref()),
            TypeKind::Tuple(parts) => {
                let parts = parts.iter().map(|part| self.resolve(part)).collect::<Result<Vec<Type>, _>>()?;
                Ok(Type::Tuple(parts))
            }
            TypeKind::Typeof(_) => {
                Err(Diagnostic::error(ty.span, "`typeof` of an expression has no meaning in a definition"))
            }
        }
    }

    fn resolve_array(&self, span: Span, element: &TypeExpr, count: Option<&ast::Expr>) -> Result<Type, Diagnostic> {
        let count = match count {
            Some(count) => {
                let number = self.number(count).and_then(|number| u32::try_from(number).ok());
                Some(number.ok_or_else(|| {
                    Diagnostic::error(count.span, "the length of an array must be a constant number below 2^32")
                })?)
            }
            None => None,
        };
        if let TypeKind::Named(name) = &element.node {
            match (&**name, count) {
                ("string", count) => return Ok(Type::Text(count.unwrap_or(64))),
                ("buffer", Some(count)) => return Ok(Type::Host(crate::plan::Shape::Buffer(count))),
                ("inet", _) => return Ok(Type::Host(crate::plan::Shape::Inet)),
                ("char", Some(count)) => return Ok(Type::Text(count)),
                _ => {}
            }
        }
        let element = self.resolve(element)?;
        let count = count.unwrap_or(0);
        let (size, _) = self.size_and_align(&element);
        if size.checked_mul(count).is_none() {
            return Err(Diagnostic::error(span, "the array has more than 2^32 bytes"));
        }
        Ok(Type::Array(Arc::new(element), count))
    }

    /// The value of an expression that is a number without running anything.
    pub fn number(&self, expr: &ast::Expr) -> Option<i64> {
        match &expr.node {
            ExprKind::Int { value, .. } => Some(value.cast_signed()),
            ExprKind::Bool(value) => Some((*value).into()),
            ExprKind::Ident(name) => match self.constant(name) {
                Some(Constant::Int(value)) => Some(value),
                Some(Constant::Text(_)) => None,
                None => self.enumerator(name).map(|known| known.0),
            },
            ExprKind::Unary { op: ast::UnaryOp::Neg, operand } => Some(self.number(operand)?.wrapping_neg()),
            ExprKind::Unary { op: ast::UnaryOp::BitNot, operand } => Some(!self.number(operand)?),
            ExprKind::Comptime(inner) => self.number(inner),
            ExprKind::Binary { op, left, right } => fold(*op, self.number(left)?, self.number(right)?),
            _ => None,
        }
    }

    /// The value of the text behind a `#define`.
    fn constant_of(&self, text: &str) -> Option<Constant> {
        let text = text.trim();
        let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
        if let Some(inner) = inner {
            return self.constant_of(inner);
        }
        if let Some(quoted) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            return (!quoted.contains(['"', '\\'])).then(|| Constant::Text(quoted.into()));
        }
        if let Some((left, right)) = text.split_once("<<") {
            let (Constant::Int(left), Constant::Int(right)) = (self.constant_of(left)?, self.constant_of(right)?)
            else {
                return None;
            };
            return Some(Constant::Int(left.wrapping_shl(u32::try_from(right).ok()?)));
        }
        if let Some(known) = self.constants.get(text) {
            return Some(known.clone());
        }
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let digits = digits.trim_end_matches(['u', 'U', 'l', 'L']);
        let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(hex) => u64::from_str_radix(hex, 16),
            None if digits.len() > 1 && digits.starts_with('0') => u64::from_str_radix(digits, 8),
            None => digits.parse(),
        };
        let number = number.ok()?.cast_signed();
        Some(Constant::Int(if negative { number.wrapping_neg() } else { number }))
    }

    /// The type with a name that the script defines.
    fn own(&self, tag: Tag, name: &str) -> Option<Type> {
        self.tags.get(&(tag, Arc::from(name))).cloned()
    }

    /// The type with a name, of the script or of the kernel.
    pub fn find(&self, tag: Tag, name: &str) -> Option<Type> {
        let own = self.own(tag, name);
        let traced = || {
            let first = self.programs_first && tag != Tag::Plain;
            if first { self.source.find_traced(tag, name) } else { None }
        };
        own.or_else(traced).or_else(|| self.source.find(tag, name)).or_else(|| {
            let other = FOR_PROCESSES.iter().find(|pair| tag == Tag::Struct && pair.0 == name)?;
            self.source.find(tag, other.1)
        })
    }

    /// Says whether names are looked for in traced programs before they are in the kernel's types.
    pub const fn programs_first(&mut self, first: bool) {
        self.programs_first = first;
    }

    /// A constant of the C part.
    pub fn constant(&self, name: &str) -> Option<Constant> {
        self.constants.get(name).cloned()
    }

    /// An enumerator of the script or of the kernel.
    pub fn enumerator(&self, name: &str) -> Option<(i64, Type)> {
        self.enumerators.get(name).cloned().or_else(|| self.source.enumerator(name))
    }

    /// The kernel's types.
    pub const fn source(&self) -> &'a dyn TypeSource {
        self.source
    }

    /// A composite.
    pub fn composite(&self, id: CompositeId) -> Option<Arc<Composite>> {
        match id {
            CompositeId::Kernel(id) => self.source.composite(id),
            CompositeId::Script(index) => self.composites.get(index as usize).cloned(),
        }
    }

    /// The member with a name, also one of an anonymous composite inside: offsets count from the start of the whole.
    pub fn member(&self, id: CompositeId, name: &str) -> Option<Member> {
        self.member_within(id, name, 0)
    }

    fn member_within(&self, id: CompositeId, name: &str, depth: u32) -> Option<Member> {
        let composite = self.composite(id)?;
        if let Some(found) = composite.members.iter().find(|member| &*member.name == name) {
            return Some(found.clone());
        }
        let anonymous = composite.members.iter().filter(|member| member.name.is_empty() && depth < 32);
        anonymous.into_iter().find_map(|member| {
            let Type::Composite(inner) = member.ty else { return None };
            let mut found = self.member_within(inner, name, depth + 1)?;
            found.offset = found.offset.saturating_add(member.offset);
            Some(found)
        })
    }

    /// The names of all members, those of anonymous composites included.
    pub fn member_names(&self, id: CompositeId) -> Vec<Arc<str>> {
        let Some(composite) = self.composite(id) else { return Vec::new() };
        let mut names = Vec::new();
        for member in &composite.members {
            match member.ty {
                Type::Composite(inner) if member.name.is_empty() && names.len() < 10_000 => {
                    names.extend(self.member_names(inner));
                }
                _ => names.push(member.name.clone()),
            }
        }
        names
    }

    /// Bytes of a type, and of which its address is a multiple.
    pub fn size_and_align(&self, ty: &Type) -> (u32, u32) {
        match ty {
            Type::Unknown | Type::Void => (0, 1),
            Type::Composite(id) => self.composite(*id).map_or((0, 1), |composite| (composite.size, composite.align)),
            Type::Array(element, count) => {
                let (size, align) = self.size_and_align(element);
                (size.saturating_mul(*count), align)
            }
            Type::Tuple(_) | Type::Record(_) => {
                let shape = ty.shape(&mut Sizes(self));
                (shape.size(), shape.align())
            }
            Type::Text(len) => (*len, 1),
            Type::Host(shape) => (shape.size(), shape.align()),
            scalar => scalar.scalar().map_or((0, 1), |scalar| (scalar.0.into(), scalar.0.into())),
        }
    }
}

/// Lays out types for their sizes only.
struct Sizes<'t, 'a>(&'t Types<'a>);

impl super::ShapeContext for Sizes<'_, '_> {
    fn enumeration(&mut self, _: &Arc<Enumeration>) -> u32 {
        0
    }
    fn composite_size(&self, id: CompositeId) -> u32 {
        self.0.size_and_align(&Type::Composite(id)).0
    }
}

fn unknown(span: Span, what: &str, name: &str) -> Diagnostic {
    Diagnostic::error(span, format!("{what} `{name}` is not known")).with_help(
        "define it at the start of the script, or check the spelling: types of the kernel are known by their names",
    )
}

/// The value of an operation on constants; `None` for a division by zero.
pub fn fold(op: ast::BinaryOp, left: i64, right: i64) -> Option<i64> {
    use ast::BinaryOp as Op;
    let shift = || u32::try_from(right).ok();
    Some(match op {
        Op::Add => left.wrapping_add(right),
        Op::Sub => left.wrapping_sub(right),
        Op::Mul => left.wrapping_mul(right),
        Op::Div => left.checked_div(right)?,
        Op::Mod => left.checked_rem(right)?,
        Op::BitAnd => left & right,
        Op::BitOr => left | right,
        Op::BitXor => left ^ right,
        Op::Shl => left.wrapping_shl(shift()?),
        Op::Shr => left.wrapping_shr(shift()?),
        Op::Eq => (left == right).into(),
        Op::Ne => (left != right).into(),
        Op::Lt => (left < right).into(),
        Op::Le => (left <= right).into(),
        Op::Gt => (left > right).into(),
        Op::Ge => (left >= right).into(),
        Op::And => (left != 0 && right != 0).into(),
        Op::Or => (left != 0 || right != 0).into(),
    })
}
