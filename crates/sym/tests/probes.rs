//! Symbols and USDT probes of a small program that is compiled here, and probes at the places that were found.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use skep_isa::ebpf::assemble;
use skep_isa::{MapType, ProgType};
use skep_kernel::attach::{Symbols as _, UsdtArgument, UsdtLocation, UserPlace, attach_uprobe};
use skep_kernel::{Capability, LoadedMap, LoadedProgram, MapDefinition, ProgramDefinition, has_capability};
use skep_sym::{Binary, Kallsyms, Location, Pattern, SymError, SymbolKind, SystemSymbols, resolve};

/// Calls `work` five times for every line that it reads; each call passes a probe with a semaphore. Answers with the
/// value of the semaphore.
const SOURCE: &str = r#"
#include <stdio.h>
#include <stdlib.h>
__attribute__((section(".probes"))) volatile unsigned short test_semaphore;
__asm__(".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
        ".weak _.stapsdt.base\n.hidden _.stapsdt.base\n_.stapsdt.base: .space 1\n.size _.stapsdt.base,1\n.popsection\n");
__attribute__((noinline)) int work(int value) {
    __asm__ volatile("990: nop\n"
        ".pushsection .note.stapsdt,\"\",%%note\n.balign 4\n"
        ".4byte 992f-991f,994f-993f,3\n991: .asciz \"stapsdt\"\n992: .balign 4\n"
        "993: .8byte 990b\n.8byte _.stapsdt.base\n.8byte test_semaphore\n"
        ".asciz \"skep\"\n.asciz \"hit\"\n.asciz \"-4@%0 8@%1\"\n994: .balign 4\n.popsection\n"
        :: "r"(value), "m"(test_semaphore));
    return value * 3;
}
int main(void) {
    char line[64];
    int sum = 0;
    while (fgets(line, sizeof line, stdin)) {
        for (int i = 0; i < 5; i++) sum += work(i + atoi(line));
        printf("%d\n", test_semaphore);
        fflush(stdout);
    }
    return sum == 42;
}
"#;

/// Reports a test that cannot run; fails it when `SKEP_REQUIRE_KERNEL` is 1.
#[track_caller]
fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

/// The compiled program in a directory that vanishes.
struct Program {
    directory: PathBuf,
    file: PathBuf,
}

