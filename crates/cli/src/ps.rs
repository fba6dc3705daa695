//! `skep ps`: the programs in the kernel. Finding them and what belongs to them is done by `skep_kernel::inventory`.

use std::io::{self, IsTerminal};
use std::thread;
use std::time::Duration;

use skep_isa::ProgType;
use skep_kernel::inventory::{ProgramRow, Rate, Sample, Survey, average, uptime};
use skep_kernel::{Keys, LoadedProgram, enable_stats, terminal_size};

use crate::args::PsArgs;
use crate::failure::Failure;
use crate::observe::table::{Side, Table};
use crate::observe::{bytes, failure, holders, json_holders, short, span, survey};
use crate::text::print;
use crate::vm::json::{Json, list};

/// Pictures of `--top` between two looks at everything; in between only counters are read.
const SURVEY_EVERY: u64 = 5;

/// Lists programs.
pub fn run(args: &PsArgs) -> Result<(), Failure> {
    let wanted = Wanted::new(args)?;
    let interval = Duration::from_secs(args.interval);
    if args.top {
        return top(args, &wanted, interval);
    }
    let counting = if args.stats { Some(enable_stats().map_err(failure)?) } else { None };
    let mut rows = wanted.rows(&survey()?)?;
    let rates = match &counting {
        None => None,
        Some(_) => {
            let before = counters(&mut rows);
            thread::sleep(interval);
            let now = counters(&mut rows);
            Some(rows.iter().map(|row| now.rate(&before, row.info.id)).collect::<Vec<Rate>>())
        }
    };
    let rates = rates.as_deref();
    print(&if args.json { json(&rows, rates) } else { text(&rows, rates) })
}

/// Which programs are shown.
struct Wanted<'a> {
    args: &'a PsArgs,
}

impl<'a> Wanted<'a> {
    fn new(args: &'a PsArgs) -> Result<Self, Failure> {
        if let Some(kind) = &args.kind
            && ProgType::from_name(kind).is_none()
        {
            let names: Vec<&str> = ProgType::ALL.iter().map(|kind| kind.name()).collect();
            return Err(Failure::Usage(format!("there is no program type `{kind}`; there are: {}", names.join(", "))));
        }
        Ok(Self { args })
    }

    fn rows(&self, survey: &Survey) -> Result<Vec<ProgramRow>, Failure> {
        let args = self.args;
        if let Some(id) = args.id {
            // Says what is wrong if there is none.
            LoadedProgram::by_id(id).map_err(failure)?;
        }
        let mut rows = ProgramRow::all(survey).map_err(failure)?;
        rows.retain(|row| {
            args.id.is_none_or(|id| row.info.id == id)
                && args.name.as_ref().is_none_or(|name| row.is_named(name))
                && args.kind.as_ref().is_none_or(|kind| row.type_name() == *kind)
                && args.pid.is_none_or(|pid| row.holders.iter().any(|(holder, _)| *holder == pid))
        });
        Ok(rows)
    }
}

/// Reads the counters of the programs again.
fn counters(rows: &mut [ProgramRow]) -> Sample {
    for row in rows.iter_mut() {
        if let Ok(info) = LoadedProgram::by_id(row.info.id).and_then(|program| program.info()) {
            row.info = info;
        }
    }
    Sample::of(rows.iter().map(|row| &row.info))
}

fn places(row: &ProgramRow) -> String {
    row.places.iter().map(|place| place.words()).collect::<Vec<_>>().join(", ")
}

fn age(row: &ProgramRow) -> Option<Duration> {
    uptime().map(|now| now.saturating_sub(row.info.loaded_at))
}

/// The table. Counters are shown if there are some; with rates those of the interval.
fn text(rows: &[ProgramRow], rates: Option<&[Rate]>) -> String {
    let mut table = Table::new(&[
        ("ID", Side::Right),
        ("TYPE", Side::Left),
        ("NAME", Side::Left),
        ("INSNS", Side::Right),
        ("MEMORY", Side::Right),
        ("AGE", Side::Right),
        (if rates.is_some() { "RUNS/S" } else { "RUNS" }, Side::Right),
        ("TIME", Side::Right),
        ("AVERAGE", Side::Right),
        ("CPU", Side::Right),
        ("ATTACHED TO", Side::Left),
        ("HELD BY", Side::Left),
    ]);
    for (number, row) in rows.iter().enumerate() {
        let info = &row.info;
        let [runs, time, mean, share] = match rates.and_then(|rates| rates.get(number)) {
            Some(rate) => [
                format!("{:.0}", rate.runs_per_second),
                String::new(),
                short(rate.average),
                format!("{:.2}%", rate.cpu_percent),
            ],
            None if info.run_count > 0 => [
                info.run_count.to_string(),
                short(info.run_time),
                short(average(info.run_time, info.run_count)),
                String::new(),
            ],
            None => Default::default(),
        };
        let insns = if info.translated_bytes > 0 { (info.translated_bytes / 8).to_string() } else { String::new() };
        table.row([
            info.id.to_string(),
            row.type_name(),
            row.name.clone(),
            insns,
            row.memory.map(bytes).unwrap_or_default(),
            age(row).map(span).unwrap_or_default(),
            runs,
            time,
            mean,
            share,
            places(row),
            holders(&row.holders, &row.pins),
        ]);
    }
    if rows.is_empty() { "no programs\n".to_owned() } else { table.text() }
}

