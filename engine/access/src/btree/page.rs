//! Reading a B-tree page: its special area, its items, the metapage.
//!
//! Realises: `BTPageOpaqueData`, `BTMetaPageData`, `BTDeletedPageData`, `_bt_checkpage`.
//!
//! ```text
//!  0        24                       pd_upper          8176             8192
//!  +--------+---------------+--------+-----------------+----------------+
//!  | header | line pointers |  free  | tuples          | special area   |
//!  +--------+---------------+--------+-----------------+----------------+
//!  special area: btpo_prev, btpo_next, btpo_level (4 bytes each), btpo_flags, btpo_cycleid (2 each)
//!  metapage (block 0): BTMetaPageData from byte 24 to 72, no items
//!  deleted page: safexid (8 bytes) from byte 24
//! ```
//!
//! Item 1 of a page that is not the rightmost of its level is the high key: no key on the page is
//! greater. Data items follow. The first data item above the leaves has no key: minus infinity.

use kokkiri_primitives::{BlockNumber, Error, FullTransactionId, OffsetNumber, Result, error};
use kokkiri_storage::Page;

use super::tuple::TupleRef;

pub const PAGE_HEADER_SIZE: usize = 24;
pub const LINE_POINTER_SIZE: usize = 4;
/// Size of the special area, bytes.
pub const SPECIAL_SIZE: usize = 16;
const SPECIAL_START: usize = 8192 - SPECIAL_SIZE;

/// The metapage is the first.
pub const METAPAGE: BlockNumber = BlockNumber(0);
/// Offset of the high key on a page that has one.
pub const HIGH_KEY: OffsetNumber = OffsetNumber(1);

const MAGIC: u32 = 0x0005_3162;
/// `BTREE_VERSION`: heap tids are part of the key.
pub const VERSION: u32 = 4;
const META_END: usize = PAGE_HEADER_SIZE + 48;
const DELETED_END: usize = PAGE_HEADER_SIZE + 8;

/// Bits of `btpo_flags`.
pub mod flags {
    pub const LEAF: u16 = 1 << 0;
    pub const ROOT: u16 = 1 << 1;
    pub const DELETED: u16 = 1 << 2;
    pub const META: u16 = 1 << 3;
    pub const HALF_DEAD: u16 = 1 << 4;
    /// Rightmost page of a group that came from one page's splits during a vacuum.
    pub const SPLIT_END: u16 = 1 << 5;
    pub const HAS_GARBAGE: u16 = 1 << 6;
    /// The right sibling's downlink is missing in the parent.
    pub const INCOMPLETE_SPLIT: u16 = 1 << 7;
    /// A deleted page holds a 64-bit safexid.
    pub const HAS_FULL_XID: u16 = 1 << 8;
}

/// The special area, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Opaque {
    /// Left sibling; `None` if leftmost.
    pub prev: Option<BlockNumber>,
    /// Right sibling; `None` if rightmost.
    pub next: Option<BlockNumber>,
    /// 0 for leaves.
    pub level: u32,
    pub flags: u16,
    /// Vacuum cycle during which the page was last split, or 0.
    pub cycle_id: u16,
}

impl Opaque {
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    pub fn is_leaf(&self) -> bool {
        self.has(flags::LEAF)
    }

    pub fn is_root(&self) -> bool {
        self.has(flags::ROOT)
    }

    pub fn is_leftmost(&self) -> bool {
        self.prev.is_none()
    }

    pub fn is_rightmost(&self) -> bool {
        self.next.is_none()
    }

    pub fn is_deleted(&self) -> bool {
        self.has(flags::DELETED)
    }

    pub fn is_half_dead(&self) -> bool {
        self.has(flags::HALF_DEAD)
    }

    /// Deleted or on its way to be: a search moves right.
    pub fn is_ignored(&self) -> bool {
        self.has(flags::DELETED | flags::HALF_DEAD)
    }

    pub fn is_incomplete_split(&self) -> bool {
        self.has(flags::INCOMPLETE_SPLIT)
    }

    /// Offset of the first data item: `P_FIRSTDATAKEY`.
    pub fn first_data(&self) -> OffsetNumber {
        if self.is_rightmost() { OffsetNumber(1) } else { OffsetNumber(2) }
    }

