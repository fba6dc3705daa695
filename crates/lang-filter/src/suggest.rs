//! What the author probably meant: remedies for expressions that do not parse.
//!
//! Nothing here decides whether an expression is valid; the functions only look at the text around an error.

use crate::ast::Kind;
use crate::lex::{Tok, Token, words::WORDS};
use skep_diag::{Diagnostic, Span};
use skep_isa::near::distance;
use std::borrow::Cow;

/// Text for a message: cut if it is long.
pub(crate) fn shorten(text: &str) -> Cow<'_, str> {
    const MAX_CHARS: usize = 40;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// The two numbers of a range such as `80-90`, if it is one.
pub(crate) fn number_range(name: &str) -> Option<(u32, u32)> {
    let (low, high) = name.split_once('-')?;
    Some((low.parse().ok()?, high.parse().ok()?))
}

/// The candidate that is most like `name`, if one is like it.
pub(crate) fn closest(name: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let allowed = match name.len() {
        0..=2 => return None,
        3..=5 => 1,
        6..=24 => 2,
        _ => return None,
    };
    let name = name.to_ascii_lowercase();
    let near = candidates.map(|candidate| (distance(&name, candidate), candidate));
    near.filter(|&(distance, _)| distance <= allowed).min_by_key(|&(distance, _)| distance).map(|(_, word)| word)
}

fn is_keyword(text: &str) -> bool {
    crate::lex::words::lookup(text).is_some()
}

/// A warning if a name is a keyword written in capitals.
pub(crate) fn capital_keyword(text: &str, span: Span) -> Option<Diagnostic> {
    let lower = text.to_ascii_lowercase();
    if lower == text || !is_keyword(&lower) {
        return None;
    }
    let warning = Diagnostic::warning(span, format!("`{text}` is taken as a name, because keywords are in lower case"));
    Some(warning.with_help(format!("write `{lower}` for the keyword")))
}

/// What an arithmetic operand may be.
pub(crate) const VALUES: &str =
    "values are numbers, `len`, named constants such as `tcp-syn`, and loads such as `ip[8]`";

/// Help for a name where an arithmetic operand is wanted.
pub(crate) fn instead_of_value(name: &str) -> String {
    if let Some(spaced) = spaced(name) {
        return format!("`{name}` is a single name; put blanks around the operator: `{spaced}`");
    }
    let lower = name.to_ascii_lowercase();
    if lower != name && is_keyword(&lower) {
        return format!("keywords are in lower case: `{lower}`");
    }
    let constants = skep_proto::numbers::FILTER_CONSTANTS.iter().map(|row| row.name);
    match closest(name, constants.chain(["len", "length", "mark", "queue", "rxhash", "random"])) {
        Some(close) => format!("did you mean `{close}`?"),
        None => VALUES.to_owned(),
    }
}

/// `len-14` as `len - 14`, if the parts are values.
fn spaced(name: &str) -> Option<String> {
    let is_value = |part: &str| matches!(part, "len" | "length") || part.parse::<u32>().is_ok();
    let (left, right) = name.split_once('-')?;
    (is_value(left) && right.split('-').all(is_value)).then(|| name.replace('-', " - "))
}

