//! Kernel modules that tests need, with everything that they depend on, in an order in which they can be loaded.
//!
//! The package holds no list of dependencies (it is made when the package is installed), so they are read from the
//! modules themselves: the section `.modinfo` of a module is a row of `name=value` texts with zero bytes between them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::vm::host;

/// What is loaded, if the kernel has it as a module: what is built in, or unknown to a release, is not a file.
/// Some get parameters, so that they make no devices by themselves.
// TABLE: module names, with `_` as the kernel prints them, and parameters.
const WANTED: &[(&str, &str)] = &[
    // Disks and file systems.
    ("brd", "rd_nr=2"),
    ("loop", "max_loop=2"),
    ("null_blk", "nr_devices=1 gb=1"),
    ("raid1", ""),
    ("xfs", ""),
    // What the next one compresses with on older kernels.
    ("lzo_rle", ""),
    ("zram", "num_devices=1"),
    // Network devices.
    ("bonding", "max_bonds=0"),
    ("bridge", ""),
    ("dummy", "numdummies=0"),
    ("ifb", "numifbs=0"),
    ("ipvlan", ""),
    ("macvlan", ""),
    ("netkit", ""),
    ("tun", ""),
    ("veth", ""),
    ("8021q", ""),
    // Traffic control.
    ("act_bpf", ""),
    ("act_gact", ""),
    ("act_mirred", ""),
    ("cls_bpf", ""),
    ("cls_matchall", ""),
    ("sch_fq", ""),
    ("sch_ingress", ""),
    ("sch_prio", ""),
    // Packet filters.
    ("nf_conntrack", ""),
    ("nf_conntrack_netlink", ""),
    ("nf_defrag_ipv4", ""),
    ("nf_defrag_ipv6", ""),
    ("nf_nat", ""),
    ("nf_tables", ""),
    ("nfnetlink", ""),
    ("nfnetlink_log", ""),
    ("nfnetlink_queue", ""),
    ("nft_chain_nat", ""),
    ("nft_compat", ""),
    ("nft_ct", ""),
    ("nft_limit", ""),
    ("nft_log", ""),
    ("nft_masq", ""),
    ("nft_nat", ""),
    ("nft_objref", ""),
    ("nft_queue", ""),
    ("nft_reject", ""),
    ("nft_reject_inet", ""),
    ("x_tables", ""),
    ("xt_bpf", ""),
    // Sockets and their inspection.
    ("inet_diag", ""),
    ("packet_diag", ""),
    ("tcp_diag", ""),
    ("unix_diag", ""),
    ("vsock", ""),
    ("vsock_loopback", ""),
    ("xsk_diag", ""),
];

/// A module that is to be loaded.
#[derive(Debug, PartialEq)]
pub struct Module {
    /// File name, without the suffix of a compression.
    pub file: String,
    /// Parameters as `init_module(2)` takes them.
    pub parameters: &'static str,
    /// The module, decompressed.
    pub contents: Vec<u8>,
}

/// Collects the wanted modules of a kernel, each after those that it depends on.
///
/// # Errors
/// A message with the file that cannot be read, decompressed or understood.
pub fn collect(modules: &Path) -> Result<Vec<Module>, String> {
    let files = index(modules)?;
    let mut chosen = Chosen { files: &files, names: Vec::new(), modules: Vec::new() };
    for (name, parameters) in WANTED {
        chosen.add(name, parameters)?;
    }
    Ok(chosen.modules)
}

/// Modules in loading order.
struct Chosen<'a> {
    files: &'a BTreeMap<String, PathBuf>,
    names: Vec<String>,
    modules: Vec<Module>,
}

impl Chosen<'_> {
    /// Adds a module behind its dependencies. The name is noted first, so even a cycle ends.
    fn add(&mut self, name: &str, parameters: &'static str) -> Result<(), String> {
        let Some(path) = self.files.get(name) else { return Ok(()) };
        if self.names.iter().any(|known| known == name) {
            return Ok(());
        }
        self.names.push(name.to_owned());
        let contents = contents(path)?;
        let dependencies = dependencies(&contents)
            .ok_or_else(|| format!("{} is not a kernel module for a 64-bit machine", path.display()))?;
        for dependency in dependencies {
            self.add(&dependency, "")?;
        }
        self.modules.push(Module { file: format!("{name}.ko"), parameters, contents });
        Ok(())
    }
}

