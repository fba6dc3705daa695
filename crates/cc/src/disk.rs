//! Files of the machine.

use std::fs;
use std::io::ErrorKind;

use skep_lang_c::source::FileSource;

/// Reads from the file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl FileSource for Disk {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match fs::metadata(path) {
            Ok(facts) if !facts.is_file() => return Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            _ => {}
        }
        fs::read(path).map(Some).map_err(|error| {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_owned()
        })
    }
}
