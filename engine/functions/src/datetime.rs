//! Functions of dates, times and intervals: operators, the current time, construction, age.

mod overlaps;
mod part;

use kokkiri_function_macros::builtin;
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::{Error, Result, bail, error};
use kokkiri_types::datetime::interval::timestamp_range;
use kokkiri_types::datetime::{
    self, DAY_MICROS, DateTime, Interval, SECOND_MICROS, TimeZone, date_to_timestamp, days_in_month,
    is_infinite_date, is_infinite_timestamp, is_valid_date, is_valid_timestamp, timetz_from_fixed,
    timetz_to_fixed,
};

use crate::cast::{to_instant, to_local};
use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(crate) const FILES: &[&[&[Builtin]]] =
    &[DATES, TIMESTAMPS, INTERVALS, TIMES, NOW, MAKE, ZONES, overlaps::LIST, part::LIST];

const DATES: &[&[Builtin]] = list![
    date_pli,
    integer_pl_date,
    date_mii,
    date_mi,
    date_pl_interval,
    interval_pl_date,
    date_mi_interval,
    datetime_timestamp,
    time_pl_date,
    datetimetz_timestamptz,
    timetz_pl_date,
    date_finite,
];

#[cold]
fn date_range() -> Error {
    error!(DATETIME_FIELD_OVERFLOW, "date out of range")
}

fn move_date(date: i32, days: i64) -> Result<i32> {
    if is_infinite_date(date) {
        return Ok(date);
    }
    i32::try_from(i64::from(date) + days).ok().filter(|&date| is_valid_date(date)).ok_or_else(date_range)
}

#[builtin(oid = 1141)]
fn date_pli(date: i32, days: i32) -> Result<i32> {
    move_date(date, i64::from(days))
}

#[builtin(oid = 2550)]
fn integer_pl_date(days: i32, date: i32) -> Result<i32> {
    move_date(date, i64::from(days))
}

#[builtin(oid = 1142)]
fn date_mii(date: i32, days: i32) -> Result<i32> {
    move_date(date, -i64::from(days))
}

#[builtin(oid = 1140)]
fn date_mi(a: i32, b: i32) -> Result<i32> {
    if is_infinite_date(a) || is_infinite_date(b) {
        bail!(DATETIME_FIELD_OVERFLOW, "cannot subtract infinite dates");
    }
    Ok(a.wrapping_sub(b))
}

#[builtin(oid = 2071)]
fn date_pl_interval(date: i32, span: Interval) -> Result<i64> {
    span.add_to_timestamp(date_to_timestamp(date)?)
}

#[builtin(oid = 2546)]
fn interval_pl_date(span: Interval, date: i32) -> Result<i64> {
    span.add_to_timestamp(date_to_timestamp(date)?)
}

#[builtin(oid = 2072)]
fn date_mi_interval(date: i32, span: Interval) -> Result<i64> {
    span.negated()?.add_to_timestamp(date_to_timestamp(date)?)
}

fn date_and_time(date: i32, time: i64) -> Result<i64> {
    let midnight = date_to_timestamp(date)?;
    if is_infinite_timestamp(midnight) {
        return Ok(midnight);
    }
    Some(midnight + time).filter(|&t| is_valid_timestamp(t)).ok_or_else(timestamp_range)
}

#[builtin(oid = [1272, 2025])]
fn datetime_timestamp(date: i32, time: i64) -> Result<i64> {
    date_and_time(date, time)
}

#[builtin(oid = 1296)]
fn time_pl_date(time: i64, date: i32) -> Result<i64> {
    date_and_time(date, time)
}

fn date_and_timetz(date: i32, time: [u8; 16]) -> Result<i64> {
    let (time, west) = timetz_from_fixed(&time);
    let local = date_and_time(date, time)?;
    if is_infinite_timestamp(local) {
        return Ok(local);
    }
    let instant = local + i64::from(west) * SECOND_MICROS;
    Some(instant).filter(|&t| is_valid_timestamp(t)).ok_or_else(timestamp_range)
}

