//! Startup, replay and truncation of multixacts.
//!
//! Realises: `StartupMultiXact`, `TrimMultiXact`, `multixact_redo`, `SetMultiXactIdLimit`,
//! `TruncateMultiXact`.

use kokkiri_primitives::{BLOCK_SIZE, Error, MultiXactId, Oid, Result, TransactionId};
use kokkiri_storage::CriticalSection;
use kokkiri_wal::record::{DecodedRecord, RecordBuilder};
use kokkiri_wal::rmgr::RmgrId;

use crate::bytes::Reader;
use crate::slru::SEGMENT_PAGES;

use super::layout::{self, MEMBERS_PER_SEGMENT, OFFSETS_PER_PAGE};
use super::*;

impl MultiXacts {
    /// Creates the first pages of a new data directory.
    pub(crate) fn bootstrap(&self) -> Result<()> {
        for slru in self.slrus() {
            drop(slru.zero_page(0)?);
            slru.write_page(0)?;
        }
        Ok(())
    }

    /// Called before replay.
    pub(crate) fn startup(&self) {
        let (next, next_offset) = self.next();
        self.offsets.set_latest_page(layout::offset_page(next));
        self.members.set_latest_page(layout::member_page(next_offset));
    }

    /// Called after replay: clears what lies behind the counters on their pages, and learns how much
    /// room for members there is.
    pub(crate) fn trim(&self) -> Result<()> {
        self.startup();
        self.offsets.end_recovery();
        self.members.end_recovery();
        let (next, next_offset) = self.next();
        let entry = layout::offset_entry(next);
        if entry == 0 {
            drop(self.offsets.zero_page(layout::offset_page(next))?);
        }
        self.offsets.write(layout::offset_page(next), next.0, |bytes| {
            // The next id's own offset stands already: the end of the last set's members.
            layout::put_offset(bytes, next, next_offset);
            bytes[(entry + 1) * 4..].fill(0);
        })?;
        if !next_offset.is_multiple_of(layout::MEMBERS_PER_PAGE) {
            let (_, xid_at) = layout::member_places(next_offset);
            self.members.write(layout::member_page(next_offset), next.0, |bytes| {
                bytes[xid_at..BLOCK_SIZE].fill(0);
            })?;
        }
        self.learn_offset_limit()
    }

    /// Vacuum has moved the oldest id of all databases. `SetMultiXactIdLimit`.
    pub fn set_oldest(&self, oldest: MultiXactId, database: Oid) {
        self.counters.lock().limits = MultiXactLimits::new(oldest, database, self.freeze_max_age);
    }

    /// Computes from the oldest set where members must stop. `SetOffsetVacuumLimit`.
    fn learn_offset_limit(&self) -> Result<()> {
        let (oldest, next, next_offset) = {
            let counters = self.counters.lock();
            (counters.limits.oldest, counters.next, counters.next_offset)
        };
        let oldest_offset = if oldest == next {
            Some(next_offset)
        } else {
            self.find_start(oldest)?.filter(|offset| *offset != 0)
        };
        if let Some(offset) = oldest_offset {
            let segment_start = offset - offset % MEMBERS_PER_SEGMENT;
            let mut counters = self.counters.lock();
            counters.oldest_offset = Some(offset);
            counters.offset_stop = segment_start.wrapping_sub(MEMBERS_PER_SEGMENT);
        }
        Ok(())
    }

    /// Where a set's members begin, if its page exists. `find_multixact_start`.
    fn find_start(&self, multi: MultiXactId) -> Result<Option<u32>> {
        self.offsets.write_all()?;
        if !self.offsets.page_exists(layout::offset_page(multi))? {
            return Ok(None);
        }
        self.offset_of(multi).map(Some)
    }

    /// Removes sets before `oldest`, which no table contains any more. `TruncateMultiXact`.
    pub fn truncate(&self, oldest: MultiXactId, database: Oid) -> Result<()> {
        let _one_at_a_time = self.truncation.lock();
        let (previous, next, next_offset) = {
            let counters = self.counters.lock();
            (counters.limits.oldest, counters.next, counters.next_offset)
        };
        if !previous.precedes(oldest) {
            return Ok(());
        }
        let start_of = |multi: MultiXactId| {
            if multi == next { Ok(Some(next_offset)) } else { self.find_start(multi) }
        };
        // A set that is not on disk leaves too little to go by: rather keep everything.
        let (Some(from), Some(to)) = (start_of(previous)?, start_of(oldest)?) else { return Ok(()) };
        if to == 0 {
            return Ok(());
        }
        let lsn = {
            let critical = CriticalSection::enter();
            let mut record = RecordBuilder::new(RmgrId::MultiXact, MULTIXACT_TRUNCATE_ID);
            record.data(&database.0.to_le_bytes());
            for word in [previous.0, oldest.0, from, to] {
                record.data(&word.to_le_bytes());
            }
            self.wal.insert(&critical, record)
        };
        self.wal.flush(lsn)?;
        self.set_oldest(oldest, database);
        self.remove_members(from, to)?;
        self.remove_offsets(oldest)?;
        self.learn_offset_limit()
    }

