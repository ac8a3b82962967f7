//! Times by pictures: the output half of to_char.

use kokkiri_primitives::{Error, Result, error};
use kokkiri_types::datetime::zone::ZoneInfo;
use kokkiri_types::datetime::{DateTime, Interval, day_of_week, days_from_civil, iso_week};

use super::picture::{Case, Field, Node, Ordinal, parse};
use super::roman;

/// A broken-down time, or an interval broken down the same way.
pub struct Moment {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    day_of_year: i64,
    interval: bool,
    /// Days since 2000-01-01.
    date: i32,
    zone: Option<ZoneInfo>,
}

pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The Julian day number of 2000-01-01.
pub const JULIAN_2000: i32 = 2_451_545;

impl Moment {
    pub fn of(point: DateTime, zone: Option<ZoneInfo>) -> Self {
        let date = point.date();
        Self {
            year: point.year.into(),
            month: point.month.into(),
            day: point.day.into(),
            hour: point.hour.into(),
            minute: point.minute.into(),
            second: point.second.into(),
            micros: point.micros.into(),
            day_of_year: i64::from(date - days_from_civil(point.year, 1, 1)) + 1,
            interval: false,
            date,
            zone,
        }
    }

    pub fn of_interval(span: Interval) -> Self {
        let (year, month, day) =
            (i64::from(span.months / 12), i64::from(span.months % 12), i64::from(span.days));
        Self {
            year,
            month,
            day,
            hour: span.micros / 3_600_000_000,
            minute: span.micros / 60_000_000 % 60,
            second: span.micros / 1_000_000 % 60,
            micros: span.micros % 1_000_000,
            // The whole span, in months of thirty days.
            day_of_year: (year * 12 + month) * 30 + day,
            interval: true,
            date: 0,
            zone: None,
        }
    }

    /// The year as people count it: there is none with number zero.
    fn shown_year(&self) -> i64 {
        if self.interval || self.year > 0 { self.year } else { 1 - self.year }
    }

    fn shown_iso_year(&self) -> i64 {
        if self.interval {
            return self.year;
        }
        let year = i64::from(iso_week(self.year as i32, self.month as i32, self.day as i32).0);
        if year > 0 { year } else { 1 - year }
    }

    fn iso_week(&self) -> i64 {
        i64::from(iso_week(self.year as i32, self.month.max(1) as i32, self.day.max(1) as i32).1)
    }

    fn iso_day_of_year(&self) -> i64 {
        let week = self.iso_week();
        (week - 1) * 7 + i64::from((day_of_week(self.date) + 6) % 7) + 1
    }
}

#[cold]
fn not_for_interval() -> Error {
    error!(INVALID_DATETIME_FORMAT, "invalid format specification for an interval value")
        .hint("Intervals are not tied to specific calendar dates.")
}

fn in_case(word: &str, case: Case) -> String {
    match case {
        Case::Upper => word.to_ascii_uppercase(),
        Case::Capital => word.to_owned(),
        Case::Lower => word.to_ascii_lowercase(),
    }
}

/// `st`, `nd`, `rd` or `th`, by the last digits.
pub fn ordinal_suffix(number: &str, upper: bool) -> &'static str {
    let digits: Vec<u8> = number.bytes().filter(u8::is_ascii_digit).collect();
    let teens = digits.len() > 1 && digits[digits.len() - 2] == b'1';
    match (digits.last(), upper) {
        (Some(b'1'), false) if !teens => "st",
        (Some(b'2'), false) if !teens => "nd",
        (Some(b'3'), false) if !teens => "rd",
        (_, false) => "th",
        (Some(b'1'), true) if !teens => "ST",
        (Some(b'2'), true) if !teens => "ND",
        (Some(b'3'), true) if !teens => "RD",
        (_, true) => "TH",
    }
}

/// A number padded with zeros to a width that counts the sign.
fn padded(number: i64, width: usize) -> String {
    format!("{number:0width$}")
}

/// The text of a moment by a picture.
pub fn write(picture: &str, moment: &Moment) -> Result<String> {
    let mut out = String::new();
    for node in parse(picture) {
        match node {
            Node::Space(c) | Node::Separator(c) | Node::Text(c) => out.push(c),
            Node::Field { field, case, fill, translated, ordinal, .. } => {
                let text = field_text(moment, field, case, fill, translated)?;
                out.push_str(&text);
                if ordinal != Ordinal::None && field.is_digits() && !text.is_empty() {
                    out.push_str(ordinal_suffix(&text, ordinal == Ordinal::Upper));
                }
            }
        }
    }
    Ok(out)
}