#[builtin(oid = [1297, 1359])]
fn datetimetz_timestamptz(date: i32, time: [u8; 16]) -> Result<i64> {
    date_and_timetz(date, time)
}

#[builtin(oid = 1298)]
fn timetz_pl_date(time: [u8; 16], date: i32) -> Result<i64> {
    date_and_timetz(date, time)
}

#[builtin(oid = 1373)]
fn date_finite(date: i32) -> bool {
    !is_infinite_date(date)
}

const TIMESTAMPS: &[&[Builtin]] = list![
    timestamp_mi,
    timestamp_pl_interval,
    interval_pl_timestamp,
    timestamp_mi_interval,
    timestamptz_pl_interval,
    interval_pl_timestamptz,
    timestamptz_mi_interval,
    timestamp_finite,
    timestamp_age,
    timestamptz_age,
    timestamp_age_today,
    timestamptz_age_today,
    float8_timestamptz,
];

#[builtin(oid = [1188, 2031])]
fn timestamp_mi(a: i64, b: i64) -> Result<Interval> {
    Interval::between(a, b)
}

#[builtin(oid = 2032)]
fn timestamp_pl_interval(timestamp: i64, span: Interval) -> Result<i64> {
    span.add_to_timestamp(timestamp)
}

#[builtin(oid = 2548)]
fn interval_pl_timestamp(span: Interval, timestamp: i64) -> Result<i64> {
    span.add_to_timestamp(timestamp)
}

#[builtin(oid = 2033)]
fn timestamp_mi_interval(timestamp: i64, span: Interval) -> Result<i64> {
    span.negated()?.add_to_timestamp(timestamp)
}

#[builtin(oid = [1189, 6221])]
fn timestamptz_pl_interval(context: &mut CallContext<'_>, instant: i64, span: Interval) -> Result<i64> {
    span.add_to_instant(instant, &context.io.time_zone)
}

#[builtin(oid = 2549)]
fn interval_pl_timestamptz(context: &mut CallContext<'_>, span: Interval, instant: i64) -> Result<i64> {
    span.add_to_instant(instant, &context.io.time_zone)
}

#[builtin(oid = [1190, 6223])]
fn timestamptz_mi_interval(context: &mut CallContext<'_>, instant: i64, span: Interval) -> Result<i64> {
    span.negated()?.add_to_instant(instant, &context.io.time_zone)
}

#[builtin(oid = [1389, 2048])]
fn timestamp_finite(timestamp: i64) -> bool {
    !is_infinite_timestamp(timestamp)
}

#[builtin(oid = 2058)]
fn timestamp_age(a: i64, b: i64) -> Result<Interval> {
    Interval::age(a, b)
}

#[builtin(oid = 1199)]
fn timestamptz_age(context: &mut CallContext<'_>, a: i64, b: i64) -> Result<Interval> {
    Interval::age(to_local(context, a), to_local(context, b))
}

/// Local midnight of the transaction's day.
fn today(context: &CallContext<'_>) -> i64 {
    to_local(context, context.io.now.0).div_euclid(DAY_MICROS) * DAY_MICROS
}

#[builtin(oid = 2059)]
fn timestamp_age_today(context: &mut CallContext<'_>, b: i64) -> Result<Interval> {
    Interval::age(today(context), b)
}

#[builtin(oid = 1386)]
fn timestamptz_age_today(context: &mut CallContext<'_>, b: i64) -> Result<Interval> {
    Interval::age(today(context), to_local(context, b))
}

