//! Inserting records.
//!
//! Realises: `XLogInsert`, `XLogInsertRecord`, `CopyXLogRecordToWAL`, `AdvanceXLInsertBuffer`.
//!
//! The steps of an insertion:
//!  1. Assemble the record, deciding about page images by the redo pointer as it is now.
//!  2. Take an insertion lock. If the redo pointer has moved so that a page needs an image after all, go
//!     back to 1.
//!  3. Reserve space: an addition under a lock held for a few instructions. It gives the record its place
//!     and its previous link.
//!  4. Copy, in parallel with the holders of the other locks; then release.
//!
//! Insertion can't fail: by then the pages are changed. If the buffers are full and can't be written, or
//! anything else goes wrong, that is a PANIC.

use std::sync::atomic::Ordering;

use kokkiri_primitives::activity::with_current;
use kokkiri_primitives::ids::Lsn;
use kokkiri_storage::CriticalSection;

use crate::locks::HeldLock;
use crate::log::Wal;
use crate::position::{SHORT_HEADER_SIZE, WAL_PAGE_SIZE, page_start};
use crate::record::{Assembled, ImagePolicy, RECORD_HEADER_SIZE, RecordBuilder, max_align};
use crate::rmgr::RmgrId;
use crate::xlog;

/// Where a record was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inserted {
    pub start: Lsn,
    /// The LSN that the pages it changes carry, and that has to be flushed to make it durable.
    pub end: Lsn,
}

impl Wal {
    /// Inserts the record and sets the LSN of the pages registered with it. Returns its end.
    pub fn insert(&self, critical: &CriticalSection, record: RecordBuilder<'_>) -> Lsn {
        self.insert_record(critical, record).end
    }

    /// As [`Wal::insert`], telling the start too.
    pub fn insert_record(&self, critical: &CriticalSection, mut record: RecordBuilder<'_>) -> Inserted {
        self.check_insertion(critical);
        let (inserted, images) = loop {
            let policy = self.image_policy();
            let assembled = record.assemble(&policy);
            if let Some(inserted) = self.try_insert(&mut record, &assembled, &policy) {
                break (inserted, assembled.images);
            }
        };
        record.set_page_lsns(critical, inserted.end);
        self.count(record.length() as u64, images);
        if page_start(inserted.start) != page_start(inserted.end) {
            self.write_requested.fetch_max(inserted.end.0, Ordering::AcqRel);
        }
        inserted
    }

    fn check_insertion(&self, critical: &CriticalSection) {
        assert!(self.insertion_allowed(), "cannot make new WAL entries during recovery");
        critical.involve(self.poison);
        assert!(!self.poison.is_poisoned(), "the WAL accepts no records after a crash");
    }

    fn try_insert(
        &self,
        record: &mut RecordBuilder<'_>,
        assembled: &Assembled,
        policy: &ImagePolicy,
    ) -> Option<Inserted> {
        let held = self.locks.acquire();
        let now = self.image_policy();
        let redo_passed = assembled.lowest_unimaged.is_some_and(|lsn| lsn <= now.redo);
        if now.full_page_writes && (redo_passed || !policy.full_page_writes) {
            return None;
        }
        let inserted = self.place(&held, record, assembled);
        if record.is_important() {
            held.mark_important(inserted.start);
        }
        Some(inserted)
    }

    /// Reserves space for the record, completes it and copies it.
    fn place(&self, held: &HeldLock<'_>, record: &mut RecordBuilder<'_>, assembled: &Assembled) -> Inserted {
        let length = max_align(record.length() as u64);
        let (start, previous) = {
            let mut reservation = self.reservation.lock();
            let start = reservation.current;
            let previous = reservation.previous;
            reservation.current = start + length;
            reservation.previous = start;
            (start, previous)
        };
        let inserted =
            Inserted { start: self.geometry.start_lsn(start), end: self.geometry.end_lsn(start + length) };
        let bytes = record.seal(self.previous_link(previous), assembled);
        let end = self.copy(held, bytes, inserted.start);
        assert_eq!(end, inserted.end, "the space reserved must be the space used");
        inserted
    }

