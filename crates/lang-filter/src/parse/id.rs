//! Ids: what follows qualifiers, or stands alone and inherits them.

use super::{Compat, Fallible, Head, Operand, Parser};
use crate::ast::{Dotted, Id, Kind, NodeKind, Primitive, Proto, Quals};
use crate::lex::{Tok, words::Word};
use crate::suggest;
use skep_diag::{Diagnostic, Span};

/// The largest port number.
const MAX_PORT: u32 = 65_535;

impl Parser<'_> {
    /// An id after its qualifiers or with inherited ones.
    pub(super) fn id(&mut self) -> Fallible<Operand> {
        let head = self.head.take();
        let Some(quals) = head.map(|head| head.quals).or(self.level().inherited) else {
            return Err(Box::new(self.site().bare_operand()));
        };
        let start = self.token(0).span;
        let before = self.previous();
        let Some(id) = self.id_value(quals)? else { return Err(self.no_id(head)) };
        let mut span = self.previous().map_or(start, |last| start.to(last.span));
        // Only if nothing stands between does the primitive begin at its qualifiers: `host not a` has two nodes.
        if let Some(head) = head.filter(|head| before.is_some_and(|before| before.span.end == head.span.end)) {
            span = head.span.to(span);
        }
        let operand = self.bare_id(quals, id, span)?;
        Ok(Operand { is_id: head.is_none(), ..operand })
    }

    /// A finished primitive of a bare id.
    pub(super) fn bare_id(&mut self, quals: Quals, id: Id, span: Span) -> Fallible<Operand> {
        let node = self.push(NodeKind::Primitive(Primitive::Qualified(quals, id)), span);
        Ok(Operand { node, span, is_id: true, quals: Some(quals) })
    }

    /// Reads an id; `None` if the next token is not one.
    pub(super) fn id_value(&mut self, quals: Quals) -> Fallible<Option<Id>> {
        let token = self.token(0);
        let id = match token.tok {
            Tok::Num(number) => self.number_id(quals, number)?,
            Tok::Quad => self.quad_id(quals)?,
            Tok::V6(address) => self.v6_id(quals, address)?,
            Tok::Mac(address) => {
                self.next();
                self.address_kind(quals, token.span, "a hardware address")?;
                Id::Mac(address)
            }
            Tok::Arcnet(address) => {
                self.next();
                self.address_kind(quals, token.span, "an ARCnet address")?;
                Id::Mac8(address)
            }
            Tok::Set => self.set_id(quals)?,
            Tok::Name => self.name_id(quals)?,
            _ => return Ok(None),
        };
        Ok(Some(id))
    }

    fn number_id(&mut self, quals: Quals, number: u32) -> Fallible<Id> {
        let span = self.next().span;
        if quals.kind == Kind::Gateway {
            return Err(gateway_wants_name(span));
        }
        if quals.kind == Kind::Net {
            match self.peek() {
                Tok::Alu(skep_isa::classic::AluOp::Div) => {
                    let (len, len_span) = self.prefix_len()?;
                    return self.prefix_of_number(number, len, span.to(len_span));
                }
                Tok::Word(Word::Mask) => return self.masked(short_dotted(number, span)?, span),
                _ => {}
            }
        }
        self.check_number(quals, number, span)?;
        Ok(Id::Number(number))
    }

    /// Refuses port numbers that do not exist.
    pub(super) fn check_number(&self, quals: Quals, number: u32, span: Span) -> Fallible<()> {
        if matches!(quals.kind, Kind::Port | Kind::PortRange) && number > MAX_PORT {
            return Err(port_too_large(number, span));
        }
        Ok(())
    }

    /// A dotted number: address, prefix, address with mask, or DECnet address.
    fn quad_id(&mut self, quals: Quals) -> Fallible<Id> {
        let span = self.next().span;
        if quals.proto == Some(Proto::Decnet) && !matches!(self.peek(), Tok::Alu(_) | Tok::Word(Word::Mask)) {
            return self.decnet_id(span);
        }
        let dotted = self.dotted(span)?;
        match self.peek() {
            Tok::Alu(skep_isa::classic::AluOp::Div) => {
                let (len, len_span) = self.prefix_len()?;
                let span = span.to(len_span);
                let id = v4_prefix(self.text(span), dotted, len, span)?;
                self.prefix_kind(quals, span)?;
                Ok(id)
            }
            Tok::Word(Word::Mask) => {
                let id = self.masked(dotted, span)?;
                let span = self.previous().map_or(span, |last| span.to(last.span));
                self.prefix_kind(quals, span)?;
                Ok(id)
            }
            _ if quals.kind == Kind::Gateway => Err(gateway_wants_name(span)),
            _ => {
                self.address_kind(quals, span, "an IPv4 address")?;
                Ok(Id::V4(dotted))
            }
        }
    }

    /// `AREA.NODE`, 6 and 10 bits. 1.10 cuts off what is too large and ignores further parts.
    fn decnet_id(&self, span: Span) -> Fallible<Id> {
        let text = self.text(span);
        let mut parts = text.split('.').map(|part| part.parse::<u32>().ok());
        let (area, node, rest) = (parts.next().flatten(), parts.next().flatten(), parts.next());
        let (Some(area), Some(node)) = (area, node) else {
            return Err(invalid_decnet(text, span));
        };
        if self.compat == Compat::V1_11 && (area > 63 || node > 1023 || rest.is_some()) {
            return Err(invalid_decnet(text, span));
        }
        Ok(Id::Number((area & 0x3f) << 10 | node & 0x3ff))
    }

    fn dotted(&self, span: Span) -> Fallible<Dotted> {
        let text = self.text(span);
        let mut dotted = Dotted { parts: [0; 4], len: 0 };
        for (part, slot) in text.split('.').zip(&mut dotted.parts) {
            // Leading zeros do not make these octal: pcap-filter(7) says nothing, tcpdump reads decimal.
            let Ok(value) = part.parse::<u8>() else {
                return Err(Box::new(
                    Diagnostic::error(span, format!("invalid IPv4 address '{text}'"))
                        .with_label(format!("`{part}` is not between 0 and 255"))
                        .with_help("write decimal numbers from 0 to 255 with dots between"),
                ));
            };
            *slot = value;
            dotted.len += 1;
        }
        Ok(dotted)
    }

    /// `mask M` after a dotted number.
    fn masked(&mut self, net: Dotted, net_span: Span) -> Fallible<Id> {
        self.next();
        if self.peek() != Tok::Quad {
            let error = self.expected("a netmask");
            return Err(Box::new(error.with_help("write it with dots, as in `mask 255.255.0.0`, or use `/16`")));
        }
        let mask_span = self.next().span;
        let mask = self.dotted(mask_span)?;
        if aligned(net) & !aligned(mask) != 0 {
            let span = net_span.to(mask_span);
            return Err(host_bits(self.text(span), span, &v4_text(aligned(net) & aligned(mask))));
        }
        Ok(Id::V4Mask(net, mask))
    }

    fn v6_id(&mut self, quals: Quals, address: [u8; 16]) -> Fallible<Id> {
        let span = self.next().span;
        if self.peek() != Tok::Alu(skep_isa::classic::AluOp::Div) {
            self.address_kind(quals, span, "an IPv6 address")?;
            return Ok(Id::V6(address));
        }
        let (len, len_span) = self.prefix_len()?;
        let span = span.to(len_span);
        if len > 128 {
            return Err(prefix_too_long(len, 128, len_span));
        }
        let bits = u128::from_be_bytes(address);
        let net = bits & u128::MAX.checked_shl(128 - len).unwrap_or(0);
        if net != bits {
            let network = format!("{}/{len}", std::net::Ipv6Addr::from(net));
            return Err(host_bits(self.text(span), span, &network));
        }
        if len < 128 {
            self.prefix_kind(quals, span)?;
        } else {
            self.address_kind(quals, span, "an IPv6 address")?;
        }
        Ok(Id::V6Len(address, len))
    }

    /// `/LEN`: the number and its place.
    fn prefix_len(&mut self) -> Fallible<(u32, Span)> {
        self.next();
        let Tok::Num(len) = self.peek() else { return Err(self.expected("a prefix length after `/`")) };
        Ok((len, self.next().span))
    }

    /// `10/8`: tcpdump wants `10.0/8`.
    pub(super) fn prefix_of_number(&self, net: u32, len: u32, span: Span) -> Fallible<Id> {
        v4_prefix(self.text(span), short_dotted(net, span)?, len, span)
    }

    fn set_id(&mut self, quals: Quals) -> Fallible<Id> {
        let span = self.next().span;
        let text = self.text(span).trim_start_matches('@');
        let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
        let path = quote.map_or(text, |quote| text.trim_matches(quote)).to_owned();
        if matches!(quals.kind, Kind::Default | Kind::Host | Kind::Net | Kind::Port) {
            return Ok(Id::Set(path));
        }
        let message = format!("`{}` does not take a set from a file", kind_word(quals.kind));
        let help = "sets work after `host`, `net` and `port`: `host @hosts.txt`";
        Err(Box::new(Diagnostic::error(span, message).with_help(help)))
    }

    fn name_id(&mut self, quals: Quals) -> Fallible<Id> {
        let span = self.next().span;
        let text = self.text(span);
        let name = text.strip_prefix('\\').unwrap_or(text).to_owned();
        let numbers = suggest::number_range(&name);
        match (quals.kind, numbers) {
            (Kind::PortRange, Some((low, high))) if low.max(high) > MAX_PORT => {
                return Err(port_too_large(low.max(high), span));
            }
            (Kind::Port, Some(_)) => {
                let error = Diagnostic::error(span, format!("`port` takes one port, not the range `{name}`"));
                return Err(Box::new(error.with_help(format!("write `portrange {name}`"))));
            }
            _ => {}
        }
        // After `and` or `or` a keyword in capitals silently becomes a name, and is then looked up.
        if let Some(warning) =
            suggest::capital_keyword(text, span).filter(|_| self.warnings.len() < super::MAX_WARNINGS)
        {
            self.warnings.push(warning);
        }
        Ok(Id::Name(name))
    }

    /// Refuses an address where a port, protocol or name is wanted.
    fn address_kind(&self, quals: Quals, span: Span, what: &str) -> Fallible<()> {
        let help = match quals.kind {
            Kind::Default | Kind::Host | Kind::Net => return Ok(()),
            Kind::Gateway => return Err(gateway_wants_name(span)),
            Kind::Port | Kind::PortRange => format!("write `host {}` for the address", self.text(span)),
            Kind::Proto | Kind::ProtoChain => "write a protocol number or an escaped name: `proto \\tcp`".to_owned(),
        };
        let message = format!("`{}` does not take {what}", kind_word(quals.kind));
        Err(Box::new(Diagnostic::error(span, message).with_help(help)))
    }

    /// Refuses a prefix anywhere but after `net`.
    fn prefix_kind(&self, quals: Quals, span: Span) -> Fallible<()> {
        if quals.kind == Kind::Net {
            return Ok(());
        }
        let text = self.text(span);
        let (message, help) = match quals.kind {
            Kind::Default => ("a prefix or mask needs `net` before it".to_owned(), format!("write `net {text}`")),
            kind => (format!("`{}` does not take a prefix or mask", kind_word(kind)), format!("write `net {text}`")),
        };
        Err(Box::new(Diagnostic::error(span, message).with_label("this is a network").with_help(help)))
    }

    /// The next token is not an id.
    fn no_id(&mut self, head: Option<Head>) -> Box<Diagnostic> {
        let token = self.token(0);
        let what = match head.map(|head| head.quals.kind) {
            Some(Kind::Port) => "a port number or name",
            Some(Kind::PortRange) => "a range of ports such as 6000-6010",
            Some(Kind::Net) => "a network address or name",
            Some(Kind::Proto | Kind::ProtoChain) => "a protocol number or name",
            Some(Kind::Gateway) => "a host name",
            Some(Kind::Default | Kind::Host) => "a host name or address",
            None => "a name, a number or an address",
        };
        let help = self.site().instead_of_id(head.map(|head| head.span), head.map(|head| head.quals.kind));
        let error = self.expected(what);
        match help {
            Some(help) if token.tok != Tok::Bad => Box::new(error.with_help(help)),
            _ => error,
        }
    }
}

