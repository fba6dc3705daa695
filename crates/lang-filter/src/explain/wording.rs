//! Remarks in plain language: what an instruction does, given what is known where it is reached.

use std::fmt::Write;

use skep_isa::classic::{AluOp, Insn, JmpOp, Op, ancillary};
use skep_proto::numbers::{self, ethertype, icmp, icmp6, llc_sap};

use super::expr::{Address, Expr};
use super::flow::{Assumption, Hit, State, Test, after};
use super::layers::{Field, Kind, Layer, announced};

/// Stands for " of HEADER" until the remarks of all versions are joined.
const OF: char = '\u{1}';

/// A remark that holds on some paths.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Phrase {
    text: String,
    /// The header to name at [`OF`].
    of: Option<Layer>,
    /// Where the bytes are, for the end of the remark.
    place: Option<String>,
    rank: Rank,
}

/// How much a phrase tells. Of the phrases for different paths only those with the most are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Nothing.
    Unknown,
    /// Numbers of bytes of the packet.
    Bytes,
    /// Numbers of bytes of a header.
    Header,
    /// A part of a field.
    Part,
    /// A field, or a quantity that is no field.
    Field,
}

impl Phrase {
    fn new(text: impl Into<String>, rank: Rank) -> Self {
        Self { text: text.into(), of: None, place: None, rank }
    }

    /// With the header named in place.
    fn plain(&self) -> String {
        let of = self.of.map(|layer| format!(" of {}", layer.name())).unwrap_or_default();
        self.text.replace(OF, &of)
    }

    fn map(self, f: impl FnOnce(&str) -> String) -> Self {
        Self { text: f(&self.text), ..self }
    }
}

/// The remark for the instruction that is reached in `states`.
pub(super) fn remark(op: Op, at: usize, states: &[State]) -> String {
    if states.is_empty() {
        return "never reached".to_owned();
    }
    match op {
        Op::RetK(0) => return "reject".to_owned(),
        Op::RetK(k) => return format!("accept: keep up to {k} bytes"),
        Op::Ja(k) => return format!("go on at {}", (at as u64) + 1 + u64::from(k)),
        _ => {}
    }
    join(states.iter().map(|state| phrase(op, state)).collect())
}

/// The question that a conditional jump asks; `None` for other instructions.
pub(super) fn question(op: Op, states: &[State]) -> Option<String> {
    matches!(op, Op::JumpK { .. } | Op::JumpX { .. }).then(|| remark(op, 0, states))
}

/// Joins the remarks of all versions; those that tell more displace the others.
fn join(phrases: Vec<Phrase>) -> String {
    let best = phrases.iter().map(|phrase| phrase.rank).max();
    let mut groups: Vec<Group> = Vec::new();
    for phrase in phrases.into_iter().filter(|phrase| Some(phrase.rank) == best) {
        match groups.iter_mut().find(|group| group.text == phrase.text) {
            Some(group) => group.add(&phrase),
            None => groups.push(Group::of(phrase)),
        }
    }
    let dropped = groups.len().saturating_sub(MAX_GROUPS);
    groups.truncate(MAX_GROUPS);
    let mut texts: Vec<String> = groups.iter().map(Group::text).collect();
    if dropped > 0 {
        texts.push("something else".to_owned());
    }
    texts.join("; or: ")
}

/// Most different remarks printed for one instruction.
const MAX_GROUPS: usize = 3;

/// Phrases that differ in nothing but the header that they name.
struct Group {
    text: String,
    names: Vec<&'static str>,
    place: Option<String>,
}

impl Group {
    fn of(phrase: Phrase) -> Self {
        Self { names: phrase.of.map(Layer::name).into_iter().collect(), text: phrase.text, place: phrase.place }
    }

    fn add(&mut self, phrase: &Phrase) {
        let name = phrase.of.map(Layer::name);
        self.names.extend(name.filter(|name| !self.names.contains(name)));
        if self.place != phrase.place {
            self.place = None;
        }
    }

    fn text(&self) -> String {
        let of = match &self.names[..] {
            [] => String::new(),
            [name] => format!(" of {name}"),
            [names @ .., last] => format!(" of {} or {last}", names.join(", ")),
        };
        let place = self.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
        self.text.replace(OF, &of) + &place
    }
}

