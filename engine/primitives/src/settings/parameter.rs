//! What a parameter is: its type, unit, bounds and who may set it; and how its values read and print.

use std::fmt::Write as _;

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::{bail, error};

use super::parameters::PARAMETERS;
use super::value::Value;

/// Index into [`PARAMETERS`] with the type of the value: what code asks [`super::Settings::get`] for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bool(pub u16);
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Int(pub u16);
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Real(pub u16);
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text(pub u16);
/// The value is one of the parameter's words, in the spelling of the facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enum(pub u16);

/// pg_settings' `vartype` with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Bool,
    Int { min: i64, max: i64 },
    Real { min: f64, max: f64 },
    Text,
    Enum { values: &'static [&'static str] },
}

/// Who may set a parameter, and when: PostgreSQL's `GucContext`, most restricted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    Internal,
    Postmaster,
    Sighup,
    SuperuserBackend,
    Backend,
    Superuser,
    User,
}

impl Context {
    pub fn as_str(self) -> &'static str {
        match self {
            Context::Internal => "internal",
            Context::Postmaster => "postmaster",
            Context::Sighup => "sighup",
            Context::SuperuserBackend => "superuser-backend",
            Context::Backend => "backend",
            Context::Superuser => "superuser",
            Context::User => "user",
        }
    }
}

/// The unit a number without one is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    None,
    Bytes,
    Kilobytes,
    Megabytes,
    /// Pages of 8 kB.
    Blocks,
    Milliseconds,
    Seconds,
    Minutes,
}

/// A unit word with how many of the family's smallest steps (bytes, microseconds) it stands for.
type UnitWord = (&'static str, f64);

/// Largest first, as the choice of a unit for printing wants them.
const MEMORY_WORDS: &[UnitWord] =
    &[("TB", 1_099_511_627_776.0), ("GB", 1_073_741_824.0), ("MB", 1_048_576.0), ("kB", 1024.0), ("B", 1.0)];
const TIME_WORDS: &[UnitWord] = &[
    ("d", 86_400_000_000.0),
    ("h", 3_600_000_000.0),
    ("min", 60_000_000.0),
    ("s", 1_000_000.0),
    ("ms", 1000.0),
    ("us", 1.0),
];

impl Unit {
    /// pg_settings' `unit`.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Unit::None => None,
            Unit::Bytes => Some("B"),
            Unit::Kilobytes => Some("kB"),
            Unit::Megabytes => Some("MB"),
            Unit::Blocks => Some("8kB"),
            Unit::Milliseconds => Some("ms"),
            Unit::Seconds => Some("s"),
            Unit::Minutes => Some("min"),
        }
    }

    /// The words a value may carry, and how many smallest steps one of this unit is.
    fn family(self) -> Option<(&'static [UnitWord], f64)> {
        match self {
            Unit::None => None,
            Unit::Bytes => Some((MEMORY_WORDS, 1.0)),
            Unit::Kilobytes => Some((MEMORY_WORDS, 1024.0)),
            Unit::Megabytes => Some((MEMORY_WORDS, 1_048_576.0)),
            Unit::Blocks => Some((MEMORY_WORDS, 8192.0)),
            Unit::Milliseconds => Some((TIME_WORDS, 1000.0)),
            Unit::Seconds => Some((TIME_WORDS, 1_000_000.0)),
            Unit::Minutes => Some((TIME_WORDS, 60_000_000.0)),
        }
    }

    fn hint(self) -> Option<&'static str> {
        match self.family()?.0.len() {
            5 => Some("Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\"."),
            _ => Some("Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\"."),
        }
    }
}

/// One parameter, as pg_settings describes it.
#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    pub context: Context,
    pub boot: &'static str,
    pub category: &'static str,
    pub description: &'static str,
    pub extra: &'static str,
    /// The client is told of every change.
    pub reported: bool,
    /// Shown by EXPLAIN (SETTINGS).
    pub explain: bool,
    pub resettable: bool,
    pub reset_all: bool,
    /// Shown by SHOW ALL and pg_settings.
    pub listed: bool,
    /// The value is a list of names.
    pub list: bool,
}

