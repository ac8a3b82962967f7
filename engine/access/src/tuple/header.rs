//! The header of a heap tuple: PostgreSQL's `HeapTupleHeaderData`.
//!
//! ```text
//!   0  t_xmin       inserting transaction
//!   4  t_xmax       deleting or locking transaction, or a multixact of them
//!   8  t_cid        inserting and/or deleting command
//!  12  t_ctid       this tuple, or its successor; block !0 with offset 1 means "moved to another partition"
//!  18  t_infomask2  11 bits of attribute count, HOT and key flags
//!  20  t_infomask   [`Infomask`]
//!  22  t_hoff       where the values start, a multiple of 8
//!  23  t_bits       null bitmap, present if [`Infomask::HAS_NULL`]: 1 is not null
//! ```

use kokkiri_primitives::{
    BlockNumber, CommandId, Error, ItemPointer, MultiXactId, OffsetNumber, Result, TransactionId,
};

/// Size of the fixed part, bytes: `SizeofHeapTupleHeader`.
pub const HEADER_SIZE: usize = 23;
/// Most attributes a tuple can have: `MaxHeapAttributeNumber`.
pub const ATTRIBUTES_MAX: usize = 1600;
/// Alignment of tuples and of their data: `MAXIMUM_ALIGNOF`.
pub const MAXIMUM_ALIGNMENT: usize = 8;
/// Byte position of `t_ctid`.
pub const CTID_OFFSET: usize = 12;

/// Rounds up to [`MAXIMUM_ALIGNMENT`]: `MAXALIGN`.
#[inline]
pub const fn max_align(size: usize) -> usize {
    (size + MAXIMUM_ALIGNMENT - 1) & !(MAXIMUM_ALIGNMENT - 1)
}

/// Flags of `t_infomask`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Infomask(pub u16);

impl Infomask {
    pub const HAS_NULL: u16 = 0x0001;
    pub const HAS_VARWIDTH: u16 = 0x0002;
    pub const HAS_EXTERNAL: u16 = 0x0004;
    pub const XMAX_KEYSHR_LOCK: u16 = 0x0010;
    pub const COMBO_CID: u16 = 0x0020;
    pub const XMAX_EXCL_LOCK: u16 = 0x0040;
    pub const XMAX_LOCK_ONLY: u16 = 0x0080;
    pub const XMAX_SHR_LOCK: u16 = Self::XMAX_EXCL_LOCK | Self::XMAX_KEYSHR_LOCK;
    /// Bits that say which lock xmax holds.
    pub const LOCK_MASK: u16 = Self::XMAX_SHR_LOCK;
    pub const XMIN_COMMITTED: u16 = 0x0100;
    pub const XMIN_INVALID: u16 = 0x0200;
    pub const XMIN_FROZEN: u16 = Self::XMIN_COMMITTED | Self::XMIN_INVALID;
    pub const XMAX_COMMITTED: u16 = 0x0400;
    pub const XMAX_INVALID: u16 = 0x0800;
    pub const XMAX_IS_MULTI: u16 = 0x1000;
    pub const UPDATED: u16 = 0x2000;
    pub const MOVED_OFF: u16 = 0x4000;
    pub const MOVED_IN: u16 = 0x8000;
    pub const MOVED: u16 = Self::MOVED_OFF | Self::MOVED_IN;
    /// Visibility-related bits: `HEAP_XACT_MASK`.
    pub const TRANSACTION_MASK: u16 = 0xFFF0;
    /// Everything that a new xmax replaces: `HEAP_XMAX_BITS`.
    pub const XMAX_BITS: u16 = Self::XMAX_COMMITTED
        | Self::XMAX_INVALID
        | Self::XMAX_IS_MULTI
        | Self::LOCK_MASK
        | Self::XMAX_LOCK_ONLY;

    #[inline]
    pub fn any(self, bits: u16) -> bool {
        self.0 & bits != 0
    }

    #[inline]
    pub fn all(self, bits: u16) -> bool {
        self.0 & bits == bits
    }

    /// True if xmax only locked the tuple: `HEAP_XMAX_IS_LOCKED_ONLY`. Tuples locked by servers before 9.3
    /// carry the exclusive bit alone.
    #[inline]
    pub fn xmax_is_locked_only(self) -> bool {
        self.any(Self::XMAX_LOCK_ONLY)
            || self.0 & (Self::XMAX_IS_MULTI | Self::LOCK_MASK) == Self::XMAX_EXCL_LOCK
    }

    /// A multixact from before 9.3, of which only locks can be left: `HEAP_LOCKED_UPGRADED`.
    #[inline]
    pub fn xmax_is_upgraded_lock(self) -> bool {
        self.all(Self::XMAX_IS_MULTI | Self::XMAX_LOCK_ONLY) && !self.any(Self::LOCK_MASK)
    }
}

/// Flags of `t_infomask2`.
pub mod infomask2 {
    /// Attribute count.
    pub const NATTS_MASK: u16 = 0x07FF;
    /// The tuple was updated in a key column, or deleted.
    pub const KEYS_UPDATED: u16 = 0x2000;
    /// The successor named by `t_ctid` is heap-only.
    pub const HOT_UPDATED: u16 = 0x4000;
    /// No index entry points here.
    pub const ONLY_TUPLE: u16 = 0x8000;
    /// Bits that mean something to others than the attribute count: `HEAP2_XACT_MASK`.
    pub const TRANSACTION_MASK: u16 = 0xE000;
}

