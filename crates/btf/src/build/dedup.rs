//! Making types unique.
//!
//! Two types are one if they look the same and what they refer to is one, also in circles. That is the coarsest stable
//! partition of the graph of types, which is found by starting with types that look the same and separating those whose
//! targets have been separated, until nothing changes. A declaration `struct x;` counts as the definition of `struct x` if
//! only one such definition remains. Variables and sections stay as they are: the linker decides about them.
//!
//! The kernel's build (pahole with libbpf's `btf__dedup`) merges the same types by another way: it assumes pairs to be the
//! same and follows them. It may take a declaration for one of several definitions of its name if the context says which;
//! here it stays a declaration then.

use std::collections::HashMap;

use super::{BtfBuilder, BuildError, COMMON, IdMap};
use crate::kind::{NameOff, TypeId};
use crate::number::{self, Info, name_places, type_places};

/// Steps for each word of the types. Real types need less than ten.
const FUEL: u64 = 256;

impl BtfBuilder {
    /// Makes types unique: of types that are the same the first one stays, those of the base before all others. The
    /// types that stay keep their order and get new numbers.
    ///
    /// # Errors
    /// A type that refers to one that does not exist, types made to keep the comparison busy. The builder is unchanged
    /// then.
    pub fn dedup(&mut self) -> Result<IdMap, BuildError> {
        let graph = Graph::new(self)?;
        let unique = graph.unique()?;
        // Numbers before the first own one are the base's and stay.
        let mut new = vec![TypeId::VOID; unique.len()];
        let (mut words, mut starts) = (Vec::new(), Vec::new());
        let own = self.first as usize;
        for (id, chosen) in unique.iter().enumerate() {
            if id < own {
                new[id] = TypeId(id as u32);
            } else if *chosen == id {
                new[id] = TypeId(self.first + starts.len() as u32);
                starts.push(id);
            }
        }
        let resolve = |id: u32| unique.get(id as usize).map_or(TypeId::VOID, |chosen| new[*chosen]);
        let kept = std::mem::take(&mut starts);
        let mut offsets = Vec::with_capacity(kept.len());
        for id in kept {
            let start = words.len();
            offsets.push(start as u32);
            words.extend_from_slice(self.range(id - own).map_or(&[][..], |range| &self.words[range]));
            let info = Info(words[start + 1]);
            for place in type_places(info) {
                words[start + place] = resolve(words[start + place]).0;
            }
        }
        (self.words, self.starts) = (words, offsets);
        let ids = (own..unique.len()).map(|id| resolve(id as u32)).collect();
        Ok(IdMap { first: self.first, ids })
    }
}

/// All types with those of the base, as what they look like and what they refer to.
struct Graph {
    /// What type `n` looks like: its words without the types it refers to.
    looks: Vec<Vec<u32>>,
    /// What it refers to.
    targets: Vec<Vec<u32>>,
}

impl Graph {
    fn new(builder: &mut BtfBuilder) -> Result<Self, BuildError> {
        let mut graph = Self { looks: vec![Vec::new()], targets: vec![Vec::new()] };
        if let Some(base) = builder.base.clone() {
            for id in base.all_ids() {
                let mut record: Vec<u32> = base.record(id).map_err(BuildError::Btf)?.collect();
                let info = base.info(id).map_err(BuildError::Btf)?;
                // The base may have a string more than once.
                for place in name_places(info) {
                    let name = base.string_bytes(NameOff(record[place])).map_err(BuildError::Btf)?.0;
                    record[place] = builder.strings.add(name)?.0;
                }
                graph.push(&record);
            }
        }
        for index in 0..builder.starts.len() {
            let range = builder.range(index).unwrap_or_default();
            graph.push(&builder.words[range]);
        }
        let missing = |target: &&u32| **target as usize >= graph.looks.len();
        match graph.targets.iter().flatten().find(missing) {
            Some(missing) => Err(BuildError::NoSuchType(*missing)),
            None => Ok(graph),
        }
    }

