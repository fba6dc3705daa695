//! What runs the programs of a script: the kernel, or the machine in this process.

use std::ops::ControlFlow;
use std::time::Duration;

use skep_kernel::Watch;
use skep_lang_script::plan::{LostInfo, Probe};

use super::RunError;
use crate::maps::MapSource;

/// Gets records one by one, with the maps as they are at that time.
pub(super) type Each<'e> = dyn FnMut(&[u8], &mut dyn MapSource) -> ControlFlow<()> + 'e;

/// What runs programs. A run asks for everything in the order of this list.
pub(super) trait Engine {
    /// Lets `watch` wait for records.
    fn wait_for_records(&self, watch: &Watch) -> Result<(), RunError>;

    /// Processors that programs may run on.
    fn cpus(&self) -> u32;

    /// Fills the map through which programs learn about the host, if the script has it.
    fn tell(&mut self, host: &[u8]) -> Result<(), RunError>;

    /// Runs the program of a probe now, once. Gives what it returns.
    fn call(&mut self, probe: &Probe) -> Result<u32, RunError>;

    /// Runs the program of a probe so often. Gives how long that took.
    fn time(&mut self, probe: &Probe, times: u32) -> Result<Duration, RunError>;

    /// Lets the program of a probe run when something happens. Probes that the host runs itself need nothing.
    fn attach(&mut self, probe: &Probe, process: Option<u32>) -> Result<(), String>;

    /// The text of the next iterator, read to its end; `None` if there are no more.
    fn next_iterator(&mut self) -> Result<Option<Vec<u8>>, RunError>;

    /// Whether programs may still run by themselves.
    fn is_attached(&self) -> bool;

    /// Does what is due now. Gives the time until there is something to do again, `None` if only records can come.
    fn work(&mut self) -> Result<Option<Duration>, RunError>;

    /// Most records that may be there at once.
    fn capacity(&self) -> u64;

    /// Hands over the records that are there, until there are none or `each` breaks.
    fn consume(&mut self, each: &mut Each<'_>) -> Result<(), RunError>;

    /// What could not be sent so far.
    fn losses(&self) -> Result<Losses, RunError>;

    /// Lets no program run any more by itself.
    fn detach(&mut self) -> Result<(), RunError>;

    /// The maps of the plan, in its order.
    fn maps(&mut self) -> Result<Box<dyn MapSource + '_>, RunError>;
}

/// What programs could not send because there was no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Losses {
    /// Records.
    pub records: u64,
    /// The status of an `exit()` among them.
    pub exit: Option<i32>,
    /// Errors among them.
    pub errors: u64,
}

impl Losses {
    /// From the value of the variable that programs count in.
    pub fn read(value: &[u8]) -> Self {
        let word = |at: u32| crate::value::word(value, at).unwrap_or(0);
        Self {
            records: word(LostInfo::RECORDS),
            exit: word(LostInfo::EXIT).checked_sub(1).map(|status| (status as u32).cast_signed()),
            errors: word(LostInfo::ERRORS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_the_words_of_the_variable() {
        let read = |words: [u64; 3]| Losses::read(&words.map(u64::to_ne_bytes).concat());
        assert_eq!(read([7, 0, 1]), Losses { records: 7, exit: None, errors: 1 });
        assert_eq!(read([1, 1 + 7, 0]), Losses { records: 1, exit: Some(7), errors: 0 });
        assert_eq!(read([1, u64::from(u32::MAX) + 1, 0]).exit, Some(-1));
        assert_eq!(Losses::read(&[1, 2]), Losses::default());
    }
}