fn field_text(moment: &Moment, field: Field, case: Case, fill: bool, translated: bool) -> Result<String> {
    // Two places, one more for a sign, none under FM.
    let two = |number: i64| {
        padded(
            number,
            if fill {
                0
            } else if number >= 0 {
                2
            } else {
                3
            },
        )
    };
    let wide = |number: i64, width: usize| padded(number, if fill { 0 } else { width });
    let calendar = || if moment.interval { Err(not_for_interval()) } else { Ok(()) };
    let name = |word: &str, full: bool| {
        let word = in_case(if full { word } else { &word[..3] }, case);
        if full && !fill && !translated { format!("{word:<9}") } else { word }
    };
    let east = moment.zone.as_ref().map_or(0, |zone| zone.offset);
    let sign = if east >= 0 { '+' } else { '-' };
    let (zone_hours, zone_minutes) = (east.abs() / 3600, east.abs() % 3600 / 60);
    Ok(match field {
        Field::Meridiem { dots } => {
            let afternoon = moment.hour % 24 >= 12;
            let word = match (afternoon, dots) {
                (true, true) => "P.M.",
                (true, false) => "PM",
                (false, true) => "A.M.",
                (false, false) => "AM",
            };
            in_case(word, case)
        }
        Field::Hour12 => {
            let hour = if moment.hour % 12 == 0 { 12 } else { moment.hour % 12 };
            padded(
                hour,
                if fill {
                    0
                } else if moment.hour >= 0 {
                    2
                } else {
                    3
                },
            )
        }
        Field::Hour24 => two(moment.hour),
        Field::Minute => two(moment.minute),
        Field::Second => two(moment.second),
        Field::Fraction(places) => {
            let unit = 10i64.pow(6 - places);
            padded(moment.micros / unit, places as usize)
        }
        Field::Milliseconds => padded(moment.micros / 1000, 3),
        Field::Microseconds => padded(moment.micros, 6),
        Field::SecondsOfDay => (moment.hour * 3600 + moment.minute * 60 + moment.second).to_string(),
        Field::Zone => {
            calendar()?;
            moment.zone.as_ref().map_or_else(String::new, |zone| match case {
                Case::Lower => zone.abbreviation.to_ascii_lowercase(),
                Case::Upper | Case::Capital => zone.abbreviation.clone(),
            })
        }
        Field::ZoneHours => {
            calendar()?;
            format!("{sign}{zone_hours:02}")
        }
        Field::ZoneMinutes => {
            calendar()?;
            format!("{zone_minutes:02}")
        }
        Field::Offset => {
            calendar()?;
            let hours = if fill { format!("{zone_hours}") } else { format!("{zone_hours:02}") };
            match zone_minutes {
                0 => format!("{sign}{hours}"),
                minutes => format!("{sign}{hours}:{minutes:02}"),
            }
        }
        Field::Era { dots } => {
            calendar()?;
            let word = match (moment.year <= 0, dots) {
                (true, true) => "B.C.",
                (true, false) => "BC",
                (false, true) => "A.D.",
                (false, false) => "AD",
            };
            in_case(word, case)
        }
        Field::MonthName { full } => {
            calendar()?;
            name(MONTHS[(moment.month - 1) as usize], full)
        }
        Field::Month => two(moment.month),
        Field::DayName { full } => {
            calendar()?;
            name(DAYS[day_of_week(moment.date) as usize], full)
        }
        Field::DayOfYear => wide(moment.day_of_year, 3),
        Field::IsoDayOfYear => {
            calendar()?;
            wide(moment.iso_day_of_year(), 3)
        }
        Field::DayOfMonth => wide(moment.day, 2),
        Field::DayOfWeek => {
            calendar()?;
            (day_of_week(moment.date) + 1).to_string()
        }
        Field::IsoDayOfWeek => {
            calendar()?;
            ((day_of_week(moment.date) + 6) % 7 + 1).to_string()
        }
        Field::WeekOfYear => wide((moment.day_of_year - 1) / 7 + 1, 2),
        Field::IsoWeek => {
            calendar()?;
            wide(moment.iso_week(), 2)
        }
        Field::Quarter if moment.month == 0 => String::new(),
        Field::Quarter => ((moment.month - 1) / 3 + 1).to_string(),
        Field::Century => {
            let century = match (moment.interval, moment.year > 0) {
                (true, _) => moment.year / 100,
                (false, true) => (moment.year - 1) / 100 + 1,
                (false, false) => moment.year / 100 - 1,
            };
            if (-99..=99).contains(&century) { two(century) } else { century.to_string() }
        }
        Field::YearWithComma => {
            let year = moment.shown_year();
            format!("{},{:03}", year / 1000, year % 1000)
        }
        Field::Year(places) => year_text(moment.shown_year(), places, fill),
        Field::IsoYear(places) => year_text(moment.shown_iso_year(), places, fill),
        Field::RomanMonth => {
            let month = match moment.month {
                0 if moment.year == 0 => return Ok(String::new()),
                // A span of whole years: its last month.
                0 => 12,
                month if month < 0 => 13 + month,
                month => month,
            };
            let numeral = in_case(&roman::write(month as i32), case);
            if fill { numeral } else { format!("{numeral:<4}") }
        }
        Field::WeekOfMonth => ((moment.day - 1) / 7 + 1).to_string(),
        Field::JulianDay => (i64::from(moment.date) + i64::from(JULIAN_2000)).to_string(),
        Field::Exact => String::new(),
    })
}

fn year_text(year: i64, places: u32, fill: bool) -> String {
    let (number, width) = match places {
        4 => (year, if year >= 0 { 4 } else { 5 }),
        places => (year % 10i64.pow(places), places as usize + usize::from(year < 0)),
    };
    padded(number, if fill { 0 } else { width })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Results are PostgreSQL's.
    #[test]
    fn pictures_show_times() {
        let point = DateTime { year: 2024, month: 2, day: 9, hour: 15, minute: 4, second: 5, micros: 67_000 };
        let shown = |picture: &str| write(picture, &Moment::of(point, None)).expect("a time");
        assert_eq!(shown("YYYY-MM-DD HH24:MI:SS.US"), "2024-02-09 15:04:05.067000");
        assert_eq!(shown("FMDay, FMDDth FMMonth Y,YYY"), "Friday, 9th February 2,024");
        assert_eq!(shown("DAY|Dy|mon|RM|rm"), "FRIDAY   |Fri|feb|II  |ii  ");
        assert_eq!(shown("HH12 AM a.m. \"at\" J Q WW IW ID CC"), "03 PM p.m. at 2460350 1 06 06 5 21");
        assert_eq!(shown("MS FF2 SSSSS"), "067 06 54245");
    }
}
