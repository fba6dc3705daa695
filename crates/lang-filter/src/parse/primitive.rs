//! Primitives: keywords at the place of an operand, and the qualifiers in front of an id.

use super::{BoolOp, Fallible, Head, Operand, Parser};
use crate::ast::{ByteOp, Dir, Kind, Primitive, Proto, Quals, RelOp};
use crate::lex::{Tok, words::Word};
use crate::suggest;
use skep_diag::{Diagnostic, Span};
use skep_isa::classic::AluOp;

impl Parser<'_> {
    /// A primitive, an arithmetic relation, or a bare id with inherited qualifiers. `None` after qualifiers, whose id
    /// comes next.
    pub(super) fn term(&mut self) -> Fallible<Option<Operand>> {
        match self.peek() {
            Tok::Num(_) | Tok::Alu(AluOp::Sub) | Tok::Word(Word::Len) => self.relation_or_number().map(Some),
            Tok::Name if self.name_is_arithmetic() => self.relation_or_number().map(Some),
            Tok::Name => {
                if let Some(error) = self.site().not_a_name() {
                    return Err(Box::new(error));
                }
                self.id().map(Some)
            }
            Tok::Quad | Tok::V6(_) | Tok::Mac(_) | Tok::Arcnet(_) | Tok::Set => self.id().map(Some),
            Tok::Word(word) => self.keyword(word),
            _ => {
                let help = self.site().instead_of_primitive();
                let error = self.expected("a primitive such as `tcp` or `host NAME`");
                Err(match help {
                    Some(help) if self.peek() != Tok::Bad => Box::new(error.with_help(help)),
                    _ => error,
                })
            }
        }
    }

    fn keyword(&mut self, word: Word) -> Fallible<Option<Operand>> {
        let span = self.token(0).span;
        match word {
            Word::Proto(proto) => return self.after_proto(proto),
            Word::Src | Word::Dst | Word::WlanAddr(_) | Word::Kind(_) => return self.head(None, span),
            Word::Type | Word::Subtype | Word::WlanDir => return self.wlan(word, span).map(Some),
            _ => {}
        }
        self.next();
        let primitive = match word {
            Word::Broadcast => Primitive::Broadcast(None),
            Word::Multicast => Primitive::Multicast(None),
            Word::Inbound => Primitive::Inbound,
            Word::Outbound => Primitive::Outbound,
            Word::Pppoed => Primitive::Pppoed,
            Word::Less => Primitive::Less(self.number("a length in bytes")?),
            Word::Greater => Primitive::Greater(self.number("a length in bytes")?),
            Word::IfIndex => Primitive::IfIndex(self.number("an interface index")?),
            Word::Byte => self.byte()?,
            Word::Vlan => Primitive::Vlan(self.optional_number("VLAN tag", 4095)?),
            Word::Mpls => Primitive::Mpls(self.optional_number("MPLS label", 0xf_ffff)?),
            Word::Pppoes => Primitive::Pppoes(self.optional_number("PPPoE session number", 0xffff)?),
            Word::Geneve => Primitive::Geneve(self.optional_number("Geneve VNI", 0xff_ffff)?),
            Word::Vxlan => Primitive::Vxlan(self.optional_number("VXLAN VNI", 0xff_ffff)?),
            Word::Llc => self.llc()?,
            Word::PfIfname => Primitive::PfIfname(self.plain_name("an interface name")?),
            Word::PfRuleset => Primitive::PfRuleset(self.plain_name("a rule set name")?),
            Word::PfRule => Primitive::PfRule(self.number("a rule number")?),
            Word::PfSubrule => Primitive::PfSubrule(self.number("a rule number")?),
            Word::PfReason => self.pf_reason()?,
            Word::PfAction => self.pf_action()?,
            Word::Atm(class) => Primitive::Atm(class),
            Word::Mtp2(class) => Primitive::Mtp2(class),
            Word::AtmField(field) => return self.field(span, None, |op, value| Primitive::AtmField(field, op, value)),
            Word::Mtp3(field) => {
                let limit = super::special::mtp3_limit(field);
                return self.field(span, Some(limit), |op, value| Primitive::Mtp3(field, op, value));
            }
            _ => {
                self.at -= 1;
                let error = self.expected("a primitive such as `tcp` or `host NAME`");
                return Err(Box::new(error.with_help("`mask` follows an address: `net 10.0.0.0 mask 255.0.0.0`")));
            }
        };
        let span = self.previous().map_or(span, |last| span.to(last.span));
        Ok(self.plain(primitive, span))
    }

    /// A protocol word: alone, before `[`, or as a qualifier.
    fn after_proto(&mut self, proto: Proto) -> Fallible<Option<Operand>> {
        if self.peek_at(1) == Tok::OpenBracket {
            return self.relation_or_number().map(Some);
        }
        let span = self.next().span;
        match self.peek() {
            Tok::Word(Word::Src | Word::Dst | Word::WlanAddr(_) | Word::Kind(_)) => {
                return self.head(Some(proto), span);
            }
            Tok::Word(word @ (Word::Type | Word::Subtype | Word::WlanDir)) => return self.wlan(word, span).map(Some),
            Tok::Word(word @ (Word::Broadcast | Word::Multicast)) => {
                let span = span.to(self.next().span);
                let cast = if word == Word::Broadcast { Primitive::Broadcast } else { Primitive::Multicast };
                return Ok(self.plain(cast(Some(proto)), span));
            }
            Tok::Name if proto == Proto::Ip6 && self.text(self.token(0).span) == "chain" => return self.chain(span),
            _ => {}
        }
        let word = self.text(span);
        match proto {
            Proto::Link => {
                let message = format!("`{word}` alone tests nothing: every packet has a link layer");
                let help = format!("write what to test: `{word} host 02:00:00:00:00:01`, `{word} proto 0x88cc`");
                Err(Box::new(Diagnostic::error(span, message).with_help(help)))
            }
            Proto::Radio => {
                let error = Diagnostic::error(span, "`radio` alone tests nothing");
                Err(Box::new(error.with_help("it names the radio header in front of a frame: `radio[0] = 0`")))
            }
            _ => Ok(self.plain(Primitive::Proto(proto), span)),
        }
    }

    /// `ip6 chain PROTO`, of ours: the upper protocol behind any extension headers.
    fn chain(&mut self, start: Span) -> Fallible<Option<Operand>> {
        self.next();
        let (Tok::Word(Word::Proto(proto)), upper) = (self.peek(), self.token(0).span) else {
            return Err(self.expected("a protocol such as `tcp` after `ip6 chain`"));
        };
        if !has_protocol_number(proto) {
            let message = format!("`{}` does not follow an IPv6 header", self.text(upper));
            let help = "possible are tcp, udp, sctp, icmp6, icmp, igmp, pim, ah, esp, vrrp, carp and ip";
            return Err(Box::new(Diagnostic::error(upper, message).with_help(help)));
        }
        self.next();
        Ok(self.plain(Primitive::Ip6Chain(proto), start.to(upper)))
    }

    /// `[dir] [type]` after an optional protocol; the id follows.
    fn head(&mut self, proto: Option<Proto>, start: Span) -> Fallible<Option<Operand>> {
        let dir = self.direction();
        let mut kind = Kind::Default;
        if let Tok::Word(Word::Kind(found)) = self.peek() {
            if dir != Dir::Default && !matches!(found, Kind::Host | Kind::Net | Kind::Port | Kind::PortRange) {
                return Err(self.kind_without_direction());
            }
            kind = found;
            self.next();
        }
        let span = self.previous().map_or(start, |last| start.to(last.span));
        self.head = Some(Head { quals: Quals { proto, dir, kind }, span });
        Ok(None)
    }

    fn direction(&mut self) -> Dir {
        let (here, other) = match self.peek() {
            Tok::Word(Word::WlanAddr(dir)) => {
                self.next();
                return dir;
            }
            Tok::Word(word @ Word::Src) => (word, Word::Dst),
            Tok::Word(word @ Word::Dst) => (word, Word::Src),
            _ => return Dir::Default,
        };
        self.next();
        let op = match self.peek() {
            Tok::And => BoolOp::And,
            Tok::Or => BoolOp::Or,
            _ if here == Word::Src => return Dir::Src,
            _ => return Dir::Dst,
        };
        // Without an id in between, `src or` can only go on with `dst`; otherwise the missing id is reported.
        if self.peek_at(1) == Tok::Word(other) {
            self.next();
            self.next();
            return if op == BoolOp::And { Dir::SrcAndDst } else { Dir::SrcOrDst };
        }
        if here == Word::Src { Dir::Src } else { Dir::Dst }
    }

    fn kind_without_direction(&mut self) -> Box<Diagnostic> {
        let token = self.token(0);
        let word = self.text(token.span);
        let error = Diagnostic::error(token.span, format!("`{word}` does not take a direction"));
        Box::new(error.with_help(format!("remove `src` or `dst` before `{word}`")))
    }

    /// `byte I op V`
    fn byte(&mut self) -> Fallible<Primitive> {
        let index = self.number("the index of a byte")?;
        let op = match self.peek() {
            Tok::Rel(RelOp::Eq) => ByteOp::Eq,
            Tok::Rel(RelOp::Lt) => ByteOp::Lt,
            Tok::Rel(RelOp::Gt) => ByteOp::Gt,
            Tok::Alu(AluOp::And) => ByteOp::And,
            Tok::Alu(AluOp::Or) => ByteOp::Or,
            _ => {
                let error = self.expected("one of = < > & |");
                return Err(Box::new(error.with_help(format!("for other comparisons write `link[{index}]`"))));
            }
        };
        self.next();
        Ok(Primitive::Byte { index, op, value: self.number("a value")? })
    }

    /// A number without parentheses.
    pub(super) fn number(&mut self, what: &str) -> Fallible<u32> {
        let Tok::Num(number) = self.peek() else { return Err(self.expected(what)) };
        self.next();
        Ok(number)
    }

    /// A number, perhaps in parentheses, if one follows: the id of a tag or tunnel.
    fn optional_number(&mut self, what: &str, max: u32) -> Fallible<Option<u32>> {
        let mut open = 0;
        while self.peek() == Tok::Open {
            self.next();
            open += 1;
        }
        let span = self.token(0).span;
        let number = match self.peek() {
            Tok::Num(number) => number,
            _ if open == 0 => return Ok(None),
            _ => return Err(self.expected(&format!("a number, the {what}"))),
        };
        self.next();
        for _ in 0..open {
            if self.peek() != Tok::Close {
                return Err(self.expected("`)`"));
            }
            self.next();
        }
        if number > max {
            let error = Diagnostic::error(span, format!("{what} {number} is greater than the maximum, {max}"));
            return Err(Box::new(error.with_help(format!("write a number from 0 to {max}"))));
        }
        Ok(Some(number))
    }

    /// A name that is not looked up.
    pub(super) fn plain_name(&mut self, what: &str) -> Fallible<String> {
        let token = self.token(0);
        let text = self.text(token.span);
        if token.tok != Tok::Name {
            let escaped = format!("a keyword is taken as a name after a backslash: `\\{}`", suggest::shorten(text));
            let error = self.expected(what);
            return Err(match token.tok {
                Tok::Word(_) => Box::new(error.with_help(escaped)),
                _ => error,
            });
        }
        let name = text.strip_prefix('\\').unwrap_or(text).to_owned();
        self.next();
        Ok(name)
    }

    /// Where the parser stands, for the suggestions.
    pub(super) fn site(&self) -> suggest::Site<'_> {
        suggest::Site { source: self.source, tokens: &self.tokens, at: self.at }
    }
}

/// Whether a protocol word stands for a number in the next-header field.
fn has_protocol_number(proto: Proto) -> bool {
    use Proto::{Ah, Carp, Esp, Icmp, Icmp6, Igmp, Igrp, Ip, Ip6, Pim, Sctp, Tcp, Udp, Vrrp};
    matches!(proto, Tcp | Udp | Sctp | Icmp6 | Icmp | Igmp | Igrp | Pim | Ah | Esp | Vrrp | Carp | Ip | Ip6)
}
