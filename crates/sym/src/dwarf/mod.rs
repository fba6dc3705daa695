//! Debug information (DWARF 2 to 5): functions with their parameters, types, lines.
//!
//! ```text
//!  Binary --DebugInfo::open--> file itself, its debug file, the supplement that both share
//!    address --function--> parameters with types and places (convention)
//!    name    --find------> type --kind, composite--> members      (types)
//!    file:line --line----> addresses                              (lines)
//! ```
//!
//! Units are read when something in them is asked for. Not here: unwinding (`crate::unwind`), values of variables inside of functions, and
//! debug information in files of its own for each unit (`.dwo`).

mod convention;
mod lines;
mod names;
mod types;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gimli::{AttributeValue, DebuggingInformationEntry, Dwarf, EndianArcSlice, RunTimeEndian, Unit, UnitHeader};

pub use convention::Home;
pub use types::{DebugComposite, DebugMember, DebugType};

use crate::binary::{Binary, Machine};
use crate::contents;
use crate::debug_files::DebugDirs;
use crate::error::SymError;

type Slice = EndianArcSlice<RunTimeEndian>;
type Entry = DebuggingInformationEntry<Slice>;

/// Units that were read, by part and number.
type Units = HashMap<(usize, usize), Arc<Unit<Slice>>>;

/// References from entry to entry that are followed: a chain of that length is malformed.
const MOST_STEPS: usize = 64;

/// An entry of the debug information, such as a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId {
    /// 0 for the file, 1 for its supplement.
    part: usize,
    unit: usize,
    offset: usize,
}

/// A function with what its source says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugFunction {
    /// Its name in the source.
    pub name: String,
    /// Its parameters in order.
    pub params: Vec<DebugParameter>,
    /// The type of its result; `None` if it has none.
    pub result: Option<EntryId>,
    /// Where the result is when it returns.
    pub result_home: Home,
}

/// A parameter of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugParameter {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its type.
    pub ty: Option<EntryId>,
    /// Where it is at the start of the function.
    pub home: Home,
}

/// A file with debug information.
struct Part {
    dwarf: Dwarf<Slice>,
    /// Those of `.debug_info` first, in the order of their offsets.
    headers: Vec<UnitHeader<Slice>>,
    /// How many of them are in `.debug_info`.
    count: usize,
}

/// The debug information of a binary.
pub struct DebugInfo {
    binary: PathBuf,
    path: PathBuf,
    machine: Machine,
    parts: Vec<Part>,
    units: RefCell<Units>,
    /// First address, address behind the last, and the unit.
    ranges: OnceCell<Vec<(u64, u64, usize)>>,
    names: OnceCell<names::Names>,
    signatures: OnceCell<HashMap<u64, EntryId>>,
}

impl fmt::Debug for DebugInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugInfo").field("path", &self.path).finish_non_exhaustive()
    }
}

impl DebugInfo {
    /// The debug information of a binary, from the file itself or from its debug file.
    ///
    /// # Errors
    /// [`SymError::Missing`] if there is none, with what would help; the errors of reading files.
    pub fn open(binary: &Binary, directories: &DebugDirs) -> Result<Self, SymError> {
        let mut sections = Sections::read(binary.path())?;
        if sections.get(".debug_info").is_empty() {
            let found = directories.find(binary).map(|path| Sections::read(&path)).transpose()?;
            sections = found.filter(|found| !found.get(".debug_info").is_empty()).ok_or_else(|| missing(binary))?;
        }
        let supplement = sections.supplement(directories);
        Self::load(binary, &sections, supplement.as_ref())
    }

    /// These sections as those of a binary, for tests of what malformed ones do.
    pub(crate) fn of_sections(binary: &Binary, bytes: HashMap<&'static str, Arc<[u8]>>) -> Result<Self, SymError> {
        let path = binary.path().to_owned();
        Self::load(binary, &Sections { path, bytes, endian: RunTimeEndian::Little, shared: None }, None)
    }