/// The fixed part of a tuple header, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TupleHeader {
    pub xmin: TransactionId,
    /// A transaction or, with [`Infomask::XMAX_IS_MULTI`], a multixact.
    pub xmax: TransactionId,
    pub cid: CommandId,
    pub ctid: ItemPointer,
    pub infomask2: u16,
    pub infomask: Infomask,
    pub hoff: u8,
}

impl TupleHeader {
    /// Decodes the header of a stored tuple and checks that its data starts within it.
    #[inline]
    pub fn read(tuple: &[u8]) -> Result<Self> {
        let fixed: &[u8; HEADER_SIZE] = tuple.first_chunk().ok_or_else(damaged)?;
        let header = Self::from_bytes(fixed);
        let hoff = usize::from(header.hoff);
        if hoff < HEADER_SIZE || hoff > tuple.len() {
            return Err(damaged());
        }
        Ok(header)
    }

    #[inline]
    fn from_bytes(bytes: &[u8; HEADER_SIZE]) -> Self {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Self {
            xmin: TransactionId(word(0)),
            xmax: TransactionId(word(4)),
            cid: CommandId(word(8)),
            ctid: ItemPointer::new(
                BlockNumber(u32::from(half(12)) << 16 | u32::from(half(14))),
                OffsetNumber(half(16)),
            ),
            infomask2: half(18),
            infomask: Infomask(half(20)),
            hoff: bytes[22],
        }
    }

    pub fn to_bytes(self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[0..4].copy_from_slice(&self.xmin.0.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.xmax.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.cid.0.to_le_bytes());
        bytes[12..18].copy_from_slice(&self.ctid.to_bytes());
        bytes[18..20].copy_from_slice(&self.infomask2.to_le_bytes());
        bytes[20..22].copy_from_slice(&self.infomask.0.to_le_bytes());
        bytes[22] = self.hoff;
        bytes
    }

    /// Writes the fixed part over the one at the start of `tuple`.
    pub fn write(self, tuple: &mut [u8]) {
        tuple[..HEADER_SIZE].copy_from_slice(&self.to_bytes());
    }

    pub fn attribute_count(&self) -> usize {
        usize::from(self.infomask2 & infomask2::NATTS_MASK)
    }

    pub fn xmin_committed(&self) -> bool {
        self.infomask.any(Infomask::XMIN_COMMITTED)
    }

    /// Known aborted, as opposed to frozen, which sets both bits.
    pub fn xmin_invalid(&self) -> bool {
        self.infomask.0 & Infomask::XMIN_FROZEN == Infomask::XMIN_INVALID
    }

    pub fn xmin_frozen(&self) -> bool {
        self.infomask.all(Infomask::XMIN_FROZEN)
    }

    /// The inserting transaction as visibility sees it: `HeapTupleHeaderGetXmin`.
    pub fn effective_xmin(&self) -> TransactionId {
        if self.xmin_frozen() { TransactionId::FROZEN } else { self.xmin }
    }

    pub fn xmax_multi(&self) -> Option<MultiXactId> {
        self.infomask.any(Infomask::XMAX_IS_MULTI).then_some(MultiXactId(self.xmax.0))
    }

    pub fn is_hot_updated(&self) -> bool {
        self.infomask2 & infomask2::HOT_UPDATED != 0
            && !self.infomask.any(Infomask::XMAX_INVALID)
            && !self.xmin_invalid()
    }

    pub fn is_heap_only(&self) -> bool {
        self.infomask2 & infomask2::ONLY_TUPLE != 0
    }

    pub fn keys_updated(&self) -> bool {
        self.infomask2 & infomask2::KEYS_UPDATED != 0
    }

    /// True for a speculative insertion that was neither confirmed nor killed.
    pub fn is_speculative(&self) -> bool {
        self.ctid.offset == SPECULATIVE_TOKEN_OFFSET
    }

    /// True if the row went to another partition.
    pub fn moved_partitions(&self) -> bool {
        self.ctid == MOVED_PARTITIONS
    }
}

/// Offset number that marks `t_ctid` as a speculative insertion token: `SpecTokenOffsetNumber`.
pub const SPECULATIVE_TOKEN_OFFSET: OffsetNumber = OffsetNumber(0xFFFE);
/// `t_ctid` of a row that went to another partition.
pub const MOVED_PARTITIONS: ItemPointer =
    ItemPointer { block: BlockNumber::INVALID, offset: OffsetNumber(0xFFFD) };

#[cold]
fn damaged() -> Error {
    Error::data_corrupted("heap tuple with an impossible header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_postgresqls() {
        let header = TupleHeader {
            xmin: TransactionId(0x0102_0304),
            xmax: TransactionId(5),
            cid: CommandId(6),
            ctid: ItemPointer::new(BlockNumber(0x0001_0002), OffsetNumber(9)),
            infomask2: 3 | infomask2::ONLY_TUPLE,
            infomask: Infomask(Infomask::HAS_NULL | Infomask::XMAX_INVALID),
            hoff: 24,
        };
        let mut stored = vec![0; 32];
        header.write(&mut stored);
        assert_eq!(stored[..12], [4, 3, 2, 1, 5, 0, 0, 0, 6, 0, 0, 0]);
        assert_eq!(stored[12..23], [1, 0, 2, 0, 9, 0, 3, 0x80, 1, 8, 24]);
        assert_eq!(TupleHeader::read(&stored).unwrap(), header);
        stored[22] = 40;
        assert!(TupleHeader::read(&stored).is_err());
        assert!(TupleHeader::read(&stored[..20]).is_err());
    }
}