    fn decode(bytes: &[u8]) -> Self {
        Self {
            prev: link(u32_at(bytes, 0)),
            next: link(u32_at(bytes, 4)),
            level: u32_at(bytes, 8),
            flags: u16::from_le_bytes([bytes[12], bytes[13]]),
            cycle_id: u16::from_le_bytes([bytes[14], bytes[15]]),
        }
    }

    fn encode(&self) -> [u8; SPECIAL_SIZE] {
        let mut bytes = [0; SPECIAL_SIZE];
        bytes[0..4].copy_from_slice(&unlink(self.prev).to_le_bytes());
        bytes[4..8].copy_from_slice(&unlink(self.next).to_le_bytes());
        bytes[8..12].copy_from_slice(&self.level.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.flags.to_le_bytes());
        bytes[14..16].copy_from_slice(&self.cycle_id.to_le_bytes());
        bytes
    }
}

/// Block 0 is never linked to, so zero means no page: `P_NONE`.
pub fn link(block: u32) -> Option<BlockNumber> {
    (block != 0).then_some(BlockNumber(block))
}

/// On-disk form of a link.
pub fn unlink(block: Option<BlockNumber>) -> u32 {
    block.map_or(0, |block| block.0)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The metapage's contents, version 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    pub version: u32,
    /// `None` while the index is empty and never held anything.
    pub root: Option<BlockNumber>,
    pub level: u32,
    /// The lowest page that is alone on its level: where descents start.
    pub fast_root: Option<BlockNumber>,
    pub fast_level: u32,
    /// Deleted pages that the last cleanup could not recycle yet.
    pub last_cleanup_deleted_pages: u32,
    /// Deduplication is safe.
    pub equal_image: bool,
}

impl Meta {
    /// Of a new index.
    pub fn new(root: Option<BlockNumber>, level: u32, equal_image: bool) -> Self {
        Self {
            version: VERSION,
            root,
            level,
            fast_root: root,
            fast_level: level,
            last_cleanup_deleted_pages: 0,
            equal_image,
        }
    }

    /// Writes a whole metapage: `_bt_initmetapage`.
    pub fn write(&self, page: &mut Page) {
        page.init(SPECIAL_SIZE);
        page.set_opaque(Opaque { flags: flags::META, ..Opaque::default() });
        self.store(page);
    }

    /// Writes the contents into an existing metapage.
    pub fn store(&self, page: &mut Page) {
        let bytes = &mut page.bytes_mut()[PAGE_HEADER_SIZE..META_END];
        let words = [
            MAGIC,
            self.version,
            unlink(self.root),
            self.level,
            unlink(self.fast_root),
            self.fast_level,
            self.last_cleanup_deleted_pages,
        ];
        for (n, word) in words.iter().enumerate() {
            bytes[n * 4..n * 4 + 4].copy_from_slice(&word.to_le_bytes());
        }
        // The deprecated count of heap tuples is always -1.
        bytes[32..40].copy_from_slice(&(-1.0_f64).to_le_bytes());
        bytes[40] = u8::from(self.equal_image);
        page.set_lower(META_END);
    }

    /// Reads and checks the metapage of index `index`: `_bt_getmeta`.
    pub fn read(page: &Page, index: &str) -> Result<Self> {
        let bytes = &page.bytes()[PAGE_HEADER_SIZE..META_END];
        if !page.opaque().has(flags::META) || u32_at(bytes, 0) != MAGIC {
            return Err(error!(INDEX_CORRUPTED, "index \"{index}\" is not a btree"));
        }
        let version = u32_at(bytes, 4);
        if version != VERSION {
            return Err(error!(
                INDEX_CORRUPTED,
                "version mismatch in index \"{index}\": file version {version}, \
                 current version {VERSION}, minimal supported version {VERSION}"
            ));
        }
        Ok(Self {
            version,
            root: link(u32_at(bytes, 8)),
            level: u32_at(bytes, 12),
            fast_root: link(u32_at(bytes, 16)),
            fast_level: u32_at(bytes, 20),
            last_cleanup_deleted_pages: u32_at(bytes, 24),
            equal_image: bytes[40] != 0,
        })
    }
}

