//! Input of dates, times and timestamps: PostgreSQL's forgiving grammar.
//!
//! The text is cut into fields (a date, a clock, a number, a word, a zone offset); each field says what
//! it is by its form, numbers by what is still missing and the DateStyle's order. Errors are of three
//! kinds: it isn't a date, a field is out of range, a zone displacement is.

use kokkiri_primitives::{Error, Result, error};

use super::zone::TimeZone;
use super::{
    DATE_BEGIN, DATE_END, DateOrder, DateTime, SECOND_MICROS, TIMESTAMP_BEGIN, TIMESTAMP_END, abbreviation,
    civil_from_days, days_in_month, is_valid_date, is_valid_timestamp, round_micros, timetz_to_fixed,
};
use crate::io::IoSettings;
use crate::number::is_space;

/// What a field is by its form.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    /// Parts joined by `-`, `/` or `.`, of which one may be a month's name.
    Date(String),
    /// With colons.
    Clock(String),
    Number(String),
    /// Lower-case letters; zone names with `/` and `_` too.
    Word(String),
    /// Sign and digits, perhaps with colons.
    Offset(String),
}

/// Why a text is not accepted.
enum Fault {
    Syntax,
    Range,
    /// Out of range where another DateStyle might have fitted.
    Order,
    Displacement,
    Zone(String),
}

type Parsed<T> = std::result::Result<T, Fault>;

impl Fault {
    fn into_error(self, type_name: &str, text: &str) -> Error {
        match self {
            Fault::Syntax => {
                error!(INVALID_DATETIME_FORMAT, "invalid input syntax for type {type_name}: \"{text}\"")
            }
            Fault::Range => range_error(text),
            Fault::Order => range_error(text).hint("Perhaps you need a different \"DateStyle\" setting."),
            Fault::Displacement => error!(
                INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
                "time zone displacement out of range: \"{text}\""
            ),
            Fault::Zone(zone) => error!(INVALID_PARAMETER_VALUE, "time zone \"{zone}\" not recognized"),
        }
    }
}

fn range_error(text: &str) -> Error {
    error!(DATETIME_FIELD_OVERFLOW, "date/time field value out of range: \"{text}\"")
}

fn is_date_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b'/' | b'.')
}

/// Cuts the text into fields.
fn fields(text: &str) -> Parsed<Vec<Field>> {
    let lower = text.to_ascii_lowercase();
    let bytes = lower.as_bytes();
    let mut fields = Vec::new();
    let mut at = 0;
    let run = |from: usize, keep: &dyn Fn(u8) -> bool| {
        from + bytes[from..].iter().take_while(|&&byte| keep(byte)).count()
    };
    while at < bytes.len() {
        let start = at;
        let byte = bytes[at];
        if is_space(byte) {
            at += 1;
        } else if byte.is_ascii_digit() {
            at = run(at, &|b| b.is_ascii_digit());
            match bytes.get(at) {
                Some(b':') => {
                    at = run(at, &|b| b.is_ascii_digit() || matches!(b, b':' | b'.'));
                    fields.push(Field::Clock(lower[start..at].to_owned()));
                }
                Some(&separator) if is_date_separator(separator) => {
                    let next_is_digit = bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
                    let end = if next_is_digit { run(at + 1, &|b| b.is_ascii_digit()) } else { at + 1 };
                    if next_is_digit && bytes.get(end) != Some(&separator) {
                        at = end;
                        let part = lower[start..at].to_owned();
                        fields.push(if separator == b'.' { Field::Number(part) } else { Field::Date(part) });
                    } else {
                        at = run(at, &|b| b.is_ascii_alphanumeric() || b == separator);
                        // The `t` of ISO 8601 ends the date.
                        let stop = lower[start..at].rfind('t').filter(|&t| {
                            t > 0
                                && bytes[start + t - 1].is_ascii_digit()
                                && bytes.get(start + t + 1).is_some_and(u8::is_ascii_digit)
                        });
                        if let Some(stop) = stop {
                            at = start + stop;
                        }
                        fields.push(Field::Date(lower[start..at].to_owned()));
                    }
                }
                _ => fields.push(Field::Number(lower[start..at].to_owned())),
            }
        } else if byte == b'.' {
            at = run(at + 1, &|b| b.is_ascii_digit());
            fields.push(Field::Number(lower[start..at].to_owned()));
        } else if byte.is_ascii_alphabetic() || byte >= 0x80 {
            at = run(at, &|b| b.is_ascii_alphabetic() || b >= 0x80);
            let word = &lower[start..at];
            match bytes.get(at) {
                // A month's name within a date, or the slash of a zone's name.
                Some(&separator) if is_date_separator(separator) && month(word).is_some() => {
                    at = run(at, &|b| b.is_ascii_alphanumeric() || b == separator);
                    fields.push(Field::Date(lower[start..at].to_owned()));
                }
                Some(b'/' | b'_') => {
                    at = run(at, &|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+'));
                    fields.push(Field::Word(lower[start..at].to_owned()));
                }
                // POSIX zones such as `est5edt`.
                Some(digit) if digit.is_ascii_digit() && word.len() >= 3 && month(word).is_none() => {
                    at = run(at, &|b| b.is_ascii_alphanumeric() || matches!(b, b',' | b'.' | b'/'));
                    fields.push(Field::Word(lower[start..at].to_owned()));
                }
                _ => fields.push(Field::Word(word.to_owned())),
            }
        } else if matches!(byte, b'+' | b'-') {
            let digits = run(at + 1, &is_space);
            match bytes.get(digits) {
                Some(digit) if digit.is_ascii_digit() => {
                    at = run(digits, &|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'-'));
                    fields.push(Field::Offset(format!("{}{}", byte as char, &lower[digits..at])));
                }
                Some(letter) if letter.is_ascii_alphabetic() => {
                    at = run(digits, &|b| b.is_ascii_alphabetic());
                    fields.push(Field::Word(format!("{}{}", byte as char, &lower[digits..at])));
                }
                _ => return Err(Fault::Syntax),
            }
        } else if byte.is_ascii_punctuation() {
            at += 1;
        } else {
            return Err(Fault::Syntax);
        }
    }
    Ok(fields)
}