    fn load(binary: &Binary, sections: &Sections, supplement: Option<&Sections>) -> Result<Self, SymError> {
        let wrong = |error: gimli::Error| SymError::Format {
            path: sections.path.display().to_string(),
            reason: format!("its debug information: {error}"),
        };
        let mut parts = vec![sections.part(supplement).map_err(wrong)?];
        if let Some(supplement) = supplement {
            parts.push(supplement.part(None).map_err(wrong)?);
        }
        Ok(Self {
            binary: binary.path().to_owned(),
            path: sections.path.clone(),
            machine: binary.machine(),
            parts,
            units: RefCell::default(),
            ranges: OnceCell::new(),
            names: OnceCell::new(),
            signatures: OnceCell::new(),
        })
    }

    /// The file that it was found in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The function that begins at an address of the file.
    ///
    /// # Errors
    /// [`SymError::Missing`] if there is no debug information about it.
    pub fn function(&self, address: u64) -> Result<DebugFunction, SymError> {
        let found = self.unit_at(address).and_then(|unit| self.subprogram(unit, address));
        let id = found.ok_or_else(|| SymError::Missing {
            what: "description of a function at",
            name: format!("{address:#x}"),
            place: format!("the debug information of `{}`", self.binary.display()),
            remedy: "the file that it comes from was compiled without -g".to_owned(),
        })?;
        let declared = |id| self.children(id, gimli::DW_TAG_formal_parameter);
        let mut params = declared(id);
        if params.is_empty()
            && let Some(origin) = self.reference(id, gimli::DW_AT_abstract_origin)
        {
            params = declared(origin);
        }
        let types: Vec<Option<EntryId>> = params.iter().map(|param| self.type_of(*param)).collect();
        let result = self.type_of(id);
        let (homes, result_home) = self.homes(&types, result);
        let params = params.iter().zip(types).zip(homes).map(|((param, ty), home)| DebugParameter {
            name: self.name(*param).unwrap_or_default(),
            ty,
            home,
        });
        Ok(DebugFunction { name: self.name(id).unwrap_or_default(), params: params.collect(), result, result_home })
    }

    /// The unit whose code an address belongs to.
    fn unit_at(&self, address: u64) -> Option<usize> {
        let ranges = self.ranges.get_or_init(|| {
            let mut all = Vec::new();
            for number in 0..self.parts[0].count {
                let Some(unit) = self.unit(0, number) else { continue };
                let Ok(mut ranges) = self.parts[0].dwarf.unit_ranges(&unit) else { continue };
                while let Ok(Some(range)) = ranges.next() {
                    all.push((range.begin, range.end, number));
                }
            }
            all.sort_unstable();
            all
        });
        let end = ranges.partition_point(|range| range.0 <= address);
        // Ranges of units do not overlap, except in files that are malformed.
        ranges[..end].iter().rev().take(16).find(|range| address < range.1).map(|range| range.2)
    }

    /// The entry of the function that begins at an address.
    fn subprogram(&self, number: usize, address: u64) -> Option<EntryId> {
        let unit = self.unit(0, number)?;
        let mut entries = unit.entries();
        while let Ok(Some(entry)) = entries.next_dfs() {
            if entry.tag() != gimli::DW_TAG_subprogram {
                continue;
            }
            if self.starts(&unit, entry) == Some(address) {
                return Some(EntryId { part: 0, unit: number, offset: entry.offset().0 });
            }
        }
        None
    }

    /// The first address of a function.
    fn starts(&self, unit: &Unit<Slice>, entry: &Entry) -> Option<u64> {
        let dwarf = &self.parts[0].dwarf;
        match entry.attr_value(gimli::DW_AT_low_pc) {
            Some(value) => dwarf.attr_address(unit, value).ok()?,
            // The first range is that of the entry; the others are parts that were moved away.
            None => dwarf.die_ranges(unit, entry).ok()?.next().ok()?.map(|range| range.begin),
        }
    }

    fn unit(&self, part: usize, number: usize) -> Option<Arc<Unit<Slice>>> {
        if let Some(known) = self.units.borrow().get(&(part, number)) {
            return Some(known.clone());
        }
        let from = self.parts.get(part)?;
        let unit = Arc::new(from.dwarf.unit(from.headers.get(number)?.clone()).ok()?);
        self.units.borrow_mut().insert((part, number), unit.clone());
        Some(unit)
    }

