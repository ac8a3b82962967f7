//! extract, date_part and date_trunc.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Error, Result, error};
use kokkiri_types::datetime::interval_text::Unit;
use kokkiri_types::datetime::{
    self, DAY_MICROS, DateTime, HOUR_MICROS, Interval, MINUTE_MICROS, SECOND_MICROS, civil_from_days,
    day_of_week, days_from_civil, is_infinite_date, is_infinite_timestamp, iso_week, timetz_from_fixed,
};
use kokkiri_types::numeric::Numeric;

use super::Zone;
use crate::cast::to_local;
use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(crate) const LIST: &[&[Builtin]] = list![
    extract_timestamp,
    timestamp_part,
    extract_timestamptz,
    timestamptz_part,
    extract_date,
    date_part_date,
    extract_time,
    time_part,
    extract_timetz,
    timetz_part,
    extract_interval,
    interval_part,
    timestamp_trunc,
    timestamptz_trunc,
    timestamptz_trunc_zone,
    interval_trunc,
];

/// What can be taken out of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Unit(Unit),
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    IsoYear,
    Epoch,
    Julian,
    Zone,
    ZoneHour,
    ZoneMinute,
}

/// A field by name, and whether a name is known at all.
fn field(name: &str) -> Option<Field> {
    let lower = name.to_ascii_lowercase();
    Some(match lower.as_str() {
        "dow" => Field::DayOfWeek,
        "isodow" => Field::IsoDayOfWeek,
        "doy" => Field::DayOfYear,
        "isoyear" => Field::IsoYear,
        "epoch" => Field::Epoch,
        "julian" | "jd" => Field::Julian,
        "timezone" => Field::Zone,
        "timezone_h" | "timezone_hour" => Field::ZoneHour,
        "timezone_m" | "timezone_minute" => Field::ZoneMinute,
        word => Field::Unit(Unit::parse(word)?),
    })
}

fn unrecognized(name: &str, type_name: &str) -> Error {
    error!(
        INVALID_PARAMETER_VALUE,
        "unit \"{}\" not recognized for type {type_name}",
        name.to_ascii_lowercase()
    )
}

fn unsupported(name: &str, type_name: &str) -> Error {
    error!(FEATURE_NOT_SUPPORTED, "unit \"{}\" not supported for type {type_name}", name.to_ascii_lowercase())
}

/// A number with so many decimal places, from its integer digits.
fn decimal(digits: i128, scale: i32) -> Numeric {
    let power = Numeric::from(10i128.pow(scale as u32));
    let whole = Numeric::from(digits);
    let quotient = whole.divide(&power).unwrap_or(Numeric::ZERO);
    quotient.round(scale)
}

fn whole(value: i64) -> Numeric {
    Numeric::from(value)
}

/// Seconds, milliseconds and microseconds of a minute.
fn seconds_part(unit: Unit, micros_of_minute: i64) -> Numeric {
    match unit {
        Unit::Microsecond => whole(micros_of_minute),
        Unit::Millisecond => decimal(i128::from(micros_of_minute), 3),
        _ => decimal(i128::from(micros_of_minute), 6),
    }
}

fn centuries(year: i64, span: i64) -> i64 {
    // There is no year and no century zero.
    if year > 0 { (year + span - 1) / span } else { -((span - year) / span) }
}

