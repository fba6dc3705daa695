//! A series of capture files: a new one after so many bytes or seconds, as `-C`, `-G` and `-W` of tcpdump ask for.
//!
//! Facts: tcpdump(8) of 4.99.3, and of 5.0 for the units of `-C`.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::error::{WriteError, WriteErrorKind};
use super::writer::{Format, WriteOptions, Writer};
use crate::file::{Interface, Packet};

/// Which clock decides when `every` seconds have passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RotateClock {
    /// The time of day, as in tcpdump. Right for live captures.
    #[default]
    Wall,
    /// The packets' own time stamps: splits a recording by its own time.
    Packets,
}

/// When to begin a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rotation {
    /// `-C`: begin a new file when the current one is larger than this many bytes.
    pub bytes: Option<u64>,
    /// `-G`: begin a new file after so many seconds; the name is a `strftime` format.
    pub every: Option<u64>,
    /// `-W`: with `bytes`, so many files are used in turn; with `every` alone, writing ends after so many.
    pub files: Option<u32>,
    /// The clock for `every`.
    pub clock: RotateClock,
}

/// What became of a packet given to a [`RotatingWriter`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrote {
    /// It is in the same file as the one before it.
    Same,
    /// It is the first of a new file; the file before it is complete.
    Rotated {
        /// The complete file, for a command to be run on it.
        closed: PathBuf,
    },
    /// The number of files (`-W` with `-G`) is used up. The packet was not written; nothing more will be.
    Finished {
        /// The last file.
        closed: PathBuf,
    },
}

/// Writes a series of files.
pub struct RotatingWriter {
    template: PathBuf,
    options: WriteOptions,
    rotation: Rotation,
    /// For every file of the series.
    declared: BTreeMap<u32, Interface>,
    /// None before the first packet with the packets' clock, and after the last file.
    current: Option<(Writer, PathBuf)>,
    /// When the current period began, in seconds since the epoch.
    began: i64,
    /// Files made by time.
    periods: u64,
    /// Number of the current file among those made by size.
    number: u64,
    finished: bool,
    packets: u64,
}

impl RotatingWriter {
    /// Prepares the series. With the wall clock the first file is created now, so that errors show early.
    ///
    /// # Errors
    /// If the first file cannot be created or the name is no usable time format.
    pub fn create(template: impl AsRef<Path>, options: &WriteOptions, rotation: Rotation) -> Result<Self, WriteError> {
        let template = template.as_ref().to_owned();
        let mut options = options.clone();
        // By the name as given: numbers are appended after the extension.
        options.format = Some(options.format.unwrap_or_else(|| Format::of_name(&template)));
        let mut series = Self {
            template,
            options,
            rotation,
            declared: BTreeMap::new(),
            current: None,
            began: wall_seconds(),
            periods: 0,
            number: 0,
            finished: false,
            packets: 0,
        };
        if rotation.every.is_none() || rotation.clock == RotateClock::Wall {
            series.open_next()?;
        }
        Ok(series)
    }

    /// As [`Writer::declare`], for all files from the current one on.
    pub fn declare(&mut self, number: u32, interface: &Interface) {
        if let Some((writer, _)) = &mut self.current {
            writer.declare(number, interface);
        }
        self.declared.insert(number, interface.clone());
    }

    /// Writes one packet, in a new file if it is time for one.
    ///
    /// # Errors
    /// If a file cannot be created or written.
    pub fn write(&mut self, packet: &Packet<'_>) -> Result<Wrote, WriteError> {
        let mut wrote = Wrote::Same;
        if self.finished {
            return Ok(Wrote::Finished { closed: self.template.clone() });
        }
        if let Some(every) = self.rotation.every {
            let now = match self.rotation.clock {
                RotateClock::Wall => wall_seconds(),
                RotateClock::Packets => packet.ts.seconds(),
            };
            if self.current.is_none() {
                self.began = now;
            } else if i128::from(now) - i128::from(self.began) >= i128::from(every) {
                self.began = now;
                self.periods += 1;
                self.number = 0;
                let closed = self.close()?;
                if self.rotation.bytes.is_none() && self.rotation.files.is_some_and(|n| self.periods >= n.into()) {
                    self.finished = true;
                    return Ok(Wrote::Finished { closed });
                }
                wrote = Wrote::Rotated { closed };
            }
        }
        let full = |writer: &Writer| self.rotation.bytes.is_some_and(|limit| writer.bytes() > limit);
        if self.current.as_ref().is_some_and(|(writer, _)| full(writer)) {
            let closed = self.close()?;
            self.number += 1;
            if self.rotation.files.is_some_and(|files| self.number >= files.into()) {
                self.number = 0;
            }
            wrote = Wrote::Rotated { closed };
        }
        if self.current.is_none() {
            self.open_next()?;
        }
        if let Some((writer, _)) = &mut self.current {
            writer.write(packet)?;
            self.packets += 1;
        }
        Ok(wrote)
    }

