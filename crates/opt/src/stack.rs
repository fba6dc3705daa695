//! How much stack functions are going to take, alone and along chains of calls: estimates, made before code is selected.

use std::collections::HashMap;

use skep_ir::analysis::{Liveness, Places};
use skep_ir::{Entity, FuncRef, Function, InstData, Module, Value};

use crate::pipeline::called;
use crate::util::Hashing;

/// Bytes that the frames of a chain of calls have together (`MAX_BPF_STACK` of the kernel).
pub const STACK: u32 = 512;
/// What each frame is rounded up to, where the kernel has no just-in-time compiler (`check_max_stack_depth`).
const GRANULE: u32 = 32;
/// Registers that a call leaves as they are (`r6` to `r9`).
const KEPT: u32 = 4;
/// Registers that only calls overwrite.
const LOST: u32 = 6;

/// What one function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Need {
    /// Bytes of objects.
    pub objects: u32,
    /// Values that have to be in registers which survive calls, or in the frame, at the place where these are most.
    pub kept: u32,
}

impl Need {
    /// Of a function as it is.
    pub fn of(function: &Function) -> Self {
        Self { objects: Places::new(function).size, kept: kept(function) }
    }

    /// Of a function with another one in place of a call.
    pub fn with(self, callee: Self) -> Self {
        Self { objects: self.objects.saturating_add(callee.objects), kept: self.kept.saturating_add(callee.kept) }
    }

    /// Bytes of the frame.
    pub fn frame(self) -> u32 {
        let spilled = self.kept.saturating_sub(KEPT).saturating_mul(8);
        self.objects.saturating_add(spilled).max(1).div_ceil(GRANULE).saturating_mul(GRANULE)
    }
}

/// Values that are neither read for the last time in front of a call nor made anew behind it, at most; away from calls there
/// are more registers.
fn kept(function: &Function) -> u32 {
    let liveness = Liveness::new(function);
    let mut most = 0u32;
    let mut live = vec![false; function.value_count()];
    for &block in &function.blocks {
        let out = liveness.live_out(function, block);
        out.iter().for_each(|value| live[value.index()] = true);
        let mut count = out.iter().filter(|&&value| occupies(function, value)).count() as u32;
        let mut touched = out;
        for &inst in function[block].insts.iter().rev() {
            let node = &function[inst];
            for &result in &node.results {
                if std::mem::take(&mut live[result.index()]) && occupies(function, result) {
                    count -= 1;
                }
            }
            let calls = matches!(node.data, InstData::Call(..));
            most = most.max(if calls { count } else { count.saturating_sub(LOST) });
            node.data.for_each_operand(|value| {
                if !std::mem::replace(&mut live[value.index()], true) {
                    count += u32::from(occupies(function, value));
                    touched.push(value);
                }
            });
        }
        touched.into_iter().for_each(|value| live[value.index()] = false);
    }
    most
}

/// Whether a value needs a place: constants and addresses are made where they are read.
fn occupies(function: &Function, value: Value) -> bool {
    let made = |data: &InstData| {
        matches!(
            data,
            InstData::Const(_)
                | InstData::SlotAddr(_)
                | InstData::MapAddr(_)
                | InstData::GlobalAddr(_)
                | InstData::FuncAddr(_)
                | InstData::KernelAddr(_)
                | InstData::Core(_)
        )
    };
    !function.def_inst(value).is_some_and(made)
}

/// Who calls whom in a module, and what all of them take.
#[derive(Debug, Clone)]
pub struct Calls {
    /// By function: those that it calls or takes the address of, once for each place.
    pub callees: Vec<Vec<FuncRef>>,
    /// How often each function is called or has its address taken.
    pub references: Vec<usize>,
    /// By function, as far as chains of calls lead through it.
    pub needs: Vec<Need>,
}

impl Calls {
    /// Of a module.
    pub fn new(module: &Module) -> Self {
        let callees: Vec<Vec<FuncRef>> = module.functions.iter().map(called).collect();
        let mut references = vec![0; callees.len()];
        callees.iter().for_each(|callees| count(&mut references, callees, true));
        // A program that calls nothing is in no chain.
        let alone = |at: usize| references[at] == 0 && callees[at].is_empty();
        let functions = module.functions.iter().enumerate();
        let needs = functions.map(|(at, function)| if alone(at) { Need::default() } else { Need::of(function) });
        let needs = needs.collect();
        Self { callees, references, needs }
    }

    /// After a function has changed. Those that it calls have been looked at before, so what it takes itself matters to those
    /// that call it only.
    pub fn update(&mut self, at: FuncRef, function: &Function) {
        let new = called(function);
        count(&mut self.references, &self.callees[at.index()], false);
        count(&mut self.references, &new, true);
        self.callees[at.index()] = new;
        if self.references[at.index()] > 0 {
            self.needs[at.index()] = Need::of(function);
        }
    }

