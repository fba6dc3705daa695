//! What is known about the types of variables and maps so far. Checking a script teaches these tables; it is checked
//! again until they teach nothing new.
//!
//! Types only grow: integers get wider, texts longer, so this ends.

use std::collections::HashMap;
use std::sync::Arc;

use skep_diag::{Diagnostic, Span};

use crate::ast::MapDecl;
use crate::check::tree::{Expr, Held, Map, MapType};
use crate::plan::MapValue;
use crate::types::{Merged, Type, merge};

/// A type that grows.
#[derive(Debug, Clone, PartialEq)]
pub struct Growing {
    /// The type so far.
    pub ty: Type,
    /// Whether only numbers that are not negative were seen: it takes the type of the first value that is none.
    literal: bool,
    /// Whether it was declared, so that it stays as it is.
    pub fixed: bool,
}

impl Growing {
    /// Nothing known.
    pub const fn unknown() -> Self {
        Self { ty: Type::Unknown, literal: false, fixed: false }
    }

    /// Declared.
    pub const fn declared(ty: Type) -> Self {
        Self { ty, literal: false, fixed: true }
    }

    /// Takes in the type of a value.
    ///
    /// # Errors
    /// With a sentence if the value does not fit; with a warning if its range does not.
    pub fn learn(&mut self, value: &Expr, changed: &mut bool) -> Result<(), Misfit> {
        let literal = value.constant().filter(|_| matches!(value.ty, Type::Int { .. }));
        if value.ty == Type::Unknown {
            return Ok(());
        }
        if let (Some(number), Type::Int { bytes, signed }) = (literal, &self.ty)
            && fits(number, *bytes, *signed)
        {
            return Ok(());
        }
        if self.ty == Type::Unknown {
            self.ty = value.ty.clone();
            self.literal = literal.is_some_and(|number| number >= 0);
            *changed = true;
            return Ok(());
        }
        if self.literal && literal.is_none() && matches!(value.ty, Type::Int { .. } | Type::Enum { .. } | Type::Bool) {
            self.ty = value.ty.clone();
            self.literal = false;
            *changed = true;
            return Ok(());
        }
        let (ty, lossy) = match merge(&self.ty, &value.ty) {
            Merged::Into(ty) => (ty, false),
            Merged::Lossy(ty) => (ty, true),
            Merged::Never => return Err(Misfit::Never),
        };
        if self.fixed {
            return if holds(&self.ty, &ty) { Ok(()) } else { Err(Misfit::Never) };
        }
        if ty != self.ty {
            self.ty = ty;
            *changed = true;
        }
        if lossy { Err(Misfit::Sign) } else { Ok(()) }
    }
}

/// Whether values of a type, of which `both` is the one that they have in common with the declared type `own`, can be cut
/// to it.
fn holds(own: &Type, both: &Type) -> bool {
    match (own, both) {
        (Type::Int { .. }, Type::Int { .. })
        | (Type::Text(_), Type::Text(_))
        | (Type::Pointer(..), Type::Pointer(..)) => true,
        (Type::Tuple(own), Type::Tuple(both)) if own.len() == both.len() => {
            own.iter().zip(both).all(|(own, both)| holds(own, both))
        }
        (Type::Record(own), Type::Record(both)) if own.len() == both.len() => {
            own.iter().zip(both).all(|(own, both)| holds(&own.1, &both.1))
        }
        _ => own == both,
    }
}

/// Why a value does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// It is of another kind.
    Never,
    /// One has a sign and the other one has not.
    Sign,
}

/// Whether an integer type holds a number.
pub const fn fits(number: i64, bytes: u8, signed: bool) -> bool {
    let bits = bytes as u32 * 8;
    match (signed, bits) {
        (true, 64) => true,
        (true, bits) => number >= -(1 << (bits - 1)) && number < 1 << (bits - 1),
        (false, 64) => number >= 0,
        (false, bits) => number >= 0 && number < 1 << bits,
    }
}

