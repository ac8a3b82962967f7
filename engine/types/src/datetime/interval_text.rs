//! Text of intervals: PostgreSQL's, the SQL standard's and ISO 8601's, read and written.

use kokkiri_primitives::{Error, Result, error};

use super::format::write_fraction;
use super::interval::{Interval, out_of_range};
use super::{DAY_MICROS, HOUR_MICROS, IntervalStyle, MINUTE_MICROS, SECOND_MICROS};
use crate::number::{invalid_syntax, is_space, write_i64, write_padded};

/// An interval taken apart; all of month, day and time may differ in sign.
struct Parts {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
    micros: i64,
}

impl Parts {
    fn of(interval: Interval) -> Self {
        Self {
            years: i64::from(interval.months / 12),
            months: i64::from(interval.months % 12),
            days: i64::from(interval.days),
            hours: interval.micros / HOUR_MICROS,
            minutes: interval.micros / MINUTE_MICROS % 60,
            seconds: interval.micros / SECOND_MICROS % 60,
            micros: interval.micros % SECOND_MICROS,
        }
    }

    fn all(&self) -> [i64; 7] {
        [self.years, self.months, self.days, self.hours, self.minutes, self.seconds, self.micros]
    }

    fn time(&self) -> [i64; 4] {
        [self.hours, self.minutes, self.seconds, self.micros]
    }

    fn write_seconds(&self, width: usize, out: &mut Vec<u8>) {
        write_padded(self.seconds.unsigned_abs(), width, out);
        write_fraction(self.micros as i32, out);
    }

    /// `hours:MM:SS.ffffff` without sign.
    fn write_clock(&self, hour_width: usize, out: &mut Vec<u8>) {
        write_padded(self.hours.unsigned_abs(), hour_width, out);
        out.push(b':');
        write_padded(self.minutes.unsigned_abs(), 2, out);
        out.push(b':');
        self.write_seconds(2, out);
    }
}

/// `interval_out`.
pub fn write(interval: Interval, style: IntervalStyle, out: &mut Vec<u8>) {
    if interval == Interval::INFINITY {
        return out.extend_from_slice(b"infinity");
    }
    if interval == Interval::NEGATIVE_INFINITY {
        return out.extend_from_slice(b"-infinity");
    }
    let parts = Parts::of(interval);
    match style {
        IntervalStyle::Postgres => write_postgres(&parts, out),
        IntervalStyle::PostgresVerbose => write_verbose(&parts, out),
        IntervalStyle::SqlStandard => write_sql(&parts, out),
        IntervalStyle::Iso8601 => write_iso(&parts, out),
    }
}

fn write_unit(value: i64, unit: &str, out: &mut Vec<u8>) {
    write_i64(value, out);
    out.push(b' ');
    out.extend_from_slice(unit.as_bytes());
    if value != 1 {
        out.push(b's');
    }
}

fn write_postgres(parts: &Parts, out: &mut Vec<u8>) {
    let start = out.len();
    let mut before = false;
    for (value, unit) in [(parts.years, "year"), (parts.months, "mon"), (parts.days, "day")] {
        if value == 0 {
            continue;
        }
        if out.len() > start {
            out.push(b' ');
        }
        if before && value > 0 {
            out.push(b'+');
        }
        write_unit(value, unit, out);
        before = value < 0;
    }
    if out.len() == start || parts.time().iter().any(|&part| part != 0) {
        if out.len() > start {
            out.push(b' ');
        }
        if parts.time().iter().any(|&part| part < 0) {
            out.push(b'-');
        } else if before {
            out.push(b'+');
        }
        parts.write_clock(2, out);
    }
}

fn write_verbose(parts: &Parts, out: &mut Vec<u8>) {
    out.push(b'@');
    let (mut zero, mut before) = (true, false);
    for (value, unit) in [
        (parts.years, "year"),
        (parts.months, "mon"),
        (parts.days, "day"),
        (parts.hours, "hour"),
        (parts.minutes, "min"),
    ] {
        if value == 0 {
            continue;
        }
        if zero {
            before = value < 0;
        }
        out.push(b' ');
        write_unit(if before { -value } else { value }, unit, out);
        zero = false;
    }
    if parts.seconds != 0 || parts.micros != 0 {
        out.push(b' ');
        let negative = parts.seconds < 0 || parts.micros < 0;
        if negative && zero {
            before = true;
        } else if negative != before {
            out.push(b'-');
        }
        parts.write_seconds(1, out);
        out.extend_from_slice(b" sec");
        if parts.seconds.abs() != 1 || parts.micros != 0 {
            out.push(b's');
        }
        zero = false;
    }
    if zero {
        out.extend_from_slice(b" 0");
    }
    if before {
        out.extend_from_slice(b" ago");
    }
}

