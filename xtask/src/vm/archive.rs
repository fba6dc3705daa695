//! The initial file system of the machine, in the "newc" form of cpio that the kernel unpacks at its start.
//!
//! The format is described in the kernel's Documentation/driver-api/early-userspace/buffer-format.rst: per file a
//! header of 110 characters, the name with a zero byte, the contents, each padded to four bytes.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

/// Type bits and permissions of the three kinds of entries.
const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// Directories of the root that are links into `/usr`, as Debian has them since release 12.
const MERGED: &[&str] = &["bin", "sbin", "lib", "lib64"];

/// An archive that is being written. Parents of files come by themselves, files of the same name are written once.
pub struct Archive<W> {
    sink: W,
    names: BTreeSet<PathBuf>,
}

impl<W: Write> Archive<W> {
    /// An archive that holds the links from the root into `/usr`.
    ///
    /// # Errors
    /// Whatever the sink reports.
    pub fn new(sink: W) -> io::Result<Self> {
        let mut archive = Self { sink, names: BTreeSet::new() };
        for name in MERGED {
            archive.directory(&Path::new("/usr").join(name))?;
            archive.names.insert(PathBuf::from(name));
            archive.entry(Path::new(name), LINK, format!("usr/{name}").as_bytes())?;
        }
        Ok(archive)
    }

    /// Adds an empty directory with an absolute path.
    ///
    /// # Errors
    /// Whatever the sink reports.
    pub fn directory(&mut self, path: &Path) -> io::Result<()> {
        let path = inside(path);
        let parents: Vec<PathBuf> = path.ancestors().map(Path::to_path_buf).collect();
        for parent in parents.into_iter().rev().filter(|parent| !parent.as_os_str().is_empty()) {
            if self.names.insert(parent.clone()) {
                self.entry(&parent, DIRECTORY, &[])?;
            }
        }
        Ok(())
    }

    /// Adds a file with an absolute path, executable for everybody.
    ///
    /// # Errors
    /// Whatever the sink reports, or that the contents do not fit into the format (4 GiB).
    pub fn file(&mut self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let path = inside(path);
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        if self.names.insert(path.clone()) { self.entry(&path, PROGRAM, contents) } else { Ok(()) }
    }

    /// Adds a symbolic link at an absolute path to another absolute path; nothing if they are the same file.
    ///
    /// # Errors
    /// Whatever the sink reports.
    pub fn link(&mut self, path: &Path, target: &Path) -> io::Result<()> {
        let (path, target) = (inside(path), Path::new("/").join(inside(target)));
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        if self.names.insert(path.clone()) {
            self.entry(&path, LINK, target.as_os_str().as_encoded_bytes())
        } else {
            Ok(())
        }
    }

    /// Whether a file or directory is there already.
    pub fn contains(&self, path: &Path) -> bool {
        self.names.contains(&inside(path))
    }

    /// Writes the entry that ends the archive and gives back the sink.
    ///
    /// # Errors
    /// Whatever the sink reports.
    pub fn finish(mut self) -> io::Result<W> {
        self.entry(Path::new("TRAILER!!!"), 0, &[])?;
        self.sink.flush()?;
        Ok(self.sink)
    }

    fn entry(&mut self, path: &Path, mode: u32, contents: &[u8]) -> io::Result<()> {
        let name = path.as_os_str().as_encoded_bytes();
        let size = u32::try_from(contents.len()).map_err(|_| io::Error::other("a file of 4 GiB or more"))?;
        let number = self.names.len();
        let fields = [number, mode as usize, 0, 0, 1, 0, size as usize, 0, 0, 0, 0, name.len() + 1, 0];
        self.sink.write_all(b"070701")?;
        for field in fields {
            write!(self.sink, "{field:08x}")?;
        }
        self.sink.write_all(name)?;
        // The header is two bytes longer than a multiple of four; the name has one zero byte at least.
        let zeros = 4 - (110 + name.len()) % 4;
        self.sink.write_all(&[0; 4][..zeros])?;
        self.sink.write_all(contents)?;
        self.sink.write_all(&[0; 4][..(4 - contents.len() % 4) % 4])
    }
}

/// The name of a file in the archive: without the leading slash, without dots, below `usr` where the root has a link.
fn inside(path: &Path) -> PathBuf {
    let mut name = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => name.push(part),
            Component::ParentDir => {
                name.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    if MERGED.iter().any(|link| name.starts_with(link)) { Path::new("usr").join(name) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, mode and contents of every entry, read as the kernel does.
    fn read(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut entries = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            assert_eq!(&bytes[at..at + 6], b"070701");
            let field = |index: usize| {
                let start = at + 6 + 8 * index;
                u32::from_str_radix(std::str::from_utf8(&bytes[start..start + 8]).unwrap(), 16).unwrap()
            };
            let (mode, size, length) = (field(1), field(6) as usize, field(11) as usize);
            assert_eq!(bytes[at + 110 + length - 1], 0, "names end with a zero byte");
            let name = String::from_utf8(bytes[at + 110..at + 110 + length - 1].to_vec()).unwrap();
            let start = (at + 110 + length).next_multiple_of(4);
            at = (start + size).next_multiple_of(4);
            entries.push((name, mode, bytes[start..start + size].to_vec()));
        }
        entries
    }

    #[test]
    fn parents_come_before_their_files_and_files_once() {
        let mut archive = Archive::new(Vec::new()).unwrap();
        for length in 0..9 {
            archive.file(Path::new(&format!("/a/b/{}", "n".repeat(length + 1))), &vec![7; length]).unwrap();
        }
        archive.file(Path::new("/a/../a/b/n"), b"again").unwrap();
        archive.file(Path::new("/lib/x.so"), b"library").unwrap();
        archive.link(Path::new("/bin/x"), Path::new("/lib/x.so")).unwrap();
        archive.link(Path::new("/lib/x.so"), Path::new("/usr/lib/x.so")).unwrap();
        assert!(archive.contains(Path::new("/usr/lib/x.so")));
        let entries = read(&archive.finish().unwrap());
        let names: Vec<&str> = entries.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names[..3], ["usr", "usr/bin", "bin"]);
        assert_eq!(names[9..12], ["a", "a/b", "a/b/n"]);
        assert_eq!(names[names.len() - 3..], ["usr/lib/x.so", "usr/bin/x", "TRAILER!!!"]);
        for (name, mode, contents) in &entries[11..20] {
            assert_eq!((*mode, contents.len() + 1), (PROGRAM, name.len() - "a/b/".len()), "{name}");
        }
        assert_eq!(entries[entries.len() - 2].2, b"/usr/lib/x.so");
        assert_eq!(entries[2], ("bin".to_owned(), LINK, b"usr/bin".to_vec()));
    }
}
