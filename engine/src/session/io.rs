//! Checks of parameters whose values have a form of their own, which only the types' layer knows.

use kokkiri_primitives::settings::{ServerSettings, Value};
use kokkiri_primitives::{Error, Result, SqlState};
use kokkiri_types::datetime::{DateOrder, DateStyle, TimeZone};
use kokkiri_types::io::{date_style_name, parse_date_style};

/// Installs the checks of parameters whose values have a form of their own.
pub fn install_checks(settings: &mut ServerSettings) {
    settings.install_check("DateStyle", check_date_style);
    settings.install_check("TimeZone", check_time_zone);
    settings.install_check("log_timezone", check_time_zone);
    settings.install_check("client_encoding", check_client_encoding);
}

fn check_date_style(value: &Value) -> Result<Value> {
    let text = value.plain();
    match parse_date_style(&text, (DateStyle::Iso, DateOrder::Mdy)) {
        Some((style, order)) => Ok(Value::Text(date_style_name(style, order).into())),
        None => Err(invalid("DateStyle", &text)
            .detail(format!("Unrecognized key word: \"{}\".", text.split(',').next().unwrap_or("").trim()))),
    }
}

fn check_time_zone(value: &Value) -> Result<Value> {
    let text = value.plain();
    match TimeZone::from_setting(&text) {
        Some(_) => Ok(value.clone()),
        None => Err(invalid("TimeZone", &text)),
    }
}

/// Only UTF8 is converted to and from; SQL_ASCII converts nothing.
fn check_client_encoding(value: &Value) -> Result<Value> {
    let text = value.plain();
    let folded: String =
        text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    match folded.as_str() {
        "utf8" | "unicode" => Ok(Value::Text("UTF8".into())),
        "sqlascii" => Ok(Value::Text("SQL_ASCII".into())),
        "latin1" | "latin9" | "win1252" | "euckr" | "eucjp" | "sjis" | "gbk" | "big5" | "uhc" => {
            Err(Error::not_supported(format!("client encoding {text}")))
        }
        _ => Err(invalid("client_encoding", &text)),
    }
}

fn invalid(name: &str, text: &str) -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("invalid value for parameter \"{name}\": \"{text}\""),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_styles_are_made_canonical() {
        let canonical = |text: &str| check_date_style(&Value::Text(text.into())).map(|value| value.plain());
        assert_eq!(canonical("iso").expect("valid"), "ISO, MDY");
        assert_eq!(canonical("SQL, dmy").expect("valid"), "SQL, DMY");
        assert_eq!(canonical("german").expect("valid"), "German, DMY");
        assert_eq!(canonical("ymd").expect("valid"), "ISO, YMD");
        assert_eq!(canonical("x").expect_err("no style").sqlstate(), SqlState::INVALID_PARAMETER_VALUE);
    }

    #[test]
    fn utf8_has_several_spellings() {
        let canonical = |text: &str| check_client_encoding(&Value::Text(text.into()));
        assert_eq!(canonical("utf-8").expect("valid").plain(), "UTF8");
        assert_eq!(canonical("LATIN1").expect_err("not built").sqlstate(), SqlState::FEATURE_NOT_SUPPORTED);
        assert_eq!(canonical("nonsense").expect_err("none").sqlstate(), SqlState::INVALID_PARAMETER_VALUE);
    }
}
