//! Times from text by pictures: to_date and to_timestamp.
//!
//! Realises: `DCH_from_char` and `do_to_timestamp`. What the fields say is collected first ([`Found`]); a
//! field said twice must say the same. Then the parts make a time, checked against the calendar.

use kokkiri_primitives::{Error, Result, bail, error};
use kokkiri_types::datetime::{DateTime, civil_from_days, day_of_week, days_from_civil, days_in_month};

use super::picture::{Field, Node, Ordinal, is_separator_char, parse};
use super::roman;
use super::write_date::{DAYS, JULIAN_2000, MONTHS};

/// What a text has been read into.
pub struct Read {
    pub point: DateTime,
    /// Seconds east of UTC, if the text names a zone.
    pub offset_east: Option<i32>,
}

/// Which calendar's fields a picture has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calendar {
    Gregorian,
    IsoWeek,
}

/// Values of the fields, as far as they are said.
#[derive(Default)]
struct Found {
    calendar: Option<Calendar>,
    hour: Option<i32>,
    clock12: bool,
    afternoon: Option<i32>,
    minute: Option<i32>,
    second: Option<i32>,
    seconds_of_day: Option<i32>,
    millis: Option<i32>,
    micros: Option<i32>,
    /// 1 is Sunday.
    week_day: Option<i32>,
    day: Option<i32>,
    day_of_year: Option<i32>,
    month: Option<i32>,
    year: Option<i32>,
    /// Digits of the year that were given.
    year_places: u32,
    before_christ: Option<i32>,
    century: Option<i32>,
    julian: Option<i32>,
    week: Option<i32>,
    week_of_month: Option<i32>,
    zone_sign: Option<i32>,
    zone_hours: Option<i32>,
    zone_minutes: Option<i32>,
}

/// The field that is being read, by its name in the picture.
#[derive(Clone, Copy)]
struct Reader<'a> {
    name: &'static str,
    /// The nodes behind it.
    following: &'a [Node],
    fill: bool,
    ordinal: bool,
}

fn invalid(value: &str, name: &str, detail: impl Into<String>) -> Error {
    error!(INVALID_DATETIME_FORMAT, "invalid value \"{value}\" for \"{name}\"").detail(detail)
}

