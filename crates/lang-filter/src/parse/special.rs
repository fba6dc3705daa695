//! Primitives of particular link types, and the names that stand for their numbers: 802.11, LLC, pf, ATM, SS7.
//!
//! Names are compared without regard to case, as tcpdump does here (and only here).

use super::{Fallible, Operand, Parser};
use crate::ast::{LlcType, Mtp3Field, NodeKind, Primitive, RelOp};
use crate::lex::{Tok, words::Word};
use crate::suggest;
use skep_diag::{Diagnostic, Span};

/// IEEE 802.11: the type and subtype bits of the first frame control byte, and both.
const TYPE_MASK: u32 = 0x0c;
const SUBTYPE_MASK: u32 = 0xf0;

// TABLE: pcap-filter(7), IEEE 802.11-2020 table 9-1.
const WLAN_TYPES: &[(&str, u32)] = &[("mgt", 0x00), ("ctl", 0x04), ("data", 0x08)];

// TABLE: subtypes by type.
const WLAN_SUBTYPES: [&[(&str, u32)]; 3] = [
    &[
        ("assoc-req", 0x00),
        ("assocreq", 0x00),
        ("assoc-resp", 0x10),
        ("assocresp", 0x10),
        ("reassoc-req", 0x20),
        ("reassocreq", 0x20),
        ("reassoc-resp", 0x30),
        ("reassocresp", 0x30),
        ("probe-req", 0x40),
        ("probereq", 0x40),
        ("probe-resp", 0x50),
        ("proberesp", 0x50),
        ("beacon", 0x80),
        ("atim", 0x90),
        ("disassoc", 0xa0),
        ("disassociation", 0xa0),
        ("auth", 0xb0),
        ("authentication", 0xb0),
        ("deauth", 0xc0),
        ("deauthentication", 0xc0),
    ],
    &[
        // `bar` and `ba` since 1.11.
        ("bar", 0x80),
        ("ba", 0x90),
        ("ps-poll", 0xa0),
        ("rts", 0xb0),
        ("cts", 0xc0),
        ("ack", 0xd0),
        ("cf-end", 0xe0),
        ("cf-end-ack", 0xf0),
    ],
    &[
        ("data", 0x00),
        ("data-cf-ack", 0x10),
        ("data-cf-poll", 0x20),
        ("data-cf-ack-poll", 0x30),
        ("null", 0x40),
        ("cf-ack", 0x50),
        ("cf-poll", 0x60),
        ("cf-ack-poll", 0x70),
        ("qos-data", 0x80),
        ("qos-data-cf-ack", 0x90),
        ("qos-data-cf-poll", 0xa0),
        ("qos-data-cf-ack-poll", 0xb0),
        ("qos", 0xc0),
        ("qos-cf-poll", 0xe0),
        ("qos-cf-ack-poll", 0xf0),
    ],
];

// TABLE
const WLAN_DIRS: &[(&str, u32)] = &[("nods", 0), ("tods", 1), ("fromds", 2), ("dstods", 3)];

// TABLE: pcap-filter(7).
const LLC_TYPES: &[(&str, LlcType)] = &[
    ("i", LlcType::I),
    ("s", LlcType::S),
    ("u", LlcType::U),
    ("rr", LlcType::Rr),
    ("rnr", LlcType::Rnr),
    ("rej", LlcType::Rej),
    ("ui", LlcType::Ui),
    ("ua", LlcType::Ua),
    ("disc", LlcType::Disc),
    ("dm", LlcType::Dm),
    ("sabme", LlcType::Sabme),
    ("test", LlcType::Test),
    ("xid", LlcType::Xid),
    ("frmr", LlcType::Frmr),
];

// TABLE: PFRES_* of OpenBSD's net/pfvar.h.
const PF_REASONS: &[(&str, u32)] = &[
    ("match", 0),
    ("bad-offset", 1),
    ("fragment", 2),
    ("short", 3),
    ("normalize", 4),
    ("memory", 5),
    ("bad-timestamp", 6),
    ("congestion", 7),
    ("ip-option", 8),
    ("proto-cksum", 9),
    ("state-mismatch", 10),
    ("state-insert", 11),
    ("state-limit", 12),
    ("src-limit", 13),
    ("synproxy", 14),
];

