//! The figures that are kept in `data/corpus.txt`, and what is worse than they are.

use std::fmt;
use std::path::{Path, PathBuf};

/// How often verdicts agree.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Figures {
    /// The same verdict.
    pub same: usize,
    /// Refused by us only.
    pub refused_wrongly: usize,
    /// Not decided by us.
    pub undecided: usize,
    /// Our verifier panics.
    pub broken: usize,
    /// `FILE PROGRAM` of those that only the kernel refuses.
    pub accepted_wrongly: Vec<String>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong = self.refused_wrongly + self.accepted_wrongly.len();
        let decided = self.same + wrong;
        let all = decided + self.undecided + self.broken;
        write!(
            f,
            "{all} programs, {decided} decided ({:.1} %), {} of these with the same verdict ({:.1} %), {} refused wrongly, \
             {} accepted wrongly",
            percent(decided, all),
            self.same,
            percent(self.same, decided),
            self.refused_wrongly,
            self.accepted_wrongly.len()
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn percent(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/corpus.txt")
}

impl Figures {
    /// The figures of a set of programs as they are kept.
    pub fn read(set: &str) -> Self {
        let text = std::fs::read_to_string(path()).unwrap();
        let mut figures = Self::default();
        for line in text.lines() {
            let Some(line) = line.strip_prefix(set).and_then(|line| line.strip_prefix(": ")) else { continue };
            let (word, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?} in data/corpus.txt"));
            match word {
                "same" => figures.same = rest.parse().unwrap(),
                "refused-wrongly" => figures.refused_wrongly = rest.parse().unwrap(),
                "undecided" => figures.undecided = rest.parse().unwrap(),
                "accepted-wrongly" => figures.accepted_wrongly.push(rest.to_owned()),
                _ => panic!("{line:?} in data/corpus.txt"),
            }
        }
        assert!(figures.same > 0, "data/corpus.txt has no figures for {set}");
        figures
    }

    /// Keeps new figures of a set in place of those that were kept.
    pub fn write(set: &str, new: &Self) {
        let old = std::fs::read_to_string(path()).unwrap_or_default();
        let mut lines: Vec<String> =
            old.lines().filter(|line| !line.starts_with(&format!("{set}: "))).map(str::to_owned).collect();
        lines.push(format!("{set}: same {}", new.same));
        lines.push(format!("{set}: refused-wrongly {}", new.refused_wrongly));
        lines.push(format!("{set}: undecided {}", new.undecided));
        lines.extend(new.accepted_wrongly.iter().map(|program| format!("{set}: accepted-wrongly {program}")));
        std::fs::write(path(), lines.join("\n") + "\n").unwrap();
    }

    /// What is worse in `found`, in sentences.
    pub fn compare(&self, found: &Self) -> Vec<String> {
        let mut worse = Vec::new();
        if found.same < self.same {
            worse.push(format!("{} verdicts are the same; there were {}", found.same, self.same));
        }
        if found.refused_wrongly > self.refused_wrongly {
            worse.push(format!(
                "{} programs are refused wrongly; there were {}",
                found.refused_wrongly, self.refused_wrongly
            ));
        }
        if found.undecided > self.undecided {
            worse.push(format!("{} programs are undecided; there were {}", found.undecided, self.undecided));
        }
        let new = found.accepted_wrongly.iter().filter(|program| !self.accepted_wrongly.contains(program));
        worse.extend(new.map(|program| format!("{program} is accepted, and the kernel refuses it")));
        if found.broken > 0 {
            worse.push(format!("the verifier panics on {} programs", found.broken));
        }
        worse
    }
}
