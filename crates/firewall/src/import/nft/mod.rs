//! The output of `nft -j list ruleset`: tables, sets, chains and rules (man page libnftables-json(5)).
//!
//! Packets go through all base chains of their hooks, in the order of priorities. What a chain accepts goes on in the next one,
//! so acceptance becomes a jump to the rest of them, but in the last one:
//!
//! ```text
//!  top:      jump base 0, policy of base 0 if it drops, jump base 1, policy of base 1 ...
//!  base 0:   accept -> goto (jump base 1, policy of base 1 ..., accept);  drop -> drop;  end -> back to top
//! ```

mod conditions;
mod statements;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;

use serde_json::Value;

use super::chains::{Chain, Chains, Entry, Target};
use super::{Import, Remark, chains, close};
use crate::rules::{Direction, Family, Matches, Prefix, Verdict};

/// Where base chains can be that packets meet, in their order: hook, directions of those packets, and the interface that is known
/// there if it is only one of two.
const HOOKS: &[(&str, &[Direction], Option<Direction>)] = &[
    ("ingress", &[Direction::In, Direction::Forward], Some(Direction::In)),
    ("prerouting", &[Direction::In, Direction::Forward], Some(Direction::In)),
    ("input", &[Direction::In], Some(Direction::In)),
    (FORWARD, &[Direction::Forward], None),
    ("output", &[Direction::Out], Some(Direction::Out)),
    ("postrouting", &[Direction::Out, Direction::Forward], None),
    ("egress", &[Direction::Out, Direction::Forward], Some(Direction::Out)),
];
/// The hook of which chains make rules about forwarded packets.
const FORWARD: &str = "forward";
const OTHER_HOOK: &str = "this hook has no counterpart";
const NO_DECISION: &str = "chains of this type change packets, which skep firewall leaves to nftables";
const OTHER_FAMILY: &str = "only the families ip, ip6, inet and netdev have packets of the internet protocol";

/// A table's family and name.
type Table = (String, String);

/// What sets and maps have in them.
#[derive(Debug, Clone)]
pub struct Set {
    /// Its name in our list.
    pub name: String,
    /// What elements are, joined by ` . `.
    pub kind: String,
    /// The elements as they stand there.
    pub elements: Vec<Value>,
    /// Whether it stays a set: those that change while they are in force, and long ones. Others are written out, for two lists
    /// of addresses that meet in one rule have to be known.
    pub stays: bool,
}

/// Elements of a set that is written out.
const MOST_WRITTEN: usize = 64;

/// A base chain.
#[derive(Debug, Clone)]
struct Base {
    table: Table,
    name: String,
    /// A row of [`HOOKS`], and the priority: the order in which packets meet them.
    order: (usize, i64),
    device: Option<String>,
    policy: Verdict,
}

/// Everything that is listed.
#[derive(Debug, Default)]
struct Listing {
    sets: BTreeMap<(Table, String), Set>,
    chains: BTreeMap<Table, Chains>,
    bases: Vec<Base>,
    /// Chains whose rules are not imported, and why.
    left: BTreeMap<(Table, String), &'static str>,
}

