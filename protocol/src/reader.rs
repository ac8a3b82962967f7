//! Checked reads from a message's body: PostgreSQL's `pq_getmsg*`.

use std::fmt;

/// Why a message could not be read. All of them are 08P01.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A field runs past the end of the message.
    InsufficientData,
    /// A string has no terminator.
    InvalidString,
    /// Bytes are left behind the last field.
    TrailingData,
    /// A message type that does not exist.
    UnknownType(u8),
    /// A frame's length is below its own size or above the limit of its type.
    InvalidLength,
    /// A field has a value that no client may send; the text is PostgreSQL's message.
    InvalidField(String),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::InsufficientData => f.write_str("insufficient data left in message"),
            Malformed::InvalidString => f.write_str("invalid string in message"),
            Malformed::TrailingData => f.write_str("invalid message format"),
            Malformed::UnknownType(kind) => write!(f, "invalid frontend message type {kind}"),
            Malformed::InvalidLength => f.write_str("invalid message length"),
            Malformed::InvalidField(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Malformed {}

pub type Result<T> = std::result::Result<T, Malformed>;

/// Reads a body front to back.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    pub fn remaining(&self) -> usize {
        self.0.len()
    }

    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8]> {
        if length > self.0.len() {
            return Err(Malformed::InsufficientData);
        }
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.bytes(N)?;
        Ok(taken.try_into().expect("exactly N bytes were taken"))
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A zero-terminated string, without its terminator, in the client's encoding.
    pub fn string(&mut self) -> Result<&'a [u8]> {
        let length = self.0.iter().position(|byte| *byte == 0).ok_or(Malformed::InvalidString)?;
        let text = &self.0[..length];
        self.0 = &self.0[length + 1..];
        Ok(text)
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// The message must end here.
    pub fn end(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed::TrailingData) }
    }
}
