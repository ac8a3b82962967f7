//! OVERLAPS: whether two periods, each given by two ends in any order, have a time in common.
//!
//! Realises: `overlaps_timestamp` and its kin; a period given by its start and length is one given by its
//! ends.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::Result;
use kokkiri_types::compare;
use kokkiri_types::datetime::Interval;
use std::cmp::Ordering;

use super::time_plus;
use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(super) const LIST: &[&[Builtin]] = list![
    overlaps_timestamp,
    overlaps_timestamp_lengths,
    overlaps_timestamp_end_length,
    overlaps_timestamp_length_end,
    overlaps_timestamptz_lengths,
    overlaps_timestamptz_end_length,
    overlaps_timestamptz_length_end,
    overlaps_time,
    overlaps_time_lengths,
    overlaps_time_end_length,
    overlaps_time_length_end,
    overlaps_timetz,
];

/// Ends of a period, a missing one last; `None` if both are missing.
fn ordered<T: Copy>(
    start: Option<T>,
    end: Option<T>,
    order: fn(&T, &T) -> Ordering,
) -> Option<(T, Option<T>)> {
    match (start, end) {
        (Some(start), Some(end)) if order(&start, &end).is_gt() => Some((end, Some(start))),
        (Some(start), end) => Some((start, end)),
        (None, Some(end)) => Some((end, None)),
        (None, None) => None,
    }
}

fn overlaps<T: Copy>(
    (start1, end1): (Option<T>, Option<T>),
    (start2, end2): (Option<T>, Option<T>),
    order: fn(&T, &T) -> Ordering,
) -> Option<bool> {
    let (first, second) = (ordered(start1, end1, order)?, ordered(start2, end2, order)?);
    // The period that starts later must start before the other ends.
    let ((_, end), (later, later_end)) = match order(&first.0, &second.0) {
        Ordering::Greater => (second, first),
        Ordering::Less => (first, second),
        Ordering::Equal => {
            // Periods that start together overlap, unless their ends leave it open.
            return match (first.1, second.1) {
                (Some(_), Some(_)) => Some(true),
                _ => None,
            };
        }
    };
    match end {
        Some(end) if order(&later, &end).is_lt() => Some(true),
        // Only the later one's end could tell, and it is after its start.
        None => None,
        Some(_) => later_end.map(|_| false),
    }
}

type Instants = (Option<i64>, Option<i64>);

fn instants(first: Instants, second: Instants) -> Option<bool> {
    overlaps(first, second, i64::cmp)
}

#[builtin(oid = [1304, 2041])]
fn overlaps_timestamp(a: Option<i64>, b: Option<i64>, c: Option<i64>, d: Option<i64>) -> Option<bool> {
    instants((a, b), (c, d))
}

/// The end of a period by its start and length; nothing if either is null.
fn after(start: Option<i64>, length: Option<Interval>) -> Result<Option<i64>> {
    match (start, length) {
        (Some(start), Some(length)) => length.add_to_timestamp(start).map(Some),
        _ => Ok(None),
    }
}

fn after_in_zone(
    context: &CallContext<'_>,
    start: Option<i64>,
    length: Option<Interval>,
) -> Result<Option<i64>> {
    match (start, length) {
        (Some(start), Some(length)) => length.add_to_instant(start, &context.io.time_zone).map(Some),
        _ => Ok(None),
    }
}

#[builtin(oid = 2042)]
fn overlaps_timestamp_lengths(
    a: Option<i64>,
    b: Option<Interval>,
    c: Option<i64>,
    d: Option<Interval>,
) -> Result<Option<bool>> {
    Ok(instants((a, after(a, b)?), (c, after(c, d)?)))
}

#[builtin(oid = 2043)]
fn overlaps_timestamp_end_length(
    a: Option<i64>,
    b: Option<i64>,
    c: Option<i64>,
    d: Option<Interval>,
) -> Result<Option<bool>> {
    Ok(instants((a, b), (c, after(c, d)?)))
}