    /// Removes the segments of members in `[from, to)`, all but the last. `PerformMembersTruncation`.
    fn remove_members(&self, from: u32, to: u32) -> Result<()> {
        let last_segment = u32::MAX / MEMBERS_PER_SEGMENT;
        let (mut segment, end) = (from / MEMBERS_PER_SEGMENT, to / MEMBERS_PER_SEGMENT);
        while segment != end {
            self.members.delete_segment(u64::from(segment))?;
            segment = if segment == last_segment { 0 } else { segment + 1 };
        }
        Ok(())
    }

    fn remove_offsets(&self, oldest: MultiXactId) -> Result<()> {
        // One id earlier, because that one's end is read from the next one's offset.
        let previous = if oldest == MultiXactId::FIRST { u32::MAX } else { oldest.0 - 1 };
        self.cache.lock().members.retain(|multi, _| !multi.precedes(oldest));
        self.cache.lock().ids.retain(|_, multi| !multi.precedes(oldest));
        self.offsets.truncate(layout::offset_page(MultiXactId(previous)))
    }

    /// Replays a record. Returns the latest xid it mentions.
    pub(crate) fn redo(&self, record: &DecodedRecord) -> Result<Option<TransactionId>> {
        let mut data = Reader::new(record.main_data(), "MultiXact", record.lsn);
        match record.operation() {
            MULTIXACT_ZERO_OFF_PAGE => self.redo_zero_page(&self.offsets, data.u64()?).map(|()| None),
            MULTIXACT_ZERO_MEM_PAGE => self.redo_zero_page(&self.members, data.u64()?).map(|()| None),
            MULTIXACT_CREATE_ID => {
                let (multi, offset, count) = (MultiXactId(data.u32()?), data.u32()?, data.count(8)?);
                let mut members = Vec::with_capacity(count);
                for _ in 0..count {
                    let (xid, status) = (data.xid()?, data.u32()?);
                    let status = u8::try_from(status).ok().and_then(|s| MultiXactStatus::try_from(s).ok());
                    let status =
                        status.ok_or_else(|| kokkiri_wal::xlog::malformed("MultiXact", record.lsn))?;
                    members.push(MultiXactMember { xid, status });
                }
                self.redo_create(multi, offset, &members)?;
                Ok(members.iter().map(|member| member.xid).reduce(TransactionId::newer))
            }
            MULTIXACT_TRUNCATE_ID => {
                let database = Oid(data.u32()?);
                let (_, oldest) = (data.u32()?, MultiXactId(data.u32()?));
                let (from, to) = (data.u32()?, data.u32()?);
                self.set_oldest(oldest, database);
                self.remove_members(from, to)?;
                // Replay has no idea of the latest page otherwise.
                self.startup();
                self.remove_offsets(oldest)?;
                Ok(None)
            }
            other => Err(Error::internal(format!("multixact_redo: unknown op code {other}"))),
        }
    }

    fn redo_zero_page(&self, slru: &Arc<Slru>, page: u64) -> Result<()> {
        drop(slru.zero_page(page)?);
        slru.write_page(page)
    }

    fn redo_create(&self, multi: MultiXactId, offset: u32, members: &[MultiXactMember]) -> Result<()> {
        let pins = self.pin_for(multi, offset, members.len() as u32)?;
        let critical = CriticalSection::enter();
        record_members(&critical, &pins, multi, offset, members);
        drop(critical);
        self.advance_next(multi.0.wrapping_add(1), offset.wrapping_add(members.len() as u32));
        Ok(())
    }

    /// Moves the counters forward to what replay has met. `MultiXactAdvanceNextMXact`.
    pub fn advance_next(&self, next: u32, next_offset: u32) {
        let mut counters = self.counters.lock();
        if counters.next.precedes(MultiXactId(next)) {
            counters.next = MultiXactId(next);
        }
        if (counters.next_offset.wrapping_sub(next_offset) as i32) < 0 {
            counters.next_offset = next_offset;
        }
    }

    /// Sets the counters, as a shutdown checkpoint record met during replay says.
    pub fn set_next(&self, next: MultiXactId, next_offset: u32) {
        let mut counters = self.counters.lock();
        counters.next = next;
        counters.next_offset = next_offset;
    }
}

const _: () = assert!(OFFSETS_PER_PAGE as u64 * SEGMENT_PAGES == 65536);
