//! COPY's binary format: a signature, then rows of counted fields in the types' binary forms.
//!
//! Realises: copyfromparse.c's `ReceiveCopyBinaryHeader` and `CopyFromBinaryOneRow`, copyto.c's kin.

use kokkiri_primitives::{Error, Result, error};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Flags of the upper half change the format; only this one, row identifiers, was ever defined.
const WITH_OIDS: u32 = 1 << 16;
/// A field count of this ends the data.
const TRAILER: i16 = -1;

/// Appends what stands before the rows.
pub fn write_header(out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    // No flags, no extension.
    out.extend_from_slice(&[0; 8]);
}

pub fn write_count(fields: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(fields as i16).to_be_bytes());
}

pub fn write_trailer(out: &mut Vec<u8>) {
    out.extend_from_slice(&TRAILER.to_be_bytes());
}

/// Appends a field: `None` is null.
pub fn write_field(field: Option<&[u8]>, out: &mut Vec<u8>) {
    match field {
        None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        Some(bytes) => {
            out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
            out.extend_from_slice(bytes);
        }
    }
}

/// A row's fields; `None` is null.
pub type Fields = Vec<Option<Vec<u8>>>;

/// Takes rows from a stream that comes in pieces of any size.
#[derive(Debug, Default)]
pub struct BinaryReader {
    buffer: Vec<u8>,
    start: usize,
    header_read: bool,
    ended: bool,
}

/// What [`BinaryReader::next`] found.
#[derive(Debug)]
pub enum Found {
    Row(Fields),
    More,
    End,
}

/// The bytes of a stream that are there.
struct Input<'a> {
    bytes: &'a [u8],
    last: bool,
}

/// Fewer bytes are there than were asked for, and more may come.
struct Short;

impl<'a> Input<'a> {
    /// The next bytes; `None` if the stream ends before.
    fn take(&mut self, count: usize) -> Result<Option<&'a [u8]>, Short> {
        match self.bytes.split_at_checked(count) {
            Some((taken, rest)) => {
                self.bytes = rest;
                Ok(Some(taken))
            }
            None if self.last => Ok(None),
            None => Err(Short),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Short> {
        Ok(self.take(N)?.map(|bytes| bytes.try_into().expect("as long as asked for")))
    }
}

impl BinaryReader {
    pub fn feed(&mut self, piece: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(piece);
    }

    /// True once the signature has been judged: what goes wrong before is about no row.
    pub fn header_read(&self) -> bool {
        self.header_read
    }

    /// The next row, of `expected` fields. `last` says that no more bytes will come.
    ///
    /// # Errors
    /// 22P04 for bytes that are no such data.
    pub fn next(&mut self, expected: usize, last: bool) -> Result<Found> {
        let mut input = Input { bytes: &self.buffer[self.start..], last };
        if !self.header_read {
            match header(&mut input) {
                Err(Short) => return Ok(Found::More),
                Ok(judged) => judged?,
            }
            self.header_read = true;
            self.start = self.buffer.len() - input.bytes.len();
        }
        if self.ended {
            return match input.bytes.is_empty() {
                true if last => Ok(Found::End),
                true => Ok(Found::More),
                false => Err(error!(BAD_COPY_FILE_FORMAT, "received copy data after EOF marker")),
            };
        }
        match row(&mut input, expected) {
            Err(Short) => Ok(Found::More),
            Ok(row) => {
                let found = row?;
                self.start = self.buffer.len() - input.bytes.len();
                match found {
                    Some(Some(fields)) => Ok(Found::Row(fields)),
                    Some(None) => {
                        self.ended = true;
                        self.next(expected, last)
                    }
                    None => Ok(Found::End),
                }
            }
        }
    }
}

fn bad(message: &str) -> Error {
    error!(BAD_COPY_FILE_FORMAT, "{message}")
}

fn header(input: &mut Input<'_>) -> Result<Result<()>, Short> {
    if input.take(SIGNATURE.len())? != Some(SIGNATURE) {
        return Ok(Err(bad("COPY file signature not recognized")));
    }
    let Some(flags) = input.array()?.map(u32::from_be_bytes) else {
        return Ok(Err(bad("invalid COPY file header (missing flags)")));
    };
    if flags & WITH_OIDS != 0 {
        return Ok(Err(bad("invalid COPY file header (WITH OIDS)")));
    }
    if flags >> 16 != 0 {
        return Ok(Err(bad("unrecognized critical flags in COPY file header")));
    }
    let length = input.array()?.map(i32::from_be_bytes).and_then(|length| usize::try_from(length).ok());
    let Some(length) = length else {
        return Ok(Err(bad("invalid COPY file header (missing length)")));
    };
    if input.take(length)?.is_none() {
        return Ok(Err(bad("invalid COPY file header (wrong length)")));
    }
    Ok(Ok(()))
}

/// A row: nothing at the end of the stream, nothing inside at the trailer.
fn row(input: &mut Input<'_>, expected: usize) -> Result<Result<Option<Option<Fields>>>, Short> {
    let Some(count) = input.array()?.map(i16::from_be_bytes) else { return Ok(Ok(None)) };
    if count == TRAILER {
        return Ok(Ok(Some(None)));
    }
    if usize::try_from(count) != Ok(expected) {
        let message = format!("row field count is {count}, expected {expected}");
        return Ok(Err(bad(&message)));
    }
    let mut fields = Vec::with_capacity(expected);
    for _ in 0..expected {
        let Some(length) = input.array()?.map(i32::from_be_bytes) else {
            return Ok(Err(bad("unexpected EOF in COPY data")));
        };
        fields.push(match usize::try_from(length) {
            Err(_) if length == -1 => None,
            Err(_) => return Ok(Err(bad("invalid field size"))),
            Ok(length) => match input.take(length)? {
                Some(bytes) => Some(bytes.to_vec()),
                None => return Ok(Err(bad("unexpected EOF in COPY data"))),
            },
        });
    }
    Ok(Ok(Some(Some(fields))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_the_same_in_any_pieces() {
        let mut stream = Vec::new();
        write_header(&mut stream);
        for fields in [[Some(&b"abc"[..]), None], [Some(b""), Some(b"\0")]] {
            write_count(fields.len(), &mut stream);
            fields.iter().for_each(|field| write_field(*field, &mut stream));
        }
        write_trailer(&mut stream);
        for at in 0..stream.len() {
            let mut reader = BinaryReader::default();
            let mut rows = Vec::new();
            for (piece, last) in [(&stream[..at], false), (&stream[at..], true)] {
                reader.feed(piece);
                while let Found::Row(row) = reader.next(2, last).expect("a row") {
                    rows.push(row);
                }
            }
            assert_eq!(rows, [vec![Some(b"abc".to_vec()), None], vec![Some(Vec::new()), Some(vec![0])]]);
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        let read = |bytes: &[u8]| {
            let mut reader = BinaryReader::default();
            reader.feed(bytes);
            reader.next(1, true).expect_err("refused").message().to_owned()
        };
        assert_eq!(read(b"a,b,c\n1,2,3\n"), "COPY file signature not recognized");
        let mut stream = Vec::new();
        write_header(&mut stream);
        write_count(2, &mut stream);
        assert_eq!(read(&stream), "row field count is 2, expected 1");
    }
}