fn write_sql(parts: &Parts, out: &mut Vec<u8>) {
    let negative = parts.all().iter().any(|&part| part < 0);
    let positive = parts.all().iter().any(|&part| part > 0);
    let year_month = parts.years != 0 || parts.months != 0;
    let day_time = parts.days != 0 || parts.time().iter().any(|&part| part != 0);
    if !negative && !positive {
        return out.push(b'0');
    }
    let write_years = |out: &mut Vec<u8>| {
        write_padded(parts.years.unsigned_abs(), 1, out);
        out.push(b'-');
        write_padded(parts.months.unsigned_abs(), 1, out);
    };
    if (negative && positive) || (year_month && day_time) {
        let sign = |negative: bool| if negative { b'-' } else { b'+' };
        out.push(sign(parts.years < 0 || parts.months < 0));
        write_years(out);
        out.extend([b' ', sign(parts.days < 0)]);
        write_padded(parts.days.unsigned_abs(), 1, out);
        out.extend([b' ', sign(parts.time().iter().any(|&part| part < 0))]);
        return parts.write_clock(1, out);
    }
    if negative {
        out.push(b'-');
    }
    if year_month {
        return write_years(out);
    }
    if parts.days != 0 {
        write_padded(parts.days.unsigned_abs(), 1, out);
        out.push(b' ');
    }
    parts.write_clock(1, out);
}

fn write_iso(parts: &Parts, out: &mut Vec<u8>) {
    if parts.all().iter().all(|&part| part == 0) {
        return out.extend_from_slice(b"PT0S");
    }
    let unit = |value: i64, letter: u8, out: &mut Vec<u8>| {
        if value != 0 {
            write_i64(value, out);
            out.push(letter);
        }
    };
    out.push(b'P');
    unit(parts.years, b'Y', out);
    unit(parts.months, b'M', out);
    unit(parts.days, b'D', out);
    if parts.time().iter().any(|&part| part != 0) {
        out.push(b'T');
    }
    unit(parts.hours, b'H', out);
    unit(parts.minutes, b'M', out);
    if parts.seconds != 0 || parts.micros != 0 {
        if parts.seconds < 0 || parts.micros < 0 {
            out.push(b'-');
        }
        parts.write_seconds(1, out);
        out.push(b'S');
    }
}

/// Fields of an interval, as a type modifier's range and `extract` name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
}

impl Unit {
    /// PostgreSQL's spellings, in lower case.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecon" | "microsecond"
            | "microseconds" => Unit::Microsecond,
            "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecon" | "millisecond"
            | "milliseconds" => Unit::Millisecond,
            "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
            "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
            "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
            "d" | "day" | "days" => Unit::Day,
            "w" | "week" | "weeks" => Unit::Week,
            "mon" | "mons" | "month" | "months" => Unit::Month,
            "qtr" | "quarter" => Unit::Quarter,
            "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
            "dec" | "decs" | "decade" | "decades" => Unit::Decade,
            "c" | "cent" | "century" | "centuries" => Unit::Century,
            "mil" | "mils" | "millennia" | "millennium" => Unit::Millennium,
            _ => return None,
        })
    }
}

/// A number with a fraction: sign, whole part, and the fraction as millionths of a millionth.
#[derive(Clone, Copy, Debug)]
struct Number {
    negative: bool,
    whole: i64,
    fraction: f64,
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty()
            || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let whole = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let fraction = if fraction.is_empty() { 0.0 } else { format!("0.{fraction}").parse().ok()? };
        Some(Self { negative, whole, fraction })
    }

    fn sign(self) -> i64 {
        if self.negative { -1 } else { 1 }
    }
}

/// Sums parts with overflow checks.
#[derive(Default)]
struct Builder {
    months: i64,
    days: i64,
    micros: i64,
}

