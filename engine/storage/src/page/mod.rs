//! The 8 KB slotted page: header, line pointers, items, special space.
//!
//! Realises: `bufpage.c`. Pure byte code: the forward path and redo use the same functions, on pages in the
//! pool and on pages built in private memory alike.
//!
//! ```text
//!   0  pd_lsn             u32 high half, u32 low half (both little-endian)
//!   8  pd_checksum        u16
//!  10  pd_flags           u16   HAS_FREE_LINES, PAGE_FULL, ALL_VISIBLE
//!  12  pd_lower           u16   end of the line pointers
//!  14  pd_upper           u16   start of the items
//!  16  pd_special         u16   start of the special space
//!  18  pd_pagesize_version u16  8192 | 4
//!  20  pd_prune_xid       u32   oldest xid that may have left something to prune
//!  24  line pointers, 4 bytes each: offset 15 bits, state 2 bits, length 15 bits
//! ```
//!
//! Invariants:
//!  1. `24 <= lower <= upper <= special <= 8192`, special a multiple of 8; a new page is all zeros.
//!  2. Items start at multiples of 8 between upper and special.
//!
//! No function panics on bytes that break them: readers answer `None`, writers refuse.

mod checksum;
mod item;
mod items;

use std::fmt;

use kokkiri_primitives::error::{Error, Result};
use kokkiri_primitives::sqlstate::SqlState;
use kokkiri_primitives::{BLOCK_SIZE, BlockNumber, Lsn, OffsetNumber, TransactionId};

pub use item::{ItemFlags, ItemId, ItemPlace};

/// Length of the page header, bytes: `SizeOfPageHeaderData`.
pub const PAGE_HEADER_SIZE: usize = 24;
/// Most line pointers a heap page may have: `MaxHeapTuplesPerPage`.
pub const MAX_HEAP_TUPLES_PER_PAGE: usize = 291;
/// `PG_PAGE_LAYOUT_VERSION`.
pub const LAYOUT_VERSION: u16 = 4;
/// Every item and the special space start at a multiple of this: `MAXIMUM_ALIGNOF`.
pub const MAX_ALIGN: usize = 8;

/// There may be unused line pointers.
pub const PD_HAS_FREE_LINES: u16 = 1;
/// An update found no room on the page: prune it soon.
pub const PD_PAGE_FULL: u16 = 2;
/// All tuples are visible to everyone.
pub const PD_ALL_VISIBLE: u16 = 4;
const PD_VALID_FLAGS: u16 = 7;

const LSN: usize = 0;
const CHECKSUM: usize = 8;
const FLAGS: usize = 10;
const LOWER: usize = 12;
const UPPER: usize = 14;
const SPECIAL: usize = 16;
const PAGE_SIZE_VERSION: usize = 18;
const PRUNE_XID: usize = 20;

/// Rounds up to [`MAX_ALIGN`]: `MAXALIGN`.
pub const fn max_align(len: usize) -> usize {
    (len + MAX_ALIGN - 1) & !(MAX_ALIGN - 1)
}

/// One page, aligned so that it can also go to the device directly.
#[repr(C, align(4096))]
#[derive(Clone)]
pub struct Page([u8; BLOCK_SIZE]);

const _: () = assert!(size_of::<Page>() == BLOCK_SIZE);

impl Page {
    /// A zeroed page in private memory.
    pub fn boxed() -> Box<Self> {
        Box::new(Self([0; BLOCK_SIZE]))
    }

    /// A page with an empty item area: `PageInit`.
    pub fn boxed_init(special_len: usize) -> Box<Self> {
        let mut page = Self::boxed();
        page.init(special_len);
        page
    }

    pub fn bytes(&self) -> &[u8; BLOCK_SIZE] {
        &self.0
    }

    pub fn bytes_mut(&mut self) -> &mut [u8; BLOCK_SIZE] {
        &mut self.0
    }