    fn entry(&self, id: EntryId) -> Option<(Arc<Unit<Slice>>, Entry)> {
        let unit = self.unit(id.part, id.unit)?;
        let entry = unit.entry(gimli::UnitOffset(id.offset)).ok()?;
        Some((unit, entry))
    }

    /// The children of an entry with a tag.
    fn children(&self, id: EntryId, tag: gimli::DwTag) -> Vec<EntryId> {
        let mut found = Vec::new();
        self.each_child(id, |child, entry| {
            if entry.tag() == tag {
                found.push(child);
            }
        });
        found
    }

    fn each_child(&self, id: EntryId, mut see: impl FnMut(EntryId, &Entry)) {
        let Some(unit) = self.unit(id.part, id.unit) else { return };
        let Ok(mut entries) = unit.entries_at_offset(gimli::UnitOffset(id.offset)) else { return };
        let Ok(Some(first)) = entries.next_dfs() else { return };
        let depth = first.depth();
        while let Ok(Some(entry)) = entries.next_dfs() {
            if entry.depth() <= depth {
                break;
            }
            if entry.depth() == depth + 1 {
                see(EntryId { offset: entry.offset().0, ..id }, entry);
            }
        }
    }

    /// An attribute of an entry, or of the one that it completes.
    fn attribute(&self, mut id: EntryId, name: gimli::DwAt) -> Option<(EntryId, AttributeValue<Slice>)> {
        for _ in 0..MOST_STEPS {
            let (_, entry) = self.entry(id)?;
            if let Some(value) = entry.attr_value(name) {
                return Some((id, value));
            }
            let origin = entry
                .attr_value(gimli::DW_AT_abstract_origin)
                .or_else(|| entry.attr_value(gimli::DW_AT_specification))?;
            id = self.target(id, &origin)?;
        }
        None
    }

    fn number(&self, id: EntryId, name: gimli::DwAt) -> Option<u64> {
        self.attribute(id, name)?.1.udata_value()
    }

    fn name(&self, id: EntryId) -> Option<String> {
        let (id, value) = self.attribute(id, gimli::DW_AT_name)?;
        let unit = self.unit(id.part, id.unit)?;
        self.text(id.part, &unit, value)
    }

    fn text(&self, part: usize, unit: &Unit<Slice>, value: AttributeValue<Slice>) -> Option<String> {
        use gimli::Reader as _;
        let text = self.parts.get(part)?.dwarf.attr_string(unit, value).ok()?;
        Some(text.to_string_lossy().ok()?.into_owned())
    }

    /// The entry that an attribute refers to.
    fn reference(&self, id: EntryId, name: gimli::DwAt) -> Option<EntryId> {
        let (id, value) = self.attribute(id, name)?;
        self.target(id, &value)
    }

    fn type_of(&self, id: EntryId) -> Option<EntryId> {
        self.reference(id, gimli::DW_AT_type)
    }

    fn target(&self, from: EntryId, value: &AttributeValue<Slice>) -> Option<EntryId> {
        match value {
            AttributeValue::UnitRef(offset) => Some(EntryId { offset: offset.0, ..from }),
            AttributeValue::DebugInfoRef(offset) => self.located(from.part, offset.0),
            AttributeValue::DebugInfoRefSup(offset) => self.located(1, offset.0),
            AttributeValue::DebugTypesRef(signature) => self.signed(signature.0),
            _ => None,
        }
    }

    /// The entry at an offset of `.debug_info`.
    fn located(&self, part: usize, offset: usize) -> Option<EntryId> {
        let from = self.parts.get(part)?;
        let start = |header: &UnitHeader<Slice>| header.debug_info_offset().map_or(usize::MAX, |offset| offset.0);
        let number = from.headers[..from.count].partition_point(|header| start(header) <= offset).checked_sub(1)?;
        Some(EntryId { part, unit: number, offset: offset - start(&from.headers[number]) })
    }

