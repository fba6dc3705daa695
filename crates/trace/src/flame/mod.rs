//! Flame graphs: maps whose keys hold stack traces, folded to lines of frames with a number, as text or as a picture.
//!
//! ```text
//!  @[comm, ustack, kstack] = count()
//!      |          |
//!      v          v
//!  comm;main;work;read;ksys_read_[k];vfs_read_[k] 42       outermost frame first; frames of the kernel end in `_[k]`
//! ```
//!
//! Other parts of a key stand in front of its frames. What a map holds gives the number: counts, sums and plain numbers as
//! they are, `stats()` by its total, histograms by their counts; what is not above 0 is left out.

mod svg;

use std::collections::BTreeMap;
use std::path::PathBuf;

use skep_lang_script::plan::{Field, Plan, ScriptMap, Shape, StackMode};

use crate::maps::{Aggregate, Key, Snapshot};
use crate::names::StackId;
use crate::value::{Renderer, Value};

/// Behind the name of a frame of the kernel.
const KERNEL: &str = "_[k]";
/// A frame that has no name.
const UNKNOWN: &str = "[unknown]";

/// Where flame graphs are written to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlameFiles {
    /// The picture.
    pub svg: Option<PathBuf>,
    /// The text.
    pub folded: Option<PathBuf>,
}

impl FlameFiles {
    /// Whether anything is asked for.
    pub fn any(&self) -> bool {
        self.svg.is_some() || self.folded.is_some()
    }
}

/// Whether the key of a map holds a stack trace.
pub fn has_stack(map: &ScriptMap) -> bool {
    fn within(shape: &Shape) -> bool {
        let any = |fields: &[Field]| fields.iter().any(|field| within(&field.shape));
        match shape {
            Shape::Stack { mode, .. } => *mode != StackMode::BuildId,
            Shape::Tuple(fields) => any(fields),
            _ => false,
        }
    }
    map.key.iter().any(|field| within(&field.shape))
}

/// Stack traces with their numbers; equal ones are brought together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folded {
    stacks: BTreeMap<Vec<String>, u64>,
}

impl Folded {
    /// Takes in a map, if its key holds stack traces. With several such maps in the plan, the name of each is its outermost
    /// frame.
    pub fn add(&mut self, plan: &Plan, snapshot: &Snapshot<'_>, renderer: &mut Renderer<'_>) {
        if !has_stack(snapshot.map) {
            return;
        }
        let several = plan.maps.iter().filter(|map| has_stack(map)).count() > 1;
        for (key, value) in &snapshot.rows {
            let Some(weight) = weight(value) else { continue };
            let mut frames: Vec<String> = Vec::new();
            if several {
                frames.push(clean(&snapshot.map.name));
            }
            fold(*key, renderer, &mut frames);
            self.push(frames, weight);
        }
    }

    /// Takes in a stack whose frames have names already, the outermost first.
    pub fn push(&mut self, frames: Vec<String>, weight: u64) {
        if !frames.is_empty() && weight > 0 {
            let sum = self.stacks.entry(frames).or_default();
            *sum = sum.saturating_add(weight);
        }
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }

    /// Lines of frames, outermost first and separated by `;`, and a number.
    pub fn text(&self) -> String {
        self.stacks.iter().map(|(frames, weight)| format!("{} {weight}\n", frames.join(";"))).collect()
    }

    /// A picture that can be searched and enlarged in any browser, complete in itself.
    pub fn svg(&self, title: &str) -> String {
        svg::draw(&self.stacks, title)
    }
}

/// The number of an entry.
fn weight(value: &Aggregate<'_>) -> Option<u64> {
    let number = match value {
        Aggregate::Plain(value) => i128::from(match value {
            Value::Signed(number) => u64::try_from(*number).ok()?,
            other => other.number()?,
        }),
        Aggregate::Number(number) | Aggregate::Average(number) => number.get(),
        Aggregate::Stats { total, .. } => total.get(),
        Aggregate::Histogram(counters) => counters.iter().map(|count| i128::from(*count)).sum(),
        Aggregate::Series(_) => return None,
    };
    u64::try_from(number).ok().filter(|number| *number > 0)
}

/// The parts of a key: what is no stack trace, then the frames of the process, then those of the kernel.
fn fold(key: Key<'_>, renderer: &mut Renderer<'_>, frames: &mut Vec<String>) {
    let (mut user, mut kernel) = (Vec::new(), Vec::new());
    for part in key.parts() {
        match part {
            Value::Stack { id, limit, .. } => {
                let into = if id.kernel { &mut kernel } else { &mut user };
                into.extend(names(id, limit, renderer));
            }
            other => {
                let mut text = Vec::new();
                renderer.text(&other, &mut text);
                frames.push(clean(&String::from_utf8_lossy(&text)));
            }
        }
    }
    frames.append(&mut user);
    frames.append(&mut kernel);
}

/// The frames of a stack trace, outermost first.
fn names(id: StackId, limit: u32, renderer: &mut Renderer<'_>) -> Vec<String> {
    let mut addresses = renderer.names.take_frames();
    let symbols = renderer.names.symbols();
    symbols.stack(id, &mut addresses);
    let mut found = Vec::new();
    for &address in addresses.iter().take(limit as usize).rev() {
        let symbol = if id.kernel { symbols.kernel(address) } else { symbols.user(id.pid, address) };
        let name = symbol.map_or_else(|| UNKNOWN.to_owned(), |symbol| clean(symbol.name));
        found.push(if id.kernel { format!("{name}{KERNEL}") } else { name });
    }
    renderer.names.give_frames(addresses);
    found
}

/// Without the letters that have a meaning in folded lines.
fn clean(name: &str) -> String {
    let plain = |letter: char| match letter {
        ';' => ':',
        letter if letter.is_control() => ' ',
        letter => letter,
    };
    name.chars().map(plain).collect()
}

#[cfg(test)]
mod tests;