    /// The very first record of a WAL has no previous one.
    fn previous_link(&self, previous: u64) -> Lsn {
        if previous == 0 { Lsn::INVALID } else { self.geometry.start_lsn(previous) }
    }

    /// Copies the record's bytes to `start`, page after page; returns where the record ends.
    fn copy(&self, held: &HeldLock<'_>, mut bytes: &[u8], start: Lsn) -> Lsn {
        let mut at = start;
        loop {
            self.ensure_page(Some(held), at);
            let room = (WAL_PAGE_SIZE - at.0 % WAL_PAGE_SIZE) as usize;
            if bytes.len() <= room {
                self.buffers.store(at, bytes);
                return at + max_align(bytes.len() as u64);
            }
            let (here, rest) = bytes.split_at(room);
            self.buffers.store(at, here);
            bytes = rest;
            let page = at + room as u64;
            self.ensure_page(Some(held), page);
            self.buffers.set_continuation(page, bytes.len() as u32);
            at = page + self.geometry.header_size(page);
        }
    }

    /// Sees to it that the page with the byte at `lsn` is in the buffers.
    fn ensure_page(&self, held: Option<&HeldLock<'_>>, lsn: Lsn) {
        if self.buffers.holds(lsn) {
            return;
        }
        if let Some(held) = held {
            // Behind a page header nothing of this page is ours to write before: the page itself may
            // be what somebody waits for.
            let page = page_start(lsn);
            let at_first_byte = lsn.0 == page.0 + self.geometry.header_size(page);
            held.advance(if at_first_byte { page } else { lsn });
        }
        self.initialize_pages_up_to(lsn);
        assert!(self.buffers.holds(lsn), "could not find WAL buffer for {lsn}");
    }

    /// Gives slots to pages up to the one with the byte at `lsn`, writing out what is in their way.
    fn initialize_pages_up_to(&self, lsn: Lsn) {
        let mut initialized = self.initialized_up_to.lock();
        while *initialized <= lsn {
            let page = *initialized;
            if let Some(old_end) = self.buffers.occupant_end(page)
                && self.written_lsn() < old_end
            {
                parking_lot::MutexGuard::unlocked(&mut initialized, || self.write_to_make_room(old_end));
                continue;
            }
            self.buffers.initialize(page, self.timeline(), !self.backups_running());
            *initialized = page + WAL_PAGE_SIZE;
        }
    }

    /// Gives slots to further pages whose old contents are written already, so that inserters find them
    /// ready. The WAL writer does it after each round.
    pub(crate) fn initialize_pages_ahead(&self) {
        let mut initialized = self.initialized_up_to.lock();
        for _ in 0..self.buffers.page_count() {
            let page = *initialized;
            let occupied =
                self.buffers.occupant_end(page).is_some_and(|old_end| self.written_lsn() < old_end);
            if occupied || !self.insertion_allowed() {
                return;
            }
            self.buffers.initialize(page, self.timeline(), !self.backups_running());
            *initialized = page + WAL_PAGE_SIZE;
        }
    }

