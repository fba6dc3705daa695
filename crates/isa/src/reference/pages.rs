//! Pages out of the rows of the tables.

use super::{Page, Table, Topic};
use crate::contexts::Context;
use crate::helpers::{self, HELPERS, Helper};
use crate::kfuncs::{self, KFUNCS, Kfunc};
use crate::limits::{self, LIMITS};
use crate::maps::{self, Size};
use crate::programs::{self, Sleepable};
use crate::sections::{self, SECTIONS, Section};
use crate::versions::{self, FEATURES};
use crate::{AttachType, LinkType, MapType, ProgType};

pub(super) fn names(topic: Topic) -> Vec<&'static str> {
    match topic {
        Topic::Prog => ProgType::ALL.iter().map(|kind| kind.name()).collect(),
        Topic::Map => MapType::ALL.iter().map(|kind| kind.name()).collect(),
        Topic::Helper => HELPERS.iter().map(|helper| helper.name).collect(),
        Topic::Kfunc => KFUNCS.iter().map(|kfunc| kfunc.name).collect(),
        Topic::Attach => AttachType::ALL.iter().map(|kind| kind.name()).collect(),
        Topic::Link => LinkType::ALL.iter().map(|kind| kind.name()).collect(),
        Topic::Insn => FEATURES.iter().map(|feature| feature.name).collect(),
        Topic::Limit => LIMITS.iter().map(|limit| limit.name).collect(),
    }
}

pub(super) fn page(topic: Topic, name: &str) -> Option<Page> {
    let lower = name.to_ascii_lowercase();
    let plain = lower.replace('-', "_");
    let without = |prefix: &str| plain.strip_prefix(prefix).unwrap_or(&plain).to_owned();
    match topic {
        Topic::Prog => ProgType::from_name(&without("bpf_prog_type_")).map(prog),
        Topic::Map => MapType::from_name(&without("bpf_map_type_")).map(map),
        Topic::Helper => helpers::by_name(&without("bpf_func_")).map(helper),
        Topic::Kfunc => {
            let forms = [plain.clone(), format!("bpf_{plain}"), format!("{plain}_impl"), format!("bpf_{plain}_impl")];
            forms.iter().find_map(|form| kfuncs::by_name(form)).map(kfunc)
        }
        Topic::Attach => AttachType::from_name(&without("bpf_")).map(attach),
        Topic::Link => LinkType::from_name(&without("bpf_link_type_")).map(link),
        Topic::Insn => versions::by_name(&plain.replace('_', "-")).map(insn),
        Topic::Limit => limits::by_name(&plain.replace('_', "-")).map(|limit| Page {
            title: limit.name.to_owned(),
            about: limit.about.to_owned(),
            facts: vec![("value", limit.value.to_owned()), ("since", format!("Linux {}", limit.since))],
            tables: Vec::new(),
        }),
    }
}

fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let list: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if list.is_empty() { "none".to_owned() } else { list.join(", ") }
}

/// `SEC()` names of rows, with what may follow.
fn section_names<'a>(rows: impl Iterator<Item = &'a Section>) -> String {
    joined(rows.map(|row| if row.takes_rest { format!("{}/...", row.prefix) } else { row.prefix.to_owned() }))
}

fn prog(kind: ProgType) -> Page {
    let facts = programs::facts(kind);
    let callable = HELPERS.iter().filter(|helper| helper.programs.contains(kind)).map(|helper| helper.name);
    let sleepable = match facts.sleepable {
        Sleepable::Never => "no".to_owned(),
        Sleepable::At(places) => format!("yes: {places}"),
        Sleepable::Always => "always".to_owned(),
    };
    let helpers = match kind {
        ProgType::Ext => "those of the program whose function it replaces".to_owned(),
        _ => joined(callable),
    };
    let mut tables = vec![Table {
        title: "Results",
        columns: &["value", "meaning"],
        rows: facts.verdicts.iter().map(|row| vec![row.value.to_owned(), row.meaning.to_owned()]).collect(),
    }];
    tables.extend(facts.context.map(|context| context_table(context, kind)));
    Page {
        title: kind.name().to_owned(),
        about: facts.about.to_owned(),
        facts: vec![
            ("since", format!("Linux {}", kind.since())),
            ("constant", format!("BPF_PROG_TYPE_{} ({})", kind.name().to_ascii_uppercase(), kind.number())),
            ("argument", facts.argument.to_owned()),
            ("attaching", facts.attaching.to_owned()),
            ("attach types", joined(facts.attach_types)),
            ("sections", section_names(sections::of_prog_type(kind))),
            ("privileges", facts.privileges.describe().to_owned()),
            ("may sleep", sleepable),
            ("kernel", joined(facts.config)),
            ("helpers", helpers),
        ],
        tables,
    }
}

/// The fields of a context that a program type can use.
fn context_table(context: &Context, kind: ProgType) -> Table {
    let usable = context.fields.iter().filter(|field| field.readable.contains(kind) || field.writable.contains(kind));
    let row = |field: &crate::contexts::Field| {
        let access = match (field.readable.contains(kind), field.writable.contains(kind)) {
            (true, true) => "rw",
            (false, true) => "w",
            _ => "r",
        };
        vec![
            field.offset.to_string(),
            field.size.to_string(),
            access.to_owned(),
            field.since.to_string(),
            field.name.to_owned(),
            field.about.to_owned(),
        ]
    };
    Table {
        title: "Context",
        columns: &["offset", "size", "access", "since", "field", "meaning"],
        rows: usable.map(row).collect(),
    }
}

