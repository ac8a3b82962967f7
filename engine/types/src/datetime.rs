//! Dates, times, timestamps and intervals.
//!
//! Realises: datetime.c, date.c and timestamp.c. A date is days, a timestamp microseconds since
//! 2000-01-01; a timestamptz is the same in UTC; a time is microseconds since midnight. The smallest and
//! largest integers are `-infinity` and `infinity`. Calendars are proleptic Gregorian; year 0 is 1 BC.
//! Zones come from the bundled tz database ([`zone`]).
//!
//! Start at [`parse`] for the input grammar, [`format`] for the output styles.

pub mod abbreviation;
pub mod format;
pub mod interval;
pub mod interval_text;
pub mod parse;
pub mod zone;

use kokkiri_primitives::{Result, bail};

pub use interval::Interval;
pub use zone::TimeZone;

pub const SECOND_MICROS: i64 = 1_000_000;
pub const MINUTE_MICROS: i64 = 60 * SECOND_MICROS;
pub const HOUR_MICROS: i64 = 60 * MINUTE_MICROS;
pub const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// Julian day number of 2000-01-01.
pub const EPOCH_JULIAN: i32 = 2_451_545;
/// Days from 1970-01-01 to 2000-01-01.
pub const UNIX_EPOCH_DAYS: i32 = 10_957;

/// `-infinity` and `infinity` of dates.
pub const DATE_BEGIN: i32 = i32::MIN;
pub const DATE_END: i32 = i32::MAX;
/// `-infinity` and `infinity` of timestamps.
pub const TIMESTAMP_BEGIN: i64 = i64::MIN;
pub const TIMESTAMP_END: i64 = i64::MAX;

/// 4713-11-24 BC, the first day and instant, and the ends (exclusive): 5874898-01-01 and 294277-01-01.
const MIN_DATE: i32 = -EPOCH_JULIAN;
const END_DATE: i32 = 2_147_483_494 - EPOCH_JULIAN;
const MIN_TIMESTAMP: i64 = -211_813_488_000_000_000;
const END_TIMESTAMP: i64 = 9_223_371_331_200_000_000;

/// How dates print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateStyle {
    #[default]
    Iso,
    Sql,
    Postgres,
    German,
}

/// In what order numbers of a date are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateOrder {
    #[default]
    Mdy,
    Dmy,
    Ymd,
}

/// How intervals print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntervalStyle {
    #[default]
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

/// A point of the calendar and the clock, taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateTime {
    /// Astronomical: 0 is 1 BC.
    pub year: i32,
    /// 1 to 12.
    pub month: i32,
    /// 1 to 31.
    pub day: i32,
    pub hour: i32,
    pub minute: i32,
    pub second: i32,
    pub micros: i32,
}

impl DateTime {
    /// From microseconds since 2000-01-01 00:00 of the same clock.
    pub fn from_timestamp(timestamp: i64) -> Self {
        let days = timestamp.div_euclid(DAY_MICROS);
        let (year, month, day) = civil_from_days(days as i32);
        let mut point = Self { year, month, day, ..Self::default() };
        point.set_time(timestamp.rem_euclid(DAY_MICROS));
        point
    }

    /// Sets hour to microseconds from microseconds since midnight.
    pub fn set_time(&mut self, time: i64) {
        self.hour = (time / HOUR_MICROS) as i32;
        self.minute = (time / MINUTE_MICROS % 60) as i32;
        self.second = (time / SECOND_MICROS % 60) as i32;
        self.micros = (time % SECOND_MICROS) as i32;
    }

    /// Microseconds since midnight.
    pub fn time(&self) -> i64 {
        i64::from(self.hour) * HOUR_MICROS
            + i64::from(self.minute) * MINUTE_MICROS
            + i64::from(self.second) * SECOND_MICROS
            + i64::from(self.micros)
    }

    /// Days since 2000-01-01.
    pub fn date(&self) -> i32 {
        days_from_civil(self.year, self.month, self.day)
    }

    /// Microseconds since 2000-01-01; `None` out of range.
    pub fn timestamp(&self) -> Option<i64> {
        let timestamp = i64::from(self.date()).checked_mul(DAY_MICROS)?.checked_add(self.time())?;
        is_valid_timestamp(timestamp).then_some(timestamp)
    }
}

pub fn is_valid_timestamp(timestamp: i64) -> bool {
    (MIN_TIMESTAMP..END_TIMESTAMP).contains(&timestamp)
}

pub fn is_valid_date(date: i32) -> bool {
    (MIN_DATE..END_DATE).contains(&date)
}

