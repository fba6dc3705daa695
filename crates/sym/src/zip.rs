//! Libraries inside of archives, as Android keeps them: `base.apk!/lib/x86_64/libmain.so`. The loader maps them from there,
//! so they are stored as they are, and an offset in one is an offset in the archive (APPNOTE.TXT of PKWARE, 4.3).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Between the archive and what is in it.
const MARK: &str = "!/";
/// Bytes of the record at the end without its remark, and most bytes of the remark.
const END: usize = 22;
const MOST_REMARK: u64 = 0xffff;
/// Most bytes of a directory or of a library.
const MOST: u64 = 2 << 30;
/// Bytes of a row of the directory, and of the head in front of a file, without names.
const ROW: usize = 46;
const HEAD: usize = 30;

/// A file in an archive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// The archive.
    pub(crate) archive: PathBuf,
    /// Where in it the file begins.
    pub(crate) offset: u64,
    /// The file.
    pub(crate) bytes: Vec<u8>,
}

/// Archive and name in it, if the path has both.
pub(crate) fn parts(path: &Path) -> Option<(&str, &str)> {
    path.to_str()?.split_once(MARK)
}

/// Reads a file of an archive.
///
/// # Errors
/// What keeps it from being read.
pub(crate) fn read(archive: &str, name: &str) -> Result<Member, String> {
    let file = File::open(archive).map_err(|error| format!("the archive cannot be opened: {}", error.kind()))?;
    let length = file.metadata().map_err(|error| error.kind().to_string())?.len();
    let (offset, bytes) = find(&|at, bytes: &mut [u8]| file.read_exact_at(bytes, at), length, name)?;
    Ok(Member { archive: PathBuf::from(archive), offset, bytes })
}

/// Reads bytes at an offset.
type Reader<'a> = &'a dyn Fn(u64, &mut [u8]) -> io::Result<()>;

/// Offset and bytes of a file in an archive of so many bytes.
pub(crate) fn find(read: Reader<'_>, length: u64, name: &str) -> Result<(u64, Vec<u8>), String> {
    const BROKEN: &str = "it is no ZIP archive, or a broken one";
    let bytes = |at: u64, size: u64| -> Result<Vec<u8>, String> {
        if size > MOST || at.checked_add(size).is_none_or(|end| end > length) {
            return Err(BROKEN.to_owned());
        }
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| BROKEN)?];
        read(at, &mut bytes).map_err(|error| format!("it cannot be read: {}", error.kind()))?;
        Ok(bytes)
    };
    let tail_start = length.saturating_sub(END as u64 + MOST_REMARK);
    let tail = bytes(tail_start, length - tail_start)?;
    let end = tail.windows(END).rposition(|window| window.starts_with(b"PK\x05\x06")).ok_or(BROKEN)?;
    let (size, start) = (word(&tail, end + 12), word(&tail, end + 16));
    let directory = bytes(start.into(), size.into())?;
    let mut at = 0;
    while directory.get(at..).is_some_and(|rest| rest.len() >= ROW && rest.starts_with(b"PK\x01\x02")) {
        let lengths = [28, 30, 32].map(|place| usize::from(half(&directory, at + place)));
        if directory.get(at + ROW..at + ROW + lengths[0]) == Some(name.as_bytes()) {
            if half(&directory, at + 10) != 0 {
                return Err(format!("`{name}` is compressed in it; only what is stored as it is can be traced"));
            }
            let (size, head) = (word(&directory, at + 24), u64::from(word(&directory, at + 42)));
            let own = bytes(head, HEAD as u64)?;
            let names = u64::from(half(&own, 26)) + u64::from(half(&own, 28));
            let offset = head + HEAD as u64 + names;
            return Ok((offset, bytes(offset, size.into())?));
        }
        at += ROW + lengths.iter().sum::<usize>();
    }
    Err(format!("it holds no file `{name}`"))
}

/// 16 bits; 0 behind the end.
fn half(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u16::from_le_bytes(*chunk))
}

/// 32 bits; 0 behind the end.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

/// An archive of stored files, each at a multiple of 4096 as `zipalign -p` puts them.
#[cfg(test)]
pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let head = u32::try_from(bytes.len()).unwrap();
        let size = u32::try_from(content.len()).unwrap().to_le_bytes();
        let name_length = u16::try_from(name.len()).unwrap().to_le_bytes();
        let start = (bytes.len() + HEAD + name.len()).next_multiple_of(4096);
        let padding = u16::try_from(start - bytes.len() - HEAD - name.len()).unwrap().to_le_bytes();
        bytes.extend(b"PK\x03\x04\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0");
        bytes.extend([size, size].concat());
        bytes.extend([name_length, padding].concat());
        bytes.extend(name.as_bytes());
        bytes.resize(start, 0);
        bytes.extend(*content);
        directory.extend(b"PK\x01\x02\x0a\0\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0");
        directory.extend([size, size].concat());
        directory.extend(name_length);
        directory.extend([0; 12]);
        directory.extend(head.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, size) = (u32::try_from(bytes.len()).unwrap(), u32::try_from(directory.len()).unwrap());
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    bytes.extend([size.to_le_bytes(), start.to_le_bytes()].concat());
    bytes.extend([0, 0]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8], name: &str) -> Result<(u64, Vec<u8>), String> {
        let read = |at: u64, into: &mut [u8]| {
            let start = usize::try_from(at).unwrap();
            into.copy_from_slice(&bytes[start..start + into.len()]);
            Ok(())
        };
        find(&read, bytes.len() as u64, name)
    }

    #[test]
    fn stored_files() {
        let mut bytes = archive(&[("a", b"first"), ("lib/b.so", b"second one")]);
        assert_eq!(of(&bytes, "lib/b.so"), Ok((8192, b"second one".to_vec())));
        assert_eq!(of(&bytes, "a"), Ok((4096, b"first".to_vec())));
        assert!(of(&bytes, "b").unwrap_err().contains("holds no file `b`"));
        let row = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
        bytes[row + 10] = 8;
        assert!(of(&bytes, "lib/b.so").unwrap_err().contains("is compressed"));
        for length in 0..bytes.len() {
            assert!(of(&bytes[..length], "a").is_err());
        }
        assert_eq!(parts(Path::new("/x/a.zip!/lib/b.so")), Some(("/x/a.zip", "lib/b.so")));
        assert_eq!(parts(Path::new("/x/b.so")), None);
    }
}
