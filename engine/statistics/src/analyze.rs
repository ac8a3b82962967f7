//! From a sample of a column's values to its statistics.
//!
//! Realises: `compute_scalar_stats`, `compute_distinct_stats` and `analyze_mcv_list`. Values that can be
//! sorted get common values, a histogram and a correlation; the estimate of distinct values is Haas and
//! Stokes' Duj1. What is found is handed to the caller, who writes pg_statistic.

use std::cmp::Ordering;

use kokkiri_primitives::{Oid, Result, sort};
use kokkiri_types::Value;

use crate::column::{ColumnStatistics, Correlation, Histogram, MostCommon};

/// Values longer than this are counted as distinct without being looked at.
const WIDTH_THRESHOLD: usize = 1024;

/// How a column's type compares, and what the operators are called in pg_statistic.
pub struct ColumnOrder<'a> {
    pub compare: &'a dyn Fn(&Value, &Value) -> Ordering,
    pub equality: Oid,
    pub less_than: Oid,
    pub collation: Oid,
}

/// A column's sample: values in physical order.
pub struct ColumnSample<'a> {
    pub values: &'a [Value],
    /// Stored width of a value that is not null: fixed, or of each value.
    pub fixed_width: Option<i32>,
    /// Rows of the whole table.
    pub total_rows: f64,
    /// Statistics target: most entries of each list.
    pub target: usize,
}

/// A run of equal values in the sorted sample.
struct Track {
    count: usize,
    first: usize,
}

