//! The symbols of this machine, for attaching all programs of an object.

use std::path::PathBuf;

use skep_kernel::KernelError;
use skep_kernel::attach::{Symbols, UsdtArgument, UsdtLocation, UsdtPlace, UserPlace};

use crate::{Argument, Binary, Location, Pattern, Register, resolve, traceable_functions};

/// Looks names up in the files of this machine, and in the kernel's list of functions that can be traced.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemSymbols;

impl Symbols for SystemSymbols {
    fn function(&self, file: &str, function: &str, process: Option<u32>) -> Result<(PathBuf, u64), String> {
        let path = resolve(file, process).map_err(|error| error.to_string())?;
        if function.is_empty() {
            return Ok((path, 0));
        }
        let binary = Binary::open(&path).map_err(|error| error.to_string())?;
        let symbol = binary.function(function).map_err(|error| error.to_string())?;
        let offset = symbol.offset.ok_or_else(|| format!("`{function}` has no place in `{}`", path.display()))?;
        Ok((path, offset))
    }

    fn functions(&self, file: &str, pattern: &str, process: Option<u32>) -> Result<(PathBuf, Vec<u64>), String> {
        let path = resolve(file, process).map_err(|error| error.to_string())?;
        let binary = Binary::open(&path).map_err(|error| error.to_string())?;
        let pattern_of = Pattern::new(pattern);
        let offsets: Vec<u64> = binary.matching(&pattern_of).filter_map(|symbol| symbol.offset).collect();
        if offsets.is_empty() {
            return Err(format!("no function of `{}` matches `{pattern}`", path.display()));
        }
        Ok((path, offsets))
    }

    fn probe(
        &self,
        file: &str,
        provider: &str,
        name: &str,
        process: Option<u32>,
    ) -> Result<(PathBuf, Vec<UsdtPlace>), String> {
        let path = resolve(file, process).map_err(|error| error.to_string())?;
        let binary = Binary::open(&path).map_err(|error| error.to_string())?;
        let probes = binary.probe(Some(provider), name).map_err(|error| error.to_string())?;
        let place = |probe: &&crate::UsdtProbe| {
            let counter = probe.semaphore.unwrap_or(0);
            let arguments = probe.arguments().map_err(|error| error.to_string());
            let arguments = arguments.map(|all| all.iter().map(argument).collect());
            Some(UsdtPlace { place: UserPlace { offset: probe.offset?, counter, cookie: 0 }, arguments })
        };
        let places = probes.iter().filter_map(place).collect();
        Ok((path, places))
    }

    fn kernel_functions(&self, pattern: &str) -> Result<Vec<String>, KernelError> {
        let functions = traceable_functions(&Pattern::new(pattern))?;
        Ok(functions.into_iter().map(|function| function.name).collect())
    }
}

/// An argument as programs of objects find it.
fn argument(argument: &Argument) -> UsdtArgument {
    // Parts of registers begin at their first byte, but for `ah` and the like.
    let place = |register: &Register| register.pt_regs.filter(|_| register.first == 0);
    let location = match &argument.location {
        Location::Constant(value) => Some(UsdtLocation::Constant(*value)),
        Location::Register(register) => place(register).map(UsdtLocation::Register),
        Location::Memory { base, index: None, displacement } => {
            place(base).map(|base| UsdtLocation::Memory { base, index: None, displacement: *displacement })
        }
        Location::Memory { base, index: Some((index, factor)), displacement } => {
            place(base).zip(place(index)).map(|(base, index)| UsdtLocation::Memory {
                base,
                index: Some((index, *factor)),
                displacement: *displacement,
            })
        }
        Location::Symbol { .. } => None,
    };
    let location = location.unwrap_or(UsdtLocation::Unknown);
    UsdtArgument { size: argument.size, signed: argument.signed, location }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_or_explained() {
        let (path, offset) = SystemSymbols.function("c", "malloc", None).unwrap();
        assert!(path.to_string_lossy().contains("libc.so") && offset > 0, "{path:?}");
        let whole = SystemSymbols.function(path.to_str().unwrap(), "", None).unwrap();
        assert_eq!(whole, (path.clone(), 0));
        let (_, several) = SystemSymbols.functions("c", "mall*", None).unwrap();
        assert!(several.contains(&offset), "{several:?}");
        let error = SystemSymbols.functions("c", "no_such_thing_*", None).unwrap_err();
        assert!(error.contains("matches `no_such_thing_*`"), "{error}");
        assert!(SystemSymbols.function("c", "no_such_function", None).is_err());
        assert!(SystemSymbols.probe("c", "nobody", "nothing", None).is_err());
        assert!(SystemSymbols.function("/no/such/file", "", None).is_ok(), "whoever attaches says that it is missing");
    }
}
