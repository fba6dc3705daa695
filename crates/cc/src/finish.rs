//! What an object says to loaders beyond code and maps: pinning, entries of maps of maps, settings of the kernel.

use std::collections::HashMap;

use skep_btf::{Btf, BtfBuilder, Kind, Linkage, NewType, SectionVar, TypeId};
use skep_ir::Entity as _;
use skep_isa::MapType;
use skep_lang_c::unit::{MapExtra, Table, Unit};
use skep_object::{
    ConfigForm, Extern, ExternKind, Image, MapFlags, MapIdx, MapSpec, Object, ProgIdx, Purpose, Reference,
};

/// The section of settings.
const CONFIG: &str = ".kconfig";

/// The section of what the kernel has.
const SYMBOLS: &str = ".ksyms";

/// Adds it to an object that was generated from the module of `unit`.
///
/// # Errors
/// A message about what refers to nothing.
pub(crate) fn finish(object: &mut Object, unit: &Unit) -> Result<(), String> {
    for extra in &unit.maps {
        describe(object, extra)?;
    }
    for map in &mut object.maps {
        if let Purpose::Variables(variables) | Purpose::Arena(Image { variables, .. }) = &mut map.purpose {
            // Variables of functions and texts have a dot in their names: they are nobody else's.
            variables.iter_mut().for_each(|variable| variable.global = !variable.name.contains('.'));
        }
    }
    for table in &unit.tables {
        add_table(object, table)?;
    }
    let mut declared = Declared::default();
    settings(object, unit, &mut declared)?;
    for external in &object.externs {
        match external.kind {
            ExternKind::Function { .. } => declared.functions.push(external.name.clone()),
            ExternKind::Variable { ty } => declared.kernel_variables.push((external.name.clone(), TypeId(ty))),
            ExternKind::Address => declared.kernel_variables.push((external.name.clone(), TypeId::VOID)),
            ExternKind::Config { .. } => {}
        }
    }
    declared.variables = variables(object)?;
    declared.write(object).map_err(|error| error.to_string())
}

/// Makes the section of settings what loaders fill, with an extern for each.
fn settings(object: &mut Object, unit: &Unit, declared: &mut Declared) -> Result<(), String> {
    let Some(index) = object.maps.iter().position(|map| map.name == CONFIG) else { return Ok(()) };
    let map = &mut object.maps[index];
    let Purpose::Variables(variables) = std::mem::replace(&mut map.purpose, Purpose::Config) else { return Ok(()) };
    map.frozen = true;
    map.flags = MapFlags::READ_ONLY_FOR_PROGRAMS;
    map.contents.clear();
    let btf = Btf::parse(object.btf.clone()).map_err(|error| error.to_string())?;
    for variable in variables {
        let ty = variable.ty.map(|ty| match btf.kind(TypeId(ty)) {
            Ok(Kind::Var { ty, .. }) => ty,
            _ => TypeId(ty),
        });
        let Some((ty, form)) = ty.and_then(|ty| Some((ty, form(&btf, ty)?))) else {
            return Err(format!(
                "`{}` has a type that no setting of the kernel has: expected bool, enum libbpf_tristate, an integer or \
                 an array of char",
                variable.name
            ));
        };
        let weak = unit.externs.iter().any(|external| external.name == variable.name && external.weak);
        let kind = ExternKind::Config { map: MapIdx(index as u32), offset: variable.offset, form };
        declared.settings.push((variable.name.clone(), ty, variable.offset, form.size()));
        object.externs.push(Extern { name: variable.name, weak, kind });
    }
    Ok(())
}

/// What the types of an object have to say of things that it only declares.
#[derive(Default)]
struct Declared {
    /// Settings: name, type, offset and size.
    settings: Vec<(String, TypeId, u32, u32)>,
    /// Functions of the kernel.
    functions: Vec<String>,
    /// Variables of the kernel with their types.
    kernel_variables: Vec<(String, TypeId)>,
    /// Sections of variables.
    variables: Vec<Section>,
}

/// A section of variables: its map, its size, and the variables that have types.
struct Section {
    map: usize,
    size: u32,
    vars: Vec<SectionVar>,
}

/// The sections of variables that types describe: the kernel looks there for locks, timers and lists.
fn variables(object: &Object) -> Result<Vec<Section>, String> {
    if object.btf.is_empty() {
        return Ok(Vec::new());
    }
    let btf = Btf::parse(object.btf.clone()).map_err(|error| error.to_string())?;
    let mut declared = HashMap::new();
    for id in btf.ids() {
        if matches!(btf.kind(id), Ok(Kind::Var { .. })) {
            declared.insert(btf.name(id).unwrap_or_default().to_owned(), id);
        }
    }
    let mut sections = Vec::new();
    for (map, spec) in object.maps.iter().enumerate() {
        let variables = spec.variables();
        let described = variables.iter().filter_map(|variable| {
            let ty = *declared.get(&variable.name)?;
            Some(SectionVar { ty, offset: variable.offset, size: variable.size })
        });
        let vars: Vec<SectionVar> = described.collect();
        if !vars.is_empty() {
            let size = match &spec.purpose {
                Purpose::Arena(image) => image.bytes.len() as u32,
                _ => spec.value_size,
            };
            sections.push(Section { map, size, vars });
        }
    }
    Ok(sections)
}

