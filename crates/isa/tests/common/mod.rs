//! Loads programs into the running kernel, through a few lines of Python so that this crate needs no system calls.

use std::fmt::Write as _;
use std::process::Command;

use skep_isa::ebpf::{Endian, Insn, to_bytes};

/// What the kernel said about one program.
#[allow(dead_code, reason = "each test file uses a part")]
pub struct Verdict {
    /// Whether it was accepted.
    pub accepted: bool,
    /// Text of the first instruction in the log, empty if the verifier did not get that far.
    pub first: String,
    /// Last line of the log that is no statistics.
    pub last: String,
}

/// Loads each program (one line of hex digits) as a socket filter.
///
/// Prints whether it was accepted, the first instruction in the log, and the last line that is no statistics.
const LOAD: &str = r#"
import ctypes, os, platform, re, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
number = {"x86_64": 321, "aarch64": 280}[platform.machine()]
log = ctypes.create_string_buffer(1 << 24)
gpl = ctypes.create_string_buffer(b"GPL")
level = int(sys.argv[2])
for text in open(sys.argv[1]):
    code = bytes.fromhex(text)
    insns = ctypes.create_string_buffer(code)
    log[0] = b"\0"
    fields = (1, len(code) // 8, ctypes.addressof(insns), ctypes.addressof(gpl), level, len(log), ctypes.addressof(log))
    attr = ctypes.create_string_buffer(struct.pack("=IIQQIIQ", *fields), 128)
    fd = libc.syscall(number, 5, attr, 128)
    if fd >= 0:
        os.close(fd)
    elif ctypes.get_errno() == 1:
        sys.exit(9)
    found = re.search(rb"^0: (\([0-9a-f]{2}\) .*?) *(?:;.*)?$", log.value, re.M)
    first = found.group(1).decode() if found else ""
    rest = [line for line in log.value.decode().splitlines() if not re.match("processed |verification|stack depth", line)]
    print("yes" if fd >= 0 else "no", first, rest[-1] if rest else os.strerror(ctypes.get_errno()), sep="\t")
"#;

/// Loads every program as a socket filter; `None`, with a note, where that is not possible.
///
/// `level` 2 makes the log show instructions, 1 only errors.
pub fn load(programs: &[Vec<Insn>], level: u32) -> Option<Vec<Verdict>> {
    let mut input = String::new();
    for insns in programs {
        for byte in to_bytes(insns, Endian::NATIVE) {
            let _ = write!(input, "{byte:02x}");
        }
        input.push('\n');
    }
    let name = format!("skep-isa-load-{}-{:?}", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, input).unwrap();
    let result = Command::new("python3").args(["-c", LOAD]).arg(&file).arg(level.to_string()).output();
    std::fs::remove_file(&file).unwrap();
    let output = match result {
        Ok(output) if output.status.success() => output,
        Ok(output) if output.status.code() == Some(9) => return skip("loading programs is not permitted; run as root"),
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => return skip(&format!("python3 cannot be run: {error}")),
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let verdicts: Vec<Verdict> = text.lines().map(verdict).collect();
    assert_eq!(verdicts.len(), programs.len());
    Some(verdicts)
}

fn verdict(line: &str) -> Verdict {
    let mut fields = line.splitn(3, '\t').map(str::to_owned);
    let mut next = || fields.next().unwrap();
    Verdict { accepted: next() == "yes", first: next(), last: next() }
}

/// Notes that a test cannot run, or fails if it must.
fn skip<T>(reason: &str) -> Option<T> {
    let required = std::env::var_os("SKEP_REQUIRE_KERNEL").is_some_and(|value| value == "1");
    assert!(!required, "{reason}");
    println!("SKIPPED: {reason}");
    None
}