    /// Hands everything written so far to the system.
    ///
    /// # Errors
    /// If the output fails.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.current.as_mut().map_or(Ok(()), |(writer, _)| writer.flush())
    }

    /// Closes the last file. Returns how many packets were written to all files, and the last file's name.
    ///
    /// # Errors
    /// If the output fails.
    pub fn finish(mut self) -> Result<(u64, Option<PathBuf>), WriteError> {
        if self.current.is_none() && !self.finished && self.packets == 0 {
            self.open_next()?;
        }
        let last = if self.current.is_some() { Some(self.close()?) } else { None };
        Ok((self.packets, last))
    }

    /// The file that is being written.
    #[must_use]
    pub fn current_file(&self) -> Option<&Path> {
        self.current.as_ref().map(|(_, path)| path.as_path())
    }

    fn close(&mut self) -> Result<PathBuf, WriteError> {
        let Some((writer, path)) = self.current.take() else { return Ok(self.template.clone()) };
        writer.finish()?;
        Ok(path)
    }

    fn open_next(&mut self) -> Result<(), WriteError> {
        let path = self.name()?;
        let mut writer = Writer::create(&path, &self.options)?;
        self.declared.iter().for_each(|(number, interface)| writer.declare(*number, interface));
        self.current = Some((writer, path));
        Ok(())
    }

    /// The name of the next file: time filled in, number appended.
    fn name(&self) -> Result<PathBuf, WriteError> {
        if self.template.as_os_str() == "-" {
            return Ok(self.template.clone());
        }
        let base = match self.rotation.every {
            Some(_) => self.formatted()?,
            None => self.template.as_os_str().to_owned(),
        };
        let width = self.rotation.files.filter(|_| self.rotation.bytes.is_some()).map_or(0, digits_for);
        if self.number == 0 && width == 0 {
            return Ok(base.into());
        }
        let mut name = base;
        name.push(format!("{:0width$}", self.number));
        Ok(name.into())
    }

    fn formatted(&self) -> Result<OsString, WriteError> {
        let fail = |why| {
            let name = self.template.display().to_string();
            WriteError { name, kind: WriteErrorKind::NameFormat(why) }
        };
        format_time(self.template.as_os_str(), self.began).map_err(fail)
    }
}

/// How many digits number `files` files from 0. One file needs none.
const fn digits_for(files: u32) -> usize {
    match files.saturating_sub(1).checked_ilog10() {
        Some(log) => log as usize + 1,
        None => 0,
    }
}

/// Reads the size given to `-C`: a number, in millions of bytes, or with `k`, `m` or `g` in units of 1024, 1024^2 or
/// 1024^3 bytes.
///
/// # Errors
/// If it is no number, 0, or too large; the message says what is expected.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1_000_000),
    };
    let number = digits.parse::<u64>().ok().filter(|n| *n > 0 && digits.bytes().all(|b| b.is_ascii_digit()));
    number.and_then(|n| n.checked_mul(unit)).filter(|n| i64::try_from(*n).is_ok()).ok_or_else(|| {
        format!("'{text}' is not a file size; expected a positive number of millions of bytes, or one with k, m or g")
    })
}

fn wall_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// `strftime` in local time. A name without `%` stays as it is.
fn format_time(template: &OsStr, seconds: i64) -> Result<OsString, &'static str> {
    if !template.as_bytes().contains(&b'%') {
        return Ok(template.to_owned());
    }
    let format = CString::new(template.as_bytes()).map_err(|_| "it contains a zero byte")?;
    // SAFETY: `tm` is plain data for which all zeroes is a valid value.
    let mut fields: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the right types; `localtime_r` keeps neither.
    if unsafe { libc::localtime_r(&seconds, &mut fields) }.is_null() {
        return Err("the time is out of range");
    }
    let mut buffer = vec![0u8; 4096];
    // SAFETY: the buffer is writable for its length, the format ends in a zero byte, and `fields` is filled in.
    let length = unsafe { libc::strftime(buffer.as_mut_ptr().cast(), buffer.len(), format.as_ptr(), &fields) };
    buffer.truncate(length);
    if buffer.is_empty() {
        return Err("the time format gives an empty or too long name");
    }
    Ok(OsString::from_vec(buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("1"), Ok(1_000_000));
        assert_eq!(parse_size("10k"), Ok(10_240));
        assert_eq!(parse_size("2M"), Ok(2 << 20));
        assert_eq!(parse_size("3g"), Ok(3 << 30));
        for bad in ["", "k", "0", "-1", "+1", "1t", "99999999999999999999", "9999999999999g", "1 k"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn widths_are_those_of_the_largest_number() {
        let widths = [(1, 0), (2, 1), (10, 1), (11, 2), (100, 2), (101, 3)];
        for (files, width) in widths {
            assert_eq!(digits_for(files), width, "{files}");
        }
    }

    #[test]
    fn names_are_time_formats() {
        assert_eq!(format_time(OsStr::new("plain"), 0).unwrap(), "plain");
        assert_eq!(format_time(OsStr::new("%s-%%"), 1_700_000_000).unwrap(), "1700000000-%");
        let long = "%Y".repeat(3000);
        assert!(format_time(OsStr::new(&long), 0).is_err());
    }
}
