//! COPY's text format: a line a row, fields between delimiters, backslash escapes.

use std::borrow::Cow;

use kokkiri_primitives::{Error, Result, SqlState};

/// How fields are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFormat {
    pub delimiter: u8,
    /// What stands for null, before escapes are undone.
    pub null: String,
    pub header: bool,
}

impl Default for TextFormat {
    fn default() -> Self {
        Self { delimiter: b'\t', null: "\\N".to_owned(), header: false }
    }
}

/// A field as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    Null,
    Text(Cow<'a, str>),
}

impl TextFormat {
    /// The fields of a line without its end.
    pub fn fields<'a>(&'a self, line: &'a [u8]) -> impl Iterator<Item = Result<Field<'a>>> + 'a {
        let mut rest = Some(line);
        std::iter::from_fn(move || {
            let line = rest?;
            let mut end = 0;
            while end < line.len() && line[end] != self.delimiter {
                end += if line[end] == b'\\' && end + 1 < line.len() { 2 } else { 1 };
            }
            let raw = &line[..end.min(line.len())];
            rest = line.get(end + 1..).filter(|_| end < line.len());
            Some(self.field(raw))
        })
    }

    fn field<'a>(&self, raw: &'a [u8]) -> Result<Field<'a>> {
        if raw == self.null.as_bytes() {
            return Ok(Field::Null);
        }
        if !raw.contains(&b'\\') {
            return Ok(Field::Text(Cow::Borrowed(utf8(raw)?)));
        }
        let bytes = unescape(raw);
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Field::Text(Cow::Owned(text))),
            Err(invalid) => Err(encoding_error(invalid.as_bytes())),
        }
    }

    /// Appends a field: `None` is null.
    pub fn write(&self, field: Option<&[u8]>, out: &mut Vec<u8>) {
        let Some(text) = field else {
            out.extend_from_slice(self.null.as_bytes());
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
                other if *other == self.delimiter => *other,
                other => {
                    out.push(*other);
                    continue;
                }
            };
            out.extend_from_slice(&[b'\\', escape]);
        }
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

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| encoding_error(bytes))
}

fn encoding_error(bytes: &[u8]) -> Error {
    let at = std::str::from_utf8(bytes).map_or_else(|invalid| invalid.valid_up_to(), str::len);
    let shown = bytes.get(at).copied().unwrap_or(0);
    Error::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": 0x{shown:02x}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[u8]) -> Vec<String> {
        let show = |field: Result<Field<'_>>| match field {
            Ok(Field::Null) => "NULL".to_owned(),
            Ok(Field::Text(text)) => text.into_owned(),
            Err(error) => error.sqlstate().to_string(),
        };
        TextFormat::default().fields(line).map(show).collect()
    }

    #[test]
    fn lines_are_split_and_unescaped() {
        assert_eq!(read(b"1\tabc\t\\N\t"), ["1", "abc", "NULL", ""]);
        assert_eq!(read(b"a\\tb\tc\\\\d\t\\x41\\101\\q"), ["a\tb", "c\\d", "AAq"]);
        assert_eq!(read(b""), [""]);
        assert_eq!(read(b"\xff\tx"), ["22021", "x"]);
    }

    #[test]
    fn what_is_written_reads_back() {
        let format = TextFormat::default();
        let mut line = Vec::new();
        format.write(Some("tab\there \\ and\nline".as_bytes()), &mut line);
        line.push(b'\t');
        format.write(None, &mut line);
        assert_eq!(line, b"tab\\there \\\\ and\\nline\t\\N");
        assert_eq!(read(&line), ["tab\there \\ and\nline", "NULL"]);
    }
}
