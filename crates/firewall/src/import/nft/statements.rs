//! A rule of nft: what it compares and what it does, one expression after the other.

use serde_json::Value;

use super::super::chains::{Entry, Target};
use super::super::reply;
use super::super::rule;
use super::conditions::{Sets, both, condition};
use super::values;
use crate::rules::{Family, Limit, Matches, Reply, Verdict, parse_rule, words};

/// A rule that is being read.
struct Reading<'r> {
    line: usize,
    text: &'r str,
    alternatives: Vec<Matches>,
    limit: Option<Limit>,
    entries: Vec<Entry>,
    /// Whether nothing may follow.
    ended: bool,
}

/// What comes of the expressions of a rule.
///
/// # Errors
/// A clause about what cannot be said.
pub fn entries(expressions: &[Value], line: usize, text: &str, sets: &Sets<'_>) -> Result<Vec<Entry>, String> {
    let mut reading =
        Reading { line, text, alternatives: vec![Matches::default()], limit: None, entries: Vec::new(), ended: false };
    for expression in expressions {
        reading.expression(expression, sets)?;
    }
    if reading.entries.is_empty() {
        reading.add(Target::Note(None))?;
    }
    Ok(reading.entries)
}

impl Reading<'_> {
    fn expression(&mut self, expression: &Value, sets: &Sets<'_>) -> Result<(), String> {
        let object = expression.as_object().and_then(|object| object.iter().next());
        let (name, value) = object.ok_or_else(|| format!("there is no counterpart to `{expression}`"))?;
        if self.ended && name != "counter" {
            return Err(format!("`{name}` behind a map of verdicts cannot be said"));
        }
        match name.as_str() {
            "match" => {
                if self.limit.is_some() {
                    return Err("a match behind a limit cannot be said".to_owned());
                }
                let nothing = Value::Null;
                let part = |key: &str| value.get(key).unwrap_or(&nothing);
                let op = part("op").as_str().unwrap_or("==");
                let wanted = condition(part("left"), op, part("right"), sets)?;
                self.alternatives = both(&self.alternatives, &wanted)?;
                Ok(())
            }
            "counter" => Ok(()),
            "vmap" => self.map(value, sets),
            "limit" => self.set_limit(value, false),
            "set" | "meter" => self.per_source(value),
            "reject" => self.reject(value),
            "log" => {
                let prefix = value.get("prefix").and_then(Value::as_str).unwrap_or_default();
                self.add(Target::Note(Some(prefix.to_owned())))
            }
            _ => match verdict(expression)? {
                Some(target) => self.add(target),
                None => Ok(()),
            },
        }
    }

    /// Puts a target behind what was compared.
    fn add(&mut self, target: Target) -> Result<(), String> {
        let alternatives = self.alternatives.clone();
        self.add_for(alternatives, target)
    }

    fn add_for(&mut self, alternatives: Vec<Matches>, target: Target) -> Result<(), String> {
        if self.limit.is_some() && !matches!(target, Target::Verdict(Verdict::Drop | Verdict::Reject(_))) {
            return Err("a limit here can only drop or reject what is beyond it".to_owned());
        }
        // What may stand together is for the language of the result to say; sets are not known yet.
        let mut known = super::super::context();
        for matches in &alternatives {
            for side in [&matches.from, &matches.to].into_iter().flatten() {
                known.sets.extend(side.sets.iter().map(|name| (name.clone(), Vec::new())));
            }
            let rule = rule(Some(Verdict::Accept), matches.clone()).to_string();
            if let Err(errors) = parse_rule(&rule, &known) {
                return Err(errors.into_iter().next().map_or(String::new(), |error| error.message));
            }
        }
        self.entries.push(Entry {
            line: self.line,
            text: self.text.to_owned(),
            alternatives,
            limit: self.limit,
            target,
            different: None,
        });
        Ok(())
    }

    /// A verdict for each value of a field.
    fn map(&mut self, value: &Value, sets: &Sets<'_>) -> Result<(), String> {
        let (key, data) = (value.get("key"), value.get("data"));
        let (key, data) = key.zip(data).ok_or("a map of verdicts has no key")?;
        let named = data.as_str().and_then(|name| name.strip_prefix('@'));
        let pairs = match named {
            Some(name) => sets(name).map(|set| set.elements.clone()),
            None => data.get("set").and_then(Value::as_array).cloned(),
        };
        for pair in pairs.ok_or_else(|| format!("map `{}` is not listed", values::shown(data)))? {
            let pair = pair.as_array().map(Vec::as_slice);
            let Some([element, action]) = pair else {
                return Err("an element of a map of verdicts has no verdict".to_owned());
            };
            let wanted = condition(key, "==", values::bare(element), sets)?;
            if let Some(target) = verdict(action)? {
                let alternatives = both(&self.alternatives, &wanted)?;
                self.add_for(alternatives, target)?;
            }
        }
        self.ended = true;
        // A map without verdicts does nothing.
        if self.entries.is_empty() { self.add_for(Vec::new(), Target::Note(None)) } else { Ok(()) }
    }

    /// A rejection, which nft says in full; each kind is for packets that have such an answer.
    fn reject(&mut self, value: &Value) -> Result<(), String> {
        let name = word(value, "expr");
        let of = |family, protocols: &[u8]| Matches { family, protocols: protocols.to_vec(), ..Matches::default() };
        let (reply, wanted) = match word(value, "type") {
            "tcp reset" => (Reply::Usual, of(None, &[words::TCP])),
            "icmp" => (reply::message(Family::V4, name)?, of(Some(Family::V4), &[])),
            "icmpv6" => (reply::message(Family::V6, name)?, of(Some(Family::V6), &[])),
            "icmpx" => (reply::message_of_both(name)?, Matches::default()),
            "" => (reply::message_of_both("port-unreachable")?, Matches::default()),
            other => return Err(format!("rejected packets cannot be answered with `{other}`")),
        };
        self.alternatives = both(&self.alternatives, &[wanted])?;
        self.add(Target::Verdict(Verdict::Reject(reply)))
    }

    fn set_limit(&mut self, value: &Value, per_source: bool) -> Result<(), String> {
        if value.get("inv").and_then(Value::as_bool) != Some(true) {
            let rate = format!("{}/{}", value.get("rate").unwrap_or(&Value::Null), word(value, "per"));
            return Err(format!(
                "a limit up to which something is done cannot be said; write `limit {rate} then drop ...` in front"
            ));
        }
        if value.get("rate_unit").is_some_and(|unit| unit != "packets") {
            return Err("a limit of bytes cannot be said".to_owned());
        }
        let number = |key: &str| value.get(key).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
        let packets = number("rate").filter(|rate| *rate > 0).ok_or("a limit has no rate")?;
        let unit = word(value, "per");
        let week = "a limit for a week cannot be said";
        let seconds = words::number(words::UNITS, if unit.is_empty() { "second" } else { unit }).ok_or(week)?;
        let burst = number("burst").unwrap_or(5).max(1);
        self.limit = Some(Limit { packets, seconds, burst, per_source });
        Ok(())
    }

    /// A limit in a dynamic set, of which every source has its own.
    fn per_source(&mut self, value: &Value) -> Result<(), String> {
        let statement = value.get("stmt");
        let statement = statement.and_then(|all| all.as_array().map_or(Some(all), |all| all.first()));
        let limit = statement.and_then(|statement| statement.get("limit"));
        let limit = limit.ok_or("elements that rules put into sets cannot be said")?;
        let key = value.get("elem").or_else(|| value.get("key")).map(values::bare);
        let payload = |key: &Value, name: &str| {
            key.get("payload").and_then(|payload| payload.get(name)).and_then(Value::as_str).map(str::to_owned)
        };
        let key = key.map(|key| (payload(key, "protocol"), payload(key, "field")));
        let family = match key {
            Some((Some(protocol), Some(field))) if field == "saddr" && protocol == "ip" => Family::V4,
            Some((Some(protocol), Some(field))) if field == "saddr" && protocol == "ip6" => Family::V6,
            _ => return Err("a limit for each of anything but the source cannot be said".to_owned()),
        };
        let wanted = Matches { family: Some(family), ..Matches::default() };
        self.alternatives = both(&self.alternatives, &[wanted])?;
        self.set_limit(limit, true)
    }
}

fn word<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// What a verdict does; `None` for one that does nothing.
fn verdict(expression: &Value) -> Result<Option<Target>, String> {
    let object = expression.as_object().and_then(|object| object.iter().next());
    let (name, value) = object.ok_or_else(|| format!("there is no counterpart to `{expression}`"))?;
    Ok(Some(match name.as_str() {
        "accept" => Target::Verdict(Verdict::Accept),
        "drop" => Target::Verdict(Verdict::Drop),
        "return" => Target::Return,
        "jump" => Target::Jump(word(value, "target").to_owned()),
        "goto" => Target::Goto(word(value, "target").to_owned()),
        "continue" => return Ok(None),
        "mangle" | "snat" | "dnat" | "masquerade" | "redirect" | "notrack" | "dup" | "fwd" | "tproxy" => {
            return Err(format!("`{name}` changes packets, which is left to nftables"));
        }
        "xt" => return Err("this is a rule of iptables; import what iptables-save prints".to_owned()),
        other => return Err(format!("there is no counterpart to `{other}`")),
    }))
}