impl Builder {
    fn add(field: &mut i64, value: i64, scale: i64) -> Result<()> {
        *field = value.checked_mul(scale).and_then(|v| field.checked_add(v)).ok_or_else(out_of_range)?;
        Ok(())
    }

    fn add_fraction_of_day(&mut self, fraction: f64) -> Result<()> {
        Self::add(&mut self.micros, (fraction * DAY_MICROS as f64).round_ties_even() as i64, 1)
    }

    fn add_unit(&mut self, number: Number, unit: Unit) -> Result<()> {
        let whole = number.whole * number.sign();
        let fraction = number.fraction * number.sign() as f64;
        let time = |scale: i64| (scale, (fraction * scale as f64).round_ties_even() as i64);
        let (scale, extra) = match unit {
            Unit::Microsecond => (1, fraction.round_ties_even() as i64),
            Unit::Millisecond => time(1000),
            Unit::Second => time(SECOND_MICROS),
            Unit::Minute => time(MINUTE_MICROS),
            Unit::Hour => time(HOUR_MICROS),
            Unit::Day => {
                Self::add(&mut self.days, whole, 1)?;
                return self.add_fraction_of_day(fraction);
            }
            Unit::Week => {
                Self::add(&mut self.days, whole, 7)?;
                let days = fraction * 7.0;
                Self::add(&mut self.days, days.trunc() as i64, 1)?;
                return self.add_fraction_of_day(days.fract());
            }
            Unit::Month => {
                Self::add(&mut self.months, whole, 1)?;
                let days = fraction * 30.0;
                Self::add(&mut self.days, days.trunc() as i64, 1)?;
                return self.add_fraction_of_day(days.fract());
            }
            Unit::Quarter => return Err(out_of_range()),
            Unit::Year | Unit::Decade | Unit::Century | Unit::Millennium => {
                let months = match unit {
                    Unit::Year => 12,
                    Unit::Decade => 120,
                    Unit::Century => 1200,
                    _ => 12_000,
                };
                Self::add(&mut self.months, whole, months)?;
                return Self::add(&mut self.months, (fraction * months as f64).round_ties_even() as i64, 1);
            }
        };
        Self::add(&mut self.micros, whole, scale)?;
        Self::add(&mut self.micros, extra, 1)
    }

    fn finish(self, negate: bool) -> Result<Interval> {
        let narrow = |value: i64| i32::try_from(value).map_err(|_| out_of_range());
        let interval =
            Interval { micros: self.micros, days: narrow(self.days)?, months: narrow(self.months)? };
        if negate { interval.negated() } else { Ok(interval) }
    }
}

/// `hours:minutes[:seconds[.fraction]]` or `minutes:seconds.fraction`, microseconds without sign.
fn parse_clock(text: &str, minutes_first: bool) -> Option<i64> {
    let fields: Vec<&str> = text.split(':').collect();
    let whole = |text: &str| -> Option<i64> {
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
    };
    let seconds = |text: &str| {
        let number = Number::parse(text).filter(|number| !number.negative)?;
        let micros = (number.fraction * SECOND_MICROS as f64).round_ties_even() as i64;
        (number.whole <= 60).then(|| number.whole * SECOND_MICROS + micros)
    };
    let minute = |text: &str| whole(text).filter(|&minutes| minutes < 60).map(|m| m * MINUTE_MICROS);
    match *fields.as_slice() {
        [hours, minutes, rest] => {
            let hours = whole(hours)?.checked_mul(HOUR_MICROS)?;
            hours.checked_add(minute(minutes)? + seconds(rest)?)
        }
        // "12:34.5" has a fraction of seconds: minutes and seconds.
        [minutes, rest] if rest.contains('.') || minutes_first => {
            whole(minutes)?.checked_mul(MINUTE_MICROS)?.checked_add(seconds(rest)?)
        }
        [hours, minutes] => whole(hours)?.checked_mul(HOUR_MICROS)?.checked_add(minute(minutes)?),
        _ => None,
    }
}

/// A type modifier of interval: which fields may be there and the seconds' precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modifier {
    /// PostgreSQL's mask of fields; 0x7FFF for all.
    pub range: i32,
    /// 0 to 6, or 0xFFFF for full.
    pub precision: i32,
}

