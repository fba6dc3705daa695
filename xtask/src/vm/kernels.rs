//! Debian's packaged kernels: which there are, fetching one with apt, and what of it is kept.
//!
//! ```text
//!  CACHE/6.12/package   name of the package
//!  CACHE/6.12/root      the package's files: boot/vmlinuz-*, boot/config-*, lib/modules/*
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::vm::{built, host};

/// The flavour without drivers for hardware that only real machines have: small, and with everything that BPF needs.
const FLAVOUR: &str = "-cloud-amd64";

/// A kernel in the cache.
#[derive(Debug)]
pub struct Kernel {
    /// The release that was asked for, such as `6.12`.
    pub release: String,
    /// The compressed kernel image.
    pub image: PathBuf,
    /// The directory with the modules; its name is what `uname -r` prints.
    pub modules: PathBuf,
    /// The settings that it was built with, if the package has them.
    pub config: Option<PathBuf>,
    /// Name of the Debian package.
    pub package: String,
}

/// Gives the kernel of a release, from the cache or else from the package sources of this machine; `None` if none of
/// them offers it.
///
/// # Errors
/// A message with the remedy if apt cannot be asked or the download fails.
pub fn fetch(cache: &Path, release: &str) -> Result<Option<Kernel>, String> {
    let directory = cache.join(release);
    if !directory.join("package").is_file() {
        let (number, settings) = match release.split_once('+') {
            Some((number, name)) => (number, Some(built::find(name)?)),
            None => (release, None),
        };
        let package = match settings {
            Some(_) => Some(built::package(number)),
            None => newest(&offered(number)?),
        };
        let Some(package) = package else { return Ok(None) };
        println!("vm: fetching {package}");
        install(cache, &directory, |work, kept| {
            let unpacked = unpack(work, &package)?;
            match settings {
                Some(settings) => {
                    println!("vm: building {release}, which takes some minutes");
                    built::build(work, &unpacked, number, settings, &kept.join("root"))
                }
                None => fs::rename(&unpacked, kept.join("root"))
                    .map_err(|error| format!("cannot keep {}: {error}", unpacked.display())),
            }?;
            fs::write(kept.join("package"), &package)
                .map_err(|error| format!("cannot write {}: {error}", kept.display()))
        })?;
    }
    open(release, &directory).map(Some)
}

/// What to say when no package source offers a release.
pub fn missing(release: &str) -> String {
    let pattern = format!("linux-image-{release}.*{FLAVOUR}");
    format!(
        "no package source of this machine offers `{pattern}`; run `apt-get update`, or add a Debian release that has it"
    )
}

/// Prints the kernels of `releases` that are in the cache, and the packages that could be fetched.
///
/// # Errors
/// A message if apt cannot be asked.
pub fn list(cache: &Path, releases: &[String]) -> Result<(), String> {
    for release in releases {
        let cached = open(release, &cache.join(release)).map(|kernel| kernel.package);
        println!("{release}");
        println!("  cached:  {}", cached.as_deref().unwrap_or("no"));
        let offered = offered(release)?;
        println!("  offered: {}", newest(&offered).as_deref().unwrap_or("no"));
    }
    println!("the cache is {}; remove a release there to fetch a newer package", cache.display());
    Ok(())
}

/// The packages with an image of a release that apt knows.
fn offered(release: &str) -> Result<Vec<String>, String> {
    let prefix = format!("linux-image-{release}.");
    let names = host::output(Command::new("apt-cache").args(["pkgnames", &prefix]))?;
    let names = String::from_utf8_lossy(&names);
    Ok(names.lines().filter(|name| name.ends_with(FLAVOUR)).map(str::to_owned).collect())
}

/// The name with the highest version: names differ in numbers only.
fn newest(names: &[String]) -> Option<String> {
    let numbers = |name: &str| -> Vec<u64> {
        name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
    };
    names.iter().max_by_key(|name| numbers(name)).cloned()
}