/// `to_timestamp(double precision)`: from seconds of the Unix epoch.
#[builtin(oid = 1158)]
fn float8_timestamptz(seconds: f64) -> Result<i64> {
    if seconds.is_nan() {
        bail!(DATETIME_FIELD_OVERFLOW, "timestamp cannot be NaN");
    }
    if seconds.is_infinite() {
        return Ok(if seconds > 0.0 { datetime::TIMESTAMP_END } else { datetime::TIMESTAMP_BEGIN });
    }
    let range = || {
        let mut text = Vec::new();
        kokkiri_types::number::write_float8(seconds, 0, &mut text);
        error!(DATETIME_FIELD_OVERFLOW, "timestamp out of range: \"{}\"", String::from_utf8_lossy(&text))
    };
    let since_2000 = seconds - (datetime::unix_epoch_distance() / SECOND_MICROS) as f64;
    let micros = (since_2000 * SECOND_MICROS as f64).round_ties_even();
    if micros.abs() > 9.3e18 {
        return Err(range());
    }
    Some(micros as i64).filter(|&t| is_valid_timestamp(t)).ok_or_else(range)
}

const INTERVALS: &[&[Builtin]] = list![
    interval_pl,
    interval_mi,
    interval_um,
    interval_mul,
    mul_d_interval,
    interval_div,
    interval_finite,
    interval_justify_hours,
    interval_justify_days,
    interval_justify_interval,
];

#[builtin(oid = 1169)]
fn interval_pl(a: Interval, b: Interval) -> Result<Interval> {
    a.plus(b)
}

#[builtin(oid = 1170)]
fn interval_mi(a: Interval, b: Interval) -> Result<Interval> {
    a.minus(b)
}

#[builtin(oid = 1168)]
fn interval_um(a: Interval) -> Result<Interval> {
    a.negated()
}

#[builtin(oid = 1618)]
fn interval_mul(span: Interval, factor: f64) -> Result<Interval> {
    span.multiply(factor)
}

#[builtin(oid = 1624)]
fn mul_d_interval(factor: f64, span: Interval) -> Result<Interval> {
    span.multiply(factor)
}

#[builtin(oid = 1326)]
fn interval_div(span: Interval, divisor: f64) -> Result<Interval> {
    span.divide(divisor)
}

#[builtin(oid = 1390)]
fn interval_finite(span: Interval) -> bool {
    !span.is_infinite()
}

#[builtin(oid = 1175)]
fn interval_justify_hours(span: Interval) -> Result<Interval> {
    span.justify_hours()
}

#[builtin(oid = 1295)]
fn interval_justify_days(span: Interval) -> Result<Interval> {
    span.justify_days()
}

#[builtin(oid = 2711)]
fn interval_justify_interval(span: Interval) -> Result<Interval> {
    span.justify_hours()?.justify_days()
}

const TIMES: &[&[Builtin]] = list![
    time_mi_time,
    time_pl_interval,
    interval_pl_time,
    time_mi_interval,
    timetz_pl_interval,
    interval_pl_timetz,
    timetz_mi_interval,
];

#[builtin(oid = 1690)]
fn time_mi_time(a: i64, b: i64) -> Interval {
    Interval { micros: a - b, ..Interval::default() }
}

fn move_time(time: i64, span: Interval, forward: bool) -> Result<i64> {
    if span.is_infinite() {
        let verb = if forward { "add infinite interval to" } else { "subtract infinite interval from" };
        bail!(DATETIME_FIELD_OVERFLOW, "cannot {verb} time");
    }
    let micros = span.micros % DAY_MICROS;
    Ok((if forward { time + micros } else { time - micros }).rem_euclid(DAY_MICROS))
}

/// A time of day moved by an interval, around midnight.
fn time_plus(time: i64, span: Interval) -> Result<i64> {
    move_time(time, span, true)
}

#[builtin(oid = 1747)]
fn time_pl_interval(time: i64, span: Interval) -> Result<i64> {
    move_time(time, span, true)
}

#[builtin(oid = 1848)]
fn interval_pl_time(span: Interval, time: i64) -> Result<i64> {
    move_time(time, span, true)
}