// TABLE: fields of display filters and what they are here; `{}` is the value, `{op}` the comparison.
const DISPLAY_FIELDS: &[(&str, &str)] = &[
    ("tcp.port", "tcp port {}"),
    ("tcp.srcport", "tcp src port {}"),
    ("tcp.dstport", "tcp dst port {}"),
    ("udp.port", "udp port {}"),
    ("udp.srcport", "udp src port {}"),
    ("udp.dstport", "udp dst port {}"),
    ("sctp.port", "sctp port {}"),
    ("ip.addr", "host {}"),
    ("ip.host", "host {}"),
    ("ip.src", "src host {}"),
    ("ip.dst", "dst host {}"),
    ("ip.src_host", "src host {}"),
    ("ip.dst_host", "dst host {}"),
    ("ipv6.addr", "ip6 host {}"),
    ("ipv6.src", "ip6 src host {}"),
    ("ipv6.dst", "ip6 dst host {}"),
    ("ip.proto", "ip proto {}"),
    ("ipv6.nxt", "ip6 proto {}"),
    ("ip.ttl", "ip[8] {op} {}"),
    ("ip.len", "ip[2:2] {op} {}"),
    ("ip.id", "ip[4:2] {op} {}"),
    ("ipv6.hlim", "ip6[7] {op} {}"),
    ("eth.addr", "ether host {}"),
    ("eth.src", "ether src {}"),
    ("eth.dst", "ether dst {}"),
    ("eth.type", "ether proto {}"),
    ("vlan.id", "vlan {}"),
    ("mpls.label", "mpls {}"),
    ("frame.len", "len {op} {}"),
    ("arp.opcode", "arp[6:2] {op} {}"),
    ("icmp.type", "icmp[icmptype] {op} {}"),
    ("icmp.code", "icmp[icmpcode] {op} {}"),
    ("icmpv6.type", "icmp6[icmp6type] {op} {}"),
    ("tcp.flags", "tcp[tcpflags] {op} {}"),
    ("tcp.flags.syn", "tcp[tcpflags] & tcp-syn != 0"),
    ("tcp.flags.ack", "tcp[tcpflags] & tcp-ack != 0"),
    ("tcp.flags.fin", "tcp[tcpflags] & tcp-fin != 0"),
    ("tcp.flags.reset", "tcp[tcpflags] & tcp-rst != 0"),
    ("tcp.flags.push", "tcp[tcpflags] & tcp-push != 0"),
    ("port", "port {}"),
];

/// Words that may follow a protocol or a whole primitive.
const AFTER_PROTOCOL: &[&str] =
    &["and", "host", "port", "portrange", "proto", "protochain", "broadcast", "multicast", "gateway"];

// TABLE: names of applications and layers that are no keywords, and what selects them.
const APPLICATIONS: &[(&str, &str)] = &[
    ("http", "tcp port 80"),
    ("https", "tcp port 443"),
    ("tls", "tcp port 443"),
    ("ssl", "tcp port 443"),
    ("quic", "udp port 443"),
    ("dns", "port 53"),
    ("mdns", "udp port 5353"),
    ("ssh", "tcp port 22"),
    ("telnet", "tcp port 23"),
    ("ftp", "tcp port 21"),
    ("tftp", "udp port 69"),
    ("smtp", "tcp port 25"),
    ("imap", "tcp port 143"),
    ("pop", "tcp port 110"),
    ("ntp", "udp port 123"),
    ("dhcp", "udp port 67 or udp port 68"),
    ("bootp", "udp port 67 or udp port 68"),
    ("dhcpv6", "udp port 546 or udp port 547"),
    ("snmp", "udp port 161"),
    ("syslog", "udp port 514"),
    ("sip", "port 5060"),
    ("ldap", "port 389"),
    ("rdp", "port 3389"),
    ("bgp", "tcp port 179"),
    ("mysql", "tcp port 3306"),
    ("wireguard", "udp port 51820"),
    ("eth", "ether"),
    ("ipv4", "ip"),
    ("ipv6", "ip6"),
    ("icmpv6", "icmp6"),
    ("lldp", "ether proto 0x88cc"),
];

/// A place in the text.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) source: &'a str,
    pub(crate) tokens: &'a [Token],
    pub(crate) at: usize,
}

impl<'a> Site<'a> {
    fn token(self, ahead: usize) -> Token {
        let end = Token { tok: Tok::End, span: Span::default() };
        self.tokens.get(self.at + ahead).copied().unwrap_or(end)
    }