/// Makes the directory of a kernel; it exists afterwards only if all went well. `fill` gets a directory to work in and
/// the one to be kept.
fn install(
    cache: &Path,
    directory: &Path,
    fill: impl FnOnce(&Path, &Path) -> Result<(), String>,
) -> Result<(), String> {
    let work = cache.join(format!("fetch-{}", std::process::id()));
    let kept = work.join("kept");
    let made = fs::create_dir_all(&kept).map_err(|error| format!("cannot create {}: {error}", kept.display()));
    let result = made.and_then(|()| fill(&work, &kept)).and_then(|()| {
        if directory.exists() {
            fs::remove_dir_all(directory).map_err(|error| format!("cannot remove {}: {error}", directory.display()))?;
        }
        fs::rename(&kept, directory).map_err(|error| format!("cannot create {}: {error}", directory.display()))
    });
    // What is left is of no use, and an error here would hide the one that matters.
    let _ = fs::remove_dir_all(&work);
    result
}

/// Fetches a package; gives the directory with its files.
fn unpack(work: &Path, package: &str) -> Result<PathBuf, String> {
    // Without the sandbox user, which cannot write below a private directory.
    let mut fetch = Command::new("apt-get");
    fetch.args(["download", "-q", "-o", "APT::Sandbox::User=root", package]).current_dir(work);
    host::output(&mut fetch)
        .map_err(|error| format!("{error}\nif the package is outdated or unknown, run `apt-get update` first"))?;
    let archive = files(work)?.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let archive = archive.ok_or_else(|| format!("`apt-get download {package}` left no package behind"))?;
    let unpacked = work.join("unpacked");
    host::output(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(&unpacked))?;
    Ok(unpacked)
}

/// A kernel that was unpacked earlier.
fn open(release: &str, directory: &Path) -> Result<Kernel, String> {
    let package = fs::read_to_string(directory.join("package"))
        .map_err(|error| format!("cannot read {}: {error}", directory.join("package").display()))?;
    let incomplete = || format!("{} is incomplete; remove it, so that it is fetched again", directory.display());
    let starts = |path: &Path, prefix: &str| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
    };
    let root = directory.join("root");
    let boot = files(&root.join("boot"))?;
    let find = |prefix: &str| boot.iter().find(|path| starts(path, prefix)).cloned();
    let (image, config) = (find("vmlinuz-"), find("config-"));
    // Debian 13 has its modules below usr.
    let trees = ["lib/modules", "usr/lib/modules"].map(|tree| root.join(tree));
    let modules = trees.iter().find(|tree| tree.is_dir()).map(|tree| files(tree)).transpose()?;
    let modules = modules.and_then(|found| found.into_iter().next());
    Ok(Kernel {
        release: release.to_owned(),
        image: image.ok_or_else(incomplete)?,
        modules: modules.ok_or_else(incomplete)?,
        config,
        package,
    })
}

/// The paths of a directory, in order.
fn files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| format!("cannot read {}: {error}", directory.display()))?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let names = ["linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-56-cloud-amd64"].map(str::to_owned);
        assert_eq!(newest(&names).as_deref(), Some("linux-image-6.1.0-56-cloud-amd64"));
        let names = ["linux-image-6.12.117+deb12-cloud-amd64", "linux-image-6.12.57+deb12-cloud-amd64"];
        assert_eq!(newest(&names.map(str::to_owned)).as_deref(), Some(names[0]));
        assert_eq!(newest(&[]), None);
    }

    #[test]
    fn only_complete_kernels_are_opened() {
        let cache = tempfile::tempdir().unwrap();
        let directory = cache.path().join("6.1");
        fs::create_dir_all(directory.join("root/boot")).unwrap();
        assert!(open("6.1", &directory).unwrap_err().starts_with("cannot read"));
        fs::write(directory.join("package"), "linux-image-6.1.0-1-cloud-amd64").unwrap();
        assert!(open("6.1", &directory).unwrap_err().contains("is incomplete; remove it"));
        fs::write(directory.join("root/boot/vmlinuz-6.1.0-1-cloud-amd64"), "").unwrap();
        fs::create_dir_all(directory.join("root/usr/lib/modules/6.1.0-1-cloud-amd64")).unwrap();
        let kernel = open("6.1", &directory).unwrap();
        assert!(kernel.modules.ends_with("usr/lib/modules/6.1.0-1-cloud-amd64"));
        assert_eq!(kernel.config, None);
        fs::write(directory.join("root/boot/config-6.1.0-1-cloud-amd64"), "").unwrap();
        assert!(
            open("6.1", &directory).unwrap().config.is_some_and(|path| path.ends_with("config-6.1.0-1-cloud-amd64"))
        );
    }
}
