//! Which entry of an LRU map makes room (`kernel/bpf/bpf_lru_list.c`).
//!
//! The kernel approximates "least recently used": a look-up by a program sets one bit, and lists are looked through now
//! and then. Nodes that were referenced since go to the head of the active list, others to the inactive list, from whose
//! tail nodes are taken. With a common list each CPU holds nodes back: some free ones, and those that it handed out
//! since it last asked for free ones ("pending"). All that is done here under the lock of the map, in the same order,
//! so one thread sees the evictions of the kernel.
//!
//! A node is the slot of a value. Lists are rings through sentinel nodes that follow the real ones.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Most free nodes that a CPU takes from the common list at once, and most nodes looked at in one go.
const LOCAL_BATCH: u32 = 128;
/// The same where every CPU has its own list.
const PERCPU_BATCH: u32 = 4;

/// Where a node is. The first three are lists of the common part (or of a CPU's part), the others local ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Active,
    Inactive,
    Free,
    LocalFree,
    Pending,
}

/// The lists of one part: all of them for the common list, those of a CPU otherwise.
#[derive(Debug, Clone)]
struct Part {
    active: u32,
    inactive: u32,
    free: u32,
    active_count: u32,
    inactive_count: u32,
    /// Where the next look through the inactive list begins.
    rotation: u32,
}

/// Lists of a CPU in front of the common part.
#[derive(Debug, Clone)]
struct Local {
    free: u32,
    pending: u32,
    next_steal: u32,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    previous: u32,
    next: u32,
    cpu: u32,
    place: Place,
}

/// All nodes of a map.
#[derive(Debug)]
pub(super) struct Lru {
    nodes: Vec<Node>,
    parts: Vec<Part>,
    /// Empty if every CPU has a part of its own.
    locals: Vec<Local>,
    target_free: u32,
    scans: u32,
}

/// What the lists need to know of the map: the reference bits, and how to take a node out of the hash table.
pub(super) struct Owner<'a, F: FnMut(u32) -> bool> {
    /// One byte a node, not 0 if it was referenced.
    pub(super) referenced: &'a [AtomicU8],
    /// Takes the entry of a node out of the table; `false` if it is not in there.
    pub(super) evict: F,
}

impl<F: FnMut(u32) -> bool> Owner<'_, F> {
    fn is_referenced(&self, node: u32) -> bool {
        self.referenced.get(node as usize).is_some_and(|bit| bit.load(Relaxed) != 0)
    }

    fn clear(&self, node: u32) {
        if let Some(bit) = self.referenced.get(node as usize) {
            bit.store(0, Relaxed);
        }
    }
}

impl Lru {
    /// All `count` nodes free. `per_cpu` is the flag `BPF_F_NO_COMMON_LRU`.
    pub(super) fn new(count: u32, cpus: u32, per_cpu: bool) -> Self {
        let part_count = if per_cpu { cpus } else { 1 };
        let local_count = if per_cpu { 0 } else { cpus };
        let sentinels = part_count * 3 + local_count * 2;
        let share = (count / cpus).max(1);
        let mut nodes: Vec<Node> = (0..count)
            .map(|at| Node { previous: at, next: at, cpu: (at / share).min(cpus - 1), place: Place::Free })
            .collect();
        nodes.extend((count..count + sentinels).map(|at| Node { previous: at, next: at, cpu: 0, place: Place::Free }));
        let part = |number: u32| {
            let first = count + number * 3;
            Part {
                active: first,
                inactive: first + 1,
                free: first + 2,
                active_count: 0,
                inactive_count: 0,
                rotation: first + 1,
            }
        };
        let local = |cpu: u32| {
            let first = count + part_count * 3 + cpu * 2;
            Local { free: first, pending: first + 1, next_steal: cpu }
        };
        let mut lru = Self {
            nodes,
            parts: (0..part_count).map(part).collect(),
            locals: (0..local_count).map(local).collect(),
            target_free: (count / cpus / 2).clamp(1, LOCAL_BATCH),
            scans: if per_cpu { PERCPU_BATCH } else { LOCAL_BATCH },
        };
        for node in 0..count {
            let part = if per_cpu { lru.node(node).cpu } else { 0 };
            lru.insert(node, lru.parts[part as usize].free);
        }
        lru
    }

    fn node(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }

    fn unlink(&mut self, at: u32) {
        let Node { previous, next, .. } = *self.node(at);
        self.node_mut(previous).next = next;
        self.node_mut(next).previous = previous;
    }