fn month(word: &str) -> Option<i32> {
    const NAMES: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let at = NAMES.iter().position(|name| *name == word || word.len() == 3 && name.starts_with(word));
    at.or_else(|| (word == "sept").then_some(8)).map(|at| at as i32 + 1)
}

fn is_weekday(word: &str) -> bool {
    const NAMES: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    NAMES.iter().any(|name| *name == word || word.len() == 3 && name.starts_with(word))
        || matches!(word, "tues" | "weds" | "wednes" | "thur" | "thurs")
}

/// A zone met in the text.
#[derive(Clone, Debug)]
enum Zone {
    /// Seconds east of UTC.
    Fixed(i32),
    Named(TimeZone),
}

/// Special values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Special {
    Infinity,
    NegativeInfinity,
    Epoch,
    Now,
    /// Days from today.
    Day(i32),
}

/// What the fields said.
#[derive(Debug, Default)]
struct Pieces {
    year: Option<i32>,
    month: Option<i32>,
    day: Option<i32>,
    day_of_year: Option<i32>,
    julian: Option<i32>,
    /// Microseconds since midnight.
    time: Option<i64>,
    zone: Option<Zone>,
    special: Option<Special>,
    bc: bool,
    pm: Option<bool>,
    two_digit_year: bool,
    weekday: bool,
}

impl Pieces {
    fn has_date(&self) -> bool {
        self.year.is_some() && self.month.is_some() && self.day.is_some()
            || self.julian.is_some()
            || self.day_of_year.is_some() && self.year.is_some()
    }

    fn set(slot: &mut Option<i32>, value: i32) -> Parsed<()> {
        if slot.replace(value).is_some() { Err(Fault::Syntax) } else { Ok(()) }
    }
}

struct Parser<'s> {
    settings: &'s IoSettings,
    pieces: Pieces,
}