#[builtin(oid = 1748)]
fn time_mi_interval(time: i64, span: Interval) -> Result<i64> {
    move_time(time, span, false)
}

fn move_timetz(time: [u8; 16], span: Interval, forward: bool) -> Result<[u8; 16]> {
    let (time, zone) = timetz_from_fixed(&time);
    Ok(timetz_to_fixed(move_time(time, span, forward)?, zone))
}

#[builtin(oid = 1749)]
fn timetz_pl_interval(time: [u8; 16], span: Interval) -> Result<[u8; 16]> {
    move_timetz(time, span, true)
}

#[builtin(oid = 2547)]
fn interval_pl_timetz(span: Interval, time: [u8; 16]) -> Result<[u8; 16]> {
    move_timetz(time, span, true)
}

#[builtin(oid = 1750)]
fn timetz_mi_interval(time: [u8; 16], span: Interval) -> Result<[u8; 16]> {
    move_timetz(time, span, false)
}

const NOW: &[&[Builtin]] = list![now, statement_timestamp, clock_timestamp, timeofday];

#[builtin(oid = [1299, 2647])]
fn now(context: &mut CallContext<'_>) -> i64 {
    context.io.now.0
}

#[builtin(oid = 2648)]
fn statement_timestamp(context: &mut CallContext<'_>) -> i64 {
    context.statement_start.0
}

#[builtin(oid = 2649, volatile)]
fn clock_timestamp() -> i64 {
    TimestampTz::now().0
}

/// The clock as text: `Fri Nov 20 12:30:00.123456 2026 UTC`.
#[builtin(oid = 274, volatile)]
fn timeofday(context: &mut CallContext<'_>) -> String {
    let instant = TimestampTz::now().0;
    let zone = context.io.time_zone.at(instant);
    let point = DateTime::from_timestamp(instant + i64::from(zone.offset) * SECOND_MICROS);
    format!(
        "{} {} {:02} {:02}:{:02}:{:02}.{:06} {} {}",
        datetime::format::DAYS[datetime::day_of_week(point.date()) as usize],
        datetime::format::MONTHS[(point.month - 1) as usize],
        point.day,
        point.hour,
        point.minute,
        point.second,
        point.micros,
        point.year,
        zone.abbreviation
    )
}

const MAKE: &[&[Builtin]] = list![
    make_date,
    make_time,
    make_timestamp,
    make_timestamptz,
    make_timestamptz_at_timezone,
    make_interval
];

/// The year in which 0 is 1 BC, if year, month and day are those of a date.
fn astronomical_year(year: i32, month: i32, day: i32) -> Option<i32> {
    if matches!(year, 0 | i32::MIN) || !(1..=12).contains(&month) {
        return None;
    }
    let astronomical = if year < 0 { year + 1 } else { year };
    (1..=days_in_month(astronomical, month)).contains(&day).then_some(astronomical)
}

/// The date, if it is in the type's range.
fn date_of(astronomical: i32, month: i32, day: i32) -> Option<i32> {
    const YEAR_MAX: u32 = 6_000_000;
    let days = (astronomical.unsigned_abs() <= YEAR_MAX)
        .then(|| datetime::days_from_civil(astronomical, month, day));
    days.filter(|&date| is_valid_date(date))
}

#[builtin(oid = 3846)]
fn make_date(year: i32, month: i32, day: i32) -> Result<i32> {
    let astronomical = astronomical_year(year, month, day).ok_or_else(|| {
        error!(DATETIME_FIELD_OVERFLOW, "date field value out of range: {year}-{month:02}-{day:02}")
    })?;
    date_of(astronomical, month, day).ok_or_else(|| {
        error!(DATETIME_FIELD_OVERFLOW, "date out of range: {astronomical}-{month:02}-{day:02}")
    })
}

