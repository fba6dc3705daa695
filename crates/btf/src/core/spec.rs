//! A path through a type: read from the relocation, and found again in another blob.

use std::fmt;

use super::compat::{self, Pair};
use super::error::type_name;
use super::{CoreKind, CoreProblem, Fuel, Relocation};
use crate::blob::{Btf, MAX_DEPTH};
use crate::error::{BtfError, Problem};
use crate::kind::{Array, Kind, NameOff, TypeId};
use crate::names::essential_name;

/// Most numbers in a path (`BPF_CORE_SPEC_MAX_LEN`).
const LONGEST: usize = 64;

/// A path through a type.
#[derive(Debug, Clone)]
pub(super) struct Spec<'a> {
    pub(super) btf: &'a Btf,
    pub(super) root: TypeId,
    /// What counts: members with names, elements, a constant. Anonymous members in between are left out.
    pub(super) steps: Vec<Step>,
    /// Bits from the start of the root.
    pub(super) bit_offset: u64,
}

/// A step of a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Of a member, the structure; of an element, its type; of a constant, the enumeration.
    pub(super) ty: TypeId,
    pub(super) index: u32,
    /// `None` for an element.
    pub(super) name: Option<NameOff>,
}

impl Step {
    /// Whether an array of no elements is the last member that this step leads to, so that any index is right.
    fn is_flexible(self, btf: &Btf, array: Array) -> bool {
        let last = match btf.kind(self.ty) {
            Ok(Kind::Struct(composite) | Kind::Union(composite)) => composite.members().len(),
            _ => return false,
        };
        self.name.is_some() && array.len == 0 && self.index as usize + 1 == last
    }
}

/// The numbers of a path.
fn numbers(access: &str) -> Result<Vec<u32>, CoreProblem> {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = access.split(':').take(LONGEST + 1).map(|part| part.parse().ok().filter(|_| digits(part)));
    let numbers: Option<Vec<u32>> = numbers.collect();
    numbers.filter(|numbers| numbers.len() <= LONGEST).ok_or(CoreProblem::Path)
}

impl<'a> Spec<'a> {
    /// Reads the path of a relocation and follows it through the object's types.
    pub(super) fn parse(btf: &'a Btf, relocation: Relocation<'_>) -> Result<Self, CoreProblem> {
        let path = numbers(relocation.access)?;
        let mut spec = Spec { btf, root: relocation.ty, steps: Vec::new(), bit_offset: 0 };
        let (first, rest) = path.split_first().ok_or(CoreProblem::Path)?;
        let id = btf.resolve(relocation.ty)?;
        if relocation.kind.is_enumval() {
            let (Kind::Enum(values) | Kind::Enum64(values)) = btf.kind(id)? else {
                return Err(CoreProblem::NoParts(btf.kind(id)?.name()));
            };
            let constants = values.values().len();
            let constant = values.values().nth(*first as usize).filter(|_| rest.is_empty());
            let constant = constant.ok_or(CoreProblem::NoPart(*first, constants as u32))?;
            spec.steps.push(Step { ty: id, index: *first, name: Some(constant.name) });
        } else if relocation.kind.is_field() {
            spec.element(id, *first)?;
            rest.iter().try_fold(id, |id, index| spec.go_on(id, *index))?;
        } else if path != [0] {
            return Err(CoreProblem::PathOfType);
        }
        Ok(spec)
    }

    /// Goes to an element of an array of this type.
    fn element(&mut self, ty: TypeId, index: u32) -> Result<(), CoreProblem> {
        self.steps.push(Step { ty, index, name: None });
        // The first index is nearly always 0, also of types without size.
        let size = if index == 0 { 0 } else { u64::from(self.btf.size_of(ty)?) };
        self.skip(u64::from(index).checked_mul(8 * size))
    }

    fn skip(&mut self, bits: Option<u64>) -> Result<(), CoreProblem> {
        let sum = bits.and_then(|bits| self.bit_offset.checked_add(bits));
        self.bit_offset = sum.ok_or(CoreProblem::TooLarge)?;
        Ok(())
    }

    /// Goes to a part of the type and returns the part's type.
    fn go_on(&mut self, id: TypeId, index: u32) -> Result<TypeId, CoreProblem> {
        let id = self.btf.resolve(id)?;
        match self.btf.kind(id)? {
            Kind::Struct(composite) | Kind::Union(composite) => {
                let count = composite.members().len() as u32;
                let member = composite.members().nth(index as usize).ok_or(CoreProblem::NoPart(index, count))?;
                self.skip(Some(member.bit_offset.into()))?;
                if !self.btf.string(member.name)?.is_empty() {
                    self.steps.push(Step { ty: id, index, name: Some(member.name) });
                }
                Ok(member.ty)
            }
            Kind::Array(array) => {
                let flexible = self.steps.last().is_some_and(|step| step.is_flexible(self.btf, array));
                if index >= array.len && !flexible {
                    return Err(CoreProblem::NoPart(index, array.len));
                }
                let element = self.btf.resolve(array.element)?;
                self.element(element, index)?;
                Ok(element)
            }
            kind => Err(CoreProblem::NoParts(kind.name())),
        }
    }