/// `hh:mm[:ss[.fff]]`, microseconds. 24:00:00 and a second of 60 are allowed.
fn clock(text: &str) -> Parsed<i64> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() < 2 || parts.len() > 3 {
        return Err(Fault::Syntax);
    }
    let whole = |text: &str| text.parse::<i64>().map_err(|_| Fault::Syntax);
    let hour = whole(parts[0])?;
    // "mm:ss.fff" is hours and minutes only if there is no fraction.
    let (minute_text, second_text) = match parts.as_slice() {
        [_, minute, second] => (*minute, *second),
        [_, minute] => (*minute, "0"),
        _ => return Err(Fault::Syntax),
    };
    if minute_text.contains('.') {
        return Err(Fault::Syntax);
    }
    let minute = whole(minute_text)?;
    let (second, fraction) = second_text.split_once('.').unwrap_or((second_text, ""));
    let second = whole(second)?;
    let micros = fraction_micros(fraction)?;
    if hour > 24 || minute > 59 || second > 60 {
        return Err(Fault::Range);
    }
    let time = ((hour * 60 + minute) * 60 + second) * SECOND_MICROS + micros;
    if time > super::DAY_MICROS { Err(Fault::Range) } else { Ok(time) }
}

/// Microseconds of the digits after a point, rounded.
fn fraction_micros(digits: &str) -> Parsed<i64> {
    if digits.is_empty() {
        return Ok(0);
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Syntax);
    }
    let value: f64 = format!("0.{digits}").parse().map_err(|_| Fault::Syntax)?;
    Ok((value * 1e6).round_ties_even() as i64)
}

/// `+hh[[:]mm[[:]ss]]`, seconds east.
fn offset(text: &str) -> Parsed<i32> {
    let (sign, digits) = text.split_at(1);
    let number = |text: &str| text.parse::<i32>().map_err(|_| Fault::Syntax);
    let (hours, minutes, seconds) = if digits.contains(':') {
        let parts: Vec<&str> = digits.split(':').collect();
        match *parts.as_slice() {
            [hours, minutes] => (number(hours)?, number(minutes)?, 0),
            [hours, minutes, seconds] => (number(hours)?, number(minutes)?, number(seconds)?),
            _ => return Err(Fault::Syntax),
        }
    } else {
        match digits.len() {
            0 => return Err(Fault::Syntax),
            1 | 2 => (number(digits)?, 0, 0),
            3 | 4 => {
                let split = digits.len() - 2;
                (number(&digits[..split])?, number(&digits[split..])?, 0)
            }
            5 | 6 => {
                let split = digits.len() - 4;
                (number(&digits[..split])?, number(&digits[split..split + 2])?, number(&digits[split + 2..])?)
            }
            _ => return Err(Fault::Displacement),
        }
    };
    if hours > 15 || minutes > 59 || seconds > 59 {
        return Err(Fault::Displacement);
    }
    let total = hours * 3600 + minutes * 60 + seconds;
    Ok(if sign == "-" { -total } else { total })
}

