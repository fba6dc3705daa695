//! Filters in the kernel: what the command line says about processes becomes the macros that tools ask.
//!
//! `tools/lib/filters.bt` has them with the value `true`. Here they get conditions; those that nobody asked for are left
//! out, so that they cost nothing.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use skep_lang_script::desugar::{FileKind, Loaded, Loader};

use crate::catalogue;

/// The import that stands for the filters.
pub const FILTERS: &str = "lib/filters.bt";
/// Groups below one that are looked for.
const MOST_GROUPS: usize = 64;

/// Whose events are wanted. Lists that are empty want everything; all that are not have to fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Process ids.
    pub pids: Vec<u32>,
    /// Names of threads.
    pub comms: Vec<String>,
    /// User ids.
    pub uids: Vec<u32>,
    /// Ids of control groups.
    pub cgroups: Vec<u64>,
    /// Inodes of network namespaces.
    pub netns: Vec<u64>,
}

impl Wanted {
    /// The text that stands in for [`FILTERS`].
    pub fn script(&self) -> String {
        let pids = |name: &str| any(name, self.pids.iter().map(ToString::to_string));
        let comms = |name: &str| any(name, self.comms.iter().map(|comm| quoted(comm)));
        let uids = |name: &str| any(name, self.uids.iter().map(ToString::to_string));
        let groups = |name: &str| any(name, self.cgroups.iter().map(ToString::to_string));
        let netns = |name: &str| any(name, self.netns.iter().map(ToString::to_string));
        let current =
            [pids("pid"), comms("comm"), uids("uid"), groups("cgroup"), netns("curtask->nsproxy->net_ns->ns.inum")];
        let owner = [pids("p"), comms("c"), uids("u"), groups("g")];
        format!(
            "macro filtered() {{ {} }}\nmacro wanted() {{ {} }}\nmacro wanted_owner(p, c, u, g) {{ {} }}\nmacro wanted_netns(n) {{ {} }}\n",
            *self != Self::default(),
            all(&current),
            all(&owner),
            all(&[netns("n")])
        )
    }
}

/// `name == a || name == b`; nothing if there are no values.
fn any(name: &str, values: impl Iterator<Item = String>) -> Option<String> {
    let parts: Vec<String> = values.map(|value| format!("{name} == {value}")).collect();
    (!parts.is_empty()).then(|| format!("({})", parts.join(" || ")))
}

fn all(parts: &[Option<String>]) -> String {
    let parts: Vec<&str> = parts.iter().flatten().map(String::as_str).collect();
    if parts.is_empty() { "true".to_owned() } else { parts.join(" && ") }
}

/// A text as the language writes it. Names of threads have 15 bytes at most.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            char if char.is_control() => {}
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

/// Imports of tools: the filters, parts that the binary has, and for a tool in a file what lies beside it.
#[derive(Debug)]
pub struct Imports {
    /// The text in place of [`FILTERS`].
    pub filters: String,
    /// Directory of the tool, if it is a file.
    pub directory: Option<PathBuf>,
}

impl Loader for Imports {
    fn load(&self, importer: &str, path: &str) -> Result<Vec<Loaded>, String> {
        let loaded = |path: &str, text: String| {
            let kind = if path.ends_with(".h") { FileKind::Header } else { FileKind::Script };
            Ok(vec![Loaded { path: path.to_owned(), kind, text }])
        };
        if path == FILTERS {
            return loaded(path, self.filters.clone());
        }
        if let Some(text) = catalogue::library(path) {
            return loaded(path, text.to_owned());
        }
        let Some(directory) = &self.directory else {
            return Err(format!("`{path}`, which `{importer}` imports, is no part that tools have"));
        };
        let file = directory.join(path);
        let text = fs::read_to_string(&file)
            .map_err(|error| format!("`{}` cannot be read: {}", file.display(), error.kind()))?;
        loaded(path, text)
    }
}

/// The ids of a control group and those below it, which are the inodes of their directories.
///
/// # Errors
/// There is no such directory, or there are too many below it.
pub fn groups(path: &Path) -> Result<Vec<u64>, String> {
    let facts =
        fs::metadata(path).map_err(|error| format!("the control group {}: {}", path.display(), error.kind()))?;
    if !facts.is_dir() {
        return Err(format!("{} is no control group: a directory below /sys/fs/cgroup is one", path.display()));
    }
    let mut found = vec![facts.ino()];
    let mut open = vec![path.to_owned()];
    while let Some(directory) = open.pop() {
        for below in directories(&directory) {
            found.push(fs::metadata(&below).map_or(0, |facts| facts.ino()));
            open.push(below);
        }
        if found.len() > MOST_GROUPS {
            return Err(format!(
                "{} has more than {MOST_GROUPS} groups below it: name one further down",
                path.display()
            ));
        }
    }
    Ok(found)
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// The mount of version 2 of control groups, whose ids programs see.
pub fn hierarchy() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let path = fields.next()?;
        (fields.next()? == "cgroup2").then(|| PathBuf::from(path))
    })
}

/// The groups of a container, by its identity or the beginning of it.
///
/// # Errors
/// There is none, or several.
pub fn container(id: &str) -> Result<Vec<u64>, String> {
    let root = hierarchy().ok_or("control groups of version 2 are not mounted, so containers cannot be told apart")?;
    container_below(&root, id)
}