fn phrase(op: Op, state: &State) -> Phrase {
    let next = after(op, state);
    let a = |verb: &str| describe(&next, next.a()).map(|what| format!("{verb}{what}"));
    match op {
        Op::LdAbs(..) | Op::LdInd(..) => {
            let what = describe(&next, next.a());
            let place = match next.a() {
                Expr::Load(address, size) if address.terms.is_empty() && what.rank > Rank::Bytes => {
                    Some(byte_range(address, *size))
                }
                _ => None,
            };
            let article = if matches!(what.rank, Rank::Field) { "the " } else { "" };
            Phrase { place, ..what.map(|what| format!("load {article}{what}")) }
        }
        Op::LdImm(k) => Phrase::new(format!("A = {k}"), Rank::Field),
        Op::LdLen => Phrase::new("load the packet length", Rank::Field),
        Op::LdMem(k) => a(&format!("A = M[{k}]: ")),
        Op::LdxMem(k) => describe(&next, next.x()).map(|what| format!("X = M[{k}]: {what}")),
        Op::LdxImm(_) | Op::LdxLen | Op::LdxMsh(_) | Op::Tax => {
            describe(&next, next.x()).map(|what| format!("X = {what}"))
        }
        Op::St(k) => describe(state, state.a()).map(|what| format!("M[{k}] = {what}")),
        Op::Stx(k) => describe(state, state.x()).map(|what| format!("M[{k}] = {what}")),
        Op::AluK(..) | Op::AluX(_) | Op::Neg | Op::Txa => a("A = "),
        Op::JumpK { op, k, .. } => compare(state, op, k),
        Op::JumpX { op, .. } => {
            let verb = match op {
                JmpOp::Eq => "equals",
                JmpOp::Gt => "is over",
                JmpOp::Ge => "is at least",
                JmpOp::Set => "has bits in common with",
            };
            let x = describe(state, state.x());
            describe(state, state.a()).map(|what| format!("{what} {verb} {}?", x.plain()))
        }
        Op::RetA => describe(state, state.a()).map(|what| format!("keep as many bytes as: {what}")),
        Op::Ja(_) | Op::RetK(_) => Phrase::new("", Rank::Unknown),
    }
}

/// The name of a value.
fn describe(state: &State, expr: &Expr) -> Phrase {
    match expr {
        Expr::Const(k) => Phrase::new(number(*k), Rank::Field),
        Expr::Len => Phrase::new("packet length", Rank::Field),
        Expr::Unknown => Phrase::new("a computed value", Rank::Unknown),
        Expr::Ancillary(k) => match ancillary(*k) {
            Some(word) => {
                let meaning = word.meaning.split(':').next().unwrap_or(word.meaning);
                Phrase::new(format!("{meaning} (from the kernel)"), Rank::Field)
            }
            None => Phrase::new("a word from the kernel", Rank::Unknown),
        },
        Expr::Load(address, size) => match state.find(address, *size, None) {
            Some(hit) => describe_hit(&hit, *size),
            None => tcp_payload(state, address, *size)
                .unwrap_or_else(|| Phrase::new(byte_range(address, *size) + &behind(state, address), Rank::Bytes)),
        },
        Expr::Bin(op, a, b) => header_length(state, expr)
            .or_else(|| state.field(expr).map(|hit| describe_hit(&hit, 0)))
            .unwrap_or_else(|| operation(state, *op, a, b)),
    }
}

fn describe_hit(hit: &Hit, size: u32) -> Phrase {
    let Some(field) = hit.field else {
        if hit.layer == Layer::Udp && hit.distance >= UDP_HEADER {
            let bytes = byte_range(&Address::fixed(hit.distance - UDP_HEADER), size);
            return Phrase::new(format!("{bytes} of the UDP payload"), Rank::Header);
        }
        let bytes = byte_range(&Address::fixed(hit.distance), size);
        return Phrase { of: Some(hit.layer), ..Phrase::new(format!("{bytes}{OF}"), Rank::Header) };
    };
    // Some names say where they belong.
    let speaks = field.kind == Kind::EtherType || field.name.contains(field.layer.name());
    let of = (!speaks).then_some(field.layer);
    let (text, rank) = match hit.part {
        None => (format!("{}{OF}", field.name), Rank::Field),
        Some((first, count)) => {
            (format!("{} of the {}{OF}", byte_range(&Address::fixed(first), count), field.name), Rank::Part)
        }
    };
    Phrase { of, ..Phrase::new(text, rank) }
}

