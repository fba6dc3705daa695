//! The tools that the binary has, and those of the user.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::filters::FILTERS;
use crate::header::{Form, Header};

/// Declares the scripts of the binary.
macro_rules! scripts {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../tools/", $name, ".bt"))),)*]
    };
}

/// Names and texts of the tools.
// TABLE: a new tool is a file `tools/NAME.bt` and a word here.
const TOOLS: &[(&str, &str)] = scripts! {
    "biolatency" "biosnoop" "bitesize" "cachestat" "capable" "cpudist" "drsnoop" "execsnoop" "exitsnoop" "filetop"
    "fsslower" "gethostlatency" "hardirqs" "killsnoop" "memleak" "offcputime" "oomkill" "opensnoop" "profile"
    "runqlat" "runqlen" "sigsnoop" "softirqs" "sslsniff" "statsnoop" "syscount" "tcpaccept" "tcpconnect"
    "tcpconnlat" "tcpdrop" "tcplife" "tcpretrans" "tcpstates" "tcptop"
};

/// Tools whose programs are assembler: name and text.
// TABLE
const ASSEMBLED: &[(&str, &str)] = &[("nflat", crate::netfilter::TEXT)];

/// What tools import, by path.
// TABLE
const LIBRARIES: &[(&str, &str)] = &[
    ("doctor/blocked.bt", include_str!("../../../tools/doctor/blocked.bt")),
    ("doctor/disks.bt", include_str!("../../../tools/doctor/disks.bt")),
    ("doctor/files.bt", include_str!("../../../tools/doctor/files.bt")),
    ("doctor/interrupts.bt", include_str!("../../../tools/doctor/interrupts.bt")),
    ("doctor/kernel_locks.bt", include_str!("../../../tools/doctor/kernel_locks.bt")),
    ("doctor/locks.bt", include_str!("../../../tools/doctor/locks.bt")),
    ("doctor/memory.bt", include_str!("../../../tools/doctor/memory.bt")),
    ("doctor/names.bt", include_str!("../../../tools/doctor/names.bt")),
    ("doctor/network.bt", include_str!("../../../tools/doctor/network.bt")),
    ("doctor/processors.bt", include_str!("../../../tools/doctor/processors.bt")),
    ("doctor/programs.bt", include_str!("../../../tools/doctor/programs.bt")),
    ("doctor/queue.bt", include_str!("../../../tools/doctor/queue.bt")),
    ("lib/filters.bt", include_str!("../../../tools/lib/filters.bt")),
    ("lib/owners.bt", include_str!("../../../tools/lib/owners.bt")),
    ("lib/tasks.bt", include_str!("../../../tools/lib/tasks.bt")),
    ("lib/tcp.bt", include_str!("../../../tools/lib/tcp.bt")),
];

/// Commands of skep that are tools in all but form: name, topic, question.
// TABLE
pub const COMMANDS: &[(&str, &str, &str)] = &[
    ("argdist", "any function", "Which values do arguments and results have, how often?"),
    ("dns", "network", "Which names are looked up, how long does it take, and what fails?"),
    ("doctor", "everything", "What is wrong with this machine?"),
    ("funccount", "any function", "How often are functions called?"),
    ("funcinterval", "any function", "How much time is there between calls of a function?"),
    ("funclatency", "any function", "How long do calls of a function take?"),
    ("funcslower", "any function", "Which calls of a function are slow?"),
    ("stackcount", "any function", "Which ways lead to a function?"),
    ("strace", "system calls", "Which system calls are made, with which arguments and results?"),
    ("trace", "any function", "When is a function called, with which arguments?"),
];

/// What the programs of a tool are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A script.
    Script,
    /// The assembler text of [`netfilter`](crate::netfilter).
    Netfilter,
}

/// A tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// What its head says.
    pub header: Header,
    /// What its programs are made of.
    pub made: Made,
    /// The script, or the text of its programs.
    pub text: String,
    /// The file that it comes from, `None` for tools of the binary.
    pub path: Option<PathBuf>,
}

