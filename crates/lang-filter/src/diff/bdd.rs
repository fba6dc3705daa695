//! Binary decision diagrams: Boolean functions of packet bits in a canonical form, so that two functions are equal
//! exactly if their references are. What the variables stand for is known to [`super::inputs`] alone.
//!
//! Diagrams are reduced, ordered by level, and carry negation on the edges (R. Bryant 1986; Brace, Rudell and Bryant
//! 1990): `not` costs nothing, and a function and its opposite share their nodes.

use std::time::Instant;

/// A Boolean function: index of a node, and in the lowest bit whether it is negated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Ref(u32);

impl Ref {
    /// True everywhere.
    pub(super) const TRUE: Self = Self(0);
    /// False everywhere.
    pub(super) const FALSE: Self = Self(1);

    /// The constant function `value`.
    pub(super) const fn of(value: bool) -> Self {
        if value { Self::TRUE } else { Self::FALSE }
    }
    /// The opposite function.
    pub(super) const fn not(self) -> Self {
        Self(self.0 ^ 1)
    }
    /// The value of a constant function.
    pub(super) const fn as_bool(self) -> Option<bool> {
        match self {
            Self::TRUE => Some(true),
            Self::FALSE => Some(false),
            _ => None,
        }
    }
    const fn node(self) -> usize {
        (self.0 >> 1) as usize
    }
    const fn is_negated(self) -> bool {
        self.0 & 1 == 1
    }
    const fn negated_if(self, flip: bool) -> Self {
        Self(self.0 ^ flip as u32)
    }
}

/// The budget of nodes or time is used up; nothing is known about the function that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

/// Result of an operation that may run out of budget.
pub(super) type Bounded<T> = Result<T, Exhausted>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node {
    level: u32,
    /// Never negated: that makes the form canonical.
    hi: Ref,
    lo: Ref,
}

/// Level of the constants, below every variable.
const BOTTOM: u32 = u32::MAX;
/// Level that marks a free place in the list of nodes.
const FREE: u32 = u32::MAX - 1;
/// Marks an empty place of the unique table; node 0 is the constant, which is never looked up.
const EMPTY: u32 = 0;
/// How many new nodes pass between two looks at the clock.
const CLOCK_STRIDE: u32 = 4096;

/// Deepest recursion: one call for each variable on a path.
const MAX_DEPTH: u32 = 100_000;
/// Stack that the deepest recursion may need, in bytes; a call takes less than 1 KiB in any build.
pub(super) const STACK: usize = 128 << 20;

#[derive(Debug, Clone, Copy)]
struct CacheLine {
    key: [u32; 3],
    result: Ref,
}

const NO_LINE: CacheLine = CacheLine { key: [u32::MAX; 3], result: Ref::FALSE };
/// First part of the cache key of a conjunction and of an exclusive or; no reference reaches these numbers.
const TAG_AND: u32 = u32::MAX - 1;
const TAG_XOR: u32 = u32::MAX - 2;

/// All functions of one comparison.
#[derive(Debug)]
pub(super) struct Bdd {
    nodes: Vec<Node>,
    free: Vec<u32>,
    unique: Vec<u32>,
    cache: Vec<CacheLine>,
    live: usize,
    limit: usize,
    until_clock: u32,
    deadline: Option<Instant>,
}

impl Bdd {
    /// No functions but the constants; at most `limit` nodes, and no work after `deadline`.
    pub(super) fn new(limit: usize, deadline: Option<Instant>) -> Self {
        // References are 31 bits wide, and three numbers at the end are taken for cache tags.
        let limit = limit.min(1 << 30);
        Self {
            nodes: vec![Node { level: BOTTOM, hi: Ref::TRUE, lo: Ref::TRUE }],
            free: Vec::new(),
            unique: vec![EMPTY; 1 << 12],
            cache: vec![NO_LINE; 1 << 12],
            live: 1,
            limit,
            until_clock: CLOCK_STRIDE,
            deadline,
        }
    }

    /// Number of nodes that exist, garbage included.
    pub(super) fn node_count(&self) -> usize {
        self.live
    }

    /// Sets the largest number of nodes and returns the former one.
    pub(super) fn set_limit(&mut self, limit: usize) -> usize {
        std::mem::replace(&mut self.limit, limit)
    }

