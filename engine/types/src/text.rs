//! Character types and bytea: lengths, padding, and bytea's two text forms.
//!
//! Realises: varchar.c, name.c, bytea's I/O, for the encoding UTF8. Lengths count characters; a length's
//! type modifier is the length plus 4.

use std::borrow::Cow;

use kokkiri_primitives::{Error, Result, bail, error};

/// Bytes of a name, without its terminator.
pub const NAME_LENGTH: usize = 63;

/// Declared length in characters, if a type modifier declares one.
pub fn declared_length(typmod: i32) -> Option<usize> {
    usize::try_from(typmod.checked_sub(4)?).ok()
}

/// A bpchar value without the blanks that don't count.
pub fn without_padding(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1);
    &bytes[..end]
}

/// Characters in UTF-8 bytes.
pub fn char_count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0xC0 != 0x80).count()
}

/// Byte offset at which character number `count` starts, or the end.
pub fn char_offset(bytes: &[u8], count: usize) -> usize {
    if bytes.len() <= count {
        return bytes.len();
    }
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte & 0xC0 != 0x80);
    starts.map(|(at, _)| at).nth(count).unwrap_or(bytes.len())
}

/// The longest start of `bytes` of at most `limit` bytes that doesn't cut a character.
pub fn clip(bytes: &[u8], limit: usize) -> &[u8] {
    if bytes.len() <= limit {
        return bytes;
    }
    let mut end = limit;
    while end > 0 && bytes[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    &bytes[..end]
}

/// Cuts a text to what a name holds.
pub fn to_name(bytes: &[u8]) -> &[u8] {
    clip(bytes, NAME_LENGTH)
}

/// Applies `varchar(n)`. An explicit cast truncates; otherwise only blanks may be lost.
///
/// # Errors
/// 22001 `value too long`.
pub fn to_varchar(bytes: &[u8], typmod: i32, explicit: bool) -> Result<&[u8]> {
    match declared_length(typmod) {
        Some(length) if bytes.len() > length => {
            let end = char_offset(bytes, length);
            if !explicit && !bytes[end..].iter().all(|&byte| byte == b' ') {
                bail!(STRING_DATA_RIGHT_TRUNCATION, "value too long for type character varying({length})");
            }
            Ok(&bytes[..end])
        }
        _ => Ok(bytes),
    }
}

/// Applies `character(n)`: pads, or truncates as [`to_varchar`] does.
///
/// # Errors
/// 22001 `value too long`.
pub fn to_bpchar(bytes: &[u8], typmod: i32, explicit: bool) -> Result<Cow<'_, [u8]>> {
    let Some(length) = declared_length(typmod) else { return Ok(Cow::Borrowed(bytes)) };
    let count = char_count(bytes);
    if count <= length {
        if count == length {
            return Ok(Cow::Borrowed(bytes));
        }
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len() + length - count, b' ');
        return Ok(Cow::Owned(padded));
    }
    let end = char_offset(bytes, length);
    if !explicit && !bytes[end..].iter().all(|&byte| byte == b' ') {
        bail!(STRING_DATA_RIGHT_TRUNCATION, "value too long for type character({length})");
    }
    Ok(Cow::Borrowed(&bytes[..end]))
}

/// 22021 for bytes that are not UTF-8.
///
/// # Errors
/// Names the first sequence that is not valid, as PostgreSQL does.
pub fn check_encoding(bytes: &[u8]) -> Result<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => match bytes.iter().position(|&byte| byte == 0) {
            None => Ok(text),
            Some(_) => Err(invalid_sequence(&[0])),
        },
        Err(error) => {
            let start = error.valid_up_to();
            let length = match bytes[start] {
                0xC0..=0xDF => 2,
                0xE0..=0xEF => 3,
                0xF0..=0xF7 => 4,
                _ => 1,
            };
            Err(invalid_sequence(&bytes[start..bytes.len().min(start + length)]))
        }
    }
}

fn invalid_sequence(bytes: &[u8]) -> Error {
    let listed: Vec<_> = bytes.iter().map(|byte| format!("0x{byte:02x}")).collect();
    error!(CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"UTF8\": {}", listed.join(" "))
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends two hexadecimal digits a byte.
pub fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(2 * bytes.len());
    for byte in bytes {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

/// Reads hexadecimal digits, white space between pairs allowed.
///
/// # Errors
/// 22023 for another character, or a digit without its partner.
pub fn parse_hex(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut characters = text.chars();
    let digit = |c: char| {
        c.to_digit(16)
            .map(|digit| digit as u8)
            .ok_or_else(|| error!(INVALID_PARAMETER_VALUE, "invalid hexadecimal digit: \"{c}\""))
    };
    while let Some(first) = characters.next() {
        if matches!(first, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let high = digit(first)?;
        let second = characters.next().ok_or_else(|| {
            error!(INVALID_PARAMETER_VALUE, "invalid hexadecimal data: odd number of digits")
        })?;
        out.push(high << 4 | digit(second)?);
    }
    Ok(out)
}

/// bytea's escape form.
pub fn write_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x20..=0x7E => out.push(byte),
            _ => out.extend([b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]),
        }
    }
}

/// Reads bytea in either form.
///
/// # Errors
/// 22P02 or 22023.
pub fn parse_bytea(text: &str) -> Result<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        return parse_hex(hex);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        at += match bytes[at..] {
            [b'\\', b'\\', ..] => {
                out.push(b'\\');
                2
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                4
            }
            [b'\\', ..] => bail!(INVALID_TEXT_REPRESENTATION, "invalid input syntax for type bytea"),
            [byte, ..] => {
                out.push(byte);
                1
            }
            [] => break,
        };
    }
    Ok(out)
}

/// `"char"`: one byte; three octal digits after a backslash stand for any.
pub fn parse_char(text: &str) -> u8 {
    match text.as_bytes() {
        [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] => {
            (a - b'0') << 6 | (b - b'0') << 3 | (c - b'0')
        }
        bytes => bytes.first().copied().unwrap_or(0),
    }
}

pub fn write_char(value: u8, out: &mut Vec<u8>) {
    match value {
        0 => {}
        1..=0x7F => out.push(value),
        _ => out.extend([b'\\', b'0' + (value >> 6), b'0' + (value >> 3 & 7), b'0' + (value & 7)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_characters() {
        assert_eq!(to_varchar("héllo".as_bytes(), 4 + 2, true).ok(), Some("hé".as_bytes()));
        assert_eq!(to_varchar(b"abc   ", 4 + 3, false).ok(), Some(&b"abc"[..]));
        assert_eq!(
            to_varchar(b"abcd", 4 + 3, false).expect_err("long").message(),
            "value too long for type character varying(3)"
        );
        assert_eq!(to_bpchar("é".as_bytes(), 4 + 3, false).ok().as_deref(), Some("é  ".as_bytes()));
        assert_eq!(clip("aé".as_bytes(), 2), b"a");
        assert_eq!(
            check_encoding(b"a\xff").expect_err("invalid").message(),
            "invalid byte sequence for encoding \"UTF8\": 0xff"
        );
    }

    #[test]
    fn bytea_reads_both_forms() {
        assert_eq!(parse_bytea("\\x61 00ff").ok(), Some(vec![0x61, 0, 0xFF]));
        assert_eq!(parse_bytea("a\\000\\\\b").ok(), Some(b"a\0\\b".to_vec()));
        let mut out = Vec::new();
        write_escaped(b"a\0\\b\xff", &mut out);
        assert_eq!(out, b"a\\000\\\\b\\377");
    }
}