impl Parser<'_> {
    fn run(settings: &IoSettings, text: &str) -> Parsed<Pieces> {
        let mut parser = Parser { settings, pieces: Pieces::default() };
        let fields = fields(text)?;
        if fields.is_empty() || fields.len() > 25 {
            return Err(Fault::Syntax);
        }
        let mut at = 0;
        while at < fields.len() {
            at += parser.field(&fields, at)?;
        }
        Ok(parser.pieces)
    }

    /// Takes in the field at a place; how many fields it was.
    fn field(&mut self, fields: &[Field], at: usize) -> Parsed<usize> {
        match &fields[at] {
            Field::Date(text) => self.date(text)?,
            Field::Clock(text) => {
                if self.pieces.time.replace(clock(text)?).is_some() {
                    return Err(Fault::Syntax);
                }
            }
            Field::Offset(text) => {
                // A sign after a date can only be a zone; before it the year of an ISO date isn't signed.
                if self.pieces.zone.replace(Zone::Fixed(offset(text)?)).is_some() {
                    return Err(Fault::Syntax);
                }
            }
            Field::Number(text) => self.number(text)?,
            Field::Word(word) => return self.word(word, fields.get(at + 1)),
        }
        Ok(1)
    }

    fn date(&mut self, text: &str) -> Parsed<()> {
        let parts: Vec<&str> = text.split(['-', '/', '.']).filter(|part| !part.is_empty()).collect();
        if parts.len() > 3 || self.pieces.has_date() {
            return Err(Fault::Syntax);
        }
        let mut numbers = Vec::new();
        for part in parts {
            if part.bytes().all(|byte| byte.is_ascii_digit()) {
                numbers.push(part);
            } else {
                let number = month(part).ok_or(Fault::Syntax)?;
                Pieces::set(&mut self.pieces.month, number)?;
            }
        }
        numbers.into_iter().try_for_each(|number| self.date_number(number))
    }

    /// A number that is a part of a date: which, is said by its length, what is missing, and the order.
    fn date_number(&mut self, text: &str) -> Parsed<()> {
        let value: i32 = text.parse().map_err(|_| Fault::Range)?;
        let order = self.settings.date_order;
        let pieces = &mut self.pieces;
        if text.len() == 3 && pieces.year.is_some() && pieces.month.is_none() && pieces.day.is_none() {
            if !(1..=366).contains(&value) {
                return Err(Fault::Range);
            }
            return Pieces::set(&mut pieces.day_of_year, value);
        }
        let year = |pieces: &mut Pieces| {
            pieces.two_digit_year = text.len() <= 2;
            Pieces::set(&mut pieces.year, value)
        };
        match (pieces.year.is_some(), pieces.month.is_some(), pieces.day.is_some()) {
            (false, false, false) if text.len() >= 3 || order == DateOrder::Ymd => year(pieces),
            (false, false, false) if order == DateOrder::Dmy => Pieces::set(&mut pieces.day, value),
            (false, false, false) => Pieces::set(&mut pieces.month, value),
            (true, false, false) => Pieces::set(&mut pieces.month, value),
            (false, true, false) if text.len() >= 3 => year(pieces),
            // After a month's name: the day first, except in the order that has the year first.
            (false, true, false) if order == DateOrder::Ymd => year(pieces),
            (false, true, false) => Pieces::set(&mut pieces.day, value),
            (false, false, true) => Pieces::set(&mut pieces.month, value),
            (true, true, false) => Pieces::set(&mut pieces.day, value),
            (false, true, true) => year(pieces),
            (true, false, true) => Pieces::set(&mut pieces.month, value),
            (true, true, true) => Err(Fault::Syntax),
        }
    }

    /// A number that stands alone.
    fn number(&mut self, text: &str) -> Parsed<()> {
        let (digits, fraction) = text.split_once('.').unwrap_or((text, ""));
        let concatenated_date =
            !self.pieces.has_date() && self.pieces.year.is_none() && self.pieces.month.is_none();
        if concatenated_date && digits.len() == 8 && fraction.is_empty() {
            let (year, rest) = digits.split_at(4);
            return [year, &rest[..2], &rest[2..]].into_iter().try_for_each(|part| self.ymd(part));
        }
        if concatenated_date && digits.len() == 6 && fraction.is_empty() {
            self.pieces.two_digit_year = true;
            return [&digits[..2], &digits[2..4], &digits[4..]]
                .into_iter()
                .try_for_each(|part| self.ymd(part));
        }
        if self.pieces.has_date() && self.pieces.time.is_none() && matches!(digits.len(), 4 | 6) {
            let part =
                |range: std::ops::Range<usize>| digits[range].parse::<i64>().map_err(|_| Fault::Syntax);
            let seconds = if digits.len() == 6 { part(4..6)? } else { 0 };
            let (hours, minutes) = (part(0..2)?, part(2..4)?);
            if hours > 24 || minutes > 59 || seconds > 60 {
                return Err(Fault::Range);
            }
            let micros = fraction_micros(fraction)?;
            self.pieces.time = Some(((hours * 60 + minutes) * 60 + seconds) * SECOND_MICROS + micros);
            return Ok(());
        }
        if concatenated_date && digits.len() == 4 && fraction.len() == 3 {
            self.ymd(digits)?;
            let day = fraction.parse().map_err(|_| Fault::Syntax)?;
            return Pieces::set(&mut self.pieces.day_of_year, day);
        }
        if text.contains('.') {
            return Err(Fault::Syntax);
        }
        self.date_number(digits)
    }

    /// The next part of a date written without separators.
    fn ymd(&mut self, part: &str) -> Parsed<()> {
        let value = part.parse().map_err(|_| Fault::Syntax)?;
        let pieces = &mut self.pieces;
        let slot = if pieces.year.is_none() {
            &mut pieces.year
        } else if pieces.month.is_none() {
            &mut pieces.month
        } else {
            &mut pieces.day
        };
        Pieces::set(slot, value)
    }

    /// How many fields the word took.
    fn word(&mut self, word: &str, next: Option<&Field>) -> Parsed<usize> {
        let special = match word {
            "infinity" | "+infinity" | "inf" | "+inf" => Some(Special::Infinity),
            "-infinity" | "-inf" => Some(Special::NegativeInfinity),
            "epoch" => Some(Special::Epoch),
            "now" => Some(Special::Now),
            "today" => Some(Special::Day(0)),
            "tomorrow" => Some(Special::Day(1)),
            "yesterday" => Some(Special::Day(-1)),
            _ => None,
        };
        if special.is_some() {
            self.pieces.special = special;
            return Ok(1);
        }
        match word {
            "allballs" => {
                self.pieces.time = Some(0);
                self.pieces.zone = Some(Zone::Fixed(0));
            }
            "am" | "a.m" => self.pieces.pm = Some(false),
            "pm" | "p.m" => self.pieces.pm = Some(true),
            "ad" => self.pieces.bc = false,
            "bc" => self.pieces.bc = true,
            "at" | "on" => {}
            "t" if matches!(next, Some(Field::Clock(_) | Field::Number(_))) => {}
            "j" | "jd" | "julian" => {
                let Some(Field::Number(number)) = next else { return Err(Fault::Syntax) };
                let day: i32 = number.parse().map_err(|_| Fault::Syntax)?;
                self.pieces.julian = Some(day - super::EPOCH_JULIAN);
                return Ok(2);
            }
            _ if is_weekday(word) => self.pieces.weekday = true,
            _ => match month(word) {
                Some(number) => self.named_month(number)?,
                None => return self.zone(word, next),
            },
        }
        Ok(1)
    }

    /// A month by name: a number taken for the month before was the day.
    fn named_month(&mut self, number: i32) -> Parsed<()> {
        if let Some(taken) = self.pieces.month
            && self.pieces.day.is_none()
            && (1..=31).contains(&taken)
        {
            self.pieces.day = Some(taken);
            self.pieces.month = Some(number);
            return Ok(());
        }
        Pieces::set(&mut self.pieces.month, number)
    }

    fn zone(&mut self, word: &str, next: Option<&Field>) -> Parsed<usize> {
        if self.pieces.zone.is_some() {
            // "PST DST" and the like.
            if word == "dst"
                && let Some(Zone::Fixed(seconds)) = &mut self.pieces.zone
            {
                *seconds += 3600;
                return Ok(1);
            }
            return Err(Fault::Syntax);
        }
        let (zone, used) = if matches!(word, "z" | "zulu") {
            (Zone::Fixed(0), 1)
        } else if let Some((seconds, _)) = abbreviation::lookup(word) {
            match next {
                // "UTC+3" counts west, as POSIX has it.
                Some(Field::Offset(text)) if matches!(word, "utc" | "gmt") => {
                    (Zone::Fixed(-offset(text)?), 2)
                }
                _ => (Zone::Fixed(seconds), 1),
            }
        } else {
            match TimeZone::lookup(word) {
                Some(zone) => (Zone::Named(zone), 1),
                None if word.contains('/') => return Err(Fault::Zone(word.to_owned())),
                None => return Err(Fault::Syntax),
            }
        };
        self.pieces.zone = Some(zone);
        Ok(used)
    }
}

