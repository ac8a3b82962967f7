//! PostgreSQL's own compression: values out of line, compressed values in line, page images in WAL.
//!
//! Realises: `pg_lzcompress.c` with its default strategy. The compressed bytes are those that PostgreSQL
//! makes of the same input, because sizes show in SQL and in WAL statistics.
//!
//! The stream is a row of groups: a control byte, then for each of its bits, lowest first, either a
//! literal byte (0) or a tag (1) that repeats earlier output:
//!
//! ```text
//!  tag:  offset bits 8..12 (4 bits) | length - 3 (4 bits),  offset bits 0..8,  [length - 18, if it was 15]
//! ```

/// Inputs shorter than this are not compressed.
const INPUT_SIZE_MIN: usize = 32;
/// Compression must save this much, percent.
const RATE_MIN: usize = 25;
/// Without a match in this many bytes of output, the input is taken for incompressible.
const FIRST_SUCCESS_BY: usize = 1024;
/// A match this long ends the search for a better one; each further candidate lowers the demand.
const MATCH_GOOD: usize = 128;
const MATCH_DROP_PERCENT: usize = 10;
const MATCH_MAX: usize = 273;
/// Matches start less than this far back: twelve bits of offset.
const OFFSET_LIMIT: usize = 0x0FFF;
/// How many positions the history remembers.
const HISTORY_SIZE: usize = 4096;

/// Compressed bytes end early, point before their beginning, or don't fill what they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// Positions seen, by a hash of the four bytes that start there; newest first.
struct History {
    /// Position plus one; zero for none.
    newest: Vec<u32>,
    older: Vec<u32>,
}

impl History {
    fn new(input_length: usize) -> Self {
        let size = match input_length {
            0..128 => 512,
            128..256 => 1024,
            256..512 => 2048,
            512..1024 => 4096,
            _ => 8192,
        };
        Self { newest: vec![0; size], older: vec![0; HISTORY_SIZE] }
    }

    /// PostgreSQL hashes signed characters; the bucket decides which matches are found.
    fn bucket(&self, rest: &[u8]) -> usize {
        let signed = |i: usize| i32::from(rest[i] as i8);
        let hash = if rest.len() < 4 {
            signed(0)
        } else {
            (signed(0) << 6) ^ (signed(1) << 4) ^ (signed(2) << 2) ^ signed(3)
        };
        hash as usize & (self.newest.len() - 1)
    }

    fn add(&mut self, source: &[u8], position: usize) {
        let bucket = self.bucket(&source[position..]);
        self.older[position % HISTORY_SIZE] = self.newest[bucket];
        self.newest[bucket] = position as u32 + 1;
    }

    /// The best match for what starts at `position`: length and how far back.
    fn find(&self, source: &[u8], position: usize) -> Option<(usize, usize)> {
        let rest = &source[position..];
        let mut good_match = MATCH_GOOD;
        let mut best = (0, 0);
        let mut candidate = self.newest[self.bucket(rest)];
        while candidate != 0 {
            let start = candidate as usize - 1;
            let offset = position - start;
            if offset >= OFFSET_LIMIT {
                break;
            }
            let same = rest.iter().zip(&source[start..]).take(MATCH_MAX).take_while(|(a, b)| a == b);
            let length = same.count();
            if length > best.0 {
                best = (length, offset);
            }
            candidate = self.older[start % HISTORY_SIZE];
            if best.0 >= good_match {
                break;
            }
            good_match -= good_match * MATCH_DROP_PERCENT / 100;
        }
        (best.0 > 2).then_some(best)
    }
}

