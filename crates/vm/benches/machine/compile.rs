//! From the C sources to what the engines take: two BPF objects and a shared object for this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use skep_object::Object;
use tempfile::TempDir;

use crate::programs::Program;

/// A program compiled for every engine.
#[derive(Debug, Clone)]
pub struct Built {
    /// The row that it comes from.
    pub program: Program,
    /// Its context begins with two 32-bit addresses, `data` and `data_end` of `struct xdp_md`.
    pub xdp: Object,
    /// Its context is two 64-bit addresses.
    pub flat: Object,
    /// The shared object.
    pub native: PathBuf,
    /// The packet.
    pub input: Vec<u8>,
    /// Keeps the shared object until nobody needs it.
    _directory: Rc<TempDir>,
}

impl Built {
    /// Instruction slots of the program.
    pub fn slots(&self) -> usize {
        self.xdp.programs[0].insns.len()
    }
}

/// clang and a directory for what it makes.
#[derive(Debug)]
pub struct Compiler {
    directory: Rc<TempDir>,
}

impl Compiler {
    /// Looks for clang.
    ///
    /// # Errors
    /// If it is not there or there is no place for its output.
    pub fn find() -> Result<Self, String> {
        let found = Command::new("clang").arg("--version").output();
        if !found.is_ok_and(|output| output.status.success()) {
            return Err("clang does not run here; install it (Debian: apt-get install clang)".to_owned());
        }
        let directory = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        Ok(Self { directory: Rc::new(directory) })
    }

    /// Compiles a program for all engines.
    ///
    /// # Errors
    /// What clang says, or what is unexpected in the object file.
    pub fn build(&self, program: Program) -> Result<Built, String> {
        const BPF: [&str; 6] = ["-g", "-target", "bpf", "-mcpu=v3", "-c", "-fno-ident"];
        let in_file = |file: &Path, error: String| format!("{}: {error}", file.display());
        let object = |form: &str| {
            let file = self.clang(program, form, &BPF)?;
            let bytes = std::fs::read(&file).map_err(|error| in_file(&file, error.to_string()))?;
            read_object(&bytes, program).map_err(|error| in_file(&file, error))
        };
        Ok(Built {
            program,
            xdp: object("XDP")?,
            flat: object("FLAT")?,
            native: self.clang(program, "NATIVE", &["-shared", "-fPIC"])?,
            input: (program.input)(),
            _directory: Rc::clone(&self.directory),
        })
    }

    /// Compiles the source of a program with `-DFORM` and gives the path of the result.
    fn clang(&self, program: Program, form: &str, options: &[&str]) -> Result<PathBuf, String> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/programs");
        let output = self.directory.path().join(format!("{}-{form}", program.name));
        let result = Command::new("clang")
            .arg("-O2")
            .args(options)
            .arg(format!("-D{form}"))
            .arg("-o")
            .arg(&output)
            .arg(sources.join(format!("{}.c", program.name)))
            .output()
            .map_err(|error| format!("clang: {error}"))?;
        if !result.status.success() {
            return Err(format!("clang cannot compile {}: {}", program.name, String::from_utf8_lossy(&result.stderr)));
        }
        Ok(output)
    }
}

/// The program and the maps of an object file, with the first contents that the table of programs gives the maps.
fn read_object(bytes: &[u8], program: Program) -> Result<Object, String> {
    let mut object = Object::from_elf(bytes).map_err(|error| error.to_string())?;
    for filled in (program.maps)() {
        let map = object.maps.iter_mut().find(|map| map.name == filled.name);
        let map = map.ok_or_else(|| format!("the source declares no map {}", filled.name))?;
        map.contents = filled.contents;
    }
    match &object.programs[..] {
        [_] => Ok(object),
        programs => Err(format!("there are {} programs instead of one", programs.len())),
    }
}