impl Pieces {
    /// Checks the parts against each other and the calendar.
    fn validate(&mut self) -> Parsed<()> {
        if let Some(julian) = self.julian {
            let (year, month, day) = civil_from_days(julian);
            (self.year, self.month, self.day) = (Some(year), Some(month), Some(day));
            return self.validate_time();
        }
        if let Some(year) = &mut self.year {
            if self.bc {
                if *year <= 0 {
                    return Err(Fault::Range);
                }
                *year = 1 - *year;
            } else if self.two_digit_year {
                *year += if *year < 70 { 2000 } else { 1900 };
            } else if *year == 0 {
                return Err(Fault::Range);
            }
        }
        if let (Some(day), Some(year)) = (self.day_of_year, self.year) {
            let date = super::days_from_civil(year, 1, 1) + day - 1;
            let (year, month, day) = civil_from_days(date);
            (self.year, self.month, self.day) = (Some(year), Some(month), Some(day));
        }
        if self.month.is_some_and(|month| !(1..=12).contains(&month)) {
            return Err(Fault::Order);
        }
        if self.day.is_some_and(|day| !(1..=31).contains(&day)) {
            return Err(Fault::Order);
        }
        if let (Some(year), Some(month), Some(day)) = (self.year, self.month, self.day)
            && day > days_in_month(year, month)
        {
            return Err(Fault::Range);
        }
        self.validate_time()
    }

