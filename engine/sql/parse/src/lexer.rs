//! The lexer: PostgreSQL's scan.l over a whole query string.
//!
//! Yields sqlparser's [`Token`] with the byte range it stands on and PostgreSQL's own [`Keyword`]. Rules, in
//! PostgreSQL's words: identifiers are folded to lower case (ASCII only) and truncated to 63 bytes; operators are the longest run of
//! operator characters that does not contain a comment and does not end in `+` or `-` unless it also has a character
//! no SQL operator has; adjacent strings join over a newline; junk behind a number is an error.
//!
//! Tokens map so: words to `Word` (with the value left empty for keywords), strings of every form to
//! `SingleQuotedString`, `b''` to `SingleQuotedByteStringLiteral`, `x''` to `HexStringLiteral` (both with their leading
//! letter, as PostgreSQL's constants have it), numbers to `Number` (flagged when they fit an int4), `$n` to `Placeholder`, every
//! operator the grammar knows no rule for to `CustomBinaryOperator`.
//!
//! An error does not stop lexing's caller at once: PostgreSQL meets it only when the grammar gets there, so a syntax
//! error before it wins. It is kept, and the token stream ends where it stands.

mod string;

use kokkiri_primitives::{Error, SqlState, error};
use sqlparser::keywords::Keyword as SqlKeyword;
use sqlparser::tokenizer::{Token, Word};

use crate::keyword::Keyword;

/// Longest identifier, bytes: PostgreSQL's NAMEDATALEN - 1.
pub const IDENTIFIER_MAX: usize = 63;

/// A token and where it stands.
#[derive(Clone, Debug)]
pub struct Lexeme {
    pub token: Token,
    pub keyword: Option<Keyword>,
    pub start: u32,
    pub end: u32,
}

/// All tokens of a text; the last is `EOF`.
pub struct Lexed {
    pub lexemes: Vec<Lexeme>,
    /// Why lexing stopped before the end of the text, if it did.
    pub error: Option<Error>,
    /// Notices about truncated identifiers.
    pub notices: Vec<Error>,
}

/// The settings that string literals are read by.
#[derive(Clone, Copy, Debug)]
pub struct ScanOptions {
    /// Backslashes in ordinary strings are just that.
    pub standard_conforming_strings: bool,
    /// Warn of those that are not.
    pub escape_string_warning: bool,
    /// `\'` may stand for a quote.
    pub backslash_quote: bool,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self { standard_conforming_strings: true, escape_string_warning: true, backslash_quote: true }
    }
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    position: usize,
    options: ScanOptions,
    /// The string being read was not announced as one with escapes, and has had none so far.
    warns_of_escape: bool,
    notices: Vec<Error>,
}

pub fn lex(text: &str, options: ScanOptions) -> Lexed {
    let bytes = text.as_bytes();
    let mut lexer = Lexer { text, bytes, position: 0, options, warns_of_escape: false, notices: Vec::new() };
    let mut lexemes = Vec::with_capacity(text.len() / 4 + 4);
    let error = loop {
        match lexer.next(&mut lexemes) {
            Ok(true) => {}
            Ok(false) => break None,
            Err(error) => break Some(error),
        }
    };
    let end = text.len() as u32;
    lexemes.push(Lexeme { token: Token::EOF, keyword: None, start: end, end });
    Lexed { lexemes, error, notices: lexer.notices }
}

/// A scanner's complaint about the text from `start` to `end`: PostgreSQL's `scanner_yyerror`.
pub(crate) fn scan_error(text: &str, start: usize, end: usize, message: &str) -> Error {
    let error = if start >= text.len() {
        error!(SYNTAX_ERROR, "{message} at end of input")
    } else {
        let mut end = end.min(text.len());
        while !text.is_char_boundary(end) {
            end += 1;
        }
        error!(SYNTAX_ERROR, "{message} at or near \"{}\"", &text[start..end])
    };
    error.at(start)
}

fn is_identifier_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_identifier_part(byte: u8) -> bool {
    is_identifier_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'~' | b'!'
            | b'@'
            | b'#'
            | b'^'
            | b'&'
            | b'|'
            | b'`'
            | b'?'
            | b'+'
            | b'-'
            | b'*'
            | b'/'
            | b'%'
            | b'<'
            | b'>'
            | b'='
    )
}