impl Reader<'_> {
    fn set(self, slot: &mut Option<i32>, value: i32) -> Result<()> {
        if slot.is_some_and(|old| old != value) {
            return Err(error!(
                INVALID_DATETIME_FORMAT,
                "conflicting values for \"{}\" field in formatting string", self.name
            )
            .detail("This value contradicts a previous setting for the same field type."));
        }
        *slot = Some(value);
        Ok(())
    }

    /// True if digits behind this field can't belong to the next.
    fn ends_before_separator(self) -> bool {
        if self.ordinal {
            return true;
        }
        match self.following.first() {
            None => true,
            Some(Node::Field { field, .. }) => !field.is_digits(),
            Some(Node::Space(c) | Node::Separator(c) | Node::Text(c)) => !c.is_ascii_digit(),
        }
    }

    /// An integer of `length` digits, or of as many as there are if nothing else can follow. How many
    /// characters it took comes along.
    fn integer(self, rest: &mut &str, length: usize) -> Result<(i32, usize)> {
        let start = rest.trim_start();
        let take_all = self.fill || self.ends_before_separator();
        let copy: &str = match take_all {
            true => start,
            false => &start[..start.char_indices().nth(length).map_or(start.len(), |(at, _)| at)],
        };
        let signed = usize::from(copy.starts_with(['+', '-']));
        let digits = copy[signed..].bytes().take_while(u8::is_ascii_digit).count();
        let used = if digits == 0 { 0 } else { signed + digits };
        let first_word = || start.chars().take(length.max(1)).collect::<String>();
        if !take_all {
            let have = copy.chars().count();
            let hint = "If your source string is not fixed-width, try using the \"FM\" modifier.";
            if have < length {
                return Err(error!(
                    INVALID_DATETIME_FORMAT,
                    "source string too short for \"{}\" formatting field", self.name
                )
                .detail(format!("Field requires {length} characters, but only {have} remain."))
                .hint(hint));
            }
            if used > 0 && used < length {
                return Err(invalid(
                    copy,
                    self.name,
                    format!("Field requires {length} characters, but only {used} could be parsed."),
                )
                .hint(hint));
            }
        }
        if used == 0 {
            return Err(invalid(&first_word(), self.name, "Value must be an integer."));
        }
        let Ok(value) = copy[..used].parse() else {
            return Err(error!(
                DATETIME_FIELD_OVERFLOW,
                "value for \"{}\" in source string is out of range", self.name
            )
            .detail(format!("Value must be in the range {} to {}.", i32::MIN, i32::MAX)));
        };
        *rest = &start[used..];
        Ok((value, used))
    }

    fn number(self, rest: &mut &str, length: usize, slot: &mut Option<i32>) -> Result<usize> {
        let (value, used) = self.integer(rest, length)?;
        self.set(slot, value)?;
        Ok(used)
    }

    /// Which of the words the text begins with.
    fn word(self, rest: &mut &str, words: &[&str]) -> Result<usize> {
        let found = words
            .iter()
            .position(|word| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)));
        match found {
            Some(at) => {
                *rest = &rest[words[at].len()..];
                Ok(at)
            }
            None => {
                let shown: String =
                    rest.chars().take_while(|c| !c.is_whitespace() && !is_separator_char(*c)).collect();
                Err(invalid(
                    &shown,
                    self.name,
                    "The given value did not match any of the allowed values for this field.",
                ))
            }
        }
    }
}

/// Years of fewer than four digits are those nearest to 2020.
fn near_2020(year: i32) -> i32 {
    match year {
        0..70 => year + 2000,
        70..100 => year + 1900,
        100..520 => year + 2000,
        520..1000 => year + 1000,
        _ => year,
    }
}

impl Found {
    fn set_calendar(&mut self, calendar: Calendar) -> Result<()> {
        if self.calendar.is_some_and(|known| known != calendar) {
            return Err(error!(INVALID_DATETIME_FORMAT, "invalid combination of date conventions")
                .hint("Do not mix Gregorian and ISO week date conventions in a formatting template."));
        }
        self.calendar = Some(calendar);
        Ok(())
    }

    fn read_year(&mut self, reader: Reader<'_>, rest: &mut &str, places: u32) -> Result<()> {
        let (value, used) = reader.integer(rest, places as usize)?;
        let value = if places < 4 && used < 4 { near_2020(value) } else { value };
        reader.set(&mut self.year, value)?;
        self.year_places = places;
        Ok(())
    }

