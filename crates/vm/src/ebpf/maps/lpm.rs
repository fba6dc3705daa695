//! `BPF_MAP_TYPE_LPM_TRIE`: longest matching prefix (`kernel/bpf/lpm_trie.c`, rules as of Linux 6.13).
//!
//! A key is a prefix length in bits (32-bit number in the machine's byte order) and the data that it counts bits of,
//! first byte first. The tree is the kernel's, so it also lists keys in the kernel's order: a node has one prefix, and
//! its children continue it with a 0 or a 1. Nodes without a value ("forks") exist only where two children meet.
//! Programs look up without locks.
//!
//! ```text
//! node    [child 0 + 1 | child 1 + 1] [value slot | prefix length | fork] [data, first bit the highest ...]
//! ```

use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::{MapError, UpdateFlag};
use super::sequence::Sequence;
use super::shape::{PREFIX_BYTES, Shape};
use super::shared::zeroed_words;
use super::table::Numbers;
use super::values::Values;

/// Flag in the second word of a node without value.
const FORK: u64 = 1 << 63;
/// Words of a node in front of its data.
const HEAD: usize = 2;
const TOO_LONG: MapError = MapError::Invalid("the prefix length is greater than the key has bits");

/// A prefix on its way into the tree.
#[derive(Debug, Clone, Copy)]
struct Prefix<'a> {
    length: u32,
    data: &'a [u8],
}

impl Prefix<'_> {
    /// Eight bytes of the data as a number whose highest bit comes first.
    #[inline]
    fn word(self, at: usize) -> u64 {
        let rest = self.data.get(at * 8..).unwrap_or_default();
        if let Some(all) = rest.first_chunk::<8>() {
            u64::from_be_bytes(*all)
        } else if let Some(half) = rest.as_array::<4>() {
            u64::from(u32::from_be_bytes(*half)) << 32
        } else {
            rest.iter().enumerate().fold(0, |word, (at, &byte)| word | u64::from(byte) << (56 - 8 * at))
        }
    }

    #[inline]
    fn bit(self, at: u32) -> usize {
        (self.word(at as usize / 64) >> (63 - at % 64) & 1) as usize
    }
}

/// Place that refers to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Root,
    Child(u32, usize),
}

/// The tree.
#[derive(Debug)]
pub(super) struct LpmTrie {
    values: Values,
    nodes: Box<[AtomicU64]>,
    node_words: usize,
    /// Number of the root plus 1, 0 for an empty tree.
    root: AtomicU64,
    len: AtomicU32,
    max_entries: u32,
    max_prefix: u32,
    sequence: Sequence,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    nodes: Numbers,
    slots: Numbers,
}

impl LpmTrie {
    /// An empty tree; `shape` was checked.
    pub(super) fn new(shape: Shape) -> Result<Self, MapError> {
        let data = shape.key_size.saturating_sub(PREFIX_BYTES);
        let too_large = MapError::TooLarge(shape.max_entries.into());
        // There is one fork less than values; one slot more takes the new value of an existing prefix.
        let node_count = shape.max_entries.checked_mul(2).ok_or(too_large)?;
        let slot_count = shape.max_entries.checked_add(1).ok_or(too_large)?;
        let node_words = HEAD + data.div_ceil(8) as usize;
        Ok(Self {
            values: Values::new(shape.value_size, slot_count, 1)?,
            nodes: zeroed_words(node_words * node_count as usize),
            node_words,
            root: AtomicU64::new(0),
            len: AtomicU32::new(0),
            max_entries: shape.max_entries,
            max_prefix: data * 8,
            sequence: Sequence::default(),
            writer: Mutex::new(Writer { nodes: Numbers::new(node_count), slots: Numbers::new(slot_count) }),
        })
    }

    pub(super) const fn values(&self) -> &Values {
        &self.values
    }

