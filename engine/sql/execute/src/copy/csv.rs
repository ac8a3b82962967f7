//! COPY's CSV format: fields between delimiters, in quotes where they hold what would end them.
//!
//! Realises: `CopyReadAttributesCSV` and `CopyAttributeOutCSV`.

use std::borrow::Cow;

use kokkiri_primitives::{Result, error};
use kokkiri_types::text::check_encoding;

use super::Field;
use super::format::CopyFormat;

/// The fields of a line without its end. A field that had quotes is neither null nor the default.
///
/// # Errors
/// 22P04 if a quote is not closed.
pub fn fields<'a>(format: &'a CopyFormat, line: &'a [u8]) -> Result<Vec<Field<'a>>> {
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let start = at;
        let mut text = Vec::new();
        let (mut quoted, mut in_quote) = (false, false);
        while let Some(&byte) = line.get(at) {
            match in_quote {
                false if byte == format.delimiter => break,
                false if byte == format.quote => (quoted, in_quote) = (true, true),
                false => text.push(byte),
                true => {
                    let next = line.get(at + 1).copied();
                    let hides = next.filter(|next| *next == format.escape || *next == format.quote);
                    if byte == format.escape
                        && let Some(hidden) = hides
                    {
                        text.push(hidden);
                        at += 1;
                    } else if byte == format.quote {
                        in_quote = false;
                    } else {
                        text.push(byte);
                    }
                }
            }
            at += 1;
        }
        if in_quote {
            return Err(error!(BAD_COPY_FILE_FORMAT, "unterminated CSV quoted field"));
        }
        let raw = &line[start..at];
        fields.push(if !quoted && raw == format.null.as_bytes() {
            Field::Null
        } else if !quoted && format.default.as_deref().is_some_and(|default| raw == default.as_bytes()) {
            Field::Default
        } else {
            check_encoding(&text)?;
            Field::Text(Cow::Owned(String::from_utf8_lossy(&text).into_owned()))
        });
        if at >= line.len() {
            return Ok(fields);
        }
        at += 1;
    }
}

/// Appends a field, in quotes if it must be or `force` says so; `alone` if the row has no other.
pub fn write(format: &CopyFormat, field: Option<&[u8]>, force: bool, alone: bool, out: &mut Vec<u8>) {
    let Some(text) = field else {
        out.extend_from_slice(format.null.as_bytes());
        return;
    };
    let special = |byte: &u8| *byte == format.delimiter || *byte == format.quote || b"\r\n".contains(byte);
    let quote =
        force || text == format.null.as_bytes() || alone && text == b"\\." || text.iter().any(special);
    if !quote {
        out.extend_from_slice(text);
        return;
    }
    out.push(format.quote);
    for byte in text {
        if *byte == format.quote || *byte == format.escape {
            out.push(format.escape);
        }
        out.push(*byte);
    }
    out.push(format.quote);
}

#[cfg(test)]
mod tests {
    use super::super::format::Kind;
    use super::*;

    fn read(line: &str) -> Vec<String> {
        let format = CopyFormat::new(Kind::Csv);
        let fields = fields(&format, line.as_bytes()).expect("a line");
        let show = |field| match field {
            Field::Null => "NULL".to_owned(),
            Field::Default => "DEFAULT".to_owned(),
            Field::Text(text) => text.into_owned(),
        };
        fields.into_iter().map(show).collect()
    }

    #[test]
    fn quotes_are_undone() {
        assert_eq!(read("a,\"b,\"\"c\",,\"\",x\"y\"z"), ["a", "b,\"c", "NULL", "", "xyz"]);
        assert!(fields(&CopyFormat::new(Kind::Csv), b"\"open").is_err());
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let format = CopyFormat { quote: b'\'', escape: b'\\', ..CopyFormat::new(Kind::Csv) };
        for text in ["", "plain", "it's", "back\\slash", "a,b", "l\ni\rne", "'"] {
            let mut line = Vec::new();
            write(&format, Some(text.as_bytes()), false, false, &mut line);
            assert_eq!(fields(&format, &line).expect("a line"), [Field::Text(text.into())], "{text:?}");
        }
    }
}