/// All modules below a directory by name.
fn index(modules: &Path) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut files = BTreeMap::new();
    let mut open = vec![modules.join("kernel")];
    while let Some(directory) = open.pop() {
        let failed = |error| format!("cannot read {}: {error}", directory.display());
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Some((name, _)) = path.file_name().and_then(|name| name.to_str()?.split_once(".ko")) {
                files.insert(name.replace('-', "_"), path.clone());
            }
        }
    }
    Ok(files)
}

/// Reads a module, through xz if it is compressed.
fn contents(path: &Path) -> Result<Vec<u8>, String> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display())),
        Some("xz") => host::output(Command::new("xz").args(["--decompress", "--stdout"]).arg(path)),
        _ => Err(format!("{}: modules compressed like this are not supported", path.display())),
    }
}

/// The names after `depends=`; `None` if this is no module.
fn dependencies(module: &[u8]) -> Option<Vec<String>> {
    let section = section(module, b".modinfo")?;
    let value = section.split(|byte| *byte == 0).find_map(|text| text.strip_prefix(b"depends="))?;
    let names = std::str::from_utf8(value).ok()?;
    Some(names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect())
}

/// The contents of a section of a 64-bit little-endian ELF file (elf(5)).
fn section<'a>(file: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    const CLASS_64_LITTLE: &[u8] = b"\x7fELF\x02\x01";
    if !file.starts_with(CLASS_64_LITTLE) {
        return None;
    }
    let headers = usize::try_from(number::<8>(file, 40)?).ok()?;
    let size = usize::try_from(number::<2>(file, 58)?).ok()?;
    let count = usize::try_from(number::<2>(file, 60)?).ok()?;
    let names = usize::try_from(number::<2>(file, 62)?).ok()?;
    let header = |index: usize| {
        let start = headers.checked_add(index * size)?;
        file.get(start..start.checked_add(size)?)
    };
    let data = |header: &[u8]| {
        let offset = usize::try_from(number::<8>(header, 24)?).ok()?;
        let length = usize::try_from(number::<8>(header, 32)?).ok()?;
        file.get(offset..offset.checked_add(length)?)
    };
    let names = data(header(names)?)?;
    (0..count).filter_map(header).find_map(|header| {
        let start = usize::try_from(number::<4>(header, 0)?).ok()?;
        let rest = names.get(start..)?;
        (rest.starts_with(name) && rest.get(name.len()) == Some(&0)).then(|| data(header))?
    })
}

/// A little-endian number of `N` bytes, at most 8.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(N)?)?;
    Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with the sections that matter: the one for names and `.modinfo`.
    fn module(info: &[u8]) -> Vec<u8> {
        let names = b"\0.modinfo\0.shstrtab\0";
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let mut headers = vec![0; 64];
        for (name, data) in [(1_u32, info), (10, &names[..])] {
            let mut header = [0; 64];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[24..32].copy_from_slice(&(file.len() as u64).to_le_bytes());
            header[32..40].copy_from_slice(&(data.len() as u64).to_le_bytes());
            headers.extend(header);
            file.extend(data);
        }
        let start = file.len() as u64;
        file[40..48].copy_from_slice(&start.to_le_bytes());
        file[58..64].copy_from_slice(&[64, 0, 3, 0, 2, 0]);
        file.extend(headers);
        file
    }

    #[test]
    fn dependencies_come_first() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("kernel/net");
        fs::create_dir_all(&tree).unwrap();
        for (name, info) in [
            ("nft_ct.ko", &b"license=GPL\0depends=nf_tables,nf-conntrack\0"[..]),
            ("nf_tables.ko", b"depends=nfnetlink\0"),
            ("nf-conntrack.ko", b"depends=\0"),
            ("nfnetlink.ko", b"depends=nf_tables\0"),
            ("unwanted.ko", b"depends=\0"),
        ] {
            fs::write(tree.join(name), module(info)).unwrap();
        }
        let found = collect(directory.path()).unwrap();
        let names: Vec<&str> = found.iter().map(|module| module.file.as_str()).collect();
        assert_eq!(names, ["nf_conntrack.ko", "nfnetlink.ko", "nf_tables.ko", "nft_ct.ko"]);
    }

    #[test]
    fn broken_modules_are_refused() {
        let whole = module(b"depends=a,b\0");
        assert_eq!(dependencies(&whole).unwrap(), ["a", "b"]);
        for length in 0..whole.len() {
            assert_eq!(dependencies(&whole[..length]), None, "{length} bytes");
        }
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] = 0xff;
            let _ = dependencies(&broken);
        }
    }
}
