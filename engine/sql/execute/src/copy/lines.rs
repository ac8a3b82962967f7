//! Lines out of a stream of bytes that comes in pieces of any size.
//!
//! Realises: `CopyReadLineText`. The first line's end says how lines end; another kind of end later is an
//! error, as it may be data that was not escaped. In text format a backslash hides the byte behind it and
//! `\.` alone on a line ends the data; in CSV a line goes on while a quote is open.
//!
//! The bytes must be text. What is not is met as late as a reader of lines meets it, behind the whole lines
//! before it, but no later: the rest of its line need not have come.

use std::ops::Range;

use kokkiri_primitives::{Error, Result, error};
use kokkiri_types::text::check_encoding;

use super::format::{CopyFormat, Kind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineEnd {
    Unknown,
    Newline,
    Return,
    Both,
}

/// Splits a stream into lines.
#[derive(Debug)]
pub struct LineReader {
    csv: bool,
    quote: u8,
    escape: u8,
    buffer: Vec<u8>,
    /// Start of the line that is being looked for, and how far it has been looked at.
    start: usize,
    scanned: usize,
    /// How much of the buffer is known to be text: no byte behind it is looked at.
    valid: usize,
    in_quote: bool,
    after_escape: bool,
    end: LineEnd,
    /// The end marker has come: what follows is ignored.
    ended: bool,
    /// Line ends inside quotes of the line that was read last.
    inner_lines: u64,
}

/// What [`LineReader::next`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A line without its end, in [`LineReader::line`].
    Line(Range<usize>),
    /// More bytes are needed.
    More,
    /// The data is over.
    End,
}

impl LineReader {
    pub fn new(format: &CopyFormat) -> Self {
        Self {
            csv: format.kind == Kind::Csv,
            quote: format.quote,
            // A quote that hides quotes ends and begins quoting again.
            escape: if format.escape == format.quote { 0 } else { format.escape },
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            valid: 0,
            in_quote: false,
            after_escape: false,
            end: LineEnd::Unknown,
            ended: false,
            inner_lines: 0,
        }
    }

    /// Adds a piece of the stream.
    pub fn feed(&mut self, piece: &[u8]) {
        if self.ended {
            return;
        }
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.valid -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(piece);
        let unknown = &self.buffer[self.valid..];
        let text = std::str::from_utf8(unknown).map_or_else(|error| error.valid_up_to(), str::len);
        self.valid += unknown[..text].iter().position(|byte| *byte == 0).unwrap_or(text);
    }

