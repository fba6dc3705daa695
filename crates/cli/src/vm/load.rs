//! From a file to a machine: objects of clang and texts, the choice of a program.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use skep_isa::ProgType;
use skep_isa::ebpf::assemble;
use skep_object::{Object, Program, Reference};
use skep_verifier::Verified;
use skep_vm::ebpf::{Engine, Setup, Vm, Worker};

use crate::args::ProgramArgs;
use crate::failure::Failure;

/// First bytes of every ELF file.
const ELF_MAGIC: &[u8] = b"\x7fELF";

/// An object and the program of it that is meant.
#[derive(Debug)]
pub struct Chosen {
    pub object: Object,
    /// Its index in the object and in machines made of it.
    pub index: usize,
    pub fuel: u64,
}

impl Chosen {
    /// Reads the file and finds the program.
    pub fn new(args: &ProgramArgs) -> Result<Self, Failure> {
        let mut object = load_file(&args.file)?;
        let mut index = choose(&object, args.prog.as_deref(), &args.file)?;
        let calls_others = |(_, reference): &_| matches!(reference, Reference::Program(_));
        if !object.maps.iter().any(|map| map.references.iter().any(calls_others)) {
            // The others need not be possible here.
            object.programs = vec![object.programs.swap_remove(index)];
            index = 0;
        }
        Ok(Self { object, index, fuel: args.fuel })
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.object.programs[self.index]
    }

    /// A machine with maps of its own.
    pub fn machine(&self, engine: Engine) -> Result<Vm, Failure> {
        Vm::new(&self.object).fuel(self.fuel).engine(engine).load().map_err(Failure::run)
    }

    /// As [`machine`](Self::machine); the programs are verified first, and compiled code of those that need no checks of
    /// addresses has none.
    pub fn verified_machine(&self, engine: Engine) -> Result<Vm, Failure> {
        let verified = Verified::new(&self.object);
        Setup::verified(&verified).fuel(self.fuel).engine(engine).load().map_err(Failure::run)
    }
}

/// A place to run programs of a machine in.
pub fn worker(vm: &Vm) -> Result<Worker, Failure> {
    vm.worker().map_err(|error| {
        Failure::Run(format!("cannot reserve 4 GiB of addresses for the program: {error}; raise `ulimit -v`"))
    })
}

/// An object file of clang, or a program as text.
pub fn load_file(path: &Path) -> Result<Object, Failure> {
    let name = path.display();
    let bytes = read(path).map_err(|error| unreadable(path, &error))?;
    if bytes.starts_with(ELF_MAGIC) {
        return Object::from_elf(&bytes).map_err(|error| Failure::Run(format!("{name}: {error}")));
    }
    let neither = || {
        Failure::Run(format!(
            "{name} is neither an ELF object nor a text; expected what `clang -O2 -g -target bpf -c` writes, or \
             instructions such as `r0 = 0`, one a line"
        ))
    };
    let text = String::from_utf8(bytes).map_err(|_| neither())?;
    let insns = assemble(&text).map_err(|error| Failure::Run(format!("{name}: {error}")))?;
    if insns.is_empty() {
        return Err(Failure::Run(format!("{name} holds no instructions; the shortest program is `r0 = 0` and `exit`")));
    }
    let mut object = Object::new("GPL");
    let stem = path.file_stem().filter(|_| path.as_os_str() != "-").unwrap_or("program".as_ref());
    object.add_program(Program::new(&stem.to_string_lossy(), ProgType::SocketFilter, insns));
    Ok(object)
}

/// A file that cannot be read.
pub fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let text = error.to_string();
    let plain = text.split(" (os error").next().unwrap_or_default();
    Failure::Run(format!("cannot read {}: {}", path.display(), plain.to_ascii_lowercase()))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if path.as_os_str() != "-" {
        return fs::read(path);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn choose(object: &Object, wanted: Option<&str>, path: &Path) -> Result<usize, Failure> {
    let name = path.display();
    let position = |wanted: &str| object.programs.iter().position(|program| program.name == wanted);
    let all = || object.programs.iter().map(|program| program.name.as_str()).collect::<Vec<_>>().join(", ");
    match (wanted, object.programs.len()) {
        (_, 0) => Err(Failure::Run(format!("{name} holds no programs"))),
        (Some(wanted), _) => position(wanted)
            .ok_or_else(|| Failure::Usage(format!("{name} has no program `{wanted}`; it has: {}", all()))),
        (None, 1) => Ok(0),
        (None, _) => Err(Failure::Usage(format!("{name} has several programs; choose one with --prog: {}", all()))),
    }
}