/// Bits of the mask.
pub const MONTH_BIT: i32 = 1 << 1;
pub const YEAR_BIT: i32 = 1 << 2;
pub const DAY_BIT: i32 = 1 << 3;
pub const HOUR_BIT: i32 = 1 << 10;
pub const MINUTE_BIT: i32 = 1 << 11;
pub const SECOND_BIT: i32 = 1 << 12;

impl Modifier {
    pub fn of(typmod: i32) -> Option<Self> {
        (typmod >= 0).then_some(Self { range: typmod >> 16 & 0x7FFF, precision: typmod & 0xFFFF })
    }

    /// Unit of a number that stands without one: the last field of the range.
    fn default_unit(range: i32) -> Unit {
        let has = |bit: i32| range & bit != 0;
        if range == 0x7FFF || has(SECOND_BIT) {
            Unit::Second
        } else if has(MINUTE_BIT) {
            Unit::Minute
        } else if has(HOUR_BIT) {
            Unit::Hour
        } else if has(DAY_BIT) {
            Unit::Day
        } else if has(MONTH_BIT) {
            Unit::Month
        } else if has(YEAR_BIT) {
            Unit::Year
        } else {
            Unit::Second
        }
    }
}

/// Applies a type modifier: drops fields below the range's last, rounds seconds.
pub fn apply_typmod(mut interval: Interval, typmod: i32) -> Interval {
    let Some(modifier) = Modifier::of(typmod) else { return interval };
    if interval.is_infinite() {
        return interval;
    }
    let range = modifier.range;
    if range != 0x7FFF {
        if range == YEAR_BIT {
            interval.months = interval.months / 12 * 12;
        }
        if range & (DAY_BIT | HOUR_BIT | MINUTE_BIT | SECOND_BIT) == 0 {
            interval.days = 0;
        }
        interval.micros = match Modifier::default_unit(range) {
            Unit::Second => interval.micros,
            Unit::Minute => interval.micros / MINUTE_MICROS * MINUTE_MICROS,
            Unit::Hour => interval.micros / HOUR_MICROS * HOUR_MICROS,
            _ => 0,
        };
    }
    if modifier.precision <= 6 {
        interval.micros = super::round_micros(interval.micros, modifier.precision);
    }
    interval
}

/// Words of an interval: numbers with their signs, clocks, and letters; in lower case.
fn words(text: &str) -> Option<Vec<String>> {
    let lower = text.to_ascii_lowercase();
    let bytes = lower.as_bytes();
    let mut words: Vec<String> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            byte if is_space(byte) || matches!(byte, b'@' | b',') => {
                at += 1;
                continue;
            }
            b'+' | b'-' => {
                at += 1;
                while at < bytes.len() && is_space(bytes[at]) {
                    at += 1;
                }
                let sign = bytes[start] as char;
                let digits = at;
                if bytes.get(at).is_some_and(u8::is_ascii_alphabetic) {
                    while bytes.get(at).is_some_and(u8::is_ascii_alphabetic) {
                        at += 1;
                    }
                } else {
                    at = number_end(bytes, at);
                }
                if at == digits {
                    return None;
                }
                words.push(format!("{sign}{}", &lower[digits..at]));
                continue;
            }
            byte if byte.is_ascii_digit() || byte == b'.' => at = number_end(bytes, at),
            byte if byte.is_ascii_alphabetic() => {
                while bytes.get(at).is_some_and(u8::is_ascii_alphabetic) {
                    at += 1;
                }
            }
            _ => return None,
        }
        if at == start {
            return None;
        }
        words.push(lower[start..at].to_owned());
    }
    Some(words)
}

/// End of digits, colons, points, and one hyphen between digits (`years-months`).
fn number_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = bytes.get(at) {
        let hyphen = byte == b'-'
            && at > 0
            && bytes[at - 1].is_ascii_digit()
            && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !(byte.is_ascii_digit() || matches!(byte, b'.' | b':') || hyphen) {
            break;
        }
        at += 1;
    }
    at
}

