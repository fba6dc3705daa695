//! Types of Rust for those of an object.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use skep_btf::{Btf, BtfError, Composite, Int, Kind, TypeId};

/// Words that are no names in Rust.
const WORDS: &[&str] = &[
    "as", "async", "await", "box", "break", "const", "continue", "crate", "do", "dyn", "else", "enum", "extern",
    "false", "final", "fn", "for", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut",
    "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type",
    "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "gen", "abstract", "become",
];

/// A name of C as one of Rust; `other` stands for one without letters.
pub fn field_name(name: &str, other: &str) -> String {
    let clean: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    match clean.as_str() {
        "" => other.to_owned(),
        word if WORDS.contains(&word) => format!("{word}_"),
        word => word.to_owned(),
    }
}

/// `tcp_state` as `TcpState`.
fn type_name(name: &str) -> String {
    let parts = name.split('_').filter(|part| !part.is_empty());
    parts.map(|part| part[..1].to_uppercase() + &part[1..]).collect()
}

/// A member of a structure as Rust has it.
struct Field {
    name: String,
    ty: String,
    /// How it is read from `bytes`, and how it is written there.
    read: String,
    write: String,
}

/// Writes the types that are asked for, each once.
pub struct TypeWriter<'a> {
    btf: &'a Btf,
    out: String,
    names: HashMap<TypeId, String>,
    taken: HashSet<String>,
}

impl<'a> TypeWriter<'a> {
    pub fn new(btf: &'a Btf) -> Self {
        let taken = [
            "Value",
            "TypedMap",
            "Open",
            "Skeleton",
            "Object",
            "Loaded",
            "Update",
            "Attachments",
            "Option",
            "Result",
            "Vec",
            "Self",
        ];
        Self { btf, out: String::new(), names: HashMap::new(), taken: taken.map(str::to_owned).into() }
    }

    /// What was written.
    pub fn text(&self) -> &str {
        &self.out
    }

    /// The type of Rust for the type with a number.
    pub fn named(&mut self, id: u32) -> Result<String, BtfError> {
        self.of(TypeId(id), "Unnamed")
    }

    /// The type of Rust for a type; structures without a name are called by where they stand.
    fn of(&mut self, id: TypeId, place: &str) -> Result<String, BtfError> {
        // Sections list variables, which have the types.
        if let Kind::Var { ty, .. } = self.btf.kind(id)? {
            return self.of(ty, place);
        }
        let id = self.btf.resolve(id)?;
        if let Some(known) = self.names.get(&id) {
            return Ok(known.clone());
        }
        Ok(match self.btf.kind(id)? {
            // Characters are bytes, whatever sign they have.
            Kind::Int(Int { size: 1, bool: false, .. }) if self.btf.name(id)? == "char" => "u8".to_owned(),
            Kind::Int(int) => integer(int).to_owned(),
            Kind::Ptr(_) => "u64".to_owned(),
            Kind::Array(array) => format!("[{}; {}]", self.of(array.element, place)?, array.len),
            Kind::Struct(composite) => self.structure(id, composite, place)?,
            Kind::Enum(list) | Kind::Enum64(list) => {
                let ty = match (list.size, list.signed) {
                    (1, _) => "u8",
                    (2, _) => "u16",
                    (8, true) => "i64",
                    (8, false) => "u64",
                    (_, true) => "i32",
                    _ => "u32",
                };
                self.constants(id, ty)?;
                ty.to_owned()
            }
            _ => format!("[u8; {}]", self.btf.size_of(id).unwrap_or(0)),
        })
    }

    /// The enumerators of an enumeration, once.
    fn constants(&mut self, id: TypeId, ty: &str) -> Result<(), BtfError> {
        let (Kind::Enum(list) | Kind::Enum64(list)) = self.btf.kind(id)? else { return Ok(()) };
        for item in list.values() {
            let name = field_name(self.btf.string(item.name)?, "NONE");
            if self.taken.insert(name.clone()) {
                let _ = write!(
                    self.out,
                    "\n#[allow(non_upper_case_globals, missing_docs)]\npub const {name}: {ty} = {};\n",
                    item.value
                );
            }
        }
        self.names.insert(id, ty.to_owned());
        Ok(())
    }

    fn structure(&mut self, id: TypeId, composite: Composite<'_>, place: &str) -> Result<String, BtfError> {
        let own = self.btf.name(id)?;
        let base = if own.is_empty() { place.to_owned() } else { type_name(own) };
        let mut name = base.clone();
        for number in 2.. {
            if self.taken.insert(name.clone()) {
                break;
            }
            name = format!("{base}{number}");
        }
        self.names.insert(id, name.clone());
        let mut fields = Vec::new();
        for (at, member) in composite.members().enumerate() {
            let member_name = field_name(self.btf.string(member.name)?, &format!("part{at}"));
            let place = format!("{name}{}", type_name(&member_name));
            let (bit, bytes) = (member.bit_offset, member.bit_offset / 8);
            if member.bits > 0 {
                let width = member.bits;
                fields.push(Field {
                    read: format!("bits(bytes, {bit}, {width})"),
                    write: format!("set_bits(bytes, {bit}, {width}, self.{member_name})"),
                    name: member_name,
                    ty: "u64".to_owned(),
                });
                continue;
            }
            let ty = self.of(member.ty, &place)?;
            fields.push(Field {
                read: format!("Value::read(&bytes[{bytes}..])"),
                write: format!("self.{member_name}.write(&mut bytes[{bytes}..])"),
                name: member_name,
                ty,
            });
        }
        let shown = if own.is_empty() { "A structure without a name.".to_owned() } else { format!("`struct {own}`.") };
        let _ = write!(
            self.out,
            "\n/// {shown}\n#[derive(Debug, Clone, PartialEq, Eq)]\n#[allow(non_snake_case, missing_docs)]\npub struct {name} {{\n"
        );
        for field in &fields {
            let _ = writeln!(self.out, "    pub {}: {},", field.name, field.ty);
        }
        let _ = write!(self.out, "}}\n\nimpl Value for {name} {{\n    const SIZE: usize = {};\n", composite.size);
        self.out.push_str("    fn read(bytes: &[u8]) -> Self {\n        Self {\n");
        for field in &fields {
            let _ = writeln!(self.out, "            {}: {},", field.name, field.read);
        }
        self.out.push_str("        }\n    }\n    fn write(&self, bytes: &mut [u8]) {\n");
        for field in &fields {
            let _ = writeln!(self.out, "        {};", field.write);
        }
        self.out.push_str("    }\n}\n");
        Ok(name)
    }
}

const fn integer(int: Int) -> &'static str {
    match (int.bool, int.size, int.signed) {
        (true, 1, _) => "bool",
        (_, 1, true) => "i8",
        (_, 1, false) => "u8",
        (_, 2, true) => "i16",
        (_, 2, false) => "u16",
        (_, 4, true) => "i32",
        (_, 4, false) => "u32",
        (_, 16, true) => "i128",
        (_, 16, false) => "u128",
        (_, _, true) => "i64",
        (_, _, false) => "u64",
    }
}
