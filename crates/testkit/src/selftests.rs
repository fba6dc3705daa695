//! The kernel's own tests of its verifier, compiled by clang: some thousand programs with a verdict each.
//!
//! The sources come from Debian's package `linux-source-6.12`, of which nothing is copied into this repository: what is
//! needed is unpacked into a directory of the build and compiled against the types of the running kernel. Objects stay
//! there until the kernel or clang is another one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the package puts the sources.
pub const ARCHIVE: &str = "/usr/src/linux-source-6.12.tar.xz";

/// The directory that the archive holds.
const ROOT: &str = "linux-source-6.12";

/// What of the archive is needed: programs, what they include, and the generator of the helpers' header.
const NEEDED: &[&str] = &[
    "tools/testing/selftests/bpf/progs/*",
    "tools/testing/selftests/bpf/*.h",
    "tools/lib/bpf/*.h",
    "tools/include/uapi/*",
    "tools/include/linux/*",
    "scripts/bpf_doc.py",
];

// TABLE
/// Sources with options of their own, as the kernel's makefile has them.
const OPTIONS: &[(&str, &str)] = &[
    ("bind4_prog", "-fno-strict-aliasing"),
    ("bind6_prog", "-fno-strict-aliasing"),
    ("dynptr_fail", "-fno-strict-aliasing"),
    ("linked_list_fail", "-fno-strict-aliasing"),
    ("map_kptr_fail", "-fno-strict-aliasing"),
    ("syscall", "-fno-strict-aliasing"),
    ("test_pkt_md_access", "-fno-strict-aliasing"),
    ("test_sk_lookup", "-fno-strict-aliasing"),
    ("timer_crash", "-fno-strict-aliasing"),
    ("test_global_func9", "-fno-strict-aliasing"),
    ("verifier_nocsr", "-fno-strict-aliasing"),
    ("test_l4lb_noinline", "-fno-inline"),
    ("test_xdp_noinline", "-fno-inline"),
];

/// What clang is told for each source.
const FLAGS: &[&str] =
    &["-g", "-O2", "-target", "bpfel", "-mcpu=v3", "-w", "-D__TARGET_ARCH_x86", "-DENABLE_ATOMICS_TESTS"];

/// `vmlinux.h` as clang has read it: it takes a second for each source otherwise.
const PRECOMPILED: &str = "vmlinux.pch";

/// The sources, unpacked and ready to be compiled.
#[derive(Debug)]
pub struct Selftests {
    sources: PathBuf,
    headers: PathBuf,
    objects: PathBuf,
}

impl Selftests {
    /// Unpacks the sources into `cache`, unless they are there, and makes the headers that depend on the kernel.
    ///
    /// # Errors
    /// The reason if the package or a tool is missing, for tests to skip.
    pub fn prepare(cache: &Path) -> Result<Self, String> {
        if !Path::new(ARCHIVE).exists() {
            return Err(format!("{ARCHIVE} is not there: apt-get install linux-source-6.12"));
        }
        let tools = cache.join(ROOT).join("tools");
        if !tools.join("complete").exists() {
            unpack(cache)?;
            write(&tools.join("complete"), b"")?;
        }
        let (headers, objects) = (cache.join("include"), cache.join("objects"));
        let stamp = stamp()?;
        if fs::read_to_string(cache.join("stamp")).ok().as_deref() != Some(stamp.as_str()) {
            for directory in [&headers, &objects] {
                let _ = fs::remove_dir_all(directory);
                create(directory)?;
            }
            make_headers(cache, &headers)?;
            write(&cache.join("stamp"), stamp.as_bytes())?;
        }
        Ok(Self { sources: tools.join("testing/selftests/bpf"), headers, objects })
    }