    fn validate_time(&mut self) -> Parsed<()> {
        if let (Some(pm), Some(time)) = (self.pm, &mut self.time) {
            let noon = super::DAY_MICROS / 2;
            if *time >= noon + super::HOUR_MICROS {
                return Err(Fault::Range);
            }
            if pm && *time < noon {
                *time += noon;
            } else if !pm && *time >= noon {
                *time -= noon;
            }
        }
        Ok(())
    }

    fn point(&self) -> Parsed<DateTime> {
        match (self.year, self.month, self.day) {
            (Some(year), Some(month), Some(day)) => Ok(DateTime { year, month, day, ..DateTime::default() }),
            _ => Err(Fault::Syntax),
        }
    }

    /// Local timestamp, not yet rounded or checked for range.
    fn local(&self) -> Parsed<i64> {
        let date = self.point()?.date();
        let start = i64::from(date).checked_mul(super::DAY_MICROS).ok_or(Fault::Range)?;
        start.checked_add(self.time.unwrap_or(0)).ok_or(Fault::Range)
    }

    /// Zone for a local time: that of the text or the session's.
    fn instant(&self, local: i64, settings: &IoSettings) -> i64 {
        match &self.zone {
            Some(Zone::Fixed(seconds)) => local - i64::from(*seconds) * SECOND_MICROS,
            Some(Zone::Named(zone)) => zone.to_instant(local),
            None => settings.time_zone.to_instant(local),
        }
    }
}

fn timestamp_range(text: &str) -> Error {
    error!(DATETIME_FIELD_OVERFLOW, "timestamp out of range: \"{text}\"")
}

/// The local midnight so many days from today, plus the time of day that was given.
fn relative_day(pieces: &Pieces, days: i32, settings: &IoSettings) -> i64 {
    let today = settings.time_zone.to_local(settings.now.0).div_euclid(super::DAY_MICROS);
    (today + i64::from(days)) * super::DAY_MICROS + pieces.time.unwrap_or(0)
}

/// `timestamp_in`.
///
/// # Errors
/// 22007, 22008.
pub fn timestamp(text: &str, precision: i32, settings: &IoSettings) -> Result<i64> {
    let fail = |fault: Fault| fault.into_error("timestamp", text);
    let mut pieces = Parser::run(settings, text).map_err(fail)?;
    pieces.validate().map_err(fail)?;
    let value = match pieces.special {
        Some(Special::Infinity) => return Ok(TIMESTAMP_END),
        Some(Special::NegativeInfinity) => return Ok(TIMESTAMP_BEGIN),
        Some(Special::Epoch) => -super::unix_epoch_distance(),
        Some(Special::Now) => settings.time_zone.to_local(settings.now.0),
        Some(Special::Day(days)) => relative_day(&pieces, days, settings),
        None => pieces.local().map_err(fail)?,
    };
    let value = round_micros(value, precision);
    if is_valid_timestamp(value) { Ok(value) } else { Err(timestamp_range(text)) }
}

/// `timestamptz_in`.
///
/// # Errors
/// 22007, 22008, 22009, 22023.
pub fn timestamptz(text: &str, precision: i32, settings: &IoSettings) -> Result<i64> {
    let fail = |fault: Fault| fault.into_error("timestamp with time zone", text);
    let mut pieces = Parser::run(settings, text).map_err(fail)?;
    pieces.validate().map_err(fail)?;
    let value = match pieces.special {
        Some(Special::Infinity) => return Ok(TIMESTAMP_END),
        Some(Special::NegativeInfinity) => return Ok(TIMESTAMP_BEGIN),
        Some(Special::Epoch) => -super::unix_epoch_distance(),
        Some(Special::Now) => settings.now.0,
        Some(Special::Day(days)) => pieces.instant(relative_day(&pieces, days, settings), settings),
        None => {
            let local = pieces.local().map_err(fail)?;
            pieces.instant(local, settings)
        }
    };
    let value = round_micros(value, precision);
    if is_valid_timestamp(value) { Ok(value) } else { Err(timestamp_range(text)) }
}