/// The parameter called `name`, in any case, with its index.
pub fn find(name: &str) -> Option<(u16, &'static Parameter)> {
    let folded = name.to_ascii_lowercase();
    let name = match folded.as_str() {
        // Spellings that PostgreSQL keeps for old clients.
        "sort_mem" => "work_mem",
        "vacuum_mem" => "maintenance_work_mem",
        "ssl_ecdh_curve" => "ssl_groups",
        other => other,
    };
    let index = PARAMETERS
        .binary_search_by(|parameter| parameter.name.to_ascii_lowercase().as_str().cmp(name))
        .ok()?;
    Some((index as u16, &PARAMETERS[index]))
}

impl Parameter {
    pub fn vartype(&self) -> &'static str {
        match self.kind {
            Kind::Bool => "bool",
            Kind::Int { .. } => "integer",
            Kind::Real { .. } => "real",
            Kind::Text => "string",
            Kind::Enum { .. } => "enum",
        }
    }

    /// Reads a value as SET and configuration files write it.
    ///
    /// # Errors
    /// 22023 in PostgreSQL's words.
    pub fn parse(&self, text: &str) -> Result<Value> {
        match self.kind {
            Kind::Bool => match parse_bool(text) {
                Some(value) => Ok(Value::Bool(value)),
                None => {
                    bail!(INVALID_PARAMETER_VALUE, "parameter \"{}\" requires a Boolean value", self.name)
                }
            },
            Kind::Int { min, max } => {
                let number = self.parse_number(text, true)?.round_ties_even();
                if !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number) {
                    return Err(self.invalid(text).hint("Value exceeds integer range."));
                }
                let value = number as i64;
                if value < min || value > max {
                    return Err(self.out_of_range(value, min, max));
                }
                Ok(Value::Int(value))
            }
            Kind::Real { min, max } => {
                let value = self.parse_number(text, false)?;
                if value.is_nan() || value < min || value > max {
                    return Err(self.out_of_range(Significant(value), Significant(min), Significant(max)));
                }
                Ok(Value::Real(value))
            }
            Kind::Text => Ok(Value::Text(text.into())),
            Kind::Enum { values } => {
                let word = values.iter().find(|word| word.eq_ignore_ascii_case(text)).copied();
                match word.or_else(|| boolean_word(values, text)) {
                    Some(word) => Ok(Value::Word(word)),
                    None => Err(self.invalid(text).hint(format!("Available values: {}.", values.join(", ")))),
                }
            }
        }
    }

    fn invalid(&self, text: &str) -> Error {
        error!(INVALID_PARAMETER_VALUE, "invalid value for parameter \"{}\": \"{text}\"", self.name)
    }

    fn out_of_range<T: std::fmt::Display>(&self, value: T, min: T, max: T) -> Error {
        let unit = self.unit.as_str().map_or(String::new(), |unit| format!(" {unit}"));
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!(
                "{value}{unit} is outside the valid range for parameter \"{}\" ({min}{unit} .. {max}{unit})",
                self.name
            ),
        )
    }

    /// A number with an optional unit, converted to the parameter's own unit.
    fn parse_number(&self, text: &str, integer: bool) -> Result<f64> {
        let trimmed = text.trim();
        let (number, rest) = split_number(trimmed, integer).ok_or_else(|| self.invalid(text))?;
        let word = rest.trim();
        if word.is_empty() {
            return Ok(number);
        }
        let Some((words, own)) = self.unit.family() else { return Err(self.invalid(text)) };
        let Some((_, steps)) = words.iter().find(|(name, _)| *name == word) else {
            let error = self.invalid(text);
            return Err(match self.unit.hint() {
                Some(hint) => error.hint(hint),
                None => error,
            });
        };
        let converted = number * steps / own;
        // A fraction of a unit is rounded to a multiple of the next smaller unit, as PostgreSQL does.
        let smaller = words.iter().map(|(_, s)| *s).find(|s| s < steps);
        match smaller {
            Some(smaller) if number.fract() != 0.0 && smaller / own >= 1.0 => {
                Ok((number * steps / smaller).round_ties_even() * (smaller / own))
            }
            _ => Ok(converted),
        }
    }

    /// The value as SHOW prints it: in the largest unit that divides it.
    pub fn show(&self, value: &Value) -> String {
        match value {
            Value::Int(number) => match self.unit.family() {
                Some((words, own)) if *number > 0 => {
                    let steps = *number as f64 * own;
                    let (word, size) = words
                        .iter()
                        .find(|(_, size)| steps % size == 0.0)
                        .expect("every number is a multiple of one smallest step");
                    format!("{}{word}", (steps / size) as i64)
                }
                _ if self.name.ends_with("_file_mode")
                    || self.name.ends_with("_permissions")
                    || self.name == "data_directory_mode" =>
                {
                    format!("{number:04o}")
                }
                _ => number.to_string(),
            },
            Value::Real(number) => match self.unit.family() {
                Some((words, own)) if *number > 0.0 => {
                    let steps = number * own;
                    let (word, size) = words
                        .iter()
                        .find(|(_, size)| (steps / size).fract() == 0.0)
                        .copied()
                        .unwrap_or_else(|| *words.last().expect("a family has units"));
                    format!("{}{word}", Significant(steps / size))
                }
                _ => Significant(*number).to_string(),
            },
            other => other.plain(),
        }
    }
}

