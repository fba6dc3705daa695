//! Rules that can never decide anything because an earlier one has.
//!
//! What is found is certain, but not everything is found: a rule is only held against one earlier rule at a time, and sets by
//! their elements.

use std::collections::{BTreeSet, HashMap};

use skep_diag::Diagnostic;

use super::{Addresses, Family, Limit, Matches, Ports, Prefix, Rule, RuleSet};

/// Warnings about a list of rules, in its order: rules behind an earlier one that takes all their packets.
pub fn check(rules: &RuleSet) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut earlier = Earlier::default();
    for (number, rule) in rules.rules.iter().enumerate() {
        let hiding = earlier.hiding(rules, rule).map(|number| &rules.rules[number]);
        // Only rules that decide about all their packets can hide others.
        if rule.action.verdict.is_some() && rule.action.limit.is_none() {
            earlier.add(number, rule);
        }
        let Some(hiding) = hiding else { continue };
        let same = hiding.action == rule.action;
        let (message, label) = if same {
            ("this rule is redundant: an earlier rule does the same with all its packets", "never reached")
        } else {
            ("this rule is shadowed: an earlier rule decides about all its packets", "never reached")
        };
        found.push(
            Diagnostic::warning(rule.span, message)
                .with_label(label)
                .with_help(format!("the earlier rule: `{hiding}`"))
                .with_help("move the narrower rule in front, or remove it"),
        );
    }
    found.extend(rules.rules.iter().filter_map(useless_limit));
    found
}

/// What rules are found by: a prefix of each side and a port, where they ask for some.
type Found = (Option<Prefix>, Option<Prefix>, Option<u16>);
/// Which parts of it there are: lengths of prefixes by version, and whether there is a port.
type Shape = (Option<(Family, u8)>, Option<(Family, u8)>, bool);
/// A rule with more pairs of prefixes is found without those of a side.
const MOST_PAIRS: usize = 64;

/// Earlier rules, so that a rule is held only against those that may take all its packets: each shape that occurs is asked
/// once, however many rules there are.
#[derive(Default)]
struct Earlier {
    shapes: BTreeSet<Shape>,
    rules: HashMap<Found, Vec<usize>>,
}

impl Earlier {
    fn add(&mut self, number: usize, rule: &Rule) {
        let prefixes = |side: &Option<Addresses>| match side {
            Some(side) if !side.negated && side.sets.is_empty() && side.prefixes.iter().all(|each| each.length > 0) => {
                side.prefixes.iter().copied().map(Some).collect()
            }
            _ => vec![None],
        };
        let (from, mut to) = (prefixes(&rule.matches.from), prefixes(&rule.matches.to));
        if from.len() * to.len() > MOST_PAIRS {
            to = vec![None];
        }
        let port = match rule.matches.to_port.as_ref().map(|ports| (ports.negated, &ports.ranges[..])) {
            Some((false, [only])) if only.start() == only.end() => Some(*only.start()),
            _ => None,
        };
        for &from in &from {
            for &to in &to {
                let length = |prefix: Option<Prefix>| prefix.map(|prefix| (prefix.family, prefix.length));
                self.shapes.insert((length(from), length(to), port.is_some()));
                self.rules.entry((from, to, port)).or_default().push(number);
            }
        }
    }

    /// The first rule that takes all packets of another one.
    fn hiding(&self, rules: &RuleSet, rule: &Rule) -> Option<usize> {
        // Whoever takes all takes the first ones.
        let first = |side: &Option<Addresses>| {
            let side = side.as_ref().filter(|side| !side.negated)?;
            let named = side.sets.iter().filter_map(|name| rules.sets.get(name)?.first());
            side.prefixes.first().or(named.into_iter().next()).copied()
        };
        let (from, to) = (first(&rule.matches.from), first(&rule.matches.to));
        let port = rule.matches.to_port.as_ref().and_then(|ports| ports.meant().first().map(|range| *range.start()));
        let cut = |prefix: Option<Prefix>, (family, length): (Family, u8)| {
            let prefix = prefix.filter(|prefix| prefix.family == family && prefix.length >= length)?;
            Some(Prefix::new(family, prefix.address, length))
        };
        let mut best: Option<usize> = None;
        for &(from_length, to_length, has_port) in &self.shapes {
            let from = from_length.map(|length| cut(from, length));
            let to = to_length.map(|length| cut(to, length));
            if from == Some(None) || to == Some(None) || has_port && port.is_none() {
                continue;
            }
            let found = self.rules.get(&(from.flatten(), to.flatten(), port.filter(|_| has_port)));
            let found =
                found.into_iter().flatten().copied().take_while(|number| best.is_none_or(|best| *number < best));
            let mut found = found.filter(|number| covers(rules, &rules.rules[*number].matches, &rule.matches));
            if let Some(number) = found.next() {
                best = Some(number);
            }
        }
        best
    }
}

