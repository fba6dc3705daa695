//! Attributes: `__attribute__((...))`.

use std::rc::Rc;

use super::ast::FuncId;
use super::{Name, Parsed, Parser};
use crate::lex::{Keyword, Punct, TokenKind};

/// What attributes say.
#[derive(Debug, Clone, Default)]
pub struct Attrs {
    pub section: Option<Rc<str>>,
    pub packed: bool,
    /// `deprecated("packet")`, which BCC's `BPF_PACKET_HEADER` says.
    pub packet: bool,
    /// Bytes, 0 for none.
    pub aligned: u64,
    pub preserve: bool,
    pub always_inline: bool,
    pub noinline: bool,
    pub weak: bool,
    pub naked: bool,
    pub hidden: bool,
    pub noreturn: bool,
    pub cleanup: Option<FuncId>,
    pub decl_tags: Vec<Rc<str>>,
    pub type_tags: Vec<Rc<str>>,
    /// `address_space(1)`: in an arena.
    pub arena: bool,
    /// `mode(DI)`: bytes, 0 for none.
    pub mode: u64,
}

impl Attrs {
    /// Adds what others say.
    pub fn merge(&mut self, other: Self) {
        self.section = other.section.or(self.section.take());
        self.packed |= other.packed;
        self.packet |= other.packet;
        self.aligned = self.aligned.max(other.aligned);
        self.preserve |= other.preserve;
        self.always_inline |= other.always_inline;
        self.noinline |= other.noinline;
        self.weak |= other.weak;
        self.naked |= other.naked;
        self.hidden |= other.hidden;
        self.noreturn |= other.noreturn;
        self.cleanup = other.cleanup.or(self.cleanup);
        self.decl_tags.extend(other.decl_tags);
        self.type_tags.extend(other.type_tags);
        self.arena |= other.arena;
        self.mode = self.mode.max(other.mode);
    }
}

