//! Pictures of dates and times: keywords with their modifiers, separators and literal text.

/// What a keyword stands for. Those whose case shows in the result have it in [`Case`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// AM and PM, with or without dots.
    Meridiem {
        dots: bool,
    },
    /// AD and BC.
    Era {
        dots: bool,
    },
    Century,
    DayName {
        full: bool,
    },
    DayOfYear,
    DayOfMonth,
    DayOfWeek,
    /// FF1 to FF6.
    Fraction(u32),
    Exact,
    Hour12,
    Hour24,
    IsoDayOfYear,
    IsoDayOfWeek,
    IsoWeek,
    IsoYear(u32),
    JulianDay,
    Minute,
    Month,
    MonthName {
        full: bool,
    },
    Milliseconds,
    Offset,
    Quarter,
    RomanMonth,
    SecondsOfDay,
    Second,
    ZoneHours,
    ZoneMinutes,
    Zone,
    Microseconds,
    WeekOfYear,
    WeekOfMonth,
    YearWithComma,
    Year(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Upper,
    Capital,
    Lower,
}

/// TH or th behind a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordinal {
    None,
    Upper,
    Lower,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    Field {
        field: Field,
        /// As the picture spells it, for messages.
        name: &'static str,
        case: Case,
        /// FM: no padding.
        fill: bool,
        /// TM: names of the locale's language, never padded.
        translated: bool,
        ordinal: Ordinal,
    },
    Space(char),
    Separator(char),
    Text(char),
}

use Case::{Capital, Lower, Upper};

/// Keywords, each before those that it begins with.
const KEYWORDS: &[(&str, Field, Case)] = &[
    ("A.D.", Field::Era { dots: true }, Upper),
    ("A.M.", Field::Meridiem { dots: true }, Upper),
    ("AD", Field::Era { dots: false }, Upper),
    ("AM", Field::Meridiem { dots: false }, Upper),
    ("B.C.", Field::Era { dots: true }, Upper),
    ("BC", Field::Era { dots: false }, Upper),
    ("CC", Field::Century, Upper),
    ("DAY", Field::DayName { full: true }, Upper),
    ("DDD", Field::DayOfYear, Upper),
    ("DD", Field::DayOfMonth, Upper),
    ("DY", Field::DayName { full: false }, Upper),
    ("Day", Field::DayName { full: true }, Capital),
    ("Dy", Field::DayName { full: false }, Capital),
    ("D", Field::DayOfWeek, Upper),
    ("FF1", Field::Fraction(1), Upper),
    ("FF2", Field::Fraction(2), Upper),
    ("FF3", Field::Fraction(3), Upper),
    ("FF4", Field::Fraction(4), Upper),
    ("FF5", Field::Fraction(5), Upper),
    ("FF6", Field::Fraction(6), Upper),
    ("FX", Field::Exact, Upper),
    ("HH24", Field::Hour24, Upper),
    ("HH12", Field::Hour12, Upper),
    ("HH", Field::Hour12, Upper),
    ("IDDD", Field::IsoDayOfYear, Upper),
    ("ID", Field::IsoDayOfWeek, Upper),
    ("IW", Field::IsoWeek, Upper),
    ("IYYY", Field::IsoYear(4), Upper),
    ("IYY", Field::IsoYear(3), Upper),
    ("IY", Field::IsoYear(2), Upper),
    ("I", Field::IsoYear(1), Upper),
    ("J", Field::JulianDay, Upper),
    ("MI", Field::Minute, Upper),
    ("MM", Field::Month, Upper),
    ("MONTH", Field::MonthName { full: true }, Upper),
    ("MON", Field::MonthName { full: false }, Upper),
    ("MS", Field::Milliseconds, Upper),
    ("Month", Field::MonthName { full: true }, Capital),
    ("Mon", Field::MonthName { full: false }, Capital),
    ("OF", Field::Offset, Upper),
    ("P.M.", Field::Meridiem { dots: true }, Upper),
    ("PM", Field::Meridiem { dots: false }, Upper),
    ("Q", Field::Quarter, Upper),
    ("RM", Field::RomanMonth, Upper),
    ("SSSSS", Field::SecondsOfDay, Upper),
    ("SSSS", Field::SecondsOfDay, Upper),
    ("SS", Field::Second, Upper),
    ("TZH", Field::ZoneHours, Upper),
    ("TZM", Field::ZoneMinutes, Upper),
    ("TZ", Field::Zone, Upper),
    ("US", Field::Microseconds, Upper),
    ("WW", Field::WeekOfYear, Upper),
    ("W", Field::WeekOfMonth, Upper),
    ("Y,YYY", Field::YearWithComma, Upper),
    ("YYYY", Field::Year(4), Upper),
    ("YYY", Field::Year(3), Upper),
    ("YY", Field::Year(2), Upper),
    ("Y", Field::Year(1), Upper),
];