    /// The function that is the variable of `level`.
    pub(super) fn var(&mut self, level: u32) -> Bounded<Ref> {
        self.make(level, Ref::TRUE, Ref::FALSE)
    }

    /// The level of the topmost variable, or `u32::MAX` for a constant.
    pub(super) fn level(&self, f: Ref) -> u32 {
        self.nodes[f.node()].level
    }

    /// The functions that remain when the topmost variable is true and when it is false.
    pub(super) fn children(&self, f: Ref) -> (Ref, Ref) {
        let node = self.nodes[f.node()];
        (node.hi.negated_if(f.is_negated()), node.lo.negated_if(f.is_negated()))
    }

    fn cofactors(&self, f: Ref, level: u32) -> (Ref, Ref) {
        if self.level(f) == level { self.children(f) } else { (f, f) }
    }

    /// `f and g`
    pub(super) fn and(&mut self, f: Ref, g: Ref) -> Bounded<Ref> {
        self.and_at(0, f, g)
    }

    fn and_at(&mut self, depth: u32, f: Ref, g: Ref) -> Bounded<Ref> {
        if f == g || g == Ref::TRUE {
            return Ok(f);
        }
        if f == Ref::TRUE {
            return Ok(g);
        }
        if f == Ref::FALSE || g == Ref::FALSE || f == g.not() {
            return Ok(Ref::FALSE);
        }
        let (f, g) = if f < g { (f, g) } else { (g, f) };
        let key = [TAG_AND, f.0, g.0];
        if let Some(found) = self.cached(key) {
            return Ok(found);
        }
        let level = self.level(f).min(self.level(g));
        let (f1, f0) = self.cofactors(f, level);
        let (g1, g0) = self.cofactors(g, level);
        let depth = deeper(depth)?;
        let hi = self.and_at(depth, f1, g1)?;
        let lo = self.and_at(depth, f0, g0)?;
        let result = self.make(level, hi, lo)?;
        self.remember(key, result);
        Ok(result)
    }

    /// `f or g`
    pub(super) fn or(&mut self, f: Ref, g: Ref) -> Bounded<Ref> {
        Ok(self.and(f.not(), g.not())?.not())
    }

    /// `f != g`
    pub(super) fn xor(&mut self, f: Ref, g: Ref) -> Bounded<Ref> {
        self.xor_at(0, f, g)
    }

    fn xor_at(&mut self, depth: u32, f: Ref, g: Ref) -> Bounded<Ref> {
        let flip = f.is_negated() != g.is_negated();
        let (f, g) = (f.negated_if(f.is_negated()), g.negated_if(g.is_negated()));
        if f == g {
            return Ok(Ref::of(flip));
        }
        let (f, g) = if f < g { (f, g) } else { (g, f) };
        if f == Ref::TRUE {
            return Ok(g.negated_if(!flip));
        }
        let key = [TAG_XOR, f.0, g.0];
        if let Some(found) = self.cached(key) {
            return Ok(found.negated_if(flip));
        }
        let level = self.level(f).min(self.level(g));
        let (f1, f0) = self.cofactors(f, level);
        let (g1, g0) = self.cofactors(g, level);
        let depth = deeper(depth)?;
        let hi = self.xor_at(depth, f1, g1)?;
        let lo = self.xor_at(depth, f0, g0)?;
        let result = self.make(level, hi, lo)?;
        self.remember(key, result);
        Ok(result.negated_if(flip))
    }

    /// `if f then g else h`
    pub(super) fn ite(&mut self, f: Ref, g: Ref, h: Ref) -> Bounded<Ref> {
        self.ite_at(0, f, g, h)
    }

