//! Rules of other firewalls as ours, ours for nft, and units of systemd.

use std::io::{self, Read as _};
use std::path::Path;

use skep_firewall::import::{self, Import};

use super::{live, print, read_rules, text_of};
use crate::args::{ExportArgs, ImportArgs, UnitPart};
use crate::failure::{Failure, note, say_part};

/// Prints the rules of another firewall as ours.
pub fn import(args: &ImportArgs) -> Result<(), Failure> {
    let mut text = String::new();
    // Lines are counted in all files together.
    let mut begins = Vec::new();
    for file in &args.files {
        begins.push((text.lines().count(), file));
        if file == Path::new("-") {
            let read = io::stdin().read_to_string(&mut text);
            read.map_err(|error| Failure::Run(format!("cannot read standard input: {error}")))?;
        } else {
            text.push_str(&text_of(file)?);
        }
        text.push('\n');
    }
    let is_listing = import::is_listing(&text);
    if is_listing && args.files.len() > 1 {
        return Err(Failure::Run("what `nft -j list ruleset` printed is imported alone: give one file".to_owned()));
    }
    let place = |line: usize| {
        let (begin, file) = begins.iter().rfind(|(begin, _)| *begin < line).or(begins.first())?;
        let file = if *file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
        Some(match line.saturating_sub(*begin) {
            0 => file,
            line if is_listing => format!("{file}: rule {line}"),
            line => format!("{file}:{line}"),
        })
    };
    let place = |line| place(line).unwrap_or_default();
    let read: Result<Import, (usize, String)> = if is_listing {
        import::nft(&text)
    } else if import::is_added(&text) {
        Ok(import::ufw(&text))
    } else {
        import::iptables(&text)
    };
    let import = read.map_err(|(line, why)| Failure::Run(format!("{}: {why}", place(line))))?;
    for remark in &import.different {
        say_part!("note: {}: {}\n  {}\n", place(remark.line), remark.why, remark.text);
    }
    for remark in &import.missing {
        say_part!("not imported: {}: {}\n  {}\n", place(remark.line), remark.why, remark.text);
    }
    match import.missing.len() {
        0 => {}
        number if args.partial => note(&format!("lines that are not in the rules: {number}")),
        number => {
            let refused = format!("lines that cannot be imported: {number}; --partial prints the rules without them");
            return Err(Failure::Run(refused));
        }
    }
    print(&import.to_string())
}

/// Prints the rules in force, or those of a file, as ours or for nft.
pub fn export(args: &ExportArgs) -> Result<(), Failure> {
    let rules = match &args.file {
        Some(file) => read_rules(file)?,
        None => live()?.list().map_err(Failure::run)?.set,
    };
    if !args.nft {
        return print(&rules.to_string());
    }
    let export = skep_firewall::export::nft(&rules);
    for (at, why) in &export.missing {
        say_part!("not exported: rule {}: {why}\n  {}\n", at + 1, rules.rules[*at]);
    }
    match export.missing.len() {
        0 => {}
        number if args.partial => note(&format!("rules that are not in the script: {number}")),
        number => {
            let refused = format!("rules that cannot be exported: {number}; --partial prints the script without them");
            return Err(Failure::Run(refused));
        }
    }
    print(&export.text)
}

/// Prints a unit: one that applies the rules file before the network is up, or one that looks names up when it is.
pub fn unit(part: UnitPart) -> Result<(), Failure> {
    let own = std::env::current_exe().map_err(|error| Failure::Run(format!("where this program is: {error}")))?;
    let own = own.display();
    print(&match part {
        UnitPart::Rules => format!(
            "[Unit]\nDescription=skep firewall\nDefaultDependencies=no\nRequiresMountsFor=/sys/fs/bpf\n\
             After=local-fs.target systemd-modules-load.service systemd-udev-settle.service\n\
             Wants=network-pre.target systemd-udev-settle.service\nBefore=network-pre.target shutdown.target\n\
             Conflicts=shutdown.target\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
             ExecStart={own} firewall apply /etc/skep/firewall.skep\nExecReload={own} firewall apply /etc/skep/firewall.skep\n\
             \n[Install]\nWantedBy=sysinit.target\n"
        ),
        UnitPart::Names => format!(
            "[Unit]\nDescription=Names in sets of the skep firewall\nWants=network-online.target nss-lookup.target\n\
             After=network-online.target nss-lookup.target skep-firewall.service\n\n[Service]\nType=oneshot\nKillMode=process\n\
             ExecStart={own} firewall refresh\n"
        ),
        UnitPart::Timer => "[Unit]\nDescription=Names in sets of the skep firewall\n\n[Timer]\nOnBootSec=10s\n\
             OnUnitActiveSec=5min\n\n[Install]\nWantedBy=timers.target\n"
            .to_owned(),
    })
}
