//! Options of COPY: `ProcessCopyOptions`.

use kokkiri_parse::AtLocation;
use kokkiri_parse::tree::DefElem;
use kokkiri_primitives::{Error, Result, error};

use crate::options::{boolean, text};

/// How a COPY reads or writes the text format.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    pub delimiter: u8,
    /// What stands for null.
    pub null: String,
    pub header: bool,
    pub freeze: bool,
}

impl CopyOptions {
    /// # Errors
    /// PostgreSQL's for options that are unknown, given twice or contradict each other; 0A000 for formats
    /// other than text.
    pub fn read(options: &[DefElem], is_from: bool) -> Result<Self> {
        let mut read = Self { delimiter: b'\t', null: "\\N".to_owned(), header: false, freeze: false };
        for (at, option) in options.iter().enumerate() {
            if options[..at].iter().any(|earlier| earlier.name == option.name) {
                return Err(
                    error!(SYNTAX_ERROR, "conflicting or redundant options").at_location(option.location)
                );
            }
            match option.name.as_str() {
                "format" => match text(option)?.as_str() {
                    "text" => {}
                    format @ ("csv" | "binary") => {
                        return Err(Error::not_supported(format!("COPY with format {format}")));
                    }
                    format => {
                        return Err(error!(
                            INVALID_PARAMETER_VALUE,
                            "COPY format \"{format}\" not recognized"
                        )
                        .at_location(option.location));
                    }
                },
                "freeze" => read.freeze = boolean(option)?,
                "delimiter" => read.delimiter = delimiter(&text(option)?)?,
                "null" => {
                    read.null = text(option)?;
                    if read.null.contains(['\r', '\n']) {
                        return Err(error!(
                            INVALID_PARAMETER_VALUE,
                            "COPY null representation cannot use newline or carriage return"
                        ));
                    }
                }
                "header" => match option.arg.is_some() && text(option)?.eq_ignore_ascii_case("match") {
                    true => return Err(Error::not_supported("COPY with HEADER MATCH")),
                    false => read.header = boolean(option)?,
                },
                "encoding" => {
                    let encoding = text(option)?;
                    if !encoding.eq_ignore_ascii_case("utf8") && !encoding.eq_ignore_ascii_case("utf-8") {
                        return Err(Error::not_supported(format!("COPY with encoding \"{encoding}\"")));
                    }
                }
                "quote" | "escape" => {
                    let name = option.name.to_ascii_uppercase();
                    return Err(error!(FEATURE_NOT_SUPPORTED, "COPY {name} requires CSV mode"));
                }
                "default"
                | "force_quote"
                | "force_not_null"
                | "force_null"
                | "on_error"
                | "log_verbosity"
                | "reject_limit"
                | "convert_selectively" => {
                    return Err(Error::not_supported(format!("COPY with option {}", option.name)));
                }
                name => {
                    return Err(
                        error!(SYNTAX_ERROR, "option \"{name}\" not recognized").at_location(option.location)
                    );
                }
            }
        }
        if read.null.bytes().any(|byte| byte == read.delimiter) {
            return Err(error!(
                INVALID_PARAMETER_VALUE,
                "COPY delimiter character must not appear in the NULL specification"
            ));
        }
        if read.freeze && !is_from {
            return Err(error!(INVALID_PARAMETER_VALUE, "COPY FREEZE cannot be used with COPY TO"));
        }
        Ok(read)
    }
}

fn delimiter(given: &str) -> Result<u8> {
    let [byte] = given.as_bytes() else {
        return Err(error!(FEATURE_NOT_SUPPORTED, "COPY delimiter must be a single one-byte character"));
    };
    if matches!(byte, b'\r' | b'\n') {
        return Err(error!(INVALID_PARAMETER_VALUE, "COPY delimiter cannot be newline or carriage return"));
    }
    // Letters and digits could be part of an escape, the period of the end marker.
    if byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'\\' | b'.') {
        return Err(error!(INVALID_PARAMETER_VALUE, "COPY delimiter cannot be \"{given}\""));
    }
    Ok(*byte)
}
