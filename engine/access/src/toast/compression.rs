//! The two compression methods of stored values.

use kokkiri_primitives::{Error, Result, activity, pglz};

use crate::tuple::varlena::{COMPRESSED_HEADER_SIZE, CompressionMethod, compressed_header};

impl CompressionMethod {
    /// The method that `pg_attribute.attcompression` names, or the one of `default_toast_compression`.
    pub fn of_attribute(code: u8) -> Self {
        let code = match code {
            0 => activity::with_current(|backend| backend.map_or(0, |backend| backend.toast_compression())),
            named => named,
        };
        if code == b'l' { Self::Lz4 } else { Self::Pglz }
    }

    /// Its name in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pglz => "pglz",
            Self::Lz4 => "lz4",
        }
    }
}

/// Compresses a payload into the stored form of an inline compressed value. `None` if that would not
/// save space.
pub fn compress(method: CompressionMethod, payload: &[u8]) -> Option<Vec<u8>> {
    let data = match method {
        CompressionMethod::Pglz => {
            let mut data = Vec::new();
            pglz::compress(payload, &mut data)?;
            data
        }
        CompressionMethod::Lz4 => {
            let data = lz4_flex::block::compress(payload);
            if data.len() > payload.len() {
                return None;
            }
            data
        }
    };
    // More than two bytes must be saved, or alignment could eat the gain.
    let stored_size = data.len() + COMPRESSED_HEADER_SIZE;
    if stored_size + 2 >= payload.len() {
        return None;
    }
    let mut stored = Vec::with_capacity(stored_size);
    stored.extend_from_slice(&compressed_header(method, payload.len(), data.len()));
    stored.extend_from_slice(&data);
    Some(stored)
}

/// The payload of compressed bytes.
pub fn decompress(method: CompressionMethod, data: &[u8], raw_size: usize) -> Result<Vec<u8>> {
    let payload = decompress_prefix(method, data, raw_size)?;
    if payload.len() != raw_size {
        return Err(corrupt(method));
    }
    Ok(payload)
}

/// The first `size` bytes of the payload, or all of it if it is shorter.
pub fn decompress_prefix(method: CompressionMethod, data: &[u8], size: usize) -> Result<Vec<u8>> {
    match method {
        CompressionMethod::Pglz => {
            let mut payload = vec![0; size];
            let length = pglz::decompress_prefix(data, &mut payload).map_err(|_| corrupt(method))?;
            payload.truncate(length);
            Ok(payload)
        }
        CompressionMethod::Lz4 => lz4_prefix(data, size).ok_or_else(|| corrupt(method)),
    }
}

/// Decodes an LZ4 block up to `size` bytes of output. `None` if the block is damaged.
///
/// A block is a sequence of: token (literal count, match length - 4 by nibbles; 15 goes on in further
/// bytes), literals, 2 bytes of distance. The last one ends after its literals.
fn lz4_prefix(data: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut output: Vec<u8> = Vec::with_capacity(size.min(1 << 20));
    let mut rest = data;
    while output.len() < size && !rest.is_empty() {
        let token = lz4_byte(&mut rest)?;
        let literals = lz4_length(token >> 4, &mut rest)?;
        output.extend_from_slice(rest.get(..literals)?);
        rest = &rest[literals..];
        if rest.is_empty() {
            break;
        }
        let distance = lz4_byte(&mut rest)? | lz4_byte(&mut rest)? << 8;
        let length = lz4_length(token & 15, &mut rest)? + 4;
        let start = output.len().checked_sub(distance).filter(|_| distance > 0)?;
        for index in start..start + length.min(size.saturating_sub(output.len())) {
            output.push(output[index]);
        }
    }
    output.truncate(size);
    Some(output)
}

fn lz4_byte(rest: &mut &[u8]) -> Option<usize> {
    let (first, tail) = rest.split_first()?;
    *rest = tail;
    Some(usize::from(*first))
}

fn lz4_length(nibble: usize, rest: &mut &[u8]) -> Option<usize> {
    let mut length = nibble;
    let mut more = if nibble == 15 { 255 } else { 0 };
    while more == 255 {
        more = lz4_byte(rest)?;
        length += more;
    }
    Some(length)
}

#[cold]
fn corrupt(method: CompressionMethod) -> Error {
    Error::data_corrupted(match method {
        CompressionMethod::Pglz => "compressed pglz data is corrupt",
        CompressionMethod::Lz4 => "compressed lz4 data is corrupt",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuple::varlena::Varlena;

    #[test]
    fn both_methods_round_trip_and_slice() {
        let payload: Vec<u8> = (0..20_000u32).flat_map(|i| (i % 97 * (i % 13)).to_le_bytes()).collect();
        for method in [CompressionMethod::Pglz, CompressionMethod::Lz4] {
            let stored = compress(method, &payload).unwrap();
            let Varlena::Compressed { method, raw_size, data } = Varlena::decode(&stored).unwrap().0 else {
                panic!("not compressed")
            };
            assert_eq!(decompress(method, data, raw_size).unwrap(), payload);
            assert_eq!(decompress_prefix(method, data, 777).unwrap(), payload[..777]);
            for cut in [1, 2, 50, data.len() / 2] {
                assert!(decompress(method, &data[..cut], raw_size).is_err());
            }
        }
    }

    #[test]
    fn noise_is_left_alone() {
        let mut state = 1u64;
        let noise: Vec<u8> = (0..5000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        assert_eq!(compress(CompressionMethod::Pglz, &noise), None);
        assert_eq!(compress(CompressionMethod::Lz4, &noise), None);
    }
}
