//! Tables of operations: from the layout that a program was compiled with to that of the kernel's structure.
//!
//! For every structure `NAME` of operations that programs can implement, the kernel has a `struct bpf_struct_ops_NAME`: a
//! state, then the structure. That is the value of the map (`kernel/bpf/bpf_struct_ops.c`).

use std::collections::HashMap;
use std::sync::Arc;

use skep_btf::{Btf, BtfError, Composite, Kind, Member, TypeId, essential_name};
use skep_isa::MapType;

use super::symbols::Finder;
use crate::{MapIdx, MapSpec, Object, ObjectError, ProgIdx, Reference};

/// What the kernel puts before the name of a structure.
const PREFIX: &str = "bpf_struct_ops_";

/// A table of operations for a certain kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The map of the object.
    pub map: MapIdx,
    /// The number of the structure among the types of the kernel or the module: what its programs belong to
    /// (`attach_btf_id`).
    pub ty: u32,
    /// The number of the type of the map's value (`btf_vmlinux_value_type_id`).
    pub value_type: u32,
    /// The module that has the types; `None` for the kernel itself.
    pub module: Option<String>,
    /// The value with zeros in place of programs.
    pub value: Vec<u8>,
    /// The programs.
    pub programs: Vec<TableProgram>,
}

/// A program in a table of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableProgram {
    /// The program.
    pub program: ProgIdx,
    /// The position of its member in the kernel's structure from 0: `expected_attach_type` when it is loaded.
    pub member: u32,
    /// Where its descriptor goes in [`Table::value`]: the offset of 8 bytes.
    pub offset: u32,
}

/// Fits all tables of an object.
pub(super) fn fit_all(
    object: &Object,
    local: Option<&Btf>,
    finder: &mut Finder<'_>,
) -> Result<Vec<Table>, ObjectError> {
    let mut tables: Vec<Table> = Vec::new();
    for (index, spec) in object.maps.iter().enumerate().filter(|(_, spec)| spec.map_type == MapType::StructOps) {
        let wrong = |problem| ObjectError::Table { map: spec.name.clone(), problem };
        let types = local.zip(spec.value_type);
        let (local, ty) =
            types.ok_or_else(|| wrong("there are no types that describe it; compile with `-g`".into()))?;
        let map = MapIdx(u32::try_from(index).unwrap_or(u32::MAX));
        let table = fit(map, spec, (local, TypeId(ty)), finder).map_err(wrong)?;
        check_shared(object, &tables, &table).map_err(wrong)?;
        tables.push(table);
    }
    Ok(tables)
}

/// A program is checked for one member of one structure when it is loaded.
fn check_shared(object: &Object, before: &[Table], table: &Table) -> Result<(), String> {
    let all = before.iter().chain([table]).flat_map(|one| one.programs.iter().map(move |program| (one, program)));
    let known: Vec<_> = all.collect();
    for program in &table.programs {
        let same = |(other, there): &(&Table, &TableProgram)| {
            (&other.module, other.ty, there.member) == (&table.module, table.ty, program.member)
        };
        if known.iter().filter(|(_, there)| there.program == program.program).all(same) {
            continue;
        }
        let name = object.programs.get(program.program.index()).map_or("", |program| program.name.as_str());
        return Err(format!("program `{name}` stands in two different members; write one program for each"));
    }
    Ok(())
}

/// The kernel's side of a table.
struct Kernel {
    btf: Arc<Btf>,
    module: Option<String>,
    value_type: TypeId,
    size: u32,
    ty: TypeId,
    /// Where the structure begins in the value, in bytes.
    start: u32,
}

fn fit(map: MapIdx, spec: &MapSpec, local: (&Btf, TypeId), finder: &mut Finder<'_>) -> Result<Table, String> {
    let broken = |error: BtfError| error.to_string();
    let (btf, ty) = local;
    let Kind::Struct(composite) = btf.resolved(ty).map_err(broken)? else {
        return Err("its type is no structure".to_owned());
    };
    let name = essential_name(btf.name(btf.resolve(ty).map_err(broken)?).map_err(broken)?);
    let kernel = Kernel::find(name, finder)?;
    let Kind::Struct(theirs) = kernel.btf.kind(kernel.ty).map_err(broken)? else {
        return Err(format!("the kernel's `{name}` is no structure"));
    };
    let members = members(&kernel.btf, theirs).map_err(broken)?;
    let programs: HashMap<u32, ProgIdx> = spec.references.iter().filter_map(program).collect();
    let empty = Vec::new();
    let bytes = spec.contents.first().map_or(&empty, |(_, bytes)| bytes);
    let mut table = Table {
        map,
        ty: kernel.ty.0,
        value_type: kernel.value_type.0,
        module: kernel.module.clone(),
        value: vec![0; kernel.size as usize],
        programs: Vec::new(),
    };
    for member in composite.members() {
        let label = btf.string(member.name).map_err(broken)?;
        let fitting = Fitting { btf, kernel: &kernel, member, bytes };
        let program = programs.get(&(member.bit_offset / 8)).copied();
        let there = members.get(essential_name(label)).filter(|_| !label.is_empty());
        fitting.put(there, program, &mut table).map_err(|problem| format!("member `{label}` {problem}"))?;
    }
    if table.programs.len() == programs.len() {
        return Ok(table);
    }
    Err("a program is given at an offset where no member is".to_owned())
}

