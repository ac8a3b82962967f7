//! The commit log: two bits for every transaction, in pg_xact.
//!
//! Realises: clog.c and transam.c (`TransactionIdDidCommit`, `TransactionIdGetCommitLSN`).
//!
//! ```text
//!  page: 8192 bytes, four transactions a byte, the first in the lowest bits
//!  00 in progress (or crashed)   01 committed   10 aborted   11 committed subtransaction of one that runs
//! ```
//!
//! A committing transaction and its subtransactions must become visible at once. On one page that is one
//! change under the bank's mutex. Across pages the subtransactions elsewhere are first marked `11`, then
//! the page of the parent is set, and only then the others: whoever meets `11` asks the parent.
//!
//! An asynchronous commit is in the log before its record is durable; each group of 32 transactions
//! notes the highest such LSN, so that the page is not written too early and hint bits are not set too
//! early.

use std::sync::Arc;

use kokkiri_primitives::{BLOCK_SIZE, Error, FullTransactionId, Lsn, Oid, Result, TransactionId};
use kokkiri_storage::CriticalSection;
use kokkiri_wal::Wal;
use kokkiri_wal::record::{DecodedRecord, RecordBuilder};
use kokkiri_wal::rmgr::RmgrId;

use crate::bytes::Reader;
use crate::slru::{Slru, SlruContext, SlruKind, SlruPin};

/// Transactions on a page.
pub const XACTS_PER_PAGE: u32 = BLOCK_SIZE as u32 * 4;
const XACTS_PER_LSN_GROUP: u32 = 32;
const LSN_GROUPS: usize = (XACTS_PER_PAGE / XACTS_PER_LSN_GROUP) as usize;

/// Kinds of records of the CLOG resource manager.
pub const CLOG_ZEROPAGE: u8 = 0x00;
pub const CLOG_TRUNCATE: u8 = 0x10;

/// What the commit log says of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum XidStatus {
    /// Running, or was running when the server crashed.
    InProgress = 0,
    Committed = 1,
    Aborted = 2,
    /// A committed subtransaction whose parent is being marked or still runs.
    SubCommitted = 3,
}

impl XidStatus {
    fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::InProgress,
            1 => Self::Committed,
            2 => Self::Aborted,
            _ => Self::SubCommitted,
        }
    }
}

fn page_of(xid: TransactionId) -> u64 {
    u64::from(xid.0 / XACTS_PER_PAGE)
}

fn index_of(xid: TransactionId) -> usize {
    (xid.0 % XACTS_PER_PAGE) as usize
}

fn group_of(xid: TransactionId) -> usize {
    index_of(xid) / XACTS_PER_LSN_GROUP as usize
}

/// Page order in the wrapping id space, judged by both ends of the pages.
pub(crate) fn xid_page_precedes(per_page: u32, page1: u64, page2: u64) -> bool {
    let first = |page: u64| {
        TransactionId((page as u32).wrapping_mul(per_page).wrapping_add(TransactionId::FIRST_NORMAL.0 + 1))
    };
    let (xid1, xid2) = (first(page1), first(page2));
    xid1.precedes(xid2) && xid1.precedes(TransactionId(xid2.0.wrapping_add(per_page - 1)))
}

const KIND: SlruKind = SlruKind {
    name: "transaction",
    directory: "pg_xact",
    lsn_groups: LSN_GROUPS,
    durable: true,
    precedes: |page1, page2| xid_page_precedes(XACTS_PER_PAGE, page1, page2),
};

/// The commit log.
pub struct Clog {
    slru: Arc<Slru>,
    wal: Arc<Wal>,
}

/// The pages of one transaction tree, pinned, so that setting its status can't fail.
pub struct ClogPins {
    xid: TransactionId,
    children: Box<[TransactionId]>,
    /// The parent's page first.
    pages: Vec<SlruPin>,
}

impl Clog {
    pub fn new(context: SlruContext, buffers: usize) -> Self {
        let wal = Arc::clone(&context.wal);
        Self { slru: Slru::new(KIND, context, buffers), wal }
    }

    pub fn slru(&self) -> &Arc<Slru> {
        &self.slru
    }

