//! Warnings about what the kernel's verifier is going to refuse: helpers that a type of program does not have or that the
//! oldest kernel lacks, and look-ups whose result is used without a look at whether there is one.

use std::collections::HashSet;

use skep_ir::{FuncKind, Function, InstData, Value};
use skep_isa::helpers;

use super::Lower;
use crate::source::{Diag, Loc};

/// A call whose result may be null.
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    pub result: Value,
    pub helper: u32,
    pub loc: Loc,
}

impl Lower<'_> {
    /// Looks at a call of a helper.
    pub fn check_helper(&mut self, id: u32, loc: Loc) {
        let Some(helper) = helpers::by_id(id) else { return };
        if let FuncKind::Program(info) = &self.f().function.kind {
            let prog_type = info.prog_type;
            if !helper.programs.contains(prog_type) {
                self.diags.push(
                    Diag::warning(loc, format!("programs of type {prog_type} cannot call `bpf_{}`", helper.name))
                        .with_help("the kernel refuses the program when it is loaded"),
                );
            }
        }
        if let Some(oldest) = self.target_kernel.filter(|oldest| helper.since > *oldest) {
            self.diags.push(
                Diag::warning(
                    loc,
                    format!("`bpf_{}` came with Linux {}, the program is for {oldest}", helper.name, helper.since),
                )
                .with_help("check at run time whether it is there, or raise `--target-kernel`"),
            );
        }
    }

    /// Warns of results that are read through and never compared with null.
    pub fn check_lookups(&mut self, function: &Function, lookups: &[Lookup]) {
        for lookup in lookups {
            if let Some(true) = unchecked(function, lookup.result) {
                let name = helpers::by_id(lookup.helper).map_or("?", |helper| helper.name);
                self.diags.push(
                    Diag::warning(
                        lookup.loc,
                        format!("what `bpf_{name}` returns may be null, and is used without a check"),
                    )
                    .with_help(
                        "`if (!ptr) return 0;` in front of the first access: the kernel refuses the program otherwise",
                    ),
                );
            }
        }
    }
}

/// Whether a helper gives a pointer that may be null.
pub fn may_be_null(id: u32) -> bool {
    use skep_isa::helpers::Ret;
    let signatures = helpers::by_id(id).map_or(&[][..], |helper| helper.signatures);
    signatures.iter().any(|signature| {
        matches!(
            signature.result,
            Ret::ValueOrNull
                | Ret::SocketOrNull
                | Ret::SockCommonOrNull
                | Ret::TcpSockOrNull
                | Ret::RingRecordOrNull
                | Ret::DynptrMemoryOrNull
        )
    })
}

/// Whether memory is accessed through a value and nothing else is done with it that could be a check.
fn unchecked(function: &Function, value: Value) -> Option<bool> {
    let mut same: HashSet<Value> = HashSet::from([value]);
    let mut accessed = false;
    // Values are defined in front of their uses, along the order of the blocks that lowering makes; twice is enough for
    // what is left.
    for _ in 0..2 {
        for &block in &function.blocks {
            for &inst in &function[block].insts {
                let node = &function[inst];
                match &node.data {
                    InstData::PtrAddConst(from, _) | InstData::PtrAdd(from, _) | InstData::Cast(from)
                        if same.contains(from) =>
                    {
                        same.extend(&node.results);
                    }
                    InstData::Load { ptr, .. } | InstData::Atomic { ptr, .. } if same.contains(ptr) => accessed = true,
                    InstData::Store { ptr, value, .. } if same.contains(ptr) && !same.contains(value) => {
                        accessed = true
                    }
                    data => {
                        let mut other = false;
                        data.for_each_operand(|operand| other |= same.contains(&operand));
                        if other {
                            return None;
                        }
                    }
                }
            }
        }
    }
    Some(accessed)
}
