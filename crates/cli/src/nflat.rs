//! `skep nflat`: what `skep_tools::netfilter` counts, in intervals, as rows of a tool.

use std::time::Instant;

use skep_kernel::{Capability, Watch, has_capability};
use skep_tools::command::Selection;
use skep_tools::filters::{namespace_file, network_namespace};
use skep_tools::netfilter::{Timed, Timers};
use skep_tools::recording::Part;
use skep_tools::viewer::Viewer;
use skep_trace::events::Flow;
use skep_trace::names::{Clock, Names, NoSymbols};

use crate::failure::Failure;
use crate::text::TextOut;

/// `SIGINT`, `SIGTERM`, `SIGHUP` (signal(7)): they end it in good order.
const ENDING: [i32; 3] = [2, 15, 1];

/// Attaches, and shows what is counted in each interval.
pub fn trace(selection: &Selection, mut viewer: Viewer) -> Result<(), Failure> {
    if !has_capability(Capability::SysAdmin) {
        return Err(Failure::Run("nflat needs CAP_SYS_ADMIN: run it as root".to_owned()));
    }
    let named = |name: &str| selection.named.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
    let around = named("around").map(|text| {
        text.parse()
            .map_err(|_| Failure::Usage(format!("--around {text}: expected a priority of netfilter, such as 0")))
    });
    let namespace = named("netns").map(|text| {
        let inode = network_namespace(text).map_err(Failure::Usage)?;
        namespace_file(inode).ok_or_else(|| Failure::Run(format!("--netns {text}: the namespace cannot be opened")))
    });
    let namespace = namespace.transpose()?;
    let timed = Timed { hook: named("hook"), around: around.transpose()?, namespace: namespace.as_ref() };
    // Signals wait from here on, so that what was counted is shown.
    let watch = Watch::new(&ENDING).map_err(Failure::run)?;
    let mut timers = Timers::start(timed).map_err(Failure::Run)?;
    let mut names = Names::new(Box::new(NoSymbols), Clock::system());
    let mut out = TextOut::stdout(false)?;
    skep_trace::events::Sink::start(&mut viewer, &mut out.buffer);
    out.flush()?;
    let end = selection.duration.map(|duration| Instant::now() + duration);
    let (mut due, mut rounds) = (selection.every.map(|every| Instant::now() + every), 0);
    loop {
        let next = [end, due].into_iter().flatten().min();
        watch.wait(next.map(|next| next.saturating_duration_since(Instant::now()))).map_err(Failure::run)?;
        let now = Instant::now();
        let signalled = watch.signal().is_some();
        let over = signalled || end.is_some_and(|end| now >= end);
        if !over && due.is_none_or(|due| now < due) {
            continue;
        }
        rounds += 1;
        let mut flow = Flow::Continue;
        for times in timers.read().map_err(Failure::Run)? {
            flow = viewer.part(Part::Row(times.row()), &mut names, &mut out.buffer);
            if flow != Flow::Continue {
                break;
            }
        }
        viewer.part(Part::Interval, &mut names, &mut out.buffer);
        out.flush()?;
        due = due.zip(selection.every).map(|(due, every)| due + every);
        if over || flow != Flow::Continue || selection.rounds.is_some_and(|most| rounds >= most) {
            return match viewer.problem().borrow_mut().take() {
                Some(error) => Err(Failure::Run(format!("cannot write the recording: {}", error.kind()))),
                None => Ok(()),
            };
        }
    }
}
