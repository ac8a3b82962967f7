//! Which transaction a subtransaction belongs to: pg_subtrans.
//!
//! Realises: subtrans.c.
//!
//! Four bytes for every xid: its parent's xid, zero for a top-level transaction. Only running
//! transactions matter, so nothing is logged or synced, and the pages of the running ones start as zeros
//! after a restart.

use std::sync::Arc;

use kokkiri_primitives::{BLOCK_SIZE, Error, FullTransactionId, Result, TransactionId};

use crate::clog::xid_page_precedes;
use crate::slru::{Slru, SlruContext, SlruKind};

const XACTS_PER_PAGE: u32 = BLOCK_SIZE as u32 / 4;

const KIND: SlruKind = SlruKind {
    name: "subtransaction",
    directory: "pg_subtrans",
    lsn_groups: 0,
    durable: false,
    precedes: |page1, page2| xid_page_precedes(XACTS_PER_PAGE, page1, page2),
};

fn page_of(xid: TransactionId) -> u64 {
    u64::from(xid.0 / XACTS_PER_PAGE)
}

fn offset_of(xid: TransactionId) -> usize {
    (xid.0 % XACTS_PER_PAGE) as usize * 4
}

/// The parents of subtransactions.
pub struct SubTrans {
    slru: Arc<Slru>,
}

impl SubTrans {
    pub fn new(context: SlruContext, buffers: usize) -> Self {
        Self { slru: Slru::new(KIND, context, buffers) }
    }

    pub fn slru(&self) -> &Arc<Slru> {
        &self.slru
    }

    /// Records the parent, which is older than its child.
    pub fn set_parent(&self, xid: TransactionId, parent: TransactionId) -> Result<()> {
        debug_assert!(parent.precedes(xid));
        let at = offset_of(xid);
        self.slru
            .write(page_of(xid), xid.0, |bytes| bytes[at..at + 4].copy_from_slice(&parent.0.to_le_bytes()))
    }

    /// The immediate parent, if it is a subtransaction. Not to be asked of xids that nobody considers
    /// running any more.
    pub fn parent(&self, xid: TransactionId) -> Result<Option<TransactionId>> {
        if !xid.is_normal() {
            return Ok(None);
        }
        let at = offset_of(xid);
        let parent = self.slru.read(page_of(xid), xid.0, |bytes, _| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        })?;
        Ok(TransactionId(parent).valid())
    }

    /// The topmost ancestor that does not precede `xmin`; beyond it the file may have been truncated.
    pub fn topmost(&self, xid: TransactionId, xmin: TransactionId) -> Result<TransactionId> {
        let mut top = xid;
        let mut next = Some(xid);
        while let Some(current) = next {
            top = current;
            if current.precedes(xmin) {
                break;
            }
            next = self.parent(current)?;
            if let Some(parent) = next
                && !parent.precedes(current)
            {
                return Err(Error::internal(format!(
                    "pg_subtrans contains invalid entry: xid {current} points to parent xid {parent}"
                )));
            }
        }
        Ok(top)
    }

    /// Makes room for the xid if it is the first of a page. The caller holds the xid generation lock.
    pub fn extend(&self, xid: TransactionId) -> Result<()> {
        if offset_of(xid) == 0 || xid == TransactionId::FIRST_NORMAL {
            drop(self.slru.zero_page(page_of(xid))?);
        }
        Ok(())
    }

    /// Creates the first page of a new data directory.
    pub fn bootstrap(&self) -> Result<()> {
        drop(self.slru.zero_page(0)?);
        self.slru.write_page(0)
    }

    /// Zeroes the pages that running transactions may use, from the oldest that may still be running.
    pub fn startup(&self, oldest_active: TransactionId, next: FullTransactionId) -> Result<()> {
        let last_page_of_all = page_of(TransactionId(u32::MAX));
        let (mut page, end) = (page_of(oldest_active), page_of(next.xid()));
        loop {
            drop(self.slru.zero_page(page)?);
            if page == end {
                break;
            }
            page = if page == last_page_of_all { 0 } else { page + 1 };
        }
        self.slru.end_recovery();
        Ok(())
    }

    /// Removes what lies before the oldest xid that anybody considers running.
    pub fn truncate(&self, oldest: TransactionId) -> Result<()> {
        // One before, in case `oldest` is the next xid and its page does not exist yet.
        self.slru.truncate(page_of(oldest.previous()))
    }
}