    /// Puts an unlinked node at the head of the list of `sentinel`.
    fn insert(&mut self, at: u32, sentinel: u32) {
        let first = self.node(sentinel).next;
        self.node_mut(at).previous = sentinel;
        self.node_mut(at).next = first;
        self.node_mut(sentinel).next = at;
        self.node_mut(first).previous = at;
    }

    fn is_empty(&self, sentinel: u32) -> bool {
        self.node(sentinel).next == sentinel
    }

    fn first(&self, sentinel: u32) -> Option<u32> {
        let first = self.node(sentinel).next;
        (first != sentinel).then_some(first)
    }

    fn part_mut(&mut self, part: usize) -> &mut Part {
        &mut self.parts[part]
    }

    fn count(&mut self, part: usize, place: Place, change: i32) {
        let part = self.part_mut(part);
        match place {
            Place::Active => part.active_count = part.active_count.wrapping_add_signed(change),
            Place::Inactive => part.inactive_count = part.inactive_count.wrapping_add_signed(change),
            _ => {}
        }
    }

    /// Takes a node of `part` out of its list, wherever it is, and puts it at the head of `sentinel`.
    fn relink(&mut self, part: usize, at: u32, place: Place, sentinel: u32) {
        let from = self.node(at).place;
        if self.parts[part].rotation == at {
            self.part_mut(part).rotation = self.node(at).previous;
        }
        self.count(part, from, -1);
        self.count(part, place, 1);
        self.node_mut(at).place = place;
        self.unlink(at);
        self.insert(at, sentinel);
    }

    /// Moves a node between the lists of a part, and forgets that it was referenced.
    fn move_to<F: FnMut(u32) -> bool>(&mut self, owner: &Owner<'_, F>, part: usize, at: u32, place: Place) {
        let lists = &self.parts[part];
        let sentinel = match place {
            Place::Active => lists.active,
            Place::Inactive => lists.inactive,
            _ => lists.free,
        };
        owner.clear(at);
        self.relink(part, at, place, sentinel);
    }

    /// Looks through the active list from its tail: referenced nodes get another round, others become inactive.
    fn rotate_active<F: FnMut(u32) -> bool>(&mut self, owner: &Owner<'_, F>, part: usize) {
        let sentinel = self.parts[part].active;
        let first = self.node(sentinel).next;
        let mut at = self.node(sentinel).previous;
        for _ in 0..self.scans {
            if at == sentinel {
                break;
            }
            let previous = self.node(at).previous;
            let place = if owner.is_referenced(at) { Place::Active } else { Place::Inactive };
            self.move_to(owner, part, at, place);
            if at == first {
                break;
            }
            at = previous;
        }
    }

    /// Goes on looking through the inactive list where it stopped last time: referenced nodes become active.
    fn rotate_inactive<F: FnMut(u32) -> bool>(&mut self, owner: &Owner<'_, F>, part: usize) {
        let sentinel = self.parts[part].inactive;
        if self.is_empty(sentinel) {
            return;
        }
        let mut last = self.node(self.parts[part].rotation).next;
        if last == sentinel {
            last = self.node(last).next;
        }
        let mut at = self.parts[part].rotation;
        let mut next = sentinel;
        let mut looked_at = 0;
        while looked_at < self.scans {
            if at == sentinel {
                at = self.node(at).previous;
                continue;
            }
            next = self.node(at).previous;
            if owner.is_referenced(at) {
                self.move_to(owner, part, at, Place::Active);
            }
            if at == last {
                break;
            }
            at = next;
            looked_at += 1;
        }
        self.part_mut(part).rotation = next;
    }

    fn rotate<F: FnMut(u32) -> bool>(&mut self, owner: &Owner<'_, F>, part: usize) {
        if self.parts[part].inactive_count < self.parts[part].active_count {
            self.rotate_active(owner, part);
        }
        self.rotate_inactive(owner, part);
    }

    /// Evicts up to `wanted` inactive nodes that were not referenced; if there is none, any one node.
    fn shrink<F: FnMut(u32) -> bool>(
        &mut self,
        owner: &mut Owner<'_, F>,
        part: usize,
        wanted: u32,
        (place, list): (Place, u32),
    ) {
        let sentinel = self.parts[part].inactive;
        let mut at = self.node(sentinel).previous;
        let mut evicted = 0;
        for _ in 0..self.scans {
            if at == sentinel {
                break;
            }
            let previous = self.node(at).previous;
            if owner.is_referenced(at) {
                self.move_to(owner, part, at, Place::Active);
            } else if (owner.evict)(at) {
                self.relink(part, at, place, list);
                evicted += 1;
                if evicted == wanted {
                    break;
                }
            }
            at = previous;
        }
        if evicted > 0 {
            return;
        }
        let inactive = self.parts[part].inactive;
        let sentinel = if self.is_empty(inactive) { self.parts[part].active } else { inactive };
        let mut at = self.node(sentinel).previous;
        while at != sentinel {
            let previous = self.node(at).previous;
            if (owner.evict)(at) {
                self.relink(part, at, place, list);
                return;
            }
            at = previous;
        }
    }