fn program((offset, reference): &(u32, Reference)) -> Option<(u32, ProgIdx)> {
    match reference {
        Reference::Program(program) => Some((*offset, *program)),
        Reference::Map(_) => None,
    }
}

/// The members by name, with their positions.
fn members<'b>(btf: &'b Btf, composite: Composite<'_>) -> Result<HashMap<&'b str, (u32, Member)>, BtfError> {
    (0..).zip(composite.members()).map(|(index, member)| Ok((btf.string(member.name)?, (index, member)))).collect()
}

impl Kernel {
    fn find(name: &str, finder: &mut Finder<'_>) -> Result<Self, String> {
        let wanted = format!("{PREFIX}{name}");
        let is_struct = |kind: &Kind<'_>| matches!(kind, Kind::Struct(_));
        let btf = finder.btf()?;
        let mut found = btf.find_type(&wanted, is_struct).map(|id| (btf, None, id));
        if found.is_none() {
            found = finder.modules().iter().find_map(|module| {
                let id = module.btf.find_type(&wanted, is_struct)?;
                Some((Arc::clone(&module.btf), Some(module.name.clone()), id))
            });
        }
        let (btf, module, value_type) = found.ok_or_else(|| {
            format!(
                "neither the kernel nor its modules have a table of operations `{name}` that programs can implement; \
                 it may be misspelt, of a later release, switched off in the kernel's configuration, or in a module that \
                 is not loaded"
            )
        })?;
        Self::inside(btf, module, value_type, name)
            .map_err(|error| error.to_string())?
            .ok_or_else(|| format!("the kernel's `struct {wanted}` does not hold a `struct {name}`"))
    }

    /// Finds the structure inside of the value.
    fn inside(btf: Arc<Btf>, module: Option<String>, value_type: TypeId, name: &str) -> Result<Option<Self>, BtfError> {
        let Kind::Struct(value) = btf.kind(value_type)? else { return Ok(None) };
        let size = value.size;
        let mut found = None;
        for member in value.members() {
            let ty = btf.resolve(member.ty)?;
            if matches!(btf.kind(ty)?, Kind::Struct(_)) && btf.name(ty)? == name {
                found = Some((ty, member.bit_offset / 8));
            }
        }
        Ok(found.map(|(ty, start)| Self { btf, module, value_type, size, ty, start }))
    }
}

/// A member of the local structure on its way.
struct Fitting<'a> {
    btf: &'a Btf,
    kernel: &'a Kernel,
    member: Member,
    /// The local value.
    bytes: &'a [u8],
}

impl Fitting<'_> {
    /// Puts the member to its place in the kernel's structure.
    fn put(&self, there: Option<&(u32, Member)>, program: Option<ProgIdx>, table: &mut Table) -> Result<(), String> {
        let broken = |error: BtfError| error.to_string();
        let size = self.btf.size_of(self.member.ty).map_err(broken)?;
        let start = (self.member.bit_offset / 8) as usize;
        // What is not given is 0.
        let value = match self.bytes.is_empty() {
            true => &[],
            false => self.bytes.get(start..).and_then(|rest| rest.get(..size as usize)).ok_or("lies outside of it")?,
        };
        let Some((index, theirs)) = there else {
            if program.is_none() && value.iter().all(|byte| *byte == 0) {
                return Ok(());
            }
            return Err("does not exist in the kernel's structure; leave it 0 or out of the structure".to_owned());
        };
        if self.member.bits != 0 || theirs.bits != 0 {
            return Err("is a bit field, which tables of operations cannot have here".to_owned());
        }
        let offset = self.kernel.start.saturating_add(theirs.bit_offset / 8);
        let (ours, kernels) = (self.btf.resolved(self.member.ty), self.kernel.btf.resolved(theirs.ty));
        let (ours, kernels) = (ours.map_err(broken)?, kernels.map_err(broken)?);
        if ours.name() != kernels.name() {
            return Err(format!("is of kind `{}` here and `{}` in the kernel", ours.name(), kernels.name()));
        }
        let (ours, kernels) = match (ours, kernels) {
            (Kind::Ptr(_), Kind::Ptr(target)) => {
                let Some(program) = program else { return Ok(()) };
                if !matches!(self.kernel.btf.resolved(target).map_err(broken)?, Kind::FuncProto(_)) {
                    return Err("is no function in the kernel's structure, so no program can implement it".to_owned());
                }
                table.programs.push(TableProgram { program, member: *index, offset });
                return Ok(());
            }
            _ if program.is_some() => return Err("is no pointer, so no program can implement it".to_owned()),
            _ => (size, self.kernel.btf.size_of(theirs.ty).map_err(broken)?),
        };
        if ours != kernels {
            return Err(format!("has {ours} bytes here and {kernels} in the kernel"));
        }
        let place = table.value.get_mut(offset as usize..).and_then(|rest| rest.get_mut(..value.len()));
        place.ok_or("lies outside of the kernel's structure")?.copy_from_slice(value);
        Ok(())
    }
}
