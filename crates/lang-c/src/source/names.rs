//! Names as numbers.

use std::collections::HashMap;
use std::rc::Rc;

/// An identifier or another short text, as a number: equal texts have equal numbers within one
/// [`Sources`](super::Sources), which also knows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Sym(pub u32);

/// Gives out numbers for texts.
#[derive(Debug, Default)]
pub(super) struct Names {
    // Texts are chosen by whoever writes the source: the quick hash of the compiler would let them collide.
    numbers: HashMap<Rc<str>, Sym>,
    texts: Vec<Rc<str>>,
}

impl Names {
    /// The number of `text`, a new one if it has none.
    pub(super) fn intern(&mut self, text: &str) -> Sym {
        if let Some(&sym) = self.numbers.get(text) {
            return sym;
        }
        let sym = Sym(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        let text: Rc<str> = text.into();
        self.texts.push(Rc::clone(&text));
        self.numbers.insert(text, sym);
        sym
    }

    /// How many numbers were given out.
    pub(super) fn count(&self) -> usize {
        self.texts.len()
    }

    /// The number of `text` if it has one.
    pub(super) fn find(&self, text: &str) -> Option<Sym> {
        self.numbers.get(text).copied()
    }

    /// The text of a number; empty for one that was not given out here.
    pub(super) fn text(&self, sym: Sym) -> &str {
        self.texts.get(sym.0 as usize).map_or("", |text| text)
    }
}