/// Computes what ANALYZE stores about a column; `None` for an empty sample.
///
/// # Errors
/// An interrupt.
pub fn compute(
    sample: &ColumnSample<'_>,
    order: Option<&ColumnOrder<'_>>,
) -> Result<Option<ColumnStatistics>> {
    let rows = sample.values.len();
    if rows == 0 {
        return Ok(None);
    }
    let mut nulls = 0;
    let mut too_wide = 0;
    let mut width = 0usize;
    let mut values: Vec<(&Value, usize)> = Vec::with_capacity(rows);
    for value in sample.values {
        let length = match value {
            Value::Null => {
                nulls += 1;
                continue;
            }
            Value::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        width += stored_width(length, sample.fixed_width);
        if length > WIDTH_THRESHOLD {
            too_wide += 1;
        } else {
            values.push((value, values.len()));
        }
    }
    let mut statistics = ColumnStatistics {
        null_fraction: nulls as f64 / rows as f64,
        width: sample.fixed_width.unwrap_or(0),
        ..ColumnStatistics::default()
    };
    if nulls == rows {
        return Ok(Some(statistics));
    }
    if sample.fixed_width.is_none() {
        statistics.width = (width as f64 / (rows - nulls) as f64) as i32;
    }
    let Some(order) = order else { return Ok(Some(statistics)) };
    if values.is_empty() {
        // Everything is too wide: assume that it is unique.
        statistics.distinct = -(1.0 - statistics.null_fraction);
        return Ok(Some(statistics));
    }
    describe_sorted(sample, order, values, too_wide, &mut statistics)?;
    Ok(Some(statistics))
}

fn stored_width(length: usize, fixed: Option<i32>) -> usize {
    // A short varlena has a header of one byte, others of four.
    fixed.map_or(length + if length < 127 { 1 } else { 4 }, |width| width as usize)
}

fn describe_sorted(
    sample: &ColumnSample<'_>,
    order: &ColumnOrder<'_>,
    mut values: Vec<(&Value, usize)>,
    too_wide: usize,
    statistics: &mut ColumnStatistics,
) -> Result<()> {
    let rows = sample.values.len();
    let not_null = values.len() + too_wide;
    sort::sort_by(&mut values, |a, b| (order.compare)(a.0, b.0).then(a.1.cmp(&b.1)))?;
    let mut distinct = 0;
    let mut multiple = 0;
    let mut tracks: Vec<Track> = Vec::new();
    let mut start = 0;
    for end in 1..=values.len() {
        if end < values.len() && (order.compare)(values[end].0, values[start].0) == Ordering::Equal {
            continue;
        }
        distinct += 1;
        let count = end - start;
        if count > 1 {
            multiple += 1;
            tracks.push(Track { count, first: start });
        }
        start = end;
    }
    // Stable, so that of equally frequent values the lesser comes first.
    tracks.sort_by_key(|track| std::cmp::Reverse(track.count));
    tracks.truncate(sample.target);

    statistics.distinct =
        distinct_estimate(sample, not_null, distinct, multiple, too_wide, statistics.null_fraction);
    let common = choose_common(sample, &tracks, distinct, too_wide, statistics);
    tracks.truncate(common);
    if common > 0 {
        statistics.most_common = Some(MostCommon {
            operator: order.equality,
            collation: order.collation,
            values: tracks.iter().map(|track| values[track.first].0.clone()).collect(),
            frequencies: tracks.iter().map(|track| f64::from(track.count as f32 / rows as f32)).collect(),
        });
    }
    statistics.correlation = correlation(&values, order);
    statistics.histogram = histogram(sample, order, values, tracks, distinct);
    Ok(())
}

/// Distinct values of the whole table: all of those seen if each was seen more than once, a ratio if all
/// were seen only once, otherwise n*d / (n - f1 + f1*n/N).
fn distinct_estimate(
    sample: &ColumnSample<'_>,
    not_null: usize,
    distinct: usize,
    multiple: usize,
    too_wide: usize,
    null_fraction: f64,
) -> f64 {
    if multiple == 0 {
        return -(1.0 - null_fraction);
    }
    let estimate = if too_wide == 0 && multiple == distinct {
        distinct as f64
    } else {
        let once = (distinct - multiple + too_wide) as f64;
        let seen = once + multiple as f64;
        let n = not_null as f64;
        let total = sample.total_rows * (1.0 - null_fraction);
        let estimate = if total > 0.0 { n * seen / ((n - once) + once * n / total) } else { 0.0 };
        (estimate.max(seen).min(total) + 0.5).floor()
    };
    // More than a tenth of the rows: expect it to grow with the table.
    if estimate > 0.1 * sample.total_rows { -(estimate / sample.total_rows) } else { estimate }
}

/// How many of the tracked values are worth keeping.
fn choose_common(
    sample: &ColumnSample<'_>,
    tracks: &[Track],
    distinct: usize,
    too_wide: usize,
    statistics: &ColumnStatistics,
) -> usize {
    let complete = tracks.len() == distinct && too_wide == 0 && statistics.distinct > 0.0;
    if complete && tracks.len() <= sample.target {
        return tracks.len();
    }
    let counts: Vec<usize> = tracks.iter().map(|track| track.count).collect();
    significant(&counts, statistics, sample)
}

/// Keeps the values that are significantly more frequent than what the rest would be taken for
/// (`analyze_mcv_list`).
fn significant(counts: &[usize], statistics: &ColumnStatistics, sample: &ColumnSample<'_>) -> usize {
    let rows = sample.values.len() as f64;
    let total = sample.total_rows;
    if rows == total || total <= 1.0 {
        return counts.len();
    }
    let distinct = if statistics.distinct < 0.0 { -statistics.distinct * total } else { statistics.distinct };
    let mut kept = counts.len();
    let mut sum: usize = counts.iter().take(kept.saturating_sub(1)).sum();
    while kept > 0 {
        let share = (1.0 - sum as f64 / rows - statistics.null_fraction).clamp(0.0, 1.0);
        let others = distinct - (kept as f64 - 1.0);
        let selectivity = if others > 1.0 { share / others } else { share };
        // Standard deviation of a hypergeometric distribution, with a continuity correction.
        let k = total * counts[kept - 1] as f64 / rows;
        let variance = rows * k * (total - k) * (total - rows) / (total * total * (total - 1.0));
        if counts[kept - 1] as f64 > selectivity * rows + 2.0 * variance.sqrt() + 0.5 {
            break;
        }
        kept -= 1;
        if kept > 0 {
            sum -= counts[kept - 1];
        }
    }
    kept
}

/// Correlation of position and rank: closed form for a permutation.
fn correlation(values: &[(&Value, usize)], order: &ColumnOrder<'_>) -> Option<Correlation> {
    let n = values.len() as f64;
    if values.len() < 2 {
        return None;
    }
    let products: f64 = values.iter().enumerate().map(|(rank, (_, at))| rank as f64 * *at as f64).sum();
    let sum = (n - 1.0) * n / 2.0;
    let squares = (n - 1.0) * n * (2.0 * n - 1.0) / 6.0;
    let coefficient = (n * products - sum * sum) / (n * squares - sum * sum);
    Some(Correlation {
        operator: order.less_than,
        collation: order.collation,
        coefficient: f64::from(coefficient as f32),
    })
}

/// Equally spaced bounds of what is not among the common values.
fn histogram(
    sample: &ColumnSample<'_>,
    order: &ColumnOrder<'_>,
    values: Vec<(&Value, usize)>,
    mut common: Vec<Track>,
    distinct: usize,
) -> Option<Histogram> {
    let bounds = (distinct - common.len()).min(sample.target + 1);
    if bounds < 2 {
        return None;
    }
    common.sort_by_key(|track| track.first);
    let mut rest: Vec<&Value> = Vec::with_capacity(values.len());
    let mut at = 0;
    for track in &common {
        rest.extend(values[at..track.first].iter().map(|(value, _)| *value));
        at = track.first + track.count;
    }
    rest.extend(values[at..].iter().map(|(value, _)| *value));
    let last = rest.len() - 1;
    let bounds = (0..bounds).map(|i| rest[i * last / (bounds - 1)].clone()).collect();
    Some(Histogram { operator: order.less_than, collation: order.collation, bounds })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn analyze(values: &[Value], total_rows: f64) -> ColumnStatistics {
        let compare = |a: &Value, b: &Value| a.as_ref().int32().cmp(&b.as_ref().int32());
        let order =
            ColumnOrder { compare: &compare, equality: Oid(96), less_than: Oid(97), collation: Oid(0) };
        let sample = ColumnSample { values, fixed_width: Some(4), total_rows, target: 100 };
        compute(&sample, Some(&order)).expect("nobody interrupts").expect("rows were given")
    }

    #[test]
    fn a_serial_column_is_unique_ordered_and_has_a_histogram() {
        let values: Vec<Value> = (1..=1000).map(Value::Int32).collect();
        let statistics = analyze(&values, 1000.0);
        assert_eq!(statistics.distinct, -1.0);
        assert!(statistics.most_common.is_none());
        assert_eq!(statistics.correlation.expect("sortable").coefficient, 1.0);
        let bounds = statistics.histogram.expect("many values").bounds;
        assert_eq!((bounds.len(), &bounds[0], &bounds[100]), (101, &Value::Int32(1), &Value::Int32(1000)));
    }

    #[test]
    fn few_values_are_all_common() {
        // As PostgreSQL: generate_series(1, 1000) % 5 has five common values of 0.2 and no histogram.
        let values: Vec<Value> = (1..=1000).map(|n| Value::Int32(n % 5)).collect();
        let statistics = analyze(&values, 1000.0);
        assert_eq!(statistics.distinct, 5.0);
        let common = statistics.most_common.expect("five");
        assert_eq!(common.values, (0..5).map(Value::Int32).collect::<Vec<_>>());
        assert_eq!(common.frequencies[0], f64::from(0.2f32));
        assert!(statistics.histogram.is_none());
    }

    #[test]
    fn nulls_are_only_counted() {
        let values = [Value::Null, Value::Int32(1), Value::Null, Value::Int32(2)];
        let statistics = analyze(&values, 4.0);
        assert_eq!((statistics.null_fraction, statistics.distinct), (0.5, -0.5));
    }
}