    fn read_field(&mut self, field: Field, reader: Reader<'_>, rest: &mut &str) -> Result<()> {
        use Calendar::{Gregorian, IsoWeek};
        match field {
            Field::IsoYear(_) | Field::IsoWeek | Field::IsoDayOfYear | Field::IsoDayOfWeek => {
                self.set_calendar(IsoWeek)?
            }
            Field::Year(_)
            | Field::YearWithComma
            | Field::Month
            | Field::MonthName { .. }
            | Field::DayOfMonth
            | Field::DayOfYear
            | Field::DayOfWeek
            | Field::DayName { .. }
            | Field::WeekOfYear
            | Field::WeekOfMonth
            | Field::Century
            | Field::Quarter
            | Field::RomanMonth
            | Field::JulianDay
            | Field::Era { .. } => self.set_calendar(Gregorian)?,
            _ => {}
        }
        match field {
            Field::Exact => {}
            Field::Meridiem { dots } => {
                let words: &[&str] = if dots { &["a.m.", "p.m."] } else { &["am", "pm"] };
                let at = reader.word(rest, words)?;
                reader.set(&mut self.afternoon, at as i32)?;
                self.clock12 = true;
            }
            Field::Hour12 => {
                reader.number(rest, 2, &mut self.hour)?;
                self.clock12 = true;
            }
            Field::Hour24 => {
                reader.number(rest, 2, &mut self.hour)?;
            }
            Field::Minute => {
                reader.number(rest, 2, &mut self.minute)?;
            }
            Field::Second => {
                reader.number(rest, 2, &mut self.second)?;
            }
            Field::Milliseconds => {
                // 12:34.7 has seven tenths of a second, not seven thousandths.
                let (value, used) = reader.integer(rest, 3)?;
                reader.set(&mut self.millis, value)?;
                self.millis = Some(value * [100, 10, 1][used.clamp(1, 3) - 1]);
            }
            Field::Microseconds => self.read_fraction(reader, rest, 6)?,
            Field::Fraction(places) => self.read_fraction(reader, rest, places as usize)?,
            Field::SecondsOfDay => {
                reader.number(rest, 5, &mut self.seconds_of_day)?;
            }
            Field::Zone | Field::Offset => self.read_zone(reader, rest)?,
            Field::ZoneHours => {
                let sign = match rest.chars().next() {
                    Some('-') => -1,
                    _ => 1,
                };
                if rest.starts_with(['+', '-', ' ']) {
                    *rest = &rest[1..];
                }
                self.zone_sign = Some(sign);
                reader.number(rest, 2, &mut self.zone_hours)?;
            }
            Field::ZoneMinutes => {
                self.zone_sign.get_or_insert(1);
                reader.number(rest, 2, &mut self.zone_minutes)?;
            }
            Field::Era { dots } => {
                let words: &[&str] = if dots { &["a.d.", "b.c."] } else { &["ad", "bc"] };
                let at = reader.word(rest, words)?;
                reader.set(&mut self.before_christ, at as i32)?;
            }
            Field::MonthName { full } => {
                let names = MONTHS.map(|name| if full { name } else { &name[..3] });
                let at = reader.word(rest, &names)?;
                reader.set(&mut self.month, at as i32 + 1)?;
            }
            Field::Month => {
                reader.number(rest, 2, &mut self.month)?;
            }
            Field::DayName { full } => {
                let names = DAYS.map(|name| if full { name } else { &name[..3] });
                let at = reader.word(rest, &names)?;
                reader.set(&mut self.week_day, at as i32 + 1)?;
            }
            Field::DayOfYear | Field::IsoDayOfYear => {
                reader.number(rest, 3, &mut self.day_of_year)?;
            }
            Field::DayOfMonth => {
                reader.number(rest, 2, &mut self.day)?;
            }
            Field::DayOfWeek => {
                reader.number(rest, 1, &mut self.week_day)?;
            }
            Field::IsoDayOfWeek => {
                let (value, _) = reader.integer(rest, 1)?;
                reader.set(&mut self.week_day, if value >= 7 { value - 6 } else { value + 1 })?;
            }
            Field::WeekOfYear | Field::IsoWeek => {
                reader.number(rest, 2, &mut self.week)?;
            }
            Field::WeekOfMonth => {
                reader.number(rest, 1, &mut self.week_of_month)?;
            }
            // A quarter alone says no date.
            Field::Quarter => {
                reader.number(rest, 1, &mut None)?;
            }
            Field::Century => {
                reader.number(rest, 2, &mut self.century)?;
            }
            Field::YearWithComma => self.read_year_with_comma(reader, rest)?,
            Field::Year(places) | Field::IsoYear(places) => self.read_year(reader, rest, places)?,
            Field::RomanMonth => {
                let found = roman::read(rest).filter(|(month, _)| *month <= 12);
                let Some((month, length)) = found else {
                    reader.word(rest, &[])?;
                    return Ok(());
                };
                *rest = &rest[length..];
                reader.set(&mut self.month, month)?;
            }
            Field::JulianDay => {
                reader.number(rest, 9, &mut self.julian)?;
            }
        }
        Ok(())
    }