/// Appends the compressed form of `source` to `out` and returns its length; `None`, with `out` as it
/// was, if compression isn't worth it. PostgreSQL's `pglz_compress` with the default strategy.
pub fn compress(source: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    if source.len() < INPUT_SIZE_MIN || source.len() > i32::MAX as usize {
        return None;
    }
    let start = out.len();
    let result_max = source.len() * (100 - RATE_MIN) / 100;
    let mut history = History::new(source.len());
    let mut control_at = start;
    let mut control_bit = 0;
    let mut found_match = false;
    let mut position = 0;
    while position < source.len() {
        let written = out.len() - start;
        if written >= result_max || (!found_match && written >= FIRST_SUCCESS_BY) {
            out.truncate(start);
            return None;
        }
        let found = history.find(source, position);
        if control_bit == 0 {
            control_at = out.len();
            control_bit = 1;
            out.push(0);
        }
        let length = match found {
            Some((length, offset)) => {
                out[control_at] |= control_bit;
                let high = ((offset & 0xF00) >> 4) as u8;
                if length > 17 {
                    out.extend([high | 0x0F, offset as u8, (length - 18) as u8]);
                } else {
                    out.extend([high | (length - 3) as u8, offset as u8]);
                }
                found_match = true;
                length
            }
            None => {
                out.push(source[position]);
                1
            }
        };
        control_bit <<= 1;
        for _ in 0..length {
            history.add(source, position);
            position += 1;
        }
    }
    let written = out.len() - start;
    if written >= result_max {
        out.truncate(start);
        return None;
    }
    Some(written)
}

/// Decompresses all of `source`, which must fill `out` exactly, and returns that length.
/// PostgreSQL's `pglz_decompress` with `check_complete`.
pub fn decompress(source: &[u8], out: &mut [u8]) -> Result<usize, Corrupt> {
    let (read, written) = decompress_some(source, out)?;
    if read == source.len() && written == out.len() { Ok(written) } else { Err(Corrupt) }
}

/// Decompresses the first `out.len()` bytes, or fewer if `source` ends before; returns how many.
pub fn decompress_prefix(source: &[u8], out: &mut [u8]) -> Result<usize, Corrupt> {
    decompress_some(source, out).map(|(_, written)| written)
}

fn decompress_some(source: &[u8], out: &mut [u8]) -> Result<(usize, usize), Corrupt> {
    let (mut read, mut written) = (0, 0);
    while read < source.len() && written < out.len() {
        let mut control = source[read];
        read += 1;
        for _ in 0..8 {
            if read >= source.len() || written >= out.len() {
                break;
            }
            if control & 1 == 0 {
                out[written] = source[read];
                read += 1;
                written += 1;
            } else {
                let [first, second] = *source[read..].first_chunk().ok_or(Corrupt)?;
                read += 2;
                let offset = usize::from(first & 0xF0) << 4 | usize::from(second);
                let mut length = usize::from(first & 0x0F) + 3;
                if length == 18 {
                    length += usize::from(*source.get(read).ok_or(Corrupt)?);
                    read += 1;
                }
                if offset == 0 || offset > written {
                    return Err(Corrupt);
                }
                let end = (written + length).min(out.len());
                // The match may reach into what it is itself producing: copy what is there, which
                // doubles with every round.
                let from = written - offset;
                while written < end {
                    let ready = (written - from).min(end - written);
                    out.copy_within(from..from + ready, written);
                    written += ready;
                }
            }
            control >>= 1;
        }
    }
    Ok((read, written))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(source: &[u8]) -> Option<usize> {
        let mut packed = vec![7];
        let length = compress(source, &mut packed)?;
        assert_eq!(packed.len(), length + 1);
        let mut plain = vec![0; source.len()];
        assert_eq!(decompress(&packed[1..], &mut plain), Ok(source.len()));
        assert_eq!(plain, source);
        Some(length)
    }

    #[test]
    fn compresses_as_postgresql_does() {
        // pg_column_size of these texts in a table with pglz compression, less eight bytes of header.
        assert_eq!(round_trip("abcdefghij".repeat(300).as_bytes()), Some(46));
        assert_eq!(round_trip(&[b'x'; 10_000]), Some(117));
        assert_eq!(round_trip(b"short"), None);
        let random: Vec<u8> = (0..4000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        round_trip(&random);
    }

    #[test]
    fn refuses_garbage() {
        let mut out = [0; 64];
        assert_eq!(decompress(&[1, 0x0F], &mut out), Err(Corrupt));
        assert_eq!(decompress(&[1, 0x00, 0x01], &mut out), Err(Corrupt));
        assert_eq!(decompress(&[0, b'a'], &mut out), Err(Corrupt));
    }
}