/// `interval_in`.
///
/// # Errors
/// 22007 for what is no interval, 22015 for a field out of range.
pub fn parse(text: &str, typmod: i32, style: IntervalStyle) -> Result<Interval> {
    let syntax = || bad_syntax(text);
    let trimmed = crate::number::trim(text);
    if trimmed.starts_with('P') || trimmed.starts_with("-P") {
        let interval = parse_iso(trimmed).unwrap_or_else(|| Err(syntax()));
        return interval.map(|interval| apply_typmod(interval, typmod)).map_err(|e| with_text(e, text));
    }
    let words = words(trimmed).filter(|words| !words.is_empty()).ok_or_else(syntax)?;
    let range = Modifier::of(typmod).map_or(0x7FFF, |modifier| modifier.range);
    let interval = parse_words(&words, range, style).map_err(|e| with_text(e, text))?.ok_or_else(syntax)?;
    Ok(apply_typmod(interval, typmod))
}

fn bad_syntax(text: &str) -> Error {
    let error = invalid_syntax("interval", text);
    Error::new(kokkiri_primitives::SqlState::INVALID_DATETIME_FORMAT, error.message())
}

/// Input errors quote the text.
fn with_text(error: Error, text: &str) -> Error {
    if error.message() == "interval out of range" {
        return error!(INTERVAL_FIELD_OVERFLOW, "interval field value out of range: \"{text}\"");
    }
    error
}

fn parse_words(words: &[String], range: i32, style: IntervalStyle) -> Result<Option<Interval>> {
    match words {
        [word] if matches!(word.as_str(), "infinity" | "+infinity" | "inf" | "+inf") => {
            return Ok(Some(Interval::INFINITY));
        }
        [word] if matches!(word.as_str(), "-infinity" | "-inf") => {
            return Ok(Some(Interval::NEGATIVE_INFINITY));
        }
        _ => {}
    }
    let mut builder = Builder::default();
    let mut ago = false;
    let mut at = 0;
    // The SQL standard's single leading sign holds for all fields.
    let one_sign = style == IntervalStyle::SqlStandard
        && words[0].starts_with('-')
        && !words[1..].iter().any(|word| word.starts_with(['-', '+']));
    let mut any = false;
    while at < words.len() {
        let word = &words[at];
        at += 1;
        if word == "ago" && at == words.len() && any {
            ago = true;
            continue;
        }
        let unsigned = word.trim_start_matches(['+', '-']);
        let negative = word.starts_with('-') || one_sign;
        let sign = if negative { -1 } else { 1 };
        if unsigned.contains(':') {
            let minutes_first = range == MINUTE_BIT | SECOND_BIT;
            let Some(time) = parse_clock(unsigned, minutes_first) else { return Ok(None) };
            Builder::add(&mut builder.micros, time, sign)?;
        } else if let Some((years, months)) = unsigned.split_once('-') {
            let (Ok(years), Ok(months)) = (years.parse::<i64>(), months.parse::<i64>()) else {
                return Ok(None);
            };
            if months >= 12 {
                return Err(out_of_range());
            }
            Builder::add(
                &mut builder.months,
                years.checked_mul(12).ok_or_else(out_of_range)? + months,
                sign,
            )?;
        } else {
            let Some(mut number) = Number::parse(unsigned) else { return Ok(None) };
            number.negative = negative;
            let unit = match words.get(at) {
                Some(next) if next.starts_with(|c: char| c.is_ascii_alphabetic()) && next != "ago" => {
                    at += 1;
                    let Some(unit) = Unit::parse(next) else { return Ok(None) };
                    unit
                }
                // A number before a clock is days.
                Some(next) if next.contains(':') => Unit::Day,
                _ => Modifier::default_unit(range),
            };
            builder.add_unit(number, unit)?;
        }
        any = true;
    }
    if any { builder.finish(ago).map(Some) } else { Ok(None) }
}