impl Tool {
    /// Its file among the sources.
    pub fn source(&self) -> String {
        let ending = if self.made == Made::Script { "bt" } else { "s" };
        format!("tools/{}.{ending}", self.header.name)
    }

    /// Whether its rows have stacks, so that flame graphs can be made of them.
    pub fn has_stacks(&self) -> bool {
        self.header.columns.iter().any(|column| column.form == Form::Stack)
    }

    /// Whether the script, or what it imports, has probes at tracepoints with a record, which need the tracing file system.
    pub fn needs_tracefs(&self) -> bool {
        let imported = LIBRARIES.iter().filter(|(name, _)| self.text.contains(&format!("import \"{name}\"")));
        let mut texts = imported.map(|(_, text)| *text).chain([self.text.as_str()]);
        texts.any(|text| text.lines().any(|line| line.trim_start().starts_with("tracepoint:")))
    }

    /// Whether all that the script looks at are functions and probes of programs, which can be limited to a process when
    /// they are attached.
    pub fn looks_at_programs(&self) -> bool {
        const OWN: [&str; 4] = ["begin", "end", "interval", "self"];
        const PROGRAMS: [&str; 3] = ["uprobe", "uretprobe", "usdt"];
        let (script, _) = skep_lang_script::parse(&self.text);
        let mut points = script.probes.iter().flat_map(|probe| &probe.points).map(|point| &*point.node.provider);
        points.clone().any(|name| PROGRAMS.contains(&name))
            && points.all(|name| OWN.contains(&name) || PROGRAMS.contains(&name))
    }

    /// Whether the script asks for the filters that all tools have.
    pub fn is_filtered(&self) -> bool {
        self.text.lines().any(|line| line.starts_with("import") && line.contains(FILTERS))
    }
}

/// Tools in the order of their topics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    /// The tools.
    pub tools: Vec<Tool>,
    /// Files that are none, and why.
    pub problems: Vec<String>,
}

/// The text of what tools import.
pub fn library(path: &str) -> Option<&'static str> {
    LIBRARIES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
}

/// Whether the binary has a tool of this name.
pub fn is_embedded(name: &str) -> bool {
    TOOLS.iter().chain(ASSEMBLED).any(|(tool, _)| *tool == name)
}

impl Catalogue {
    /// The tools of the binary.
    pub fn embedded() -> &'static Self {
        static ALL: OnceLock<Catalogue> = OnceLock::new();
        ALL.get_or_init(|| {
            let mut all = Self::default();
            TOOLS.iter().for_each(|(name, text)| all.add(name, (*text).to_owned(), None));
            let scripts = all.tools.len();
            ASSEMBLED.iter().for_each(|(name, text)| all.add(name, (*text).to_owned(), None));
            all.tools[scripts..].iter_mut().for_each(|tool| tool.made = Made::Netfilter);
            all
        })
    }

    /// The tools of the binary and those in these directories, which come first if names are the same. A directory that
    /// does not exist has none.
    pub fn with(directories: &[PathBuf]) -> Self {
        let mut all = Self::default();
        for directory in directories {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
            paths.retain(|path| path.extension().is_some_and(|ending| ending == "bt") && path.is_file());
            paths.sort();
            for path in paths {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                if all.find(&name).is_some() {
                    continue;
                }
                match fs::read_to_string(&path) {
                    Ok(text) => all.add(&name, text, Some(path)),
                    Err(error) => all.problems.push(format!("{} cannot be read: {}", path.display(), error.kind())),
                }
            }
        }
        for tool in &Self::embedded().tools {
            if all.find(&tool.header.name).is_none() {
                all.tools.push(tool.clone());
            }
        }
        all
    }

    fn add(&mut self, name: &str, text: String, path: Option<PathBuf>) {
        let shown = path.as_deref().map_or_else(|| format!("tools/{name}.bt"), |path| path.display().to_string());
        match Header::parse(&text) {
            Ok(header) if header.name == name => self.tools.push(Tool { header, made: Made::Script, text, path }),
            Ok(header) => {
                self.problems.push(format!("{shown}: its head calls it `{}`: the names have to agree", header.name))
            }
            Err(error) => self.problems.push(format!("{shown}, {error}")),
        }
    }

    /// The tool with a name.
    pub fn find(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.header.name == name)
    }

    /// All tools by what they belong to and which question they answer, as text.
    pub fn list(&self) -> String {
        let mut rows: Vec<(&str, &str, &str)> = COMMANDS.to_vec();
        rows.extend(self.tools.iter().map(|tool| {
            let header = &tool.header;
            (header.name.as_str(), header.topic.as_str(), header.question.as_str())
        }));
        let mut topics: Vec<&str> = rows.iter().map(|row| row.1).collect();
        topics.sort_unstable();
        topics.dedup();
        let mut text = String::new();
        for topic in topics {
            text.push_str(&format!("{topic}\n"));
            for (name, _, question) in rows.iter().filter(|row| row.1 == topic) {
                text.push_str(&format!("  {name:14} {question}\n"));
            }
            text.push('\n');
        }
        text.push_str(
            "`skep NAME` runs a tool, `skep NAME --help` explains it, `skep NAME --source` prints its script.\n",
        );
        text
    }
}