// TABLE: PF_* actions of OpenBSD's net/pfvar.h.
const PF_ACTIONS: &[(&str, u32)] = &[
    ("pass", 0),
    ("accept", 0),
    ("drop", 1),
    ("block", 1),
    ("scrub", 2),
    ("noscrub", 3),
    ("nat", 4),
    ("nonat", 5),
    ("binat", 6),
    ("nobinat", 7),
    ("rdr", 8),
    ("nordr", 9),
    ("synproxy-drop", 10),
];

fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|&(_, value)| value)
}

/// The largest value of a field and the name it has in messages: the 1.10 and 1.11 releases check these.
pub(super) fn mtp3_limit(field: Mtp3Field) -> (&'static str, u32) {
    match field {
        Mtp3Field::Sio | Mtp3Field::Hsio => ("sio", 255),
        Mtp3Field::Opc | Mtp3Field::Hopc => ("opc", 16_383),
        Mtp3Field::Dpc | Mtp3Field::Hdpc => ("dpc", 16_383),
        Mtp3Field::Sls | Mtp3Field::Hsls => ("sls", 15),
    }
}

impl Parser<'_> {
    /// `type T`, `type T subtype S`, `subtype S`, `dir D`; `start` is where the primitive begins.
    pub(super) fn wlan(&mut self, word: Word, start: Span) -> Fallible<Operand> {
        self.next();
        let primitive = match word {
            Word::Subtype => {
                let (name, span) = self.table_name("an 802.11 subtype name")?;
                let found = WLAN_SUBTYPES.iter().zip(WLAN_TYPES).find_map(|(subtypes, kind)| {
                    find(self.known_subtypes(subtypes), &name).map(|subtype| kind.1 | subtype)
                });
                let names = WLAN_SUBTYPES.iter().flat_map(|table| table.iter().map(|row| row.0));
                let value = found.ok_or_else(|| unknown("802.11 subtype", &name, span, names))?;
                Primitive::WlanTypeSubtype { value, mask: TYPE_MASK | SUBTYPE_MASK }
            }
            Word::WlanDir => match self.peek() {
                Tok::Num(number) => {
                    self.next();
                    Primitive::WlanDir(number)
                }
                _ => Primitive::WlanDir(self.table_value("802.11 direction", WLAN_DIRS)?),
            },
            _ => self.wlan_type()?,
        };
        let span = self.previous().map_or(start, |last| start.to(last.span));
        let node = self.push(NodeKind::Primitive(primitive), span);
        Ok(Operand { node, span, is_id: false, quals: None })
    }

    fn wlan_type(&mut self) -> Fallible<Primitive> {
        let kind_span = self.token(0).span;
        let kind = match self.peek() {
            Tok::Num(number) => self.masked_number(number, TYPE_MASK, "type")?,
            _ => self.table_value("802.11 type", WLAN_TYPES)?,
        };
        if self.peek() != Tok::Word(Word::Subtype) {
            return Ok(Primitive::WlanType(kind));
        }
        self.next();
        let subtype = if let Tok::Num(number) = self.peek() {
            self.masked_number(number, SUBTYPE_MASK, "subtype")?
        } else {
            let (name, span) = self.table_name("an 802.11 subtype")?;
            let Some(table) =
                WLAN_SUBTYPES.iter().zip(WLAN_TYPES).find(|(_, row)| row.1 == kind).map(|(table, _)| table)
            else {
                let error = Diagnostic::error(kind_span, "this 802.11 type has no subtypes with names");
                return Err(Box::new(error.with_help("write the subtype as a number: `subtype 0x80`")));
            };
            let known = self.known_subtypes(table);
            find(known, &name)
                .ok_or_else(|| unknown("802.11 subtype of this type", &name, span, known.iter().map(|row| row.0)))?
        };
        Ok(Primitive::WlanTypeSubtype { value: kind | subtype, mask: TYPE_MASK | SUBTYPE_MASK })
    }

    /// The subtypes that the release knows: `bar` and `ba`, the first two of their table, came with 1.11.
    fn known_subtypes(&self, table: &'static [(&'static str, u32)]) -> &'static [(&'static str, u32)] {
        match table {
            [("bar", _), _, rest @ ..] if self.compat == super::Compat::V1_10 => rest,
            _ => table,
        }
    }

    fn masked_number(&mut self, number: u32, mask: u32, what: &str) -> Fallible<u32> {
        let span = self.next().span;
        if number & !mask == 0 {
            return Ok(number);
        }
        let error = Diagnostic::error(span, format!("invalid 802.11 {what} value {number:#04x}"));
        Err(Box::new(error.with_help(format!("only the bits {mask:#04x} of the frame control byte may be set"))))
    }

    /// `llc`, `llc TYPE`
    pub(super) fn llc(&mut self) -> Fallible<Primitive> {
        match self.peek() {
            // `rnr` is a keyword of its own, of pf.
            Tok::Word(Word::PfRule) => {
                self.next();
                Ok(Primitive::Llc(Some(LlcType::Rnr)))
            }
            Tok::Name => Ok(Primitive::Llc(Some(self.table_value("LLC type", LLC_TYPES)?))),
            _ => Ok(Primitive::Llc(None)),
        }
    }

    pub(super) fn pf_reason(&mut self) -> Fallible<Primitive> {
        match self.peek() {
            Tok::Num(number) => {
                self.next();
                Ok(Primitive::PfReason(number))
            }
            _ => Ok(Primitive::PfReason(self.table_value("pf reason", PF_REASONS)?)),
        }
    }

    pub(super) fn pf_action(&mut self) -> Fallible<Primitive> {
        Ok(Primitive::PfAction(self.table_value("pf action", PF_ACTIONS)?))
    }

    /// `FIELD N`, `FIELD relop N` or `FIELD (N or N...)`; the list becomes primitives joined by `or`.
    pub(super) fn field(
        &mut self,
        start: Span,
        limit: Option<(&str, u32)>,
        make: impl Fn(RelOp, u32) -> Primitive,
    ) -> Fallible<Option<Operand>> {
        match self.peek() {
            Tok::Rel(op) => {
                self.next();
                let value = self.limited(limit)?;
                let span = self.previous().map_or(start, |last| start.to(last.span));
                Ok(self.plain(make(op, value), span))
            }
            Tok::Open => {
                self.next();
                let mut left = None;
                loop {
                    let value_span = self.token(0).span;
                    let primitive = make(RelOp::Eq, self.limited(limit)?);
                    let mut node = self.push(NodeKind::Primitive(primitive), value_span);
                    if let Some(left) = left {
                        node = self.push(NodeKind::Or(left, node), start.to(value_span));
                    }
                    left = Some(node);
                    match self.peek() {
                        Tok::Or => self.next(),
                        Tok::Close => {
                            let span = start.to(self.next().span);
                            return Ok(Some(Operand { node, span, is_id: false, quals: None }));
                        }
                        _ => return Err(self.expected("`or` or `)`")),
                    };
                }
            }
            _ => {
                let value = self.limited(limit)?;
                let span = self.previous().map_or(start, |last| start.to(last.span));
                Ok(self.plain(make(RelOp::Eq, value), span))
            }
        }
    }

    fn limited(&mut self, limit: Option<(&str, u32)>) -> Fallible<u32> {
        let span = self.token(0).span;
        let value = self.number("a number")?;
        match limit {
            Some((name, max)) if value > max => {
                let error = Diagnostic::error(span, format!("{name} value {value} is too large; the maximum is {max}"));
                Err(Box::new(error.with_help(format!("write a number from 0 to {max}"))))
            }
            _ => Ok(value),
        }
    }

    fn table_value<T: Copy>(&mut self, what: &str, table: &[(&'static str, T)]) -> Fallible<T> {
        let (name, span) = self.table_name(&format!("a name: the {what}"))?;
        find(table, &name).ok_or_else(|| unknown(what, &name, span, table.iter().map(|row| row.0)))
    }

    fn table_name(&mut self, what: &str) -> Fallible<(String, Span)> {
        let span = self.token(0).span;
        Ok((self.plain_name(what)?, span))
    }
}

fn unknown(what: &str, name: &str, span: Span, known: impl Iterator<Item = &'static str> + Clone) -> Box<Diagnostic> {
    let error = Diagnostic::error(span, format!("unknown {what} \"{}\"", suggest::shorten(name)));
    let help = match suggest::closest(name, known.clone()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("known are {}", known.collect::<Vec<_>>().join(", ")),
    };
    Box::new(error.with_help(help))
}