    /// What the log says, and up to where WAL must be flushed before that may be relied on for hint bits
    /// ([`Lsn::INVALID`] if nothing need be).
    pub fn status(&self, xid: TransactionId) -> Result<(XidStatus, Lsn)> {
        self.slru.read(page_of(xid), xid.0, |bytes, lsns| (get(bytes, xid), lsns[group_of(xid)]))
    }

    /// Pins what is needed to mark `xid` and its children. Fails here rather than while committing.
    pub fn prepare(&self, xid: TransactionId, children: &[TransactionId]) -> Result<ClogPins> {
        let mut pages = vec![self.slru.pin(page_of(xid), xid.0)?];
        for child in children {
            if !pages.iter().any(|pin| pin.page() == page_of(*child)) {
                pages.push(self.slru.pin(page_of(*child), child.0)?);
            }
        }
        Ok(ClogPins { xid, children: children.into(), pages })
    }

    /// Makes room for the xid if it is the first of a page. The caller holds the xid generation lock.
    pub fn extend(&self, xid: TransactionId) -> Result<()> {
        if index_of(xid) != 0 && xid != TransactionId::FIRST_NORMAL {
            return Ok(());
        }
        let pin = self.slru.zero_page(page_of(xid))?;
        let critical = CriticalSection::enter();
        let mut record = RecordBuilder::new(RmgrId::Clog, CLOG_ZEROPAGE);
        record.data(&pin.page().to_le_bytes());
        self.wal.insert(&critical, record);
        Ok(())
    }

    /// Creates the first page of a new data directory.
    pub fn bootstrap(&self) -> Result<()> {
        drop(self.slru.zero_page(0)?);
        self.slru.write_page(0)
    }

    /// Called before replay: where the log's end is.
    pub fn startup(&self, next: FullTransactionId) {
        self.slru.set_latest_page(page_of(next.xid()));
    }

    /// Called after replay: what lies behind the next xid on its page may stem from transactions that
    /// the log knows nothing of, and is cleared. `TrimCLOG`.
    pub fn trim(&self, next: FullTransactionId) -> Result<()> {
        let next = next.xid();
        self.slru.end_recovery();
        if index_of(next) == 0 {
            return Ok(());
        }
        self.slru.write(page_of(next), next.0, |bytes| {
            let (byte, shift) = (index_of(next) / 4, index_of(next) % 4 * 2);
            bytes[byte] &= ((1u16 << shift) - 1) as u8;
            bytes[byte + 1..].fill(0);
        })
    }

    /// Removes what lies before `oldest`, logging it. `TruncateCLOG`.
    pub fn truncate(&self, oldest: TransactionId, oldest_database: Oid) -> Result<()> {
        let cutoff = page_of(oldest);
        if !self.slru.has_segment_before(cutoff)? {
            return Ok(());
        }
        let lsn = {
            let critical = CriticalSection::enter();
            let mut record = RecordBuilder::new(RmgrId::Clog, CLOG_TRUNCATE);
            record
                .data(&cutoff.to_le_bytes())
                .data(&oldest.0.to_le_bytes())
                .data(&oldest_database.0.to_le_bytes());
            self.wal.insert(&critical, record)
        };
        // The record must be durable before what it removes is gone.
        self.wal.flush(lsn)?;
        self.slru.truncate(cutoff)
    }

    /// Replays a record. Returns what a truncation says of the oldest xid and its database.
    pub fn redo(&self, record: &DecodedRecord) -> Result<Option<(TransactionId, Oid)>> {
        let mut data = Reader::new(record.main_data(), "CLOG", record.lsn);
        let page = data.u64()?;
        match record.operation() {
            CLOG_ZEROPAGE => {
                drop(self.slru.zero_page(page)?);
                self.slru.write_page(page)?;
                Ok(None)
            }
            CLOG_TRUNCATE => {
                let (oldest, database) = (TransactionId(data.u32()?), Oid(data.u32()?));
                self.slru.set_latest_page(page.max(self.slru.latest_page()));
                self.slru.truncate(page)?;
                Ok(Some((oldest, database)))
            }
            other => Err(Error::internal(format!("clog_redo: unknown op code {other}"))),
        }
    }

