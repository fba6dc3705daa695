//! All types by their names: read once, when a name is first looked for.

use std::collections::HashMap;
use std::sync::Arc;

use super::{DebugInfo, EntryId};

/// Types by name.
#[derive(Debug, Default)]
pub(super) struct Names {
    types: HashMap<(Tag, Arc<str>), EntryId>,
    enumerators: HashMap<Arc<str>, (i64, EntryId)>,
}

/// The kinds of names that C tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Tag {
    Struct,
    Union,
    Enum,
    Plain,
}

fn tag_of(tag: gimli::DwTag) -> Option<Tag> {
    match tag {
        gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type => Some(Tag::Struct),
        gimli::DW_TAG_union_type => Some(Tag::Union),
        gimli::DW_TAG_enumeration_type => Some(Tag::Enum),
        gimli::DW_TAG_typedef | gimli::DW_TAG_base_type => Some(Tag::Plain),
        _ => None,
    }
}

impl Names {
    /// The definition of a type that an entry declares.
    pub(super) fn defined(&self, tag: gimli::DwTag, name: &str) -> Option<EntryId> {
        self.types.get(&(tag_of(tag)?, Arc::from(name))).copied()
    }

    pub(super) fn find(&self, tag: Option<&str>, name: &str) -> Option<EntryId> {
        let tag = match tag {
            Some("struct") => Tag::Struct,
            Some("union") => Tag::Union,
            Some("enum") => Tag::Enum,
            _ => Tag::Plain,
        };
        self.types.get(&(tag, Arc::from(name))).copied()
    }

    pub(super) fn enumerator(&self, name: &str) -> Option<(i64, EntryId)> {
        self.enumerators.get(name).copied()
    }
}

impl DebugInfo {
    pub(super) fn names(&self) -> &Names {
        self.names.get_or_init(|| {
            let mut names = Names::default();
            for (part, from) in self.parts.iter().enumerate() {
                for number in 0..from.headers.len() {
                    self.collect(part, number, &mut names);
                }
            }
            names
        })
    }

    fn collect(&self, part: usize, number: usize, names: &mut Names) {
        let Some(unit) = self.unit(part, number) else { return };
        let mut entries = unit.entries();
        // The namespaces and classes around an entry, with their depths.
        let mut around: Vec<(isize, Arc<str>)> = Vec::new();
        let mut enumeration = None;
        while let Ok(Some(entry)) = entries.next_dfs() {
            let (depth, tag) = (entry.depth(), entry.tag());
            while around.last().is_some_and(|outer| outer.0 >= depth) {
                around.pop();
            }
            let wanted = tag_of(tag);
            let outer = tag == gimli::DW_TAG_namespace || matches!(wanted, Some(Tag::Struct | Tag::Union));
            if wanted.is_none() && !outer && tag != gimli::DW_TAG_enumerator {
                continue;
            }
            let Some(name) = entry.attr_value(gimli::DW_AT_name) else { continue };
            let name = self.entry_text(part, &unit, name);
            let id = EntryId { part, unit: number, offset: entry.offset().0 };
            if tag == gimli::DW_TAG_enumerator {
                let value = entry.attr_value(gimli::DW_AT_const_value).and_then(|value| value.sdata_value());
                if let (Some(value), Some(whole)) = (value, enumeration) {
                    names.enumerators.entry(name).or_insert((value, whole));
                }
                continue;
            }
            if wanted == Some(Tag::Enum) {
                enumeration = Some(id);
            }
            if let Some(wanted) = wanted.filter(|_| !entry.has_attr(gimli::DW_AT_declaration)) {
                if !around.is_empty() {
                    let mut whole = String::new();
                    for (_, outer) in &around {
                        whole.push_str(outer);
                        whole.push_str("::");
                    }
                    whole.push_str(&name);
                    names.types.entry((wanted, whole.into())).or_insert(id);
                }
                names.types.entry((wanted, name.clone())).or_insert(id);
            }
            if outer {
                around.push((depth, name));
            }
        }
    }
}