fn useless_limit(rule: &Rule) -> Option<Diagnostic> {
    let Limit { .. } = rule.action.limit?;
    let does_nothing = rule.action.verdict.is_some_and(|verdict| verdict == super::Verdict::Accept);
    does_nothing.then(|| {
        Diagnostic::warning(rule.span, "this limit accepts what is beyond it, and leaves the rest to later rules")
            .with_help("a limit stands in front of what happens beyond it: `limit 100/s then drop`")
    })
}

/// Whether every packet that `inner` matches is matched by `outer` too.
fn covers(rules: &RuleSet, outer: &Matches, inner: &Matches) -> bool {
    let names = |list: &[String]| -> Vec<String> {
        list.iter().flat_map(|name| rules.interfaces(name)).map(str::to_owned).collect()
    };
    let (outer_names, inner_names) = (names(&outer.interfaces), names(&inner.interfaces));
    let families = if let Some(family) = inner.family { vec![family] } else { Family::ALL.to_vec() };
    let icmp = outer.icmp.is_empty()
        || !inner.icmp.is_empty()
            && inner.protocols == outer.protocols
            && inner.icmp.iter().all(|inner| {
                outer.icmp.iter().any(|outer| outer.0 == inner.0 && (outer.1.is_none() || outer.1 == inner.1))
            });
    let bits = |outer: Option<(u32, u32)>, inner: Option<(u32, u32)>| match (outer, inner) {
        (None, _) => true,
        (Some((value, mask)), Some((inner, inner_mask))) => mask & !inner_mask == 0 && inner & mask == value,
        (Some(_), None) => false,
    };
    let wide = |flags: Option<(u8, u8)>| flags.map(|(value, mask)| (value.into(), mask.into()));
    let equal_or_any = |outer_is_none: bool, equal: bool| outer_is_none || equal;
    [
        equal_or_any(outer.direction.is_none(), outer.direction == inner.direction),
        outer.interfaces.is_empty()
            || !inner_names.is_empty() && inner_names.iter().all(|name| outer_names.contains(name)),
        equal_or_any(outer.family.is_none(), outer.family == inner.family),
        covers_all(&outer.protocols, &inner.protocols),
        families.iter().all(|&family| addresses(rules, outer.from.as_ref(), inner.from.as_ref(), family)),
        families.iter().all(|&family| addresses(rules, outer.to.as_ref(), inner.to.as_ref(), family)),
        ports(outer.from_port.as_ref(), inner.from_port.as_ref()),
        ports(outer.to_port.as_ref(), inner.to_port.as_ref()),
        outer.states == 0 || inner.states != 0 && inner.states & !outer.states == 0,
        bits(wide(outer.flags), wide(inner.flags)),
        equal_or_any(outer.fragment.is_none(), outer.fragment == inner.fragment),
        icmp,
        equal_or_any(outer.vlan.is_none(), outer.vlan == inner.vlan),
        bits(outer.mark, inner.mark),
        equal_or_any(outer.payload.is_none(), outer.payload == inner.payload),
        covers_all(&outer.from_mac, &inner.from_mac),
        covers_all(&outer.to_mac, &inner.to_mac),
        outer.conditions.iter().all(|condition| inner.conditions.contains(condition)),
    ]
    .iter()
    .all(|&holds| holds)
}

/// Whether each of the inner alternatives is one of the outer ones, of which none means any.
fn covers_all<T: PartialEq>(outer: &[T], inner: &[T]) -> bool {
    outer.is_empty() || !inner.is_empty() && inner.iter().all(|one| outer.contains(one))
}

/// Sets and rules with more elements are not compared element by element.
const MOST_COMPARED: usize = 256;

fn addresses(rules: &RuleSet, outer: Option<&Addresses>, inner: Option<&Addresses>, family: Family) -> bool {
    let Some(outer) = outer else { return true };
    if inner == Some(outer) {
        return true;
    }
    let all = [Prefix::all(family)];
    let inner = inner.map_or_else(|| all.to_vec(), |inner| rules.prefixes(inner, family));
    let outer = rules.prefixes(outer, family);
    inner.len() <= MOST_COMPARED
        && outer.len() <= MOST_COMPARED
        && inner.iter().all(|inner| outer.iter().any(|outer| outer.covers(inner)))
}

fn ports(outer: Option<&Ports>, inner: Option<&Ports>) -> bool {
    let (Some(outer), inner) = (outer, inner) else { return true };
    let Some(inner) = inner else { return false };
    let outer = outer.meant();
    inner
        .meant()
        .iter()
        .all(|inner| outer.iter().any(|outer| outer.start() <= inner.start() && inner.end() <= outer.end()))
}
