//! Time zones: a name and the offsets it stands for.

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::{AmbiguousOffset, Dst, Offset};

use super::{DAY_MICROS, DateTime, HOUR_MICROS, SECOND_MICROS};

/// Microseconds between the Unix epoch and 2000-01-01.
const EPOCH: i64 = 946_684_800 * SECOND_MICROS;

/// A zone as the setting TimeZone names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeZone {
    name: Box<str>,
    zone: jiff::tz::TimeZone,
}

impl Default for TimeZone {
    fn default() -> Self {
        Self { name: "GMT".into(), zone: jiff::tz::TimeZone::UTC }
    }
}

/// Offset and abbreviation that hold at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneInfo {
    /// Seconds east of UTC.
    pub offset: i32,
    pub dst: bool,
    pub abbreviation: String,
}

impl TimeZone {
    /// A zone by its name in the tz database (case doesn't matter), or a POSIX rule.
    pub fn lookup(name: &str) -> Option<Self> {
        let name = name.trim();
        if name.eq_ignore_ascii_case("utc") || name.eq_ignore_ascii_case("gmt") {
            return Some(Self { name: name.to_ascii_uppercase().into(), zone: jiff::tz::TimeZone::UTC });
        }
        if let Ok(zone) = jiff::tz::TimeZone::get(name) {
            let canonical = zone.iana_name().unwrap_or(name).into();
            return Some(Self { name: canonical, zone });
        }
        // `<-03:30>+03:30`: a constant offset, counted west as POSIX does.
        if let Some((_, west)) = name.strip_prefix('<').and_then(|rest| rest.split_once('>'))
            && let Some(seconds) = seconds_of(west)
        {
            return Self::fixed(-seconds);
        }
        let zone = jiff::tz::TimeZone::posix(name).ok()?;
        Some(Self { name: name.into(), zone })
    }

    /// A value of the setting TimeZone: a name, an offset in hours east, or the
    /// `<+03>-03` that such an offset is shown as.
    pub fn from_setting(text: &str) -> Option<Self> {
        if let Ok(hours) = text.trim().parse::<f64>() {
            return Self::fixed((hours * 3600.0).round() as i32);
        }
        Self::lookup(text)
    }

    /// A zone of constant offset, named as PostgreSQL names it after `SET TIME ZONE <number>`.
    pub fn fixed(seconds_east: i32) -> Option<Self> {
        let offset = Offset::from_seconds(seconds_east).ok()?;
        let mut posix = Vec::new();
        super::format::write_offset(-seconds_east, &mut posix);
        let mut shown = Vec::new();
        super::format::write_offset(seconds_east, &mut shown);
        let name = format!("<{}>{}", String::from_utf8_lossy(&shown), String::from_utf8_lossy(&posix));
        Some(Self { name: name.into(), zone: jiff::tz::TimeZone::fixed(offset) })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What holds at an instant given as timestamptz.
    pub fn at(&self, instant: i64) -> ZoneInfo {
        // The tz library stops at the year 9999; rules repeat with the calendar's cycle of 400 years.
        const CYCLE: i64 = 146_097 * DAY_MICROS;
        let mut instant = instant.clamp(super::MIN_TIMESTAMP, super::END_TIMESTAMP);
        let limit = 7_900 * 365 * DAY_MICROS;
        if instant > limit {
            instant -= (instant - limit).div_euclid(CYCLE) * CYCLE + CYCLE;
        }
        let Ok(timestamp) = Timestamp::from_microsecond(instant + EPOCH) else {
            return ZoneInfo { offset: 0, dst: false, abbreviation: String::new() };
        };
        let info = self.zone.to_offset_info(timestamp);
        ZoneInfo {
            offset: info.offset().seconds(),
            dst: info.dst() == Dst::Yes,
            abbreviation: info.abbreviation().to_owned(),
        }
    }

    /// Seconds east of UTC at an instant given as timestamptz.
    pub fn offset_at(&self, instant: i64) -> i32 {
        if self.zone == jiff::tz::TimeZone::UTC { 0 } else { self.at(instant).offset }
    }

    /// Seconds east of UTC that a local time has. In a gap the offset before it, in an overlap the one
    /// after: PostgreSQL's `DetermineTimeZoneOffset`.
    pub fn offset_of_local(&self, local: i64) -> i32 {
        if self.zone == jiff::tz::TimeZone::UTC {
            return 0;
        }
        let point = DateTime::from_timestamp(local);
        // Years beyond the library's fold into its range as for instants.
        let year = if point.year > 9_000 { 8_000 + point.year % 400 } else { point.year.max(-9_000) };
        let date_time = civil::DateTime::new(
            year as i16,
            point.month as i8,
            point.day as i8,
            point.hour.min(23) as i8,
            point.minute as i8,
            point.second as i8,
            point.micros * 1000,
        );
        let Ok(date_time) = date_time else { return 0 };
        match self.zone.to_ambiguous_timestamp(date_time).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.seconds(),
            AmbiguousOffset::Gap { before, .. } => before.seconds(),
            AmbiguousOffset::Fold { after, .. } => after.seconds(),
        }
    }

    /// timestamp to timestamptz: the instant of a local time.
    pub fn to_instant(&self, local: i64) -> i64 {
        local - i64::from(self.offset_of_local(local)) * SECOND_MICROS
    }

    /// timestamptz to timestamp: the local time of an instant.
    pub fn to_local(&self, instant: i64) -> i64 {
        instant + i64::from(self.offset_at(instant)) * SECOND_MICROS
    }
}

/// Seconds of `[+-]hh[:mm[:ss]]`.
fn seconds_of(text: &str) -> Option<i32> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let mut seconds = 0;
    for (part, unit) in digits.split(':').zip([3600, 60, 1]) {
        seconds += part.parse::<u8>().ok().map(i32::from)? * unit;
    }
    (digits.split(':').count() <= 3).then_some(if negative { -seconds } else { seconds })
}

/// Largest zone displacement, microseconds.
pub const MAX_DISPLACEMENT: i64 = 16 * HOUR_MICROS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_take_the_offset_before_and_overlaps_the_one_after() {
        let zone = TimeZone::lookup("america/new_york").expect("known");
        assert_eq!(zone.name(), "America/New_York");
        let local = |year, month, day, hour, minute| {
            DateTime { year, month, day, hour, minute, ..DateTime::default() }.timestamp().expect("in range")
        };
        assert_eq!(zone.offset_of_local(local(2024, 3, 10, 2, 30)), -5 * 3600);
        assert_eq!(zone.offset_of_local(local(2024, 11, 3, 1, 30)), -5 * 3600);
        assert_eq!(zone.offset_of_local(local(2024, 7, 1, 0, 0)), -4 * 3600);
        assert_eq!(zone.offset_of_local(local(12024, 7, 1, 0, 0)), -4 * 3600);
        let instant = local(15000, 7, 1, 4, 0);
        assert_eq!(zone.to_local(instant), local(15000, 7, 1, 0, 0));
        assert!(TimeZone::lookup("Nowhere/Land").is_none());
        let fixed = TimeZone::from_setting("-3.5").expect("an offset");
        assert_eq!((fixed.name(), fixed.offset_at(0)), ("<-03:30>+03:30", -12_600));
        assert_eq!(TimeZone::from_setting(fixed.name()).map(|zone| zone.offset_at(0)), Some(-12_600));
    }
}