/// Bytes of a UDP header (RFC 768).
const UDP_HEADER: u32 = 8;

/// The bytes behind a TCP header, whose length the header tells.
fn tcp_payload(state: &State, address: &Address, size: u32) -> Option<Phrase> {
    let tcp = state.layers.iter().filter(|(layer, _)| *layer == Layer::Tcp);
    tcp.map(|(_, start)| Expr::tcp_header_len(start).address().sum(start.clone())).find_map(|payload| {
        let distance = address.k.wrapping_sub(payload.k);
        let inside = payload.terms == address.terms && distance < 0x1_0000;
        let bytes = byte_range(&Address::fixed(distance), size);
        inside.then(|| Phrase::new(format!("{bytes} of the TCP payload"), Rank::Header))
    })
}

/// The patterns that compute the length of a header.
fn header_length(state: &State, expr: &Expr) -> Option<Phrase> {
    let text = |layer: Layer| Some(Phrase::new(format!("length of the {} header", layer.name()), Rank::Field));
    if *expr == Expr::radiotap_len() && state.layers.iter().any(|(layer, _)| *layer == Layer::Radiotap) {
        return text(Layer::Radiotap);
    }
    state.layers.iter().find_map(|(layer, start)| match layer {
        Layer::Ipv4 if *expr == Expr::ipv4_header_len(start) => text(*layer),
        Layer::Tcp if *expr == Expr::tcp_header_len(start) => text(*layer),
        Layer::Geneve if *expr == Expr::geneve_options_len(start) => {
            Some(Phrase::new("length of the Geneve options", Rank::Field))
        }
        _ => None,
    })
}

fn operation(state: &State, op: AluOp, a: &Expr, b: &Expr) -> Phrase {
    let (first, second) = (describe(state, a), describe(state, b));
    let right = match (op, b) {
        (AluOp::And | AluOp::Or | AluOp::Xor, Expr::Const(k)) => format!("{k:#x}"),
        // What was a subtraction reads better as one.
        (AluOp::Add, Expr::Const(k)) if *k > i32::MAX as u32 => {
            return Phrase::new(format!("({} - {})", first.plain(), k.wrapping_neg()), first.rank);
        }
        _ => second.plain(),
    };
    let rank = first.rank.min(second.rank);
    Phrase::new(format!("({} {} {right})", first.plain(), symbol(op)), rank)
}

const fn symbol(op: AluOp) -> &'static str {
    match op {
        AluOp::Add => "+",
        AluOp::Sub => "-",
        AluOp::Mul => "*",
        AluOp::Div => "/",
        AluOp::Or => "|",
        AluOp::And => "&",
        AluOp::Lsh => "<<",
        AluOp::Rsh => ">>",
        AluOp::Mod => "%",
        AluOp::Xor => "^",
    }
}

/// "byte 23" or "bytes 12-13"; the terms of the address are for [`behind`].
fn byte_range(address: &Address, size: u32) -> String {
    match size {
        1 => format!("byte {}", address.k),
        _ => format!("bytes {}-{}", address.k, u64::from(address.k) + u64::from(size.max(1)) - 1),
    }
}

fn behind(state: &State, address: &Address) -> String {
    let terms: Vec<String> = address.terms.iter().map(|term| describe(state, term).plain()).collect();
    if terms.is_empty() { String::new() } else { format!(" after {}", terms.join(" + ")) }
}

