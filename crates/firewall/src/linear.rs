//! The meaning of rules: one after the other, the first that decides. Slow, and what everything else is held against.

use crate::facts::{Facts, Fragment};
use crate::rules::{Addresses, Ports, Prefix, Rule, RuleSet, Verdict};

/// What the rules say about a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of it.
    pub verdict: Verdict,
    /// The rule that decided, counted from 0; `None` for the default.
    pub rule: Option<usize>,
    /// The rules before it that matched and did something.
    pub passed: Vec<usize>,
    /// Its mark then.
    pub mark: u32,
}

/// Asks the rules. `index` gives the numbers of interfaces by their names, `beyond` says whether a packet is beyond the limit
/// of a rule that matches it.
pub fn judge(
    rules: &RuleSet,
    facts: &Facts,
    index: &dyn Fn(&str) -> Option<u32>,
    beyond: &mut dyn FnMut(usize) -> bool,
) -> Decision {
    let mut mark = facts.place.mark;
    let mut passed = Vec::new();
    for (number, rule) in rules.rules.iter().enumerate() {
        if !matches(rules, rule, facts, index) || rule.action.limit.is_some() && !beyond(number) {
            continue;
        }
        mark = rule.action.mark.unwrap_or(mark);
        if let Some(verdict) = rule.action.verdict {
            return Decision { verdict, rule: Some(number), passed, mark };
        }
        passed.push(number);
    }
    let verdict = match facts.place.direction {
        crate::rules::Direction::In => rules.default_in,
        crate::rules::Direction::Out => rules.default_out,
        crate::rules::Direction::Forward => rules.default_forward.unwrap_or(rules.default_out),
    };
    Decision { verdict, rule: None, passed, mark }
}

/// Whether a rule matches a packet. Marks count as the packet came with them.
pub fn matches(rules: &RuleSet, rule: &Rule, facts: &Facts, index: &dyn Fn(&str) -> Option<u32>) -> bool {
    let wanted = &rule.matches;
    let on = |name: &String| rules.interfaces(name).any(|name| index(name) == Some(facts.place.interface));
    let holds = [
        wanted.direction.is_none_or(|direction| direction == facts.place.direction),
        wanted.interfaces.is_empty() || wanted.interfaces.iter().any(on),
        wanted.family.is_none_or(|family| family == facts.family),
        wanted.protocols.is_empty() || wanted.protocols.contains(&facts.protocol),
        wanted.from.as_ref().is_none_or(|from| has_address(rules, from, facts, facts.source)),
        wanted.to.as_ref().is_none_or(|to| has_address(rules, to, facts, facts.destination)),
        wanted.from_port.as_ref().is_none_or(|ports| has_port(ports, facts.ports.map(|ports| ports.0))),
        wanted.to_port.as_ref().is_none_or(|ports| has_port(ports, facts.ports.map(|ports| ports.1))),
        wanted.states == 0 || wanted.states & facts.state != 0,
        wanted.flags.is_none_or(|(value, mask)| facts.flags.is_some_and(|flags| flags & mask == value)),
        wanted.fragment.is_none_or(|fragment| fragment == (facts.fragment != Fragment::Whole)),
        wanted.icmp.is_empty()
            || wanted.icmp.iter().any(|&(number, code)| {
                facts.icmp.is_some_and(|icmp| icmp.0 == number && code.is_none_or(|code| code == icmp.1))
            }),
        wanted.vlan.is_none_or(|vlan| facts.vlan == Some(vlan)),
        wanted.mark.is_none_or(|(value, mask)| facts.place.mark & mask == value),
        wanted.payload.as_ref().is_none_or(|payload| {
            facts.payload.get(payload.offset.into()..).is_some_and(|rest| rest.starts_with(&payload.bytes))
        }),
        wanted.from_mac.is_empty() || facts.macs.is_some_and(|macs| wanted.from_mac.contains(&macs.0)),
        wanted.to_mac.is_empty() || facts.macs.is_some_and(|macs| wanted.to_mac.contains(&macs.1)),
        wanted.conditions.iter().all(|condition| condition.holds(facts)),
    ];
    holds.iter().all(|&holds| holds)
}

fn has_address(rules: &RuleSet, addresses: &Addresses, facts: &Facts, address: u128) -> bool {
    let named = addresses.sets.iter().filter_map(|name| rules.sets.get(name)).flatten();
    let inside = |prefix: &Prefix| prefix.contains(facts.family, address);
    named.chain(&addresses.prefixes).any(inside) != addresses.negated
}

fn has_port(ports: &Ports, port: Option<u16>) -> bool {
    port.is_some_and(|port| ports.ranges.iter().any(|range| range.contains(&port)) != ports.negated)
}