    fn push(&mut self, record: &[u32]) {
        let info = Info(record[1]);
        let mut looks = record.to_vec();
        let targets = type_places(info).map(|place| std::mem::take(&mut looks[place])).collect();
        if matches!(info.kind(), number::VAR | number::DATASEC) {
            looks.push(self.looks.len() as u32);
        }
        self.looks.push(looks);
        self.targets.push(targets);
    }

    /// For each type the one that stays instead of it.
    fn unique(&self) -> Result<Vec<usize>, BuildError> {
        let words = self.looks.iter().chain(&self.targets).map(|words| words.len() as u64 + 1).sum::<u64>();
        let mut fuel = FUEL * words + (1 << 16);
        let mut declarations = self.declarations();
        loop {
            let classes = Partition::new(self, &declarations).refine(&mut fuel)?;
            // A declaration whose definitions turned out to be several stays one.
            let before = declarations.len();
            declarations.retain(|_, definitions| {
                let mut found = definitions.iter().map(|definition| classes[*definition]);
                let first = found.next();
                found.all(|class| Some(class) == first)
            });
            if declarations.len() < before {
                continue;
            }
            let mut first = HashMap::new();
            let mut chosen: Vec<usize> = (0..classes.len()).map(|id| *first.entry(classes[id]).or_insert(id)).collect();
            for (declaration, definitions) in &declarations {
                if let Some(definition) = definitions.first() {
                    chosen[*declaration] = chosen[*definition];
                }
            }
            return Ok(chosen);
        }
    }

    /// For each type that is only declared the definitions that it may stand for: those of its name, if all look the same.
    fn declarations(&self) -> HashMap<usize, Vec<usize>> {
        let mut definitions: HashMap<(u8, u32), Vec<usize>> = HashMap::new();
        for (id, looks) in self.looks.iter().enumerate().skip(1) {
            let info = Info(looks[1]);
            let kind = match info.kind() {
                number::ENUM64 => number::ENUM,
                kind => kind,
            };
            let defines = match kind {
                number::STRUCT | number::UNION => true,
                number::ENUM => info.count() > 0,
                _ => false,
            };
            if defines && looks[0] != 0 {
                definitions.entry((kind, looks[0])).or_default().push(id);
            }
        }
        definitions.retain(|_, ids| ids.iter().all(|id| self.looks[*id] == self.looks[ids[0]]));
        let mut declarations = HashMap::new();
        for (id, looks) in self.looks.iter().enumerate().skip(1) {
            let info = Info(looks[1]);
            let kind = match info.kind() {
                number::FWD if info.flag() => number::UNION,
                number::FWD => number::STRUCT,
                number::ENUM if info.count() == 0 => number::ENUM,
                _ => continue,
            };
            if let Some(found) = definitions.get(&(kind, looks[0])) {
                // A declared enumeration has a size, which has to be right.
                if kind != number::ENUM || self.looks[found[0]][COMMON - 1] == looks[COMMON - 1] {
                    declarations.insert(id, found.clone());
                }
            }
        }
        declarations
    }
}

/// Types in classes that get smaller and smaller.
struct Partition<'a> {
    graph: &'a Graph,
    /// What each type stands for: itself, or the definition of what it declares.
    meaning: Vec<usize>,
    class: Vec<u32>,
    /// How many types each class has, and what the classes of their targets are.
    sizes: Vec<u32>,
    signatures: Vec<Vec<u32>>,
    /// Which types refer to each type.
    users: Vec<Vec<u32>>,
}

