//! The records of resource manager Btree, byte for byte PostgreSQL 18's.
//!
//! Realises: nbtxlog.h. Block references by record:
//!
//! | record            | block 0            | 1                 | 2             | 3            | 4        |
//! |-------------------|--------------------|-------------------|---------------|--------------|----------|
//! | INSERT_LEAF, POST | page               |                   |               |              |          |
//! | INSERT_UPPER      | page               | left child        |               |              |          |
//! | INSERT_META       | page               | left child        | metapage      |              |          |
//! | SPLIT_L, SPLIT_R  | left page          | right page        | next right    | left child   |          |
//! | DEDUP, VACUUM, DELETE | page           |                   |               |              |          |
//! | MARK_PAGE_HALFDEAD| leaf               | parent            |               |              |          |
//! | UNLINK_PAGE(_META)| page               | left sibling      | right sibling | leaf         | metapage |
//! | NEWROOT           | root               | left child        | metapage      |              |          |
//! | META_CLEANUP      | metapage           |                   |               |              |          |

use kokkiri_primitives::{
    BlockNumber, Error, FullTransactionId, OffsetNumber, Oid, RelFileLocator, RelFileNumber, Result,
    TransactionId, error,
};

use super::change::Removal;
use super::dedup::Interval;
use super::page::{Meta, link, unlink};

/// Kinds of record, the high four bits of `xl_info`.
pub mod info {
    pub const INSERT_LEAF: u8 = 0x00;
    pub const INSERT_UPPER: u8 = 0x10;
    pub const INSERT_META: u8 = 0x20;
    pub const SPLIT_L: u8 = 0x30;
    pub const SPLIT_R: u8 = 0x40;
    pub const INSERT_POST: u8 = 0x50;
    pub const DEDUP: u8 = 0x60;
    pub const DELETE: u8 = 0x70;
    pub const UNLINK_PAGE: u8 = 0x80;
    pub const UNLINK_PAGE_META: u8 = 0x90;
    pub const NEWROOT: u8 = 0xA0;
    pub const MARK_PAGE_HALFDEAD: u8 = 0xB0;
    pub const VACUUM: u8 = 0xC0;
    pub const REUSE_PAGE: u8 = 0xD0;
    pub const META_CLEANUP: u8 = 0xE0;
}

/// Reads little-endian fields off the front of a record's bytes.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or_else(damaged_record)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(self.take::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn offset(&mut self) -> Result<OffsetNumber> {
        self.u16().map(OffsetNumber)
    }
}

pub fn damaged_record() -> Error {
    error!(DATA_CORRUPTED, "Btree WAL record is shorter than its contents")
}

/// `xl_btree_insert`.
pub struct Insert {
    pub offset: OffsetNumber,
}

impl Insert {
    pub fn encode(&self) -> [u8; 2] {
        self.offset.0.to_le_bytes()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Ok(Self { offset: Fields(bytes).offset()? })
    }
}

/// `xl_btree_split`.
pub struct Split {
    pub level: u32,
    pub first_right: OffsetNumber,
    pub new_item: OffsetNumber,
    /// Where the incoming tid split a posting list of the left page; 0 if it didn't.
    pub posting_offset: u16,
}

impl Split {
    pub fn encode(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[..4].copy_from_slice(&self.level.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.first_right.0.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.new_item.0.to_le_bytes());
        bytes[8..].copy_from_slice(&self.posting_offset.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields(bytes);
        Ok(Self {
            level: fields.u32()?,
            first_right: fields.offset()?,
            new_item: fields.offset()?,
            posting_offset: fields.u16()?,
        })
    }
}

/// `xl_btree_dedup` with its intervals, which travel as data of the block.
pub struct Dedup;

impl Dedup {
    pub fn encode(intervals: &[Interval]) -> ([u8; 2], Vec<u8>) {
        let mut data = Vec::with_capacity(intervals.len() * 4);
        for interval in intervals {
            data.extend_from_slice(&interval.first.0.to_le_bytes());
            data.extend_from_slice(&interval.count.to_le_bytes());
        }
        ((intervals.len() as u16).to_le_bytes(), data)
    }

