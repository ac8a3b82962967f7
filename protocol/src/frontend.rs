//! Messages that a client sends once it is connected.
//!
//! Strings are bytes in the client's encoding; whoever uses one converts it.

use crate::frame::Frame;
use crate::reader::{Malformed, Reader, Result};

/// What Describe and Close are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Statement,
    Portal,
}

/// Format codes of parameters or results: none means all text, one stands for all. Codes that do not exist
/// are for whoever reads them to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats<'a>(&'a [u8]);

impl Formats<'_> {
    pub fn len(&self) -> usize {
        self.0.len() / 2
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = i16> + '_ {
        self.0.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]]))
    }
}

/// The parameter values of a Bind, read one after another.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a> {
    count: usize,
    reader: Reader<'a>,
}

impl<'a> Parameters<'a> {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The values; `None` is NULL.
    pub fn iter(&self) -> impl Iterator<Item = Option<&'a [u8]>> + use<'a> {
        let mut reader = self.reader;
        (0..self.count).map(move |_| read_value(&mut reader).expect("the lengths were checked when decoding"))
    }
}

#[derive(Clone, Debug)]
pub enum Message<'a> {
    Query(&'a [u8]),
    Parse {
        name: &'a [u8],
        query: &'a [u8],
        parameter_types: Vec<u32>,
    },
    Bind {
        portal: &'a [u8],
        statement: &'a [u8],
        parameter_formats: Formats<'a>,
        parameters: Parameters<'a>,
        result_formats: Formats<'a>,
    },
    Describe {
        target: Target,
        name: &'a [u8],
    },
    /// At most so many rows; zero or less means all.
    Execute {
        portal: &'a [u8],
        rows_max: i32,
    },
    Close {
        target: Target,
        name: &'a [u8],
    },
    Flush,
    Sync,
    Terminate,
    FunctionCall(FunctionCall<'a>),
    CopyData(&'a [u8]),
    CopyDone,
    CopyFail(&'a [u8]),
}

/// A fast-path function call.
#[derive(Clone, Debug)]
pub struct FunctionCall<'a> {
    pub function: u32,
    pub argument_formats: Formats<'a>,
    pub arguments: Parameters<'a>,
    pub result_format: i16,
}

/// Decodes a frame.
///
/// # Errors
/// [`Malformed`]; the frame has been consumed, so the connection can go on at the next one.
pub fn decode(frame: &Frame) -> Result<Message<'_>> {
    let mut reader = Reader::new(&frame.body);
    let message = match frame.kind {
        b'Q' => Message::Query(reader.string()?),
        b'P' => parse(&mut reader)?,
        b'B' => bind(&mut reader)?,
        b'D' => {
            let target = target(&mut reader, "DESCRIBE")?;
            Message::Describe { target, name: reader.string()? }
        }
        b'C' => {
            let target = target(&mut reader, "CLOSE")?;
            Message::Close { target, name: reader.string()? }
        }
        b'E' => Message::Execute { portal: reader.string()?, rows_max: reader.i32()? },
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'X' => Message::Terminate,
        b'F' => function_call(&mut reader)?,
        b'd' => Message::CopyData(reader.rest()),
        b'c' => Message::CopyDone,
        b'f' => Message::CopyFail(reader.string()?),
        kind => return Err(Malformed::UnknownType(kind)),
    };
    reader.end()?;
    Ok(message)
}

fn target(reader: &mut Reader<'_>, message: &str) -> Result<Target> {
    match reader.u8()? {
        b'S' => Ok(Target::Statement),
        b'P' => Ok(Target::Portal),
        other => Err(Malformed::InvalidField(format!("invalid {message} message subtype {other}"))),
    }
}

fn parse<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>> {
    let name = reader.string()?;
    let query = reader.string()?;
    let count = count(reader)?;
    let mut types = reader.bytes(count * 4)?;
    let mut parameter_types = Vec::with_capacity(count);
    while let Some((oid, rest)) = types.split_first_chunk::<4>() {
        parameter_types.push(u32::from_be_bytes(*oid));
        types = rest;
    }
    Ok(Message::Parse { name, query, parameter_types })
}

fn bind<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>> {
    let portal = reader.string()?;
    let statement = reader.string()?;
    let parameter_formats = formats(reader)?;
    let parameters = values(reader)?;
    let formats_given = parameter_formats.len();
    if formats_given > 1 && formats_given != parameters.len() {
        return Err(Malformed::InvalidField(format!(
            "bind message has {formats_given} parameter formats but {} parameters",
            parameters.len()
        )));
    }
    let result_formats = formats(reader)?;
    Ok(Message::Bind { portal, statement, parameter_formats, parameters, result_formats })
}

fn function_call<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>> {
    let function = reader.u32()?;
    let argument_formats = formats(reader)?;
    let arguments = values(reader)?;
    let result_format = reader.i16()?;
    Ok(Message::FunctionCall(FunctionCall { function, argument_formats, arguments, result_format }))
}

/// A count of fields: 16 bits, read as unsigned where PostgreSQL allows up to 65,535 parameters.
fn count(reader: &mut Reader<'_>) -> Result<usize> {
    Ok(usize::from(reader.i16()? as u16))
}

fn formats<'a>(reader: &mut Reader<'a>) -> Result<Formats<'a>> {
    let count = count(reader)?;
    reader.bytes(count * 2).map(Formats)
}

