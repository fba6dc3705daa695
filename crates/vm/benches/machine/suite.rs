//! All engines, and the check that they agree with native code.

use crate::compile::Built;
use crate::engine::{Engine, Loaded, Refusal};
use crate::kernel::Kernel;
use crate::native::Native;
use crate::peer::Rbpf;
use crate::skep;

/// The engines that can run here, and why the others cannot.
pub struct Engines {
    /// In the order of their columns.
    pub usable: Vec<Box<dyn Engine>>,
    /// Name and reason.
    pub skipped: Vec<(&'static str, String)>,
}

impl Engines {
    /// Asks every engine whether it can run.
    pub fn find() -> Self {
        let mut all: Vec<Box<dyn Engine>> = vec![Box::new(Native), Box::new(Kernel)];
        all.extend(skep::engines());
        all.extend([Rbpf::Jit, Rbpf::Interpreter].map(|engine| Box::new(engine) as Box<dyn Engine>));
        let mut found = Self { usable: Vec::new(), skipped: Vec::new() };
        for engine in all {
            match engine.available() {
                Ok(()) => found.usable.push(engine),
                Err(reason) => found.skipped.push((engine.name(), reason)),
            }
        }
        found
    }
}

/// What native code returns for a program.
///
/// # Errors
/// If it does not load.
pub fn expected(built: &Built) -> Result<u32, String> {
    let mut native = Native.load(built).map_err(|refusal| format!("native code: {refusal:?}"))?;
    Ok(native.runner.run(1)?.result)
}

/// Loads a program into an engine and checks the results of its first two runs against native code's; two, because
/// the first one must leave nothing behind that changes the next.
///
/// # Errors
/// [`Refusal::Failed`] also if a result is wrong.
pub fn load_checked(engine: &dyn Engine, built: &Built, expected: u32) -> Result<Loaded, Refusal> {
    let mut loaded = engine.load(built)?;
    for _ in 0..2 {
        let result = loaded.runner.run(1).map_err(Refusal::Failed)?.result;
        if result != expected {
            let name = engine.name();
            return Err(Refusal::Failed(format!("{name} returns {result:#x}, native code {expected:#x}")));
        }
    }
    Ok(loaded)
}
