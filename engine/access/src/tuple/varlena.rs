//! Headers of variable-length values: PostgreSQL's `varatt.h`, little-endian.
//!
//! ```text
//!   xxxxxx00 ........ ........ ........   4 bytes: length << 2, payload follows (aligned)
//!   xxxxxx10 ........ ........ ........   4 bytes: length << 2 | 2, then raw size and method, then compressed bytes
//!   xxxxxxx1                              1 byte:  length << 1 | 1, payload follows (not aligned)
//!   00000001 tag                          pointer to a value outside of the row (not aligned)
//! ```
//!
//! Lengths include the header. A padding byte is zero, which no unaligned header is, so a reader knows
//! from the first byte whether the value starts there or at the next aligned position.

use kokkiri_primitives::{Error, Oid, Result};

/// Size of a full header, bytes: `VARHDRSZ`.
pub const LONG_HEADER_SIZE: usize = 4;
/// Size of a short header, bytes: `VARHDRSZ_SHORT`.
pub const SHORT_HEADER_SIZE: usize = 1;
/// Longest value a short header can describe, header included: `VARATT_SHORT_MAX`.
pub const SHORT_MAX: usize = 0x7F;
/// Header of an inline compressed value: full header and `va_tcinfo`.
pub const COMPRESSED_HEADER_SIZE: usize = 8;
/// Stored size of a toast pointer: header byte, tag and `varatt_external`.
pub const TOAST_POINTER_SIZE: usize = 18;
/// Longest payload a value may have: one gigabyte less the header.
pub const PAYLOAD_MAX: usize = 0x3FFF_FFFF - LONG_HEADER_SIZE;

const TAG_ON_DISK: u8 = 18;
const SIZE_MASK: u32 = 0x3FFF_FFFF;

/// How a stored value was compressed: PostgreSQL's `ToastCompressionId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CompressionMethod {
    Pglz = 0,
    Lz4 = 1,
}

impl TryFrom<u8> for CompressionMethod {
    type Error = Error;

    fn try_from(code: u8) -> Result<Self> {
        match code {
            0 => Ok(Self::Pglz),
            1 => Ok(Self::Lz4),
            _ => Err(Error::internal(format!("invalid compression method id {code}"))),
        }
    }
}

/// Reference to a value stored in a TOAST relation: `varatt_external`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToastPointer {
    /// Size of the original value, full header included.
    pub raw_size: u32,
    /// Size of the stored bytes, without header.
    pub external_size: u32,
    /// Set if the stored bytes are compressed.
    pub method: Option<CompressionMethod>,
    pub value_id: Oid,
    pub toast_relation: Oid,
}

impl ToastPointer {
    /// The stored form, with its header.
    pub fn to_bytes(self) -> [u8; TOAST_POINTER_SIZE] {
        let method = self.method.map_or(0, |method| method as u32);
        let mut bytes = [0; TOAST_POINTER_SIZE];
        bytes[0] = 1;
        bytes[1] = TAG_ON_DISK;
        bytes[2..6].copy_from_slice(&self.raw_size.to_le_bytes());
        bytes[6..10].copy_from_slice(&(self.external_size | method << 30).to_le_bytes());
        bytes[10..14].copy_from_slice(&self.value_id.0.to_le_bytes());
        bytes[14..18].copy_from_slice(&self.toast_relation.0.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; TOAST_POINTER_SIZE]) -> Result<Self> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (raw_size, info) = (word(2), word(6));
        let external_size = info & SIZE_MASK;
        // Compression is only kept where it saves space, so size alone tells whether it was used.
        let compressed = u64::from(external_size) + (LONG_HEADER_SIZE as u64) < u64::from(raw_size);
        let method = if compressed { Some(CompressionMethod::try_from((info >> 30) as u8)?) } else { None };
        Ok(Self { raw_size, external_size, method, value_id: Oid(word(10)), toast_relation: Oid(word(14)) })
    }
}

