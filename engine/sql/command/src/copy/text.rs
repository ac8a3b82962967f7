//! The text format: lines of fields with backslash escapes.
//!
//! ```text
//!   \b \f \n \r \t \v   control characters      \123 \x1F   a byte, octal or hex
//!   \. alone            end of data             \ and any other character: that character
//! ```

use kokkiri_primitives::{Result, error};

/// How lines end; the first line decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineEnd {
    Newline,
    CarriageReturn,
    Both,
}

/// Cuts a stream of chunks into lines.
#[derive(Debug, Default)]
pub struct Lines {
    pending: Vec<u8>,
    /// Bytes of `pending` before this have been given out.
    start: usize,
    /// Bytes of `pending` before this hold no end of the line that begins at `start`.
    searched: usize,
    line_end: Option<LineEnd>,
    pub number: u64,
    ended: bool,
}

/// What [`Lines::next`] found.
pub enum NextLine {
    /// The line stands at these places of [`Lines::bytes`].
    Line(std::ops::Range<usize>),
    /// More bytes are needed.
    Incomplete,
    /// No more lines.
    End,
}

impl Lines {
    pub fn push(&mut self, chunk: &[u8]) {
        if self.start > 0 {
            self.pending.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.pending.extend_from_slice(chunk);
    }

    pub fn bytes(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.pending[range]
    }

    /// The next line; `at_end` if no more bytes will come.
    ///
    /// # Errors
    /// 22P04 for line ends that differ from the first one, or an end marker that is not alone.
    pub fn next(&mut self, at_end: bool) -> Result<NextLine> {
        if self.ended {
            return Ok(NextLine::End);
        }
        let mut at = self.searched.max(self.start);
        while let Some(byte) = self.pending.get(at).copied() {
            match byte {
                b'\\' => {
                    // Whatever follows is data, were it a newline.
                    if at + 1 >= self.pending.len() {
                        break;
                    }
                    at += 2;
                }
                b'\n' => {
                    match self.line_end {
                        None => self.line_end = Some(LineEnd::Newline),
                        Some(LineEnd::Newline) => {}
                        Some(_) => {
                            return Err(error!(BAD_COPY_FILE_FORMAT, "literal newline found in data")
                                .hint("Use \"\\n\" to represent newline."));
                        }
                    }
                    return self.line(at, at + 1);
                }
                b'\r' => {
                    let follows = self.pending.get(at + 1).copied();
                    if follows.is_none() && !at_end {
                        break;
                    }
                    let both = follows == Some(b'\n');
                    let line_end = if both { LineEnd::Both } else { LineEnd::CarriageReturn };
                    match self.line_end {
                        None => self.line_end = Some(line_end),
                        Some(known) if known == line_end => {}
                        Some(_) => {
                            return Err(error!(
                                BAD_COPY_FILE_FORMAT,
                                "literal carriage return found in data"
                            )
                            .hint("Use \"\\r\" to represent carriage return."));
                        }
                    }
                    return self.line(at, at + 1 + usize::from(both));
                }
                _ => at += 1,
            }
        }
        self.searched = at;
        if !at_end {
            return Ok(NextLine::Incomplete);
        }
        self.ended = true;
        if self.start == self.pending.len() {
            return Ok(NextLine::End);
        }
        let end = self.pending.len();
        self.line(end, end)
    }

    /// The line up to `end`; the next one begins at `next`.
    fn line(&mut self, end: usize, next: usize) -> Result<NextLine> {
        let range = self.start..end;
        (self.start, self.searched) = (next, next);
        if &self.pending[range.clone()] == b"\\." {
            self.ended = true;
            return Ok(NextLine::End);
        }
        self.number += 1;
        if self.pending[range.clone()].ends_with(b"\\.") && !self.pending[range.clone()].ends_with(b"\\\\.") {
            return Err(error!(BAD_COPY_FILE_FORMAT, "end-of-copy marker is not alone on its line"));
        }
        Ok(NextLine::Line(range))
    }
}

/// Splits a line into fields, unescaped; `None` where a field is the null mark.
pub fn fields(line: &[u8], delimiter: u8, null: &[u8], fields: &mut Vec<Option<Vec<u8>>>) {
    fields.clear();
    let mut rest = line;
    loop {
        let mut end = 0;
        let mut escaped = false;
        while let Some(byte) = rest.get(end) {
            match *byte {
                b'\\' => {
                    escaped = true;
                    end += 2;
                }
                byte if byte == delimiter => break,
                _ => end += 1,
            }
        }
        let end = end.min(rest.len());
        let field = &rest[..end];
        fields.push(match field {
            field if field == null => None,
            field if escaped => Some(unescape(field)),
            field => Some(field.to_vec()),
        });
        match rest.get(end) {
            Some(_) => rest = &rest[end + 1..],
            None => return,
        }
    }
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let Some(escape) = rest.next() else {
            bytes.push(b'\\');
            break;
        };
        bytes.push(match escape {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'0'..=b'7' => {
                let mut value = u32::from(escape - b'0');
                for _ in 0..2 {
                    if let Some(digit) = rest.next_if(|byte| matches!(byte, b'0'..=b'7')) {
                        value = value << 3 | u32::from(digit - b'0');
                    }
                }
                value as u8
            }
            b'x' if rest.peek().is_some_and(u8::is_ascii_hexdigit) => {
                let mut value = 0;
                for _ in 0..2 {
                    if let Some(digit) = rest.next_if(u8::is_ascii_hexdigit) {
                        value = value << 4 | char::from(digit).to_digit(16).unwrap_or(0);
                    }
                }
                value as u8
            }
            other => other,
        });
    }
    bytes
}

/// Appends a value's text, escaped: `CopyAttributeOutText`.
pub fn escape(text: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    for byte in text {
        let letter = match byte {
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            b'\\' => b'\\',
            byte if *byte == delimiter => *byte,
            byte => {
                out.push(*byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', letter]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for (at, chunk) in chunks.iter().enumerate() {
            lines.push(chunk);
            while let NextLine::Line(range) = lines.next(at + 1 == chunks.len()).expect("well formed") {
                found.push(String::from_utf8_lossy(lines.bytes(range)).into_owned());
            }
        }
        found
    }

    #[test]
    fn lines_are_found_however_they_are_cut() {
        assert_eq!(lines(&[b"a\tb\nc", b"d\n", b"\\.\nignored"]), ["a\tb", "cd"]);
        assert_eq!(lines(&[b"a\\", b"\nb\nlast"]), ["a\\\nb", "last"]);
        assert_eq!(lines(&[b"a\r", b"\nb\r\n"]), ["a", "b"]);
    }

    #[test]
    fn fields_are_unescaped() {
        let mut found = Vec::new();
        fields(b"a\\tb\t\\N\t\t\\101\\x41\\\\\t\\\t", b'\t', b"\\N", &mut found);
        let text = |bytes: &[u8]| Some(bytes.to_vec());
        assert_eq!(found, [text(b"a\tb"), None, text(b""), text(b"AA\\"), text(b"\t")]);
        let mut out = Vec::new();
        escape(b"a\tb\\\n", b'\t', &mut out);
        assert_eq!(out, b"a\\tb\\\\\\n");
    }
}
