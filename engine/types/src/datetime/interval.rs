//! interval: months, days and microseconds that are kept apart.

use std::cmp::Ordering;

use kokkiri_primitives::{Error, Result, bail, error};

use super::{DAY_MICROS, DateTime, days_in_month};

/// A span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    pub micros: i64,
    pub days: i32,
    pub months: i32,
}

impl Interval {
    pub const INFINITY: Self = Self { micros: i64::MAX, days: i32::MAX, months: i32::MAX };
    pub const NEGATIVE_INFINITY: Self = Self { micros: i64::MIN, days: i32::MIN, months: i32::MIN };

    /// From the on-disk bytes: time i64, days i32, months i32.
    pub fn from_fixed(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        Self {
            micros: i64::from_le_bytes([a, b, c, d, e, f, g, h]),
            days: i32::from_le_bytes([i, j, k, l]),
            months: i32::from_le_bytes([m, n, o, p]),
        }
    }

    pub fn to_fixed(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.micros.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.days.to_le_bytes());
        bytes[12..].copy_from_slice(&self.months.to_le_bytes());
        bytes
    }

    pub fn is_infinite(self) -> bool {
        self == Self::INFINITY || self == Self::NEGATIVE_INFINITY
    }

    /// What is compared: microseconds with months of 30 days and days of 24 hours.
    pub fn cmp_value(self) -> i128 {
        let days = i64::from(self.months) * 30 + i64::from(self.days);
        i128::from(days) * i128::from(DAY_MICROS) + i128::from(self.micros)
    }

    pub fn sign(self) -> Ordering {
        self.cmp_value().cmp(&0)
    }

    /// # Errors
    /// 22008 interval out of range.
    pub fn negated(self) -> Result<Self> {
        if self == Self::INFINITY {
            return Ok(Self::NEGATIVE_INFINITY);
        }
        if self == Self::NEGATIVE_INFINITY {
            return Ok(Self::INFINITY);
        }
        let negated = (self.micros.checked_neg(), self.days.checked_neg(), self.months.checked_neg());
        finite(negated)
    }

    /// # Errors
    /// 22008 interval out of range.
    pub fn plus(self, other: Self) -> Result<Self> {
        match (self.is_infinite(), other.is_infinite()) {
            (true, true) if self != other => Err(out_of_range()),
            (true, _) => Ok(self),
            (_, true) => Ok(other),
            (false, false) => finite((
                self.micros.checked_add(other.micros),
                self.days.checked_add(other.days),
                self.months.checked_add(other.months),
            )),
        }
    }

    /// # Errors
    /// 22008 interval out of range.
    pub fn minus(self, other: Self) -> Result<Self> {
        if self.is_infinite() || other.is_infinite() {
            return self.plus(other.negated()?);
        }
        finite((
            self.micros.checked_sub(other.micros),
            self.days.checked_sub(other.days),
            self.months.checked_sub(other.months),
        ))
    }

    /// `interval_mul`: fractions of months become days, fractions of days time.
    ///
    /// # Errors
    /// 22008 interval out of range.
    pub fn multiply(self, factor: f64) -> Result<Self> {
        if factor.is_nan() {
            return Err(out_of_range());
        }
        if self.is_infinite() {
            if factor == 0.0 {
                return Err(out_of_range());
            }
            return if factor < 0.0 { self.negated() } else { Ok(self) };
        }
        if factor.is_infinite() {
            return match self.sign() {
                Ordering::Equal => Err(out_of_range()),
                sign => Ok(if (sign == Ordering::Greater) == (factor > 0.0) {
                    Self::INFINITY
                } else {
                    Self::NEGATIVE_INFINITY
                }),
            };
        }
        self.scaled(|value| value * factor)
    }

    /// `interval_div`.
    ///
    /// # Errors
    /// 22012 division by zero, 22008 interval out of range.
    pub fn divide(self, divisor: f64) -> Result<Self> {
        if divisor == 0.0 {
            bail!(DIVISION_BY_ZERO, "division by zero");
        }
        if divisor.is_nan() || (self.is_infinite() && divisor.is_infinite()) {
            return Err(out_of_range());
        }
        if self.is_infinite() {
            return if divisor < 0.0 { self.negated() } else { Ok(self) };
        }
        self.scaled(|value| value / divisor)
    }

    fn scaled(self, scale: impl Fn(f64) -> f64) -> Result<Self> {
        let to_i32 = |value: f64| {
            (value >= f64::from(i32::MIN) && value <= f64::from(i32::MAX)).then_some(value as i32)
        };
        let round = |value: f64| (value * 1e6).round_ties_even() / 1e6;
        let months_scaled = scale(f64::from(self.months));
        let days_scaled = scale(f64::from(self.days));
        let months = to_i32(months_scaled).ok_or_else(out_of_range)?;
        let mut days = to_i32(days_scaled).ok_or_else(out_of_range)?;
        let month_days = round((months_scaled - f64::from(months)) * 30.0);
        let mut seconds = round((days_scaled - f64::from(days) + month_days - month_days.trunc()) * 86_400.0);
        if seconds.abs() >= 86_400.0 {
            days = days.checked_add((seconds / 86_400.0) as i32).ok_or_else(out_of_range)?;
            seconds -= f64::from((seconds / 86_400.0) as i32) * 86_400.0;
        }
        days = days.checked_add(month_days as i32).ok_or_else(out_of_range)?;
        let micros = (scale(self.micros as f64) + seconds * 1e6).round_ties_even();
        if !(micros >= i64::MIN as f64 && micros < i64::MAX as f64) {
            return Err(out_of_range());
        }
        finite((Some(micros as i64), Some(days), Some(months)))
    }

    /// Turns each 24 hours into a day.
    ///
    /// # Errors
    /// 22008 interval out of range.
    pub fn justify_hours(self) -> Result<Self> {
        if self.is_infinite() {
            return Ok(self);
        }
        let whole = self.micros / DAY_MICROS;
        let mut micros = self.micros % DAY_MICROS;
        let mut days = i64::from(self.days) + whole;
        if days > 0 && micros < 0 {
            micros += DAY_MICROS;
            days -= 1;
        } else if days < 0 && micros > 0 {
            micros -= DAY_MICROS;
            days += 1;
        }
        finite((Some(micros), i32::try_from(days).ok(), Some(self.months)))
    }

    /// Turns each 30 days into a month.
    ///
    /// # Errors
    /// 22008 interval out of range.
    pub fn justify_days(self) -> Result<Self> {
        if self.is_infinite() {
            return Ok(self);
        }
        let mut days = self.days % 30;
        let mut months = i64::from(self.months) + i64::from(self.days / 30);
        if months > 0 && days < 0 {
            days += 30;
            months -= 1;
        } else if months < 0 && days > 0 {
            days -= 30;
            months += 1;
        }
        finite((Some(self.micros), Some(days), i32::try_from(months).ok()))
    }

    /// Adds the interval to a local timestamp: months first (to the last day of a short month), then days,
    /// then time.
    ///
    /// # Errors
    /// 22008 timestamp out of range.
    pub fn add_to_timestamp(self, timestamp: i64) -> Result<i64> {
        if self.is_infinite() {
            return infinite_sum(self, timestamp);
        }
        if super::is_infinite_timestamp(timestamp) {
            return Ok(timestamp);
        }
        let dated = self.add_days_and_months(timestamp)?;
        dated.checked_add(self.micros).filter(|&t| super::is_valid_timestamp(t)).ok_or_else(timestamp_range)
    }

    /// Adds months and days, not the time.
    fn add_days_and_months(self, timestamp: i64) -> Result<i64> {
        let mut timestamp = timestamp;
        if self.months != 0 {
            let mut point = DateTime::from_timestamp(timestamp);
            let month = i64::from(point.year) * 12 + i64::from(point.month) - 1 + i64::from(self.months);
            point.year = i32::try_from(month.div_euclid(12)).map_err(|_| timestamp_range())?;
            point.month = month.rem_euclid(12) as i32 + 1;
            point.day = point.day.min(days_in_month(point.year, point.month));
            timestamp = point.timestamp().ok_or_else(timestamp_range)?;
        }
        if self.days != 0 {
            let moved = i64::from(self.days).checked_mul(DAY_MICROS).and_then(|d| timestamp.checked_add(d));
            timestamp = moved.filter(|&t| super::is_valid_timestamp(t)).ok_or_else(timestamp_range)?;
        }
        Ok(timestamp)
    }

    /// Adds the interval to an instant: days and months by the zone's local time.
    ///
    /// # Errors
    /// 22008 timestamp out of range.
    pub fn add_to_instant(self, instant: i64, zone: &super::TimeZone) -> Result<i64> {
        if self.is_infinite() {
            return infinite_sum(self, instant);
        }
        if super::is_infinite_timestamp(instant) {
            return Ok(instant);
        }
        let mut instant = instant;
        for step in
            [Self { months: self.months, ..Self::default() }, Self { days: self.days, ..Self::default() }]
        {
            if step != Self::default() {
                instant = zone.to_instant(step.add_days_and_months(zone.to_local(instant))?);
            }
        }
        instant.checked_add(self.micros).filter(|&t| super::is_valid_timestamp(t)).ok_or_else(timestamp_range)
    }

    /// `timestamp_mi`: the time between two timestamps, whole days as days.
    ///
    /// # Errors
    /// 22008 interval out of range.
    pub fn between(later: i64, earlier: i64) -> Result<Self> {
        match (super::is_infinite_timestamp(later), super::is_infinite_timestamp(earlier)) {
            (true, true) if later == earlier => return Err(out_of_range()),
            (true, _) => return Ok(if later > 0 { Self::INFINITY } else { Self::NEGATIVE_INFINITY }),
            (_, true) => return Ok(if earlier > 0 { Self::NEGATIVE_INFINITY } else { Self::INFINITY }),
            (false, false) => {}
        }
        let micros = later.checked_sub(earlier).ok_or_else(out_of_range)?;
        Self { micros, ..Self::default() }.justify_hours()
    }

    /// `timestamp_age`: the difference in years, months, days and time of the calendar.
    ///
    /// # Errors
    /// 22008 interval out of range.
    pub fn age(later: i64, earlier: i64) -> Result<Self> {
        if super::is_infinite_timestamp(later) || super::is_infinite_timestamp(earlier) {
            return Self::between(later, earlier);
        }
        let negative = later < earlier;
        let (high, low) = if negative { (earlier, later) } else { (later, earlier) };
        let (a, b) = (DateTime::from_timestamp(high), DateTime::from_timestamp(low));
        let mut micros = a.time() - b.time();
        let mut days = a.day - b.day;
        let mut months = (a.year - b.year) * 12 + a.month - b.month;
        if micros < 0 {
            micros += DAY_MICROS;
            days -= 1;
        }
        if days < 0 {
            // Days are borrowed from the month of the point that was given as the earlier one.
            let lender = if negative { &a } else { &b };
            days += days_in_month(lender.year, lender.month);
            months -= 1;
        }
        let age = Self { micros, days, months };
        if negative { age.negated() } else { Ok(age) }
    }
}

fn infinite_sum(interval: Interval, timestamp: i64) -> Result<i64> {
    let infinity = if interval == Interval::INFINITY { super::TIMESTAMP_END } else { super::TIMESTAMP_BEGIN };
    if super::is_infinite_timestamp(timestamp) && timestamp != infinity {
        return Err(timestamp_range());
    }
    Ok(infinity)
}

pub fn out_of_range() -> Error {
    error!(DATETIME_FIELD_OVERFLOW, "interval out of range")
}

pub fn timestamp_range() -> Error {
    error!(DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

/// A finite interval of parts that didn't overflow and don't happen to be those of an infinity.
fn finite(parts: (Option<i64>, Option<i32>, Option<i32>)) -> Result<Interval> {
    match parts {
        (Some(micros), Some(days), Some(months)) => {
            let interval = Interval { micros, days, months };
            if interval.is_infinite() { Err(out_of_range()) } else { Ok(interval) }
        }
        _ => Err(out_of_range()),
    }
}
