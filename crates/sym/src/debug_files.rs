//! Where the debug information of a file is: in itself, or in a file that was split off.
//!
//! ```text
//!  --debuginfo DIR, /usr/lib/debug:  DIR/.build-id/ab/cdef.debug  DIR/path/of/the/file.debug  DIR/name
//!  .gnu_debuglink NAME, checksum:    next to the file, in .debug/ there, in DIR/path/
//! ```
//!
//! A file counts only if its build id is that of the binary, or if it has the checksum that the link says.

use std::fs;
use std::path::{Path, PathBuf};

use crate::binary::Binary;
use crate::head::Head;

/// Where distributions put debug files.
const SYSTEM: &str = "/usr/lib/debug";

/// The directories in which debug files are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugDirs(Vec<PathBuf>);

impl Default for DebugDirs {
    fn default() -> Self {
        Self(vec![PathBuf::from(SYSTEM)])
    }
}

impl DebugDirs {
    /// These directories, and behind them `/usr/lib/debug`.
    pub fn new(directories: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(directories.into_iter().chain([PathBuf::from(SYSTEM)]).collect())
    }

    /// The directories in order.
    pub fn directories(&self) -> &[PathBuf] {
        &self.0
    }

    /// The debug file of a binary.
    pub fn find(&self, binary: &Binary) -> Option<PathBuf> {
        self.find_for(binary.head())
    }

    /// That of a file of which the head is known.
    pub(crate) fn find_for(&self, binary: &Head) -> Option<PathBuf> {
        let by_build_id =
            binary.debug_name().into_iter().flat_map(|name| self.0.iter().map(move |dir| dir.join(&name)));
        let named = binary.path.file_name().map(|name| {
            let mut name = name.to_owned();
            name.push(".debug");
            name
        });
        let inner = inner_directory(&binary.path);
        let by_path = self.0.iter().filter_map(|dir| Some(dir.join(&inner).join(named.as_ref()?)));
        let with_same_id = |path: &PathBuf| {
            let build_id = Head::open(path).and_then(|other| other.build_id);
            build_id.is_some() && build_id == binary.build_id
        };
        let found = by_build_id.chain(by_path).find(|path| path.is_file() && with_same_id(path));
        found.or_else(|| self.by_link(binary, &inner))
    }

    /// By the name in `.gnu_debuglink`.
    fn by_link(&self, binary: &Head, inner: &Path) -> Option<PathBuf> {
        let (name, checksum) = binary.debug_link.as_ref()?;
        // A name with directories in it is none that a linker writes.
        let name = Path::new(name).file_name()?;
        let beside = binary.path.parent().unwrap_or(Path::new(""));
        let near = [beside.join(name), beside.join(".debug").join(name)].into_iter();
        let far = self.0.iter().flat_map(|dir| [dir.join(inner).join(name), dir.join(name)]);
        near.chain(far).find(|path| *path != binary.path && path.is_file() && sum(path) == Some(*checksum))
    }
}

/// The directory of a file below the root: a path through `/proc/PID/root` counts as the path behind it.
fn inner_directory(path: &Path) -> PathBuf {
    let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    whole.parent().and_then(|directory| directory.strip_prefix("/").ok()).unwrap_or(Path::new("")).to_owned()
}

/// CRC-32 of a file, the checksum of `.gnu_debuglink`.
fn sum(path: &Path) -> Option<u32> {
    use std::io::Read as _;
    let mut file = fs::File::open(path).ok()?;
    let (mut crc, mut piece) = (flate2::Crc::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut piece).ok()? {
            0 => return Some(crc.sum()),
            count => crc.update(&piece[..count]),
        }
    }
}