fn container_below(root: &Path, id: &str) -> Result<Vec<u64>, String> {
    if id.len() < 4 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("--container {id}: an identity has hexadecimal digits, at least four"));
    }
    let mut open = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(directory) = open.pop() {
        for below in directories(&directory) {
            let name = below.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let name = name.trim_end_matches(".scope");
            let last = name.rsplit(['-', ':']).next().unwrap_or(name);
            if last.len() == 64 && last.starts_with(id) {
                found.push(below);
            } else {
                open.push(below);
            }
        }
    }
    match found.as_slice() {
        [one] => groups(one),
        [] => Err(format!("no container whose identity begins with {id} has a control group below {}", root.display())),
        several => Err(format!("{} containers have identities that begin with {id}: give more of it", several.len())),
    }
}

/// The inode of a network namespace: of a process, of a file, or given as such.
///
/// # Errors
/// There is no such process or file.
pub fn network_namespace(text: &str) -> Result<u64, String> {
    let bare = text.strip_prefix("net:[").and_then(|rest| rest.strip_suffix(']'));
    if let Some(number) = bare.and_then(|number| number.parse().ok()) {
        return Ok(number);
    }
    let path = match text.parse::<u32>() {
        Ok(pid) => PathBuf::from(format!("/proc/{pid}/ns/net")),
        Err(_) if text.contains('/') => PathBuf::from(text),
        // What ip-netns(8) gives names to.
        Err(_) => Path::new("/run/netns").join(text),
    };
    let facts = fs::metadata(&path);
    facts.map(|facts| facts.ino()).map_err(|error| {
        format!(
            "--netns {text}: {}: {}; it takes a process, a path, a name of `ip netns` or net:[INODE]",
            path.display(),
            error.kind()
        )
    })
}

/// The file of the network namespace with this inode: a name of `ip netns`, or that of a process.
pub fn namespace_file(inode: u64) -> Option<fs::File> {
    let entries = |path: &str| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let named = entries("/run/netns");
    let processes = entries("/proc").map(|path| path.join("ns/net"));
    let own = std::iter::once(PathBuf::from("/proc/self/ns/net"));
    let mut paths = own.chain(named).chain(processes);
    let path = paths.find(|path| fs::metadata(path).is_ok_and(|facts| facts.ino() == inode))?;
    fs::File::open(path).ok()
}

/// The number of a user, by name or as a number.
///
/// # Errors
/// There is no such user.
pub fn user(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = line.filter(|fields| fields.first() == Some(&text)).find_map(|fields| fields.get(2)?.parse().ok());
    found.ok_or_else(|| format!("--uid {text}: there is no such user in /etc/passwd"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_as_macros() {
        assert_eq!(
            Wanted::default().script(),
            "macro filtered() { false }\nmacro wanted() { true }\nmacro wanted_owner(p, c, u, g) { true }\nmacro wanted_netns(n) { true }\n"
        );
        let wanted = Wanted { pids: vec![1, 2], comms: vec!["a\"b".into()], netns: vec![9], ..Wanted::default() };
        assert_eq!(
            wanted.script(),
            "macro filtered() { true }\n\
             macro wanted() { (pid == 1 || pid == 2) && (comm == \"a\\\"b\") && (curtask->nsproxy->net_ns->ns.inum == 9) }\n\
             macro wanted_owner(p, c, u, g) { (p == 1 || p == 2) && (c == \"a\\\"b\") }\n\
             macro wanted_netns(n) { (n == 9) }\n"
        );
        let (script, problems) = skep_lang_script::parse(&wanted.script());
        assert!(problems.is_empty() && script.macros.len() == 4, "{problems:?}");
    }

    #[test]
    fn groups_and_containers() {
        let root = tempfile::tempdir().unwrap();
        let id = "ab12".repeat(16);
        let inner = root.path().join(format!("system.slice/docker-{id}.scope/inner"));
        fs::create_dir_all(&inner).unwrap();
        let ino = |path: &Path| fs::metadata(path).unwrap().ino();
        let expected = vec![ino(inner.parent().unwrap()), ino(&inner)];
        assert_eq!(container_below(root.path(), "ab12ab12").unwrap(), expected);
        assert!(container_below(root.path(), "ffff").unwrap_err().contains("no container"));
        assert!(container_below(root.path(), "../x").unwrap_err().contains("hexadecimal"));
        fs::create_dir_all(root.path().join(format!("ab12{}", "0".repeat(60)))).unwrap();
        assert!(container_below(root.path(), "ab12").unwrap_err().contains("2 containers"));
        assert!(groups(&root.path().join("none")).unwrap_err().contains("control group"));
    }

    #[test]
    fn namespaces_and_users() {
        let own = fs::metadata("/proc/self/ns/net").unwrap().ino();
        assert_eq!(network_namespace(&std::process::id().to_string()), Ok(own));
        assert_eq!(network_namespace("/proc/self/ns/net"), Ok(own));
        assert_eq!(network_namespace("net:[77]"), Ok(77));
        assert_eq!(namespace_file(own).and_then(|file| Some(file.metadata().ok()?.ino())), Some(own));
        assert!(namespace_file(77).is_none());
        assert!(network_namespace("no-such-name").unwrap_err().contains("/run/netns/no-such-name"));
        assert_eq!((user("root"), user("12")), (Ok(0), Ok(12)));
        assert!(user("no such user").is_err());
    }
}