    pub(super) fn len(&self) -> u32 {
        self.len.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` if the length is greater than the data has bits, or the key has another size than the map's.
    #[inline]
    fn prefix<'k>(&self, key: &'k [u8]) -> Option<Prefix<'k>> {
        let (length, data) = key.split_first_chunk::<{ PREFIX_BYTES as usize }>()?;
        let length = u32::from_ne_bytes(*length);
        (length <= self.max_prefix && data.len() * 8 == self.max_prefix as usize).then_some(Prefix { length, data })
    }

    #[inline]
    fn words(&self, node: u32) -> &[AtomicU64] {
        let start = node as usize * self.node_words;
        self.nodes.get(start..start + self.node_words).unwrap_or_default()
    }

    fn head(&self, node: u32, word: usize) -> u64 {
        self.words(node).get(word).map_or(0, |word| word.load(Acquire))
    }

    fn length(&self, node: u32) -> u32 {
        (self.head(node, 1) >> 32) as u32 & !(1 << 31)
    }

    fn is_fork(&self, node: u32) -> bool {
        self.head(node, 1) & FORK != 0
    }

    fn slot(&self, node: u32) -> u32 {
        self.head(node, 1) as u32
    }

    fn child(&self, node: u32, bit: usize) -> Option<u32> {
        ((self.head(node, 0) >> (32 * bit)) as u32).checked_sub(1)
    }

    fn target(&self, link: Link) -> Option<u32> {
        match link {
            Link::Root => (self.root.load(Acquire) as u32).checked_sub(1),
            Link::Child(node, bit) => self.child(node, bit),
        }
    }

    fn set_link(&self, link: Link, target: Option<u32>) {
        let number = target.map_or(0, |node| u64::from(node) + 1);
        match link {
            Link::Root => self.root.store(number, Release),
            Link::Child(node, bit) => {
                if let Some(word) = self.words(node).first() {
                    let shift = 32 * bit;
                    let kept = word.load(Relaxed) & !(0xffff_ffff << shift);
                    word.store(kept | number << shift, Release);
                }
            }
        }
    }

    /// Bits that node and prefix have in common, at most the shorter of their lengths.
    #[inline]
    fn common(&self, node: &[AtomicU64], node_length: u32, prefix: Prefix<'_>) -> u32 {
        let limit = node_length.min(prefix.length);
        let mut bits = 0;
        for (at, word) in node.iter().skip(HEAD).enumerate() {
            let difference = word.load(Relaxed) ^ prefix.word(at);
            bits += difference.leading_zeros();
            if difference != 0 || bits >= limit {
                break;
            }
        }
        bits.min(limit)
    }

    /// The slot of the longest prefix that matches. Also bounded when the tree changes meanwhile.
    #[inline]
    fn walk(&self, prefix: Prefix<'_>) -> Option<u32> {
        let mut found = None;
        let mut next = self.root.load(Acquire) as u32;
        for _ in 0..=self.max_prefix {
            let words = self.words(next.checked_sub(1)?);
            let [children, head, ..] = words else { return found };
            let (children, head) = (children.load(Acquire), head.load(Acquire));
            let length = (head >> 32) as u32 & !(1 << 31);
            let common = self.common(words, length, prefix);
            if common == self.max_prefix {
                return Some(head as u32);
            }
            if common < length {
                return found;
            }
            if head & FORK == 0 {
                found = Some(head as u32);
            }
            next = (children >> (32 * prefix.bit(length))) as u32;
            if next == 0 {
                return found;
            }
        }
        found
    }

    /// For programs: offset of the value of the longest matching prefix.
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        let prefix = self.prefix(key)?;
        self.sequence.read(|| self.walk(prefix)).map(|slot| self.values.offset_single(slot))
    }

    /// For the user side: copies that value.
    pub(super) fn read(&self, key: &[u8], value: &mut [u8]) -> Result<(), MapError> {
        let prefix = self.prefix(key).ok_or(MapError::NotFound)?;
        let mut copy = || self.walk(prefix).map(|slot| self.values.read(slot, 0, value));
        self.sequence.read_patiently(&mut copy, || self.lock()).ok_or(MapError::NotFound)
    }

    fn write_node(&self, node: u32, data: impl Fn(usize) -> u64, second: u64) {
        if let [_, head, data_words @ ..] = self.words(node) {
            for (at, word) in data_words.iter().enumerate() {
                word.store(data(at), Relaxed);
            }
            head.store(second, Release);
        }
    }

    fn fill(&self, node: u32, prefix: Prefix<'_>, slot: u32) {
        self.write_node(node, |at| prefix.word(at), u64::from(slot) | u64::from(prefix.length) << 32);
    }

    /// Creates or replaces the value of a prefix.
    pub(super) fn update(&self, key: &[u8], value: &[u8], flag: UpdateFlag) -> Result<(), MapError> {
        let prefix = self.prefix(key).ok_or(TOO_LONG)?;
        let mut writer = self.lock();
        let mut link = Link::Root;
        let mut common = 0;
        let mut node = None;
        while let Some(at) = self.target(link) {
            node = Some(at);
            let length = self.length(at);
            common = self.common(self.words(at), length, prefix);
            if length != common || length == prefix.length || length == self.max_prefix {
                break;
            }
            link = Link::Child(at, prefix.bit(length));
            node = None;
        }
        let replaced = node.filter(|&at| self.length(at) == common);
        let exists = replaced.is_some_and(|at| !self.is_fork(at));
        flag.check(exists)?;
        if !exists && self.len() >= self.max_entries {
            return Err(MapError::NoSpace);
        }
        // There is one slot more than entries, and two nodes for each.
        let slot = writer.slots.take().ok_or(MapError::NoMemory)?;
        self.sequence.reuse();
        self.values.write(slot, 0, value);
        if let Some(at) = replaced {
            let old = self.slot(at);
            self.sequence.change(|| self.fill(at, prefix, slot));
            if exists {
                writer.slots.give_back(old);
            }
        } else {
            self.attach(&mut writer.nodes, (link, node, common), prefix, slot)?;
        }
        if !exists {
            self.len.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// Adds a node at a place where its prefix and that of `other`, if there is one, have `common` bits in common.
    fn attach(
        &self,
        numbers: &mut Numbers,
        (link, other, common): (Link, Option<u32>, u32),
        prefix: Prefix<'_>,
        slot: u32,
    ) -> Result<(), MapError> {
        let new = numbers.take().ok_or(MapError::NoMemory)?;
        let fork = if other.is_some() && common != prefix.length {
            Some(numbers.take().ok_or(MapError::NoMemory)?)
        } else {
            None
        };
        self.sequence.change(|| {
            self.set_link(Link::Child(new, 0), None);
            self.set_link(Link::Child(new, 1), None);
            self.fill(new, prefix, slot);
            let Some(other) = other else { return self.set_link(link, Some(new)) };
            let data = |at: usize| self.head(other, HEAD + at);
            let Some(fork) = fork else {
                // The new prefix is the beginning of the other one.
                let bit = (data(common as usize / 64) >> (63 - common % 64) & 1) as usize;
                self.set_link(Link::Child(new, bit), Some(other));
                return self.set_link(link, Some(new));
            };
            self.write_node(fork, data, FORK | u64::from(common) << 32);
            let bit = prefix.bit(common);
            self.set_link(Link::Child(fork, bit), Some(new));
            self.set_link(Link::Child(fork, 1 - bit), Some(other));
            self.set_link(link, Some(fork));
        });
        Ok(())
    }

    /// Removes a prefix.
    pub(super) fn delete(&self, key: &[u8]) -> Result<(), MapError> {
        let prefix = self.prefix(key).ok_or(TOO_LONG)?;
        let mut writer = self.lock();
        let (mut link, mut above) = (Link::Root, Link::Root);
        let mut parent = None;
        let node = loop {
            let node = self.target(link).ok_or(MapError::NotFound)?;
            let length = self.length(node);
            if length != self.common(self.words(node), length, prefix) {
                return Err(MapError::NotFound);
            }
            if length == prefix.length {
                break node;
            }
            parent = Some(node);
            above = link;
            link = Link::Child(node, prefix.bit(length));
        };
        if self.is_fork(node) {
            return Err(MapError::NotFound);
        }
        let slot = self.slot(node);
        let parent = parent.filter(|&at| self.is_fork(at));
        self.sequence.change(|| match (self.child(node, 0), self.child(node, 1), parent) {
            (Some(_), Some(_), _) => {
                if let Some(head) = self.words(node).get(1) {
                    head.fetch_or(FORK, Release);
                }
            }
            (None, None, Some(parent)) => {
                // The fork above has one child left, which takes its place.
                let bit = usize::from(self.child(parent, 0) == Some(node));
                self.set_link(above, self.child(parent, bit));
                writer.nodes.give_back(parent);
                writer.nodes.give_back(node);
            }
            (first, second, _) => {
                self.set_link(link, first.or(second));
                writer.nodes.give_back(node);
            }
        });
        writer.slots.give_back(slot);
        self.len.fetch_sub(1, Relaxed);
        Ok(())
    }

    /// The key behind `key` in the order of the kernel: longer prefixes before their beginnings, 0 before 1. The first
    /// one if `key` is not there.
    pub(super) fn next_key(&self, key: Option<&[u8]>, next: &mut [u8]) -> bool {
        let _no_writer = self.lock();
        let Some(root) = self.target(Link::Root) else { return false };
        let path = key.and_then(|key| self.prefix(key)).and_then(|prefix| self.path(root, prefix));
        let found = match path {
            None => self.first_below(root),
            Some(path) => {
                let steps = path.iter().rev().zip(path.iter().rev().skip(1));
                let mut behind = steps.filter_map(|(&node, &parent)| {
                    let left = self.child(parent, 0) == Some(node);
                    let right = left.then(|| self.child(parent, 1)).flatten();
                    right.map(|right| self.first_below(right)).or_else(|| (!self.is_fork(parent)).then_some(parent))
                });
                let Some(node) = behind.next() else { return false };
                node
            }
        };
        self.copy_key(found, next);
        true
    }

    /// The nodes from the root to the one with just this prefix and a value.
    fn path(&self, root: u32, prefix: Prefix<'_>) -> Option<Vec<u32>> {
        let mut path = vec![root];
        let mut node = root;
        loop {
            let length = self.length(node);
            if length != self.common(self.words(node), length, prefix) {
                return None;
            }
            if length == prefix.length {
                return (!self.is_fork(node)).then_some(path);
            }
            node = self.child(node, prefix.bit(length))?;
            path.push(node);
        }
    }

    /// The first node with a value at or below `node`. Forks have two children, so there is one.
    fn first_below(&self, node: u32) -> u32 {
        let mut found = node;
        let mut next = Some(node);
        while let Some(node) = next {
            let left = self.child(node, 0);
            next = if self.is_fork(node) {
                left
            } else {
                found = node;
                left.or_else(|| self.child(node, 1))
            };
        }
        found
    }

    fn copy_key(&self, node: u32, key: &mut [u8]) {
        let Some((length, data)) = key.split_first_chunk_mut::<{ PREFIX_BYTES as usize }>() else { return };
        *length = self.length(node).to_ne_bytes();
        for (part, word) in data.chunks_mut(8).zip(self.words(node).iter().skip(HEAD)) {
            part.copy_from_slice(&word.load(Relaxed).to_be_bytes()[..part.len()]);
        }
    }
}
