//! Names for the programs, links and maps of an object, so that they outlive the process.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use skep_object::{MapIdx, Object};

use crate::attach::Attachments;
use crate::errors::KernelError;
use crate::load::Loaded;
use crate::pin::{pin, unpin};

/// What was pinned so far and directories that were made for it; undone unless it is kept.
#[derive(Default)]
struct Pinned {
    paths: Vec<PathBuf>,
    directories: Vec<PathBuf>,
    keep: bool,
}

impl Pinned {
    /// Makes a directory and those above it that are missing.
    fn directory(&mut self, path: &Path) -> Result<(), KernelError> {
        let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
        for path in missing.into_iter().rev() {
            fs::create_dir(path).map_err(|error| KernelError::Pin {
                action: "make the directory",
                path: path.to_owned(),
                problem: crate::errors::describe(error.raw_os_error().unwrap_or(libc::EIO)),
            })?;
            self.directories.push(path.to_owned());
        }
        Ok(())
    }

    fn add(&mut self, object: impl AsFd, path: PathBuf) -> Result<(), KernelError> {
        pin(object, &path)?;
        self.paths.push(path);
        Ok(())
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if !self.keep {
            self.paths.iter().rev().for_each(|path| drop(unpin(path)));
            self.directories.iter().rev().for_each(|path| drop(fs::remove_dir(path)));
        }
    }
}

/// A name without dots, which a BPF file system reserves.
fn file_name(name: &str) -> String {
    name.replace('.', "_")
}

/// Pins programs as `DIRECTORY/NAME`, links as `DIRECTORY/NAME_link` (with a number from the second on), and with `maps`
/// maps as `MAPS/NAME`; dots become `_`. Directories are made where they are missing. All or nothing. Returns the paths.
///
/// # Errors
/// [`KernelError::Pin`], [`KernelError::Unsupported`] if something is attached without link, which ends with the process.
pub fn pin_all(
    object: &Object,
    loaded: &Loaded,
    attachments: &Attachments,
    programs: Option<&Path>,
    maps: Option<&Path>,
) -> Result<Vec<PathBuf>, KernelError> {
    let mut pinned = Pinned::default();
    if let Some(directory) = maps {
        pinned.directory(directory)?;
        for ((index, spec), map) in (0..).map(MapIdx).zip(&object.maps).zip(&loaded.maps) {
            // Those that are shared by name have one.
            if !spec.pinned && !loaded.left_out.contains(&index) {
                pinned.add(map, directory.join(file_name(&spec.name)))?;
            }
        }
    }
    if let Some(directory) = programs {
        pinned.directory(directory)?;
        for program in &loaded.programs {
            pinned.add(program, directory.join(file_name(program.name())))?;
        }
        let mut last = ("", 0);
        for (name, attachment) in &attachments.attached {
            last = if last.0 == name { (last.0, last.1 + 1) } else { (name, 1) };
            let number = if last.1 == 1 { String::new() } else { last.1.to_string() };
            let Some(link) = attachment.as_link() else {
                return Err(KernelError::Unsupported {
                    what: format!("keeping program `{name}` attached: this kernel attaches it without a link"),
                    since: None,
                    running: crate::features::running_release(),
                });
            };
            pinned.add(link, directory.join(format!("{}_link{number}", file_name(name))))?;
        }
        for (name, iter) in &attachments.iterators {
            pinned.add(iter.link(), directory.join(format!("{}_link", file_name(name))))?;
        }
    }
    pinned.keep = true;
    Ok(std::mem::take(&mut pinned.paths))
}