/// `P1Y2M3DT4H5M6S`, `P2W`, and the alternative form `P0001-02-03T04:05:06`.
fn parse_iso(text: &str) -> Option<Result<Interval>> {
    let (negate, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let rest = rest.strip_prefix('P')?;
    if rest.is_empty() {
        return None;
    }
    let (date, time) = match rest.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (rest, None),
    };
    let mut builder = Builder::default();
    if date.len() >= 8 && !date.contains(['Y', 'M', 'D', 'W']) {
        let fields: Vec<&str> = if date.contains('-') {
            date.split('-').collect()
        } else {
            vec![date.get(..4)?, date.get(4..6)?, date.get(6..)?]
        };
        let [years, months, days] = *fields.as_slice() else { return None };
        builder.months = years.parse::<i64>().ok()? * 12 + months.parse::<i64>().ok()?;
        builder.days = days.parse().ok()?;
    } else if let Err(error) = iso_fields(date, b"YMWD", &mut builder)? {
        return Some(Err(error));
    }
    match time {
        None => {}
        Some("") => return None,
        Some(clock) if clock.contains(':') => builder.micros = parse_clock(clock, false)?,
        Some(time) => {
            if let Err(error) = iso_fields(time, b"HMS", &mut builder)? {
                return Some(Err(error));
            }
        }
    }
    Some(builder.finish(negate))
}

fn iso_fields(text: &str, letters: &[u8], builder: &mut Builder) -> Option<Result<()>> {
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let number = Number::parse(&rest[..end])?;
        let letter = rest.as_bytes()[end];
        if !letters.contains(&letter) {
            return None;
        }
        let unit = match (letter, letters[0]) {
            (b'Y', _) => Unit::Year,
            (b'M', b'Y') => Unit::Month,
            (b'W', _) => Unit::Week,
            (b'D', _) => Unit::Day,
            (b'H', _) => Unit::Hour,
            (b'M', _) => Unit::Minute,
            _ => Unit::Second,
        };
        if let Err(error) = builder.add_unit(number, unit) {
            return Some(Err(error));
        }
        rest = &rest[end + 1..];
    }
    Some(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts in the styles postgres, postgres_verbose, sql_standard and iso_8601, as PostgreSQL prints them.
    #[test]
    fn intervals_read_and_print() {
        for (text, printed) in [
            (
                "1 year 2 months 3 days 04:05:06.789",
                [
                    "1 year 2 mons 3 days 04:05:06.789",
                    "@ 1 year 2 mons 3 days 4 hours 5 mins 6.789 secs",
                    "+1-2 +3 +4:05:06.789",
                    "P1Y2M3DT4H5M6.789S",
                ],
            ),
            ("-1 day 2 hours", ["-1 days +02:00:00", "@ 1 day -2 hours ago", "+0-0 -1 +2:00:00", "P-1DT2H"]),
            ("1 day ago", ["-1 days", "@ 1 day ago", "-1 0:00:00", "P-1D"]),
            ("0", ["00:00:00", "@ 0", "0", "PT0S"]),
            ("1.5 months", ["1 mon 15 days", "@ 1 mon 15 days", "+0-1 +15 +0:00:00", "P1M15D"]),
            (
                "P1Y2M10DT2H30M",
                [
                    "1 year 2 mons 10 days 02:30:00",
                    "@ 1 year 2 mons 10 days 2 hours 30 mins",
                    "+1-2 +10 +2:30:00",
                    "P1Y2M10DT2H30M",
                ],
            ),
            ("1-2", ["1 year 2 mons", "@ 1 year 2 mons", "1-2", "P1Y2M"]),
            ("3 4:05:06", ["3 days 04:05:06", "@ 3 days 4 hours 5 mins 6 secs", "3 4:05:06", "P3DT4H5M6S"]),
            ("1 week 2d", ["9 days", "@ 9 days", "9 0:00:00", "P9D"]),
            ("infinity", ["infinity", "infinity", "infinity", "infinity"]),
        ] {
            let interval = parse(text, -1, IntervalStyle::Postgres).expect(text);
            let styles = [
                IntervalStyle::Postgres,
                IntervalStyle::PostgresVerbose,
                IntervalStyle::SqlStandard,
                IntervalStyle::Iso8601,
            ];
            for (style, expected) in styles.into_iter().zip(printed) {
                let mut out = Vec::new();
                write(interval, style, &mut out);
                assert_eq!(String::from_utf8_lossy(&out), expected, "{text}");
            }
        }
        let error = parse("garbage", -1, IntervalStyle::Postgres).expect_err("no interval");
        assert_eq!(error.message(), "invalid input syntax for type interval: \"garbage\"");
        let error = parse("99999999999 years", -1, IntervalStyle::Postgres).expect_err("too long");
        assert_eq!(error.message(), "interval field value out of range: \"99999999999 years\"");
    }
}