    fn read_fraction(&mut self, reader: Reader<'_>, rest: &mut &str, places: usize) -> Result<()> {
        let (value, used) = reader.integer(rest, places)?;
        let scale = 10i32.pow(6 - used.clamp(1, 6) as u32);
        reader.set(&mut self.micros, value.saturating_mul(scale))
    }

    fn read_year_with_comma(&mut self, reader: Reader<'_>, rest: &mut &str) -> Result<()> {
        let parsed = rest.split_once(',').and_then(|(thousands, tail)| {
            let digits = tail.bytes().take(3).take_while(u8::is_ascii_digit).count();
            let year = thousands.trim().parse::<i32>().ok()?.checked_mul(1000)?;
            Some((year.checked_add(tail[..digits].parse().ok()?)?, &tail[digits..]))
        });
        let Some((year, tail)) = parsed else {
            bail!(INVALID_DATETIME_FORMAT, "invalid value \"{rest}\" for \"{}\"", reader.name);
        };
        *rest = tail;
        self.year_places = 4;
        reader.set(&mut self.year, year)
    }

    /// An offset or an abbreviation.
    fn read_zone(&mut self, reader: Reader<'_>, rest: &mut &str) -> Result<()> {
        let name: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
        if !name.is_empty() {
            let lower = name.to_ascii_lowercase();
            let found = kokkiri_types::datetime::abbreviation::lookup(&lower).map(|(offset, _)| offset);
            let Some(offset) = found.or_else(|| ["utc", "gmt", "z"].contains(&&*lower).then_some(0)) else {
                return Err(invalid(&name, reader.name, "Time zone abbreviation is not recognized."));
            };
            *rest = &rest[name.len()..];
            self.zone_sign = Some(offset.signum());
            self.zone_hours = Some(offset.abs() / 3600);
            self.zone_minutes = Some(offset.abs() % 3600 / 60);
            return Ok(());
        }
        self.zone_sign = Some(if rest.starts_with('-') { -1 } else { 1 });
        if rest.starts_with(['+', '-', ' ']) {
            *rest = &rest[1..];
        }
        let (hours, _) = Reader { fill: false, ..reader }.integer(rest, 2)?;
        self.zone_hours = Some(hours);
        if let Some(tail) = rest.strip_prefix(':') {
            *rest = tail;
            self.zone_minutes = Some(reader.integer(rest, 2)?.0);
        }
        Ok(())
    }
}

/// Reads a text by a picture.
///
/// # Errors
/// 22007 for text that does not fit the picture, 22008 for values that no calendar has.
pub fn read(text: &str, picture: &str) -> Result<Read> {
    let nodes = parse(picture);
    let mut found = Found::default();
    let mut rest = text;
    let (mut exact, mut skipped) = (false, 0i32);
    for (at, node) in nodes.iter().enumerate() {
        if rest.is_empty() {
            break;
        }
        if !exact && (matches!(node, Node::Field { .. }) || at == 0) {
            skipped += skip_spaces(&mut rest);
        }
        match node {
            Node::Space(_) | Node::Separator(_) if exact => skip_character(&mut rest),
            Node::Space(_) | Node::Separator(_) => {
                // One of the picture's matches one of the text's, or nothing.
                skipped -= 1;
                if rest.starts_with(|c: char| c.is_whitespace() || is_separator_char(c)) {
                    skip_character(&mut rest);
                    skipped += 1;
                }
            }
            // More than the picture says may have been skipped already.
            Node::Text(_) if !exact && skipped > 0 => skipped -= 1,
            Node::Text(_) => skip_character(&mut rest),
            Node::Field { field, name, fill, ordinal, .. } => {
                exact |= *field == Field::Exact;
                let ordinal = *ordinal != Ordinal::None;
                let reader = Reader { name, following: &nodes[at + 1..], fill: *fill, ordinal };
                found.read_field(*field, reader, &mut rest)?;
                if ordinal && field.is_digits() {
                    skip_character(&mut rest);
                    skip_character(&mut rest);
                }
                if !exact {
                    skipped = skip_spaces(&mut rest);
                }
            }
        }
    }
    found.into_time(text)
}

