//! Taking a record apart.
//!
//! Realises: `DecodeXLogRecord` and `RestoreBlockImage`. The bytes come from disk and may be anything: a
//! record is either decoded, with every range inside it checked, or refused with PostgreSQL's message.

use std::ops::Range;

use kokkiri_primitives::ids::{
    BLOCK_SIZE, BlockNumber, Fork, Lsn, Oid, RelFileLocator, RelFileNumber, TransactionId,
};

use crate::rmgr::RmgrId;

use super::image::{self, ImageSource};
use super::*;

/// A record that was read and found whole.
///
/// The bytes are kept in one piece; the accessors hand out parts of it.
#[derive(Clone, Debug)]
pub struct DecodedRecord {
    /// Where the record starts.
    pub lsn: Lsn,
    /// Where the next record starts; the LSN that the pages it changes carry.
    pub end_lsn: Lsn,
    pub prev: Lsn,
    /// Zero for records outside transactions.
    pub xid: TransactionId,
    pub rmgr: RmgrId,
    /// All eight bits; [`DecodedRecord::operation`] has the resource manager's.
    pub info: u8,
    pub total_length: u32,
    /// Replication origin, if the record carries one.
    pub origin: Option<u16>,
    /// Top-level transaction, where a subtransaction's record carries it.
    pub toplevel_xid: Option<TransactionId>,
    /// In the order of their ids.
    pub blocks: Vec<DecodedBlock>,
    main_data: Range<usize>,
    bytes: Vec<u8>,
}

/// A reference of a record to a page.
#[derive(Clone, Debug)]
pub struct DecodedBlock {
    pub id: u8,
    pub locator: RelFileLocator,
    pub fork: Fork,
    pub block: BlockNumber,
    /// Redo makes the page from nothing.
    pub will_init: bool,
    /// The record has a full image of the page that redo puts in place.
    pub apply_image: bool,
    image: Option<Image>,
    data: Range<usize>,
}

#[derive(Clone, Debug)]
struct Image {
    range: Range<usize>,
    bits: u8,
    hole_offset: u16,
    hole_length: u16,
}

impl DecodedBlock {
    pub fn has_image(&self) -> bool {
        self.image.is_some()
    }

    /// Bytes the image takes in the record.
    pub fn image_length(&self) -> usize {
        self.image.as_ref().map_or(0, |image| image.range.len())
    }
}

/// Takes the next bytes off the front of the headers.
struct Headers<'a> {
    rest: &'a [u8],
    lsn: Lsn,
}

impl Headers<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        match self.rest.split_first_chunk::<N>() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(*bytes)
            }
            None => Err(format!("record with invalid length at {}", self.lsn)),
        }
    }

    fn u8(&mut self) -> Result<u8, String> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.take().map(u32::from_le_bytes)
    }
}

impl DecodedRecord {
    /// Decodes the whole record in `bytes`, which starts at `lsn` in the WAL and ends at `end_lsn`.
    ///
    /// The header was validated and the CRC checked before; this checks the inner structure.
    ///
    /// # Errors
    /// PostgreSQL's message about what is wrong. Not an [`kokkiri_primitives::error::Error`], because an
    /// invalid record is how the end of the WAL looks.
    pub fn decode(bytes: Vec<u8>, lsn: Lsn, end_lsn: Lsn) -> Result<Self, String> {
        let invalid_length = || format!("record with invalid length at {lsn}");
        let header = bytes.first_chunk().map(RecordHeader::decode).ok_or_else(invalid_length)?;
        let rmgr = RmgrId::try_from(header.rmgr)
            .map_err(|()| format!("invalid resource manager ID {} at {lsn}", header.rmgr))?;
        let mut headers = Headers { rest: &bytes[RECORD_HEADER_SIZE..], lsn };
        let mut blocks: Vec<DecodedBlock> = Vec::new();
        let mut origin = None;
        let mut toplevel_xid = None;
        let mut main_length = 0;
        // Ranges are relative to the payload until the headers' end is known.
        let mut payload = 0;
        while headers.rest.len() > payload {
            match headers.u8()? {
                ID_DATA_SHORT => {
                    main_length = usize::from(headers.u8()?);
                    break;
                }
                ID_DATA_LONG => {
                    main_length = headers.u32()? as usize;
                    break;
                }
                ID_ORIGIN => origin = Some(headers.u16()?),
                ID_TOPLEVEL_XID => toplevel_xid = Some(TransactionId(headers.u32()?)),
                id @ 0..=BLOCK_ID_MAX => {
                    let previous = blocks.last();
                    if previous.is_some_and(|previous| id <= previous.id) {
                        return Err(format!("out-of-order block_id {id} at {lsn}"));
                    }
                    let block = decode_block(&mut headers, id, previous.map(|block| block.locator), payload)?;
                    payload = block.data.end;
                    blocks.push(block);
                }
                id => return Err(format!("invalid block_id {id} at {lsn}")),
            }
        }
        if headers.rest.len() != payload + main_length {
            return Err(invalid_length());
        }
        let start = bytes.len() - headers.rest.len();
        for block in &mut blocks {
            block.data = block.data.start + start..block.data.end + start;
            if let Some(image) = &mut block.image {
                image.range = image.range.start + start..image.range.end + start;
            }
        }
        Ok(Self {
            lsn,
            end_lsn,
            prev: header.prev,
            xid: header.xid,
            rmgr,
            info: header.info,
            total_length: header.total_length,
            origin,
            toplevel_xid,
            blocks,
            main_data: start + payload..start + payload + main_length,
            bytes,
        })
    }

    /// What the resource manager calls this kind of record: `info` without the bits of the WAL itself.
    pub fn operation(&self) -> u8 {
        self.info & RMGR_INFO_MASK
    }

