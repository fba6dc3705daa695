//! Bodies for fuzzing: every reader of text takes anything.

use crate::condition::Condition;
use crate::header::Header;
use crate::page;
use crate::recording;
use crate::row::Cell;

/// Any text as a head, a condition and a recording: a value or an error, never a panic.
pub fn readers(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(header) = Header::parse(&text) {
        assert!(!page::after_help(&header).is_empty());
    }
    let fields = ["pid", "comm"];
    if let Ok(condition) = Condition::parse(&text, &fields) {
        condition.fits(&[Cell::Number(1), Cell::Text(text.clone().into_owned())]);
        condition.fits(&[Cell::Empty, Cell::Bool(true)]);
    }
    let _ = crate::command::time(&text);
    let columns = crate::catalogue::Catalogue::embedded().tools.first().map(|tool| tool.header.columns.as_slice());
    let _ = recording::read("tcplife", columns.unwrap_or_default(), data, |_| Ok(()));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that the readers know, so that chance gets somewhere.
    const WORDS: &[&str] = &[
        "/*\n",
        " * ",
        "demo: x\n",
        "Question: q\n",
        "Topic: t\n",
        "Columns:\n",
        "Options:\n",
        "Example:\n",
        " */\n",
        "  pid  PID  <7 ms  always  Doc.\n",
        "  -x, --xx V  where pid in $  Doc.\n",
        "pid",
        "comm",
        "==",
        "&&",
        "||",
        "!",
        "(",
        ")",
        "in",
        ",",
        "~",
        "'a'",
        "5ms",
        "0x",
        "\n",
        "{\"skep\": \"rows\", \"version\": 1, \"tool\": \"tcplife\"}\n",
        "{\"pid\": 5}\n",
    ];

    #[test]
    fn any_text() {
        skep_random::random_test(|u| {
            let mut text = Vec::new();
            while !u.is_empty() && text.len() < 2_000 {
                if u.ratio(4, 5)? {
                    text.extend_from_slice(u.choose(WORDS)?.as_bytes());
                } else {
                    text.push(u.arbitrary()?);
                }
            }
            readers(&text);
            Ok(())
        })
        .budget_ms(1_000);
    }
}
