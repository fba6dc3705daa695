//! Which headers are known, and what the registers hold, on the paths that reach each instruction.
//!
//! A test of a field that announces a header adds that header to what is known where the test succeeds. Paths that
//! bring different knowledge to an instruction are kept apart up to a limit, so that a load can be "the source port of
//! TCP, UDP or SCTP".

use std::rc::Rc;

use skep_isa::classic::{AluOp, JmpOp, Op, SKF_AD_OFF};

use super::expr::{Address, Expr};
use super::layers::{FIELDS, Field, Kind, Layer, Start, announced, payload};
use crate::diff::live::{A, REGS, X, live_registers};

/// Most versions of the knowledge at one instruction.
const MAX_VERSIONS: usize = 24;
/// Most headers known at once.
const MAX_LAYERS: usize = 12;
/// Farther behind the start of a header nothing is attributed to it.
const MAX_DISTANCE: u32 = 0xffff;
/// Largest 802.3 length; larger numbers in its place are EtherTypes.
const MAX_LENGTH: u32 = 1500;

/// What is known on some paths to an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) regs: [Rc<Expr>; REGS],
    /// Headers and where they begin, sorted.
    pub(super) layers: Vec<(Layer, Address)>,
}

/// A header that the program relies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assumption {
    pub(super) layer: Layer,
    pub(super) start: Address,
    /// The test that announces it; `None` for the headers that the link type promises.
    pub(super) because: Option<Test>,
}

/// A comparison of a field and its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Test {
    pub(super) field: &'static Field,
    pub(super) op: JmpOp,
    pub(super) k: u32,
    pub(super) holds: bool,
}

/// Where a load lies.
#[derive(Debug, Clone)]
pub(super) struct Hit {
    pub(super) layer: Layer,
    pub(super) start: Address,
    /// Distance from the start of the header in bytes.
    pub(super) distance: u32,
    /// The field that contains it.
    pub(super) field: Option<&'static Field>,
    /// First byte and number of bytes, if it is not the whole field.
    pub(super) part: Option<(u32, u32)>,
}

impl State {
    fn start(link: Option<Layer>) -> Self {
        let zero = Rc::new(Expr::Const(0));
        let mut state = Self { regs: std::array::from_fn(|_| zero.clone()), layers: Vec::new() };
        if let Some(layer) = link {
            state.add(layer, Address::fixed(0));
            if layer == Layer::Radiotap {
                state.add(Layer::Wlan, Expr::radiotap_len().address());
            }
        }
        state
    }

    fn add(&mut self, layer: Layer, start: Address) -> bool {
        // Another header at this place was a guess that this test refutes, and so is all that was found behind it.
        let refuted = |other: &(Layer, Address)| other.1 == start && other.0 != layer && other.0 != Layer::Ip;
        if self.layers.iter().any(refuted) {
            let behind =
                |other: &Address| other.k >= start.k && start.terms.iter().all(|term| other.terms.contains(term));
            self.layers.retain(|(layer, other)| *layer == Layer::Ip || !behind(other));
        }
        let new = (layer, start);
        match self.layers.binary_search(&new) {
            Err(place) if self.layers.len() < MAX_LAYERS => {
                self.layers.insert(place, new);
                true
            }
            _ => false,
        }
    }

    pub(super) fn a(&self) -> &Expr {
        &self.regs[A]
    }

    pub(super) fn x(&self) -> &Expr {
        &self.regs[X]
    }

    /// The header and field that `size` bytes at `address` belong to. With a mask, only fields of that mask count.
    pub(super) fn find(&self, address: &Address, size: u32, mask: Option<u32>) -> Option<Hit> {
        let distance = |start: &Address| {
            let distance = address.k.wrapping_sub(start.k);
            (start.terms == address.terms && distance <= MAX_DISTANCE).then_some(distance)
        };
        let candidates = self.layers.iter().filter_map(|(layer, start)| Some((distance(start)?, *layer, start)));
        // The header that begins last; of two at one place the more specific one, which comes later in the order.
        let (distance, layer, start) =
            candidates.min_by_key(|&(distance, layer, _)| (distance, std::cmp::Reverse(layer)))?;
        let of_layer = || FIELDS.iter().filter(|field| field.layer == layer);
        let same_place = |field: &&Field| field.offset == distance && field.size == size;
        let exact = of_layer().find(|field| same_place(field) && field.mask == mask.unwrap_or(u32::MAX));
        let around = of_layer()
            .filter(|field| mask.is_none() && field.mask == u32::MAX)
            .filter(|field| field.offset <= distance && distance + size <= field.offset + field.size)
            .min_by_key(|field| field.size);
        let field = exact.or(around);
        let part = match (exact, around) {
            (None, Some(field)) => Some((distance - field.offset, size)),
            _ => None,
        };
        Some(Hit { layer, start: start.clone(), distance, field, part })
    }