/// A stored variable-length value, by the kind of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Varlena<'a> {
    /// The payload as it is.
    Plain(&'a [u8]),
    /// Compressed in place: the payload has `raw_size` bytes.
    Compressed { method: CompressionMethod, raw_size: usize, data: &'a [u8] },
    /// Stored in a TOAST relation.
    External(ToastPointer),
}

impl<'a> Varlena<'a> {
    /// Decodes the value at the start of `bytes` and says how many bytes it occupies.
    pub fn decode(bytes: &'a [u8]) -> Result<(Self, usize)> {
        let size = stored_size(bytes).ok_or_else(truncated)?;
        let value = bytes.get(..size).ok_or_else(truncated)?;
        let first = value[0];
        if first == 1 {
            let pointer = value.try_into().map_err(|_| truncated())?;
            Ok((Self::External(ToastPointer::from_bytes(pointer)?), size))
        } else if first & 1 == 1 {
            Ok((Self::Plain(&value[SHORT_HEADER_SIZE..]), size))
        } else if first & 3 == 0 {
            Ok((Self::Plain(&value[LONG_HEADER_SIZE..]), size))
        } else {
            let info = value.get(4..8).ok_or_else(truncated)?;
            let info = u32::from_le_bytes([info[0], info[1], info[2], info[3]]);
            let method = CompressionMethod::try_from((info >> 30) as u8)?;
            let raw_size = (info & SIZE_MASK) as usize;
            Ok((Self::Compressed { method, raw_size, data: &value[COMPRESSED_HEADER_SIZE..] }, size))
        }
    }

    /// Length of the payload once fetched and decompressed.
    pub fn raw_payload_size(&self) -> usize {
        match self {
            Self::Plain(payload) => payload.len(),
            Self::Compressed { raw_size, .. } => *raw_size,
            Self::External(pointer) => (pointer.raw_size as usize).saturating_sub(LONG_HEADER_SIZE),
        }
    }
}

#[cold]
fn truncated() -> Error {
    Error::data_corrupted("variable-length value reaches beyond its tuple")
}

/// Size of the stored value that starts with `bytes`, header included: `VARSIZE_ANY`. `None` if the
/// header itself is cut off or can't be one.
#[inline]
pub fn stored_size(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    if first == 1 {
        return (*bytes.get(1)? == TAG_ON_DISK).then_some(TOAST_POINTER_SIZE);
    }
    if first & 1 == 1 {
        return Some(usize::from(first >> 1));
    }
    let header = bytes.get(..4)?;
    let size = (u32::from_le_bytes([header[0], header[1], header[2], header[3]]) >> 2) as usize;
    (size >= LONG_HEADER_SIZE).then_some(size)
}

/// True if a payload of this length gets a short header where the column allows one.
#[inline]
pub fn fits_short(payload_length: usize) -> bool {
    payload_length + SHORT_HEADER_SIZE <= SHORT_MAX
}

/// Header byte of a short value with this payload length, which [`fits_short`].
#[inline]
pub fn short_header(payload_length: usize) -> u8 {
    debug_assert!(fits_short(payload_length), "a short header has seven bits of length");
    ((payload_length + SHORT_HEADER_SIZE) as u8) << 1 | 1
}

/// Full header of a plain value with this payload length.
#[inline]
pub fn long_header(payload_length: usize) -> [u8; 4] {
    debug_assert!(payload_length <= PAYLOAD_MAX, "values are limited to a gigabyte");
    (((payload_length + LONG_HEADER_SIZE) as u32) << 2).to_le_bytes()
}

/// A plain value with its full header.
pub fn with_long_header(payload: &[u8]) -> Vec<u8> {
    [&long_header(payload.len())[..], payload].concat()
}

/// Headers of an inline compressed value: `data_length` compressed bytes for `raw_size` bytes of payload.
pub fn compressed_header(method: CompressionMethod, raw_size: usize, data_length: usize) -> [u8; 8] {
    let size = ((data_length + COMPRESSED_HEADER_SIZE) as u32) << 2 | 2;
    let info = raw_size as u32 | (method as u32) << 30;
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&size.to_le_bytes());
    bytes[4..].copy_from_slice(&info.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_headers_are_postgresqls() {
        assert_eq!(short_header(3), 0x09);
        assert_eq!(short_header(126), 0xFF);
        assert!(!fits_short(127));
        assert_eq!(long_header(127), [0x0C, 0x02, 0, 0]);
        assert_eq!(Varlena::decode(&[0x09, b'a', b'b', b'c', 0]).unwrap(), (Varlena::Plain(b"abc"), 4));
        assert_eq!(Varlena::decode(&[0x1C, 0, 0, 0, b'a', b'b', b'c']).unwrap(), (Varlena::Plain(b"abc"), 7));
    }

    #[test]
    fn toast_pointers_round_trip() {
        let pointer = ToastPointer {
            raw_size: 100_004,
            external_size: 1_234,
            method: Some(CompressionMethod::Lz4),
            value_id: Oid(16_400),
            toast_relation: Oid(16_390),
        };
        let bytes = pointer.to_bytes();
        assert_eq!(&bytes[..2], &[0x01, 0x12]);
        assert_eq!(Varlena::decode(&bytes).unwrap(), (Varlena::External(pointer), TOAST_POINTER_SIZE));
        let plain = ToastPointer { external_size: 100_000, method: None, ..pointer };
        assert_eq!(Varlena::decode(&plain.to_bytes()).unwrap().0, Varlena::External(plain));
    }

    #[test]
    fn compressed_headers_round_trip() {
        let mut bytes = compressed_header(CompressionMethod::Pglz, 5_000, 3).to_vec();
        bytes.extend_from_slice(&[1, 2, 3]);
        let expected =
            Varlena::Compressed { method: CompressionMethod::Pglz, raw_size: 5_000, data: &[1, 2, 3] };
        assert_eq!(Varlena::decode(&bytes).unwrap(), (expected, 11));
    }

    #[test]
    fn damaged_headers_are_errors() {
        for bytes in
            [&[][..], &[0x09, b'a'], &[1], &[1, 99, 0], &[0, 0, 0, 0], &[0xFC, 0xFF], &[0x22, 0, 0, 0, 1]]
        {
            assert!(Varlena::decode(bytes).is_err(), "{bytes:?}");
        }
    }
}