    fn text(self, ahead: usize) -> &'a str {
        self.source.get(self.token(ahead).span.range()).unwrap_or("")
    }

    /// What follows a token as the author sees it: up to a blank, a parenthesis or an operator.
    fn value_after(self, ahead: usize) -> &'a str {
        let end = usize::try_from(self.token(ahead).span.end).unwrap_or(usize::MAX);
        let rest = self.source.get(end..).unwrap_or("").trim_start();
        let len = rest.find(|c: char| c.is_whitespace() || "()&|!".contains(c)).unwrap_or(rest.len());
        rest[..len].trim_matches(|c| c == '"' || c == '\'')
    }

    /// Words of ours that are not available yet, and fields of display filters.
    pub(crate) fn not_a_name(self) -> Option<Diagnostic> {
        let (token, name) = (self.token(0), self.text(0));
        let followed_by_id = matches!(self.token(1).tok, Tok::Name | Tok::Num(_) | Tok::Rel(_));
        if matches!(name, "process" | "pid" | "container") && followed_by_id {
            let message = format!("`{name}` needs tracing: not available for packet filters yet");
            let error = Diagnostic::error(token.span, message).with_label("a packet does not carry this");
            return Some(error.with_help("select the traffic by address and port, as in `tcp port 443`"));
        }
        let comparison = matches!(self.token(1).tok, Tok::Rel(_));
        let (field, value) = (name.to_ascii_lowercase(), self.value_after(1));
        let known = DISPLAY_FIELDS.iter().find(|row| row.0 == field);
        let field_alone = known.is_some() && field.contains('.') && self.at == 0;
        if !comparison && !field_alone {
            return None;
        }
        let error = Diagnostic::error(token.span, format!("`{}` is not a value that can be compared", shorten(name)));
        Some(match known {
            Some((_, template)) if comparison => {
                let meant = display_filter(template, self.text(1), value);
                error
                    .with_label("this is the syntax of display filters")
                    .with_help(format!("did you mean `{}`?", shorten(&meant)))
            }
            Some(_) => {
                error.with_help("this is the syntax of display filters; see pcap-filter(7) for the one of captures")
            }
            None => error.with_help(instead_of_value(name)),
        })
    }

    /// A name, number or address that nothing says the meaning of.
    pub(crate) fn bare_operand(self) -> Diagnostic {
        let token = self.token(0);
        let followed_by = self.token(1).tok;
        let mut span = token.span;
        if matches!(followed_by, Tok::Alu(skep_isa::classic::AluOp::Div)) && matches!(self.token(2).tok, Tok::Num(_)) {
            span = span.to(self.token(2).span);
        }
        let text = self.source.get(span.range()).unwrap_or("");
        let error = self.bare(text, span);
        let help = match token.tok {
            Tok::Name => self.instead_of_name(text),
            Tok::Mac(_) => format!("write `ether host {text}`"),
            Tok::Set => format!("write `host {text}`, `net {text}` or `port {text}`"),
            _ if span != token.span => format!("write `net {text}`"),
            _ => format!("write `host {text}`"),
        };
        error.with_help(help)
    }

    /// A number that nothing says the meaning of.
    pub(crate) fn bare_number(self, text: &str, span: Span) -> Diagnostic {
        self.bare(text, span).with_help(format!("write what it is: `port {text}`, `len = {text}`, `proto {text}`"))
    }

    fn bare(self, text: &str, span: Span) -> Diagnostic {
        let text = shorten(text);
        if self.at <= 1 {
            return Diagnostic::error(span, format!("`{text}` needs a qualifier in front of it"));
        }
        Diagnostic::error(span, format!("`{text}` needs a qualifier: there is none to take over from before it"))
            .with_help("a bare id takes the qualifiers of the primitive before it, not those in a closed parenthesis")
    }

    fn instead_of_name(self, name: &str) -> String {
        let lower = name.to_ascii_lowercase();
        if lower != name && is_keyword(&lower) {
            return format!("keywords are in lower case: `{lower}`");
        }
        if let Some((_, meant)) = APPLICATIONS.iter().find(|row| row.0 == lower) {
            return format!("filters know no applications by name; did you mean `{meant}`?");
        }
        if let Some(spaced) = spaced(name) {
            return format!("`{name}` is a single name; put blanks around the operator: `{spaced}`");
        }
        let keyword = closest(name, WORDS.iter().map(|row| row.0));
        match keyword {
            Some(keyword) => format!("did you mean `{keyword}`?"),
            None if name.contains('.') => format!("write `host {}` if it is a host", shorten(name)),
            None => format!("write `host {0}` or `port {0}` if it is one", shorten(name)),
        }
    }

    /// Something that cannot begin a primitive.
    pub(crate) fn instead_of_primitive(self) -> Option<String> {
        Some(match self.token(0).tok {
            Tok::And | Tok::Or => format!("`{}` stands between two primitives", self.text(0)),
            Tok::End => "complete the expression, or remove the operator before its end".to_owned(),
            Tok::Close => "an empty group means nothing; write a primitive in it".to_owned(),
            Tok::OpenBracket => "a protocol stands before `[`: `ip[0]`, `ether[0]`".to_owned(),
            Tok::Rel(_) => "a value stands before a comparison: `len > 100`, `ip[8] = 1`".to_owned(),
            _ => return None,
        })
    }

    /// Something that is not an id, after qualifiers (`head`) or in a group of ids.
    pub(crate) fn instead_of_id(self, head: Option<Span>, kind: Option<Kind>) -> Option<String> {
        let head_text = head.and_then(|head| self.source.get(head.range())).unwrap_or("");
        let text = shorten(self.text(0));
        Some(match self.token(0).tok {
            Tok::Rel(_) if kind == Some(Kind::Port) => port_comparison(head_text, self.text(0), self.value_after(0)),
            Tok::Rel(_) => {
                let not = if self.text(0) == "!=" { "not " } else { "" };
                format!("ids are not compared: write `{not}{head_text} {}`", shorten(self.value_after(0)))
            }
            Tok::End | Tok::And | Tok::Or | Tok::Close if head.is_some() => {
                format!("for example `{head_text} {}`", example(kind))
            }
            Tok::Word(_) if head.is_some() => {
                format!("`{text}` is a keyword; if it is meant as a name, write `{head_text} \\{text}`")
            }
            Tok::Word(_) => {
                "in a group that begins with a bare id only ids may follow; repeat the qualifiers for each".to_owned()
            }
            _ => return None,
        })
    }

    /// Something after a complete operand that is not an operator.
    pub(crate) fn instead_of_operator(self, before: Span) -> Option<String> {
        let (token, text) = (self.token(0), shorten(self.text(0)));
        let before_text = shorten(self.source.get(before.range()).unwrap_or(""));
        let last = self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map(|token| token.tok);
        let behind_extensions = before_text.starts_with("ip6 chain ");
        Some(match token.tok {
            Tok::Word(crate::lex::words::Word::Kind(Kind::Port)) if behind_extensions => {
                "for a port behind extension headers write `ip6 chain tcp and tcp6[2:2] = 443`".to_owned()
            }
            Tok::Name if matches!(text.to_ascii_lowercase().as_str(), "and" | "or") => {
                format!("keywords are in lower case: `{}`", text.to_ascii_lowercase())
            }
            Tok::Name if let Some(close) = closest(&text, AFTER_PROTOCOL.iter().copied()) => {
                format!("did you mean `{before_text} {close}`?")
            }
            Tok::Num(_) | Tok::Name if matches!(before_text.as_ref(), "tcp" | "udp" | "sctp") => {
                format!("write `{before_text} port {text}`")
            }
            Tok::Name | Tok::Quad | Tok::V6(_) if matches!(before_text.as_ref(), "ip" | "ip6" | "arp" | "rarp") => {
                format!("write `{before_text} host {text}`")
            }
            Tok::Colon if matches!(last, Some(Tok::Quad | Tok::Name)) => {
                format!("write `{before_text} and port {}`", shorten(self.value_after(0)))
            }
            Tok::Alu(skep_isa::classic::AluOp::Sub) if last.is_some_and(|last| matches!(last, Tok::Num(_))) => {
                "a range has no blanks: `portrange 6000-6010`".to_owned()
            }
            Tok::Rel(_) if last == Some(Tok::Close) => "a comparison needs a value on its left".to_owned(),
            Tok::Rel(_) => format!("`{before_text}` is a test of its own and is not compared with anything"),
            Tok::Num(_) | Tok::Name | Tok::Quad | Tok::V6(_) | Tok::Mac(_) | Tok::Word(_) | Tok::Open | Tok::Not => {
                format!("two tests are joined by `and` or `or`: `{before_text} and {text}`")
            }
            _ => return None,
        })
    }
}