impl Declared {
    /// Adds the sections that loaders look these things up in.
    fn write(&self, object: &mut Object) -> Result<(), Box<dyn std::error::Error>> {
        if self.settings.is_empty()
            && self.functions.is_empty()
            && self.variables.is_empty()
            && self.kernel_variables.is_empty()
        {
            return Ok(());
        }
        let old = Btf::parse(object.btf.clone())?;
        let mut builder = BtfBuilder::new();
        builder.append(&old)?;
        let mut vars = Vec::new();
        for (name, ty, offset, size) in &self.settings {
            let var = builder.add(name, NewType::Var { ty: *ty, linkage: Linkage::Extern })?;
            vars.push(SectionVar { ty: var, offset: *offset, size: *size });
        }
        if !vars.is_empty() {
            builder.add(CONFIG, NewType::Datasec { size: 0, vars: &vars })?;
        }
        for section in &self.variables {
            let map = &mut object.maps[section.map];
            let arena = matches!(map.purpose, Purpose::Arena(_));
            let name = if arena { skep_isa::sections::ARENA } else { &map.name };
            let ty = builder.add(name, NewType::Datasec { size: section.size, vars: &section.vars })?;
            map.value_type = if arena { None } else { Some(ty.0) };
        }
        let mut functions = Vec::new();
        for name in &self.functions {
            let found = old.find_function(name);
            let ty = found.ok_or_else(|| format!("the type of `{name}` is not known"))?;
            builder.set_linkage(ty, Linkage::Extern)?;
            functions.push(SectionVar { ty, offset: 0, size: 0 });
        }
        for (name, ty) in &self.kernel_variables {
            let var = builder.add(name, NewType::Var { ty: *ty, linkage: Linkage::Extern })?;
            functions.push(SectionVar { ty: var, offset: 0, size: 0 });
        }
        if !functions.is_empty() {
            builder.add(SYMBOLS, NewType::Datasec { size: 0, vars: &functions })?;
        }
        object.btf = builder.to_bytes();
        Ok(())
    }
}

fn describe(object: &mut Object, extra: &MapExtra) -> Result<(), String> {
    let mut references = Vec::new();
    for (index, name) in &extra.values {
        let map = object.maps.iter().position(|map| map.name == *name).map(|at| Reference::Map(MapIdx(at as u32)));
        let program = || {
            let at = object.programs.iter().position(|program| program.name == *name)?;
            Some(Reference::Program(ProgIdx(at as u32)))
        };
        let found = map.or_else(program).ok_or_else(|| format!("there is no map or program `{name}`"))?;
        references.push((*index, found));
    }
    let Some(map) = object.maps.get_mut(extra.map.index()) else { return Ok(()) };
    map.pinned = extra.pinning != 0;
    map.extra = extra.map_extra;
    map.numa_node = extra.numa_node.unwrap_or(0);
    map.references = references;
    Ok(())
}

/// A table of operations is a map whose value is the table.
fn add_table(object: &mut Object, table: &Table) -> Result<(), String> {
    let size = u32::try_from(table.bytes.len()).unwrap_or(u32::MAX);
    let mut spec = MapSpec::new(&table.name, MapType::StructOps, 4, size, 1);
    spec.contents = vec![(vec![0; 4], table.bytes.clone())];
    spec.flags = if table.section.ends_with(".link") { MapFlags::LINK } else { MapFlags::default() };
    spec.optional = table.section.starts_with('?');
    spec.value_type = Some(table.ty);
    for (offset, name) in &table.programs {
        let found = object.programs.iter().position(|program| program.name == *name);
        let found = found.ok_or_else(|| format!("there is no program `{name}` for the table `{}`", table.name))?;
        spec.references.push((*offset, Reference::Program(ProgIdx(found as u32))));
    }
    object.add_map(spec);
    Ok(())
}

/// What values of a setting look like, from the type of the variable.
fn form(btf: &Btf, ty: TypeId) -> Option<ConfigForm> {
    let resolved = btf.resolve(ty).ok()?;
    match btf.kind(resolved).ok()? {
        Kind::Int(int) if int.bool => Some(ConfigForm::Bool),
        Kind::Int(int) if int.size == 1 => Some(ConfigForm::Char),
        Kind::Int(int) => Some(ConfigForm::Int { size: u8::try_from(int.size).ok()?, signed: int.signed }),
        Kind::Enum(_) | Kind::Enum64(_) => Some(ConfigForm::Tristate),
        Kind::Array(array) => Some(ConfigForm::Text { size: array.len }),
        _ => None,
    }
}