fn json(rows: &[ProgramRow], rates: Option<&[Rate]>) -> String {
    let one = |(number, row): (usize, &ProgramRow)| {
        let info = &row.info;
        let tag: String = info.tag.iter().map(|byte| format!("{byte:02x}")).collect();
        let places = row.places.iter().map(|place| {
            let object = Json::object().text("kind", &place.kind).text("place", &place.place);
            match place.link {
                Some(link) => object.raw("link", link).end(),
                None => object.end(),
            }
        });
        let mut object = Json::object()
            .raw("id", info.id)
            .text("type", &row.type_name())
            .text("name", &row.name)
            .text("tag", &tag)
            .raw("uid", info.uid)
            .raw("gpl_compatible", info.gpl_compatible)
            .raw("insns", info.translated_bytes / 8)
            .raw("bytes_jited", info.machine_bytes);
        if let Some(memory) = row.memory {
            object = object.raw("bytes_memory", memory);
        }
        if let Some(age) = age(row) {
            object = object.raw("age_seconds", age.as_secs());
        }
        object = object
            .raw("run_count", info.run_count)
            .raw("run_time_ns", info.run_time.as_nanos())
            .raw("average_ns", average(info.run_time, info.run_count).as_nanos())
            .raw("recursion_misses", info.recursion_misses);
        if let Some(rate) = rates.and_then(|rates| rates.get(number)) {
            object = object
                .raw("runs_per_second", format!("{:.3}", rate.runs_per_second))
                .raw("cpu_percent", format!("{:.6}", rate.cpu_percent));
        }
        object = object.raw("maps", list(info.map_ids.iter().map(u32::to_string))).raw("attached", list(places));
        json_holders(object, &row.holders, &row.pins).end()
    };
    format!("{}\n", list(rows.iter().enumerate().map(one)))
}

/// The busiest programs first, again and again.
fn top(args: &PsArgs, wanted: &Wanted<'_>, interval: Duration) -> Result<(), Failure> {
    let _counting = enable_stats().map_err(failure)?;
    let mut rows = wanted.rows(&survey()?)?;
    let mut before = counters(&mut rows);
    let keys = Keys::watch();
    let screen = Screen::enter();
    for round in 1.. {
        if wait(keys.as_ref(), interval) {
            return Ok(());
        }
        if round % SURVEY_EVERY == 0 {
            rows = wanted.rows(&survey()?)?;
        }
        let now = counters(&mut rows);
        let mut ranked: Vec<(Rate, ProgramRow)> =
            rows.iter().map(|row| (now.rate(&before, row.info.id), row.clone())).collect();
        ranked.sort_by(|(a, _), (b, _)| b.cpu_percent.total_cmp(&a.cpu_percent));
        let (rates, sorted): (Vec<Rate>, Vec<ProgramRow>) = ranked.into_iter().unzip();
        screen.show(&text(&sorted, Some(&rates)), &rates)?;
        before = now;
        if args.rounds == Some(round) {
            return Ok(());
        }
    }
    Ok(())
}

/// Waits; true if a key says that this is the end.
fn wait(keys: Option<&Keys>, time: Duration) -> bool {
    let Some(keys) = keys else {
        thread::sleep(time);
        return false;
    };
    // `q`, Ctrl-C, Ctrl-D, escape.
    matches!(keys.next(time), Some(b'q' | b'Q' | 3 | 4 | 27))
}

/// The terminal's second screen, or plain pictures one after the other if there is no terminal.
struct Screen {
    terminal: bool,
}

impl Screen {
    fn enter() -> Self {
        let terminal = io::stdout().is_terminal();
        if terminal {
            // To the second screen, cursor off.
            let _ = print("\x1b[?1049h\x1b[?25l");
        }
        Self { terminal }
    }

    fn show(&self, table: &str, rates: &[Rate]) -> Result<(), Failure> {
        let share: f64 = rates.iter().map(|rate| rate.cpu_percent).sum();
        let runs: f64 = rates.iter().map(|rate| rate.runs_per_second).sum();
        let head = format!("{} programs, {runs:.0} runs/s, {share:.2}% of a processor", rates.len());
        if !self.terminal {
            return print(&format!("{head}\n{table}\n"));
        }
        let (columns, lines) = terminal_size().unwrap_or((80, 24));
        let cut = |line: &str| line.chars().take(columns.into()).collect::<String>();
        let whole = format!("{head}; q ends\n{table}");
        let shown: Vec<String> = whole.lines().take(usize::from(lines)).map(cut).collect();
        // Home, each line with its rest erased, then everything below.
        print(&format!("\x1b[H{}\x1b[K\x1b[J", shown.join("\x1b[K\r\n")))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.terminal {
            let _ = print("\x1b[?25h\x1b[?1049l");
        }
    }
}