    /// Looks for the same path in a type of another blob; `None` if it is not there.
    pub(super) fn find_in<'t>(
        &self,
        btf: &'t Btf,
        root: TypeId,
        kind: CoreKind,
        fuel: &Fuel,
    ) -> Result<Option<Spec<'t>>, BtfError> {
        let pair = Pair { local: self.btf, target: btf, fuel };
        let mut found = Spec { btf, root, steps: Vec::new(), bit_offset: 0 };
        let good = if kind == CoreKind::TypeMatches {
            compat::matches(&pair, self.root, root)?
        } else if kind.is_enumval() {
            found.find_constant(self, &pair)?
        } else if kind.is_field() {
            found.find_steps(self, &pair)?
        } else {
            compat::are_compatible(&pair, self.root, root)?
        };
        Ok(good.then_some(found))
    }

    /// Looks for the constant of the same name without flavour.
    fn find_constant(&mut self, local: &Spec<'_>, pair: &Pair<'_>) -> Result<bool, BtfError> {
        let ty = self.btf.resolve(self.root)?;
        let (Kind::Enum(values) | Kind::Enum64(values)) = self.btf.kind(ty)? else { return Ok(false) };
        let Some(Step { name: Some(name), .. }) = local.steps.first() else { return Ok(false) };
        let wanted = essential_name(local.btf.string(*name)?);
        for (index, constant) in (0..).zip(values.values()) {
            pair.fuel.burn()?;
            if essential_name(self.btf.string(constant.name)?) == wanted {
                self.steps.push(Step { ty, index, name: Some(constant.name) });
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Follows the same names and indices.
    fn find_steps(&mut self, local: &Spec<'_>, pair: &Pair<'_>) -> Result<bool, BtfError> {
        let mut current = self.root;
        for (at, step) in local.steps.iter().enumerate() {
            current = self.btf.resolve(current)?;
            if let Some(name) = step.name {
                let Some(next) = self.find_member(local, (*step, name), current, pair, 0)? else { return Ok(false) };
                current = next;
                continue;
            }
            // The first index is that of the root itself, later ones are those of arrays inside.
            if at > 0 {
                let Kind::Array(array) = self.btf.kind(current)? else { return Ok(false) };
                let flexible = self.steps.last().is_some_and(|step| step.is_flexible(self.btf, array));
                if step.index >= array.len && !flexible {
                    return Ok(false);
                }
                current = self.btf.resolve(array.element)?;
            }
            match self.element(current, step.index) {
                Ok(()) => {}
                Err(CoreProblem::Btf(error)) => return Err(error),
                Err(_) => return Err(BtfError::new(0, Problem::TooLarge)),
            }
        }
        Ok(true)
    }

    /// Looks for a member of the same name and a compatible type, also inside of anonymous members. Returns its type.
    fn find_member(
        &mut self,
        local: &Spec<'_>,
        (step, name): (Step, NameOff),
        id: TypeId,
        pair: &Pair<'_>,
        depth: usize,
    ) -> Result<Option<TypeId>, BtfError> {
        if depth > MAX_DEPTH {
            return Err(BtfError::new(0, Problem::Nested(id.0)));
        }
        let id = self.btf.resolve(id)?;
        let (Kind::Struct(composite) | Kind::Union(composite)) = self.btf.kind(id)? else { return Ok(None) };
        let wanted = local.btf.string(name)?;
        let start = self.bit_offset;
        for (index, member) in (0..).zip(composite.members()) {
            pair.fuel.burn()?;
            let found = self.btf.string(member.name)?;
            self.bit_offset = start.saturating_add(member.bit_offset.into());
            if found.is_empty() {
                let inside = self.find_member(local, (step, name), member.ty, pair, depth + 1)?;
                if inside.is_some() {
                    return Ok(inside);
                }
            } else if found == wanted {
                let theirs = member_type(local.btf, step)?;
                if !compat::fields_are_compatible(pair, theirs, member.ty)? {
                    break;
                }
                self.steps.push(Step { ty: id, index, name: Some(member.name) });
                return Ok(Some(member.ty));
            }
        }
        self.bit_offset = start;
        Ok(None)
    }
}

/// The type of the member that a step leads to.
fn member_type(btf: &Btf, step: Step) -> Result<TypeId, BtfError> {
    let (Kind::Struct(composite) | Kind::Union(composite)) = btf.kind(step.ty)? else {
        return Err(BtfError::new(0, Problem::NoSuchType(step.ty.0)));
    };
    let member = composite.members().nth(step.index as usize);
    member.map(|member| member.ty).ok_or(BtfError::new(0, Problem::NoSuchType(step.ty.0)))
}

impl fmt::Display for Spec<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type {}, {}", self.root.0, type_name(self.btf, self.root))?;
        for (at, step) in self.steps.iter().enumerate() {
            match step.name.map(|name| self.btf.string(name)) {
                Some(name) => write!(f, ".{}", name.unwrap_or("?"))?,
                None if at == 0 && step.index == 0 => {}
                None => write!(f, "[{}]", step.index)?,
            }
        }
        Ok(())
    }
}