/// `date_in`.
///
/// # Errors
/// 22007, 22008.
pub fn date(text: &str, settings: &IoSettings) -> Result<i32> {
    let fail = |fault: Fault| fault.into_error("date", text);
    let mut pieces = Parser::run(settings, text).map_err(fail)?;
    pieces.validate().map_err(fail)?;
    let today = settings.time_zone.to_local(settings.now.0).div_euclid(super::DAY_MICROS) as i32;
    let value = match pieces.special {
        Some(Special::Infinity) => return Ok(DATE_END),
        Some(Special::NegativeInfinity) => return Ok(DATE_BEGIN),
        Some(Special::Epoch) => -super::UNIX_EPOCH_DAYS,
        Some(Special::Now) => today,
        Some(Special::Day(days)) => today + days,
        None => pieces.point().map_err(fail)?.date(),
    };
    if is_valid_date(value) {
        Ok(value)
    } else {
        Err(error!(DATETIME_FIELD_OVERFLOW, "date out of range: \"{text}\""))
    }
}

/// Pieces of a time: a bare number is a clock without colons.
fn time_pieces(text: &str, settings: &IoSettings) -> Parsed<Pieces> {
    let digits = text.trim().len();
    let bare = text.trim().bytes().all(|byte| byte.is_ascii_digit()) && matches!(digits, 4 | 6);
    if bare {
        let text = text.trim();
        let seconds = if digits == 6 { &text[4..] } else { "00" };
        let time = clock(&format!("{}:{}:{seconds}", &text[..2], &text[2..4]))?;
        return Ok(Pieces { time: Some(time), ..Pieces::default() });
    }
    let mut pieces = Parser::run(settings, text)?;
    pieces.validate()?;
    // The offset of a zone with rules depends on a date.
    if matches!(pieces.zone, Some(Zone::Named(_))) && !pieces.has_date() {
        return Err(Fault::Syntax);
    }
    Ok(pieces)
}

/// `time_in`.
///
/// # Errors
/// 22007, 22008.
pub fn time(text: &str, precision: i32, settings: &IoSettings) -> Result<i64> {
    let fail = |fault: Fault| fault.into_error("time", text);
    let pieces = time_pieces(text, settings).map_err(fail)?;
    let value = match (pieces.special, pieces.time) {
        (Some(Special::Now), _) => settings.time_zone.to_local(settings.now.0).rem_euclid(super::DAY_MICROS),
        (None, Some(time)) => time,
        _ => return Err(fail(Fault::Syntax)),
    };
    Ok(round_micros(value, precision))
}

/// `timetz_in`.
///
/// # Errors
/// 22007, 22008, 22009.
pub fn timetz(text: &str, precision: i32, settings: &IoSettings) -> Result<[u8; 16]> {
    let fail = |fault: Fault| fault.into_error("time with time zone", text);
    let pieces = time_pieces(text, settings).map_err(fail)?;
    let now = settings.now.0;
    let local_now = settings.time_zone.to_local(now);
    let value = match (pieces.special, pieces.time) {
        (Some(Special::Now), _) => local_now.rem_euclid(super::DAY_MICROS),
        (None, Some(time)) => time,
        _ => return Err(fail(Fault::Syntax)),
    };
    // A zone with daylight saving needs a date: that of the text, or today.
    let on = pieces.local().unwrap_or(local_now - local_now.rem_euclid(super::DAY_MICROS) + value);
    let east = match &pieces.zone {
        Some(Zone::Fixed(seconds)) => *seconds,
        Some(Zone::Named(zone)) => zone.offset_of_local(on),
        None => settings.time_zone.offset_of_local(on),
    };
    Ok(timetz_to_fixed(round_micros(value, precision), -east))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datetime::{DateStyle, format};

    fn settings(zone: &str) -> IoSettings {
        IoSettings { time_zone: TimeZone::lookup(zone).expect("known"), ..IoSettings::default() }
    }

    include!("parse_tests.rs");
}
