//! WAL buffers: a ring of pages that records are copied into and the writer copies out of.
//!
//! Realises: `XLogCtl->pages`, `xlblocks` and `InitializedUpTo`.
//!
//! A page is a row of 64-bit words. Records start and end on multiples of eight, so no word ever belongs
//! to two records: copying in needs no lock beyond the reservation of its bytes, and no `unsafe`.
//!
//! Invariants:
//!  1. A slot's `end` names the page it holds. It is published (release) after the page's bytes were
//!     zeroed and its header was set, and cleared before they are touched again.
//!  2. A slot gets its next page only after the old one was written; `initialized_up_to` moves under
//!     its lock, page after page.
//!  3. Words are stored relaxed. Whoever reads them has seen the insertion's end: the inserter releases
//!     its insertion lock's position after copying, the writer acquires it before.

use std::sync::atomic::{AtomicU64, Ordering};

use kokkiri_primitives::ids::{Lsn, TimelineId};

use crate::page::{FIRST_IS_CONTRECORD, FIRST_IS_OVERWRITE_CONTRECORD, PageHeader};
use crate::position::{Geometry, WAL_PAGE_SIZE, page_start};

const WORDS_PER_PAGE: usize = (WAL_PAGE_SIZE / 8) as usize;

struct Slot {
    /// LSN of the end of the page in this slot: PostgreSQL's `xlblocks`. Zero while the slot changes.
    end: AtomicU64,
    words: Box<[AtomicU64]>,
}

pub(crate) struct WalBuffers {
    slots: Box<[Slot]>,
    geometry: Geometry,
    system_identifier: u64,
}

impl WalBuffers {
    pub fn new(page_count: usize, geometry: Geometry, system_identifier: u64) -> Self {
        let slot = || Slot {
            end: AtomicU64::new(0),
            words: (0..WORDS_PER_PAGE).map(|_| AtomicU64::new(0)).collect(),
        };
        Self { slots: (0..page_count.max(4)).map(|_| slot()).collect(), geometry, system_identifier }
    }

    pub fn page_count(&self) -> usize {
        self.slots.len()
    }

    fn slot(&self, lsn: Lsn) -> &Slot {
        &self.slots[(lsn.0 / WAL_PAGE_SIZE) as usize % self.slots.len()]
    }

    /// Whether the page with the byte at `lsn` is in its slot.
    pub fn holds(&self, lsn: Lsn) -> bool {
        self.slot(lsn).end.load(Ordering::Acquire) == page_start(lsn).0 + WAL_PAGE_SIZE
    }

    /// End of the page that has to be written before the page at `page` can take its slot; `None` if
    /// the slot was never used.
    pub fn occupant_end(&self, page: Lsn) -> Option<Lsn> {
        Lsn(self.slot(page).end.load(Ordering::Acquire)).valid()
    }

    /// Puts a fresh page at `page` into its slot. The caller holds the lock of `initialized_up_to` and
    /// has made sure the old page was written.
    pub fn initialize(&self, page: Lsn, timeline: TimelineId, removable: bool) {
        let slot = self.slot(page);
        slot.end.store(0, Ordering::Release);
        for word in &slot.words {
            word.store(0, Ordering::Relaxed);
        }
        let first = (self.geometry.segment_offset(page) == 0)
            .then(|| (self.system_identifier, self.geometry.segment_size()));
        let header = PageHeader::fresh(page, timeline, removable, first);
        let used = if first.is_some() { 5 } else { 3 };
        for (word, value) in slot.words.iter().zip(&header.to_words()[..used]) {
            word.store(*value, Ordering::Relaxed);
        }
        slot.end.store(page.0 + WAL_PAGE_SIZE, Ordering::Release);
    }

    /// Loads a partly filled page, as recovery found it on disk, so that insertion goes on behind it.
    pub fn load(&self, page: Lsn, bytes: &[u8], length: usize) {
        let slot = self.slot(page);
        let mut filled = [0; WAL_PAGE_SIZE as usize];
        filled[..length].copy_from_slice(&bytes[..length]);
        store_words(&slot.words, &filled);
        slot.end.store(page.0 + WAL_PAGE_SIZE, Ordering::Release);
    }

    /// Copies bytes of a record to `lsn`; they lie on one page, which is in its slot.
    pub fn store(&self, lsn: Lsn, bytes: &[u8]) {
        debug_assert!(self.holds(lsn));
        store_words(&self.slot(lsn).words[(lsn.0 % WAL_PAGE_SIZE) as usize / 8..], bytes);
    }

    /// Marks the page as one that starts with the last `remaining` bytes of a record.
    pub fn set_continuation(&self, page: Lsn, remaining: u32) {
        let words = &self.slot(page).words;
        words[0].fetch_or(u64::from(FIRST_IS_CONTRECORD) << 16, Ordering::Relaxed);
        words[2].store(u64::from(remaining), Ordering::Relaxed);
    }

    /// Marks the page as one whose expected beginning was lost.
    pub fn set_overwrite_contrecord(&self, page: Lsn) {
        self.slot(page).words[0].fetch_or(u64::from(FIRST_IS_OVERWRITE_CONTRECORD) << 16, Ordering::Relaxed);
    }

    /// Zeroes a page's header: what follows a segment switch is all zeros.
    pub fn clear_header(&self, page: Lsn) {
        for word in &self.slot(page).words[..5] {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Copies what stands from `lsn` on, which is a multiple of eight, to `out`, which ends on the same page.
    pub fn copy_out(&self, lsn: Lsn, out: &mut [u8]) {
        let words = &self.slot(lsn).words[(lsn.0 % WAL_PAGE_SIZE) as usize / 8..];
        for (bytes, word) in out.chunks_mut(8).zip(words) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes()[..bytes.len()]);
        }
    }
}

/// Stores `bytes` as little-endian words, the last one padded with zeros.
fn store_words(words: &[AtomicU64], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<8>();
    for (word, chunk) in words.iter().zip(whole) {
        word.store(u64::from_le_bytes(*chunk), Ordering::Relaxed);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        words[whole.len()].store(u64::from_le_bytes(last), Ordering::Relaxed);
    }
}
