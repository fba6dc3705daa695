//! The report: aligned text for people, JSON for programs.

use std::fmt::Write as _;

use crate::engine::Engine as _;
use crate::kernel::Kernel;
use crate::measure::{Measured, Row};

/// The program whose code is large, for the time to compile.
const BIG: &str = "tree";

/// The geometric mean of an engine's ratios to the kernel's JIT.
struct Mean {
    value: f64,
    /// Number of programs in it: fewer than those that count where the engine does not run all.
    programs: usize,
}

impl Measured {
    /// Position of the engine that ratios refer to.
    fn reference(&self) -> Option<usize> {
        self.engines.iter().position(|name| *name == Kernel.name())
    }

    fn ratio(&self, row: &Row, engine: usize) -> Option<f64> {
        let reference = row.cells[self.reference()?]?;
        Some(row.cells[engine]?.run / reference.run)
    }

    fn mean(&self, engine: usize) -> Option<Mean> {
        let counted = self.rows.iter().filter(|row| row.program.in_mean);
        let ratios: Vec<f64> = counted.filter_map(|row| self.ratio(row, engine)).collect();
        let logarithm = ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64;
        (!ratios.is_empty()).then(|| Mean { value: logarithm.exp(), programs: ratios.len() })
    }

    /// Nanoseconds to compile a slot: of the big program, and the median of all others.
    fn compile(&self, engine: usize) -> (Option<f64>, Option<f64>) {
        let time = |row: &Row| row.cells[engine].and_then(|cell| cell.compile);
        let big = self.rows.iter().find(|row| row.program.name == BIG).and_then(time);
        let mut small: Vec<f64> = self.rows.iter().filter(|row| row.program.name != BIG).filter_map(time).collect();
        small.sort_by(f64::total_cmp);
        (big, small.get(small.len() / 2).copied())
    }
}

/// The tables.
pub fn text(measured: &Measured) -> String {
    let mut out = String::new();
    let engines = 0..measured.engines.len();
    // Writing to a string cannot fail.
    let _ = write!(out, "{:<8}{:<19}{:>5}", "program", "one run", "slots");
    for name in &measured.engines {
        let _ = write!(out, "{name:>16}");
    }
    let _ = write!(out, "\n{:32}", "");
    for _ in engines.clone() {
        let _ = write!(out, "{:>9}{:>7}", "ns", "ratio");
    }
    out.push('\n');
    for row in &measured.rows {
        let mark = if row.program.in_mean { "" } else { " *" };
        let _ = write!(out, "{:<8}{:<19}{:>5}", format!("{}{mark}", row.program.name), row.program.work, row.slots);
        for engine in engines.clone() {
            let time = row.cells[engine].map(|cell| cell.run);
            let _ = write!(out, "{:>9}{:>7}", number(time), number_of_ratio(measured.ratio(row, engine)));
        }
        out.push('\n');
    }
    let means: Vec<_> = engines.clone().map(|engine| measured.mean(engine)).collect();
    let _ = write!(out, "{:32}", "geometric mean");
    for mean in &means {
        let _ = write!(out, "{:>16}", number_of_ratio(mean.as_ref().map(|mean| mean.value)));
    }
    let _ = write!(out, "\n{:32}", "  of so many programs");
    for mean in &means {
        let _ = write!(out, "{:>16}", mean.as_ref().map_or("-".to_owned(), |mean| mean.programs.to_string()));
    }
    out.push_str("\n\n* not in the mean\n\n");
    let compile: Vec<_> = engines.map(|engine| measured.compile(engine)).collect();
    let _ = write!(out, "{:32}", "compile, ns a slot: tree");
    for (big, _) in &compile {
        let _ = write!(out, "{:>16}", number(*big));
    }
    let _ = write!(out, "\n{:32}", "  median of the others");
    for (_, small) in &compile {
        let _ = write!(out, "{:>16}", number(*small));
    }
    out.push_str("\n\nratio: to the kernel's JIT. The kernel reports whole nanoseconds; its time to compile is that of maps, verifier\n");
    let _ = writeln!(out, "and JIT together. The least of {} rounds counts.", measured.rounds);
    for (what, reason) in &measured.skipped {
        let _ = writeln!(out, "SKIPPED: {what}: {reason}");
    }
    out
}

fn number(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| if value < 1000.0 { format!("{value:.1}") } else { format!("{value:.0}") })
}

fn number_of_ratio(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value < 10.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.1}"),
    }
}

/// One JSON object on one line. Times are in nanoseconds; what was not measured is null.
pub fn json(measured: &Measured) -> String {
    let engines = || measured.engines.iter().enumerate();
    let programs = list(&measured.rows, |row| {
        let cells = list(engines(), |(engine, name)| {
            let cell = row.cells[engine];
            format!(
                "{}:{{\"ns\":{},\"ratio\":{},\"compile_ns_per_slot\":{}}}",
                quoted(name),
                float(cell.map(|cell| cell.run)),
                float(measured.ratio(row, engine)),
                float(cell.and_then(|cell| cell.compile))
            )
        });
        let (name, in_mean, slots) = (quoted(row.program.name), row.program.in_mean, row.slots);
        format!("{{\"name\":{name},\"in_mean\":{in_mean},\"slots\":{slots},\"engines\":{{{cells}}}}}")
    });
    let means = list(engines(), |(engine, name)| {
        let mean = measured.mean(engine);
        let programs = mean.as_ref().map_or(0, |mean| mean.programs);
        format!("{}:{{\"ratio\":{},\"programs\":{programs}}}", quoted(name), float(mean.map(|mean| mean.value)))
    });
    let skipped = list(&measured.skipped, |(what, reason)| {
        format!("{{\"what\":{},\"reason\":{}}}", quoted(what), quoted(reason))
    });
    let rounds = measured.rounds;
    format!("{{\"rounds\":{rounds},\"programs\":[{programs}],\"geometric_mean\":{{{means}}},\"skipped\":[{skipped}]}}")
}

fn list<T>(items: impl IntoIterator<Item = T>, form: impl FnMut(T) -> String) -> String {
    items.into_iter().map(form).collect::<Vec<_>>().join(",")
}

fn float(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or("null".to_owned(), |value| format!("{value:.3}"))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