fn size(size: Size) -> String {
    match size {
        Size::Any => "any size".to_owned(),
        Size::Exactly(bytes) => format!("{bytes} bytes"),
        Size::Either(first, second) => format!("{first} or {second} bytes"),
        Size::Between(least, most) => format!("{least} to {most} bytes"),
        Size::Words => "a multiple of 8 bytes".to_owned(),
        Size::None => "none".to_owned(),
        Size::Kernel => "size of the kernel's structure".to_owned(),
    }
}

/// A size with what it holds; nothing is said about what does not exist.
fn sized(bytes: Size, what: &str) -> String {
    match bytes {
        Size::Any | Size::None => what.to_owned(),
        _ => format!("{}: {what}", size(bytes)),
    }
}

fn map(kind: MapType) -> Page {
    let facts = maps::facts(kind);
    Page {
        title: kind.name().to_owned(),
        about: facts.about.to_owned(),
        facts: vec![
            ("since", format!("Linux {}", kind.since())),
            ("constant", format!("BPF_MAP_TYPE_{} ({})", kind.name().to_ascii_uppercase(), kind.number())),
            ("key", sized(facts.key_size, facts.key)),
            ("value", sized(facts.value_size, facts.value)),
            ("max_entries", facts.entries.to_owned()),
            ("per CPU", if facts.per_cpu { "yes" } else { "no" }.to_owned()),
            ("flags", joined(facts.flags)),
            ("helpers", joined(facts.helpers)),
            ("user space", joined(facts.user)),
            ("not in", facts.excluded.to_string()),
            ("privileges", facts.privileges.describe().to_owned()),
            ("kernel", joined(facts.config)),
        ],
        tables: Vec::new(),
    }
}

fn helper(helper: &Helper) -> Page {
    let one = helper.signatures.len() == 1;
    let row = |signature: &helpers::Signature| {
        vec![if one { "all".to_owned() } else { signature.programs.to_string() }, signature.to_string()]
    };
    Page {
        title: format!("bpf_{}", helper.name),
        about: helper.about.to_owned(),
        facts: vec![
            ("since", format!("Linux {}", helper.since)),
            ("number", helper.id.to_string()),
            ("prototype", helper.prototype.to_owned()),
            ("programs", helper.programs.to_string()),
            ("licence", if helper.gpl_only { "compatible with the GPL" } else { "any" }.to_owned()),
            ("sleeps", if helper.may_sleep { "yes: only for programs that may sleep" } else { "no" }.to_owned()),
        ],
        tables: vec![Table {
            title: "As the verifier sees it",
            columns: &["in", "takes and gives"],
            rows: helper.signatures.iter().map(row).collect(),
        }],
    }
}

fn kfunc(kfunc: &Kfunc) -> Page {
    let mut rules = Vec::new();
    for (holds, text) in [
        (kfunc.acquires, "its result is a reference that has to be given back"),
        (kfunc.releases, "it takes back the reference that it is given"),
        (kfunc.may_be_null, "its result may be null and has to be checked"),
        (kfunc.sleeps, "only for programs that may sleep"),
    ] {
        if holds {
            rules.push(text);
        }
    }
    Page {
        title: kfunc.name.to_owned(),
        about: kfunc.about.to_owned(),
        facts: vec![
            ("since", format!("Linux {}", kfunc.since)),
            ("programs", kfunc.programs.to_string()),
            ("rules", joined(rules)),
        ],
        tables: Vec::new(),
    }
}

fn attach(kind: AttachType) -> Page {
    let owners = ProgType::ALL.iter().filter(|prog| programs::facts(**prog).attach_types.contains(&kind));
    let owners: Vec<ProgType> = owners.copied().collect();
    let sections = SECTIONS.iter().filter(|row| row.attach_type == Some(kind));
    let attaching = joined(owners.iter().map(|prog| programs::facts(*prog).attaching));
    Page {
        title: kind.name().to_owned(),
        about: kind.about().to_owned(),
        facts: vec![
            ("since", format!("Linux {}", kind.since())),
            ("constant", format!("BPF_{} ({})", kind.name().to_ascii_uppercase(), kind.number())),
            ("programs", joined(&owners)),
            ("link", kind.link_type().map_or_else(|| "none".to_owned(), |link| link.to_string())),
            ("attaching", attaching),
            ("sections", section_names(sections)),
        ],
        tables: Vec::new(),
    }
}

fn link(kind: LinkType) -> Page {
    let places = AttachType::ALL.iter().filter(|attach| attach.link_type() == Some(kind));
    let places = match kind {
        LinkType::RawTracepoint => "raw tracepoints, by name".to_owned(),
        _ => joined(places),
    };
    Page {
        title: kind.name().to_owned(),
        about: kind.about().to_owned(),
        facts: vec![
            ("since", format!("Linux {}", kind.since())),
            ("constant", format!("BPF_LINK_TYPE_{} ({})", kind.name().to_ascii_uppercase(), kind.number())),
            ("attach types", places),
        ],
        tables: Vec::new(),
    }
}

fn insn(feature: &versions::InsnFeature) -> Page {
    let version = match feature.version {
        0 => "none: an addition of Linux".to_owned(),
        version => format!("v{version} (clang -mcpu=v{version})"),
    };
    Page {
        title: feature.name.to_owned(),
        about: feature.about.to_owned(),
        facts: vec![
            ("since", format!("Linux {}", feature.since)),
            ("version", version),
            ("example", feature.example.to_owned()),
        ],
        tables: Vec::new(),
    }
}
