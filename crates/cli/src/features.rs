//! `skep features`: what the running kernel can do. Finding out is done by `skep_kernel::probe`.

use std::collections::BTreeMap;

use skep_kernel::probe::{Finding, Group, Prober, Reason, Status};
use skep_kernel::running_release;

use crate::args::FeaturesArgs;
use crate::failure::Failure;
use crate::text::print;
use crate::vm::json::{Json, list};

/// Columns of the text.
const COLUMNS: usize = 100;

/// Tries the groups that were asked for and prints what was found.
pub fn run(args: &FeaturesArgs) -> Result<(), Failure> {
    let filter = args.filter.as_deref().map(|text| text.to_ascii_lowercase().replace('-', "_"));
    let filter = filter.as_deref().map(|text| text.strip_prefix("bpf_").unwrap_or(text));
    let named = filter.and_then(|text| Group::ALL.iter().copied().find(|group| group.name() == text));
    let prober = Prober::new();
    let mut groups = Vec::new();
    for group in Group::ALL.iter().copied() {
        let wanted = named.map_or(group != Group::Helpers || args.helpers, |named| named == group);
        if !wanted {
            continue;
        }
        let mut findings = prober.group(group);
        if named.is_none()
            && let Some(text) = filter
        {
            findings.retain(|finding| finding.name.replace('-', "_").contains(text));
        }
        if !args.all && !args.json {
            // That most helpers are not for most programs is no news.
            findings.retain(|one| named.is_some() || one.status != Status::Missing(Reason::NotForProgram));
        }
        if !findings.is_empty() {
            groups.push((group, findings));
        }
    }
    if groups.is_empty() {
        let what = args.filter.as_deref().unwrap_or_default();
        let hint = if args.helpers { "" } else { "; helpers are only tried with --helpers" };
        return Err(Failure::Usage(format!("no feature has `{what}` in its name{hint}")));
    }
    if args.json {
        return print(&json(&groups));
    }
    let detailed = args.all || filter.is_some() && named.is_none();
    let text: Vec<String> = groups.iter().map(|(group, findings)| section(*group, findings, detailed)).collect();
    print(&text.join("\n"))
}

/// The text of one group.
fn section(group: Group, findings: &[Finding], detailed: bool) -> String {
    match group {
        Group::System => system(findings),
        _ if detailed => format!("{}{}", heading(group, findings), lines(findings)),
        Group::Helpers => format!("{}{}", heading(group, findings), per_program(findings)),
        _ => {
            let present: Vec<&str> =
                findings.iter().filter(|one| one.is_present()).map(|one| one.name.as_str()).collect();
            let missing: Vec<Finding> = findings.iter().filter(|one| !one.is_present()).cloned().collect();
            format!("{}{}{}", heading(group, findings), paragraph(&present), lines(&missing))
        }
    }
}

fn heading(group: Group, findings: &[Finding]) -> String {
    let present = findings.iter().filter(|finding| finding.is_present()).count();
    format!("{}: {present} of {}\n", group.name(), findings.len())
}

fn system(findings: &[Finding]) -> String {
    let mut text = String::from("system:\n");
    for finding in findings {
        let value = match &finding.status {
            Status::Present => "yes".to_owned(),
            Status::Value(value) => value.clone(),
            Status::Missing(reason) => format!("no: {reason}"),
        };
        text.push_str(&format!("  {:18}{value}\n", finding.name));
    }
    text
}

/// One line for each feature.
fn lines(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    let line = |finding: &Finding| {
        let since = finding.since.map(|since| since.to_string()).unwrap_or_default();
        let (mark, rest) = match &finding.status {
            Status::Present => ('+', String::new()),
            Status::Value(value) => ('+', value.clone()),
            Status::Missing(reason) => ('-', reason.to_string()),
        };
        let line = format!("  {mark} {:width$}  {since:5}  {rest}", finding.name);
        format!("{}\n", line.trim_end())
    };
    findings.iter().map(line).collect()
}

/// Names with commas between them, wrapped.
fn paragraph(names: &[&str]) -> String {
    let mut text = String::new();
    let mut line = String::new();
    for (index, name) in names.iter().enumerate() {
        let comma = if index + 1 < names.len() { "," } else { "" };
        if !line.is_empty() && line.len() + name.len() + 4 > COLUMNS {
            text.push_str(&format!("  {line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(name);
        line.push_str(comma);
    }
    if !line.is_empty() {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

/// Helpers by program type: those that may be called, and those that should be there but are not.
fn per_program(findings: &[Finding]) -> String {
    let mut programs: BTreeMap<&str, (Vec<&str>, Vec<Finding>)> = BTreeMap::new();
    for finding in findings {
        let Some((program, helper)) = finding.name.split_once('/') else { continue };
        let entry = programs.entry(program).or_default();
        match &finding.status {
            Status::Missing(Reason::NotForProgram) => {}
            Status::Missing(_) => entry.1.push(finding.clone()),
            _ => entry.0.push(helper),
        }
    }
    let mut text = String::new();
    for (program, (helpers, missing)) in programs {
        text.push_str(&format!("\n{program}: {} helpers\n{}{}", helpers.len(), paragraph(&helpers), lines(&missing)));
    }
    text
}

/// Everything as one JSON object.
fn json(groups: &[(Group, Vec<Finding>)]) -> String {
    let one = |finding: &Finding| {
        let object = Json::object().text("group", finding.group.name()).text("name", &finding.name);
        let object = object.raw("present", finding.is_present());
        let object = match finding.since {
            Some(since) => object.text("since", &since.to_string()),
            None => object,
        };
        match &finding.status {
            Status::Present => object.end(),
            Status::Value(value) => object.text("value", value).end(),
            Status::Missing(reason) => object.text("reason", &reason.to_string()).end(),
        }
    };
    let findings = list(groups.iter().flat_map(|(_, findings)| findings.iter().map(one)));
    let kernel = running_release().map(|release| release.to_string()).unwrap_or_default();
    format!("{}\n", Json::object().text("kernel", &kernel).raw("findings", findings).end())
}