/// Microseconds of a clock; 24:00:00 and seconds up to 60 are allowed.
fn clock(hour: i32, minute: i32, second: f64) -> Option<i64> {
    let fits = (0..=24).contains(&hour) && (0..60).contains(&minute) && (0.0..=60.0).contains(&second);
    if !fits {
        return None;
    }
    let micros = (second * SECOND_MICROS as f64).round_ties_even() as i64;
    let time = (i64::from(hour) * 60 + i64::from(minute)) * 60 * SECOND_MICROS + micros;
    (time <= DAY_MICROS).then_some(time)
}

/// Seconds in C's `%02g`.
fn shown_seconds(second: f64) -> String {
    let mut text = Vec::new();
    kokkiri_types::number::write_float8(second, -9, &mut text);
    format!("{:0>2}", String::from_utf8_lossy(&text))
}

#[builtin(oid = 3847)]
fn make_time(hour: i32, minute: i32, second: f64) -> Result<i64> {
    clock(hour, minute, second).ok_or_else(|| {
        let second = shown_seconds(second);
        error!(DATETIME_FIELD_OVERFLOW, "time field value out of range: {hour}:{minute:02}:{second}")
    })
}

fn timestamp_of(year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64) -> Result<i64> {
    let date = make_date(year, month, day)?;
    let time = make_time(hour, minute, second)?;
    let shown = || {
        let second = shown_seconds(second);
        error!(
            DATETIME_FIELD_OVERFLOW,
            "timestamp out of range: {year}-{month:02}-{day:02} {hour}:{minute:02}:{second}"
        )
    };
    let timestamp = i64::from(date).checked_mul(DAY_MICROS).and_then(|midnight| midnight.checked_add(time));
    timestamp.filter(|&t| is_valid_timestamp(t)).ok_or_else(shown)
}

#[builtin(oid = 3461)]
fn make_timestamp(year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64) -> Result<i64> {
    timestamp_of(year, month, day, hour, minute, second)
}

#[builtin(oid = 3462)]
fn make_timestamptz(
    context: &mut CallContext<'_>,
    year: i32,
    month: i32,
    day: i32,
    hour: i32,
    minute: i32,
    second: f64,
) -> Result<i64> {
    Ok(to_instant(context, timestamp_of(year, month, day, hour, minute, second)?))
}

#[builtin(oid = 3463)]
fn make_timestamptz_at_timezone(
    year: i32,
    month: i32,
    day: i32,
    hour: i32,
    minute: i32,
    second: f64,
    zone: &str,
) -> Result<i64> {
    let local = timestamp_of(year, month, day, hour, minute, second)?;
    Ok(Zone::named(zone)?.to_instant(local))
}

#[builtin(oid = 3464)]
fn make_interval(
    years: i32,
    months: i32,
    weeks: i32,
    days: i32,
    hours: i32,
    minutes: i32,
    seconds: f64,
) -> Result<Interval> {
    let range = || error!(DATETIME_FIELD_OVERFLOW, "interval out of range");
    if !seconds.is_finite() {
        return Err(range());
    }
    let micros = (seconds * SECOND_MICROS as f64).round_ties_even();
    if micros.abs() >= i64::MAX as f64 {
        return Err(range());
    }
    let clock = (i64::from(hours) * 60 + i64::from(minutes)) * 60 * SECOND_MICROS;
    Ok(Interval {
        months: years.checked_mul(12).and_then(|of_years| of_years.checked_add(months)).ok_or_else(range)?,
        days: weeks.checked_mul(7).and_then(|of_weeks| of_weeks.checked_add(days)).ok_or_else(range)?,
        micros: clock.checked_add(micros as i64).ok_or_else(range)?,
    })
}

/// A zone that a function's argument names: an abbreviation or a name.
enum Zone {
    /// Seconds east of UTC.
    Fixed(i32),
    Named(TimeZone),
}

