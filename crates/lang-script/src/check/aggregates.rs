//! What is assigned to maps and collected there: `count`, `sum`, `hist` and their kin.

use skep_diag::Span;

use super::Checker;
use super::tree::{Expr, Map, StmtKind};
use crate::ast;
use crate::builtins::{Builtin, Row};
use crate::plan::{MapValue, SeriesKind};
use crate::types::Type;

/// Most buckets of `lhist`.
const MOST_BUCKETS: i64 = 1000;
/// Most intervals of `tseries`.
const MOST_INTERVALS: i64 = 1_000_000;
/// Most bits in which `hist` divides a power of two.
const MOST_BITS: i64 = 5;

impl Checker<'_> {
    /// `@map[key] = aggregate(...)`
    pub(super) fn aggregate(
        &mut self,
        map: Map,
        key: Vec<Expr>,
        row: &'static Row,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<StmtKind> {
        if !self.has_arguments(row, args, span) {
            return None;
        }
        let value = match args.first() {
            Some(arg) => {
                let value = self.expr(arg);
                Some(self.number(value, "what is collected is"))
            }
            None => None,
        };
        if value.as_ref().is_some_and(|value| value.ty == Type::Unknown) {
            return None;
        }
        let signed = value.as_ref().is_some_and(|value| match value.constant() {
            Some(number) => number < 0 && value.ty.is_signed(),
            None => value.ty.is_signed(),
        });
        let held = match row.builtin {
            Builtin::Count => MapValue::Count,
            Builtin::Sum => MapValue::Sum { signed },
            Builtin::Min => MapValue::Min { signed },
            Builtin::Max => MapValue::Max { signed },
            Builtin::Avg => MapValue::Avg { signed },
            Builtin::Stats => MapValue::Stats { signed },
            Builtin::Hist => {
                let bits = match args.get(1) {
                    Some(arg) => self.known_number(arg, 0..=MOST_BITS, "the number of bits")?,
                    None => 0,
                };
                MapValue::Hist { bits: u32::try_from(bits).unwrap_or(0) }
            }
            Builtin::Lhist => self.linear(args, span)?,
            _ => self.series(args, signed)?,
        };
        if let Err(message) = self.known.learn_aggregate(map, held) {
            self.error(span, message);
            return None;
        }
        let value = value.map(|value| {
            let ty = if value.ty.is_signed() { Type::I64 } else { Type::U64 };
            self.coerce(value, &ty)
        });
        Some(StmtKind::Aggregate(map, key, value))
    }

    fn known_number(&mut self, arg: &ast::Expr, range: std::ops::RangeInclusive<i64>, what: &str) -> Option<i64> {
        let value = self.expr(arg);
        if let Some(number) = value.constant().filter(|number| range.contains(number)) {
            return Some(number);
        }
        if value.ty != Type::Unknown {
            let (start, end) = (range.start(), range.end());
            let limits = if *end == i64::MAX { format!("at least {start}") } else { format!("from {start} to {end}") };
            let limits = if *start == i64::MIN { String::new() } else { format!(", {limits}") };
            self.error(arg.span, format!("{what} must be known while the script is compiled{limits}"));
        }
        None
    }

    fn linear(&mut self, args: &[ast::Expr], span: Span) -> Option<MapValue> {
        let any = i64::MIN..=i64::MAX;
        let min = self.known_number(&args[1], any.clone(), "the start")?;
        let max = self.known_number(&args[2], any, "the end")?;
        let step = self.known_number(&args[3], 1..=i64::MAX, "the width of a bucket")?;
        if max <= min {
            self.error(args[2].span, "the end must be above the start");
            return None;
        }
        let width = max.checked_sub(min);
        let buckets = width.map(|width| width / step + i64::from(width % step != 0));
        if buckets.is_none_or(|buckets| buckets > MOST_BUCKETS) {
            self.error_with_help(
                span,
                format!("`lhist` has at most {MOST_BUCKETS} buckets"),
                "a larger width makes fewer",
            );
            return None;
        }
        Some(MapValue::LinearHist { min, max, step })
    }

    fn series(&mut self, args: &[ast::Expr], signed: bool) -> Option<MapValue> {
        let interval = self.known_number(&args[1], 1..=i64::MAX, "the interval")?;
        let count = self.known_number(&args[2], 1..=MOST_INTERVALS, "the number of intervals")?;
        let how = match args.get(3) {
            None => SeriesKind::Last,
            Some(arg) => match &*self.text_argument(arg)? {
                "avg" => SeriesKind::Avg,
                "max" => SeriesKind::Max,
                "min" => SeriesKind::Min,
                "sum" => SeriesKind::Sum,
                _ => {
                    self.error(arg.span, "values come together by `avg`, `max`, `min` or `sum`");
                    return None;
                }
            },
        };
        Some(MapValue::Series {
            interval: interval.cast_unsigned(),
            count: u32::try_from(count).unwrap_or(1),
            how,
            signed,
        })
    }
}