/// A field of a local time; `zone` is its offset east for timestamptz, `instant` what epoch counts.
fn of_point(
    name: &str,
    local: i64,
    instant: i64,
    zone: Option<i32>,
    type_name: &str,
) -> Result<Option<Numeric>> {
    let field = field(name).ok_or_else(|| unrecognized(name, type_name))?;
    if is_infinite_timestamp(local) {
        let monotonic = matches!(
            field,
            Field::Unit(Unit::Year | Unit::Decade | Unit::Century | Unit::Millennium)
                | Field::Julian
                | Field::IsoYear
                | Field::Epoch
        );
        let infinity = if local < 0 { Numeric::NEGATIVE_INFINITY } else { Numeric::INFINITY };
        return Ok(monotonic.then_some(infinity));
    }
    let point = DateTime::from_timestamp(local);
    let date = point.date();
    let time = local.rem_euclid(DAY_MICROS);
    let year = i64::from(point.year);
    let offset = |zone: Option<i32>| zone.ok_or_else(|| unsupported(name, type_name));
    Ok(Some(match field {
        Field::Unit(unit @ (Unit::Microsecond | Unit::Millisecond | Unit::Second)) => {
            seconds_part(unit, time % MINUTE_MICROS)
        }
        Field::Unit(Unit::Minute) => whole(i64::from(point.minute)),
        Field::Unit(Unit::Hour) => whole(i64::from(point.hour)),
        Field::Unit(Unit::Day) => whole(i64::from(point.day)),
        Field::Unit(Unit::Month) => whole(i64::from(point.month)),
        Field::Unit(Unit::Quarter) => whole(i64::from((point.month - 1) / 3 + 1)),
        Field::Unit(Unit::Week) => whole(i64::from(iso_week(point.year, point.month, point.day).1)),
        Field::Unit(Unit::Year) => whole(if year > 0 { year } else { year - 1 }),
        Field::Unit(Unit::Decade) => whole(year.div_euclid(10)),
        Field::Unit(Unit::Century) => whole(centuries(year, 100)),
        Field::Unit(Unit::Millennium) => whole(centuries(year, 1000)),
        Field::IsoYear => {
            let year = i64::from(iso_week(point.year, point.month, point.day).0);
            whole(if year > 0 { year } else { year - 1 })
        }
        Field::DayOfWeek => whole(i64::from(day_of_week(date))),
        Field::IsoDayOfWeek => whole(i64::from((day_of_week(date) + 6) % 7 + 1)),
        Field::DayOfYear => whole(i64::from(date - days_from_civil(point.year, 1, 1) + 1)),
        Field::Epoch => decimal(i128::from(instant) + i128::from(datetime::unix_epoch_distance()), 6),
        Field::Julian => {
            let days = whole(i64::from(date) + i64::from(datetime::EPOCH_JULIAN));
            let fraction = whole(time).divide(&whole(DAY_MICROS))?;
            days.add(&fraction)
        }
        Field::Zone => whole(i64::from(offset(zone)?)),
        Field::ZoneHour => whole(i64::from(offset(zone)? / 3600)),
        Field::ZoneMinute => whole(i64::from(offset(zone)? / 60 % 60)),
    }))
}

/// date_part is extract in floating point.
fn float(value: Option<Numeric>) -> Option<f64> {
    value.map(|value| value.to_f64_saturating())
}

const TIMESTAMP: &str = "timestamp without time zone";
const TIMESTAMPTZ: &str = "timestamp with time zone";

#[builtin(oid = 6202)]
fn extract_timestamp(name: &str, timestamp: i64) -> Result<Option<Numeric>> {
    of_point(name, timestamp, timestamp, None, TIMESTAMP)
}

#[builtin(oid = 2021)]
fn timestamp_part(name: &str, timestamp: i64) -> Result<Option<f64>> {
    extract_timestamp(name, timestamp).map(float)
}

fn of_instant(context: &CallContext<'_>, name: &str, instant: i64) -> Result<Option<Numeric>> {
    let offset = context.io.time_zone.offset_at(instant);
    of_point(name, to_local(context, instant), instant, Some(offset), TIMESTAMPTZ)
}

#[builtin(oid = 6203)]
fn extract_timestamptz(context: &mut CallContext<'_>, name: &str, instant: i64) -> Result<Option<Numeric>> {
    of_instant(context, name, instant)
}

#[builtin(oid = 1171)]
fn timestamptz_part(context: &mut CallContext<'_>, name: &str, instant: i64) -> Result<Option<f64>> {
    of_instant(context, name, instant).map(float)
}

#[builtin(oid = 6199)]
fn extract_date(name: &str, date: i32) -> Result<Option<Numeric>> {
    let known = field(name).ok_or_else(|| unrecognized(name, "date"))?;
    let of_time = matches!(
        known,
        Field::Unit(Unit::Microsecond | Unit::Millisecond | Unit::Second | Unit::Minute | Unit::Hour)
            | Field::Zone
            | Field::ZoneHour
            | Field::ZoneMinute
    );
    if of_time {
        return Err(unsupported(name, "date"));
    }
    if is_infinite_date(date) {
        let end = if date < 0 { datetime::TIMESTAMP_BEGIN } else { datetime::TIMESTAMP_END };
        return of_point(name, end, end, None, "date");
    }
    if known == Field::Epoch || known == Field::Julian {
        let days = i64::from(date);
        return Ok(Some(match known {
            Field::Epoch => whole((days + i64::from(datetime::UNIX_EPOCH_DAYS)) * 86_400),
            _ => whole(days + i64::from(datetime::EPOCH_JULIAN)),
        }));
    }
    // Fields of the calendar repeat every 400 years, except those that count years: dates past the
    // timestamps have none but those.
    let (year, month, day) = civil_from_days(date);
    match i64::from(date).checked_mul(DAY_MICROS) {
        Some(local) => of_point(name, local, local, None, "date"),
        None => {
            let near = days_from_civil(2000 + year % 400, month, day);
            let value = of_point(name, i64::from(near) * DAY_MICROS, 0, None, "date")?;
            let moved = i64::from(year - (2000 + year % 400));
            let per = match known {
                Field::Unit(Unit::Year) | Field::IsoYear => 1,
                Field::Unit(Unit::Decade) => 10,
                Field::Unit(Unit::Century) => 100,
                Field::Unit(Unit::Millennium) => 1000,
                _ => return Ok(value),
            };
            Ok(value.map(|value| value.add(&whole(moved / per))))
        }
    }
}