/// A map as far as it is known.
#[derive(Debug, Clone)]
pub struct KnownMap {
    /// Its name.
    pub name: Arc<str>,
    /// Parts of the key; `None` until it is used.
    pub key: Option<Vec<Growing>>,
    /// What it holds.
    pub value: KnownValue,
    /// What was declared.
    pub declared: Option<(Arc<str>, u64)>,
    /// Where it first occurs.
    pub span: Span,
}

/// What a map holds as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub enum KnownValue {
    /// A value that was assigned.
    Plain(Growing),
    /// An aggregate.
    Aggregate(MapValue),
}

/// What is known.
#[derive(Debug, Default)]
pub struct Known {
    /// Maps in the order in which they first occur.
    pub maps: Vec<KnownMap>,
    names: HashMap<Arc<str>, u32>,
    /// For each unit its variables in the order in which they come into being.
    pub vars: Vec<Vec<Growing>>,
    /// Their names.
    pub var_names: Vec<Vec<Arc<str>>>,
    /// Whether anything was learnt.
    pub changed: bool,
}

impl Known {
    /// Begins with what is declared.
    pub fn new(declared: &[MapDecl], problems: &mut Vec<Diagnostic>) -> Self {
        let mut known = Self::default();
        for map in declared {
            let number = known.map(&map.name.node, map.name.span);
            let entry = &mut known.maps[number.0 as usize];
            if entry.declared.is_some() {
                problems
                    .push(Diagnostic::error(map.name.span, format!("the map `{}` is declared twice", map.name.node)));
            }
            entry.declared = Some((map.kind.node.clone(), map.entries.node));
        }
        known
    }

    /// Takes in that a variable comes into being in a unit as the one with this number. What was learnt about another
    /// variable with this number, and those behind it, was learnt when less was known, and is forgotten.
    pub fn declare(&mut self, unit: usize, number: usize, name: &Arc<str>) {
        let (vars, names) = (&mut self.vars[unit], &mut self.var_names[unit]);
        if names.get(number).is_some_and(|known| known != name) {
            names.truncate(number);
            vars.truncate(number);
            self.changed = true;
        }
        if names.len() <= number {
            names.push(name.clone());
            vars.push(Growing::unknown());
        }
    }

    /// The map with a name.
    pub fn map(&mut self, name: &Arc<str>, span: Span) -> Map {
        if let Some(&number) = self.names.get(name) {
            return Map(number);
        }
        let number = u32::try_from(self.maps.len()).unwrap_or(u32::MAX);
        self.maps.push(KnownMap {
            name: name.clone(),
            key: None,
            value: KnownValue::Plain(Growing::unknown()),
            declared: None,
            span,
        });
        self.names.insert(name.clone(), number);
        Map(number)
    }

    /// A map.
    pub fn get(&self, map: Map) -> &KnownMap {
        &self.maps[map.0 as usize]
    }

    /// Takes in that a map is used with a key.
    ///
    /// # Errors
    /// A sentence if it was used with another kind of key.
    pub fn learn_key(&mut self, map: Map, key: &[Expr]) -> Result<(), String> {
        let known = &mut self.maps[map.0 as usize];
        let parts = known.key.get_or_insert_with(|| {
            self.changed = true;
            vec![Growing::unknown(); key.len()]
        });
        if parts.len() != key.len() {
            return Err(match (parts.len(), key.len()) {
                (0, _) => format!("`{}` has no key elsewhere", known.name),
                (_, 0) => format!("`{}` has a key elsewhere", known.name),
                (a, b) => format!("`{}` has a key of {a} parts elsewhere, not {b}", known.name),
            });
        }
        for (part, value) in parts.iter_mut().zip(key) {
            if part.learn(value, &mut self.changed) == Err(Misfit::Never) {
                return Err(format!("`{}` has a key of type {} elsewhere, not {}", known.name, part.ty, value.ty));
            }
        }
        Ok(())
    }

