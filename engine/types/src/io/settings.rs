//! The settings that text forms depend on, decoded.

use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::settings::{Settings, parameters};
use kokkiri_primitives::{Error, Result, error};

use crate::datetime::{DateOrder, DateStyle, IntervalStyle, TimeZone};

/// The settings that text forms depend on.
#[derive(Clone, Debug, PartialEq)]
pub struct IoSettings {
    pub date_style: DateStyle,
    pub date_order: DateOrder,
    pub interval_style: IntervalStyle,
    pub time_zone: TimeZone,
    pub extra_float_digits: i32,
    pub bytea_output: ByteaOutput,
    /// Start of the transaction: what `now` and `today` mean.
    pub now: TimestampTz,
}

impl Default for IoSettings {
    fn default() -> Self {
        Self {
            date_style: DateStyle::Iso,
            date_order: DateOrder::Mdy,
            interval_style: IntervalStyle::Postgres,
            time_zone: TimeZone::default(),
            extra_float_digits: 1,
            bytea_output: ByteaOutput::Hex,
            now: TimestampTz(0),
        }
    }
}

/// The setting bytea_output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteaOutput {
    #[default]
    Hex,
    Escape,
}

impl IoSettings {
    /// Decodes a session's settings, for a transaction that started at `now`.
    ///
    /// # Errors
    /// 22023 for a DateStyle or TimeZone that can't be: their checks keep such values out.
    pub fn from_settings(settings: &Settings, now: TimestampTz) -> Result<Self> {
        let date_style = settings.get(parameters::DATESTYLE);
        let (date_style, date_order) = parse_date_style(&date_style, (DateStyle::Iso, DateOrder::Mdy))
            .map_err(|detail| invalid("DateStyle", &date_style).detail(detail))?;
        let zone = settings.get(parameters::TIMEZONE);
        Ok(Self {
            date_style,
            date_order,
            interval_style: match settings.get(parameters::INTERVALSTYLE) {
                "postgres_verbose" => IntervalStyle::PostgresVerbose,
                "sql_standard" => IntervalStyle::SqlStandard,
                "iso_8601" => IntervalStyle::Iso8601,
                _ => IntervalStyle::Postgres,
            },
            time_zone: TimeZone::from_setting(&zone).ok_or_else(|| invalid("TimeZone", &zone))?,
            extra_float_digits: settings.get(parameters::EXTRA_FLOAT_DIGITS) as i32,
            bytea_output: match settings.get(parameters::BYTEA_OUTPUT) {
                "escape" => ByteaOutput::Escape,
                _ => ByteaOutput::Hex,
            },
            now,
        })
    }
}

fn invalid(parameter: &str, value: &str) -> Error {
    error!(INVALID_PARAMETER_VALUE, "invalid value for parameter \"{parameter}\": \"{value}\"")
}

/// Reads a value of DateStyle: words for the style and the order, in any order, either left out. What is
/// wrong otherwise, worded as the detail of an error.
pub fn parse_date_style(
    text: &str,
    current: (DateStyle, DateOrder),
) -> Result<(DateStyle, DateOrder), String> {
    let (mut style, mut order) = (None, None);
    for word in text.split(',').map(|word| word.trim().trim_matches('"').to_ascii_lowercase()) {
        let (of_style, of_order) = match word.as_str() {
            "iso" => (Some(DateStyle::Iso), None),
            "sql" => (Some(DateStyle::Sql), None),
            "german" => (Some(DateStyle::German), None),
            "ymd" => (None, Some(DateOrder::Ymd)),
            "dmy" => (None, Some(DateOrder::Dmy)),
            "mdy" | "us" => (None, Some(DateOrder::Mdy)),
            "default" => (Some(DateStyle::Iso), Some(DateOrder::Mdy)),
            word if word.starts_with("postgres") => (Some(DateStyle::Postgres), None),
            word if word.starts_with("euro") => (None, Some(DateOrder::Dmy)),
            word if word.starts_with("noneuro") => (None, Some(DateOrder::Mdy)),
            "" => return Err("List syntax is invalid.".to_owned()),
            word => return Err(format!("Unrecognized key word: \"{word}\".")),
        };
        let conflict = || Err("Conflicting \"DateStyle\" specifications.".to_owned());
        if of_style.is_some() {
            if style.is_some() && style != of_style {
                return conflict();
            }
            style = of_style;
        }
        if of_order.is_some() {
            if order.is_some() && order != of_order {
                return conflict();
            }
            order = of_order;
        }
    }
    // German dates have the day first unless the order is said.
    let implied = if style == Some(DateStyle::German) { DateOrder::Dmy } else { current.1 };
    Ok((style.unwrap_or(current.0), order.unwrap_or(implied)))
}

/// The canonical text of a DateStyle: `ISO, MDY`.
pub fn date_style_name(style: DateStyle, order: DateOrder) -> String {
    let style = match style {
        DateStyle::Iso => "ISO",
        DateStyle::Sql => "SQL",
        DateStyle::Postgres => "Postgres",
        DateStyle::German => "German",
    };
    let order = match order {
        DateOrder::Ymd => "YMD",
        DateOrder::Dmy => "DMY",
        DateOrder::Mdy => "MDY",
    };
    format!("{style}, {order}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_styles_read_as_in_postgresql() {
        let read = |text: &str| {
            let (style, order) = parse_date_style(text, (DateStyle::Iso, DateOrder::Mdy)).ok()?;
            Some(date_style_name(style, order))
        };
        for (text, name) in [
            ("ISO", Some("ISO, MDY")),
            ("sql, dmy", Some("SQL, DMY")),
            ("German", Some("German, DMY")),
            ("postgres,ymd", Some("Postgres, YMD")),
            ("European", Some("ISO, DMY")),
            ("iso, sql", None),
            ("dmy, mdy", None),
            ("nonsense", None),
        ] {
            assert_eq!(read(text).as_deref(), name, "{text}");
        }
    }
}
