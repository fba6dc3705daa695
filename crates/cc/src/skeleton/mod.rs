//! A module of Rust for an object: its bytes, types for what its maps and variables hold, and functions that load, attach,
//! read and write. What it stands on is the public interface of `skep-kernel` and `skep-object`.
//!
//! The text that is the same for all objects is in `runtime.rs.txt`; types are written by `types`.

mod types;

use std::fmt::Write as _;

use skep_btf::{Btf, BtfError};
use skep_isa::MapType;
use skep_object::{Object, Purpose};

use types::{TypeWriter, field_name};

/// What begins every module.
const HEAD: &str = "#![allow(dead_code, clippy::all)]

use skep_kernel::attach::{AttachOptions, Attachments, attach_all};
use skep_kernel::{KernelError, LoadError, LoadOptions, Loaded, LoadedMap, LoadedProgram, Update, load_with};
use skep_object::Object;

";

/// The module for an object, whose bytes `elf` are. `source` is what it was compiled from, for the comment at the start.
///
/// # Errors
/// Types of the object that cannot be read.
pub fn rust(object: &Object, elf: &[u8], source: &str) -> Result<String, BtfError> {
    let btf = Btf::parse(object.btf.clone())?;
    let mut types = TypeWriter::new(&btf);
    let maps = maps(object, &mut types)?;
    let [initial, variables] = variables(object, &mut types)?;
    let mut out = format!("//! Loads the programs of `{source}`. Written by `skep build --skeleton rust`.\n");
    out.push_str(HEAD);
    out.push_str(include_str!("runtime.rs.txt"));
    out.push_str(types.text());
    let _ = write!(out, "\nimpl Open {{\n{initial}}}\n\nimpl Skeleton {{\n{maps}{variables}");
    for program in &object.programs {
        let (name, section) = (&program.name, &program.section);
        let _ = write!(
            out,
            "    /// The program `{name}` (`{section}`), if it was loaded.\n    pub fn prog_{}(&self) -> Option<&LoadedProgram> \
             {{\n        self.loaded.program({name:?})\n    }}\n",
            field_name(name, "")
        );
    }
    let _ = write!(out, "}}\n\n/// The object.\nstatic OBJECT: &[u8] = b\"{}\";\n", elf.escape_ascii());
    Ok(out)
}

/// A function for each map that the author defined.
fn maps(object: &Object, types: &mut TypeWriter<'_>) -> Result<String, BtfError> {
    let mut out = String::new();
    for (at, map) in object.maps.iter().enumerate().filter(|(_, map)| map.is_defined()) {
        let name = field_name(&map.name, "");
        let per_cpu = matches!(
            map.map_type,
            MapType::PercpuArray | MapType::PercpuHash | MapType::LruPercpuHash | MapType::PercpuCgroupStorage
        );
        let _ = writeln!(out, "    /// The map `{}` ({}).", map.name, map.map_type);
        match (map.key_type, map.value_type) {
            (Some(key), Some(value)) if !per_cpu => {
                let (key, value) = (types.named(key)?, types.named(value)?);
                let _ = write!(
                    out,
                    "    pub fn map_{name}(&self) -> TypedMap<'_, {key}, {value}> {{\n        TypedMap {{ map: \
                     &self.loaded.maps[{at}], types: std::marker::PhantomData }}\n    }}\n"
                );
            }
            (key, value) => {
                // What such maps hold is written down for those who read them by themselves.
                for ty in [key, value].into_iter().flatten() {
                    types.named(ty)?;
                }
                let _ = write!(
                    out,
                    "    pub fn map_{name}(&self) -> &LoadedMap {{\n        &self.loaded.maps[{at}]\n    }}\n"
                );
            }
        }
    }
    Ok(out)
}

/// Functions for the variables: those that set them before loading, and those that read and write them behind it.
fn variables(object: &Object, types: &mut TypeWriter<'_>) -> Result<[String; 2], BtfError> {
    let (mut before, mut behind) = (String::new(), String::new());
    for (at, map) in object.maps.iter().enumerate() {
        let Purpose::Variables(variables) = &map.purpose else { continue };
        for variable in variables {
            let Some(ty) = variable.ty else { continue };
            let (ty, name, offset) = (types.named(ty)?, field_name(&variable.name, ""), variable.offset);
            let shown = &variable.name;
            let _ = write!(
                before,
                "    /// Sets what `{shown}` is when programs begin to run.\n    pub fn set_{name}(&mut self, value: &{ty}) -> \
                 &mut Self {{\n        self.initial({at}, {offset}, value);\n        self\n    }}\n"
            );
            let _ = write!(
                behind,
                "    /// What `{shown}` is now.\n    pub fn get_{name}(&self) -> Result<{ty}, KernelError> {{\n        \
                 self.variable({at}, {offset})\n    }}\n"
            );
            if !map.frozen {
                let _ = write!(
                    behind,
                    "    /// Sets `{shown}`; the variables of its section are written together.\n    pub fn \
                     set_{name}(&self, value: &{ty}) -> Result<(), KernelError> {{\n        \
                     self.set_variable({at}, {offset}, value)\n    }}\n"
                );
            }
        }
    }
    Ok([before, behind])
}
