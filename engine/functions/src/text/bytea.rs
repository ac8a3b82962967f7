//! Functions of bytea: bits, checksums, digests, character encodings.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Error, Result, bail, error};
use kokkiri_types::encoding::Encoding;
use kokkiri_types::text::{char_count, check_encoding};
use sha2::Digest;

use crate::registry::{Builtin, list};

pub(super) const LIST: &[&[Builtin]] = list![
    bytea_get_bit,
    bytea_set_bit,
    bytea_bit_count,
    crc32_bytea,
    crc32c_bytea,
    sha224_bytea,
    sha256_bytea,
    sha384_bytea,
    sha512_bytea,
    pg_convert_from,
    pg_convert_to,
    pg_convert,
    length_in_encoding,
];

fn bit_index(bytes: &[u8], index: i64) -> Result<(usize, u32)> {
    let bits = bytes.len() as i64 * 8;
    if !(0..bits).contains(&index) {
        bail!(ARRAY_ELEMENT_ERROR, "index {index} out of valid range, 0..{}", bits - 1);
    }
    Ok((index as usize / 8, index as u32 % 8))
}

/// Bits count from the lowest of each byte.
#[builtin(oid = 723)]
fn bytea_get_bit(bytes: &[u8], index: i64) -> Result<i32> {
    let (at, bit) = bit_index(bytes, index)?;
    Ok(i32::from(bytes[at] >> bit & 1))
}

#[builtin(oid = 724)]
fn bytea_set_bit(bytes: &[u8], index: i64, value: i32) -> Result<Vec<u8>> {
    let (at, bit) = bit_index(bytes, index)?;
    let mut changed = bytes.to_vec();
    match value {
        0 => changed[at] &= !(1 << bit),
        1 => changed[at] |= 1 << bit,
        _ => bail!(INVALID_PARAMETER_VALUE, "new bit must be 0 or 1"),
    }
    Ok(changed)
}

#[builtin(oid = 6163)]
fn bytea_bit_count(bytes: &[u8]) -> i64 {
    bytes.iter().map(|byte| i64::from(byte.count_ones())).sum()
}

/// CRC-32 of ISO 3309, bit by bit from the lowest.
#[builtin(oid = 6364)]
fn crc32_bytea(bytes: &[u8]) -> i64 {
    let step = |crc: u32| (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 };
    let crc = bytes.iter().fold(!0, |crc: u32, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)));
    i64::from(!crc)
}

#[builtin(oid = 6365)]
fn crc32c_bytea(bytes: &[u8]) -> i64 {
    let step = |crc: u32| (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
    let crc = bytes.iter().fold(!0, |crc: u32, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)));
    i64::from(!crc)
}

macro_rules! digests {
    ($($name:ident $oid:literal $digest:ident;)*) => {$(
        #[builtin(oid = $oid)]
        fn $name(bytes: &[u8]) -> Vec<u8> {
            sha2::$digest::digest(bytes).to_vec()
        }
    )*};
}

digests! {
    sha224_bytea 3419 Sha224;
    sha256_bytea 3420 Sha256;
    sha384_bytea 3421 Sha384;
    sha512_bytea 3422 Sha512;
}

fn encoding(name: &str, what: &str) -> Result<Encoding> {
    Encoding::by_name(name)?
        .ok_or_else(|| error!(INVALID_PARAMETER_VALUE, "invalid {what}encoding name \"{name}\""))
}

#[cold]
fn zero_byte(encoding: &str) -> Error {
    error!(CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"{encoding}\": 0x00")
}

/// Bytes of one encoding as those of another.
fn convert(bytes: &[u8], from: Encoding, to: Encoding) -> Result<Vec<u8>> {
    if from == Encoding::Latin1 && bytes.contains(&0) {
        return Err(zero_byte("LATIN1"));
    }
    let text = from.decode(bytes);
    // What nobody converts must be valid where it goes.
    if from != Encoding::SqlAscii || to == Encoding::Utf8 {
        check_encoding(&text)?;
    }
    Ok(to.encode(&text)?.into_owned())
}

#[builtin(oid = 1714)]
fn pg_convert_from(bytes: &[u8], from: &str) -> Result<Vec<u8>> {
    convert(bytes, encoding(from, "source ")?, Encoding::Utf8)
}

#[builtin(oid = 1717)]
fn pg_convert_to(text: &[u8], to: &str) -> Result<Vec<u8>> {
    convert(text, Encoding::Utf8, encoding(to, "destination ")?)
}

#[builtin(oid = 1813)]
fn pg_convert(bytes: &[u8], from: &str, to: &str) -> Result<Vec<u8>> {
    convert(bytes, encoding(from, "source ")?, encoding(to, "destination ")?)
}

#[builtin(oid = 1713)]
fn length_in_encoding(bytes: &[u8], name: &str) -> Result<i32> {
    Ok(match encoding(name, "")? {
        Encoding::Utf8 => char_count(check_encoding(bytes)?.as_bytes()) as i32,
        Encoding::Latin1 | Encoding::SqlAscii => bytes.len() as i32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_have_their_check_values() {
        assert_eq!(crc32_bytea(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32c_bytea(b"123456789"), 0xE306_9283);
    }
}