fn values<'a>(reader: &mut Reader<'a>) -> Result<Parameters<'a>> {
    let count = count(reader)?;
    let parameters = Parameters { count, reader: *reader };
    for _ in 0..count {
        read_value(reader)?;
    }
    Ok(parameters)
}

fn read_value<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>> {
    match reader.i32()? {
        -1 => Ok(None),
        length => {
            let length = usize::try_from(length).map_err(|_| Malformed::InsufficientData)?;
            reader.bytes(length).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn frame(kind: u8, body: &[u8]) -> Frame {
        Frame { kind, body: Bytes::copy_from_slice(body) }
    }

    #[test]
    fn a_bind_is_read_whole_or_refused() {
        let body = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x02ab\xff\xff\xff\xff\0\0";
        let whole = frame(b'B', body);
        let Ok(Message::Bind { portal, parameters, .. }) = decode(&whole) else { panic!("a valid Bind") };
        assert_eq!((portal, parameters.len()), (&b"p"[..], 2));
        assert_eq!(parameters.iter().collect::<Vec<_>>(), [Some(&b"ab"[..]), None]);
        for length in 0..body.len() {
            assert!(decode(&frame(b'B', &body[..length])).is_err(), "cut off at {length}");
        }
        let long = [&body[..], b"x"].concat();
        assert_eq!(decode(&frame(b'B', &long)).expect_err("trailing byte"), Malformed::TrailingData);
    }

    #[test]
    fn odd_messages_are_refused_in_postgresqls_words() {
        let message = |kind, body: &[u8]| decode(&frame(kind, body)).expect_err("malformed").to_string();
        assert_eq!(message(b'Q', b"select 1"), "invalid string in message");
        assert_eq!(message(b'D', b"Xname\0"), "invalid DESCRIBE message subtype 88");
        assert_eq!(message(b'E', b"\0\0\0"), "insufficient data left in message");
        assert_eq!(message(b'P', b"\0q\0\0\x02\0\0\0\x17"), "insufficient data left in message");
        assert_eq!(message(b'S', b"\0"), "invalid message format");
        assert_eq!(
            message(b'B', b"\0\0\0\x02\0\0\0\0\0\x01\xff\xff\xff\xff\0\0"),
            "bind message has 2 parameter formats but 1 parameters"
        );
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..20_000 {
            let mut body = Vec::new();
            for _ in 0..state % 24 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                body.push(if state & 3 == 0 { 0 } else { (state >> 8) as u8 });
            }
            state = state.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(1);
            let kind = b"QPBDCEHSXFdcf"[(state >> 32) as usize % 13];
            if let Ok(Message::Bind { parameters, .. }) = decode(&frame(kind, &body)) {
                assert!(parameters.iter().flatten().map(<[u8]>::len).sum::<usize>() <= body.len());
            }
        }
    }
}