    fn ite_at(&mut self, depth: u32, f: Ref, g: Ref, h: Ref) -> Bounded<Ref> {
        if let Some(value) = f.as_bool() {
            return Ok(if value { g } else { h });
        }
        if g == h {
            return Ok(g);
        }
        if g == h.not() {
            return Ok(self.xor_at(depth, f, g)?.not());
        }
        if g == Ref::TRUE || g == f {
            return Ok(self.and_at(depth, f.not(), h.not())?.not());
        }
        if g == Ref::FALSE || g == f.not() {
            return self.and_at(depth, f.not(), h);
        }
        if h == Ref::TRUE || h == f.not() {
            return Ok(self.and_at(depth, f, g.not())?.not());
        }
        if h == Ref::FALSE || h == f {
            return self.and_at(depth, f, g);
        }
        let (f, g, h) = if f.is_negated() { (f.not(), h, g) } else { (f, g, h) };
        let flip = g.is_negated();
        let (g, h) = (g.negated_if(flip), h.negated_if(flip));
        let key = [f.0, g.0, h.0];
        if let Some(found) = self.cached(key) {
            return Ok(found.negated_if(flip));
        }
        let level = self.level(f).min(self.level(g)).min(self.level(h));
        let (f1, f0) = self.cofactors(f, level);
        let (g1, g0) = self.cofactors(g, level);
        let (h1, h0) = self.cofactors(h, level);
        let depth = deeper(depth)?;
        let hi = self.ite_at(depth, f1, g1, h1)?;
        let lo = self.ite_at(depth, f0, g0, h0)?;
        let result = self.make(level, hi, lo)?;
        self.remember(key, result);
        Ok(result.negated_if(flip))
    }

    /// The value of `f` where `bit` tells the value of each level's variable.
    pub(super) fn eval(&self, mut f: Ref, bit: &dyn Fn(u32) -> bool) -> bool {
        loop {
            if let Some(value) = f.as_bool() {
                return value;
            }
            let (hi, lo) = self.children(f);
            f = if bit(self.level(f)) { hi } else { lo };
        }
    }

    /// An assignment that makes `f` true, as pairs of level and value from the top; `None` if there is none.
    ///
    /// Where both values lead to a solution, `prefer` chooses.
    pub(super) fn solve(&self, mut f: Ref, prefer: &mut dyn FnMut(u32) -> bool) -> Option<Vec<(u32, bool)>> {
        let mut path = Vec::new();
        loop {
            match f.as_bool() {
                Some(true) => return Some(path),
                Some(false) => return None,
                None => {}
            }
            let level = self.level(f);
            let (hi, lo) = self.children(f);
            // In this form every function that is not the constant false can be made true.
            let value = if hi == Ref::FALSE {
                false
            } else if lo == Ref::FALSE {
                true
            } else {
                prefer(level)
            };
            path.push((level, value));
            f = if value { hi } else { lo };
        }
    }

    /// Frees every node that no root reaches. References that are not among the roots become invalid.
    pub(super) fn collect(&mut self, roots: &[Ref]) {
        let mut marked = vec![false; self.nodes.len()];
        marked[0] = true;
        let mut todo: Vec<usize> = roots.iter().map(|r| r.node()).collect();
        while let Some(index) = todo.pop() {
            if !std::mem::replace(&mut marked[index], true) {
                todo.push(self.nodes[index].hi.node());
                todo.push(self.nodes[index].lo.node());
            }
        }
        self.unique.fill(EMPTY);
        self.cache.fill(NO_LINE);
        self.free.clear();
        self.live = 1;
        for (index, keep) in marked.iter().enumerate().skip(1) {
            let id = u32::try_from(index).unwrap_or(EMPTY);
            if *keep {
                self.live += 1;
                let place = self.find(self.nodes[index]);
                self.unique[place] = id;
            } else {
                self.nodes[index].level = FREE;
                self.free.push(id);
            }
        }
    }

    fn make(&mut self, level: u32, hi: Ref, lo: Ref) -> Bounded<Ref> {
        if hi == lo {
            return Ok(hi);
        }
        let flip = hi.is_negated();
        let node = Node { level, hi: hi.negated_if(flip), lo: lo.negated_if(flip) };
        let mut place = self.find(node);
        if self.unique[place] == EMPTY {
            self.spend()?;
            if self.live * 4 > self.unique.len() * 3 {
                self.grow();
                place = self.find(node);
            }
            self.unique[place] = match self.free.pop() {
                Some(id) => {
                    self.nodes[id as usize] = node;
                    id
                }
                None => {
                    self.nodes.push(node);
                    u32::try_from(self.nodes.len() - 1).map_err(|_| Exhausted)?
                }
            };
            self.live += 1;
        }
        Ok(Ref(self.unique[place] << 1).negated_if(flip))
    }

    fn spend(&mut self) -> Bounded<()> {
        if self.live >= self.limit {
            return Err(Exhausted);
        }
        self.until_clock -= 1;
        if self.until_clock == 0 {
            self.until_clock = CLOCK_STRIDE;
            if self.deadline.is_some_and(|at| Instant::now() >= at) {
                return Err(Exhausted);
            }
        }
        Ok(())
    }

