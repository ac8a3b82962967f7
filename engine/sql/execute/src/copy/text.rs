//! COPY's text format: a line a row, fields between delimiters, backslash escapes.
//!
//! Realises: `CopyReadAttributesText` and `CopyAttributeOutText`.

use std::borrow::Cow;

use kokkiri_primitives::Result;
use kokkiri_types::text::check_encoding;

use super::Field;
use super::format::CopyFormat;

/// The fields of a line without its end. Null and the default are recognised before escapes are undone.
///
/// # Errors
/// 22021 if escapes make bytes that are no text.
pub fn fields<'a>(format: &'a CopyFormat, line: &'a [u8]) -> Result<Vec<Field<'a>>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let mut end = 0;
        while end < rest.len() && rest[end] != format.delimiter {
            end += if rest[end] == b'\\' && end + 1 < rest.len() { 2 } else { 1 };
        }
        fields.push(field(format, &rest[..end])?);
        if end >= rest.len() {
            return Ok(fields);
        }
        rest = &rest[end + 1..];
    }
}

fn field<'a>(format: &CopyFormat, raw: &'a [u8]) -> Result<Field<'a>> {
    if raw == format.null.as_bytes() {
        return Ok(Field::Null);
    }
    if format.default.as_deref().is_some_and(|default| raw == default.as_bytes()) {
        return Ok(Field::Default);
    }
    if !raw.contains(&b'\\') {
        return Ok(Field::Text(Cow::Borrowed(check_encoding(raw)?)));
    }
    let bytes = unescape(raw);
    Ok(Field::Text(Cow::Owned(check_encoding(&bytes)?.to_owned())))
}

/// Appends a field: `None` is null.
pub fn write(format: &CopyFormat, field: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(text) = field else {
        out.extend_from_slice(format.null.as_bytes());
        return;
    };
    for byte in text {
        let escape = match byte {
            8 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            11 => b'v',
            12 => b'f',
            b'\r' => b'r',
            b'\\' => b'\\',
            other if *other == format.delimiter => *other,
            other => {
                out.push(*other);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', escape]);
    }
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'b') => bytes.push(8),
            Some(b'f') => bytes.push(12),
            Some(b'n') => bytes.push(b'\n'),
            Some(b'r') => bytes.push(b'\r'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'v') => bytes.push(11),
            Some(digit @ b'0'..=b'7') => {
                let mut code = u32::from(digit - b'0');
                for _ in 0..2 {
                    match rest.next_if(|next| matches!(next, b'0'..=b'7')) {
                        Some(next) => code = code * 8 + u32::from(next - b'0'),
                        None => break,
                    }
                }
                bytes.push(code as u8);
            }
            Some(b'x') if rest.peek().is_some_and(u8::is_ascii_hexdigit) => {
                let mut code = 0;
                for _ in 0..2 {
                    match rest.next_if(u8::is_ascii_hexdigit) {
                        Some(next) => code = code * 16 + char::from(next).to_digit(16).unwrap_or(0),
                        None => break,
                    }
                }
                bytes.push(code as u8);
            }
            Some(other) => bytes.push(other),
            None => bytes.push(b'\\'),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::format::Kind;
    use super::*;

    fn read(line: &[u8]) -> Vec<String> {
        let format = CopyFormat { default: Some("\\D".to_owned()), ..CopyFormat::new(Kind::Text) };
        let show = |field| match field {
            Field::Null => "NULL".to_owned(),
            Field::Default => "DEFAULT".to_owned(),
            Field::Text(text) => text.into_owned(),
        };
        match fields(&format, line) {
            Ok(fields) => fields.into_iter().map(show).collect(),
            Err(error) => vec![error.sqlstate().to_string()],
        }
    }

    #[test]
    fn lines_are_split_and_unescaped() {
        assert_eq!(read(b"1\tabc\t\\N\t\t\\D"), ["1", "abc", "NULL", "", "DEFAULT"]);
        assert_eq!(read(b"a\\tb\tc\\\\d\t\\x41\\101\\q"), ["a\tb", "c\\d", "AAq"]);
        assert_eq!(read(b""), [""]);
        assert_eq!(read(b"x\t\\xff"), ["22021"]);
    }

    #[test]
    fn what_is_written_reads_back() {
        let format = CopyFormat::new(Kind::Text);
        let mut line = Vec::new();
        write(&format, Some("tab\there \\ and\nline".as_bytes()), &mut line);
        line.push(b'\t');
        write(&format, None, &mut line);
        assert_eq!(line, b"tab\\there \\\\ and\\nline\t\\N");
        assert_eq!(read(&line), ["tab\there \\ and\nline", "NULL"]);
    }
}