/// An id of a kind, for messages.
fn example(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Port) => "443",
        Some(Kind::PortRange) => "6000-6010",
        Some(Kind::Net) => "10.0.0.0/8",
        Some(Kind::Proto | Kind::ProtoChain) => "\\tcp",
        Some(Kind::Gateway) => "router",
        Some(Kind::Default | Kind::Host) | None => "10.0.0.1",
    }
}

/// A display filter in our language.
fn display_filter(template: &str, op: &str, value: &str) -> String {
    let is_test = !template.contains("{op}");
    let port = template.contains("port ");
    let mut text = template.replace("{op}", op).replace("{}", value);
    if template.contains("host {}") && value.contains('/') {
        text = text.replace("host ", "net ");
    }
    if port && !matches!(op, "=" | "==" | "!=") {
        let head = template.trim_end_matches(" {}");
        return port_range(head, op, value).unwrap_or(text);
    }
    let negated = is_test && (op == "!=" || (!template.contains("{}") && value == "0"));
    if negated { format!("not {text}") } else { text }
}

/// Help for `port >= 1024` and its like.
fn port_comparison(head: &str, op: &str, value: &str) -> String {
    if let Some(range) = port_range(head, op, value) {
        return format!("ports are not compared: write `{range}`");
    }
    let not = if op == "!=" { "not " } else { "" };
    format!("ports are not compared: write `{not}{head} {}`", shorten(value))
}