#[builtin(oid = 1384)]
fn date_part_date(name: &str, date: i32) -> Result<Option<f64>> {
    if is_infinite_date(date) {
        return extract_date(name, date).map(float);
    }
    // date_part casts the date, so that it has hours, zero ones.
    let local = datetime::date_to_timestamp(date)?;
    extract_timestamp(name, local).map(float)
}

/// A field of a time of day.
fn of_time(name: &str, time: i64, zone: Option<i32>, type_name: &str) -> Result<Numeric> {
    let known = field(name).ok_or_else(|| unrecognized(name, type_name))?;
    let offset = |zone: Option<i32>| zone.ok_or_else(|| unsupported(name, type_name));
    Ok(match known {
        Field::Unit(unit @ (Unit::Microsecond | Unit::Millisecond | Unit::Second)) => {
            seconds_part(unit, time % MINUTE_MICROS)
        }
        Field::Unit(Unit::Minute) => whole(time / MINUTE_MICROS % 60),
        Field::Unit(Unit::Hour) => whole(time / HOUR_MICROS),
        Field::Epoch => {
            let west = i128::from(zone.unwrap_or(0)) * -i128::from(SECOND_MICROS);
            decimal(i128::from(time) + west, 6)
        }
        Field::Zone => whole(i64::from(offset(zone)?)),
        Field::ZoneHour => whole(i64::from(offset(zone)? / 3600)),
        Field::ZoneMinute => whole(i64::from(offset(zone)? / 60 % 60)),
        _ => return Err(unsupported(name, type_name)),
    })
}

#[builtin(oid = 6200)]
fn extract_time(name: &str, time: i64) -> Result<Numeric> {
    of_time(name, time, None, "time without time zone")
}

#[builtin(oid = 1385)]
fn time_part(name: &str, time: i64) -> Result<f64> {
    extract_time(name, time).map(|value| value.to_f64_saturating())
}

#[builtin(oid = 6201)]
fn extract_timetz(name: &str, time: [u8; 16]) -> Result<Numeric> {
    let (time, west) = timetz_from_fixed(&time);
    of_time(name, time, Some(-west), "time with time zone")
}

#[builtin(oid = 1273)]
fn timetz_part(name: &str, time: [u8; 16]) -> Result<f64> {
    extract_timetz(name, time).map(|value| value.to_f64_saturating())
}

#[builtin(oid = 6204)]
fn extract_interval(name: &str, span: Interval) -> Result<Option<Numeric>> {
    let known = field(name).ok_or_else(|| unrecognized(name, "interval"))?;
    if span.is_infinite() {
        let infinity =
            if span == Interval::INFINITY { Numeric::INFINITY } else { Numeric::NEGATIVE_INFINITY };
        let monotonic = matches!(
            known,
            Field::Unit(
                Unit::Hour
                    | Unit::Day
                    | Unit::Year
                    | Unit::Decade
                    | Unit::Century
                    | Unit::Millennium
                    | Unit::Week
            ) | Field::Epoch
        );
        return Ok(monotonic.then_some(infinity));
    }
    let (years, months) = (i64::from(span.months / 12), i64::from(span.months % 12));
    Ok(Some(match known {
        Field::Unit(unit @ (Unit::Microsecond | Unit::Millisecond | Unit::Second)) => {
            seconds_part(unit, span.micros % MINUTE_MICROS)
        }
        Field::Unit(Unit::Minute) => whole(span.micros / MINUTE_MICROS % 60),
        Field::Unit(Unit::Hour) => whole(span.micros / HOUR_MICROS),
        Field::Unit(Unit::Day) => whole(i64::from(span.days)),
        Field::Unit(Unit::Week) => whole(i64::from(span.days / 7)),
        Field::Unit(Unit::Month) => whole(months),
        Field::Unit(Unit::Quarter) => {
            whole(if span.months >= 0 { months / 3 + 1 } else { -(-months / 3 + 1) })
        }
        Field::Unit(Unit::Year) => whole(years),
        Field::Unit(Unit::Decade) => whole(years / 10),
        Field::Unit(Unit::Century) => whole(years / 100),
        Field::Unit(Unit::Millennium) => whole(years / 1000),
        Field::Epoch => {
            // A year is 365.25 days, a remaining month 30.
            let quarter_days =
                i128::from(years) * 1461 + (i128::from(months) * 30 + i128::from(span.days)) * 4;
            decimal(quarter_days * i128::from(DAY_MICROS / 4) + i128::from(span.micros), 6)
        }
        _ => return Err(unsupported(name, "interval")),
    }))
}