    /// Switches to a new segment, so that the current one can be archived: pg_switch_wal(). Returns the
    /// end of the switch record, or the current end if the segment has just begun.
    pub fn switch_segment(&self, critical: &CriticalSection, important: bool) -> Lsn {
        self.check_insertion(critical);
        let mut record = RecordBuilder::new(RmgrId::Xlog, xlog::SWITCH);
        let assembled = record.assemble(&self.image_policy());
        let all = self.locks.acquire_all();
        let held = all.representative();
        let (start, end, previous) = {
            let mut reservation = self.reservation.lock();
            let start = reservation.current;
            let here = self.geometry.end_lsn(start);
            if self.geometry.segment_offset(here) == 0 {
                return here;
            }
            let mut end = self.geometry.end_lsn(start + RECORD_HEADER_SIZE as u64);
            let offset = self.geometry.segment_offset(end);
            if offset != 0 {
                end = end + (self.geometry.segment_size() - offset);
            }
            let previous = reservation.previous;
            reservation.current = self.geometry.usable_position(end);
            reservation.previous = start;
            (self.geometry.start_lsn(start), end, previous)
        };
        let bytes = record.seal(self.previous_link(previous), &assembled);
        let record_end = self.copy(held, bytes, start);
        let first_empty = record_end.0.next_multiple_of(WAL_PAGE_SIZE);
        for page in (first_empty..end.0).step_by(WAL_PAGE_SIZE as usize) {
            self.ensure_page(Some(held), Lsn(page + SHORT_HEADER_SIZE));
            self.buffers.clear_header(Lsn(page));
        }
        if important {
            held.mark_important(start);
        }
        drop(all);
        self.count(RECORD_HEADER_SIZE as u64, 0);
        self.write_requested.fetch_max(end.0, Ordering::AcqRel);
        record_end
    }

    /// Inserts the record that starts an online checkpoint, which makes its own start the redo pointer.
    /// Nobody else inserts meanwhile, so every record is on one side of it.
    pub fn insert_checkpoint_redo(
        &self,
        critical: &CriticalSection,
        mut record: RecordBuilder<'_>,
    ) -> Inserted {
        assert_eq!(record.kind(), (RmgrId::Xlog, xlog::CHECKPOINT_REDO));
        self.check_insertion(critical);
        let assembled = record.assemble(&self.image_policy());
        let all = self.locks.acquire_all();
        let inserted = self.place(all.representative(), &mut record, &assembled);
        self.set_redo(inserted.start);
        all.representative().mark_important(inserted.start);
        drop(all);
        record.set_page_lsns(critical, inserted.end);
        self.count(record.length() as u64, 0);
        inserted
    }

    /// Makes the place of the next record the redo pointer: for a shutdown checkpoint, when nobody
    /// inserts any more, the checkpoint record itself.
    pub fn begin_shutdown_redo(&self) -> Lsn {
        let all = self.locks.acquire_all();
        let redo = self.insert_lsn();
        self.set_redo(redo);
        drop(all);
        redo
    }

    /// Changes the setting `full_page_writes`, with a record about it: on takes effect before the record,
    /// off after it, so that who reads the record knows what comes before and behind. `UpdateFullPageWrites`.
    pub fn change_full_page_writes(&self, on: bool) {
        let store = || {
            let _all = self.locks.acquire_all();
            self.store_full_page_writes(on);
        };
        let critical = CriticalSection::enter();
        if on {
            store();
        }
        self.insert(&critical, xlog::full_page_writes_record(on));
        if !on {
            store();
        }
    }

    /// Continues a WAL whose last record was cut off: marks the page that should have continued it, and
    /// inserts the record that tells readers to skip it. Nothing was inserted since
    /// [`Wal::start_insertion`] at the start of that page.
    pub fn insert_overwrite_contrecord(
        &self,
        critical: &CriticalSection,
        record: RecordBuilder<'_>,
    ) -> Inserted {
        assert_eq!(record.kind(), (RmgrId::Xlog, xlog::OVERWRITE_CONTRECORD));
        let page = page_start(self.insert_lsn());
        self.initialize_pages_up_to(page);
        self.buffers.set_overwrite_contrecord(page);
        self.insert_record(critical, record)
    }

    fn count(&self, length: u64, images: u64) {
        let bytes = length;
        self.counters.records.fetch_add(1, Ordering::Relaxed);
        self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        if images > 0 {
            self.counters.full_page_images.fetch_add(images, Ordering::Relaxed);
        }
        with_current(|backend| {
            if let Some(backend) = backend {
                backend.usage.wal_records.add(1);
                backend.usage.wal_bytes.add(bytes);
                backend.usage.wal_fpi.add(images);
            }
        });
    }
}
