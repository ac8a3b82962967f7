//! Quoted forms: strings, escapes, bit strings, Unicode escapes, delimited identifiers.

use kokkiri_primitives::{Error, Severity, SqlState, error};
use sqlparser::tokenizer::Token;

use super::{Lexeme, Lexer, is_space, word};

const UNICODE_HINT: &str = "Unicode escapes must be \\XXXX or \\+XXXXXX.";
const ESCAPE_HINT: &str = "Unicode escapes must be \\uXXXX or \\UXXXXXXXX.";

impl Lexer<'_> {
    /// After a closing quote: if a newline and another quote follow, goes to that quote.
    fn continues(&mut self) -> bool {
        let mut position = self.position;
        let mut newline = false;
        loop {
            match self.bytes.get(position) {
                Some(b'\n' | b'\r') => {
                    newline = true;
                    position += 1;
                }
                Some(byte) if is_space(*byte) => position += 1,
                // A comment counts as space only up to its newline.
                Some(b'-') if self.bytes.get(position + 1) == Some(&b'-') => {
                    while !matches!(self.bytes.get(position), None | Some(b'\n' | b'\r')) {
                        position += 1;
                    }
                }
                Some(b'\'') if newline => {
                    self.position = position;
                    return true;
                }
                _ => return false,
            }
        }
    }

    /// `'...'`, with or without escapes as the settings want it.
    pub(super) fn plain_string(&mut self, start: usize) -> Result<String, Error> {
        if self.options.standard_conforming_strings {
            return self.quoted(start);
        }
        self.warns_of_escape = true;
        self.escape_string(start)
    }

    /// Warns of the first escape in a string that was not announced as one with escapes.
    fn warn_of_escape(&mut self, start: usize, escaped: u8) {
        if !std::mem::take(&mut self.warns_of_escape) || !self.options.escape_string_warning {
            return;
        }
        let (what, hint) = match escaped {
            b'\'' => ("\\'", "Use '' to write quotes in strings, or use the escape string syntax (E'...')."),
            b'\\' => ("\\\\", "Use the escape string syntax for backslashes, e.g., E'\\\\'."),
            _ => ("escape", "Use the escape string syntax for escapes, e.g., E'\\r\\n'."),
        };
        let message = format!("nonstandard use of {what} in a string literal");
        let code = SqlState::NONSTANDARD_USE_OF_ESCAPE_CHARACTER;
        self.notices.push(Error::report(Severity::Warning, code, message).hint(hint).at(start));
    }

    /// A string without escapes but the doubled quote. Position stands at the opening quote.
    pub(super) fn quoted(&mut self, start: usize) -> Result<String, Error> {
        let mut value = String::new();
        loop {
            self.position += 1;
            let body = self.position;
            let Some(length) = self.bytes[body..].iter().position(|byte| *byte == b'\'') else {
                self.position = self.bytes.len();
                return Err(self.error(start, "unterminated quoted string"));
            };
            value.push_str(&self.text[body..body + length]);
            self.position = body + length + 1;
            if self.byte(0) == b'\'' {
                value.push('\'');
            } else if !self.continues() {
                return Ok(value);
            }
        }
    }

    /// `b'...'` and `x'...'`, with their letter in front.
    pub(super) fn bit_string(&mut self, start: usize, kind: char) -> Result<String, Error> {
        let name = if kind == 'b' { "bit" } else { "hexadecimal" };
        let mut value = String::from(kind);
        loop {
            self.position += 1;
            let body = self.position;
            let Some(length) = self.bytes[body..].iter().position(|byte| *byte == b'\'') else {
                self.position = self.bytes.len();
                return Err(self.error(start, &format!("unterminated {name} string literal")));
            };
            value.push_str(&self.text[body..body + length]);
            self.position = body + length + 1;
            if self.byte(0) == b'\'' {
                value.push('\'');
            } else if !self.continues() {
                return Ok(value);
            }
        }
    }

    /// `E'...'`, or what is read like it. Position stands at the opening quote.
    pub(super) fn escape_string(&mut self, start: usize) -> Result<String, Error> {
        let mut value = Vec::new();
        loop {
            self.position += 1;
            loop {
                let Some(&byte) = self.bytes.get(self.position) else {
                    return Err(self.error(start, "unterminated quoted string"));
                };
                match byte {
                    b'\'' if self.byte(1) == b'\'' => {
                        value.push(b'\'');
                        self.position += 2;
                    }
                    b'\'' => break,
                    b'\\' => self.escape(start, &mut value)?,
                    _ => {
                        value.push(byte);
                        self.position += 1;
                    }
                }
            }
            self.position += 1;
            if !self.continues() {
                break;
            }
        }
        String::from_utf8(value).map_err(|invalid| {
            let at = invalid.utf8_error().valid_up_to();
            let length = invalid.utf8_error().error_len().unwrap_or(invalid.as_bytes().len() - at);
            let shown = &invalid.as_bytes()
                [at..at + length.max(expected_length(invalid.as_bytes()[at], invalid.as_bytes().len() - at))];
            let bytes: Vec<String> = shown.iter().map(|byte| format!("0x{byte:02x}")).collect();
            invalid_bytes(&bytes.join(" "))
        })
    }

    /// One backslash escape. Position stands at the backslash.
    fn escape(&mut self, start: usize, value: &mut Vec<u8>) -> Result<(), Error> {
        let Some(&byte) = self.bytes.get(self.position + 1) else {
            self.position = self.bytes.len();
            return Err(self.error(start, "unterminated quoted string"));
        };
        if byte == b'\'' && !self.options.backslash_quote {
            let message = "unsafe use of \\' in a string literal";
            let hint = "Use '' to write quotes in strings. \\' is insecure in client-only encodings.";
            return Err(error!(NONSTANDARD_USE_OF_ESCAPE_CHARACTER, "{message}").hint(hint).at(start));
        }
        self.warn_of_escape(start, byte);
        match byte {
            b'u' | b'U' => return self.escape_code_point(start, value),
            b'0'..=b'7' => {
                let digits = self.bytes[self.position + 1..]
                    .iter()
                    .take(3)
                    .take_while(|digit| matches!(digit, b'0'..=b'7'));
                let (count, code) = digits
                    .fold((0, 0_u32), |(count, code), digit| (count + 1, code * 8 + u32::from(digit - b'0')));
                self.position += 1 + count;
                push_byte(value, code as u8)?;
                return Ok(());
            }
            b'x' if self.byte(2).is_ascii_hexdigit() => {
                let count = if self.byte(3).is_ascii_hexdigit() { 2 } else { 1 };
                let digits = &self.text[self.position + 2..self.position + 2 + count];
                self.position += 2 + count;
                push_byte(value, u8::from_str_radix(digits, 16).unwrap_or(0))?;
                return Ok(());
            }
            _ => {}
        }
        value.push(match byte {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            other => other,
        });
        self.position += 2;
        Ok(())
    }

    /// `\uXXXX` and `\UXXXXXXXX`, surrogate pairs included.
    fn escape_code_point(&mut self, start: usize, value: &mut Vec<u8>) -> Result<(), Error> {
        let at = self.position;
        let code = self.hex_escape(at)?;
        let code = match code {
            0xd800..=0xdbff => {
                let second_at = self.position;
                let second = match (self.byte(0), self.byte(1)) {
                    (b'\\', b'u' | b'U') => self.hex_escape(second_at)?,
                    _ => 0,
                };
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(self.error_at_near(start, second_at, "invalid Unicode surrogate pair"));
                }
                0x10000 + ((code & 0x3ff) << 10) + (second & 0x3ff)
            }
            0xdc00..=0xdfff => return Err(self.error_at_near(start, at, "invalid Unicode surrogate pair")),
            _ => code,
        };
        match char::from_u32(code).filter(|c| *c != '\0') {
            Some(character) => {
                value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                Ok(())
            }
            None => Err(self.error_at_near(start, at, "invalid Unicode escape value")),
        }
    }

    fn hex_escape(&mut self, at: usize) -> Result<u32, Error> {
        let count = if self.byte(1) == b'u' { 4 } else { 8 };
        let digits = self.text.get(at + 2..at + 2 + count);
        match digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            Some(digits) => {
                self.position = at + 2 + count;
                Ok(u32::from_str_radix(digits, 16).unwrap_or(u32::MAX))
            }
            None => Err(error!(INVALID_ESCAPE_SEQUENCE, "invalid Unicode escape").hint(ESCAPE_HINT).at(at)),
        }
    }

    /// A complaint that shows the token so far but points into it.
    fn error_at_near(&self, _start: usize, at: usize, message: &str) -> Error {
        super::scan_error(self.text, at, self.position.max(at + 1), message)
    }

    /// The raw text between double quotes, `""` made one quote. Position stands at the opening quote.
    fn between_double_quotes(&mut self, start: usize) -> Result<String, Error> {
        let mut value = String::new();
        loop {
            self.position += 1;
            let body = self.position;
            let Some(length) = self.bytes[body..].iter().position(|byte| *byte == b'"') else {
                self.position = self.bytes.len();
                return Err(self.error(start, "unterminated quoted identifier"));
            };
            value.push_str(&self.text[body..body + length]);
            self.position = body + length + 1;
            if self.byte(0) != b'"' {
                return Ok(value);
            }
            value.push('"');
        }
    }

    pub(super) fn delimited_identifier(&mut self, start: usize, unicode: bool) -> Result<Token, Error> {
        let name = self.between_double_quotes(start)?;
        if name.is_empty() {
            return Err(self.error(start, "zero-length delimited identifier"));
        }
        // A Unicode identifier is truncated only when its escapes are gone.
        let name = if unicode { name } else { self.truncate(name) };
        Ok(word(name, Some('"')))
    }

    /// `U&'...'` and `U&"..."`, with the UESCAPE that may follow.
    pub(super) fn unicode_token(&mut self, start: usize, lexemes: &mut Vec<Lexeme>) -> Result<(), Error> {
        self.position += 2;
        let identifier = self.byte(0) == b'"';
        let raw = if identifier {
            match self.delimited_identifier(start, true)? {
                Token::Word(word) => word.value,
                _ => String::new(),
            }
        } else if self.options.standard_conforming_strings {
            self.quoted(start)?
        } else {
            return Err(error!(
                FEATURE_NOT_SUPPORTED,
                "unsafe use of string constant with Unicode escapes"
            )
            .detail(
                "String constants with Unicode escapes cannot be used when \"standard_conforming_strings\" is off.",
            )
            .at(start));
        };
        let mut end = self.position;
        let mut escape = '\\';
        if self.at_uescape() {
            let mut operand = Vec::new();
            let found = self.next(&mut operand)?;
            let (value, at, until) = match operand.pop() {
                Some(Lexeme { token: Token::SingleQuotedString(value), start, end, .. }) if found => {
                    (value, start as usize, end as usize)
                }
                other => {
                    let (at, until) = other.map_or((self.text.len(), self.text.len()), |lexeme| {
                        (lexeme.start as usize, lexeme.end as usize)
                    });
                    let message = "UESCAPE must be followed by a simple string literal";
                    return Err(super::scan_error(self.text, at, until, message));
                }
            };
            let mut characters = value.chars();
            escape = match (characters.next(), characters.next()) {
                (Some(character), None)
                    if character.is_ascii()
                        && !character.is_ascii_hexdigit()
                        && !matches!(character, '+' | '\'' | '"')
                        && !is_space(character as u8) =>
                {
                    character
                }
                _ => {
                    let message = "invalid Unicode escape character";
                    return Err(super::scan_error(self.text, at, until, message));
                }
            };
            end = self.position;
        } else {
            self.position = end;
        }
        // The escapes start behind U& and the quote.
        let value = decode_unicode(&raw, escape, start + 3)?;
        let token =
            if identifier { word(self.truncate(value), Some('"')) } else { Token::SingleQuotedString(value) };
        lexemes.push(Lexeme { token, keyword: None, start: start as u32, end: end as u32 });
        Ok(())
    }
}

