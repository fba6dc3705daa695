//! What tests and benchmarks of a script have come to.

use std::time::Duration;

use super::{Dispatcher, EventError, Form};
use crate::value::{json_string, push_unsigned};

/// A test that has run.
#[derive(Debug, Clone, Copy)]
pub struct TestResult<'a> {
    /// Its name: that behind `test:`.
    pub name: &'a str,
    /// Why it has failed; `None` if it passed.
    pub problem: Option<&'a str>,
    /// How long it took, with what surrounds its program.
    pub duration: Duration,
}

/// A benchmark that has run.
#[derive(Debug, Clone, Copy)]
pub struct BenchResult<'a> {
    /// Its name: that behind `bench:`.
    pub name: &'a str,
    /// Nanoseconds of one run.
    pub nanoseconds: f64,
    /// Runs in the last round.
    pub runs: u32,
}

impl Dispatcher<'_> {
    /// Says how a test has ended.
    ///
    /// # Errors
    /// Of writing.
    pub fn test_result(&mut self, result: &TestResult<'_>) -> Result<(), EventError> {
        if self.output.form() == Form::Json {
            let nanoseconds = u64::try_from(result.duration.as_nanos()).unwrap_or(u64::MAX);
            self.output.json("test_result", |out| {
                out.extend_from_slice(b"{\"name\": ");
                json_string(result.name.as_bytes(), out);
                out.extend_from_slice(format!(", \"passed\": {}", result.problem.is_none()).as_bytes());
                if let Some(problem) = result.problem {
                    out.extend_from_slice(b", \"problem\": ");
                    json_string(problem.as_bytes(), out);
                }
                out.extend_from_slice(b", \"nanoseconds\": ");
                push_unsigned(nanoseconds, out);
                out.push(b'}');
            });
            return Ok(self.output.end()?);
        }
        let text = match result.problem {
            None => format!("ok      {}\n", result.name),
            Some(problem) => format!("FAILED  {}: {problem}\n", result.name),
        };
        Ok(self.output.string("test_result", text.as_bytes())?)
    }

    /// Says how long a run of a benchmark takes.
    ///
    /// # Errors
    /// Of writing.
    pub fn bench_result(&mut self, result: &BenchResult<'_>) -> Result<(), EventError> {
        let BenchResult { name, nanoseconds, runs } = result;
        if self.output.form() == Form::Json {
            self.output.json("benchmark_result", |out| {
                out.extend_from_slice(b"{\"name\": ");
                json_string(name.as_bytes(), out);
                let numbers = format!(", \"nanoseconds\": {nanoseconds:.2}, \"runs\": {runs}}}");
                out.extend_from_slice(numbers.as_bytes());
            });
            return Ok(self.output.end()?);
        }
        let text = format!("{name:<32} {nanoseconds:>12.1} ns a run {runs:>9} runs\n");
        Ok(self.output.string("benchmark_result", text.as_bytes())?)
    }
}