/// Where the user's own tools are: the directory that was named, `SKEP_TOOLS_PATH`, the directory for configuration.
pub fn directories(named: Option<&Path>) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = named.map(Path::to_owned).into_iter().collect();
    if let Some(paths) = std::env::var_os("SKEP_TOOLS_PATH") {
        found.extend(std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()));
    }
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or(home);
    found.extend(config.map(|config| config.join("skep/tools")));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_has_a_head() {
        let all = Catalogue::embedded();
        assert_eq!((all.problems.as_slice(), all.tools.len()), (&[][..], TOOLS.len() + ASSEMBLED.len()));
        let list = all.list();
        assert!(TOOLS.iter().all(|(name, _)| list.contains(&format!("\n  {name} "))), "{list}");
        // What is added to rows of processes must not have the name of a column.
        let added = |name: &str| crate::view::ADDED.iter().any(|(added, ..)| *added == name);
        let mut columns = all.tools.iter().flat_map(|tool| &tool.header.columns);
        assert!(!columns.any(|column| added(&column.field)));
        let needs = |name: &str| all.find(name).unwrap().needs_tracefs();
        assert!(needs("opensnoop") && needs("tcplife") && !needs("tcpconnect") && !needs("profile"));
        let limited = |name: &str| all.find(name).unwrap().looks_at_programs();
        assert!(limited("memleak") && limited("sslsniff") && limited("gethostlatency"));
        assert!(!limited("opensnoop") && !limited("profile") && !limited("tcplife"));
        assert!(all.tools.iter().all(|tool| is_embedded(&tool.header.name)) && !is_embedded("dns"));
    }

    #[test]
    fn tools_of_the_user_come_first() {
        let directory = tempfile::tempdir().unwrap();
        let head = |name: &str| {
            format!(
                "/*\n * {name}: mine\n *\n * Question: Q?\n * Topic: own\n *\n * Example:\n *   $ x\n */\nbegin {{ }}\n"
            )
        };
        let write = |name: &str, text: String| fs::write(directory.path().join(name), text).unwrap();
        write("mine.bt", head("mine"));
        write("tcplife.bt", head("tcplife"));
        write("wrong.bt", head("other"));
        write("plain.bt", "begin { }".to_owned());
        write("readme.md", String::new());
        let all = Catalogue::with(&[directory.path().to_owned(), "/no/such/directory".into()]);
        assert_eq!(all.find("mine").unwrap().path, Some(directory.path().join("mine.bt")));
        assert_eq!(all.find("tcplife").unwrap().header.title, "mine");
        assert_eq!(all.tools.len(), TOOLS.len() + ASSEMBLED.len() + 1);
        assert_eq!(all.problems.len(), 2, "{:?}", all.problems);
    }
}
