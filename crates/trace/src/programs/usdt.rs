//! USDT probes: places whose arguments are in the same registers and memory belong together, since one program serves them.

use skep_lang_script::types::user::{UsdtArgument, UsdtLocation, UsdtSite};
use skep_sym::{Argument, Binary, Location, Register, UsdtProbe};

/// The places of a probe, those with the same arguments together; `provider` may be left out.
///
/// # Errors
/// If the binary has no such probe, with those that it has.
pub fn usdt_sites(binary: &Binary, provider: Option<&str>, name: &str) -> Result<Vec<UsdtSite>, String> {
    let probes = binary.probe(provider, name).map_err(|error| error.to_string())?;
    let mut sites: Vec<UsdtSite> = Vec::new();
    for probe in probes {
        // Attaching says so.
        let Some(offset) = probe.offset else { continue };
        let arguments = arguments(binary, probe);
        match sites.iter_mut().find(|site| *site.arguments == *arguments) {
            Some(site) => site.places.push(offset),
            None => sites.push(UsdtSite { places: vec![offset], arguments: arguments.into() }),
        }
    }
    Ok(sites)
}

fn arguments(binary: &Binary, probe: &UsdtProbe) -> Vec<Result<UsdtArgument, String>> {
    match probe.arguments() {
        Ok(list) => list.iter().map(|argument| convert(binary, probe, argument)).collect(),
        Err(error) => {
            // One that cannot be read makes the places of all others doubtful.
            let count = probe.arguments_text.split_whitespace().count();
            vec![Err(error.to_string()); count]
        }
    }
}

fn convert(binary: &Binary, probe: &UsdtProbe, argument: &Argument) -> Result<UsdtArgument, String> {
    if argument.float {
        return Err("it is a floating-point number".to_owned());
    }
    if argument.size > 8 {
        return Err(format!("it has {} bytes, at most 8 can be read", argument.size));
    }
    let place = |register: &Register| {
        let known = register.pt_regs.map(u32::from);
        known.ok_or_else(|| format!("it is in `{}`, which programs for the kernel cannot read", register.name))
    };
    let location = match &argument.location {
        Location::Constant(value) => UsdtLocation::Constant(*value),
        Location::Register(register) => UsdtLocation::Register { context: place(register)?, first: register.first },
        Location::Memory { base, index, displacement } => {
            let index = match index {
                Some((register, factor)) => Some((place(register)?, *factor)),
                None => None,
            };
            UsdtLocation::Memory { base: place(base)?, index, displacement: *displacement }
        }
        Location::Symbol { name, displacement } => {
            // The distance from the probe is the same wherever the file is loaded.
            let symbol = binary.symbols().iter().find(|symbol| symbol.name == *name);
            let symbol = symbol.ok_or_else(|| format!("it is at `{name}`, which is no symbol of the file"))?;
            let program_counter = skep_sym::program_counter(binary.machine())
                .ok_or_else(|| "the registers of this machine are not known".to_owned())?;
            let distance = symbol.address.wrapping_sub(probe.address).cast_signed();
            let displacement = distance.wrapping_add(*displacement);
            UsdtLocation::Memory { base: place(&program_counter)?, index: None, displacement }
        }
    };
    Ok(UsdtArgument { bytes: argument.size, signed: argument.signed, location })
}