    /// The names of the sources in order, without `.c`.
    ///
    /// # Errors
    /// If their directory cannot be read.
    pub fn names(&self) -> Result<Vec<String>, String> {
        let directory = self.sources.join("progs");
        let entries = fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let names = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(".c").map(str::to_owned)
        });
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The path of a source.
    pub fn source(&self, name: &str) -> PathBuf {
        self.sources.join("progs").join(format!("{name}.c"))
    }

    /// Where the sources find what they include.
    pub fn include_directories(&self) -> [PathBuf; 3] {
        [self.headers.clone(), self.sources.clone(), self.sources.join("../../../include/uapi")]
    }

    /// The object that clang makes of a source.
    ///
    /// # Errors
    /// The first line of what clang says: many sources are for a newer one, or for types that this kernel lacks.
    pub fn object(&self, name: &str) -> Result<Vec<u8>, String> {
        let (object, failure) = (self.objects.join(format!("{name}.o")), self.objects.join(format!("{name}.failed")));
        if let Ok(bytes) = fs::read(&object) {
            return Ok(bytes);
        }
        if let Ok(why) = fs::read_to_string(&failure) {
            return Err(why);
        }
        // Named at the end, so that an interruption leaves no half of an object.
        let unfinished = self.objects.join(format!("{name}.{}.unfinished", std::process::id()));
        let mut command = Command::new("clang");
        command.args(FLAGS);
        command.args(OPTIONS.iter().filter(|(source, _)| *source == name).map(|(_, option)| option));
        for directory in self.include_directories() {
            command.arg("-I").arg(directory);
        }
        if begins_with_types(&self.source(name)) && !OPTIONS.iter().any(|(source, _)| *source == name) {
            command.arg("-include-pch").arg(self.headers.join(PRECOMPILED));
        }
        command.args(["-idirafter", "/usr/include/x86_64-linux-gnu", "-c", "-o"]).arg(&unfinished);
        command.arg(self.source(name));
        let output = command.output().map_err(|error| format!("cannot run clang: {error}"))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let line = text.lines().find(|line| line.contains("error:")).unwrap_or("clang failed").to_owned();
            let _ = fs::remove_file(&unfinished);
            write(&failure, line.as_bytes())?;
            return Err(line);
        }
        fs::rename(&unfinished, &object).map_err(|error| format!("{}: {error}", object.display()))?;
        fs::read(&object).map_err(|error| format!("{}: {error}", object.display()))
    }
}

/// Whether the first directive of a source includes the types of the kernel: nothing before it can change their meaning.
fn begins_with_types(source: &Path) -> bool {
    let text = fs::read_to_string(source).unwrap_or_default();
    let first = text.lines().find(|line| line.starts_with('#')).unwrap_or_default();
    matches!(first.trim(), "#include \"vmlinux.h\"" | "#include <vmlinux.h>")
}

/// What objects depend on: the kernel with its types, and the compiler.
fn stamp() -> Result<String, String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").map_err(|error| format!("no release: {error}"))?;
    let version = fs::read_to_string("/proc/sys/kernel/version").unwrap_or_default();
    let clang = run(Command::new("clang").arg("--version"))?;
    Ok(format!("{kernel}{version}{}", String::from_utf8_lossy(&clang)))
}

fn unpack(cache: &Path) -> Result<(), String> {
    create(cache)?;
    let mut command = Command::new("tar");
    command.args(["-xJf", ARCHIVE, "--wildcards", "-C"]).arg(cache);
    run(command.args(NEEDED.iter().map(|pattern| format!("{ROOT}/{pattern}"))))?;
    Ok(())
}

/// `vmlinux.h` of the running kernel, and the headers of libbpf with that of the helpers.
fn make_headers(cache: &Path, headers: &Path) -> Result<(), String> {
    let sources = cache.join(ROOT);
    let types = run(Command::new("bpftool").args(["btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "c"]))?;
    write(&headers.join("vmlinux.h"), &types)?;
    let mut command = Command::new("clang");
    command.args(FLAGS).args(["-x", "c-header", "-o"]).arg(headers.join(PRECOMPILED)).arg(headers.join("vmlinux.h"));
    run(&mut command)?;
    let bpf = headers.join("bpf");
    create(&bpf)?;
    let helpers = run(Command::new("python3")
        .arg(sources.join("scripts/bpf_doc.py"))
        .args(["--header", "--file"])
        .arg(sources.join("tools/include/uapi/linux/bpf.h")))?;
    write(&bpf.join("bpf_helper_defs.h"), &helpers)?;
    let library = sources.join("tools/lib/bpf");
    let entries = fs::read_dir(&library).map_err(|error| format!("{}: {error}", library.display()))?;
    for entry in entries.flatten() {
        fs::copy(entry.path(), bpf.join(entry.file_name())).map_err(|error| format!("cannot copy headers: {error}"))?;
    }
    Ok(())
}

/// The output of a command that must succeed.
fn run(command: &mut Command) -> Result<Vec<u8>, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("cannot run {name}: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

fn create(directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| format!("cannot create {}: {error}", directory.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Whether the kernel's words are about what this kernel was built with or what programs are attached to, and not
/// about the program: that is no verdict.
pub fn is_about_the_machine(words: &str) -> bool {
    const STARTS: &[&str] = &["JIT ", "Kernel is missing BTF", "kernel btf_vmlinux is malformed"];
    const PARTS: &[&str] = &["attach_btf_id", "is not supported by the JIT", "JIT does not support"];
    STARTS.iter().any(|start| words.starts_with(start)) || PARTS.iter().any(|part| words.contains(part))
}