impl Zone {
    fn named(name: &str) -> Result<Self> {
        if let Some((seconds, _)) = datetime::abbreviation::lookup(&name.to_ascii_lowercase()) {
            return Ok(Zone::Fixed(seconds));
        }
        let zone = TimeZone::lookup(name);
        zone.map(Zone::Named)
            .ok_or_else(|| error!(INVALID_PARAMETER_VALUE, "time zone \"{name}\" not recognized"))
    }

    fn spanning(span: Interval) -> Result<Self> {
        if span.is_infinite() || span.months != 0 || span.days != 0 {
            let mut text = Vec::new();
            datetime::interval_text::write(span, datetime::IntervalStyle::Postgres, &mut text);
            let reason =
                if span.is_infinite() { "must be finite" } else { "must not include months or days" };
            bail!(
                INVALID_PARAMETER_VALUE,
                "interval time zone \"{}\" {reason}",
                String::from_utf8_lossy(&text)
            );
        }
        Ok(Zone::Fixed((span.micros / SECOND_MICROS) as i32))
    }

    fn to_instant(&self, local: i64) -> i64 {
        match self {
            _ if is_infinite_timestamp(local) => local,
            Zone::Fixed(seconds) => local - i64::from(*seconds) * SECOND_MICROS,
            Zone::Named(zone) => zone.to_instant(local),
        }
    }

    fn to_local(&self, instant: i64) -> i64 {
        match self {
            _ if is_infinite_timestamp(instant) => instant,
            Zone::Fixed(seconds) => instant + i64::from(*seconds) * SECOND_MICROS,
            Zone::Named(zone) => zone.to_local(instant),
        }
    }
}

const ZONES: &[&[Builtin]] = list![
    timestamp_zone,
    timestamptz_zone,
    timestamp_izone,
    timestamptz_izone,
    timestamp_at_local,
    timestamptz_at_local,
    timetz_zone,
    timetz_izone,
];

#[builtin(oid = 2069)]
fn timestamp_zone(zone: &str, local: i64) -> Result<i64> {
    Ok(Zone::named(zone)?.to_instant(local))
}

#[builtin(oid = 1159)]
fn timestamptz_zone(zone: &str, instant: i64) -> Result<i64> {
    Ok(Zone::named(zone)?.to_local(instant))
}

#[builtin(oid = 2070)]
fn timestamp_izone(zone: Interval, local: i64) -> Result<i64> {
    Ok(Zone::spanning(zone)?.to_instant(local))
}

#[builtin(oid = 1026)]
fn timestamptz_izone(zone: Interval, instant: i64) -> Result<i64> {
    Ok(Zone::spanning(zone)?.to_local(instant))
}

#[builtin(oid = 6335)]
fn timestamp_at_local(context: &mut CallContext<'_>, local: i64) -> i64 {
    to_instant(context, local)
}

#[builtin(oid = 6334)]
fn timestamptz_at_local(context: &mut CallContext<'_>, instant: i64) -> i64 {
    to_local(context, instant)
}

/// The same instant of day in another zone.
fn shift_timetz(time: [u8; 16], east: i32) -> [u8; 16] {
    let (time, west) = timetz_from_fixed(&time);
    let moved = time + i64::from(west + east) * SECOND_MICROS;
    timetz_to_fixed(moved.rem_euclid(DAY_MICROS), -east)
}

#[builtin(oid = 2037)]
fn timetz_zone(context: &mut CallContext<'_>, zone: &str, time: [u8; 16]) -> Result<[u8; 16]> {
    let east = match Zone::named(zone)? {
        Zone::Fixed(seconds) => seconds,
        Zone::Named(zone) => zone.offset_at(context.io.now.0),
    };
    Ok(shift_timetz(time, east))
}

#[builtin(oid = 2038)]
fn timetz_izone(zone: Interval, time: [u8; 16]) -> Result<[u8; 16]> {
    match Zone::spanning(zone)? {
        Zone::Fixed(seconds) => Ok(shift_timetz(time, seconds)),
        Zone::Named(_) => Ok(time),
    }
}