impl<'a> Lexer<'a> {
    fn byte(&self, offset: usize) -> u8 {
        self.bytes.get(self.position + offset).copied().unwrap_or(0)
    }

    fn error(&self, start: usize, message: &str) -> Error {
        scan_error(self.text, start, self.position, message)
    }

    /// Appends the next token; `false` at the end of the text.
    fn next(&mut self, lexemes: &mut Vec<Lexeme>) -> Result<bool, Error> {
        self.skip_space()?;
        let start = self.position;
        let Some(&byte) = self.bytes.get(start) else { return Ok(false) };
        let mut keyword = None;
        let token = match byte {
            b'\'' => Token::SingleQuotedString(self.plain_string(start)?),
            b'"' => self.delimited_identifier(start, false)?,
            b'e' | b'E' if self.byte(1) == b'\'' => {
                self.position += 1;
                self.warns_of_escape = false;
                Token::SingleQuotedString(self.escape_string(start)?)
            }
            b'b' | b'B' if self.byte(1) == b'\'' => {
                self.position += 1;
                Token::SingleQuotedByteStringLiteral(self.bit_string(start, 'b')?)
            }
            b'x' | b'X' if self.byte(1) == b'\'' => {
                self.position += 1;
                Token::HexStringLiteral(self.bit_string(start, 'x')?)
            }
            b'n' | b'N' if self.byte(1) == b'\'' => {
                // N'...' is the keyword NCHAR followed by an ordinary string.
                self.position += 1;
                keyword = Some(Keyword::Nchar);
                word(String::new(), None)
            }
            b'u' | b'U' if self.byte(1) == b'&' && matches!(self.byte(2), b'\'' | b'"') => {
                return self.unicode_token(start, lexemes).map(|()| true);
            }
            _ if is_identifier_start(byte) => {
                let (token, found) = self.identifier();
                keyword = found;
                token
            }
            b'0'..=b'9' => self.number(start)?,
            b'.' if self.byte(1).is_ascii_digit() => self.number(start)?,
            b'$' if self.byte(1).is_ascii_digit() => self.parameter(start)?,
            b'$' => self.dollar(start)?,
            _ => self.symbol(start, byte)?,
        };
        lexemes.push(Lexeme { token, keyword, start: start as u32, end: self.position as u32 });
        Ok(true)
    }