/// The keyword that a text begins with. Whole keywords may be in lower case.
fn keyword(text: &str) -> Option<(&'static str, Field, Case)> {
    KEYWORDS.iter().find_map(|&(name, field, case)| {
        let start = text.get(..name.len())?;
        if start == name {
            return Some((name, field, case));
        }
        // Lower case counts for the names in upper case only: "day" is not another "Day".
        let lower = case == Upper && start == name.to_ascii_lowercase();
        lower.then_some((name, field, Lower))
    })
}

impl Field {
    /// True if its text is digits: what stands before it must not take them.
    pub fn is_digits(self) -> bool {
        !matches!(
            self,
            Field::Meridiem { .. }
                | Field::Era { .. }
                | Field::DayName { .. }
                | Field::Exact
                | Field::MonthName { .. }
                | Field::Offset
                | Field::RomanMonth
                | Field::ZoneHours
                | Field::Zone
        )
    }
}

fn is_separator(c: char) -> bool {
    c.is_ascii_graphic() && !c.is_ascii_alphanumeric()
}

/// Splits a picture.
pub fn parse(picture: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut rest = picture;
    'nodes: while !rest.is_empty() {
        let (mut fill, mut translated) = (false, false);
        loop {
            let after = |prefix: &str| rest.strip_prefix(prefix);
            if let Some(tail) = after("FM").or_else(|| after("fm")) {
                (fill, rest) = (true, tail);
            } else if let Some(tail) = after("TM").or_else(|| after("tm")) {
                (translated, rest) = (true, tail);
            } else {
                break;
            }
            // The prefixes of nothing are dropped.
            if rest.is_empty() {
                break 'nodes;
            }
        }
        if let Some((name, field, case)) = keyword(rest) {
            rest = &rest[name.len()..];
            let mut ordinal = Ordinal::None;
            for (suffix, kind) in [("TH", Ordinal::Upper), ("th", Ordinal::Lower), ("SP", Ordinal::None)] {
                if let Some(tail) = rest.strip_prefix(suffix) {
                    (ordinal, rest) = (kind, tail);
                    break;
                }
            }
            nodes.push(Node::Field { field, name, case, fill, translated, ordinal });
            continue;
        }
        let mut characters = rest.chars();
        let Some(c) = characters.next() else { break };
        match c {
            '"' => {
                while let Some(quoted) = characters.next() {
                    match quoted {
                        '"' => break,
                        '\\' => nodes.extend(characters.next().map(Node::Text)),
                        other => nodes.push(Node::Text(other)),
                    }
                }
            }
            '\\' if characters.as_str().starts_with('"') => {
                characters.next();
                nodes.push(Node::Text('"'));
            }
            c if c.is_whitespace() => nodes.push(Node::Space(c)),
            c if is_separator(c) => nodes.push(Node::Separator(c)),
            c => nodes.push(Node::Text(c)),
        }
        rest = characters.as_str();
    }
    nodes
}

pub fn is_separator_char(c: char) -> bool {
    is_separator(c)
}