    pub fn decode(main: &[u8], block: &[u8]) -> Result<Vec<Interval>> {
        let count = Fields(main).u16()?;
        let mut fields = Fields(block);
        (0..count).map(|_| Ok(Interval { first: fields.offset()?, count: fields.u16()? })).collect()
    }
}

/// What VACUUM and DELETE records carry as data of the block: offsets deleted, offsets updated, and for
/// each of the latter the positions of the tids that go.
pub fn encode_removal(removal: &Removal) -> Vec<u8> {
    let mut data = Vec::with_capacity((removal.deleted.len() + 4 * removal.updated.len()) * 2);
    let mut push = |number: u16| data.extend_from_slice(&number.to_le_bytes());
    removal.deleted.iter().for_each(|offset| push(offset.0));
    removal.updated.iter().for_each(|(offset, _)| push(offset.0));
    for (_, positions) in &removal.updated {
        push(positions.len() as u16);
        positions.iter().for_each(|position| push(*position));
    }
    data
}

fn decode_removal(deleted: u16, updated: u16, block: &[u8]) -> Result<Removal> {
    let mut fields = Fields(block);
    let deleted = (0..deleted).map(|_| fields.offset()).collect::<Result<_>>()?;
    let offsets: Vec<_> = (0..updated).map(|_| fields.offset()).collect::<Result<_>>()?;
    let mut updated = Vec::with_capacity(offsets.len());
    for offset in offsets {
        let count = fields.u16()?;
        updated.push((offset, (0..count).map(|_| fields.u16()).collect::<Result<_>>()?));
    }
    Ok(Removal { deleted, updated })
}

/// `xl_btree_vacuum`.
pub struct Vacuum;

impl Vacuum {
    pub fn encode(removal: &Removal) -> [u8; 4] {
        let [d0, d1] = (removal.deleted.len() as u16).to_le_bytes();
        let [u0, u1] = (removal.updated.len() as u16).to_le_bytes();
        [d0, d1, u0, u1]
    }

    pub fn decode(main: &[u8], block: &[u8]) -> Result<Removal> {
        let mut fields = Fields(main);
        let (deleted, updated) = (fields.u16()?, fields.u16()?);
        decode_removal(deleted, updated, block)
    }
}

/// `xl_btree_delete`.
pub struct Delete {
    /// Standbys end snapshots that could still need what was removed up to here.
    pub conflict_horizon: TransactionId,
    pub is_catalog: bool,
}

impl Delete {
    pub fn encode(&self, removal: &Removal) -> [u8; 9] {
        let mut bytes = [0; 9];
        bytes[..4].copy_from_slice(&self.conflict_horizon.0.to_le_bytes());
        bytes[4..8].copy_from_slice(&Vacuum::encode(removal));
        bytes[8] = u8::from(self.is_catalog);
        bytes
    }