    /// Skips white space and comments.
    fn skip_space(&mut self) -> Result<(), Error> {
        loop {
            match self.byte(0) {
                byte if is_space(byte) => self.position += 1,
                b'-' if self.byte(1) == b'-' => self.skip_line(),
                b'/' if self.byte(1) == b'*' => self.skip_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn skip_line(&mut self) {
        while !matches!(self.bytes.get(self.position), None | Some(b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn skip_comment(&mut self) -> Result<(), Error> {
        let start = self.position;
        let mut depth = 0_usize;
        loop {
            if self.position >= self.bytes.len() {
                return Err(self.error(start, "unterminated /* comment"));
            }
            match (self.byte(0), self.byte(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.position += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.position += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ => self.position += 1,
            }
        }
    }

    fn identifier(&mut self) -> (Token, Option<Keyword>) {
        let start = self.position;
        while self.bytes.get(self.position).is_some_and(|byte| is_identifier_part(*byte)) {
            self.position += 1;
        }
        let raw = &self.bytes[start..self.position];
        let mut folded = [0; 20];
        if raw.len() <= folded.len() {
            let folded = &mut folded[..raw.len()];
            folded.copy_from_slice(raw);
            folded.make_ascii_lowercase();
            if let Some(keyword) = Keyword::lookup(folded) {
                return (word(String::new(), None), Some(keyword));
            }
        }
        let mut name = self.text[start..self.position].to_owned();
        name.make_ascii_lowercase();
        (word(self.truncate(name), None), None)
    }

    /// Cuts an identifier to its longest form, with PostgreSQL's notice.
    fn truncate(&mut self, mut name: String) -> String {
        if name.len() > IDENTIFIER_MAX {
            let mut end = IDENTIFIER_MAX;
            while !name.is_char_boundary(end) {
                end -= 1;
            }
            let mut notice =
                Error::notice(format!("identifier \"{name}\" will be truncated to \"{}\"", &name[..end]));
            notice.fields_mut().sqlstate = SqlState::NAME_TOO_LONG;
            self.notices.push(notice);
            name.truncate(end);
        }
        name
    }

    /// Position stands at the first digit, or at a dot before one.
    fn number(&mut self, start: usize) -> Result<Token, Error> {
        if self.byte(0) == b'0' {
            let (radix, name): (u32, _) = match self.byte(1) {
                b'x' | b'X' => (16, "hexadecimal"),
                b'o' | b'O' => (8, "octal"),
                b'b' | b'B' => (2, "binary"),
                _ => return self.decimal(start),
            };
            self.position += 2;
            let digits = self.digits(|byte| char::from(byte).is_digit(radix), true);
            if digits {
                // A digit that the radix has not is no part of the number, but no next token either.
                if self.byte(0).is_ascii_digit() {
                    return Err(self.junk(start));
                }
                return self.without_junk(start, true);
            }
            // "0x" alone, or the decimal 0 followed by an identifier: the longer match wins, at equal
            // length the complaint about the radix.
            let plain_end = if self.byte(0) == b'_' { self.position + 1 } else { self.position };
            let mut end = start + 1;
            while self.bytes.get(end).is_some_and(|byte| is_identifier_part(*byte)) {
                end += 1;
            }
            self.position = end.max(plain_end);
            let message = if end > plain_end {
                "trailing junk after numeric literal".to_owned()
            } else {
                format!("invalid {name} integer")
            };
            return Err(self.error(start, &message));
        }
        self.decimal(start)
    }

    /// Consumes digits with single underscores between them; with `leading`, also before the first.
    fn digits(&mut self, accept: impl Fn(u8) -> bool, leading: bool) -> bool {
        let begin = self.position;
        loop {
            if accept(self.byte(0)) {
                self.position += 1;
            } else if self.byte(0) == b'_' && accept(self.byte(1)) && (leading || self.position > begin) {
                self.position += 2;
            } else {
                return self.position > begin;
            }
        }
    }

    fn decimal(&mut self, start: usize) -> Result<Token, Error> {
        let digit = |byte: u8| byte.is_ascii_digit();
        let mut integer = true;
        self.digits(digit, false);
        // "1..10" is 1, dot dot, 10.
        if self.byte(0) == b'.' && !(self.byte(1) == b'.' && self.position > start) {
            integer = false;
            self.position += 1;
            self.digits(digit, false);
        }
        if matches!(self.byte(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(1), b'+' | b'-'));
            if self.byte(1 + sign).is_ascii_digit() {
                integer = false;
                self.position += 1 + sign;
                self.digits(digit, false);
            } else if sign == 1 {
                self.position += 2;
                return Err(self.error(start, "trailing junk after numeric literal"));
            }
        }
        self.without_junk(start, integer)
    }

    fn without_junk(&mut self, start: usize, integer: bool) -> Result<Token, Error> {
        if self.bytes.get(self.position).is_some_and(|byte| is_identifier_start(*byte)) {
            return Err(self.junk(start));
        }
        let text = &self.text[start..self.position];
        if !integer {
            return Ok(Token::Number(text.to_owned(), false));
        }
        Ok(match integer_literal(text) {
            Some(value) => Token::Number(value.to_string(), true),
            None => Token::Number(text.to_owned(), false),
        })
    }

    /// What follows the number up to the next token is no part of it.
    fn junk(&mut self, start: usize) -> Error {
        while self.bytes.get(self.position).is_some_and(|byte| is_identifier_part(*byte)) {
            self.position += 1;
        }
        self.error(start, "trailing junk after numeric literal")
    }

    fn parameter(&mut self, start: usize) -> Result<Token, Error> {
        self.position += 1;
        while self.byte(0).is_ascii_digit() {
            self.position += 1;
        }
        if self.bytes.get(self.position).is_some_and(|byte| is_identifier_start(*byte)) {
            while self.bytes.get(self.position).is_some_and(|byte| is_identifier_part(*byte)) {
                self.position += 1;
            }
            return Err(self.error(start, "trailing junk after parameter"));
        }
        let digits = &self.text[start + 1..self.position];
        if digits.parse::<i32>().is_err() {
            return Err(self.error(start, "parameter number too large"));
        }
        Ok(Token::Placeholder(digits.to_owned()))
    }

    /// A dollar-quoted string, or a lone `$`.
    fn dollar(&mut self, start: usize) -> Result<Token, Error> {
        let mut end = start + 1;
        if self.bytes.get(end).is_some_and(|byte| is_identifier_start(*byte)) {
            while self.bytes.get(end).is_some_and(|byte| is_identifier_part(*byte) && *byte != b'$') {
                end += 1;
            }
        }
        if self.bytes.get(end) != Some(&b'$') {
            self.position = start + 1;
            return Ok(Token::Char('$'));
        }
        let delimiter = &self.text[start..=end];
        let body = end + 1;
        match self.text[body..].find(delimiter) {
            Some(length) => {
                self.position = body + length + delimiter.len();
                Ok(Token::SingleQuotedString(self.text[body..body + length].to_owned()))
            }
            None => {
                self.position = self.bytes.len();
                Err(self.error(start, "unterminated dollar-quoted string"))
            }
        }
    }

    fn symbol(&mut self, start: usize, byte: u8) -> Result<Token, Error> {
        let (token, length) = match (byte, self.byte(1)) {
            (b':', b':') => (Token::DoubleColon, 2),
            (b':', b'=') => (Token::Assignment, 2),
            (b'.', b'.') => (Token::CustomBinaryOperator("..".to_owned()), 2),
            (b',', _) => (Token::Comma, 1),
            (b'(', _) => (Token::LParen, 1),
            (b')', _) => (Token::RParen, 1),
            (b'[', _) => (Token::LBracket, 1),
            (b']', _) => (Token::RBracket, 1),
            (b'.', _) => (Token::Period, 1),
            (b';', _) => (Token::SemiColon, 1),
            (b':', _) => (Token::Colon, 1),
            _ if is_operator(byte) => return self.operator(start),
            _ => {
                let character = self.text[start..].chars().next().unwrap_or('\u{fffd}');
                (Token::Char(character), character.len_utf8())
            }
        };
        self.position += length;
        Ok(token)
    }

    fn operator(&mut self, start: usize) -> Result<Token, Error> {
        let mut length = self.bytes[start..].iter().take_while(|byte| is_operator(**byte)).count();
        let run = &self.bytes[start..start + length];
        if let Some(comment) = run.windows(2).position(|pair| pair == b"/*" || pair == b"--") {
            length = comment;
        }
        // SQL's own operators never end in + or -, so that "a=-1" is an equality.
        let run = &run[..length];
        let special =
            |byte: &u8| matches!(byte, b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%');
        while length > 1 && matches!(run[length - 1], b'+' | b'-') && !run[..length - 1].iter().any(special) {
            length -= 1;
        }
        self.position = start + length;
        if length > IDENTIFIER_MAX {
            return Err(self.error(start, "operator too long"));
        }
        Ok(match &self.bytes[start..start + length] {
            b"+" => Token::Plus,
            b"-" => Token::Minus,
            b"*" => Token::Mul,
            b"/" => Token::Div,
            b"%" => Token::Mod,
            b"^" => Token::Caret,
            b"<" => Token::Lt,
            b">" => Token::Gt,
            b"=" => Token::Eq,
            b"=>" => Token::RArrow,
            b"<=" => Token::LtEq,
            b">=" => Token::GtEq,
            b"<>" | b"!=" => Token::Neq,
            _ => Token::CustomBinaryOperator(self.text[start..start + length].to_owned()),
        })
    }
}

/// A word token; sqlparser's keyword is not used.
pub(crate) fn word(value: String, quote_style: Option<char>) -> Token {
    Token::Word(Word { value, quote_style, keyword: SqlKeyword::NoKeyword })
}

/// The value of an integer literal in any radix, if it fits an int4.
fn integer_literal(text: &str) -> Option<i32> {
    if text.len() < 10 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let prefix = plain.get(..2).map(str::to_ascii_lowercase);
    let (digits, radix) = match prefix.as_deref() {
        Some("0x") => (&plain[2..], 16),
        Some("0o") => (&plain[2..], 8),
        Some("0b") => (&plain[2..], 2),
        _ => (plain.as_str(), 10),
    };
    i32::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests;