    /// The type with a signature, which has a unit of its own.
    fn signed(&self, signature: u64) -> Option<EntryId> {
        let all = self.signatures.get_or_init(|| {
            let headers = self.parts[0].headers.iter().enumerate();
            let own = headers.filter_map(|(unit, header)| match header.type_() {
                gimli::UnitType::Type { type_signature, type_offset } => {
                    Some((type_signature.0, EntryId { part: 0, unit, offset: type_offset.0 }))
                }
                _ => None,
            });
            own.collect()
        });
        all.get(&signature).copied()
    }
}

fn missing(binary: &Binary) -> SymError {
    SymError::Missing {
        what: "debug information about",
        name: binary.path().display().to_string(),
        place: "the file and the directories of debug files".to_owned(),
        remedy: "compile it with -g, or install its debug symbols (`--debuginfo DIR` says where they are)".to_owned(),
    }
}

/// The sections of a file.
struct Sections {
    path: PathBuf,
    bytes: HashMap<&'static str, Arc<[u8]>>,
    endian: RunTimeEndian,
    /// `.gnu_debugaltlink`: the path of the supplement, as the file has it.
    shared: Option<String>,
}

impl Sections {
    fn read(path: &Path) -> Result<Self, SymError> {
        let whole = std::fs::read(path).map_err(|error| SymError::file(path, &error))?;
        let mut bytes = HashMap::new();
        for id in IDS {
            bytes.insert(id.name(), contents::section(path, &whole, id.name())?.into());
        }
        let link = contents::section(path, &whole, ".gnu_debugaltlink")?;
        let shared = link.split(|byte| *byte == 0).next().filter(|name| !name.is_empty());
        let shared = shared.map(|name| String::from_utf8_lossy(name).into_owned());
        let big = whole.get(5) == Some(&2);
        let endian = if big { RunTimeEndian::Big } else { RunTimeEndian::Little };
        Ok(Self { path: path.to_owned(), bytes, endian, shared })
    }

    fn get(&self, name: &str) -> Arc<[u8]> {
        self.bytes.get(name).cloned().unwrap_or_else(|| Arc::from([]))
    }

    /// What several debug files share (`dwz` moves it there); without it, what refers to it is not known.
    fn supplement(&self, directories: &DebugDirs) -> Option<Self> {
        let name = Path::new(self.shared.as_ref()?);
        let beside = self.path.parent().unwrap_or(Path::new("")).join(name);
        let file = name.file_name()?;
        let far = directories.directories().iter().flat_map(|dir| [dir.join(".dwz").join(file), dir.join(file)]);
        let found = [beside].into_iter().chain(far).find(|path| path.is_file())?;
        Self::read(&found).ok()
    }

    fn part(&self, supplement: Option<&Self>) -> gimli::Result<Part> {
        let section = |id: gimli::SectionId| -> gimli::Result<Slice> {
            Ok(EndianArcSlice::new(self.get(id.name()), self.endian))
        };
        let mut dwarf = Dwarf::load(section)?;
        if let Some(supplement) = supplement {
            dwarf.load_sup(|id| -> gimli::Result<Slice> {
                Ok(EndianArcSlice::new(supplement.get(id.name()), supplement.endian))
            })?;
        }
        let mut headers = Vec::new();
        let mut units = dwarf.units();
        // What follows a header that is malformed is lost.
        while let Ok(Some(header)) = units.next() {
            headers.push(header);
        }
        let count = headers.len();
        let mut units = dwarf.type_units();
        while let Ok(Some(header)) = units.next() {
            headers.push(header);
        }
        Ok(Part { dwarf, headers, count })
    }
}

/// The sections that are read.
const IDS: [gimli::SectionId; 12] = [
    gimli::SectionId::DebugAbbrev,
    gimli::SectionId::DebugAddr,
    gimli::SectionId::DebugInfo,
    gimli::SectionId::DebugLine,
    gimli::SectionId::DebugLineStr,
    gimli::SectionId::DebugStr,
    gimli::SectionId::DebugStrOffsets,
    gimli::SectionId::DebugTypes,
    gimli::SectionId::DebugLoc,
    gimli::SectionId::DebugLocLists,
    gimli::SectionId::DebugRanges,
    gimli::SectionId::DebugRngLists,
];