#[builtin(oid = 2044)]
fn overlaps_timestamp_length_end(
    a: Option<i64>,
    b: Option<Interval>,
    c: Option<i64>,
    d: Option<i64>,
) -> Result<Option<bool>> {
    Ok(instants((a, after(a, b)?), (c, d)))
}

#[builtin(oid = 1305)]
fn overlaps_timestamptz_lengths(
    context: &mut CallContext<'_>,
    a: Option<i64>,
    b: Option<Interval>,
    c: Option<i64>,
    d: Option<Interval>,
) -> Result<Option<bool>> {
    Ok(instants((a, after_in_zone(context, a, b)?), (c, after_in_zone(context, c, d)?)))
}

#[builtin(oid = 1306)]
fn overlaps_timestamptz_end_length(
    context: &mut CallContext<'_>,
    a: Option<i64>,
    b: Option<i64>,
    c: Option<i64>,
    d: Option<Interval>,
) -> Result<Option<bool>> {
    Ok(instants((a, b), (c, after_in_zone(context, c, d)?)))
}

#[builtin(oid = 1307)]
fn overlaps_timestamptz_length_end(
    context: &mut CallContext<'_>,
    a: Option<i64>,
    b: Option<Interval>,
    c: Option<i64>,
    d: Option<i64>,
) -> Result<Option<bool>> {
    Ok(instants((a, after_in_zone(context, a, b)?), (c, d)))
}

#[builtin(oid = 1308)]
fn overlaps_time(a: Option<i64>, b: Option<i64>, c: Option<i64>, d: Option<i64>) -> Option<bool> {
    instants((a, b), (c, d))
}

fn after_time(start: Option<i64>, length: Option<Interval>) -> Result<Option<i64>> {
    match (start, length) {
        (Some(start), Some(length)) => time_plus(start, length).map(Some),
        _ => Ok(None),
    }
}

#[builtin(oid = 1309)]
fn overlaps_time_lengths(
    a: Option<i64>,
    b: Option<Interval>,
    c: Option<i64>,
    d: Option<Interval>,
) -> Result<Option<bool>> {
    Ok(instants((a, after_time(a, b)?), (c, after_time(c, d)?)))
}

#[builtin(oid = 1310)]
fn overlaps_time_end_length(
    a: Option<i64>,
    b: Option<i64>,
    c: Option<i64>,
    d: Option<Interval>,
) -> Result<Option<bool>> {
    Ok(instants((a, b), (c, after_time(c, d)?)))
}

#[builtin(oid = 1311)]
fn overlaps_time_length_end(
    a: Option<i64>,
    b: Option<Interval>,
    c: Option<i64>,
    d: Option<i64>,
) -> Result<Option<bool>> {
    Ok(instants((a, after_time(a, b)?), (c, d)))
}

#[builtin(oid = 1271)]
fn overlaps_timetz(
    a: Option<[u8; 16]>,
    b: Option<[u8; 16]>,
    c: Option<[u8; 16]>,
    d: Option<[u8; 16]>,
) -> Option<bool> {
    overlaps((a, b), (c, d), compare::timetz)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_come_in_any_order() {
        let some = |a, b, c, d| overlaps_timestamp(Some(a), Some(b), Some(c), Some(d));
        assert_eq!(some(1, 5, 4, 9), Some(true));
        assert_eq!(some(5, 1, 9, 4), Some(true));
        assert_eq!(some(1, 4, 4, 9), Some(false));
        assert_eq!(some(4, 4, 4, 9), Some(true));
        assert_eq!(overlaps_timestamp(Some(1), None, Some(4), Some(9)), None);
        assert_eq!(overlaps_timestamp(Some(4), None, Some(1), Some(9)), Some(true));
        assert_eq!(overlaps_timestamp(None, None, Some(1), Some(9)), None);
    }
}
