//! Giving an empty tail of the file back: `lazy_truncate_heap`.

use kokkiri_primitives::{BlockNumber, Result};
use kokkiri_transaction::lock::{LockMode, LockOutcome, LockTag, WaitPolicy};

use super::{Vacuum, VmPin};

/// A tail is worth it from this many pages on, or this share of the table.
const PAGES_MIN: u32 = 1000;
const SHARE_MIN: u32 = 16;

impl Vacuum<'_> {
    /// Cuts empty pages off the end, if it is worth it and nobody uses the table.
    pub(super) fn truncate_tail(&mut self) -> Result<()> {
        let pages = self.report.pages;
        let tail = pages.saturating_sub(self.nonempty);
        let worth_it = tail > 0 && (tail >= PAGES_MIN || tail >= pages / SHARE_MIN);
        if !self.options.truncate || !worth_it {
            return Ok(());
        }
        let heap = self.heap;
        let relation = heap.relation;
        let tag = LockTag::relation(relation.locator().database, relation.oid);
        // Whoever uses the table goes first: the tail can wait for the next vacuum.
        if heap.transaction.lock(tag, LockMode::AccessExclusive, WaitPolicy::Skip)?
            == LockOutcome::NotAvailable
        {
            return Ok(());
        }
        let outcome = self.cut_off();
        heap.transaction.unlock(tag, LockMode::AccessExclusive);
        outcome
    }

    fn cut_off(&mut self) -> Result<()> {
        let heap = self.heap;
        // Somebody has extended the table meanwhile.
        if heap.block_count()? != self.report.pages {
            return Ok(());
        }
        let mut end = self.report.pages;
        while end > self.nonempty {
            let guard = self.pin(BlockNumber(end - 1))?.read();
            let used = !guard.is_new() && guard.item_ids().any(|(_, item_id)| item_id.is_used());
            if used {
                break;
            }
            end -= 1;
        }
        if end < self.report.pages {
            // The map is cut too, and its pages can't go while they are pinned.
            self.vm = VmPin::default();
            let relation = heap.relation;
            heap.transaction.truncate_storage(relation.file, BlockNumber(end), relation.needs_wal())?;
            self.report.removed_pages = self.report.pages - end;
        }
        Ok(())
    }
}
