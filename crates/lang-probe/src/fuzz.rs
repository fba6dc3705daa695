//! Bodies of fuzz targets. They panic when a guarantee does not hold.

use crate::argdist::{self, Form};
use crate::report::{Layout, Report};
use crate::trace::{self, NoFacts};
use crate::{count, latency};

/// Any text is translated to a script that parses, or refused with places inside of the text.
pub fn specifications(text: &str) {
    let probe = vec![text.to_owned()];
    let problems = [
        trace::translate(&probe, &trace::Options::default(), &NoFacts),
        argdist::translate(&[(Form::Counts, text.to_owned())], &argdist::Options::default(), &NoFacts),
        argdist::translate(&[(Form::Histogram, text.to_owned())], &argdist::Options::default(), &NoFacts),
        count::functions(text, &count::Options { regex: true, ..count::Options::default() }),
        count::stacks(text, &count::Options::default(), count::Stacks::default()),
        latency::histogram(text, &count::Options::default(), latency::Unit::default(), true, true),
        latency::slower(&probe, &count::Options::default(), &latency::Slower::default()),
    ];
    for outcome in problems {
        match outcome {
            Ok(translated) => {
                let (_, found) = skep_lang_script::parse(&translated.script);
                assert!(
                    found.is_empty(),
                    "{text:?} gave a script that does not parse: {found:?}\n{}",
                    translated.script
                );
            }
            Err(problem) => {
                assert!(!problem.diagnostics.is_empty(), "{text:?} was refused without a reason");
                for diagnostic in &problem.diagnostics {
                    let span = diagnostic.span.range();
                    assert!(span.start <= span.end && span.end <= problem.source.len() + 1, "{text:?}: {diagnostic:?}");
                }
            }
        }
    }
}

/// Any bytes can be reported.
pub fn reports(bytes: &[u8]) {
    use std::io::Write as _;
    let mut report = Report::new(Layout::default(), std::io::sink());
    assert!(report.write_all(bytes).is_ok() && report.finish().is_ok(), "a report failed");
}
