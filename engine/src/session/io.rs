//! Checks of parameters whose values have a form of their own, which only the types' layer knows.

use kokkiri_command::transaction_mode;
use kokkiri_primitives::settings::{ServerSettings, Value};
use kokkiri_primitives::{Error, Result, SqlState};
use kokkiri_types::datetime::{DateOrder, DateStyle, IntervalStyle, TimeZone, interval_text};
use kokkiri_types::io::{date_style_name, parse_date_style};

/// Installs the checks of parameters whose values have a form of their own.
pub fn install_checks(settings: &mut ServerSettings) {
    settings.install_check("DateStyle", check_date_style);
    settings.install_check("TimeZone", check_time_zone);
    settings.install_check("log_timezone", check_time_zone);
    settings.install_check("client_encoding", check_client_encoding);
    settings.install_check("default_transaction_isolation", check_default_isolation);
    settings.install_check("max_stack_depth", check_stack_depth);
}

/// Threads have stacks for so much and no more.
fn check_stack_depth(value: &Value, _: &Value) -> Result<Value> {
    const MOST: i64 = kokkiri_primitives::stack::SETTING_MAX_KB as i64;
    match value {
        Value::Int(kilobytes) if *kilobytes > MOST => Err(invalid("max_stack_depth", &value.plain())
            .detail(format!("\"max_stack_depth\" must not exceed {MOST}kB."))
            .hint("Increase the platform's stack depth limit via \"ulimit -s\" or local equivalent.")),
        _ => Ok(value.clone()),
    }
}

/// What a value of DateStyle does not say stays as it is.
fn check_date_style(value: &Value, present: &Value) -> Result<Value> {
    let text = value.plain();
    let fixed = (DateStyle::Iso, DateOrder::Mdy);
    let present = parse_date_style(&present.plain(), fixed).unwrap_or(fixed);
    match parse_date_style(&text, present) {
        Ok((style, order)) => Ok(Value::Text(date_style_name(style, order).into())),
        Err(detail) => Err(invalid("DateStyle", &text).detail(detail)),
    }
}

/// A zone is kept by its proper name; that of an offset is a POSIX rule.
fn check_time_zone(value: &Value, _: &Value) -> Result<Value> {
    let text = value.plain();
    let interval = text.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("interval"));
    let zone = match interval {
        true => {
            let literal = text[8..].trim().trim_matches('\'');
            let span = interval_text::parse(literal, -1, IntervalStyle::Postgres)?;
            let refuse = |what: &str| {
                invalid("TimeZone", &text).detail(format!("Cannot specify {what} in time zone interval."))
            };
            if span.months != 0 {
                return Err(refuse("months"));
            }
            if span.days != 0 {
                return Err(refuse("days"));
            }
            i32::try_from(span.micros / 1_000_000).ok().and_then(TimeZone::fixed)
        }
        false => TimeZone::from_setting(&text),
    };
    match zone {
        Some(zone) => Ok(Value::Text(zone.name().into())),
        None => Err(invalid("TimeZone", &text)),
    }
}

/// Every transaction would have a level that is not built.
fn check_default_isolation(value: &Value, _: &Value) -> Result<Value> {
    match value.plain().as_str() {
        "serializable" => Err(transaction_mode::not_serializable()),
        _ => Ok(value.clone()),
    }
}

/// Only UTF8 is converted to and from; SQL_ASCII converts nothing.
fn check_client_encoding(value: &Value, _: &Value) -> Result<Value> {
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
        let present = Value::Text("ISO, MDY".into());
        let canonical =
            |text: &str| check_date_style(&Value::Text(text.into()), &present).map(|value| value.plain());
        assert_eq!(canonical("iso").expect("valid"), "ISO, MDY");
        assert_eq!(canonical("SQL, dmy").expect("valid"), "SQL, DMY");
        assert_eq!(canonical("german").expect("valid"), "German, DMY");
        assert_eq!(canonical("ymd").expect("valid"), "ISO, YMD");
        assert_eq!(canonical("x").expect_err("no style").sqlstate(), SqlState::INVALID_PARAMETER_VALUE);
    }

    #[test]
    fn utf8_has_several_spellings() {
        let canonical =
            |text: &str| check_client_encoding(&Value::Text(text.into()), &Value::Text("".into()));
        assert_eq!(canonical("utf-8").expect("valid").plain(), "UTF8");
        assert_eq!(canonical("LATIN1").expect_err("not built").sqlstate(), SqlState::FEATURE_NOT_SUPPORTED);
        assert_eq!(canonical("nonsense").expect_err("none").sqlstate(), SqlState::INVALID_PARAMETER_VALUE);
    }
}