impl Parser<'_> {
    /// All attributes that stand here.
    pub(super) fn attributes(&mut self, attrs: &mut Attrs) -> Parsed<()> {
        loop {
            if self.take_word(Keyword::Attribute) {
                self.expect(Punct::LParen, "behind `__attribute__`")?;
                self.expect(Punct::LParen, "behind `__attribute__(`")?;
                self.attribute_list(attrs)?;
                self.expect(Punct::RParen, "behind the attributes")?;
                self.expect(Punct::RParen, "behind the attributes")?;
            } else if self.take_word(Keyword::Alignas) {
                self.expect(Punct::LParen, "behind `_Alignas`")?;
                let align = if self.begins_type() {
                    let ty = self.type_name()?;
                    self.settle(ty);
                    self.types.align(ty)
                } else {
                    self.alignment()?
                };
                attrs.aligned = attrs.aligned.max(align);
                self.expect(Punct::RParen, "behind `_Alignas(...`")?;
            } else {
                return Ok(());
            }
        }
    }

    fn alignment(&mut self) -> Parsed<u64> {
        let loc = self.loc();
        let (value, _) = self.constant_int("an alignment")?;
        match u64::try_from(value) {
            Ok(0) => Ok(0),
            Ok(align) if align.is_power_of_two() && align <= 4096 => Ok(align),
            _ => self.error(loc, format!("an alignment is a power of two up to 4096, not {value}")),
        }
    }

    pub(super) fn attribute_list(&mut self, attrs: &mut Attrs) -> Parsed<()> {
        loop {
            let name: Rc<str> = match *self.peek() {
                TokenKind::Ident(sym) => self.name_of(sym),
                TokenKind::Keyword(word) => word.spelling().into(),
                _ => {
                    if self.take(Punct::Comma) {
                        continue;
                    }
                    return Ok(());
                }
            };
            self.next();
            self.attribute(name.trim_matches('_'), attrs)?;
        }
    }

    fn attribute(&mut self, name: &str, attrs: &mut Attrs) -> Parsed<()> {
        match name {
            "packed" => attrs.packed = true,
            "preserve_access_index" => attrs.preserve = true,
            "always_inline" => attrs.always_inline = true,
            "deprecated" if self.bcc && self.is(Punct::LParen) => {
                attrs.packet |= &*self.string_argument("deprecated")? == "packet";
            }
            "noinline" => attrs.noinline = true,
            "weak" => attrs.weak = true,
            "naked" => attrs.naked = true,
            "noreturn" => attrs.noreturn = true,
            "visibility" => attrs.hidden |= &*self.string_argument("visibility")? == "hidden",
            "section" => attrs.section = Some(self.string_argument("section")?),
            "btf_decl_tag" => {
                let tag = self.string_argument("btf_decl_tag")?;
                attrs.decl_tags.push(tag);
            }
            "btf_type_tag" => {
                let tag = self.string_argument("btf_type_tag")?;
                attrs.type_tags.push(tag);
            }
            "aligned" => {
                let align = if self.take(Punct::LParen) {
                    let align = self.alignment()?;
                    self.expect(Punct::RParen, "behind the alignment")?;
                    align
                } else {
                    8
                };
                attrs.aligned = attrs.aligned.max(align);
            }
            "cleanup" => {
                self.expect(Punct::LParen, "behind `cleanup`")?;
                let (sym, loc) = self.ident("the name of a function")?;
                match self.lookup(sym) {
                    Some(Name::Func(func)) => attrs.cleanup = Some(func),
                    _ => {
                        let name = self.name_of(sym);
                        return self.error(loc, format!("`{name}`, which `cleanup` names, is no function"));
                    }
                }
                self.expect(Punct::RParen, "behind the function")?;
            }
            "address_space" => {
                self.expect(Punct::LParen, "behind `address_space`")?;
                let loc = self.loc();
                let (space, _) = self.constant_int("the number of an address space")?;
                match space {
                    0 => {}
                    1 => attrs.arena = true,
                    _ => {
                        return self
                            .error(loc, format!("there is no address space {space}: 0 is the kernel's, 1 arenas"));
                    }
                }
                self.expect(Punct::RParen, "behind the number of an address space")?;
            }
            "mode" => {
                self.expect(Punct::LParen, "behind `mode`")?;
                let (sym, _) = self.ident("a mode")?;
                attrs.mode = match self.name_of(sym).trim_matches('_') {
                    "QI" => 1,
                    "HI" => 2,
                    "SI" => 4,
                    "DI" => 8,
                    "TI" => 16,
                    _ => 0,
                };
                self.expect(Punct::RParen, "behind the mode")?;
            }
            _ => self.skip_parentheses(),
        }
        Ok(())
    }

    /// Skips the arguments of an attribute that means nothing here.
    fn skip_parentheses(&mut self) {
        if !self.is(Punct::LParen) {
            return;
        }
        let mut depth = 0usize;
        loop {
            match self.peek() {
                TokenKind::Punct(Punct::LParen) => depth += 1,
                TokenKind::Punct(Punct::RParen) => depth -= 1,
                TokenKind::Eof => return,
                _ => {}
            }
            self.next();
            if depth == 0 {
                return;
            }
        }
    }

    fn string_argument(&mut self, name: &str) -> Parsed<Rc<str>> {
        self.expect(Punct::LParen, &format!("behind `{name}`"))?;
        let text = self.string("the argument of an attribute")?;
        self.expect(Punct::RParen, "behind the argument of an attribute")?;
        Ok(text)
    }

    /// A string literal as a text.
    pub(super) fn string(&mut self, what: &str) -> Parsed<Rc<str>> {
        let loc = self.loc();
        if let TokenKind::Str { bytes, .. } = self.peek() {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.next();
            return Ok(text.into());
        }
        let found = self.describe();
        self.error(loc, format!("{what} is a string, not {found}"))
    }
}