#[builtin(oid = 1172)]
fn interval_part(name: &str, span: Interval) -> Result<Option<f64>> {
    extract_interval(name, span).map(float)
}

/// Cuts a local time down to a unit.
fn truncate(name: &str, local: i64, type_name: &str) -> Result<i64> {
    let unit = match field(name) {
        Some(Field::Unit(unit)) => unit,
        Some(_) => return Err(unsupported(name, type_name)),
        None => return Err(unrecognized(name, type_name)),
    };
    if is_infinite_timestamp(local) {
        return Ok(local);
    }
    let point = DateTime::from_timestamp(local);
    let to = |span: i64| local.div_euclid(span) * span;
    let start_of = |year: i32, month: i32| i64::from(days_from_civil(year, month, 1)) * DAY_MICROS;
    let first_year = |span: i32| match point.year {
        year @ 1.. => (year - 1) / span * span + 1,
        year => -((span - year) / span * span) + 1,
    };
    let cut = match unit {
        Unit::Microsecond => local,
        Unit::Millisecond => to(1000),
        Unit::Second => to(SECOND_MICROS),
        Unit::Minute => to(MINUTE_MICROS),
        Unit::Hour => to(HOUR_MICROS),
        Unit::Day => to(DAY_MICROS),
        Unit::Week => {
            let date = point.date();
            i64::from(date - (day_of_week(date) + 6) % 7) * DAY_MICROS
        }
        Unit::Month => start_of(point.year, point.month),
        Unit::Quarter => start_of(point.year, (point.month - 1) / 3 * 3 + 1),
        Unit::Year => start_of(point.year, 1),
        Unit::Decade => start_of(point.year.div_euclid(10) * 10, 1),
        Unit::Century => start_of(first_year(100), 1),
        Unit::Millennium => start_of(first_year(1000), 1),
    };
    Some(cut).filter(|&cut| datetime::is_valid_timestamp(cut)).ok_or_else(datetime::interval::timestamp_range)
}

#[builtin(oid = 2020)]
fn timestamp_trunc(name: &str, timestamp: i64) -> Result<i64> {
    truncate(name, timestamp, TIMESTAMP)
}

/// Cuts an instant by a zone's local time. Within a day the offset stays, so that overlaps don't merge.
fn truncate_instant(name: &str, instant: i64, zone: &Zone) -> Result<i64> {
    let local = zone.to_local(instant);
    let cut = truncate(name, local, TIMESTAMPTZ)?;
    let within_day = matches!(
        field(name),
        Some(Field::Unit(Unit::Microsecond | Unit::Millisecond | Unit::Second | Unit::Minute | Unit::Hour))
    );
    Ok(if within_day { instant - (local - cut) } else { zone.to_instant(cut) })
}

#[builtin(oid = 1217)]
fn timestamptz_trunc(context: &mut CallContext<'_>, name: &str, instant: i64) -> Result<i64> {
    truncate_instant(name, instant, &Zone::Named(context.io.time_zone.clone()))
}

#[builtin(oid = 1284)]
fn timestamptz_trunc_zone(name: &str, instant: i64, zone: &str) -> Result<i64> {
    truncate_instant(name, instant, &Zone::named(zone)?)
}

#[builtin(oid = 1218)]
fn interval_trunc(name: &str, span: Interval) -> Result<Interval> {
    let unit = match field(name) {
        Some(Field::Unit(Unit::Week)) => {
            return Err(unsupported(name, "interval").detail("Months usually have fractional weeks."));
        }
        Some(Field::Unit(unit)) => unit,
        Some(_) => return Err(unsupported(name, "interval")),
        None => return Err(unrecognized(name, "interval")),
    };
    if span.is_infinite() {
        return Ok(span);
    }
    let months = |span_months: i32| Interval {
        months: span.months / span_months * span_months,
        ..Interval::default()
    };
    let time = |unit: i64| Interval { micros: span.micros / unit * unit, ..span };
    Ok(match unit {
        Unit::Millennium => months(12_000),
        Unit::Century => months(1200),
        Unit::Decade => months(120),
        Unit::Year => months(12),
        Unit::Quarter => months(3),
        Unit::Month => months(1),
        Unit::Week | Unit::Day => Interval { micros: 0, ..span },
        Unit::Hour => time(HOUR_MICROS),
        Unit::Minute => time(MINUTE_MICROS),
        Unit::Second => time(SECOND_MICROS),
        Unit::Millisecond => time(1000),
        Unit::Microsecond => span,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kokkiri_types::datetime::parse;
    use kokkiri_types::io::IoSettings;

    include!("part_tests.rs");
}
