//! Types as declarations in C, the text that `bpftool btf dump ... format c` prints.
//!
//! A declaration comes after what it needs. `order` sorts what has to be complete, `emit` walks the result and puts
//! forward declarations where pointers lead to something later, `declare` writes one declaration, `layout` decides on
//! padding and packing.

mod declare;
mod emit;
mod layout;
mod order;

use std::collections::HashMap;

use crate::blob::Btf;
use crate::error::{BtfError, Problem};
use crate::kind::{Kind, TypeId};
use layout::Layouts;

/// Most types inside each other, and most types that wait for each other.
const DEPTH: usize = 256;

/// Steps and bytes of output for each byte of the blob. The kernel's own types need less than two.
const FUEL: u64 = 64;

/// Prints types as declarations in C.
///
/// Each declaration is printed once, so that the text of several calls of [`add`](Self::add) is one header. Names that
/// several types share get endings (`___2`), as C wants every name once.
///
/// ```
/// # let mut blob = vec![0x9f, 0xeb, 1, 0];
/// # for word in [24, 0, 40, 40, 9, 1, 1 << 24, 4, 1 << 24 | 32, 5, 4 << 24 | 1, 4, 7, 1, 0] {
/// #     blob.extend_from_slice(&u32::to_le_bytes(word));
/// # }
/// # blob.extend_from_slice(b"\0int\0p\0x\0");
/// use skep_btf::{Btf, CPrinter};
///
/// let btf = Btf::parse(blob)?;
/// let mut printer = CPrinter::new(&btf);
/// printer.add_all()?;
/// assert_eq!(printer.text(), "struct p {\n\tint x;\n};\n\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CPrinter<'a> {
    btf: &'a Btf,
    out: String,
    states: Vec<State>,
    /// How often names of structures, unions and enumerations, and all other names, have been given away.
    tags: HashMap<&'a str, u32>,
    identifiers: HashMap<&'a str, u32>,
    layouts: Layouts<'a>,
    queue: Vec<TypeId>,
    depth: usize,
    fuel: u64,
    /// Whether members get comments with their places.
    places: bool,
    /// Where what is being printed starts in the outermost declaration, in bits.
    start: u64,
}

/// What is known about a type.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    ordered: Progress,
    emitted: Progress,
    /// Whether a forward declaration was printed.
    declared: bool,
    /// Whether any type refers to it.
    referenced: bool,
    /// How manieth of its name it is; 0 if it has not been asked for.
    number: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    No,
    Busy,
    Done,
}

impl<'a> CPrinter<'a> {
    /// Prepares for printing types of a blob and of its bases.
    pub fn new(btf: &'a Btf) -> Self {
        let mut states = vec![State::default(); btf.next_id().0 as usize];
        if let Some(void) = states.first_mut() {
            *void = State { ordered: Progress::Done, emitted: Progress::Done, ..State::default() };
        }
        let targets = btf.all_ids().flat_map(|id| targets(btf, id));
        for target in targets {
            if let Some(state) = states.get_mut(target.0 as usize) {
                state.referenced = true;
            }
        }
        let mut bytes = 0;
        let mut blob = Some(btf);
        while let Some(current) = blob {
            bytes += current.bytes().len() as u64;
            blob = current.base().map(|base| &**base);
        }
        Self {
            btf,
            out: String::new(),
            states,
            tags: HashMap::new(),
            identifiers: HashMap::new(),
            layouts: Layouts::new(btf),
            queue: Vec::new(),
            depth: 0,
            fuel: FUEL * bytes + (1 << 16),
            places: false,
            start: 0,
        }
    }

    /// Prints a comment behind every member: where it is, in bytes from the start of the outermost declaration (bit fields with
    /// the bit, after a colon), and its size at the end of the declaration.
    #[must_use]
    pub fn with_places(self) -> Self {
        Self { places: true, ..self }
    }