/// Whether a text is such output rather than that of `iptables-save`.
pub fn is_listing(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Reads what `nft -j list ruleset` printed. In remarks rules are counted from 1 in the order of the text.
///
/// # Errors
/// The number of a rule and a sentence: the text is no such output, chains jump in circles, or the list would become too
/// long.
pub fn import(text: &str) -> Result<Import, (usize, String)> {
    let wrong = |why: &str| (0, format!("this is no output of `nft -j list ruleset`: {why}"));
    let json: Value = serde_json::from_str(text).map_err(|error| wrong(&error.to_string()))?;
    let objects = json.get("nftables").and_then(Value::as_array).ok_or_else(|| wrong("there is no list `nftables`"))?;
    let mut import = Import::default();
    let mut listing = Listing::default();
    for object in objects {
        listing.object(object, &mut import);
    }
    let rules = objects.iter().filter_map(|object| object.get("rule"));
    for (number, rule) in (1..).zip(rules) {
        listing.rule(number, rule, &mut import);
    }
    let mut policies = Vec::new();
    for direction in [Direction::In, Direction::Out, Direction::Forward] {
        if direction == Direction::Forward && !listing.forwards() {
            continue;
        }
        let of = |family: Family| listing.bases_of(direction, family);
        let (four, six) = (of(Family::V4), of(Family::V6));
        let same =
            four.iter().map(|base| (&base.table, &base.name)).eq(six.iter().map(|base| (&base.table, &base.name)));
        let passes: &[(Option<Family>, &[&Base])] =
            if same { &[(None, &four)] } else { &[(Some(Family::V4), &four), (Some(Family::V6), &six)] };
        for (family, bases) in passes {
            let start = Matches { direction: Some(direction), family: *family, ..Matches::default() };
            let policy = chains::write_out(&listing.lined_up(bases), TOP, &start, &mut import)?;
            let families = family.map_or(Family::ALL.to_vec(), |family| vec![family]);
            policies.extend(families.into_iter().map(|family| (direction, family, policy)));
        }
    }
    close(&mut import.rules, &policies);
    listing.name_sets(&mut import);
    super::tidy(&mut import);
    Ok(import)
}

/// The chain that all base chains are called from.
const TOP: &str = "top";

fn word<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn table_of(value: &Value) -> Table {
    (word(value, "family").to_owned(), word(value, "table").to_owned())
}

impl Listing {
    /// Takes in a set, a map or a chain.
    fn object(&mut self, object: &Value, import: &mut Import) {
        if let Some(set) = object.get("set").or_else(|| object.get("map")) {
            let kind = match set.get("type") {
                Some(Value::Array(parts)) => parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" . "),
                Some(kind) => kind.as_str().unwrap_or_default().to_owned(),
                None => String::new(),
            };
            let elements = set.get("elem").and_then(Value::as_array).cloned().unwrap_or_default();
            // Sets of two tables may have the same name.
            let wanted = values::set_name(word(set, "name"));
            let names = (1..).map(|turn| if turn == 1 { wanted.clone() } else { format!("{wanted:.26}-{turn}") });
            let name =
                names.into_iter().find(|name| self.sets.values().all(|set| set.name != *name)).unwrap_or_default();
            let changes = set.get("flags").is_some_and(|flags| {
                let flags = flags.as_array().cloned().unwrap_or_else(|| vec![flags.clone()]);
                flags.iter().any(|flag| flag == "timeout" || flag == "dynamic")
            });
            let stays = changes || elements.is_empty() || elements.len() > MOST_WRITTEN;
            self.sets.insert((table_of(set), word(set, "name").to_owned()), Set { name, kind, elements, stays });
        }
        let Some(chain) = object.get("chain") else { return };
        let (table, name) = (table_of(chain), word(chain, "name").to_owned());
        self.chains.entry(table.clone()).or_default().insert(name.clone(), Chain::default());
        let Some(hook) = chain.get("hook").and_then(Value::as_str) else { return };
        let policy = if word(chain, "policy") == "drop" { Verdict::Drop } else { Verdict::Accept };
        let known = HOOKS.iter().position(|row| row.0 == hook);
        let left = match (known, word(chain, "type")) {
            _ if !matches!(table.0.as_str(), "ip" | "ip6" | "inet" | "netdev") => Some(OTHER_FAMILY),
            (None, _) => Some(OTHER_HOOK),
            (_, "filter") => None,
            _ => Some(NO_DECISION),
        };
        match (left, known) {
            (None, Some(hook)) => self.bases.push(Base {
                table,
                name,
                order: (hook, chain.get("prio").and_then(Value::as_i64).unwrap_or(0)),
                device: chain.get("dev").and_then(Value::as_str).map(str::to_owned),
                policy,
            }),
            (why, _) => {
                let why = why.unwrap_or(OTHER_HOOK);
                if policy == Verdict::Drop {
                    let text = format!("chain {} {} {name}: policy drop", table.0, table.1);
                    import.missing.push(Remark { line: 0, text, why: why.to_owned() });
                }
                self.left.insert((table, name), why);
            }
        }
    }

    /// Takes in a rule.
    fn rule(&mut self, number: usize, rule: &Value, import: &mut Import) {
        let (table, chain) = (table_of(rule), word(rule, "chain").to_owned());
        let empty = Vec::new();
        let expressions = rule.get("expr").and_then(Value::as_array).unwrap_or(&empty);
        let shown: Vec<String> = expressions.iter().map(ToString::to_string).collect();
        let handle = rule.get("handle").and_then(Value::as_u64).unwrap_or(0);
        let text = format!("{} {} {chain} handle {handle}: {}", table.0, table.1, shown.join(" "));
        let missing = |why: String| Remark { line: number, text: text.clone(), why };
        if let Some(why) = self.left.get(&(table.clone(), chain.clone())) {
            import.missing.push(missing((*why).to_owned()));
            return;
        }
        let sets = |name: &str| self.sets.get(&(table.clone(), name.to_owned()));
        match statements::entries(expressions, number, &text, &sets) {
            Ok(entries) => {
                let chains = self.chains.entry(table).or_default();
                chains.entry(chain).or_default().entries.extend(entries);
            }
            Err(why) => import.missing.push(missing(why)),
        }
    }

    /// Whether some chain says something about forwarded packets alone.
    fn forwards(&self) -> bool {
        let says = |base: &Base| {
            let chain = self.chains.get(&base.table).and_then(|chains| chains.get(&base.name));
            base.policy == Verdict::Drop || chain.is_some_and(|chain| !chain.entries.is_empty())
        };
        self.bases.iter().any(|base| HOOKS[base.order.0].0 == FORWARD && says(base))
    }

    /// The base chains that packets of a version meet, in their order.
    fn bases_of(&self, direction: Direction, family: Family) -> Vec<&Base> {
        let own = if family == Family::V4 { "ip" } else { "ip6" };
        let meets = |base: &&Base| {
            HOOKS[base.order.0].1.contains(&direction) && [own, "inet", "netdev"].contains(&base.table.0.as_str())
        };
        let mut bases: Vec<&Base> = self.bases.iter().filter(meets).collect();
        bases.sort_by_key(|base| base.order);
        bases
    }

    /// The chains of some base chains, one behind the other.
    fn lined_up(&self, bases: &[&Base]) -> Chains {
        let mut all = Chains::new();
        let name = |at: usize, chain: &str| format!("{at} {chain}");
        let rest = |at: usize| format!("rest {at}");
        let entry = |target, alternative| Entry {
            line: 0,
            text: String::new(),
            alternatives: vec![alternative],
            limit: None,
            target,
            different: None,
        };
        let plain = |target, base: &Base| {
            let direction = HOOKS[base.order.0].2.filter(|_| base.device.is_some());
            let interfaces = base.device.iter().cloned().collect();
            entry(target, Matches { direction, interfaces, ..Matches::default() })
        };
        let drop = || Target::Verdict(Verdict::Drop);
        // The calls of base chains from one on, with policies.
        let calls = |from: usize| {
            let each = bases.iter().enumerate().skip(from).flat_map(|(at, base)| {
                let call = plain(Target::Jump(name(at, &base.name)), base);
                let policy = (base.policy == Verdict::Drop).then(|| plain(drop(), base));
                std::iter::once(call).chain(policy)
            });
            each.collect::<Vec<Entry>>()
        };
        let mut top = Chain { policy: Some(Verdict::Accept), entries: calls(0) };
        if bases.last().is_some_and(|base| base.policy == Verdict::Drop && base.device.is_none()) {
            top.entries.pop();
            top.policy = Some(Verdict::Drop);
        }
        all.insert(TOP.to_owned(), top);
        for (at, base) in bases.iter().enumerate() {
            let is_last = at + 1 == bases.len();
            if !is_last {
                let mut entries = calls(at + 1);
                entries.push(entry(Target::Verdict(Verdict::Accept), Matches::default()));
                all.insert(rest(at), Chain { policy: None, entries });
            }
            for (chain, content) in self.chains.get(&base.table).into_iter().flatten() {
                let mut content = content.clone();
                for entry in &mut content.entries {
                    // What asks for the other interface is never met.
                    let known = HOOKS[base.order.0].2;
                    let is_met =
                        |wanted: &Matches| known.is_none() || wanted.direction.is_none_or(|said| known == Some(said));
                    entry.alternatives.retain(is_met);
                    entry.target = match std::mem::replace(&mut entry.target, Target::Return) {
                        Target::Verdict(Verdict::Accept) if !is_last => Target::Goto(rest(at)),
                        Target::Jump(chain) => Target::Jump(name(at, &chain)),
                        Target::Goto(chain) => Target::Goto(name(at, &chain)),
                        other => other,
                    };
                }
                all.insert(name(at, chain), content);
            }
        }
        all
    }

    /// Puts the sets that rules name into the list.
    fn name_sets(&self, import: &mut Import) {
        let sides = import.rules.rules.iter().flat_map(|rule| [&rule.matches.from, &rule.matches.to]);
        let names: Vec<String> = sides.flatten().flat_map(|side| side.sets.iter().cloned()).collect();
        for ((table, name), set) in &self.sets {
            if names.contains(&set.name) && values::family_of(&set.kind).is_some() {
                let prefixes: Result<Vec<Vec<Prefix>>, String> = set.elements.iter().map(values::prefixes).collect();
                match prefixes {
                    Ok(prefixes) => {
                        import.rules.sets.entry(set.name.clone()).or_default().extend(prefixes.into_iter().flatten())
                    }
                    Err(why) => {
                        let text = format!("set {} {} {name}", table.0, table.1);
                        import.missing.push(Remark { line: 0, text, why });
                    }
                }
            }
        }
    }
}