    /// Takes in that a value is assigned to an entry.
    ///
    /// # Errors
    /// A sentence and what does not fit.
    pub fn learn_value(&mut self, map: Map, value: &Expr) -> Result<(), (String, Misfit)> {
        let known = &mut self.maps[map.0 as usize];
        match &mut known.value {
            KnownValue::Aggregate(what) => {
                let text = format!("`{}` holds {} elsewhere, to which nothing is assigned", known.name, describe(what));
                Err((text, Misfit::Never))
            }
            KnownValue::Plain(growing) => growing.learn(value, &mut self.changed).map_err(|misfit| {
                (format!("`{}` holds values of type {} elsewhere, not {}", known.name, growing.ty, value.ty), misfit)
            }),
        }
    }

    /// Takes in that a map aggregates.
    ///
    /// # Errors
    /// A sentence if it holds something else.
    pub fn learn_aggregate(&mut self, map: Map, value: MapValue) -> Result<(), String> {
        let known = &mut self.maps[map.0 as usize];
        match &mut known.value {
            KnownValue::Plain(growing) if growing.ty == Type::Unknown => {
                known.value = KnownValue::Aggregate(value);
                self.changed = true;
                Ok(())
            }
            KnownValue::Plain(growing) => {
                Err(format!("`{}` holds values of type {} elsewhere, not {}", known.name, growing.ty, describe(&value)))
            }
            KnownValue::Aggregate(old) => {
                let merged = with_sign(old, &value);
                if merged.as_ref() == Some(old) {
                    return Ok(());
                }
                let Some(merged) = merged else {
                    let (before, now) = (describe(old), describe(&value));
                    let now = if before == now { "the same with other numbers" } else { now };
                    return Err(format!("`{}` holds {before} elsewhere, not {now}", known.name));
                };
                *old = merged;
                self.changed = true;
                Ok(())
            }
        }
    }

    /// The maps as they are known at the end.
    pub fn finish(&self) -> Vec<MapType> {
        let finish = |map: &KnownMap| MapType {
            name: map.name.clone(),
            key: map.key.iter().flatten().map(|part| part.ty.clone()).collect(),
            value: match &map.value {
                KnownValue::Plain(growing) if growing.ty == Type::Unknown => Held::Unknown,
                KnownValue::Plain(growing) => Held::Plain(growing.ty.clone()),
                KnownValue::Aggregate(value) => Held::Aggregate(value.clone()),
            },
            declared: map.declared.clone(),
            span: map.span,
        };
        self.maps.iter().map(finish).collect()
    }
}

/// The same aggregate for both, signed if one is; `None` if they differ in more.
fn with_sign(left: &MapValue, right: &MapValue) -> Option<MapValue> {
    use MapValue as V;
    if left == right {
        return Some(left.clone());
    }
    Some(match (left, right) {
        (V::Sum { .. }, V::Sum { .. }) => V::Sum { signed: true },
        (V::Min { .. }, V::Min { .. }) => V::Min { signed: true },
        (V::Max { .. }, V::Max { .. }) => V::Max { signed: true },
        (V::Avg { .. }, V::Avg { .. }) => V::Avg { signed: true },
        (V::Stats { .. }, V::Stats { .. }) => V::Stats { signed: true },
        _ => return None,
    })
}

/// What an aggregate is called.
pub const fn describe(value: &MapValue) -> &'static str {
    match value {
        MapValue::Plain(_) => "a value",
        MapValue::Count => "count()",
        MapValue::Sum { .. } => "sum()",
        MapValue::Min { .. } => "min()",
        MapValue::Max { .. } => "max()",
        MapValue::Avg { .. } => "avg()",
        MapValue::Stats { .. } => "stats()",
        MapValue::Hist { .. } => "hist()",
        MapValue::LinearHist { .. } => "lhist()",
        MapValue::Series { .. } => "tseries()",
    }
}