/// What a B-tree page adds to a page.
pub trait BtreePage {
    fn opaque(&self) -> Opaque;
    fn set_opaque(&mut self, opaque: Opaque);
    /// Clears a bit of `btpo_flags`.
    fn unmark(&mut self, flag: u16);
    /// Sets a bit of `btpo_flags`.
    fn mark(&mut self, flag: u16);
    /// The tuple at `offset`, dead or not.
    fn tuple(&self, offset: OffsetNumber) -> Result<TupleRef<'_>>;
    fn high_key(&self) -> Result<Option<TupleRef<'_>>>;
    /// Offsets of the data items.
    fn data_offsets(&self) -> OffsetRange;
    /// True if there is no data item.
    fn is_empty_of_data(&self) -> bool;
    /// When a deleted page was: nobody who could have seen a link to it may be running when it is reused.
    fn safe_xid(&self) -> Option<FullTransactionId>;
    fn set_deleted(&mut self, safe_xid: FullTransactionId);
    /// True if a sibling is the page itself: whoever followed the link with the page locked would wait for
    /// himself.
    fn links_to(&self, block: BlockNumber) -> bool;
    /// `_bt_checkpage`: errors unless this is an initialised page with a B-tree special area. Stricter than
    /// PostgreSQL about links.
    fn check(&self, index: &str, block: BlockNumber) -> Result<()>;
}

impl BtreePage for Page {
    fn opaque(&self) -> Opaque {
        Opaque::decode(&self.bytes()[SPECIAL_START..])
    }

    fn set_opaque(&mut self, opaque: Opaque) {
        self.bytes_mut()[SPECIAL_START..].copy_from_slice(&opaque.encode());
    }

    fn unmark(&mut self, flag: u16) {
        let mut opaque = self.opaque();
        opaque.flags &= !flag;
        self.set_opaque(opaque);
    }

    fn mark(&mut self, flag: u16) {
        let mut opaque = self.opaque();
        opaque.flags |= flag;
        self.set_opaque(opaque);
    }

    fn tuple(&self, offset: OffsetNumber) -> Result<TupleRef<'_>> {
        self.item(offset).and_then(TupleRef::parse).ok_or_else(|| damaged_item(offset))
    }

    fn high_key(&self) -> Result<Option<TupleRef<'_>>> {
        if self.opaque().is_rightmost() { Ok(None) } else { self.tuple(HIGH_KEY).map(Some) }
    }

    fn data_offsets(&self) -> OffsetRange {
        OffsetRange { next: self.opaque().first_data().0, end: self.max_offset().0 + 1 }
    }

    fn is_empty_of_data(&self) -> bool {
        self.opaque().first_data() > self.max_offset()
    }

    fn safe_xid(&self) -> Option<FullTransactionId> {
        let opaque = self.opaque();
        if !opaque.is_deleted() {
            return None;
        }
        if !opaque.has(flags::HAS_FULL_XID) {
            return Some(FullTransactionId(3));
        }
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.bytes()[PAGE_HEADER_SIZE..DELETED_END]);
        Some(FullTransactionId(u64::from_le_bytes(bytes)))
    }

    fn set_deleted(&mut self, safe_xid: FullTransactionId) {
        let mut opaque = self.opaque();
        opaque.flags = opaque.flags & !flags::HALF_DEAD | flags::DELETED | flags::HAS_FULL_XID;
        self.set_opaque(opaque);
        self.bytes_mut()[PAGE_HEADER_SIZE..DELETED_END].copy_from_slice(&safe_xid.0.to_le_bytes());
        self.set_lower(DELETED_END);
        self.set_upper(SPECIAL_START);
    }

    fn links_to(&self, block: BlockNumber) -> bool {
        let Opaque { prev, next, .. } = self.opaque();
        block != METAPAGE && (prev == Some(block) || next == Some(block))
    }

    fn check(&self, index: &str, block: BlockNumber) -> Result<()> {
        let problem = if self.is_new() {
            "unexpected zero page"
        } else if self.special_offset() != SPECIAL_START || self.links_to(block) {
            "corrupted page"
        } else {
            return Ok(());
        };
        Err(error!(INDEX_CORRUPTED, "index \"{index}\" contains {problem} at block {block}")
            .hint("Please REINDEX it."))
    }
}

fn damaged_item(offset: OffsetNumber) -> Error {
    error!(INDEX_CORRUPTED, "index page has no valid tuple at offset {offset}")
}

/// A range of line pointers.
#[derive(Clone, Copy, Debug)]
pub struct OffsetRange {
    next: u16,
    end: u16,
}

impl Iterator for OffsetRange {
    type Item = OffsetNumber;

    fn next(&mut self) -> Option<OffsetNumber> {
        if self.next >= self.end {
            return None;
        }
        self.next += 1;
        Some(OffsetNumber(self.next - 1))
    }
}
