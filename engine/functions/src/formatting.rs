//! Data type formatting by pictures: to_char, to_date, to_timestamp, to_number.
//!
//! Realises: formatting.c. A picture is parsed into nodes ([`picture`]); dates are written from a broken-down
//! time ([`write_date`]) or read into one ([`read_date`]), numbers have their own walk ([`number`]).

mod number;
mod picture;
mod read_date;
mod roman;
mod write_date;

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Error, Result, bail};
use kokkiri_types::datetime::{DateTime, Interval, civil_from_days, is_infinite_timestamp};

use crate::context::CallContext;
use crate::registry::{Builtin, list};
use write_date::Moment;

pub(crate) const FILES: &[&[&[Builtin]]] = &[DATES, number::LIST];

const DATES: &[&[Builtin]] =
    list![timestamp_to_char, timestamptz_to_char, interval_to_char, to_timestamp, to_date];

/// The text without its zone: nothing for infinite times and empty pictures.
#[builtin(oid = 2049)]
fn timestamp_to_char(timestamp: i64, format: &str) -> Result<Option<String>> {
    if format.is_empty() || is_infinite_timestamp(timestamp) {
        return Ok(None);
    }
    let moment = Moment::of(DateTime::from_timestamp(timestamp), None);
    write_date::write(format, &moment).map(Some)
}

#[builtin(oid = 1770)]
fn timestamptz_to_char(context: &mut CallContext<'_>, instant: i64, format: &str) -> Result<Option<String>> {
    if format.is_empty() || is_infinite_timestamp(instant) {
        return Ok(None);
    }
    let zone = &context.io.time_zone;
    let moment = Moment::of(DateTime::from_timestamp(zone.to_local(instant)), Some(zone.at(instant)));
    write_date::write(format, &moment).map(Some)
}

#[builtin(oid = 1768)]
fn interval_to_char(span: Interval, format: &str) -> Result<Option<String>> {
    if format.is_empty() || span.is_infinite() {
        return Ok(None);
    }
    write_date::write(format, &Moment::of_interval(span)).map(Some)
}

#[builtin(oid = 1778)]
fn to_timestamp(context: &mut CallContext<'_>, text: &str, format: &str) -> Result<i64> {
    let found = read_date::read(text, format)?;
    let local = found.point.timestamp().ok_or_else(out_of_range)?;
    match found.offset_east {
        Some(east) => Ok(local - i64::from(east) * 1_000_000),
        None => Ok(context.io.time_zone.to_instant(local)),
    }
}

#[builtin(oid = 1780)]
fn to_date(text: &str, format: &str) -> Result<i32> {
    let point = read_date::read(text, format)?.point;
    let date = point.date();
    if point.year > 5_874_897 || !kokkiri_types::datetime::is_valid_date(date) {
        bail!(DATETIME_FIELD_OVERFLOW, "date out of range: \"{text}\"");
    }
    debug_assert_eq!(civil_from_days(date), (point.year, point.month, point.day));
    Ok(date)
}

#[cold]
fn out_of_range() -> Error {
    kokkiri_primitives::error!(DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}
