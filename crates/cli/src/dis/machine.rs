//! Machine code: through `objdump` where that is installed, else as bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use skep_kernel::inventory::{KernelCode, MachineFunction};

use super::source;
use crate::args::DisArgs;
use crate::failure::Failure;
use crate::text;
use crate::vm::json::{Json, list, quoted};

/// Bytes on a line of plain code.
const ROW: usize = 16;

/// An instruction: its distance from the start of the function in bytes, its bytes, its text (empty if nobody could read
/// it).
struct Decoded {
    at: u64,
    bytes: Vec<u8>,
    text: String,
}

/// Prints the machine code of a program.
pub fn print(code: &KernelCode, args: &DisArgs) -> Result<(), Failure> {
    if code.machine.is_empty() {
        return Err(Failure::Run(
            "the kernel shows no machine code: the program is interpreted (`sysctl net.core.bpf_jit_enable`), or \
             CAP_PERFMON or `sysctl -w kernel.kptr_restrict=0` is missing"
                .to_owned(),
        ));
    }
    let functions: Vec<String> = code.machine.iter().map(|function| shown(function, args)).collect();
    text::print(&if args.json { format!("{}\n", list(functions)) } else { functions.join("\n") })
}

fn shown(function: &MachineFunction, args: &DisArgs) -> String {
    let decoded = disassemble(function).unwrap_or_else(|| plain(function));
    if args.json {
        let one = |insn: &Decoded| {
            let object = Json::object().raw("at", insn.at).hex("opcodes", &insn.bytes).text("text", &insn.text);
            match function.lines.iter().find(|(at, _)| *at == insn.at) {
                Some((_, line)) => object.text("source", &source(line)).end(),
                None => object.end(),
            }
        };
        let object = Json::object().text("name", &function.name);
        let object = object.raw("address", quoted(&format!("{:#x}", function.address)));
        return object.raw("insns", list(decoded.iter().map(one))).end();
    }
    let mut out = format!("{}: {:#x}, {} bytes\n", function.name, function.address, function.code.len());
    let mut lines = function.lines.iter().peekable();
    for insn in &decoded {
        while let Some((_, line)) = lines.next_if(|(at, _)| *at < insn.at + insn.bytes.len() as u64) {
            if !line.text.trim().is_empty() {
                out.push_str(&format!("; {}\n", source(line)));
            }
        }
        let bytes = insn.bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        match insn.text.as_str() {
            "" => out.push_str(&format!("{:5x}: {bytes}\n", insn.at)),
            text if args.opcodes => out.push_str(&format!("{:5x}: {bytes:30}  {text}\n", insn.at)),
            text => out.push_str(&format!("{:5x}: {text}\n", insn.at)),
        }
    }
    out
}

/// The code as bytes; a row ends where a source line begins.
fn plain(function: &MachineFunction) -> Vec<Decoded> {
    let mut rows = Vec::new();
    let mut at = 0;
    while at < function.code.len() {
        let next = function.lines.iter().map(|(start, _)| *start as usize).find(|start| *start > at);
        let end = (at + ROW).min(next.unwrap_or(usize::MAX)).min(function.code.len());
        rows.push(Decoded { at: at as u64, bytes: function.code[at..end].to_vec(), text: String::new() });
        at = end;
    }
    rows
}

/// A file that goes away.
struct Scratch(PathBuf);

impl Scratch {
    fn with(bytes: &[u8]) -> Option<Self> {
        use std::io::Write as _;
        let base = std::env::temp_dir();
        for attempt in 0..16 {
            let path = base.join(format!("skep-code-{}-{attempt}", std::process::id()));
            // Never through a link that somebody else has put there.
            let Ok(mut file) = fs::OpenOptions::new().write(true).create_new(true).open(&path) else { continue };
            let scratch = Self(path);
            file.write_all(bytes).ok()?;
            return Some(scratch);
        }
        None
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Lets `objdump` read the code; `None` if it is not installed or does not know the machine.
fn disassemble(function: &MachineFunction) -> Option<Vec<Decoded>> {
    let machine = match std::env::consts::ARCH {
        "x86_64" => "i386:x86-64",
        "aarch64" => "aarch64",
        "riscv64" => "riscv:rv64",
        _ => return None,
    };
    let file = Scratch::with(&function.code)?;
    let mut command = Command::new("objdump");
    command.args(["-D", "-w", "-b", "binary", "-m", machine]).arg("--adjust-vma").arg(function.address.to_string());
    let output = command.arg(file.path()).env("LC_ALL", "C").output().ok().filter(|output| output.status.success())?;
    let insns: Vec<Decoded> =
        String::from_utf8_lossy(&output.stdout).lines().filter_map(|text| line(text, function)).collect();
    // All of the code, or the text is not what we take it for.
    let read: usize = insns.iter().map(|insn| insn.bytes.len()).sum();
    (read == function.code.len()).then_some(insns)
}

/// `ffffffffc0201000:<tab>f3 0f 1e fa <tab>endbr64`
fn line(text: &str, function: &MachineFunction) -> Option<Decoded> {
    let mut parts = text.splitn(3, '\t');
    let address = u64::from_str_radix(parts.next()?.trim().strip_suffix(':')?, 16).ok()?;
    let at = address.checked_sub(function.address)?;
    let code = function.code.get(usize::try_from(at).ok()?..)?;
    // Words of other machines come in one piece; only their number of digits counts.
    let digits = parts.next()?.chars().filter(char::is_ascii_hexdigit).count();
    let text = parts.next().unwrap_or("(bad)").split_whitespace().collect::<Vec<_>>().join(" ");
    Some(Decoded { at, bytes: code.get(..digits / 2)?.to_vec(), text })
}
