//! Which crate may use which: the table of the design, held against `cargo metadata`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::tidy::Findings;

/// Every crate with the crates of this workspace that it may use. Data runs down the hourglass and never back.
// TABLE: add a row for a new crate; ARCHITECTURE.md has the picture.
const ALLOWED: &[(&str, &[&str])] = &[
    ("isa", &[]),
    ("proto", &[]),
    ("diag", &[]),
    ("domain", &[]),
    ("btf", &[]),
    ("object", &["isa", "btf"]),
    ("ir", &["isa", "btf", "diag"]),
    ("codegen", &["ir", "object", "isa", "btf"]),
    ("opt", &["ir", "domain"]),
    ("lang-filter", &["isa", "diag", "proto", "object"]),
    ("lang-script", &["isa", "btf", "diag", "ir"]),
    ("lang-c", &["isa", "btf", "diag", "ir"]),
    ("cc", &["isa", "btf", "ir", "lang-c", "opt", "codegen", "object"]),
    ("lang-probe", &["diag", "lang-script"]),
    ("packet", &["isa", "proto"]),
    ("verifier", &["isa", "object", "btf", "domain"]),
    ("vm", &["isa", "object", "verifier"]),
    ("kernel", &["object", "btf", "isa", "diag"]),
    ("debug", &["object", "isa", "btf", "verifier", "vm"]),
    ("trace", &["isa", "lang-script", "kernel", "vm", "sym"]),
    ("strace", &["isa", "btf", "object", "ir", "opt", "codegen", "kernel", "trace"]),
    ("sym", &["kernel"]),
    ("tools", &["isa", "object", "kernel", "lang-script", "trace", "strace"]),
    (
        "firewall",
        &["isa", "btf", "diag", "object", "ir", "opt", "codegen", "kernel", "verifier", "vm", "lang-filter", "packet"],
    ),
    ("random", &[]),
    ("testkit", EVERYTHING),
    ("cli", EVERYTHING),
    ("xtask", &[]),
];

/// Stands for "any crate".
const EVERYTHING: &[&str] = &["*"];

/// A package of the workspace with its direct dependencies.
#[derive(Debug)]
pub struct Package {
    /// The name without `skep-`.
    pub name: String,
    /// Its dependencies in the order of the manifest.
    pub uses: Vec<Use>,
}

/// One dependency.
#[derive(Debug)]
pub struct Use {
    /// The name, for crates of this workspace without `skep-`.
    pub name: String,
    /// True for a crate of this workspace.
    pub ours: bool,
    /// True for a dependency of tests and benches only.
    pub dev: bool,
}

/// Asks cargo for the packages of the workspace.
///
/// # Errors
/// A message if cargo cannot be run or says something unexpected.
pub fn metadata(root: &Path) -> Result<Vec<Package>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cannot run cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let value: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata printed no JSON: {error}"))?;
    let list = value["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    Ok(list.iter().map(package).collect())
}

fn package(value: &Value) -> Package {
    let uses = value["dependencies"].as_array().into_iter().flatten().map(|dependency| Use {
        name: short(&dependency["name"]),
        ours: dependency["path"].is_string(),
        dev: dependency["kind"] == "dev",
    });
    Package { name: short(&value["name"]), uses: uses.collect() }
}

fn short(name: &Value) -> String {
    let name = name.as_str().unwrap_or_default();
    name.strip_prefix("skep-").unwrap_or(name).to_owned()
}

/// Reports forbidden directions, crates without a row, and foreign crates without a reason in `reasons`.
pub fn check(packages: &[Package], reasons: &str, findings: &mut Findings) {
    for package in packages {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
            findings.error(format!("crate `{}` has no row in the table of xtask/src/dependencies.rs", package.name));
            continue;
        };
        for used in &package.uses {
            check_use(package, used, allowed, reasons, findings);
        }
    }
}

fn check_use(package: &Package, used: &Use, allowed: &[&str], reasons: &str, findings: &mut Findings) {
    let user = &package.name;
    let name = &used.name;
    if !used.ours {
        if !reasons.contains(&format!("`{name}`")) {
            findings.error(format!("`{user}` depends on `{name}`, for which DEPENDENCIES.md gives no reason"));
        }
        return;
    }
    if used.dev {
        return;
    }
    if name == "testkit" || name == "random" {
        findings.error(format!("`{user}` uses `{name}` outside its tests"));
    } else if *allowed != *EVERYTHING && !allowed.contains(&name.as_str()) {
        findings.error(format!("`{user}` may not use `{name}`; it may use: {}", allowed.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, used: &str, ours: bool, dev: bool) -> Vec<String> {
        let uses = vec![Use { name: used.to_owned(), ours, dev }];
        let mut findings = Findings::default();
        check(&[Package { name: name.to_owned(), uses }], "- `libc`: system calls\n", &mut findings);
        findings.errors
    }

    #[test]
    fn directions_are_enforced() {
        assert_eq!(findings("isa", "kernel", true, false), ["`isa` may not use `kernel`; it may use: "]);
        assert_eq!(findings("packet", "kernel", true, false).len(), 1);
        assert_eq!(findings("packet", "proto", true, false).len(), 0);
        assert_eq!(findings("cli", "kernel", true, false).len(), 0);
        assert_eq!(findings("packet", "vm", true, true).len(), 0);
        assert_eq!(findings("cli", "testkit", true, false).len(), 1);
        assert_eq!(findings("nosuch", "isa", true, false).len(), 1);
    }

    #[test]
    fn foreign_crates_need_a_reason() {
        assert_eq!(findings("kernel", "libc", false, false).len(), 0);
        assert_eq!(findings("kernel", "left-pad", false, true).len(), 1);
    }

    #[test]
    fn rows_name_existing_rows() {
        for (name, uses) in ALLOWED {
            for used in *uses {
                assert!(*used == "*" || ALLOWED.iter().any(|(other, _)| other == used), "{name} uses {used}");
            }
        }
    }
}