impl Lexer<'_> {
    /// Goes past the keyword UESCAPE, if it comes next; otherwise the position is of no more use.
    fn at_uescape(&mut self) -> bool {
        // An unterminated comment is met again when lexing gets there.
        let found = self.skip_space().is_ok()
            && self.bytes[self.position..].get(..7).is_some_and(|word| word.eq_ignore_ascii_case(b"uescape"))
            && !self.bytes.get(self.position + 7).is_some_and(|byte| super::is_identifier_part(*byte));
        self.position += if found { 7 } else { 0 };
        found
    }
}

/// Replaces `\XXXX` and `\+XXXXXX`; `offset` is where the text stands, for errors.
fn decode_unicode(raw: &str, escape: char, offset: usize) -> Result<String, Error> {
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    let mut high: Option<u32> = None;
    let at = |rest: &str| offset + raw.len() - rest.len();
    while let Some(character) = rest.chars().next() {
        if character != escape {
            if high.is_some() {
                return Err(error!(SYNTAX_ERROR, "invalid Unicode surrogate pair").at(at(rest)));
            }
            value.push(character);
            rest = &rest[character.len_utf8()..];
            continue;
        }
        let after = &rest[1..];
        if after.starts_with(escape) {
            if high.is_some() {
                return Err(error!(SYNTAX_ERROR, "invalid Unicode surrogate pair").at(at(rest)));
            }
            value.push(escape);
            rest = &after[1..];
            continue;
        }
        let (skip, count) = if after.starts_with('+') { (1, 6) } else { (0, 4) };
        let digits = after.get(skip..skip + count);
        let Some(digits) = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) else {
            return Err(error!(SYNTAX_ERROR, "invalid Unicode escape").hint(UNICODE_HINT).at(at(rest)));
        };
        let mut code = u32::from_str_radix(digits, 16).unwrap_or(u32::MAX);
        if code == 0 || code > 0x10ffff {
            return Err(error!(SYNTAX_ERROR, "invalid Unicode escape value").at(at(rest)));
        }
        match (high.take(), code) {
            (Some(first), 0xdc00..=0xdfff) => code = 0x10000 + ((first & 0x3ff) << 10) + (code & 0x3ff),
            (None, 0xd800..=0xdbff) => high = Some(code),
            (Some(_), _) | (None, 0xdc00..=0xdfff) => {
                return Err(error!(SYNTAX_ERROR, "invalid Unicode surrogate pair").at(at(rest)));
            }
            _ => {}
        }
        rest = &after[skip + count..];
        if high.is_none() {
            value.extend(char::from_u32(code));
        }
    }
    if high.is_some() {
        return Err(error!(SYNTAX_ERROR, "invalid Unicode surrogate pair").at(at(rest)));
    }
    Ok(value)
}

fn push_byte(value: &mut Vec<u8>, byte: u8) -> Result<(), Error> {
    if byte == 0 {
        return Err(invalid_bytes("0x00"));
    }
    value.push(byte);
    Ok(())
}

fn invalid_bytes(bytes: &str) -> Error {
    error!(CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"UTF8\": {bytes}")
}

/// How many bytes a UTF-8 character with this lead byte has, at most what is there.
fn expected_length(lead: u8, available: usize) -> usize {
    let length = match lead {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    };
    length.min(available)
}
