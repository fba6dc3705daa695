//! Lines of `printf()` with three fields into a buffer: `cargo bench -p skep-trace`.
//!
//! Prints lines a second on one core. The aim is three million.

use std::error::Error;
use std::hint::black_box;
use std::io;
use std::time::Instant;

use skep_lang_script::plan::{Action, Plan, PrintTo, Shape, lay_out};
use skep_trace::events::{Buffering, Dispatcher, Form, Output, Script};
use skep_trace::maps::{MapEntry, MapSource, SourceError};
use skep_trace::names::{Clock, Names, NoSymbols};

const LINES: u32 = 3_000_000;
const ROUNDS: usize = 5;

/// The script has no maps.
struct NoMaps;

impl MapSource for NoMaps {
    fn entries(&mut self, _map: usize) -> Result<Vec<MapEntry>, SourceError> {
        Ok(Vec::new())
    }
    fn entry(&mut self, _map: usize, _key: &[u8]) -> Result<Option<Vec<Vec<u8>>>, SourceError> {
        Ok(None)
    }
    fn clear(&mut self, _map: usize) -> Result<(), SourceError> {
        Ok(())
    }
    fn zero(&mut self, _map: usize) -> Result<(), SourceError> {
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo test --all-targets` runs benches too; they have nothing to prove there.
    if !std::env::args().any(|arg| arg == "--bench") {
        return Ok(());
    }
    let int = |bytes| Shape::Int { bytes, signed: true };
    let args = lay_out(8, [int(4), Shape::Text(16), int(8)]);
    let print = Action::Print { to: PrintTo::Output, format: "%d %s %d\n".into(), args };
    let plan = Plan { actions: vec![print], ..Plan::default() };
    let mut record = vec![0; 8];
    record.extend_from_slice(&123_456i32.to_le_bytes());
    record.extend_from_slice(b"wrtest\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    record.extend_from_slice(&4096i64.to_le_bytes());
    for (name, form) in [("text", Form::Text), ("json", Form::Json)] {
        let best = (0..ROUNDS).map(|_| round(&plan, &record, form)).collect::<Result<Vec<_>, _>>()?;
        let best = best.into_iter().fold(f64::INFINITY, f64::min);
        println!(
            "{name}: {:.1} million lines a second, {:.0} ns a line",
            f64::from(LINES) / best / 1e6,
            best * 1e9 / f64::from(LINES)
        );
    }
    Ok(())
}

fn round(plan: &Plan, record: &[u8], form: Form) -> Result<f64, Box<dyn Error>> {
    let output = Output::new(form, Buffering::Full, Box::new(io::sink()), Box::new(io::sink()));
    let names = Names::new(Box::new(NoSymbols), Clock::fixed(0));
    let mut dispatcher = Dispatcher::new(plan, Script::default(), names, output)?;
    let start = Instant::now();
    for _ in 0..LINES {
        dispatcher.record(black_box(record), &mut NoMaps)?;
    }
    Ok(start.elapsed().as_secs_f64())
}