    /// The field whose value `expr` is: a load, or a load and a mask. Without a field, `None`.
    pub(super) fn field(&self, expr: &Expr) -> Option<Hit> {
        let hit = match expr {
            Expr::Load(address, size) => self.find(address, *size, None),
            Expr::Bin(AluOp::And, load, mask) => match (&**load, &**mask) {
                (Expr::Load(address, size), Expr::Const(mask)) => self.find(address, *size, Some(*mask)),
                _ => None,
            },
            _ => None,
        };
        hit.filter(|hit| hit.field.is_some())
    }
}

/// The knowledge at every instruction, and the headers in the order in which they are met.
pub(super) fn trace(ops: &[Op], link: Option<Layer>) -> (Vec<Vec<State>>, Vec<Assumption>) {
    let live = live_registers(ops);
    let mut flow = Flow { live, arrivals: vec![Vec::new(); ops.len()], assumptions: Vec::new() };
    let start = State::start(link);
    for (layer, address) in &start.layers {
        flow.assumptions.push(Assumption { layer: *layer, start: address.clone(), because: None });
    }
    // The link type's own header first: the others lie behind it.
    flow.assumptions.sort_by_key(|assumption| Some(assumption.layer) != link);
    flow.arrive(0, start);
    for (at, &op) in ops.iter().enumerate() {
        for state in flow.arrivals[at].clone() {
            flow.step(at, op, state);
        }
    }
    (flow.arrivals, flow.assumptions)
}

struct Flow {
    live: Vec<u32>,
    arrivals: Vec<Vec<State>>,
    assumptions: Vec<Assumption>,
}

impl Flow {
    fn arrive(&mut self, target: usize, mut state: State) {
        let Some(versions) = self.arrivals.get_mut(target) else { return };
        let live = self.live.get(target).copied().unwrap_or(0);
        let unknown = Rc::new(Expr::Unknown);
        for (number, reg) in state.regs.iter_mut().enumerate() {
            if live >> number & 1 == 0 {
                *reg = unknown.clone();
            }
        }
        if versions.contains(&state) {
            return;
        }
        versions.push(state);
        if versions.len() > MAX_VERSIONS {
            let merged = versions.drain(..).reduce(|a, b| common(&a, &b));
            versions.extend(merged);
        }
    }

    fn step(&mut self, at: usize, op: Op, state: State) {
        let branch = match op {
            Op::JumpK { op, k, jt, jf } => (op, Rc::new(Expr::Const(k)), jt, jf),
            Op::JumpX { op, jt, jf } => (op, state.regs[X].clone(), jt, jf),
            Op::RetK(_) | Op::RetA => return,
            Op::Ja(k) => return self.arrive((at + 1).saturating_add(k as usize), state),
            _ => return self.arrive(at + 1, after(op, &state)),
        };
        let (op, operand, jt, jf) = branch;
        for (holds, distance) in [(true, jt), (false, jf)] {
            let mut next = state.clone();
            if let Expr::Const(k) = *operand {
                self.learn(&mut next, op, k, holds);
            }
            self.arrive(at + 1 + usize::from(distance), next);
        }
    }