    /// Most bytes of the frames of a function and of those that it calls, for all functions that these lead to, by number.
    pub fn below(&self, roots: &[FuncRef]) -> HashMap<usize, u32, Hashing> {
        let mut bytes: HashMap<usize, u32, Hashing> = HashMap::default();
        for root in roots.iter().map(|root| root.index()).filter(|&root| root < self.callees.len()) {
            let mut stack = vec![root];
            while let Some(&at) = stack.last() {
                let waiting = self.inside(at).find(|callee| !bytes.contains_key(callee) && !stack.contains(callee));
                if let (Some(callee), false) = (waiting, bytes.contains_key(&at)) {
                    stack.push(callee);
                    continue;
                }
                let deepest = self.inside(at).filter_map(|callee| bytes.get(&callee).copied()).max().unwrap_or(0);
                bytes.insert(at, deepest + self.needs[at].frame());
                stack.pop();
            }
        }
        bytes
    }

    /// Most bytes of the frames that are there already when a function is called.
    pub fn above(&self, function: FuncRef) -> u32 {
        if self.references.get(function.index()).is_none_or(|&count| count == 0) {
            return 0;
        }
        let mut callers: Vec<Vec<usize>> = vec![Vec::new(); self.callees.len()];
        for at in 0..self.callees.len() {
            self.inside(at).for_each(|callee| callers[callee].push(at));
        }
        let mut most: Vec<Option<u32>> = vec![None; callers.len()];
        let mut work = vec![(function.index(), 0)];
        while let Some((at, bytes)) = work.pop() {
            // Chains have eight functions at most; what goes round is refused elsewhere.
            if bytes > 8 * STACK || most[at].is_some_and(|known| known >= bytes) {
                continue;
            }
            most[at] = Some(bytes);
            work.extend(callers[at].iter().map(|&caller| (caller, bytes + self.needs[caller].frame())));
        }
        most.into_iter().flatten().max().unwrap_or(0)
    }

    fn inside(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        self.callees[at].iter().map(|callee| callee.index()).filter(move |&callee| callee < self.callees.len())
    }
}

/// Adds calls to how often functions are referred to, or takes them away.
fn count(references: &mut [usize], callees: &[FuncRef], add: bool) {
    for callee in callees {
        if let Some(count) = references.get_mut(callee.index()) {
            *count = if add { *count + 1 } else { count.saturating_sub(1) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: &str = r#"license "GPL"
func f0 @leaf: static -> i64 {
  slot s0 100 align 8
b0(v0: i64):
  v1: ptr<stack> = slot_addr s0
  store.64 v1 + 0, v0
  v2: i64 = load.64 v1 + 0
  return v2
}
func f1 @middle: static -> i64 {
b0(v0: i64, v1: i64, v2: i64, v3: i64, v4: i64):
  v5: i64 = call f0(v0)
  v6: i64 = call f0(v5)
  v7: i64 = add v6, v1
  v8: i64 = add v7, v2
  v9: i64 = add v8, v3
  v10: i64 = add v9, v4
  v11: i64 = add v10, v0
  return v11
}
func f2 @top: static -> i64 {
  slot s0 200 align 8
b0(v0: i64):
  v1: ptr<stack> = slot_addr s0
  store.64 v1 + 0, v0
  v2: i64 = load.64 v1 + 0
  v3: i64 = call f1(v2, v0, v0, v0, v0)
  v4: i64 = call f0(v3)
  return v4
}"#;

    #[test]
    fn chains_are_the_sums_of_their_frames() {
        let module = skep_ir::parse(CHAIN).unwrap();
        let mut calls = Calls::new(&module);
        assert_eq!(calls.references, [3, 1, 0]);
        assert_eq!(calls.needs[0], Need { objects: 104, kept: 0 });
        // Five parameters are read behind the first call.
        assert_eq!(calls.needs[1], Need { objects: 0, kept: 5 });
        assert_eq!(calls.needs.iter().map(|need| need.frame()).collect::<Vec<_>>(), [128, 32, 224]);
        let below = |calls: &Calls| {
            let found = calls.below(&[FuncRef(2)]);
            [0, 1, 2].map(|at| found[&at])
        };
        assert_eq!(below(&calls), [128, 160, 384]);
        assert_eq!(calls.below(&[FuncRef(0)]).len(), 1);
        assert_eq!([0, 1, 2].map(|at| calls.above(FuncRef(at))), [256, 224, 0]);
        let other = module.functions[0].clone();
        calls.update(FuncRef(1), &other);
        assert_eq!((&calls.references[..], below(&calls)[2]), (&[1, 1, 0][..], 352));
        assert_eq!(calls.needs[0].with(calls.needs[1]).frame(), 224);
    }
}