fn port_range(head: &str, op: &str, value: &str) -> Option<String> {
    let value: u16 = value.parse().ok()?;
    let (low, high) = match op {
        ">" => (value.checked_add(1)?, u16::MAX),
        ">=" => (value, u16::MAX),
        "<" => (0, value.checked_sub(1)?),
        "<=" => (0, value),
        _ => return None,
    };
    Some(format!("{}range {low}-{high}", head.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words() {
        assert_eq!(closest("prot", WORDS.iter().map(|row| row.0)), Some("port"));
        assert_eq!(closest("zzzzzz", WORDS.iter().map(|row| row.0)), None);
    }

    #[test]
    fn display_filters_in_our_language() {
        let row = |field: &str| DISPLAY_FIELDS.iter().find(|row| row.0 == field).unwrap().1;
        assert_eq!(display_filter(row("tcp.port"), "==", "80"), "tcp port 80");
        assert_eq!(display_filter(row("tcp.port"), "!=", "80"), "not tcp port 80");
        assert_eq!(display_filter(row("udp.dstport"), ">", "1023"), "udp dst portrange 1024-65535");
        assert_eq!(display_filter(row("ip.addr"), "==", "10.0.0.0/8"), "net 10.0.0.0/8");
        assert_eq!(display_filter(row("frame.len"), "<=", "99"), "len <= 99");
        assert_eq!(display_filter(row("tcp.flags.syn"), "==", "0"), "not tcp[tcpflags] & tcp-syn != 0");
    }
}