    /// Zeroes the page and writes an empty header with `special_len` bytes (rounded up) of special space.
    ///
    /// # Panics
    /// If the special space doesn't fit: it is a constant of the access method.
    pub fn init(&mut self, special_len: usize) {
        let special_len = max_align(special_len);
        assert!(special_len <= BLOCK_SIZE - PAGE_HEADER_SIZE, "special space fits the page");
        self.0.fill(0);
        let special = (BLOCK_SIZE - special_len) as u16;
        self.set_u16(LOWER, PAGE_HEADER_SIZE as u16);
        self.set_u16(UPPER, special);
        self.set_u16(SPECIAL, special);
        self.set_u16(PAGE_SIZE_VERSION, BLOCK_SIZE as u16 | LAYOUT_VERSION);
    }

    pub fn zero(&mut self) {
        self.0.fill(0);
    }

    /// Never initialised: `PageIsNew`.
    pub fn is_new(&self) -> bool {
        self.upper() == 0
    }

    pub fn is_all_zeros(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// No line pointers: `PageIsEmpty`.
    pub fn is_empty(&self) -> bool {
        self.lower() <= PAGE_HEADER_SIZE
    }

    #[inline]
    pub(crate) fn u16_at(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    #[inline]
    pub(crate) fn set_u16(&mut self, at: usize, value: u16) {
        self.0[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    #[inline]
    pub(crate) fn u32_at(&self, at: usize) -> u32 {
        u32::from_le_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    #[inline]
    pub(crate) fn set_u32(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// End of the WAL record that changed the page last.
    pub fn lsn(&self) -> Lsn {
        Lsn(u64::from(self.u32_at(LSN)) << 32 | u64::from(self.u32_at(LSN + 4)))
    }

    pub fn set_lsn(&mut self, lsn: Lsn) {
        self.set_u32(LSN, (lsn.0 >> 32) as u32);
        self.set_u32(LSN + 4, lsn.0 as u32);
    }

    /// The checksum as stored; meaningful only in the page as it is on disk.
    pub fn stored_checksum(&self) -> u16 {
        self.u16_at(CHECKSUM)
    }

    pub fn flags(&self) -> u16 {
        self.u16_at(FLAGS)
    }

    pub fn has_flag(&self, flag: u16) -> bool {
        self.flags() & flag != 0
    }

    pub fn set_flag(&mut self, flag: u16) {
        self.set_u16(FLAGS, self.flags() | flag);
    }

    pub fn clear_flag(&mut self, flag: u16) {
        self.set_u16(FLAGS, self.flags() & !flag);
    }

    pub fn is_all_visible(&self) -> bool {
        self.has_flag(PD_ALL_VISIBLE)
    }

    /// `pd_lower`: where the line pointers end.
    #[inline]
    pub fn lower(&self) -> usize {
        usize::from(self.u16_at(LOWER))
    }

    /// # Panics
    /// If the value can't be a position in a page.
    pub fn set_lower(&mut self, lower: usize) {
        assert!(lower <= BLOCK_SIZE, "position in a page");
        self.set_u16(LOWER, lower as u16);
    }

    /// `pd_upper`: where the items begin.
    #[inline]
    pub fn upper(&self) -> usize {
        usize::from(self.u16_at(UPPER))
    }

    /// # Panics
    /// If the value can't be a position in a page.
    pub fn set_upper(&mut self, upper: usize) {
        assert!(upper <= BLOCK_SIZE, "position in a page");
        self.set_u16(UPPER, upper as u16);
    }

    /// `pd_special`: where the special space begins.
    pub fn special_offset(&self) -> usize {
        usize::from(self.u16_at(SPECIAL))
    }

    /// The special space; empty if the header is broken.
    pub fn special(&self) -> &[u8] {
        let from = self.special_offset();
        if from < PAGE_HEADER_SIZE { &[] } else { self.0.get(from..).unwrap_or(&[]) }
    }

    pub fn special_mut(&mut self) -> &mut [u8] {
        let from = self.special_offset();
        if from < PAGE_HEADER_SIZE { &mut [] } else { self.0.get_mut(from..).unwrap_or(&mut []) }
    }

    /// `pd_pagesize_version`.
    pub fn size_and_version(&self) -> u16 {
        self.u16_at(PAGE_SIZE_VERSION)
    }

    /// Oldest xid whose deletion on this page may be prunable: `pd_prune_xid`.
    pub fn prune_xid(&self) -> Option<TransactionId> {
        TransactionId(self.u32_at(PRUNE_XID)).valid()
    }

    pub fn set_prune_xid(&mut self, xid: Option<TransactionId>) {
        self.set_u32(PRUNE_XID, xid.map_or(0, |xid| xid.0));
    }

    /// Notes that `xid` may leave something to prune: `PageSetPrunable`.
    pub fn set_prunable(&mut self, xid: TransactionId) {
        if self.prune_xid().is_none_or(|known| xid.precedes(known)) {
            self.set_prune_xid(Some(xid));
        }
    }

    /// PostgreSQL's block checksum, over the page as if its checksum field were zero.
    pub fn checksum(&self, block: BlockNumber) -> u16 {
        checksum::page_checksum(&self.0, block)
    }

    /// Stores the checksum, as a page gets it on its way to disk. New pages have none.
    pub fn set_checksum(&mut self, block: BlockNumber) {
        if !self.is_new() {
            let checksum = self.checksum(block);
            self.set_u16(CHECKSUM, checksum);
        }
    }

    pub fn clear_checksum(&mut self) {
        self.set_u16(CHECKSUM, 0);
    }

    /// Invariant 1 of the module, looked at in the bytes.
    pub fn header_is_sane(&self) -> bool {
        let (lower, upper, special) = (self.lower(), self.upper(), self.special_offset());
        self.flags() & !PD_VALID_FLAGS == 0
            && lower <= upper
            && upper <= special
            && special <= BLOCK_SIZE
            && special == max_align(special)
    }

    /// Judges a page just read from disk: `PageIsVerified`.
    pub fn verify(&self, block: BlockNumber, checksums: bool) -> Verdict {
        if self.is_new() {
            return if self.is_all_zeros() { Verdict::Valid } else { Verdict::BrokenHeader };
        }
        if checksums {
            let (calculated, stored) = (self.checksum(block), self.stored_checksum());
            if calculated != stored {
                return Verdict::WrongChecksum { calculated, stored, header_is_sane: self.header_is_sane() };
            }
        }
        if self.header_is_sane() { Verdict::Valid } else { Verdict::BrokenHeader }
    }

    /// Refuses a page whose header can't be worked with.
    ///
    /// # Errors
    /// XX001 `corrupted page pointers`.
    pub fn check_pointers(&self) -> Result<()> {
        let (lower, upper, special) = (self.lower(), self.upper(), self.special_offset());
        let sane = PAGE_HEADER_SIZE <= lower
            && lower <= upper
            && upper <= special
            && special <= BLOCK_SIZE
            && special == max_align(special);
        if sane {
            return Ok(());
        }
        Err(Error::new(
            SqlState::DATA_CORRUPTED,
            format!("corrupted page pointers: lower = {lower}, upper = {upper}, special = {special}"),
        ))
    }

    /// Number of line pointers, never more than fit the page: `PageGetMaxOffsetNumber`.
    #[inline]
    pub fn item_count(&self) -> usize {
        self.lower().min(BLOCK_SIZE).saturating_sub(PAGE_HEADER_SIZE) / ItemId::SIZE
    }

    /// The last line pointer's number; zero if there is none.
    #[inline]
    pub fn max_offset(&self) -> OffsetNumber {
        OffsetNumber(self.item_count() as u16)
    }
}

/// What [`Page::verify`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Valid,
    WrongChecksum {
        calculated: u16,
        stored: u16,
        /// The page could be used if the checksum were not believed.
        header_is_sane: bool,
    },
    BrokenHeader,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("lsn", &self.lsn())
            .field("flags", &self.flags())
            .field("lower", &self.lower())
            .field("upper", &self.upper())
            .field("special", &self.special_offset())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