impl Program {
    fn compile(name: &str) -> Option<Self> {
        let directory = std::env::temp_dir().join(format!("skep-sym-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (source, file) = (directory.join("program.c"), directory.join("program"));
        fs::write(&source, SOURCE).unwrap();
        let built = Self { directory, file };
        // Not by default everywhere: a build id, and a linkage table that is filled as it is used.
        for compiler in ["clang", "gcc", "cc"] {
            let mut command = Command::new(compiler);
            command.args(["-O1", "-g", "-Wl,--build-id", "-Wl,-z,lazy", "-o"]).arg(&built.file).arg(&source);
            match command.output() {
                Ok(output) => {
                    assert!(output.status.success(), "{compiler}: {}", String::from_utf8_lossy(&output.stderr));
                    return Some(built);
                }
                Err(_) => continue,
            }
        }
        skip("no C compiler (Debian: clang)");
        None
    }

    fn binary(&self) -> Binary {
        Binary::open(&self.file).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The program at work.
struct Running {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    fn start(program: &Program) -> Self {
        let mut child = Command::new(&program.file).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    /// Five calls; the value of the semaphore.
    fn round(&mut self) -> u32 {
        writeln!(self.stdin, "1").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A probe's program that counts, and adds up the eight bytes of its context at `register`.
fn counting(register: u16) -> (LoadedProgram, LoadedMap) {
    let definition =
        MapDefinition { name: "m", map_type: MapType::Array, key_size: 4, value_size: 16, max_entries: 1, flags: 0 };
    let map = LoadedMap::create(&definition).unwrap();
    let text = format!(
        "r3 = *(u64 *)(r1 +{register})\nr1 = map[fd:{}][0]+0 ll\nr2 = 1\nlock *(u64 *)(r1 +0) += r2\nr3 <<= 32\n\
         r3 >>= 32\nlock *(u64 *)(r1 +8) += r3\nr0 = 0\nexit\n",
        map.as_fd().as_raw_fd()
    );
    let insns = assemble(&text).unwrap();
    let definition = ProgramDefinition { name: "probe", prog_type: ProgType::Kprobe, insns: &insns, license: "GPL" };
    (LoadedProgram::load(&definition).unwrap(), map)
}

fn values(map: &LoadedMap) -> (u64, u64) {
    let value = map.get(&0u32.to_ne_bytes()).unwrap().unwrap();
    let at = |at: usize| u64::from_ne_bytes(value[at..at + 8].try_into().unwrap());
    (at(0), at(8))
}

/// Asserts that a condition holds within a second. Other tests start processes, which hold copies of all descriptors until
/// they execute their program, so an attachment may end a little later.
fn eventually(mut condition: impl FnMut() -> bool) {
    let holds = (0..50).any(|_| {
        let holds = condition();
        if !holds {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        holds
    });
    assert!(holds, "still attached");
}

#[test]
fn facts_about_a_program() {
    let Some(program) = Program::compile("facts") else { return };
    let binary = program.binary();
    let work = binary.function("work").unwrap();
    assert!(work.size > 0 && work.kind == SymbolKind::Function);
    assert_eq!(binary.offset(work.address), work.offset);
    assert_eq!(binary.address(work.offset.unwrap()), Some(work.address));
    let (symbol, distance) = binary.symbol_at(work.address + 1).unwrap();
    assert_eq!((symbol.name.as_str(), distance), ("work", 1));
    assert_eq!(binary.build_id().map(<[u8]>::len), Some(20));
    let pattern = Pattern::new("wor*");
    assert_eq!(binary.matching(&pattern).map(|symbol| symbol.name.as_str()).collect::<Vec<_>>(), ["work"]);
    let error = binary.function("wor").unwrap_err().to_string();
    assert!(error.contains("there is no function `wor`") && error.contains("`work`"), "{error}");
    let probes = binary.probe(Some("skep"), "hit").unwrap();
    assert_eq!(probes.len(), 1);
    assert!(probes[0].address >= work.address && probes[0].address < work.address + work.size);
    assert!(probes[0].semaphore.is_some() && probes[0].offset.is_some());
    let arguments = probes[0].arguments().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(arguments.len(), 2);
    assert!(matches!(arguments[0].location, Location::Register(register) if register.pt_regs.is_some()));
    assert_eq!((arguments[0].size, arguments[0].signed, arguments[1].size), (4, true, 8));
    assert!(!matches!(arguments[1].location, Location::Constant(_) | Location::Register(_)));
    // The same for programs of objects; they cannot know where a symbol is.
    let (path, places) = SystemSymbols.probe(program.file.to_str().unwrap(), "skep", "hit", None).unwrap();
    assert_eq!((path, places.len()), (program.file.clone(), 1));
    let place = places[0].place;
    assert_eq!((Some(place.offset), Some(place.counter)), (probes[0].offset, probes[0].semaphore));
    let told = places[0].arguments.clone().unwrap();
    let Location::Register(register) = &arguments[0].location else { unreachable!("asserted above") };
    let location = UsdtLocation::Register(register.pt_regs.unwrap());
    assert_eq!(told[0], UsdtArgument { size: 4, signed: true, location });
    let symbol = matches!(arguments[1].location, Location::Symbol { .. });
    assert_eq!(told[1].location == UsdtLocation::Unknown, symbol);
    let error = binary.probe(None, "miss").unwrap_err().to_string();
    assert!(error.contains("`skep:hit`"), "{error}");
    assert!(matches!(Binary::open("/no/such/file"), Err(SymError::File { .. })));
    assert!(matches!(Binary::open("/etc/passwd"), Err(SymError::Format { .. })));
    assert!(matches!(Binary::open("/"), Err(SymError::Format { .. })));
}

#[test]
fn symbols_that_were_split_off() {
    let Some(program) = Program::compile("split") else { return };
    let whole = program.binary();
    let debug = program.directory.join("program.debug");
    let objcopy = |arguments: &[&str]| {
        let mut command = Command::new("objcopy");
        command.args(arguments).arg(&program.file);
        command
    };
    let Ok(kept) = objcopy(&["--only-keep-debug"]).arg(&debug).output() else {
        return skip("no objcopy (Debian: binutils)");
    };
    assert!(kept.status.success());
    assert!(objcopy(&["--strip-all"]).status().unwrap().success());
    let mut stripped = program.binary();
    let error = stripped.function("work").unwrap_err().to_string();
    assert!(error.contains("there is no function `work`"), "{error}");
    stripped.add_debug_file(&debug).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(stripped.function("work"), whole.function("work"));
    assert!(stripped.debug_path().unwrap().starts_with("/usr/lib/debug/.build-id"));
    let other = resolve("libc", None).unwrap();
    let error = stripped.add_debug_file(other).unwrap_err().to_string();
    assert!(error.contains("its build id is not that of"), "{error}");
}

#[test]
fn entries_of_the_linkage_table() {
    let Some(program) = Program::compile("plt") else { return };
    let listing = Command::new("objdump").args(["-d", "--no-show-raw-insn"]).arg(&program.file).output();
    let Ok(listing) = listing else { return skip("no objdump (Debian: binutils)") };
    let binary = program.binary();
    let entry = binary.function("fgets@plt").unwrap();
    assert_eq!(entry.kind, SymbolKind::Plt);
    let wanted = format!("{:016x} <fgets@plt>:", entry.address);
    let listing = String::from_utf8_lossy(&listing.stdout);
    assert!(
        listing.contains(&wanted),
        "{wanted}\n{:?}",
        listing.lines().filter(|l| l.contains("@plt>:")).collect::<Vec<_>>()
    );
}

#[test]
fn versions_of_a_library() {
    let libc = resolve("libc", None).unwrap();
    let binary = Binary::open(&libc).unwrap();
    let versions: Vec<_> =
        binary.functions().filter(|symbol| symbol.name == "posix_spawn").map(|s| s.version.clone()).collect();
    let plain = binary.function("posix_spawn").unwrap();
    if cfg!(target_arch = "x86_64") {
        assert!(versions.len() >= 2, "{versions:?}");
        let old = binary.function("posix_spawn@GLIBC_2.2.5").unwrap();
        let new = binary.function("posix_spawn@@GLIBC_2.15").unwrap();
        assert_eq!(new, plain);
        assert_ne!(old.version, new.version);
    }
    assert!(binary.function("posix_spawn@GLIBC_9.9").is_err());
    assert!(binary.function("malloc").unwrap().offset.is_some());
}

#[test]
fn probes_at_the_places_that_were_found() {
    if !has_capability(Capability::SysAdmin) {
        return skip("probes need CAP_SYS_ADMIN");
    }
    let Some(program) = Program::compile("run") else { return };
    let binary = program.binary();
    let mut running = Running::start(&program);
    assert_eq!(running.round(), 0);
    let (counter, map) = counting(0);
    let work = UserPlace::at(binary.function("work").unwrap().offset.unwrap());
    for at_return in [false, true] {
        let before = values(&map).0;
        let attached = attach_uprobe(&counter, &program.file, work, at_return, None).unwrap();
        running.round();
        assert_eq!(values(&map).0 - before, 5);
        drop(attached);
        eventually(|| {
            let before = values(&map).0;
            running.round();
            values(&map).0 == before
        });
    }
    // The USDT probe: its semaphore rises, and its first argument is where the note says.
    let probe = binary.probe(Some("skep"), "hit").unwrap()[0];
    let arguments = probe.arguments().unwrap();
    let Location::Register(register) = &arguments[0].location else { panic!("{arguments:?}") };
    let (counter, map) = counting(register.pt_regs.unwrap());
    let place = UserPlace { offset: probe.offset.unwrap(), counter: probe.semaphore.unwrap(), cookie: 0 };
    let attached = attach_uprobe(&counter, &program.file, place, false, Some(running.child.id())).unwrap();
    assert_eq!(running.round(), 1, "the semaphore");
    // Values 1 to 5.
    assert_eq!(values(&map), (5, 15));
    drop(attached);
    eventually(|| running.round() == 0);
}

#[test]
fn symbols_of_the_kernel() {
    let kallsyms = Kallsyms::new();
    match kallsyms.symbols() {
        Ok(symbols) => assert!(symbols.len() > 10_000),
        Err(error @ (SymError::Hidden | SymError::File { .. })) => return skip(&error.to_string()),
        Err(error) => panic!("{error}"),
    }
    let address = kallsyms.address("ksys_read").unwrap();
    let (symbol, distance) = kallsyms.at(address + 5).unwrap().unwrap();
    assert_eq!((symbol.name, distance), ("ksys_read", 5));
}