/// The keyword of a kind.
pub(super) fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Default | Kind::Host => "host",
        Kind::Net => "net",
        Kind::Port => "port",
        Kind::PortRange => "portrange",
        Kind::Proto => "proto",
        Kind::ProtoChain => "protochain",
        Kind::Gateway => "gateway",
    }
}

/// The address that a short form stands for: the missing parts are zero and on the right.
fn aligned(dotted: Dotted) -> u32 {
    u32::from_be_bytes(dotted.parts)
}

fn v4_text(address: u32) -> String {
    std::net::Ipv4Addr::from(address).to_string()
}

fn short_dotted(number: u32, span: Span) -> Fallible<Dotted> {
    match u8::try_from(number) {
        Ok(first) => Ok(Dotted { parts: [first, 0, 0, 0], len: 1 }),
        Err(_) => {
            let error = Diagnostic::error(span, format!("invalid IPv4 network '{number}'"));
            Err(Box::new(error.with_help("write the address with dots: `net 10.0.0.0/8`")))
        }
    }
}

fn v4_prefix(text: &str, net: Dotted, len: u32, span: Span) -> Fallible<Id> {
    if len > 32 {
        return Err(prefix_too_long(len, 32, span));
    }
    let mask = u32::MAX.checked_shl(32 - len).unwrap_or(0);
    if aligned(net) & !mask != 0 {
        return Err(host_bits(text, span, &format!("{}/{len}", v4_text(aligned(net) & mask))));
    }
    Ok(Id::V4Len(net, len))
}