    /// Moves the nodes that a CPU handed out to the common lists.
    fn flush_pending<F: FnMut(u32) -> bool>(&mut self, owner: &Owner<'_, F>, pending: u32) {
        loop {
            // From the tail, so that the newest ends at the head.
            let at = self.node(pending).previous;
            if at == pending {
                return;
            }
            let place = if owner.is_referenced(at) { Place::Active } else { Place::Inactive };
            self.move_to(owner, 0, at, place);
        }
    }

    /// Fills the free list of a CPU: from the common free list, then by eviction.
    fn refill<F: FnMut(u32) -> bool>(&mut self, owner: &mut Owner<'_, F>, cpu: usize) {
        let Local { free, pending, .. } = self.locals[cpu];
        self.flush_pending(owner, pending);
        self.rotate(owner, 0);
        let mut taken = 0;
        while taken < self.target_free
            && let Some(at) = self.first(self.parts[0].free)
        {
            self.relink(0, at, Place::LocalFree, free);
            taken += 1;
        }
        if taken < self.target_free {
            self.shrink(owner, 0, self.target_free - taken, (Place::LocalFree, free));
        }
    }

    /// Takes the oldest pending node of a CPU that was not referenced, or the oldest one.
    fn pop_pending<F: FnMut(u32) -> bool>(&mut self, owner: &mut Owner<'_, F>, pending: u32) -> Option<u32> {
        for force in [false, true] {
            let mut at = self.node(pending).previous;
            while at != pending {
                let previous = self.node(at).previous;
                if (force || !owner.is_referenced(at)) && (owner.evict)(at) {
                    return Some(at);
                }
                at = previous;
            }
        }
        None
    }

    /// A node for a new entry, taken from another one if need be. `cpu` is below the number of CPUs.
    pub(super) fn pop_free<F: FnMut(u32) -> bool>(&mut self, owner: &mut Owner<'_, F>, cpu: u32) -> Option<u32> {
        if self.locals.is_empty() { self.pop_free_per_cpu(owner, cpu) } else { self.pop_free_common(owner, cpu) }
    }

    fn pop_free_per_cpu<F: FnMut(u32) -> bool>(&mut self, owner: &mut Owner<'_, F>, cpu: u32) -> Option<u32> {
        let part = cpu as usize;
        self.rotate(owner, part);
        let free = self.parts[part].free;
        if self.is_empty(free) {
            self.shrink(owner, part, PERCPU_BATCH, (Place::Free, free));
        }
        let node = self.first(free)?;
        self.move_to(owner, part, node, Place::Inactive);
        Some(node)
    }

    fn pop_free_common<F: FnMut(u32) -> bool>(&mut self, owner: &mut Owner<'_, F>, cpu: u32) -> Option<u32> {
        let own = cpu as usize;
        let mut node = self.first(self.locals[own].free);
        if node.is_none() {
            self.refill(owner, own);
            node = self.first(self.locals[own].free);
        }
        if node.is_none() {
            // Everything is held back by CPUs: take from them in turn.
            let count = self.locals.len() as u32;
            let mut steal = self.locals[own].next_steal;
            for _ in 0..count {
                let Local { free, pending, .. } = self.locals[steal as usize];
                node = self.first(free).or_else(|| self.pop_pending(owner, pending));
                steal = (steal + 1) % count;
                if node.is_some() {
                    break;
                }
            }
            self.locals[own].next_steal = steal;
        }
        let node = node?;
        let pending = self.locals[own].pending;
        owner.clear(node);
        self.node_mut(node).cpu = cpu;
        self.node_mut(node).place = Place::Pending;
        self.unlink(node);
        self.insert(node, pending);
        Some(node)
    }

    /// Takes back a node whose entry is gone.
    pub(super) fn push_free<F: FnMut(u32) -> bool>(&mut self, owner: &Owner<'_, F>, at: u32) {
        let Node { cpu, place, .. } = *self.node(at);
        if place == Place::Pending {
            let free = self.locals[cpu as usize].free;
            owner.clear(at);
            self.node_mut(at).place = Place::LocalFree;
            self.unlink(at);
            self.insert(at, free);
        } else {
            let part = if self.locals.is_empty() { cpu as usize } else { 0 };
            self.move_to(owner, part, at, Place::Free);
        }
    }
}
