//! What the buffer pool asks of the log.
//!
//! Realises: `XLogFlush` as called by `FlushBuffer`, `XLogNeedsFlush`, `XLogSaveBufferForHint`.

use kokkiri_primitives::error::Result;
use kokkiri_primitives::ids::{Fork, Lsn};
use kokkiri_storage::buffer::BufferTag;
use kokkiri_storage::{CriticalSection, Page, WalBarrier};

use crate::log::Wal;
use crate::record::{RecordBuilder, RegisterFlags};
use crate::rmgr::RmgrId;
use crate::xlog;

impl WalBarrier for Wal {
    fn flush_to(&self, lsn: Lsn) -> Result<()> {
        self.flush(lsn)
    }

    fn needs_flush(&self, lsn: Lsn) -> bool {
        self.insertion_allowed() && lsn > self.flushed_lsn()
    }

    fn hints_are_logged(&self) -> bool {
        self.hints_are_logged
    }

    fn in_recovery(&self) -> bool {
        !self.insertion_allowed()
    }

    fn log_hint_image(&self, tag: &BufferTag, page: &Page) -> Option<Lsn> {
        if page.lsn() > self.redo_lsn() {
            return None;
        }
        // Free space and visibility maps keep their contents where other pages have the hole.
        let flags = if tag.fork == Fork::Main { RegisterFlags::STANDARD } else { RegisterFlags::NONE };
        let critical = CriticalSection::enter();
        let mut record = RecordBuilder::new(RmgrId::Xlog, xlog::FPI_FOR_HINT);
        record.register_block(0, (tag.locator, tag.fork, tag.block), page.bytes(), flags);
        Some(self.insert(&critical, record))
    }
}
