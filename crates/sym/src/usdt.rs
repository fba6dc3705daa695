//! USDT probes: places that a program's authors marked with the macros of `sys/sdt.h`.
//!
//! Each place is a note of the owner `stapsdt` and number 3 in the section `.note.stapsdt`:
//!
//! ```text
//!  address of the place | address of `.stapsdt.base` | address of the semaphore or 0 | provider\0 name\0 arguments\0
//! ```
//!
//! Prelinking moves the program but not the notes; the difference between the recorded and the present address of
//! `.stapsdt.base` tells by how much.

use crate::arguments::{Argument, ArgumentError, parse_arguments};
use crate::binary::Machine;
use crate::notes::{Note, Order, notes};

/// One place of a probe; the compiler may have made several of one mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsdtProbe {
    /// Who provides it.
    pub provider: String,
    /// What happens there.
    pub name: String,
    /// The address of the place as the file has it.
    pub address: u64,
    /// Its offset in the file, what uprobes take; `None` if no segment holds the address.
    pub offset: Option<u64>,
    /// The offset in the file of the counter that says whether somebody listens; the kernel raises it on our behalf.
    /// `None`: the probe has none.
    pub semaphore: Option<u64>,
    /// The arguments as they were recorded; [`arguments`](Self::arguments) reads them.
    pub arguments_text: String,
    /// The kind of machine, on which the meaning of arguments depends.
    pub machine: Machine,
}

impl UsdtProbe {
    /// The arguments.
    ///
    /// # Errors
    /// [`ArgumentError`] if one is of a form that is not known.
    pub fn arguments(&self) -> Result<Vec<Argument>, ArgumentError> {
        parse_arguments(&self.arguments_text, self.machine)
    }
}

/// What the notes refer to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    pub(crate) order: Order,
    pub(crate) machine: Machine,
    /// The present address of `.stapsdt.base`.
    pub(crate) base: Option<u64>,
}

/// The probes in the content of `.note.stapsdt`. `place` turns an address into an offset of the file.
pub(crate) fn probes(section: &[u8], context: Context, place: impl Fn(u64) -> Option<u64>) -> Vec<UsdtProbe> {
    notes(section, context.order)
        .filter(|note| note.name == b"stapsdt" && note.kind == 3)
        .filter_map(|note| probe(note, context, &place))
        .collect()
}

fn probe(note: Note<'_>, context: Context, place: impl Fn(u64) -> Option<u64>) -> Option<UsdtProbe> {
    let Context { order, machine, base } = context;
    let recorded = |at: usize| order.address_at(note.content, at * order.address);
    let (address, old_base, semaphore) = (recorded(0)?, recorded(1)?, recorded(2)?);
    let moved = base.filter(|_| old_base != 0).map_or(0, |base| base.wrapping_sub(old_base));
    let mut texts = note.content.get(3 * order.address..)?.split(|&byte| byte == 0);
    let mut text = || texts.next().map(|text| String::from_utf8_lossy(text).into_owned());
    let (provider, name) = (text()?, text()?);
    let arguments_text = text().unwrap_or_default();
    let address = address.wrapping_add(moved);
    let semaphore = (semaphore != 0).then(|| place(semaphore.wrapping_add(moved))).flatten();
    Some(UsdtProbe { provider, name, address, offset: place(address), semaphore, arguments_text, machine })
}