    pub fn main_data(&self) -> &[u8] {
        &self.bytes[self.main_data.clone()]
    }

    /// The whole record, header included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn block(&self, id: u8) -> Option<&DecodedBlock> {
        self.blocks.iter().find(|block| block.id == id)
    }

    /// The data registered with a block; `None` if there is none, for instance because an image
    /// replaced it.
    pub fn block_data(&self, id: u8) -> Option<&[u8]> {
        let block = self.block(id)?;
        (!block.data.is_empty()).then(|| &self.bytes[block.data.clone()])
    }

    /// Bytes of the record that are page images, for statistics.
    pub fn image_bytes(&self) -> usize {
        self.blocks.iter().map(DecodedBlock::image_length).sum()
    }

    /// Rebuilds the page whose image `block` has.
    ///
    /// # Errors
    /// PostgreSQL's message, if there is no image or it can't be decompressed.
    pub fn restore_image(&self, block: &DecodedBlock, page: &mut [u8; BLOCK_SIZE]) -> Result<(), String> {
        let Some(found) = &block.image else {
            return Err(format!(
                "could not restore image at {} with invalid state, block {}",
                self.lsn, block.id
            ));
        };
        let source = ImageSource {
            bytes: &self.bytes[found.range.clone()],
            bits: found.bits,
            hole_offset: usize::from(found.hole_offset),
            hole_length: usize::from(found.hole_length),
        };
        image::restore(&source, page).map_err(|reason| {
            let (lsn, id) = (self.lsn, block.id);
            match reason {
                image::RestoreError::Unsupported(method) => format!(
                    "could not restore image at {lsn} compressed with {method} not supported by build, block {id}"
                ),
                image::RestoreError::Corrupt => format!("could not decompress image at {lsn}, block {id}"),
            }
        })
    }
}

/// Decodes the header of one block reference. Its ranges start at `payload`, relative to the payload.
fn decode_block(
    headers: &mut Headers<'_>,
    id: u8,
    previous: Option<RelFileLocator>,
    payload: usize,
) -> Result<DecodedBlock, String> {
    let lsn = headers.lsn;
    let flags = headers.u8()?;
    let data_length = headers.u16()?;
    if flags & BLOCK_HAS_DATA != 0 && data_length == 0 {
        return Err(format!("BKPBLOCK_HAS_DATA set, but no data included at {lsn}"));
    }
    if flags & BLOCK_HAS_DATA == 0 && data_length != 0 {
        return Err(format!("BKPBLOCK_HAS_DATA not set, but data length is {data_length} at {lsn}"));
    }
    let image =
        if flags & BLOCK_HAS_IMAGE != 0 { Some(decode_image(headers, payload, data_length)?) } else { None };
    let locator = if flags & BLOCK_SAME_RELATION == 0 {
        RelFileLocator {
            tablespace: Oid(headers.u32()?),
            database: Oid(headers.u32()?),
            number: RelFileNumber(headers.u32()?),
        }
    } else {
        previous.ok_or_else(|| format!("BKPBLOCK_SAME_REL set but no previous rel at {lsn}"))?
    };
    let block = BlockNumber(headers.u32()?);
    let fork = Fork::try_from(flags & FORK_MASK)
        .map_err(|()| format!("invalid fork number {} at {lsn}", flags & FORK_MASK))?;
    let data_start = image.as_ref().map_or(payload, |image| image.range.end);
    Ok(DecodedBlock {
        id,
        locator,
        fork,
        block,
        will_init: flags & BLOCK_WILL_INIT != 0,
        apply_image: image.as_ref().is_some_and(|image| image.bits & IMAGE_APPLY != 0),
        image,
        data: data_start..data_start + usize::from(data_length),
    })
}

fn decode_image(headers: &mut Headers<'_>, payload: usize, data_length: u16) -> Result<Image, String> {
    let lsn = headers.lsn;
    let length = headers.u16()?;
    let hole_offset = headers.u16()?;
    let bits = headers.u8()?;
    let compressed = bits & IMAGE_COMPRESSED != 0;
    let has_hole = bits & IMAGE_HAS_HOLE != 0;
    let hole_length = match (compressed, has_hole) {
        (true, true) => headers.u16()?,
        (true, false) => 0,
        (false, _) => (BLOCK_SIZE as u16).wrapping_sub(length),
    };
    let full = usize::from(length) == BLOCK_SIZE;
    if has_hole && (hole_offset == 0 || hole_length == 0 || full) {
        return Err(format!(
            "BKPIMAGE_HAS_HOLE set, but hole offset {hole_offset} length {hole_length} block image length {length} at {lsn}"
        ));
    }
    if !has_hole && (hole_offset != 0 || hole_length != 0) {
        return Err(format!(
            "BKPIMAGE_HAS_HOLE not set, but hole offset {hole_offset} length {hole_length} at {lsn}"
        ));
    }
    if compressed && full {
        return Err(format!("BKPIMAGE_COMPRESSED set, but block image length {length} at {lsn}"));
    }
    if !has_hole && !compressed && !full {
        return Err(format!(
            "neither BKPIMAGE_HAS_HOLE nor BKPIMAGE_COMPRESSED set, but block image length is {data_length} at {lsn}"
        ));
    }
    // Stricter than PostgreSQL, whose restore trusts the CRC here: a hole that leaves the page is refused
    // before anything is copied.
    if usize::from(hole_offset) + usize::from(hole_length) > BLOCK_SIZE {
        return Err(format!(
            "BKPIMAGE_HAS_HOLE set, but hole offset {hole_offset} length {hole_length} block image length {length} at {lsn}"
        ));
    }
    Ok(Image { range: payload..payload + usize::from(length), bits, hole_offset, hole_length })
}