    /// Sets one status during replay or for a subtransaction; no other is concerned.
    pub fn set(&self, xid: TransactionId, status: XidStatus) -> Result<()> {
        self.slru.write(page_of(xid), xid.0, |bytes| put(bytes, xid, status))
    }
}

impl ClogPins {
    /// The highest xid of the tree.
    pub fn latest(&self) -> TransactionId {
        self.children.iter().fold(self.xid, |latest, child| latest.newer(*child))
    }

    pub fn children(&self) -> &[TransactionId] {
        &self.children
    }

    /// Marks the whole tree. `lsn` is that of an asynchronous commit's record, which must be durable
    /// before the page is written.
    pub fn set(&self, critical: &CriticalSection, status: XidStatus, lsn: Option<Lsn>) {
        let on = |pin: &SlruPin, xid: TransactionId| page_of(xid) == pin.page();
        let (parent_page, others) = self.pages.split_first().expect("the parent's page is pinned");
        if status == XidStatus::Committed {
            for pin in others {
                pin.write_logged(critical, |bytes, _| {
                    for child in self.children.iter().filter(|child| on(pin, **child)) {
                        put(bytes, *child, XidStatus::SubCommitted);
                    }
                });
            }
        }
        parent_page.write_logged(critical, |bytes, lsns| {
            put(bytes, self.xid, status);
            note(lsns, self.xid, lsn);
            for child in self.children.iter().filter(|child| on(parent_page, **child)) {
                put(bytes, *child, status);
                note(lsns, *child, lsn);
            }
        });
        for pin in others {
            pin.write_logged(critical, |bytes, lsns| {
                for child in self.children.iter().filter(|child| on(pin, **child)) {
                    put(bytes, *child, status);
                    note(lsns, *child, lsn);
                }
            });
        }
    }
}

fn get(bytes: &[u8; BLOCK_SIZE], xid: TransactionId) -> XidStatus {
    XidStatus::from_bits(bytes[index_of(xid) / 4] >> (index_of(xid) % 4 * 2))
}

fn put(bytes: &mut [u8; BLOCK_SIZE], xid: TransactionId, status: XidStatus) {
    let (byte, shift) = (index_of(xid) / 4, index_of(xid) % 4 * 2);
    let current = XidStatus::from_bits(bytes[byte] >> shift);
    // Replay may meet a subtransaction that the page already shows in its final state.
    if status == XidStatus::SubCommitted && current != XidStatus::InProgress {
        return;
    }
    bytes[byte] = bytes[byte] & !(3 << shift) | (status as u8) << shift;
}

fn note(lsns: &mut [Lsn], xid: TransactionId, lsn: Option<Lsn>) {
    if let Some(lsn) = lsn {
        let group = &mut lsns[group_of(xid)];
        *group = lsn.max(*group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_lie_where_postgresql_puts_them() {
        let mut bytes = [0; BLOCK_SIZE];
        put(&mut bytes, TransactionId(3), XidStatus::Committed);
        put(&mut bytes, TransactionId(4), XidStatus::Aborted);
        put(&mut bytes, TransactionId(5), XidStatus::SubCommitted);
        put(&mut bytes, TransactionId(XACTS_PER_PAGE + 7), XidStatus::Committed);
        assert_eq!(bytes[..3], [0b0100_0000, 0b0100_1110, 0]);
        assert_eq!(get(&bytes, TransactionId(4)), XidStatus::Aborted);
        put(&mut bytes, TransactionId(4), XidStatus::SubCommitted);
        assert_eq!(get(&bytes, TransactionId(4)), XidStatus::Aborted, "a final state stays");
        put(&mut bytes, TransactionId(5), XidStatus::Committed);
        assert_eq!(get(&bytes, TransactionId(5)), XidStatus::Committed);
    }

    #[test]
    fn page_order_wraps() {
        let precedes = KIND.precedes;
        assert!(precedes(0, 1));
        assert!(!precedes(1, 0) && !precedes(5, 5));
        let last = u64::from(u32::MAX / XACTS_PER_PAGE);
        assert!(precedes(last, 0), "the last page comes before the first of the next round");
    }
}