    pub fn decode(main: &[u8], block: &[u8]) -> Result<(Self, Removal)> {
        let mut fields = Fields(main);
        let conflict_horizon = TransactionId(fields.u32()?);
        let (deleted, updated) = (fields.u16()?, fields.u16()?);
        let is_catalog = fields.u8()? != 0;
        Ok((Self { conflict_horizon, is_catalog }, decode_removal(deleted, updated, block)?))
    }
}

/// `xl_btree_mark_page_halfdead`.
pub struct MarkHalfDead {
    /// The parent's entry that goes.
    pub parent_offset: OffsetNumber,
    pub leaf: BlockNumber,
    pub left: Option<BlockNumber>,
    pub right: Option<BlockNumber>,
    pub top_parent: Option<BlockNumber>,
}

impl MarkHalfDead {
    pub fn encode(&self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..2].copy_from_slice(&self.parent_offset.0.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.leaf.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&unlink(self.left).to_le_bytes());
        bytes[12..16].copy_from_slice(&unlink(self.right).to_le_bytes());
        bytes[16..].copy_from_slice(&block_or_invalid(self.top_parent).to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields(bytes);
        let parent_offset = fields.offset()?;
        fields.u16()?;
        Ok(Self {
            parent_offset,
            leaf: BlockNumber(fields.u32()?),
            left: link(fields.u32()?),
            right: link(fields.u32()?),
            top_parent: valid_block(fields.u32()?),
        })
    }
}

/// `xl_btree_unlink_page`.
pub struct UnlinkPage {
    pub left: Option<BlockNumber>,
    pub right: Option<BlockNumber>,
    pub level: u32,
    pub safe_xid: FullTransactionId,
    /// To make the half-dead leaf anew, if the page is not itself the leaf.
    pub leaf_left: Option<BlockNumber>,
    pub leaf_right: Option<BlockNumber>,
    pub leaf_top_parent: Option<BlockNumber>,
}

impl UnlinkPage {
    pub fn encode(&self) -> [u8; 36] {
        let mut bytes = [0; 36];
        bytes[..4].copy_from_slice(&unlink(self.left).to_le_bytes());
        bytes[4..8].copy_from_slice(&unlink(self.right).to_le_bytes());
        bytes[8..12].copy_from_slice(&self.level.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.safe_xid.0.to_le_bytes());
        bytes[24..28].copy_from_slice(&unlink(self.leaf_left).to_le_bytes());
        bytes[28..32].copy_from_slice(&unlink(self.leaf_right).to_le_bytes());
        bytes[32..].copy_from_slice(&block_or_invalid(self.leaf_top_parent).to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields(bytes);
        let (left, right, level) = (link(fields.u32()?), link(fields.u32()?), fields.u32()?);
        fields.u32()?;
        Ok(Self {
            left,
            right,
            level,
            safe_xid: FullTransactionId(fields.u64()?),
            leaf_left: link(fields.u32()?),
            leaf_right: link(fields.u32()?),
            leaf_top_parent: valid_block(fields.u32()?),
        })
    }
}

fn block_or_invalid(block: Option<BlockNumber>) -> u32 {
    block.unwrap_or(BlockNumber::INVALID).0
}

fn valid_block(block: u32) -> Option<BlockNumber> {
    let block = BlockNumber(block);
    (block != BlockNumber::INVALID).then_some(block)
}

/// `xl_btree_newroot`.
pub struct NewRoot {
    pub root: BlockNumber,
    pub level: u32,
}

impl NewRoot {
    pub fn encode(&self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.root.0.to_le_bytes());
        bytes[4..].copy_from_slice(&self.level.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields(bytes);
        Ok(Self { root: BlockNumber(fields.u32()?), level: fields.u32()? })
    }
}

/// `xl_btree_reuse_page`.
pub struct ReusePage {
    pub locator: RelFileLocator,
    pub block: BlockNumber,
    pub conflict_horizon: FullTransactionId,
    pub is_catalog: bool,
}

impl ReusePage {
    pub fn encode(&self) -> [u8; 25] {
        let mut bytes = [0; 25];
        bytes[..4].copy_from_slice(&self.locator.tablespace.0.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.locator.database.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.locator.number.0.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.block.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.conflict_horizon.0.to_le_bytes());
        bytes[24] = u8::from(self.is_catalog);
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields(bytes);
        let locator = RelFileLocator {
            tablespace: Oid(fields.u32()?),
            database: Oid(fields.u32()?),
            number: RelFileNumber(fields.u32()?),
        };
        Ok(Self {
            locator,
            block: BlockNumber(fields.u32()?),
            conflict_horizon: FullTransactionId(fields.u64()?),
            is_catalog: fields.u8()? != 0,
        })
    }
}

/// `xl_btree_metadata`, which travels as data of the metapage's block.
pub fn encode_meta(meta: &Meta) -> [u8; 28] {
    let mut bytes = [0; 28];
    let words = [
        meta.version,
        unlink(meta.root),
        meta.level,
        unlink(meta.fast_root),
        meta.fast_level,
        meta.last_cleanup_deleted_pages,
    ];
    for (n, word) in words.iter().enumerate() {
        bytes[n * 4..n * 4 + 4].copy_from_slice(&word.to_le_bytes());
    }
    bytes[24] = u8::from(meta.equal_image);
    bytes
}

pub fn decode_meta(bytes: &[u8]) -> Result<Meta> {
    let mut fields = Fields(bytes);
    Ok(Meta {
        version: fields.u32()?,
        root: link(fields.u32()?),
        level: fields.u32()?,
        fast_root: link(fields.u32()?),
        fast_level: fields.u32()?,
        last_cleanup_deleted_pages: fields.u32()?,
        equal_image: fields.u8()? != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removals_round_trip() {
        let removal = Removal {
            deleted: vec![OffsetNumber(2), OffsetNumber(9)],
            updated: vec![(OffsetNumber(3), vec![0, 4]), (OffsetNumber(5), vec![1])],
        };
        let data = encode_removal(&removal);
        assert_eq!(data, [2, 0, 9, 0, 3, 0, 5, 0, 2, 0, 0, 0, 4, 0, 1, 0, 1, 0]);
        assert_eq!(Vacuum::decode(&Vacuum::encode(&removal), &data).unwrap(), removal);
        let head = Delete { conflict_horizon: TransactionId(700), is_catalog: true };
        let (decoded, again) = Delete::decode(&head.encode(&removal), &data).unwrap();
        assert_eq!(
            (decoded.conflict_horizon, decoded.is_catalog, again),
            (TransactionId(700), true, removal)
        );
        assert!(Vacuum::decode(&[9, 0, 0, 0], &[1, 0]).is_err(), "fewer offsets than said");
    }

    #[test]
    fn page_deletion_records_have_postgresql_padding() {
        let unlink = UnlinkPage {
            left: Some(BlockNumber(1)),
            right: Some(BlockNumber(4)),
            level: 0,
            safe_xid: FullTransactionId(0x1_0000_02d5),
            leaf_left: Some(BlockNumber(1)),
            leaf_right: Some(BlockNumber(4)),
            leaf_top_parent: None,
        };
        let bytes = unlink.encode();
        assert_eq!(bytes[12..24], [0, 0, 0, 0, 0xd5, 2, 0, 0, 1, 0, 0, 0]);
        assert_eq!(bytes[32..], [0xff; 4]);
        let again = UnlinkPage::decode(&bytes).unwrap();
        assert_eq!(
            (again.safe_xid, again.right, again.leaf_top_parent),
            (unlink.safe_xid, unlink.right, None)
        );
    }
}