impl<'a> Partition<'a> {
    fn new(graph: &'a Graph, declarations: &HashMap<usize, Vec<usize>>) -> Self {
        let count = graph.looks.len();
        let mut meaning: Vec<usize> = (0..count).collect();
        for (declaration, definitions) in declarations {
            meaning[*declaration] = definitions[0];
        }
        let mut classes = HashMap::new();
        let mut sizes = Vec::new();
        let class = graph.looks.iter().map(|looks| {
            let class = *classes.entry(looks).or_insert(sizes.len() as u32);
            sizes.resize(sizes.len().max(class as usize + 1), 0);
            sizes[class as usize] += 1;
            class
        });
        let class = class.collect();
        let mut users = vec![Vec::new(); count];
        for (id, targets) in graph.targets.iter().enumerate() {
            for target in targets {
                users[meaning[*target as usize]].push(id as u32);
            }
        }
        let signatures = vec![Vec::new(); sizes.len()];
        Self { graph, meaning, class, sizes, signatures, users }
    }

    /// Separates types until all types of a class have targets of the same classes.
    fn refine(mut self, fuel: &mut u64) -> Result<Vec<u32>, BuildError> {
        let mut changed: Vec<u32> = (0..self.class.len() as u32).collect();
        while !changed.is_empty() {
            let mut groups: HashMap<(u32, Vec<u32>), usize> = HashMap::new();
            let mut parts: Vec<(u32, Vec<u32>)> = Vec::new();
            for id in &changed {
                let signature = self.signature(*id);
                *fuel = fuel.checked_sub(signature.len() as u64 + 1).ok_or(BuildError::Endless)?;
                let class = self.class[*id as usize];
                let part = *groups.entry((class, signature)).or_insert_with(|| {
                    parts.push((class, Vec::new()));
                    parts.len() - 1
                });
                parts[part].1.push(*id);
            }
            let mut order: Vec<((u32, Vec<u32>), usize)> = groups.into_iter().collect();
            order.sort_unstable_by_key(|(_, part)| *part);
            let moved = self.separate(&parts, order.into_iter().map(|((_, signature), _)| signature));
            changed = moved.iter().flat_map(|id| &self.users[*id as usize]).copied().collect();
            *fuel = fuel.checked_sub(changed.len() as u64).ok_or(BuildError::Endless)?;
            changed.sort_unstable();
            changed.dedup();
        }
        Ok(self.class)
    }

    /// The classes of what a type refers to.
    fn signature(&self, id: u32) -> Vec<u32> {
        let targets = &self.graph.targets[id as usize];
        targets.iter().map(|target| self.class[self.meaning[*target as usize]]).collect()
    }

    /// Makes new classes of the parts of classes that have become different. Returns which types moved.
    fn separate(&mut self, parts: &[(u32, Vec<u32>)], signatures: impl Iterator<Item = Vec<u32>>) -> Vec<u32> {
        // Types that did not change keep the class; if all changed, the largest part does.
        let mut changed: HashMap<u32, u32> = HashMap::new();
        let mut largest: HashMap<u32, usize> = HashMap::new();
        for (at, (class, ids)) in parts.iter().enumerate() {
            *changed.entry(*class).or_default() += ids.len() as u32;
            let best = largest.entry(*class).or_insert(at);
            if parts[*best].1.len() < ids.len() {
                *best = at;
            }
        }
        let whole = |class: &u32| changed[class] == self.sizes[*class as usize];
        let whole: Vec<bool> = parts.iter().map(|(class, _)| whole(class)).collect();
        let mut moved = Vec::new();
        for ((at, (class, ids)), signature) in parts.iter().enumerate().zip(signatures) {
            let old = *class as usize;
            let all = whole[at];
            if all && largest[class] == at {
                self.signatures[old] = signature;
            } else if all || self.signatures[old] != signature {
                let new = self.sizes.len() as u32;
                self.sizes[old] -= ids.len() as u32;
                self.sizes.push(ids.len() as u32);
                self.signatures.push(signature);
                for id in ids {
                    self.class[*id as usize] = new;
                }
                moved.extend_from_slice(ids);
            }
        }
        moved
    }
}
