//! Places in programs and libraries at which scripts are, in all the ways in which they are written and attached.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{skep, skip};

/// Whether programs can be traced here.
fn able() -> bool {
    let able = skep_kernel::has_capability(skep_kernel::Capability::SysAdmin);
    if !able {
        skip("tracing needs CAP_SYS_ADMIN");
    }
    able
}

/// What the C compiler makes of a text, with these options.
fn compiled(directory: &Path, name: &str, options: &[&str], text: &str) -> Option<PathBuf> {
    let (source, binary) = (directory.join(format!("{name}.c")), directory.join(name));
    fs::write(&source, text).unwrap();
    let made = Command::new("cc").args(options).arg("-o").arg(&binary).arg(&source).status();
    if !made.is_ok_and(|status| status.success()) {
        skip("there is no C compiler `cc`");
        return None;
    }
    Some(binary)
}

/// An archive with one stored file, which begins at a page (APPNOTE.TXT of PKWARE, 4.3). The offset of the file.
fn archive(name: &str, content: &[u8]) -> (Vec<u8>, usize) {
    const PAGE: usize = 4096;
    let size = u32::try_from(content.len()).unwrap().to_le_bytes();
    let padding = u16::try_from(PAGE - 30 - name.len()).unwrap().to_le_bytes();
    let length = u16::try_from(name.len()).unwrap().to_le_bytes();
    let mut bytes = [&b"PK\x03\x04\x0a\0"[..], &[0; 12], &size, &size, &length, &padding, name.as_bytes()].concat();
    bytes.resize(PAGE, 0);
    bytes.extend(content);
    let start = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let row =
        [&b"PK\x01\x02\x0a\0\x0a\0"[..], &[0; 12], &size, &size, &length, &[0; 12], &[0; 4], name.as_bytes()].concat();
    bytes.extend(&row);
    let row_size = u32::try_from(row.len()).unwrap().to_le_bytes();
    bytes.extend([&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &row_size, &start, &[0; 2]].concat());
    (bytes, PAGE)
}

/// A function of a library that a program maps out of an archive, as Android's loader does.
#[test]
fn libraries_in_archives() {
    if !able() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let text = "int work(int n) { return n * 2; }\n";
    let options = ["-O1", "-shared", "-nostdlib", "-fPIC", "-fcf-protection=none"];
    let Some(library) = compiled(directory.path(), "libwork.so", &options, text) else { return };
    let content = fs::read(&library).unwrap();
    let (bytes, start) = archive("lib/libwork.so", &content);
    let archive = directory.path().join("base.apk");
    fs::write(&archive, bytes).unwrap();

    let symbols = skep_sym::Binary::open(&library).unwrap();
    let offset = symbols.offset(symbols.function("work").unwrap().address).unwrap();
    let text = "#include <fcntl.h>\n#include <stdlib.h>\n#include <sys/mman.h>\n\
        int main(int argc, char **argv) {\n\
            long at = atol(argv[2]), page = at & -4096;\n\
            char *code = mmap(0, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE, open(argv[1], O_RDONLY), page);\n\
            if (code == MAP_FAILED) return 2;\n\
            int (*work)(int) = (int (*)(int))(code + (at - page)), sum = 0;\n\
            for (int i = 0; i < 10; i++) sum += work(i);\n\
            return sum == 90 ? 0 : 3;\n\
        }\n";
    let Some(program) = compiled(directory.path(), "mapper", &["-O1"], text) else { return };
    let at = start as u64 + offset;
    let script = format!(
        "uprobe:{archive}!/lib/libwork.so:work {{ @sum = sum(arg0); @calls = count(); }}",
        archive = archive.display()
    );
    let call = format!("{} {} {at}", program.display(), archive.display());
    let run = skep(["run", "-c", &call, "-e", &script]).ok();
    assert!(run.out.contains("@sum: 45\n") && run.out.contains("@calls: 10\n"), "{run:?}");

    let script = format!("uprobe:{}!/lib/nothing.so:work {{ }}", archive.display());
    let run = skep(["run", "-e", &script]);
    assert!(run.status != Some(0) && run.err.contains("holds no file `lib/nothing.so`"), "{run:?}");
}

/// With and without a link for many places, scripts count the same.
#[test]
fn many_places_and_no_feature() {
    if !able() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let functions: String = (0..20)
        .map(|number| {
            format!("__attribute__((noinline)) int work{number}(int n) {{ __asm__ volatile(\"\"); return n; }}\n")
        })
        .collect();
    let calls: String = (0..20).map(|number| format!("work{number}(i);")).collect();
    let text = format!("{functions}int main(void) {{ for (int i = 0; i < 5; i++) {{ {calls} }} return 0; }}\n");
    let Some(program) = compiled(directory.path(), "many", &["-O1"], &text) else { return };
    let program = program.display().to_string();
    let script = format!("uprobe:{program}:work* {{ @sum = sum(arg0); @calls[reg(\"ip\") & 4095] = count(); }}");
    let mut counted = Vec::new();
    for without in ["kprobe_session", "uprobe_multi", "kprobe_multi,uprobe_multi"] {
        let run = skep(["run", "--no-feature", without, "-c", &program, "-e", &script]).ok();
        assert!(run.out.contains("@sum: 200\n"), "{without}: {run:?}");
        let mut lines: Vec<String> =
            run.out.lines().filter(|line| line.contains("@calls")).map(str::to_owned).collect();
        lines.sort_unstable();
        assert_eq!(lines.len(), 20, "{without}: {run:?}");
        assert!(lines.iter().all(|line| line.ends_with("]: 5")), "{without}: {run:?}");
        counted.push(lines);
        let plan = skep(["run", "--no-feature", without, "-d", "plan", "-e", &script]).ok();
        assert_eq!(plan.out.contains("many: true"), without == "kprobe_session", "{without}: {plan:?}");
    }
    assert!(counted.windows(2).all(|pair| pair[0] == pair[1]));
    let wrong = skep(["run", "--no-feature", "btf_multi", "-e", "begin { }"]);
    assert!(wrong.status != Some(0) && wrong.err.contains("uprobe_multi"), "{wrong:?}");
}