pub fn is_infinite_timestamp(timestamp: i64) -> bool {
    timestamp == TIMESTAMP_BEGIN || timestamp == TIMESTAMP_END
}

pub fn is_infinite_date(date: i32) -> bool {
    date == DATE_BEGIN || date == DATE_END
}

/// Days since 2000-01-01 of a date of the proleptic Gregorian calendar.
pub fn days_from_civil(year: i32, month: i32, day: i32) -> i32 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era - 719_468 - i64::from(UNIX_EPOCH_DAYS)) as i32
}

/// Year, month and day of days since 2000-01-01.
pub fn civil_from_days(days: i32) -> (i32, i32, i32) {
    let days = i64::from(days) + i64::from(UNIX_EPOCH_DAYS) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as i32, month as i32, day as i32)
}

pub fn is_leap_year(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub fn days_in_month(year: i32, month: i32) -> i32 {
    match month {
        2 => 28 + i32::from(is_leap_year(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// 0 for Sunday, of days since 2000-01-01.
pub fn day_of_week(days: i32) -> i32 {
    (i64::from(days) + 6).rem_euclid(7) as i32
}

/// ISO 8601 year and week of a date.
pub fn iso_week(year: i32, month: i32, day: i32) -> (i32, i32) {
    let date = days_from_civil(year, month, day);
    let monday_of_first = |year: i32| {
        let fourth = days_from_civil(year, 1, 4);
        fourth - (day_of_week(fourth) + 6) % 7
    };
    let mut iso_year = year + 1;
    while date < monday_of_first(iso_year) {
        iso_year -= 1;
    }
    (iso_year, (date - monday_of_first(iso_year)) / 7 + 1)
}

/// Rounds microseconds to `precision` decimal places of a second, half away from zero.
pub fn round_micros(value: i64, precision: i32) -> i64 {
    if !(0..6).contains(&precision) || is_infinite_timestamp(value) {
        return value;
    }
    let unit = 10i64.pow(6 - precision as u32);
    if value >= 0 { (value + unit / 2) / unit * unit } else { -((-value + unit / 2) / unit * unit) }
}

/// timetz from its on-disk bytes: microseconds and zone, seconds *west* of UTC.
pub fn timetz_from_fixed(bytes: &[u8; 16]) -> (i64, i32) {
    let mut time = [0; 8];
    let mut zone = [0; 4];
    time.copy_from_slice(&bytes[..8]);
    zone.copy_from_slice(&bytes[8..12]);
    (i64::from_le_bytes(time), i32::from_le_bytes(zone))
}

pub fn timetz_to_fixed(time: i64, zone: i32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&time.to_le_bytes());
    bytes[8..12].copy_from_slice(&zone.to_le_bytes());
    bytes
}

/// Microseconds from the Unix epoch to 2000-01-01.
pub fn unix_epoch_distance() -> i64 {
    i64::from(UNIX_EPOCH_DAYS) * DAY_MICROS
}

/// Midnight of a date.
///
/// # Errors
/// 22008 for a date beyond the timestamps.
pub fn date_to_timestamp(date: i32) -> Result<i64> {
    match date {
        DATE_BEGIN => Ok(TIMESTAMP_BEGIN),
        DATE_END => Ok(TIMESTAMP_END),
        days => match i64::from(days).checked_mul(DAY_MICROS).filter(|&t| is_valid_timestamp(t)) {
            Some(timestamp) => Ok(timestamp),
            None => bail!(DATETIME_FIELD_OVERFLOW, "date out of range for timestamp"),
        },
    }
}

/// The date of a timestamp.
pub fn timestamp_to_date(timestamp: i64) -> i32 {
    match timestamp {
        TIMESTAMP_BEGIN => DATE_BEGIN,
        TIMESTAMP_END => DATE_END,
        value => value.div_euclid(DAY_MICROS) as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_is_consistent() {
        assert_eq!(days_from_civil(2000, 1, 1), 0);
        assert_eq!(days_from_civil(-4713, 11, 24), MIN_DATE);
        assert_eq!(civil_from_days(MIN_DATE), (-4713, 11, 24));
        assert_eq!(days_from_civil(5_874_898, 1, 1), END_DATE);
        assert_eq!(i64::from(days_from_civil(294_277, 1, 1)) * DAY_MICROS, END_TIMESTAMP);
        for days in (-800_000..800_000).step_by(97) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(day_of_week(0), 6);
        assert_eq!(iso_week(2021, 1, 1), (2020, 53));
        assert_eq!(iso_week(2019, 12, 31), (2020, 1));
    }
}
