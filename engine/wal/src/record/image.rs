//! Full-page images: leaving out the hole, compressing, and back.
//!
//! Realises: the image half of `XLogRecordAssemble`, `XLogCompressBackupBlock` and `RestoreBlockImage`.

use kokkiri_primitives::ids::BLOCK_SIZE;
use kokkiri_primitives::pglz;

use super::*;

/// Setting `wal_compression`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageCompression {
    #[default]
    Off,
    Pglz,
    Lz4,
}

/// Bytes that store the length of the hole beside a compressed image; compression must save them too.
const HOLE_LENGTH_SIZE: usize = 2;
/// Size of a page header: no hole starts before its end.
const PAGE_HEADER_SIZE: usize = 24;

/// What an image became: how its header describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct EncodedImage {
    pub length: u16,
    pub hole_offset: u16,
    pub hole_length: u16,
    pub bits: u8,
}

/// Where the unused middle of a standard page is; empty if the page header makes no sense.
fn hole_of(page: &[u8; BLOCK_SIZE]) -> (usize, usize) {
    let field = |at: usize| usize::from(u16::from_le_bytes([page[at], page[at + 1]]));
    let (lower, upper) = (field(12), field(14));
    if lower >= PAGE_HEADER_SIZE && upper > lower && upper <= BLOCK_SIZE {
        (lower, upper - lower)
    } else {
        (0, 0)
    }
}

/// Appends the image of `page` to `out`, and tells how.
pub(super) fn encode(
    page: &[u8; BLOCK_SIZE],
    standard: bool,
    compression: ImageCompression,
    out: &mut Vec<u8>,
) -> EncodedImage {
    let (hole_offset, hole_length) = if standard { hole_of(page) } else { (0, 0) };
    let start = out.len();
    out.extend_from_slice(&page[..hole_offset]);
    out.extend_from_slice(&page[hole_offset + hole_length..]);
    let mut bits = if hole_length > 0 { IMAGE_HAS_HOLE } else { 0 };
    bits |= compress_tail(out, start, hole_length > 0, compression);
    EncodedImage {
        length: (out.len() - start) as u16,
        hole_offset: hole_offset as u16,
        hole_length: hole_length as u16,
        bits,
    }
}

/// Compresses what `out` has behind `start` in place, if that makes it shorter; returns the method's bit.
fn compress_tail(out: &mut Vec<u8>, start: usize, has_hole: bool, compression: ImageCompression) -> u8 {
    let plain = &out[start..];
    let mut packed = Vec::new();
    let (length, bit) = match compression {
        ImageCompression::Off => return 0,
        ImageCompression::Pglz => (pglz::compress(plain, &mut packed), IMAGE_PGLZ),
        ImageCompression::Lz4 => {
            packed.resize(lz4_flex::block::get_maximum_output_size(plain.len()), 0);
            (lz4_flex::block::compress_into(plain, &mut packed).ok(), IMAGE_LZ4)
        }
    };
    let extra = if has_hole { HOLE_LENGTH_SIZE } else { 0 };
    match length {
        Some(length) if length + extra < plain.len() => {
            out.truncate(start);
            out.extend_from_slice(&packed[..length]);
            bit
        }
        _ => 0,
    }
}

/// An image as a record holds it. The hole is inside the page.
pub(super) struct ImageSource<'a> {
    pub bytes: &'a [u8],
    pub bits: u8,
    pub hole_offset: usize,
    pub hole_length: usize,
}

pub(super) enum RestoreError {
    Unsupported(&'static str),
    Corrupt,
}

/// Makes the page of which `image` is the image.
pub(super) fn restore(image: &ImageSource<'_>, page: &mut [u8; BLOCK_SIZE]) -> Result<(), RestoreError> {
    let plain_length = BLOCK_SIZE - image.hole_length;
    let mut plain = [0; BLOCK_SIZE];
    let length = match image.bits & IMAGE_COMPRESSED {
        0 => {
            let target = plain.get_mut(..image.bytes.len()).ok_or(RestoreError::Corrupt)?;
            target.copy_from_slice(image.bytes);
            image.bytes.len()
        }
        IMAGE_PGLZ => {
            pglz::decompress(image.bytes, &mut plain[..plain_length]).map_err(|_| RestoreError::Corrupt)?
        }
        IMAGE_LZ4 => lz4_flex::block::decompress_into(image.bytes, &mut plain[..plain_length])
            .map_err(|_| RestoreError::Corrupt)?,
        IMAGE_ZSTD => return Err(RestoreError::Unsupported("zstd")),
        _ => return Err(RestoreError::Corrupt),
    };
    if length != plain_length {
        return Err(RestoreError::Corrupt);
    }
    let (before, after) = plain[..plain_length].split_at(image.hole_offset);
    let hole_end = image.hole_offset + image.hole_length;
    page[..image.hole_offset].copy_from_slice(before);
    page[image.hole_offset..hole_end].fill(0);
    page[hole_end..].copy_from_slice(after);
    Ok(())
}