    /// # Errors
    /// 22021 if what stands behind the valid bytes can't become text, or is the last.
    fn check_rest(&self, last: bool) -> Result<()> {
        let rest = &self.buffer[self.valid..];
        let goes_on = std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none());
        if goes_on && !last { Ok(()) } else { check_encoding(rest).map(|_| ()) }
    }

    pub fn line(&self, range: &Range<usize>) -> &[u8] {
        &self.buffer[range.clone()]
    }

    /// True if a quote was still open where the last line ended.
    pub fn is_unterminated(&self) -> bool {
        self.in_quote
    }

    /// How many line ends the last line had inside quotes.
    pub fn take_inner_lines(&mut self) -> u64 {
        std::mem::take(&mut self.inner_lines)
    }

    /// The next line. `last` says that no more bytes will come.
    ///
    /// # Errors
    /// 22P04 for an end of line or of data where none may be, 22021 for bytes that are no text.
    pub fn next(&mut self, last: bool) -> Result<Found> {
        if self.ended {
            return Ok(Found::End);
        }
        let found = self.scan(last)?;
        if found == Found::More {
            self.check_rest(last)?;
        }
        Ok(found)
    }

    /// As [`Self::next`], among the bytes known to be text.
    fn scan(&mut self, last: bool) -> Result<Found> {
        let last = last && self.valid == self.buffer.len();
        while self.scanned < self.valid {
            let at = self.scanned;
            let byte = self.buffer[at];
            if self.csv {
                self.follow_quotes(byte);
            }
            match byte {
                b'\r' if !self.csv || !self.in_quote => match self.carriage_return(at, last)? {
                    Some(length) => return Ok(self.finish(at, length)),
                    None => return Ok(Found::More),
                },
                b'\n' if !self.csv || !self.in_quote => {
                    if matches!(self.end, LineEnd::Return | LineEnd::Both) {
                        return Err(self.stray("newline", "\\n"));
                    }
                    self.end = LineEnd::Newline;
                    return Ok(self.finish(at, 1));
                }
                b'\\' if !self.csv => match self.known(at + 1) {
                    Some(b'.') => {
                        if !self.end_marker(at, last)? {
                            return Ok(Found::More);
                        }
                        self.ended = true;
                        self.buffer = Vec::new();
                        self.valid = 0;
                        return Ok(Found::End);
                    }
                    Some(_) => self.scanned += 2,
                    None if last => self.scanned += 1,
                    None => return Ok(Found::More),
                },
                _ => self.scanned += 1,
            }
        }
        if !last {
            return Ok(Found::More);
        }
        let rest = self.start..self.buffer.len();
        self.start = self.buffer.len();
        Ok(if rest.is_empty() { Found::End } else { Found::Line(rest) })
    }

    /// An escape inside quotes counts only directly before a quote, and not if it is escaped itself.
    fn follow_quotes(&mut self, byte: u8) {
        if self.in_quote && byte == self.escape {
            self.after_escape = !self.after_escape;
        }
        if byte == self.quote && !self.after_escape {
            self.in_quote = !self.in_quote;
        }
        if byte != self.escape {
            self.after_escape = false;
        }
        let line_end = if self.end == LineEnd::Newline { b'\n' } else { b'\r' };
        if self.in_quote && byte == line_end {
            self.inner_lines += 1;
        }
    }

    /// Length of the line end that begins with the carriage return at `at`; `None` if that can't be told yet.
    fn carriage_return(&mut self, at: usize, last: bool) -> Result<Option<usize>> {
        if self.end == LineEnd::Newline {
            return Err(self.stray("carriage return", "\\r"));
        }
        if self.end == LineEnd::Return {
            return Ok(Some(1));
        }
        match self.known(at + 1) {
            None if !last => Ok(None),
            Some(b'\n') => {
                self.end = LineEnd::Both;
                Ok(Some(2))
            }
            _ if self.end == LineEnd::Both => Err(self.stray("carriage return", "\\r")),
            _ => {
                self.end = LineEnd::Return;
                Ok(Some(1))
            }
        }
    }

    /// The byte at a place, if it is known to be text.
    fn known(&self, at: usize) -> Option<u8> {
        self.buffer[..self.valid].get(at).copied()
    }

    fn finish(&mut self, at: usize, length: usize) -> Found {
        let line = self.start..at;
        self.start = at + length;
        self.scanned = self.start;
        Found::Line(line)
    }

    /// Judges the `\.` at `at`; false if more bytes are needed for that.
    fn end_marker(&self, at: usize, last: bool) -> Result<bool> {
        let alone = || error!(BAD_COPY_FILE_FORMAT, "end-of-copy marker is not alone on its line");
        let style =
            || error!(BAD_COPY_FILE_FORMAT, "end-of-copy marker does not match previous newline style");
        let mut rest = self.buffer[at + 2..self.valid].iter();
        let mut next = || match rest.next() {
            Some(byte) => Ok(Some(*byte)),
            None if last => Ok(None),
            None => Err(()),
        };
        if self.end == LineEnd::Both {
            match next() {
                Ok(Some(b'\n')) => return Err(style()),
                Ok(Some(b'\r') | None) => {}
                Ok(Some(_)) => return Err(alone()),
                Err(()) => return Ok(false),
            }
        }
        match next() {
            Ok(Some(byte @ (b'\r' | b'\n'))) => {
                let fits = match self.end {
                    LineEnd::Newline | LineEnd::Both => byte == b'\n',
                    LineEnd::Return => byte == b'\r',
                    LineEnd::Unknown => true,
                };
                if !fits {
                    return Err(style());
                }
            }
            Ok(Some(_)) => return Err(alone()),
            Ok(None) => {}
            Err(()) => return Ok(false),
        }
        if at > self.start { Err(alone()) } else { Ok(true) }
    }

    fn stray(&self, what: &str, escape: &str) -> Error {
        match self.csv {
            true => error!(BAD_COPY_FILE_FORMAT, "unquoted {what} found in data")
                .hint(format!("Use quoted CSV field to represent {what}.")),
            false => error!(BAD_COPY_FILE_FORMAT, "literal {what} found in data")
                .hint(format!("Use \"{escape}\" to represent {what}.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(kind: Kind, pieces: &[&str]) -> Result<Vec<String>> {
        let mut reader = LineReader::new(&CopyFormat::new(kind));
        let mut lines = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            reader.feed(piece.as_bytes());
            while let Found::Line(range) = reader.next(number + 1 == pieces.len())? {
                lines.push(String::from_utf8_lossy(reader.line(&range)).into_owned());
            }
        }
        Ok(lines)
    }

    #[test]
    fn lines_do_not_depend_on_where_pieces_end() {
        let text = "a\\\nb\n\"q\n\\.\nignored";
        let whole = lines(Kind::Text, &[text]).expect("whole");
        assert_eq!(whole, ["a\\\nb", "\"q"]);
        for at in 0..text.len() {
            let (before, after) = text.split_at(at);
            assert_eq!(lines(Kind::Text, &[before, after]).expect("in two pieces"), whole, "cut at {at}");
        }
    }

    #[test]
    fn what_is_no_text_is_met_behind_the_lines_before_it() {
        let mut reader = LineReader::new(&CopyFormat::new(Kind::Text));
        reader.feed(b"a\nb\xe2\x82");
        assert_eq!(reader.next(false).expect("a line"), Found::Line(0..1));
        assert_eq!(reader.next(false).expect("the rest may come"), Found::More);
        reader.feed(b"\xac");
        assert_eq!(reader.next(false).expect("it has"), Found::More);
        reader.feed(b"\nc\xff");
        assert!(matches!(reader.next(false), Ok(Found::Line(_))));
        let error = reader.next(false).expect_err("no text, before its line has ended");
        assert_eq!(error.message(), "invalid byte sequence for encoding \"UTF8\": 0xff");
        for bad in [b"a\xe2\x82".as_slice(), b"a\0b", b"\\\xff", b"\r\xff"] {
            let mut reader = LineReader::new(&CopyFormat::new(Kind::Text));
            reader.feed(bad);
            assert_eq!(reader.next(true).expect_err("no text").sqlstate().to_string(), "22021", "{bad:?}");
        }
    }

    #[test]
    fn quotes_hide_line_ends_in_csv() {
        assert_eq!(
            lines(Kind::Csv, &["a,\"b\nc\"\n", "\\.\n\"", "\"\"\n\"\n"]).expect("csv"),
            ["a,\"b\nc\"", "\\.", "\"\"\"\n\""]
        );
    }

    #[test]
    fn line_ends_of_two_kinds_are_refused() {
        for text in ["a\nb\r\n", "a\r\nb\n", "a\rb\n", "a\r\nb\rc"] {
            assert!(lines(Kind::Text, &[text]).is_err(), "{text:?}");
        }
        for text in ["a\\.\n", "\\.x\n", "a\n\\.\r\n", "a\r\n\\.\n"] {
            assert!(lines(Kind::Text, &[text]).is_err(), "{text:?}");
        }
    }
}