    /// The place of `node` in the unique table, or the empty place where it belongs.
    fn find(&self, node: Node) -> usize {
        let mask = self.unique.len() - 1;
        let mut place = mix(node.level, node.hi.0, node.lo.0) & mask;
        loop {
            let id = self.unique[place];
            if id == EMPTY || self.nodes[id as usize] == node {
                return place;
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self) {
        self.unique = vec![EMPTY; self.unique.len() * 2];
        for index in 1..self.nodes.len() {
            if self.nodes[index].level != FREE {
                let place = self.find(self.nodes[index]);
                self.unique[place] = u32::try_from(index).unwrap_or(EMPTY);
            }
        }
        // A cache about as large as the table keeps almost all results that are asked for again.
        if self.cache.len() < self.unique.len().min(1 << 20) {
            self.cache = vec![NO_LINE; self.unique.len()];
        }
    }

    fn cached(&self, key: [u32; 3]) -> Option<Ref> {
        let line = &self.cache[mix(key[0], key[1], key[2]) & (self.cache.len() - 1)];
        (line.key == key).then_some(line.result)
    }

    fn remember(&mut self, key: [u32; 3], result: Ref) {
        let place = mix(key[0], key[1], key[2]) & (self.cache.len() - 1);
        self.cache[place] = CacheLine { key, result };
    }
}

/// One level of recursion more, as long as the stack certainly holds it.
fn deeper(depth: u32) -> Bounded<u32> {
    if depth < MAX_DEPTH { Ok(depth + 1) } else { Err(Exhausted) }
}

/// Spreads three numbers over the range of indices (multipliers from the fractional part of the golden ratio).
fn mix(a: u32, b: u32, c: u32) -> usize {
    let h = (u64::from(a) << 32 | u64::from(b)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let h = (h ^ h >> 29 ^ u64::from(c)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (h ^ h >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function of four variables next to its truth table, built from the same random steps.
    #[test]
    fn agrees_with_truth_tables_and_is_canonical() {
        let mut bdd = Bdd::new(1 << 16, None);
        let table_of = |v: u32| (0u16..16).filter(|i| i >> v & 1 == 1).fold(0u16, |t, i| t | 1 << i);
        let mut known: Vec<(Ref, u16)> = vec![(Ref::TRUE, 0xffff), (Ref::FALSE, 0)];
        for v in 0..4 {
            known.push((bdd.var(v).unwrap(), table_of(v)));
        }
        let mut seed = 1u32;
        let mut next = |n: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as usize % n
        };
        for round in 0..20_000 {
            let (f, g, h) = (known[next(known.len())], known[next(known.len())], known[next(known.len())]);
            let new = match next(4) {
                0 => (bdd.and(f.0, g.0).unwrap(), f.1 & g.1),
                1 => (bdd.xor(f.0, g.0).unwrap(), f.1 ^ g.1),
                2 => (bdd.ite(f.0, g.0, h.0).unwrap(), f.1 & g.1 | !f.1 & h.1),
                _ => (bdd.or(f.0, g.0.not()).unwrap(), f.1 | !g.1),
            };
            for i in 0..16u16 {
                assert_eq!(bdd.eval(new.0, &|level| i >> level & 1 == 1), new.1 >> i & 1 == 1);
            }
            if known.len() < 400 {
                known.push(new);
            }
            let same: Vec<_> = known.iter().filter(|k| k.1 == new.1).map(|k| k.0).collect();
            assert!(same.iter().all(|&r| r == new.0), "two diagrams for one function");
            let solution = bdd.solve(new.0, &mut |_| next(2) == 0);
            assert_eq!(solution.is_none(), new.1 == 0);
            if round % 5000 == 0 {
                bdd.collect(&known.iter().map(|k| k.0).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_limit_is_an_error_and_collection_makes_room() {
        let mut bdd = Bdd::new(100, None);
        let mut f = Ref::FALSE;
        let failed = (0..200).find(|&level| match bdd.var(level).and_then(|v| bdd.xor(f, v)) {
            Ok(g) => {
                f = g;
                false
            }
            Err(Exhausted) => true,
        });
        assert!(failed.is_some_and(|level| level > 5));
        bdd.collect(&[]);
        assert_eq!(bdd.node_count(), 1);
        assert!(bdd.var(7).is_ok());
    }
}
