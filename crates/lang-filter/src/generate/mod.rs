//! From the syntax tree to a formula: what each primitive tests.
//!
//! The order of tests and of packet loads is libpcap's, since on a packet that is too short the first load beyond its end
//! decides. `vlan`, `mpls`, `pppoes`, `geneve`, `vxlan` and `lane` change the offsets of everything that is written after
//! them, in any branch: the generator therefore walks the tree in the order of the text and keeps the current offsets.

mod arith;
mod atm;
mod chain;
mod host;
pub mod layout;
mod linktype;
mod port;
mod proto;
mod tunnel;
mod wlan;
mod words;

use std::collections::HashMap;

use skep_diag::{Diagnostic, Span};
use skep_isa::classic::{AluOp, Size};
use skep_proto::LinkType;

use crate::ast::{Ast, NodeKind, Primitive};
use crate::formula::{FId, Formula, Formulas};
use crate::names::{NameError, Resolver};
use crate::options::{Compat, Options};
use crate::ranges::RangeSet;
use crate::value::{ValId, Values, Var};
use layout::Layout;

/// Why a primitive cannot be compiled: a sentence and remedies.
#[derive(Debug)]
pub struct Refusal {
    message: String,
    help: Vec<String>,
    /// The place, where it is narrower than the primitive.
    span: Option<Span>,
}

impl Refusal {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: Vec::new(), span: None }
    }
    fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
    fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }
}

impl From<NameError> for Refusal {
    fn from(error: NameError) -> Self {
        let place = error.line.map_or_else(String::new, |line| format!(":{line}"));
        Self::new(format!("{}{place}: {}", error.subject, error.problem)).help(error.remedy)
    }
}

type Gen<T> = Result<T, Refusal>;

/// A packet offset: a constant, plus a memory word where the header's length varies.
#[derive(Debug, Clone, Copy, Default)]
struct Off {
    var: Option<ValId>,
    k: u32,
}

/// What an offset counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rel {
    /// The start of the packet.
    Packet,
    /// The link-layer header.
    Link,
    /// The protocol field of the link-layer header.
    LinkType,
    /// The link-layer payload: an LLC header, where there is one.
    Llc,
    /// The network header.
    Network,
    /// The network header of protocols that follow LLC without SNAP.
    NetworkNoSnap,
    /// The MPLS label before the current one.
    PreviousLabel,
    /// What follows the IPv4 header.
    Transport4,
    /// What follows the fixed IPv6 header.
    Transport6,
}

/// The generator's state.
pub struct Generator<'a> {
    /// Values used so far.
    pub values: Values,
    /// Formulas built so far.
    pub formulas: Formulas,
    /// Memory words handed out.
    pub vars: u8,
    /// Warnings about what was compiled.
    pub warnings: Vec<Diagnostic>,
    options: &'a Options,
    resolver: &'a dyn Resolver,
    /// What has to be computed before anything else: variable header lengths.
    prelude: Vec<FId>,
    /// What every packet has to fulfil.
    required: FId,
    link: Layout,
    header: Off,
    protocol: Option<Off>,
    payload: Option<Off>,
    network: u32,
    network_no_snap: i32,
    vlans: u32,
    labels: u32,
    /// The tunnel whose inner frame is looked at: header and payload differ only if it carries Ethernet.
    tunnel: Option<(ValId, ValId)>,
    /// Inside ATM LAN emulation.
    lane: bool,
    /// The memory words of walks along header chains, by where they start.
    walks: HashMap<(Option<ValId>, u32), chain::Walk>,
}

impl<'a> Generator<'a> {
    /// A generator for packets of the link type of `options`.
    pub fn new(options: &'a Options, resolver: &'a dyn Resolver) -> Self {
        let link = Layout::of(options.link);
        let off = |k| Off { var: None, k };
        let mut this = Self {
            values: Values::default(),
            formulas: Formulas::default(),
            vars: 0,
            warnings: Vec::new(),
            options,
            resolver,
            prelude: Vec::new(),
            required: Formulas::TRUE,
            link,
            header: off(link.header),
            protocol: link.protocol.map(off),
            payload: link.payload.map(off),
            network: link.network,
            network_no_snap: link.network_no_snap,
            vlans: 0,
            labels: 0,
            tunnel: None,
            lane: false,
            walks: HashMap::new(),
        };
        this.init_variable_headers();
        this
    }