fn skip_spaces(rest: &mut &str) -> i32 {
    let trimmed = rest.trim_start();
    let skipped = rest.len() - trimmed.len();
    *rest = trimmed;
    skipped as i32
}

fn skip_character(rest: &mut &str) {
    let mut characters = rest.chars();
    characters.next();
    *rest = characters.as_str();
}

impl Found {
    fn into_time(self, text: &str) -> Result<Read> {
        let out_of_range =
            || error!(DATETIME_FIELD_OVERFLOW, "date/time field value out of range: \"{text}\"");
        let mut point = DateTime { month: 1, day: 1, ..DateTime::default() };
        self.set_clock(&mut point)?;
        self.set_date(&mut point)?;
        let day_fits = (1..=12).contains(&point.month)
            && (1..=days_in_month(point.year, point.month)).contains(&point.day);
        let clock_fits = (0..24).contains(&point.hour)
            && (0..60).contains(&point.minute)
            && (0..60).contains(&point.second)
            && (0..1_000_000).contains(&point.micros);
        if !day_fits || !clock_fits || point.year > 5_874_897 || point.year < -4713 {
            return Err(out_of_range());
        }
        let offset_east = match self.zone_sign {
            None => None,
            Some(sign) => {
                let (hours, minutes) = (self.zone_hours.unwrap_or(0), self.zone_minutes.unwrap_or(0));
                if !(0..=15).contains(&hours) || !(0..60).contains(&minutes) {
                    return Err(out_of_range());
                }
                Some(sign * (hours * 3600 + minutes * 60))
            }
        };
        Ok(Read { point, offset_east })
    }

