//! The reference: what the tables say about one thing as a page, for the terminal and for the documents.

mod documents;
mod markdown;
mod near;
mod pages;
mod text;

pub use documents::{Document, documents};

/// Kinds of things that have pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Program types.
    Prog,
    /// Map types.
    Map,
    /// Helpers.
    Helper,
    /// Kernel functions that programs call by name.
    Kfunc,
    /// Attach types.
    Attach,
    /// Kinds of links.
    Link,
    /// Instructions and their versions.
    Insn,
    /// Limits.
    Limit,
}

impl Topic {
    /// Every topic.
    pub const ALL: &'static [Self] =
        &[Self::Prog, Self::Map, Self::Helper, Self::Kfunc, Self::Attach, Self::Link, Self::Insn, Self::Limit];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prog => "prog",
            Self::Map => "map",
            Self::Helper => "helper",
            Self::Kfunc => "kfunc",
            Self::Attach => "attach",
            Self::Link => "link",
            Self::Insn => "insn",
            Self::Limit => "limit",
        }
    }

    /// The topic with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|topic| topic.name() == name)
    }

    /// What it is about, in a few words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Prog => "program types: context, results, attaching, helpers",
            Self::Map => "map types: keys, values, flags, what works on them",
            Self::Helper => "helpers: what they take and give, and who may call them",
            Self::Kfunc => "kernel functions that programs call by name",
            Self::Attach => "attach types: where programs attach",
            Self::Link => "links: what holds an attachment",
            Self::Insn => "versions of the instruction set and what Linux added",
            Self::Limit => "limits of the kernel",
        }
    }

    /// The names of its pages, in the order of the table.
    pub fn names(self) -> Vec<&'static str> {
        pages::names(self)
    }

    /// The page with this name. Names may be written as in C (`BPF_MAP_TYPE_LRU_HASH`, `bpf_redirect`), in capitals, and
    /// with hyphens instead of underscores.
    pub fn page(self, name: &str) -> Option<Page> {
        pages::page(self, name)
    }

    /// Names that `name` may have been meant for, the nearest first; at most five.
    pub fn suggestions(self, name: &str) -> Vec<&'static str> {
        near::suggestions(name, &self.names())
    }
}

/// What is known about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its name.
    pub title: String,
    /// What it is for.
    pub about: String,
    /// Labels with values, one line each.
    pub facts: Vec<(&'static str, String)>,
    /// Longer lists.
    pub tables: Vec<Table>,
}

/// A list with columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What it lists.
    pub title: &'static str,
    /// Headings of the columns.
    pub columns: &'static [&'static str],
    /// The rows, each with as many cells as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Page {
    /// The page for a terminal with so many columns (at least 40 are assumed).
    pub fn text(&self, columns: usize) -> String {
        text::render(self, columns.max(40))
    }

    /// The page as a section of a Markdown document.
    pub fn markdown(&self) -> String {
        markdown::render(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_page() {
        for topic in Topic::ALL {
            assert_eq!(Topic::from_name(topic.name()), Some(*topic));
            for name in topic.names() {
                let page = topic.page(name).unwrap_or_else(|| panic!("{} {name} has no page", topic.name()));
                assert!(!page.about.is_empty() && !page.facts.is_empty(), "{name}");
                for table in &page.tables {
                    assert!(table.rows.iter().all(|row| row.len() == table.columns.len()), "{name}");
                }
                for columns in [0, 80, 200] {
                    let text = page.text(columns);
                    assert!(text.lines().all(|line| line.trim_end() == line), "{name}");
                }
            }
            assert_eq!(topic.page("no_such_thing"), None);
        }
    }

    #[test]
    fn names_may_be_written_as_in_c() {
        let title = |topic: Topic, name| topic.page(name).map(|page| page.title);
        assert_eq!(title(Topic::Map, "BPF_MAP_TYPE_LRU_HASH").as_deref(), Some("lru_hash"));
        assert_eq!(title(Topic::Map, "lru-hash").as_deref(), Some("lru_hash"));
        assert_eq!(title(Topic::Prog, "BPF_PROG_TYPE_XDP").as_deref(), Some("xdp"));
        assert_eq!(title(Topic::Helper, "redirect").as_deref(), Some("bpf_redirect"));
        assert_eq!(title(Topic::Attach, "BPF_CGROUP_INET4_BIND").as_deref(), Some("cgroup_inet4_bind"));
        assert_eq!(title(Topic::Kfunc, "obj_new").as_deref(), Some("bpf_obj_new_impl"));
        assert_eq!(title(Topic::Insn, "MAY_GOTO").as_deref(), Some("may-goto"));
    }

    #[test]
    fn near_names_are_suggested() {
        assert_eq!(Topic::Map.suggestions("lru_hsh").first(), Some(&"lru_hash"));
        assert_eq!(Topic::Prog.suggestions("xpd").first(), Some(&"xdp"));
        assert!(Topic::Helper.suggestions("redirect_nei").contains(&"redirect_neigh"));
        assert_eq!(Topic::Map.suggestions("zzzzzzzzzzzz"), [""; 0]);
        assert_eq!(Topic::Map.suggestions(""), [""; 0]);
    }
}