fn prefix_too_long(len: u32, max: u32, span: Span) -> Box<Diagnostic> {
    let error = Diagnostic::error(span, format!("the prefix length {len} is greater than {max}"));
    Box::new(error.with_help(format!("a prefix length is at most {max}; `/{max}` is a single address")))
}

fn host_bits(text: &str, span: Span, network: &str) -> Box<Diagnostic> {
    let error = Diagnostic::error(span, format!("non-network bits set in \"{text}\""));
    Box::new(error.with_help(format!("the network is `{network}`; for one address write `host`")))
}

fn port_too_large(port: u32, span: Span) -> Box<Diagnostic> {
    let error = Diagnostic::error(span, format!("port number {port} is greater than the maximum, {MAX_PORT}"));
    Box::new(error.with_help(format!("ports are 0 to {MAX_PORT}")))
}

fn invalid_decnet(text: &str, span: Span) -> Box<Diagnostic> {
    let error = Diagnostic::error(span, format!("invalid DECnet address '{text}'"));
    Box::new(error.with_help("write AREA.NODE, with an area of at most 63 and a node of at most 1023"))
}

fn gateway_wants_name(span: Span) -> Box<Diagnostic> {
    let error = Diagnostic::error(span, "`gateway` requires a name");
    Box::new(error.with_help("or write `ether host MAC and not host ADDRESS`"))
}
