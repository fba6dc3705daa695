//! What a register holds, as an expression over the packet, and addresses as sums.

use std::rc::Rc;

use skep_isa::classic::AluOp;

/// Most operations in an expression; larger ones are not understood anyway.
const MAX_SIZE: u32 = 64;

/// The contents of a register.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Expr {
    /// A number.
    Const(u32),
    /// `size` bytes of the packet at an address.
    Load(Address, u32),
    /// The length of the packet.
    Len,
    /// The ancillary word with this operand.
    Ancillary(u32),
    /// Two operands.
    Bin(AluOp, Rc<Expr>, Rc<Expr>),
    /// Something not followed.
    Unknown,
}

/// An address in the packet: `k` plus quantities that the packet tells, such as header lengths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Address {
    /// The quantities, sorted.
    pub(super) terms: Vec<Rc<Expr>>,
    /// The rest.
    pub(super) k: u32,
}

impl Address {
    /// The fixed address `k`.
    pub(super) const fn fixed(k: u32) -> Self {
        Self { terms: Vec::new(), k }
    }

    /// This address and `k` more.
    pub(super) fn plus(&self, k: u32) -> Self {
        Self { terms: self.terms.clone(), k: self.k.wrapping_add(k) }
    }

    /// The sum of two addresses.
    pub(super) fn sum(mut self, other: Self) -> Self {
        self.terms.extend(other.terms);
        self.terms.sort();
        Self { k: self.k.wrapping_add(other.k), ..self }
    }
}

impl Expr {
    fn size(&self) -> u32 {
        match self {
            Self::Bin(_, a, b) => 1 + a.size() + b.size(),
            Self::Load(address, _) => 1 + address.terms.iter().map(|term| term.size()).sum::<u32>(),
            _ => 1,
        }
    }

    /// A load, or [`Expr::Unknown`] if its address is not known or too involved.
    pub(super) fn load(address: Address, size: u32) -> Self {
        let unknown = address.terms.iter().any(|term| **term == Self::Unknown);
        let load = Self::Load(address, size);
        if unknown || load.size() > MAX_SIZE { Self::Unknown } else { load }
    }

    /// `a OP b` in one of the forms that are recognised.
    pub(super) fn bin(op: AluOp, a: &Self, b: &Self) -> Self {
        if let (Self::Const(x), Self::Const(y)) = (a, b) {
            return op.eval(*x, *y).map_or(Self::Unknown, Self::Const);
        }
        if *a == Self::Unknown || *b == Self::Unknown {
            return Self::Unknown;
        }
        match (op, b) {
            (AluOp::Mul, Self::Const(k)) if k.is_power_of_two() => {
                return Self::bin(AluOp::Lsh, a, &Self::Const(k.trailing_zeros()));
            }
            (AluOp::Add | AluOp::Sub | AluOp::Or | AluOp::Xor | AluOp::Lsh | AluOp::Rsh, Self::Const(0)) => {
                return a.clone();
            }
            (AluOp::Sub, Self::Const(k)) => return Self::bin(AluOp::Add, a, &Self::Const(k.wrapping_neg())),
            (AluOp::Add, Self::Const(k)) => {
                if let Self::Bin(AluOp::Add, x, y) = a
                    && let Self::Const(j) = **y
                {
                    return Self::bin(AluOp::Add, x, &Self::Const(j.wrapping_add(*k)));
                }
            }
            _ => {}
        }
        let commutes = matches!(op, AluOp::Add | AluOp::Mul | AluOp::And | AluOp::Or | AluOp::Xor);
        // Constants stand on the right, other operands in their order.
        let swap = commutes && !matches!(b, Self::Const(_)) && (matches!(a, Self::Const(_)) || b < a);
        let (a, b) = if swap { (b, a) } else { (a, b) };
        let result = Self::Bin(op, Rc::new(a.clone()), Rc::new(b.clone()));
        if result.size() > MAX_SIZE { Self::Unknown } else { result }
    }

    /// The expression as an address.
    pub(super) fn address(&self) -> Address {
        match self {
            Self::Const(k) => Address::fixed(*k),
            Self::Bin(AluOp::Add, a, b) => a.address().sum(b.address()),
            _ => Address { terms: vec![Rc::new(self.clone())], k: 0 },
        }
    }

    /// The length in bytes of the IPv4 header at `start`.
    pub(super) fn ipv4_header_len(start: &Address) -> Self {
        let first = Self::load(start.clone(), 1);
        let words = Self::bin(AluOp::And, &first, &Self::Const(0xf));
        Self::bin(AluOp::Lsh, &words, &Self::Const(2))
    }

    /// The length in bytes of the TCP header at `start`.
    pub(super) fn tcp_header_len(start: &Address) -> Self {
        let byte = Self::load(start.plus(12), 1);
        let words = Self::bin(AluOp::And, &byte, &Self::Const(0xf0));
        Self::bin(AluOp::Rsh, &words, &Self::Const(2))
    }

    /// The length in bytes of the options of the Geneve header at `start`.
    pub(super) fn geneve_options_len(start: &Address) -> Self {
        let first = Self::load(start.clone(), 1);
        let words = Self::bin(AluOp::And, &first, &Self::Const(0x3f));
        Self::bin(AluOp::Lsh, &words, &Self::Const(2))
    }

    /// The length in bytes of the radiotap header that the packet begins with, a little-endian number.
    pub(super) fn radiotap_len() -> Self {
        let byte = |k| Self::load(Address::fixed(k), 1);
        let high = Self::bin(AluOp::Lsh, &byte(3), &Self::Const(8));
        Self::bin(AluOp::Or, &high, &byte(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_computations_have_one_form() {
        let byte = Expr::load(Address::fixed(14), 1);
        let low = Expr::bin(AluOp::And, &byte, &Expr::Const(0xf));
        let times_four = Expr::bin(AluOp::Mul, &low, &Expr::Const(4));
        assert_eq!(times_four, Expr::ipv4_header_len(&Address::fixed(14)));
        let sum = |a: &Expr, b: &Expr| Expr::bin(AluOp::Add, a, b);
        let (two, ten) = (Expr::Const(2), Expr::Const(10));
        let left = sum(&sum(&two, &times_four), &ten);
        let right = sum(&sum(&ten, &two), &times_four);
        assert_eq!(left.address(), right.address());
        assert_eq!(left.address().k, 12);
        let minus = Expr::bin(AluOp::Sub, &left, &Expr::Const(12));
        assert_eq!(minus, times_four);
    }

    #[test]
    fn expressions_stay_small() {
        let mut expr = Expr::load(Address::fixed(0), 1);
        for _ in 0..100 {
            expr = Expr::bin(AluOp::Add, &expr, &expr.clone());
            expr = Expr::load(expr.address(), 1);
        }
        assert_eq!(expr, Expr::Unknown);
    }
}