/// The question whether A compares to `k`.
fn compare(state: &State, op: JmpOp, k: u32) -> Phrase {
    if op == JmpOp::Set {
        return compare_bits(state, k);
    }
    let subject = describe(state, state.a());
    let hit = state.field(state.a());
    let field = hit.as_ref().and_then(|hit| hit.field);
    match (op, field) {
        (JmpOp::Gt, Some(field)) if field.kind == Kind::EtherType && k == 1500 => {
            return Phrase::new("an EtherType, not an 802.3 length?", Rank::Field);
        }
        (JmpOp::Eq, None) => {
            if let Some(phrase) = compare_flags(state, k) {
                return phrase;
            }
        }
        _ => {}
    }
    let value = match (field, &hit, state.a()) {
        (Some(field), Some(hit), _) => value_text(field, hit.part, k),
        (_, _, Expr::Ancillary(word)) if ancillary(*word).is_some_and(|word| word.name == "type") => {
            named_number(PACKET_TYPES.get(k as usize).copied(), k)
        }
        // Bytes whose meaning is unknown are better compared with a dump.
        (None, _, Expr::Load(..)) if k > 9 => format!("{k:#x}"),
        _ => number(k),
    };
    let plural = subject.text.starts_with("bytes ");
    let verb = match (op, plural) {
        (JmpOp::Eq, false) => "is",
        (JmpOp::Eq, true) => "are",
        (JmpOp::Gt, false) => "is over",
        (JmpOp::Gt, true) => "are over",
        (JmpOp::Ge | JmpOp::Set, false) => "is at least",
        (JmpOp::Ge | JmpOp::Set, true) => "are at least",
    };
    subject.map(|what| format!("{what} {verb} {value}?"))
}

/// The question whether A has one of the bits `k`.
fn compare_bits(state: &State, k: u32) -> Phrase {
    let masked = Expr::bin(AluOp::And, state.a(), &Expr::Const(k));
    if let Some(hit) = state.field(&masked)
        && let Some(field) = hit.field
        && field.mask == k
    {
        return match field.kind {
            Kind::FragmentOffset => Phrase::new("a fragment other than the first?", Rank::Field),
            Kind::GroupBit => Phrase::new("the destination is a group (multicast or broadcast)?", Rank::Field),
            _ => describe_hit(&hit, 0).map(|what| format!("{what} is set?")),
        };
    }
    if let Some(Hit { field: Some(Field { kind: Kind::TcpFlags, .. }), part: None, layer, .. }) = state.field(state.a())
    {
        let text = format!("{} set in the flags{OF}?", flag_names(k).join(" or "));
        return Phrase { of: Some(layer), ..Phrase::new(text, Rank::Field) };
    }
    describe(state, state.a()).map(|what| format!("any of the bits {k:#x} set in {what}?"))
}

/// The question whether the flags of TCP under a mask are `k`.
fn compare_flags(state: &State, k: u32) -> Option<Phrase> {
    let Expr::Bin(AluOp::And, flags, mask) = state.a() else { return None };
    let Expr::Const(mask) = **mask else { return None };
    let hit = state.field(flags)?;
    if hit.field?.kind != Kind::TcpFlags || hit.part.is_some() {
        return None;
    }
    let names = flag_names(mask).join(", ");
    let text = match k {
        0 => format!("of the flags{OF} none of {names} set?"),
        _ if k == mask => format!("of the flags{OF} all of {names} set?"),
        _ => format!("of the flags{OF} {names} only {} set?", flag_names(k).join(", ")),
    };
    Some(Phrase { of: Some(hit.layer), ..Phrase::new(text, Rank::Field) })
}

/// The names of TCP flags, from the constants of the filter language.
fn flag_names(mask: u32) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = mask;
    for named in numbers::FILTER_CONSTANTS {
        if let Some(name) = named.name.strip_prefix("tcp-")
            && named.number & rest != 0
            && named.number.is_power_of_two()
        {
            names.push(name.to_uppercase());
            rest &= !named.number;
        }
    }
    if rest != 0 {
        names.push(format!("{rest:#x}"));
    }
    names
}

