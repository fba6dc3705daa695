//! Stacks of functions that call one another together (`check_max_stack_depth`).

use skep_isa::ebpf::{Callee, Imm64, Op};

use crate::reject::{Reason, Stop};
use crate::rules;
use crate::search::Verifier;
use crate::state::{MAX_FRAMES, STACK};

/// Bytes of stack on a chain of calls in which one function makes tail calls.
const WITH_TAIL_CALLS: u32 = 256;

impl Verifier<'_> {
    /// The bytes of stack on the deepest chain of calls.
    ///
    /// # Errors
    /// If there are too many, or too many functions on a chain.
    pub fn check_stacks(&self) -> Result<u32, (u32, Stop)> {
        let mut deepest = 0;
        for function in 0..u32::try_from(self.later.len()).unwrap_or(0) {
            if function == 0 || self.later[function as usize] {
                deepest = deepest.max(self.check_chain(function)?);
            }
        }
        Ok(deepest)
    }

    fn check_chain(&self, start: u32) -> Result<u32, (u32, Stop)> {
        let mut deepest = 0;
        if let Some(throw) = self.throw_in(start).filter(|_| self.called_back[start as usize]) {
            return Err((throw, Reason::Rule(&rules::THROW_PLACE).into()));
        }
        let mut chain = vec![(start, self.code.extent(start).0, self.bytes(start))];
        while let Some((function, at, below)) = chain.pop() {
            deepest = deepest.max(below);
            if below > STACK {
                return Err((at, Reason::StackTogether(below).into()));
            }
            let (_, end) = self.code.extent(function);
            let call = (at..end).find_map(|at| match self.code.op(at) {
                Some(Op::Call(Callee::Local(distance))) => {
                    let target = u32::try_from(i64::from(at) + 1 + i64::from(distance)).ok()?;
                    self.code.function_at(target).map(|callee| (at, callee))
                }
                Some(Op::LoadImm { value: Imm64::Func(distance), .. }) => {
                    let target = u32::try_from(i64::from(at) + 1 + i64::from(distance)).ok()?;
                    let callee = self.code.function_at(target)?;
                    // What is called later has a stack of its own.
                    (!self.later[callee as usize]).then_some((at, callee))
                }
                _ => None,
            });
            let Some((at, callee)) = call else { continue };
            let called_back = |function: u32| self.called_back[function as usize];
            let on_the_way = chain.iter().map(|(function, ..)| *function).chain([function, callee]);
            if let Some(throw) = self.throw_in(callee).filter(|_| on_the_way.into_iter().any(called_back)) {
                return Err((throw, Reason::Rule(&rules::THROW_PLACE).into()));
            }
            if self.tail_calls[callee as usize] && below >= WITH_TAIL_CALLS {
                return Err((at, Reason::StackTogether(below).into()));
            }
            chain.push((function, at + 1, below));
            if chain.len() >= MAX_FRAMES {
                return Err((at, Reason::TooDeep.into()));
            }
            chain.push((callee, self.code.extent(callee).0, below + self.bytes(callee)));
        }
        Ok(deepest)
    }

    /// The stack of a function as compiled code reserves it.
    fn bytes(&self, function: u32) -> u32 {
        self.stack[function as usize].next_multiple_of(16)
    }
}