    /// Generates the whole expression.
    pub fn run(&mut self, ast: &Ast) -> Result<FId, Vec<Diagnostic>> {
        let mut done: Vec<FId> = Vec::with_capacity(ast.nodes.len());
        let mut errors = Vec::new();
        let chains = Chains::of(ast);
        let mut pending: HashMap<u32, Vec<FId>> = HashMap::new();
        for (i, node) in ast.nodes.iter().enumerate() {
            let index = u32::try_from(i).unwrap_or(u32::MAX);
            let formula = match &node.kind {
                NodeKind::And(a, b) | NodeKind::Or(a, b) => {
                    // A run of the same operator is gathered, so that a long list is flattened once.
                    let mut list = pending.remove(&a.0).unwrap_or_else(|| vec![done[a.0 as usize]]);
                    list.push(done[b.0 as usize]);
                    if chains.continues(index) {
                        pending.insert(index, list);
                        Formulas::TRUE
                    } else if matches!(node.kind, NodeKind::And(..)) {
                        self.formulas.and(&list)
                    } else {
                        self.formulas.or(&list)
                    }
                }
                NodeKind::Not(a) => self.formulas.not(done[a.0 as usize]),
                NodeKind::Primitive(primitive) => match self.primitive(primitive) {
                    Ok(f) => f,
                    Err(refusal) => {
                        let mut diagnostic = Diagnostic::error(refusal.span.unwrap_or(node.span), refusal.message);
                        diagnostic.help = refusal.help;
                        errors.push(diagnostic);
                        if errors.len() >= 20 {
                            break;
                        }
                        Formulas::FALSE
                    }
                },
            };
            done.push(formula);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let Some(root) = ast.root else { return Ok(Formulas::TRUE) };
        let root = done[root.0 as usize];
        let mut all = vec![self.required];
        all.extend(self.used_prelude(root));
        all.push(root);
        Ok(self.formulas.and(&all))
    }

    fn primitive(&mut self, primitive: &Primitive) -> Gen<FId> {
        match primitive {
            Primitive::Qualified(quals, id) => self.qualified(*quals, id),
            Primitive::Proto(proto) => self.proto_word(*proto),
            Primitive::Relation(op, left, right) => self.relation(*op, left, right),
            Primitive::Broadcast(proto) => self.broadcast(*proto),
            Primitive::Multicast(proto) => self.multicast(*proto),
            Primitive::Less(n) => {
                let len = self.values.len();
                Ok(self.member(len, &RangeSet::range(0, *n)))
            }
            Primitive::Greater(n) => {
                let len = self.values.len();
                Ok(self.member(len, &RangeSet::range(*n, u32::MAX)))
            }
            Primitive::Byte { index, op, value } => self.byte(*index, *op, *value),
            Primitive::Inbound => self.direction(false),
            Primitive::Outbound => self.direction(true),
            Primitive::IfIndex(n) => self.interface(*n),
            Primitive::Vlan(id) => self.vlan(*id),
            Primitive::Mpls(label) => self.mpls(*label),
            Primitive::Pppoed => self.link_proto(linktype::ETHERTYPE_PPPOED),
            Primitive::Pppoes(session) => self.pppoes(*session),
            Primitive::Geneve(vni) => self.geneve(*vni),
            Primitive::Vxlan(vni) => self.vxlan(*vni),
            Primitive::Llc(kind) => self.llc(*kind),
            Primitive::WlanType(value) => self.wlan_control(0, *value, 0x0c, "type"),
            Primitive::WlanTypeSubtype { value, mask } => self.wlan_control(0, *value, *mask, "subtype"),
            Primitive::WlanDir(value) => self.wlan_control(1, *value, 0x03, "dir"),
            Primitive::PfIfname(name) => self.pf_name("ifname", 4, 16, name),
            Primitive::PfRuleset(name) => self.pf_name("rset", 20, 16, name),
            Primitive::PfRule(n) => self.pf_field("rnr", Size::Word, 36, *n),
            Primitive::PfSubrule(n) => self.pf_field("srnr", Size::Word, 40, *n),
            Primitive::PfReason(n) => self.pf_field("reason", Size::Byte, 3, *n),
            Primitive::PfAction(n) => self.pf_field("action", Size::Byte, 2, *n),
            Primitive::Atm(kind) => self.atm(*kind),
            Primitive::AtmField(field, op, n) => self.atm_field(*field, *op, *n),
            Primitive::Mtp2(kind) => self.mtp2(*kind),
            Primitive::Mtp3(field, op, n) => self.mtp3(*field, *op, *n),
            Primitive::Ip6Chain(proto) => self.ip6_chain(*proto),
        }
    }

    /// Whether the newer release's meaning applies where the two differ.
    fn newer(&self) -> bool {
        self.options.compat == Compat::V1_11
    }

    fn link_name(&self) -> String {
        self.link.link.description().map_or_else(|| format!("link type {}", self.link.link.0), str::to_owned)
    }

    fn new_var(&mut self) -> Gen<Var> {
        if self.vars >= 12 {
            return Err(Refusal::new("the expression needs more scratch memory than a packet filter has")
                .help("use fewer tunnel keywords in one expression"));
        }
        self.vars += 1;
        Ok(Var(self.vars - 1))
    }

    fn set(&mut self, var: Var, value: ValId) -> FId {
        self.values.var(var);
        self.formulas.intern(Formula::Set(var, value))
    }

    /// If `condition` then `set`; true either way.
    fn when(&mut self, condition: FId, set: FId) -> FId {
        let both = self.formulas.and(&[condition, set]);
        self.formulas.or(&[both, Formulas::TRUE])
    }

    fn member(&mut self, value: ValId, set: &RangeSet) -> FId {
        self.formulas.member(&self.values, value, set)
    }

    fn equals(&mut self, value: ValId, k: u32) -> FId {
        self.formulas.equals(&self.values, value, k)
    }

    fn and(&mut self, list: &[FId]) -> FId {
        self.formulas.and(list)
    }

    fn or(&mut self, list: &[FId]) -> FId {
        self.formulas.or(list)
    }

    /// The base of an offset and its constant part.
    fn base(&mut self, rel: Rel) -> Gen<(Option<ValId>, u32)> {
        let unknown = |this: &Self| Refusal::new(format!("the headers of {} are not known", this.link_name()));
        let payload = |this: &Self| this.payload.ok_or_else(|| unknown(this));
        let plus = |off: Off, n: u32| (off.var, off.k.wrapping_add(n));
        Ok(match rel {
            Rel::Packet => (None, 0),
            Rel::Link => plus(self.header, 0),
            Rel::LinkType => plus(self.protocol.ok_or_else(|| unknown(self))?, 0),
            Rel::Llc => plus(payload(self)?, 0),
            Rel::Network => plus(payload(self)?, self.network),
            Rel::NetworkNoSnap => plus(payload(self)?, self.network_no_snap.cast_unsigned()),
            Rel::PreviousLabel => plus(payload(self)?, self.network.wrapping_sub(4)),
            Rel::Transport4 => {
                let (var, k) = self.base(Rel::Network)?;
                let header = self.values.ip_header_len(var, k);
                let base = match var {
                    Some(var) => self.values.bin(AluOp::Add, header, var),
                    None => header,
                };
                (Some(base), k)
            }
            Rel::Transport6 => {
                let (var, k) = self.base(Rel::Network)?;
                (var, k.wrapping_add(40))
            }
        })
    }

    /// The bytes at `offset` from `rel`.
    fn load(&mut self, rel: Rel, offset: u32, size: Size) -> Gen<ValId> {
        let (base, k) = self.base(rel)?;
        Ok(self.values.load(size, base, k.wrapping_add(offset)))
    }

    /// The bytes at `offset` from `rel` are `k`.
    fn field(&mut self, rel: Rel, offset: u32, size: Size, k: u32) -> Gen<FId> {
        let value = self.load(rel, offset, size)?;
        Ok(self.equals(value, k))
    }

    /// The bytes at `offset` from `rel` are `k` under `mask`.
    fn masked(&mut self, rel: Rel, offset: u32, size: Size, k: u32, mask: u32) -> Gen<FId> {
        let value = self.load(rel, offset, size)?;
        let value = self.values.bin_k(AluOp::And, value, mask);
        Ok(self.equals(value, k))
    }

    /// Some bit of `mask` is set in the byte at `offset`.
    fn bit(&mut self, rel: Rel, offset: u32, mask: u32) -> Gen<FId> {
        let value = self.load(rel, offset, Size::Byte)?;
        let value = self.values.bin_k(AluOp::And, value, mask);
        let zero = self.equals(value, 0);
        Ok(self.formulas.not(zero))
    }

    /// The bytes at `offset` are exactly `bytes`; compared from their end, in the largest pieces.
    fn bytes(&mut self, rel: Rel, offset: u32, bytes: &[u8]) -> Gen<FId> {
        let mut list = Vec::new();
        let mut end = bytes.len();
        while end > 0 {
            let size = match end {
                4.. => Size::Word,
                2..=3 => Size::Half,
                _ => Size::Byte,
            };
            let start = end - size.bytes() as usize;
            let k = bytes[start..end].iter().fold(0, |v, &b| v << 8 | u32::from(b));
            let at = offset.wrapping_add(u32::try_from(start).unwrap_or(0));
            list.push(self.field(rel, at, size, k)?);
            end = start;
        }
        Ok(self.and(&list))
    }
}

/// Which binary nodes are the left operand of a node with the same operator.
struct Chains {
    continued: Vec<bool>,
}

impl Chains {
    fn of(ast: &Ast) -> Self {
        let mut continued = vec![false; ast.nodes.len()];
        for node in &ast.nodes {
            let (NodeKind::And(left, _) | NodeKind::Or(left, _)) = &node.kind else { continue };
            let same = matches!(
                (&node.kind, &ast.nodes[left.0 as usize].kind),
                (NodeKind::And(..), NodeKind::And(..)) | (NodeKind::Or(..), NodeKind::Or(..))
            );
            continued[left.0 as usize] = same;
        }
        Self { continued }
    }
    fn continues(&self, node: u32) -> bool {
        self.continued[node as usize]
    }
}

/// The link type before any tunnel.
pub fn is_ethernet(link: LinkType) -> bool {
    link == LinkType::EN10MB
}