/// A value as the field writes it.
fn value_text(field: &Field, part: Option<(u32, u32)>, value: u32) -> String {
    let count = part.map_or(field.size, |part| part.1).min(4);
    let bytes = &value.to_be_bytes()[4 - count as usize..];
    let byte = u8::try_from(value).ok();
    let named = |name: Option<&str>| match name {
        Some(name) => format!("{name} ({value:#x})"),
        None => format!("{value:#x}"),
    };
    match field.kind {
        Kind::Mac => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"),
        Kind::Ipv4 => bytes.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
        Kind::Ipv6 => {
            let groups = bytes.chunks(2).map(|pair| {
                pair.iter().fold(String::new(), |mut text, byte| {
                    let _ = write!(text, "{byte:02x}");
                    text
                })
            });
            groups.collect::<Vec<_>>().join(":")
        }
        Kind::EtherType => named(u16::try_from(value).ok().and_then(ethertype::name)),
        Kind::PppProtocol | Kind::HostFamily | Kind::NetFamily => named(announced(field, value).map(Layer::name)),
        Kind::IpProtocol => match byte.and_then(numbers::ip_protocol) {
            Some(row) => format!("{} ({value})", row.title.unwrap_or(row.name)),
            None => number(value),
        },
        Kind::Icmp => named_number(byte.and_then(icmp::name), value),
        Kind::Icmp6 => named_number(byte.and_then(icmp6::name), value),
        Kind::Sap => named(byte.and_then(llc_sap::name)),
        Kind::ArpOperation => {
            let names = [None, Some("request"), Some("reply"), Some("reverse request"), Some("reverse reply")];
            named_number(names.get(value as usize).copied().flatten(), value)
        }
        Kind::TcpFlags if value != 0 => format!("{} alone", flag_names(value).join("+")),
        Kind::Number | Kind::IpVersion | Kind::HeaderLength | Kind::FragmentOffset if field.mask != u32::MAX => {
            number(value >> field.mask.trailing_zeros())
        }
        _ => number(value),
    }
}

fn named_number(name: Option<&str>, value: u32) -> String {
    match name {
        Some(name) => format!("{name} ({value})"),
        None => number(value),
    }
}

/// What the numbers of the packet type mean (`linux/if_packet.h`).
const PACKET_TYPES: [&str; 5] = ["to this host", "broadcast", "multicast", "to another host", "outgoing"];

/// A number, also in hexadecimal where that may help.
fn number(k: u32) -> String {
    if k < 0x1_0000 { k.to_string() } else { format!("{k:#x}") }
}

/// One line about a header that the program relies on; `all` is the list that it stands in.
pub(super) fn assumption(assumption: &Assumption, all: &[Assumption]) -> String {
    let name = assumption.layer.name();
    let mut place = format!("byte {}", assumption.start.k);
    for term in &assumption.start.terms {
        let ipv4 = |other: &Assumption| other.layer == Layer::Ipv4 && **term == Expr::ipv4_header_len(&other.start);
        let geneve =
            |other: &Assumption| other.layer == Layer::Geneve && **term == Expr::geneve_options_len(&other.start);
        let what = match &**term {
            term if *term == Expr::radiotap_len() => "the length of the radiotap header",
            _ if all.iter().any(ipv4) => "the length of the IPv4 header",
            _ if all.iter().any(geneve) => "the length of the Geneve options",
            _ => "a length in the packet",
        };
        let _ = write!(place, " + {what}");
    }
    match assumption.because {
        None => format!("{name} from {place}: the link type"),
        Some(Test { field, op, k, holds }) => {
            let value = match (op, holds) {
                (JmpOp::Eq, _) => format!("is {}", value_text(field, None, k)),
                (JmpOp::Set, true) => "is set".to_owned(),
                (JmpOp::Set, false) => "is clear".to_owned(),
                (JmpOp::Gt, _) => format!("is {k} or less"),
                (JmpOp::Ge, _) => format!("is less than {k}"),
            };
            let of = match field.kind {
                Kind::EtherType => String::new(),
                _ if field.name.contains(field.layer.name()) => String::new(),
                _ => format!(" of {}", field.layer.name()),
            };
            format!("{name} from {place}: where the {}{of} {value}", field.name)
        }
    }
}

/// What a jump of `distance` from the instruction at `at` leads to at once: "accept" or "reject".
pub(super) fn outcome(program: &[Insn], at: usize, distance: u8) -> Option<&'static str> {
    let mut target = at.checked_add(1)?.checked_add(usize::from(distance))?;
    // Jumps go forward, so the loop ends.
    while let Some(Op::Ja(k)) = program.get(target)?.decode() {
        target = target.checked_add(1)?.checked_add(usize::try_from(k).ok()?)?;
    }
    match program.get(target)?.decode()? {
        Op::RetK(0) => Some("reject"),
        Op::RetK(_) => Some("accept"),
        _ => None,
    }
}
