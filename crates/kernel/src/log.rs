//! The verifier's log: kept in full, shown as a summary.

use std::fmt;

/// What the verifier wrote about a program it refused (or accepted, when asked to).
///
/// `Display` gives one line: the last one that says why, and how many others there are. [`text`](Self::text) gives
/// everything.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct VerifierLog {
    text: Box<str>,
    truncated: bool,
    note: Box<str>,
}

impl VerifierLog {
    /// A log out of the buffer that the kernel filled; everything from the first NUL byte on is dropped.
    pub fn new(buffer: &[u8], truncated: bool) -> Self {
        let end = buffer.iter().position(|&byte| byte == 0).unwrap_or(buffer.len());
        Self { text: String::from_utf8_lossy(&buffer[..end]).into(), truncated, note: Box::default() }
    }

    /// Adds the last lines of a log of which the kernel gave the beginning.
    pub(crate) fn add_end(&mut self, buffer: &[u8]) {
        let end = Self::new(buffer, false);
        if !end.is_empty() {
            self.text = format!("{}\n{}", self.text, end.text).into();
        }
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the kernel said nothing.
    pub fn is_empty(&self) -> bool {
        self.lines().next().is_none()
    }

    /// Whether the log was longer than the largest buffer.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Adds what the kernel cannot know; it is shown behind the reason.
    pub(crate) fn add_note(&mut self, note: &str) {
        self.note = note.into();
    }

    /// The lines that are not blank.
    fn lines(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.text.lines().map(str::trim).filter(|line| !line.is_empty())
    }

    /// The last line that gives a reason, and the number of other lines that are not blank.
    pub fn summary(&self) -> Option<(&str, usize)> {
        let total = self.lines().count();
        let reason = self.lines().rev().find(|line| !is_statistics(line)).or_else(|| self.lines().next_back())?;
        Some((reason, total - 1))
    }

    /// The source line that the verifier looked at when it gave its reason, if the program came with source lines.
    pub fn source(&self) -> Option<SourceLine<'_>> {
        self.lines().rev().find_map(source_line)
    }

    /// The lines that say most: from the last source line to the reason, at most `most` of them, the last ones.
    pub fn relevant(&self, most: usize) -> Vec<&str> {
        let mut lines: Vec<&str> = Vec::new();
        for line in self.lines().rev().filter(|line| !is_statistics(line)) {
            lines.push(line);
            if lines.len() >= most || source_line(line).is_some() {
                break;
            }
        }
        lines.reverse();
        lines
    }
}

/// A source line as the verifier quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceLine<'a> {
    /// Its text.
    pub text: &'a str,
    /// The file as the compiler was given it, and the number; kernels before 6.9 do not say.
    pub place: Option<(&'a str, u32)>,
}

/// Takes `; text @ file.c:12` or `; text` apart.
fn source_line(line: &str) -> Option<SourceLine<'_>> {
    let quoted = line.strip_prefix("; ")?;
    let place = quoted.rsplit_once(" @ ").and_then(|(text, place)| {
        // The kernel writes the file's last component and the number; a column may follow.
        let (file, number) = place.split_once(':')?;
        let number = number.split(':').next()?.trim().parse().ok()?;
        Some((text, (file, number)))
    });
    let (text, place) = place.map_or((quoted, None), |(text, place)| (text, Some(place)));
    Some(SourceLine { text: text.trim(), place })
}

/// Whether the line is one of the figures that the verifier puts after the reason.
fn is_statistics(line: &str) -> bool {
    (line.starts_with("processed ") && line.contains(" insns "))
        || line.starts_with("verification time ")
        || line.starts_with("stack depth ")
        || line.starts_with("max_states_per_insn ")
        || line.starts_with("mark_precise: ")
}

impl fmt::Display for VerifierLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((reason, others)) = self.summary() else {
            return f.write_str("the verifier gave no reason");
        };
        match self.source() {
            Some(SourceLine { text, place: Some((file, line)) }) => write!(f, "{file}:{line}: `{text}`: {reason}")?,
            Some(SourceLine { text, place: None }) => write!(f, "`{text}`: {reason}")?,
            None => f.write_str(reason)?,
        }
        if !self.note.is_empty() {
            write!(f, "; {}", self.note)?;
        }
        match others {
            0 => Ok(()),
            1 => f.write_str(" (1 line of the verifier's log omitted)"),
            n => write!(f, " ({n} lines of the verifier's log omitted)"),
        }
    }
}

/// The summary too: a log may have a hundred thousand lines, which no panic message should print.
impl fmt::Debug for VerifierLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierLog({:?})", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(text: &str) -> String {
        VerifierLog::new(text.as_bytes(), false).to_string()
    }

    #[test]
    fn reason_is_found_above_the_figures() {
        let log = "0: R1=ctx() R10=fp0\n0: (79) r0 = *(u64 *)(r1 +400)\ninvalid bpf_context access off=400 size=8\n\
                   processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n";
        assert_eq!(summary(log), "invalid bpf_context access off=400 size=8 (3 lines of the verifier's log omitted)");
        assert_eq!(summary("last insn is not an exit or jmp\n"), "last insn is not an exit or jmp");
    }

    #[test]
    fn reasons_come_with_their_source_line() {
        let log = "0: R1=ctx() R10=fp0\n; if (!p) @ prog.c:12\n0: (b7) r1 = 0\n; return *p; @ prog.c:13\n\
                   1: (79) r0 = *(u64 *)(r1 +0)\nR1 invalid mem access 'scalar'\nprocessed 2 insns (limit 1) x\n";
        assert_eq!(
            summary(log),
            "prog.c:13: `return *p;`: R1 invalid mem access 'scalar' (6 lines of the verifier's log omitted)"
        );
        let log = VerifierLog::new(log.as_bytes(), false);
        let relevant = ["; return *p; @ prog.c:13", "1: (79) r0 = *(u64 *)(r1 +0)", "R1 invalid mem access 'scalar'"];
        assert_eq!(log.relevant(9), relevant);
        assert_eq!(log.relevant(1), relevant[2..]);
        let old = VerifierLog::new(b"; x @ y\n0: (95) exit\nR0 !read_ok\n", false);
        assert_eq!(old.source(), Some(SourceLine { text: "x @ y", place: None }));
        assert_eq!(VerifierLog::new(b"R0 !read_ok\n", false).source(), None);
    }

    #[test]
    fn odd_logs() {
        assert_eq!(summary(""), "the verifier gave no reason");
        assert_eq!(summary("\n \n"), "the verifier gave no reason");
        assert!(VerifierLog::new(b"\n", false).is_empty());
        // Figures alone are better than nothing.
        assert_eq!(summary("processed 1 insns x"), "processed 1 insns x");
        assert_eq!(VerifierLog::new(b"a\0b", true).text(), "a");
        assert_eq!(VerifierLog::new(&[0xff, b'x'], false).text(), "\u{fffd}x");
    }
}
