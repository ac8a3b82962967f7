//! What a client says first: a startup packet, or a request in its place.

use crate::reader::{Malformed, Reader, Result};

const CANCEL_REQUEST: u32 = 1234 << 16 | 5678;
const SSL_REQUEST: u32 = 1234 << 16 | 5679;
const GSSENC_REQUEST: u32 = 1234 << 16 | 5680;

/// Longest cancel key, bytes: protocol 3.2.
pub const CANCEL_KEY_LENGTH_MAX: usize = 256;

/// The newest protocol version spoken here, as the number on the wire.
pub const NEWEST_PROTOCOL: ProtocolVersion = ProtocolVersion { major: 3, minor: 2 };

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProtocolVersion {
    pub major: u16,
    pub minor: u16,
}

impl ProtocolVersion {
    pub fn number(self) -> i32 {
        i32::from(self.major) << 16 | i32::from(self.minor)
    }
}

/// The first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Startup<'a> {
    Ssl,
    GssEncryption,
    Cancel {
        pid: i32,
        key: &'a [u8],
    },
    /// Options as sent, in order: `user`, `database`, `options`, `replication`, settings by name.
    Session {
        version: ProtocolVersion,
        options: Vec<(&'a [u8], &'a [u8])>,
    },
}

/// Decodes the body of a startup packet.
///
/// # Errors
/// What PostgreSQL answers with 08P01: a layout that is none. A protocol version nobody speaks is for the
/// caller to refuse.
pub fn decode(body: &[u8]) -> Result<Startup<'_>> {
    let mut reader = Reader::new(body);
    let code = reader.u32()?;
    match code {
        // What a longer packet has behind the code is left unread.
        SSL_REQUEST => Ok(Startup::Ssl),
        GSSENC_REQUEST => Ok(Startup::GssEncryption),
        CANCEL_REQUEST => {
            let pid = reader.i32().map_err(|_| cancel_length())?;
            let key = reader.rest();
            if key.is_empty() || key.len() > CANCEL_KEY_LENGTH_MAX {
                return Err(cancel_length());
            }
            Ok(Startup::Cancel { pid, key })
        }
        code => {
            let version = ProtocolVersion { major: (code >> 16) as u16, minor: code as u16 };
            // Options of versions we don't speak may look different: leave them unread.
            let options = if version.major == 3 { options(reader)? } else { Vec::new() };
            Ok(Startup::Session { version, options })
        }
    }
}

fn cancel_length() -> Malformed {
    Malformed::InvalidField("invalid length of cancel request packet".to_owned())
}

fn options(mut reader: Reader<'_>) -> Result<Vec<(&[u8], &[u8])>> {
    let layout = || {
        Malformed::InvalidField("invalid startup packet layout: expected terminator as last byte".to_owned())
    };
    let mut options = Vec::new();
    loop {
        let name = reader.string().map_err(|_| layout())?;
        if name.is_empty() {
            return if reader.remaining() == 0 { Ok(options) } else { Err(layout()) };
        }
        let value = reader.string().map_err(|_| layout())?;
        options.push((name, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_told_apart() {
        assert_eq!(decode(&[0x04, 0xd2, 0x16, 0x2f]), Ok(Startup::Ssl));
        assert_eq!(decode(&[0x04, 0xd2, 0x16, 0x30]), Ok(Startup::GssEncryption));
        assert_eq!(decode(&[0x04, 0xd2, 0x16, 0x2f, 0]), Ok(Startup::Ssl));
        let cancel = [0x04, 0xd2, 0x16, 0x2e, 0, 0, 0, 7, 1, 2, 3, 4];
        assert_eq!(decode(&cancel), Ok(Startup::Cancel { pid: 7, key: &[1, 2, 3, 4] }));
        let version = ProtocolVersion { major: 3, minor: 0 };
        let options = vec![(&b"user"[..], &b"me"[..])];
        assert_eq!(decode(b"\0\x03\0\0user\0me\0\0"), Ok(Startup::Session { version, options }));
        for bad in
            [&b"\0\x03\0\0user\0me\0"[..], b"\0\x03\0\0user\0me\0\0x", b"\0\x03\0\0user", b"\0\x03\0\0"]
        {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
    }
}