    fn set_clock(&self, point: &mut DateTime) -> Result<()> {
        if let Some(seconds) = self.seconds_of_day {
            (point.hour, point.minute, point.second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        }
        point.second = self.second.unwrap_or(point.second);
        point.minute = self.minute.unwrap_or(point.minute);
        point.hour = self.hour.unwrap_or(point.hour);
        if self.clock12 {
            if !(1..=12).contains(&point.hour) {
                return Err(error!(
                    INVALID_DATETIME_FORMAT,
                    "hour \"{}\" is invalid for the 12-hour clock", point.hour
                )
                .hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            match (self.afternoon == Some(1), point.hour) {
                (true, 12) | (false, 1..12) => {}
                (true, _) => point.hour += 12,
                (false, _) => point.hour = 0,
            }
        }
        point.micros = self.millis.unwrap_or(0).saturating_mul(1000).saturating_add(self.micros.unwrap_or(0));
        Ok(())
    }

    /// The year as the calendar counts, if one is said.
    fn year(&self) -> Option<i32> {
        let before = self.before_christ == Some(1);
        let century = self.century.map(|century| if before { -century } else { century });
        match (self.year.filter(|year| *year != 0), century.filter(|century| *century != 0)) {
            (Some(year), Some(century)) if self.year_places <= 2 => {
                // The last two digits of a year in the century, which begins with the year 1.
                Some(match (year % 100, century >= 0) {
                    (0, true) => century * 100,
                    (0, false) => century * 100 + 1,
                    (digits, true) => digits + (century - 1) * 100,
                    (digits, false) => (century + 1) * 100 - digits + 1,
                })
            }
            (Some(year), _) => {
                let year = if before { -year } else { year };
                Some(if year < 0 { year + 1 } else { year })
            }
            (None, Some(century)) => {
                Some(if century >= 0 { (century - 1) * 100 + 1 } else { century * 100 + 1 })
            }
            (None, None) => None,
        }
    }

    fn set_date(&self, point: &mut DateTime) -> Result<()> {
        let mut set = |date: i32| (point.year, point.month, point.day) = civil_from_days(date);
        let year = self.year();
        let mut day_of_year = self.day_of_year;
        if let Some(julian) = self.julian {
            set(julian - JULIAN_2000);
        }
        if let Some(year) = year {
            point.year = year;
        }
        let iso = self.calendar == Some(Calendar::IsoWeek);
        // Monday of the first week, which is the one with the fourth of January.
        let first_monday = |year: i32| {
            let fourth = days_from_civil(year, 1, 4);
            fourth - (day_of_week(fourth) + 6) % 7
        };
        if let Some(week) = self.week {
            if iso {
                let day = self.week_day.map_or(0, |day| (day + 5) % 7);
                let date = first_monday(point.year) + (week - 1) * 7 + day;
                (point.year, point.month, point.day) = civil_from_days(date);
            } else {
                day_of_year = Some((week - 1) * 7 + 1);
            }
        }
        if let Some(week) = self.week_of_month {
            point.day = (week - 1) * 7 + 1;
        }
        point.day = self.day.unwrap_or(point.day);
        point.month = self.month.unwrap_or(point.month);
        if let Some(number) = day_of_year
            && (point.month <= 1 || point.day <= 1)
        {
            if year.is_none_or(|year| year == 0) && self.before_christ.is_none() {
                bail!(INVALID_DATETIME_FORMAT, "cannot calculate day of year without year information");
            }
            let date = match iso {
                true => first_monday(point.year) + number - 1,
                false => days_from_civil(point.year, 1, 1) + number - 1,
            };
            if !iso && !(1..=366).contains(&number) {
                // No month has such a day.
                point.day = number;
                point.month = 12;
                return Ok(());
            }
            let (found_year, month, day) = civil_from_days(date);
            if iso {
                (point.year, point.month, point.day) = (found_year, month, day);
            } else {
                if found_year != point.year {
                    (point.month, point.day) = (13, day);
                    return Ok(());
                }
                if point.month <= 1 {
                    point.month = month;
                }
                if point.day <= 1 {
                    point.day = day;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str, picture: &str) -> String {
        match read(text, picture) {
            Ok(Read { point, .. }) => format!("{:04}-{:02}-{:02}", point.year, point.month, point.day),
            Err(error) => error.message().to_owned(),
        }
    }

    /// Results are PostgreSQL's.
    #[test]
    fn texts_are_read_by_pictures() {
        assert_eq!(date("05 Dec 2000", "DD Mon YYYY"), "2000-12-05");
        assert_eq!(date("20240229", "YYYYMMDD"), "2024-02-29");
        assert_eq!(date("2024-060", "YYYY-DDD"), "2024-02-29");
        assert_eq!(date("2024-W09-4", "IYYY-\"W\"IW-ID"), "2024-02-29");
        assert_eq!(date("95", "YY"), "1995-01-01");
        assert_eq!(date("44 BC", "YYYY BC"), "-043-01-01");
        assert_eq!(date("2024-02-30", "YYYY-MM-DD"), "date/time field value out of range: \"2024-02-30\"");
        assert_eq!(date("x", "YYYY"), "invalid value \"x\" for \"YYYY\"");
        assert_eq!(date("2024 IW 3", "YYYY \"IW\" IW"), "invalid combination of date conventions");
    }

    #[test]
    fn hours_are_of_either_clock() {
        let hour = |text: &str, picture: &str| read(text, picture).map(|read| read.point.hour).ok();
        assert_eq!(hour("03 PM", "HH AM"), Some(15));
        assert_eq!(hour("12 AM", "HH12 PM"), Some(0));
        assert_eq!(hour("13", "HH12"), None);
        assert_eq!(hour("15", "HH24"), Some(15));
    }
}