    /// Prints the declaration of a type without what it needs. Types without a declaration of their own (pointers, functions)
    /// are printed as a listing.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn add_alone(&mut self, id: TypeId) -> Result<(), BtfError> {
        self.depth = 0;
        match self.btf.kind(id)? {
            Kind::Struct(composite) | Kind::Union(composite) => self.put_composite(id, composite, 0)?,
            Kind::Enum(_) | Kind::Enum64(_) => self.put_enum(id, 0)?,
            Kind::Fwd { .. } => self.put_fwd(id)?,
            Kind::Typedef(_) => self.put_typedef(id)?,
            Kind::Func { proto, .. } => {
                let name = self.btf.name(id)?;
                self.put_declaration(proto, name, 0)?;
            }
            Kind::Var { ty, .. } => {
                let name = self.btf.name(id)?;
                self.put_declaration(ty, name, 0)?;
            }
            _ => {
                let text = crate::RawType(self.btf, id).to_string();
                return self.put(["/* ", &text, " */\n\n"]);
            }
        }
        self.put([";\n\n"])
    }

    /// Prints a type and everything that it needs, as far as that was not printed before.
    ///
    /// # Errors
    /// Types or names that do not exist, a type that contains itself, more than 256 types inside each other, output out of
    /// all proportion to the blob ([`Problem::Endless`]). The text is incomplete then.
    pub fn add(&mut self, id: TypeId) -> Result<(), BtfError> {
        self.depth = 0;
        self.queue.clear();
        self.order(id, false)?;
        for id in std::mem::take(&mut self.queue) {
            self.emit(id, TypeId::VOID)?;
        }
        Ok(())
    }

    /// Prints every type of the blob and what they need of its bases.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn add_all(&mut self) -> Result<(), BtfError> {
        self.btf.ids().try_for_each(|id| self.add(id))
    }

    /// What was printed so far.
    pub fn text(&self) -> &str {
        &self.out
    }

    /// The text, framed as a header file that marks every structure as relocatable (`preserve_access_index`), like the
    /// `vmlinux.h` that bpftool makes.
    pub fn into_header(self) -> String {
        let guard = "__VMLINUX_H__";
        let relocatable = "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n#pragma clang attribute";
        let record = "(__attribute__((preserve_access_index)), apply_to = record)";
        format!(
            "#ifndef {guard}\n#define {guard}\n\n{relocatable} push {record}\n#endif\n\n{}{relocatable} pop\n#endif\n\n\
             #endif /* {guard} */\n",
            self.out
        )
    }

    fn state(&mut self, id: TypeId) -> Result<&mut State, BtfError> {
        let missing = BtfError::new(0, Problem::NoSuchType(id.0));
        self.states.get_mut(id.0 as usize).ok_or(missing)
    }

    /// Goes one type deeper; [`leave`](Self::leave) comes back.
    fn enter(&mut self, id: TypeId) -> Result<(), BtfError> {
        self.burn(1)?;
        if self.depth >= DEPTH {
            return Err(BtfError::new(0, Problem::Nested(id.0)));
        }
        self.depth += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Pays for work.
    fn burn(&mut self, amount: usize) -> Result<(), BtfError> {
        let rest = self.fuel.checked_sub(amount as u64);
        self.fuel = rest.ok_or(BtfError::new(0, Problem::Endless))?;
        Ok(())
    }

    /// Prints parts of a line.
    fn put<const N: usize>(&mut self, parts: [&str; N]) -> Result<(), BtfError> {
        for part in parts {
            self.burn(part.len())?;
            self.out.push_str(part);
        }
        Ok(())
    }

    /// Begins a line.
    fn line(&mut self, level: usize) -> Result<(), BtfError> {
        self.put(["\n"])?;
        self.indent(level)
    }

    fn indent(&mut self, level: usize) -> Result<(), BtfError> {
        (0..level).try_for_each(|_| self.put(["\t"]))
    }

    /// The name of a type as it is printed: with an ending if another type of the same sort had it before.
    fn name_of(&mut self, id: TypeId) -> Result<String, BtfError> {
        let btf = self.btf;
        let name = btf.name(id)?;
        let (identifier, declared_only) = match btf.kind(id)? {
            Kind::Typedef(_) => (true, false),
            Kind::Fwd { .. } => (false, true),
            Kind::Enum(values) | Kind::Enum64(values) => (false, values.values().len() == 0),
            _ => (false, false),
        };
        if name.is_empty() || declared_only {
            return Ok(name.to_owned());
        }
        let number = match self.state(id)?.number {
            0 => {
                let names = if identifier { &mut self.identifiers } else { &mut self.tags };
                let number = count(names, name);
                self.state(id)?.number = number;
                number
            }
            number => number,
        };
        Ok(numbered(name, number))
    }

    /// The name of a constant, with an ending if another one or a typedef had it before.
    fn constant_name(&mut self, name: &'a str) -> String {
        let number = count(&mut self.identifiers, name);
        numbered(name, number)
    }
}

/// Counts a name.
fn count<'a>(names: &mut HashMap<&'a str, u32>, name: &'a str) -> u32 {
    let number = names.entry(name).or_insert(0);
    *number = number.saturating_add(1);
    *number
}

fn numbered(name: &str, number: u32) -> String {
    if number > 1 { format!("{name}___{number}") } else { name.to_owned() }
}

/// The types that a type refers to.
pub(crate) fn targets(btf: &Btf, id: TypeId) -> Vec<TypeId> {
    let Ok(info) = btf.info(id) else { return Vec::new() };
    let mut places = crate::number::type_places(info);
    let mut next = places.next();
    if next.is_none() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (at, word) in btf.record(id).into_iter().flatten().enumerate() {
        if next == Some(at) {
            found.push(TypeId(word));
            next = places.next();
        }
    }
    found
}