/// A number printed with six significant digits, as C's `%g`.
#[derive(Clone, Copy)]
pub(super) struct Significant(pub f64);

impl std::fmt::Display for Significant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.0;
        if value == 0.0 || !value.is_finite() {
            return write!(f, "{value}");
        }
        let scientific = format!("{value:.5e}");
        let (mantissa, exponent) = scientific.split_once('e').expect("Rust prints an exponent");
        let exponent: i32 = exponent.parse().expect("Rust prints a number");
        let strip = |digits: &str| match digits.contains('.') {
            true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => digits.to_owned(),
        };
        if (-4..6).contains(&exponent) {
            return f.write_str(&strip(&format!("{value:.*}", (5 - exponent).max(0) as usize)));
        }
        let mut text = strip(mantissa);
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(text, "e{sign}{:02}", exponent.abs())?;
        f.write_str(&text)
    }
}

/// PostgreSQL's `parse_bool`: any unambiguous prefix of true, false, yes, no, on, off; and 1, 0.
pub fn parse_bool(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    let is_prefix = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    if text == "1" || is_prefix("true", 1) || is_prefix("yes", 1) || is_prefix("on", 2) {
        return Some(true);
    }
    if text == "0" || is_prefix("false", 1) || is_prefix("no", 1) || is_prefix("off", 2) {
        return Some(false);
    }
    None
}

/// The word an enum that also takes Booleans (`on`, `off` among its words) means by another spelling.
fn boolean_word(values: &'static [&'static str], text: &str) -> Option<&'static str> {
    if !values.contains(&"on") || !values.contains(&"off") {
        return None;
    }
    let spelled = ["true", "false", "yes", "no", "1", "0"].contains(&text.to_ascii_lowercase().as_str());
    let word = if parse_bool(text)? { "on" } else { "off" };
    spelled.then(|| values.iter().find(|value| **value == word).copied()).flatten()
}

/// Splits a leading number (decimal, hexadecimal, octal, fraction, exponent) from what follows it.
fn split_number(text: &str, integer: bool) -> Option<(f64, &str)> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if text.len() - unsigned.len() > 1 {
        return None;
    }
    let negative = text.starts_with('-');
    let signed = |magnitude: f64| if negative { -magnitude } else { magnitude };
    let radix = |digits: &str, base: u32| {
        let end = digits.find(|c: char| !c.is_digit(base)).unwrap_or(digits.len());
        u64::from_str_radix(&digits[..end], base).ok().map(|n| (n as f64, end))
    };
    if integer && let Some(digits) = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        let (number, end) = radix(digits, 16)?;
        return Some((signed(number), &digits[end..]));
    }
    let octal = unsigned.len() > 1 && unsigned.starts_with('0') && unsigned.as_bytes()[1].is_ascii_digit();
    if integer && octal && !unsigned.contains(['.', 'e', 'E']) {
        let (number, end) = radix(unsigned, 8)?;
        return Some((signed(number), &unsigned[end..]));
    }
    let bytes = unsigned.as_bytes();
    let mut end = 0;
    while end < bytes.len() && (bytes[end].is_ascii_digit() || bytes[end] == b'.') {
        end += 1;
    }
    if end < bytes.len() && matches!(bytes[end], b'e' | b'E') {
        let mut exponent = end + 1;
        if exponent < bytes.len() && matches!(bytes[exponent], b'+' | b'-') {
            exponent += 1;
        }
        let digits = exponent;
        while exponent < bytes.len() && bytes[exponent].is_ascii_digit() {
            exponent += 1;
        }
        if exponent > digits {
            end = exponent;
        }
    }
    let number: f64 = unsigned[..end].parse().ok()?;
    Some((signed(number), &unsigned[end..]))
}