    /// Adds what follows from the outcome of the comparison of A with `k`.
    fn learn(&mut self, state: &mut State, op: JmpOp, k: u32, holds: bool) {
        let subject = match (op, state.a()) {
            // Testing bits is a comparison of the masked value.
            (JmpOp::Set, load) => Expr::bin(AluOp::And, load, &Expr::Const(k)),
            (_, other) => other.clone(),
        };
        let Some(Hit { start, field: Some(field), part: None, .. }) = state.field(&subject) else { return };
        let found = match (op, field.kind) {
            (JmpOp::Eq, Kind::BottomOfStack) if holds => Some((mpls_payload(k != 0), Start::After(4))),
            (JmpOp::Set, Kind::BottomOfStack) => Some((mpls_payload(holds), Start::After(4))),
            (JmpOp::Set, Kind::Flag) if field.name == "QoS bit" => {
                Some((Layer::Llc, Start::After(if holds { 26 } else { 24 })))
            }
            (JmpOp::Gt, Kind::EtherType) if !holds && k == MAX_LENGTH => Some((Layer::Llc, Start::After(14))),
            (JmpOp::Ge, Kind::EtherType) if !holds && k > MAX_LENGTH && k <= 0x600 => {
                Some((Layer::Llc, Start::After(14)))
            }
            (JmpOp::Eq, _) if holds => announced(field, k).zip(payload(field)),
            _ => None,
        };
        let Some((layer, place)) = found else { return };
        let begin = match place {
            Start::After(n) => start.plus(n),
            Start::AfterIpv4 => Expr::ipv4_header_len(&start).address().sum(start),
            Start::AfterGeneve => Expr::geneve_options_len(&start).address().sum(start.plus(8)),
        };
        if state.add(layer, begin.clone()) {
            let assumption = Assumption { layer, start: begin, because: Some(Test { field, op, k, holds }) };
            if !self.assumptions.contains(&assumption) {
                self.assumptions.push(assumption);
            }
        }
    }
}

const fn mpls_payload(bottom: bool) -> Layer {
    if bottom { Layer::Ip } else { Layer::Mpls }
}

/// The state after an instruction that is no jump and no return.
pub(super) fn after(op: Op, state: &State) -> State {
    let mut next = state.clone();
    let (a, x) = (state.a(), state.x());
    let mem = |k: u32| k as usize % A;
    match op {
        Op::LdAbs(_, k) if k >= SKF_AD_OFF => next.regs[A] = Rc::new(Expr::Ancillary(k)),
        Op::LdAbs(size, k) => next.regs[A] = Rc::new(Expr::load(Address::fixed(k), size.bytes())),
        Op::LdInd(size, k) => next.regs[A] = Rc::new(Expr::load(x.address().plus(k), size.bytes())),
        Op::LdImm(k) => next.regs[A] = Rc::new(Expr::Const(k)),
        Op::LdLen => next.regs[A] = Rc::new(Expr::Len),
        Op::LdMem(k) => next.regs[A] = state.regs[mem(k)].clone(),
        Op::LdxImm(k) => next.regs[X] = Rc::new(Expr::Const(k)),
        Op::LdxLen => next.regs[X] = Rc::new(Expr::Len),
        Op::LdxMem(k) => next.regs[X] = state.regs[mem(k)].clone(),
        Op::LdxMsh(k) => next.regs[X] = Rc::new(Expr::ipv4_header_len(&Address::fixed(k))),
        Op::St(k) => next.regs[mem(k)] = state.regs[A].clone(),
        Op::Stx(k) => next.regs[mem(k)] = state.regs[X].clone(),
        Op::AluK(op, k) => next.regs[A] = Rc::new(Expr::bin(op, a, &Expr::Const(k))),
        Op::AluX(op) => next.regs[A] = Rc::new(Expr::bin(op, a, x)),
        Op::Neg => next.regs[A] = Rc::new(Expr::bin(AluOp::Sub, &Expr::Const(0), a)),
        Op::Tax => next.regs[X] = state.regs[A].clone(),
        Op::Txa => next.regs[A] = state.regs[X].clone(),
        Op::Ja(_) | Op::JumpK { .. } | Op::JumpX { .. } | Op::RetK(_) | Op::RetA => {}
    }
    next
}

/// What holds in both states.
fn common(a: &State, b: &State) -> State {
    let mut regs = a.regs.clone();
    for (reg, other) in regs.iter_mut().zip(&b.regs) {
        if reg != other {
            *reg = Rc::new(Expr::Unknown);
        }
    }
    let layers = a.layers.iter().filter(|layer| b.layers.contains(layer)).cloned().collect();
    State { regs, layers }
}
