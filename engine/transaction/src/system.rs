//! The transaction system of one data directory: counters, logs, and who runs.
//!
//! Realises: `TransamVariables`, transam.c, `XactLockTableWait`, and the startup and shutdown of the
//! SLRUs around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kokkiri_primitives::{FullTransactionId, Lsn, Oid, ProcNumber, Result, TransactionId};
use kokkiri_storage::CriticalSection;
use kokkiri_wal::Wal;
use kokkiri_wal::record::RecordBuilder;
use kokkiri_wal::rmgr::RmgrId;
use kokkiri_wal::xlog::{self, CheckPoint};

use crate::clog::{Clog, XidStatus};
use crate::lock::{LockManager, LockOutcome, WaitPolicy};
use crate::multixact::MultiXacts;
use crate::proc_array::{Found, ProcArray};
use crate::slru::{Slru, SlruContext};
use crate::subtrans::SubTrans;
use crate::xid::{OidGenerator, XidGenerator, XidLimits};

/// Entries of the status cache.
const STATUS_CACHE_SIZE: usize = 4096;
/// How often a wait looks again whether a transaction whose lock is free has left the process array.
const RECHECK: std::time::Duration = std::time::Duration::from_millis(1);

/// Sizes and limits that settings give.
#[derive(Clone, Copy, Debug)]
pub struct TransactionOptions {
    /// Pages of the caches; zero derives them from `shared_buffers_pages`, as PostgreSQL does.
    pub transaction_buffers: usize,
    pub subtransaction_buffers: usize,
    pub multixact_offset_buffers: usize,
    pub multixact_member_buffers: usize,
    pub shared_buffers_pages: usize,
    pub autovacuum_freeze_max_age: u32,
    pub autovacuum_multixact_freeze_max_age: u32,
    /// `wal_level` is replica or higher.
    pub standby_info: bool,
}

impl Default for TransactionOptions {
    fn default() -> Self {
        Self {
            transaction_buffers: 0,
            subtransaction_buffers: 0,
            multixact_offset_buffers: 16,
            multixact_member_buffers: 32,
            shared_buffers_pages: 16384,
            autovacuum_freeze_max_age: 200_000_000,
            autovacuum_multixact_freeze_max_age: 400_000_000,
            standby_info: true,
        }
    }
}

impl TransactionOptions {
    fn buffers(&self, asked: usize) -> usize {
        // PostgreSQL's SimpleLruAutotuneBuffers: 2 MB for each GB of shared buffers, whole banks.
        if asked > 0 { asked } else { (self.shared_buffers_pages / 512 / 16 * 16).clamp(16, 1024) }
    }
}

/// Counters, logs and the running transactions.
pub struct TransactionSystem {
    pub xids: XidGenerator,
    pub oids: OidGenerator,
    pub clog: Clog,
    pub subtrans: SubTrans,
    pub multixacts: MultiXacts,
    pub proc_array: ProcArray,
    pub(crate) wal: Arc<Wal>,
    pub(crate) options: TransactionOptions,
    /// Final statuses by xid: the xid, and in the highest bit whether it committed. An entry is valid for
    /// one round of the xid counter; see [`TransactionSystem::allocate_xid`].
    status_cache: Box<[AtomicU64]>,
    /// Replay is going on: no xid may be assigned.
    pub(crate) in_recovery: AtomicBool,
}

impl TransactionSystem {
    /// The system as a checkpoint left it, before replay. `capacity` is the process array's.
    pub fn new(
        context: SlruContext,
        capacity: usize,
        start: &CheckPoint,
        options: TransactionOptions,
    ) -> Self {
        let limits =
            XidLimits::new(start.oldest_xid, start.oldest_xid_database, options.autovacuum_freeze_max_age);
        let system = Self {
            xids: XidGenerator::new(start.next_xid, limits),
            oids: OidGenerator::new(start.next_oid),
            clog: Clog::new(context.clone(), options.buffers(options.transaction_buffers)),
            subtrans: SubTrans::new(context.clone(), options.buffers(options.subtransaction_buffers)),
            multixacts: MultiXacts::new(context.clone(), capacity, start, &options),
            proc_array: ProcArray::new(capacity, previous(start.next_xid)),
            wal: context.wal,
            options,
            status_cache: (0..STATUS_CACHE_SIZE).map(|_| AtomicU64::new(0)).collect(),
            in_recovery: AtomicBool::new(true),
        };
        system.clog.startup(start.next_xid);
        system.multixacts.startup();
        system
    }

    pub fn in_recovery(&self) -> bool {
        self.in_recovery.load(Ordering::Acquire)
    }

    /// Every SLRU, for pg_stat_slru.
    pub fn slrus(&self) -> Vec<&Arc<Slru>> {
        let mut all = vec![self.clog.slru(), self.subtrans.slru()];
        all.extend(self.multixacts.slrus());
        all
    }

    /// True if WAL carries what standbys need.
    pub fn standby_info(&self) -> bool {
        self.options.standby_info
    }

    /// Hands out the next oid. The caller makes sure that no object of its kind has it.
    pub fn new_oid(&self) -> Oid {
        self.oids.allocate(|logged| {
            let critical = CriticalSection::enter();
            let mut record = RecordBuilder::new(RmgrId::Xlog, xlog::NEXTOID);
            record.data(&logged.0.to_le_bytes());
            self.wal.insert(&critical, record);
        })
    }

    /// While the initial catalogs are being made, oids below those of users' objects are handed out.
    pub fn making_initial_catalogs(&self, being_made: bool) {
        self.oids.set_bootstrap(being_made);
    }

    /// Hands out the next xid and publishes it as the backend's. A warning may come with it.
    pub(crate) fn allocate_xid(
        &self,
        proc: ProcNumber,
        is_sub_transaction: bool,
    ) -> Result<(FullTransactionId, Option<kokkiri_primitives::Error>)> {
        if self.in_recovery() {
            return Err(kokkiri_primitives::Error::internal("cannot assign TransactionIds during recovery"));
        }
        self.xids.allocate(
            |xid| {
                // Four times a round the cache forgets what would look like a later round's xids.
                if xid.0 & 0x3FFF_FFFF == 0 || xid == TransactionId::FIRST_NORMAL {
                    self.status_cache.iter().for_each(|entry| entry.store(0, Ordering::Relaxed));
                }
                self.clog.extend(xid)?;
                self.subtrans.extend(xid)
            },
            |xid| match is_sub_transaction {
                false => self.proc_array.publish_xid(proc, xid),
                true => self.proc_array.publish_sub_xid(proc, xid),
            },
        )
    }

    /// The final status if the transaction has ended and its end is durable.
    fn cached(&self, xid: TransactionId) -> Option<XidStatus> {
        let entry = self.status_cache[xid.0 as usize % STATUS_CACHE_SIZE].load(Ordering::Relaxed);
        let status = if entry >> 63 == 1 { XidStatus::Committed } else { XidStatus::Aborted };
        (entry as u32 == xid.0).then_some(status)
    }

    /// What the commit log says, and the LSN to flush before a hint bit may say so on a page.
    pub fn log_status(&self, xid: TransactionId) -> Result<(XidStatus, Lsn)> {
        if !xid.is_normal() {
            let permanent = matches!(xid, TransactionId::BOOTSTRAP | TransactionId::FROZEN);
            let status = if permanent { XidStatus::Committed } else { XidStatus::Aborted };
            return Ok((status, Lsn::INVALID));
        }
        if let Some(status) = self.cached(xid) {
            return Ok((status, Lsn::INVALID));
        }
        let (status, lsn) = self.clog.status(xid)?;
        let lsn = if lsn <= self.wal.flushed_lsn() { Lsn::INVALID } else { lsn };
        let committed = match status {
            XidStatus::Committed => 1 << 63,
            XidStatus::Aborted => 0,
            XidStatus::InProgress | XidStatus::SubCommitted => return Ok((status, lsn)),
        };
        if !lsn.is_valid() {
            let entry = committed | u64::from(xid.0);
            self.status_cache[xid.0 as usize % STATUS_CACHE_SIZE].store(entry, Ordering::Relaxed);
        }
        Ok((status, lsn))
    }

    /// True if the transaction has committed. `TransactionIdDidCommit`; first make sure that it is not
    /// in progress.
    pub fn did_commit(&self, xid: TransactionId) -> Result<bool> {
        let mut xid = xid;
        loop {
            match self.log_status(xid)?.0 {
                XidStatus::Committed => return Ok(true),
                XidStatus::Aborted | XidStatus::InProgress => return Ok(false),
                // Its fate is its parent's. Without one its transaction crashed before a restart.
                XidStatus::SubCommitted => match self.subtrans.parent(xid)? {
                    Some(parent) => xid = parent,
                    None => return Ok(false),
                },
            }
        }
    }

    /// True if the transaction has certainly aborted; one that crashed is merely not committed.
    pub fn did_abort(&self, xid: TransactionId) -> Result<bool> {
        let mut xid = xid;
        loop {
            match self.log_status(xid)?.0 {
                XidStatus::Aborted => return Ok(true),
                XidStatus::Committed | XidStatus::InProgress => return Ok(false),
                XidStatus::SubCommitted => match self.subtrans.parent(xid)? {
                    Some(parent) => xid = parent,
                    None => return Ok(true),
                },
            }
        }
    }

    /// Up to where WAL must be flushed before the transaction's commit may be recorded as a hint bit on
    /// a page; [`Lsn::INVALID`] if nothing need be. `TransactionIdGetCommitLSN`.
    pub fn commit_lsn(&self, xid: TransactionId) -> Result<Lsn> {
        Ok(self.log_status(xid)?.1)
    }

    /// True if the transaction runs in some backend. `TransactionIdIsInProgress`.
    pub fn is_in_progress(&self, xid: TransactionId) -> Result<bool> {
        if !xid.is_normal() || self.cached(xid).is_some() {
            return Ok(false);
        }
        match self.proc_array.find(xid) {
            Found::Running => Ok(true),
            Found::Ended => Ok(false),
            Found::PerhapsBelow(parents) => {
                // Marked aborted, it can't be part of a running tree any more.
                if self.did_abort(xid)? {
                    return Ok(false);
                }
                let oldest = parents.iter().copied().reduce(TransactionId::older).unwrap_or(xid);
                let top = self.subtrans.topmost(xid, oldest)?;
                Ok(top != xid && parents.contains(&top))
            }
        }
    }

    /// Running, committed, or neither. `is_in_progress` is asked first, because a transaction is marked
    /// in the commit log before it leaves the process array.
    pub fn status(&self, xid: TransactionId) -> Result<TransactionStatus> {
        if self.is_in_progress(xid)? {
            return Ok(TransactionStatus::InProgress);
        }
        Ok(if self.did_commit(xid)? { TransactionStatus::Committed } else { TransactionStatus::Aborted })
    }

    /// Waits until `xid` has ended; at once if it has. `XactLockTableWait`, or
    /// `ConditionalXactLockTableWait` for policies that don't block. The caller adds what it was about
    /// as the error's context.
    pub fn wait_for_transaction(
        &self,
        locks: &LockManager,
        proc: ProcNumber,
        xid: TransactionId,
        policy: WaitPolicy,
    ) -> Result<LockOutcome> {
        let mut xid = xid;
        let mut first = true;
        loop {
            let holder = self.backend_of(xid)?;
            if locks.wait_for_xid(proc, holder, xid, policy)? == LockOutcome::NotAvailable {
                return Ok(LockOutcome::NotAvailable);
            }
            if !self.is_in_progress(xid)? {
                return Ok(LockOutcome::Granted);
            }
            // Its lock was free though it runs: it is a subtransaction whose lock went to its parent, or
            // it is just about to take its lock or to leave the process array.
            if !first {
                kokkiri_primitives::activity::check_for_interrupts()?;
                std::thread::sleep(RECHECK);
            }
            first = false;
            let oldest = self.proc_array.oldest_active(self.xids.next().xid());
            xid = self.subtrans.topmost(xid, oldest)?;
        }
    }

    /// The backend that runs `xid`, perhaps as an unlisted subtransaction.
    fn backend_of(&self, xid: TransactionId) -> Result<Option<ProcNumber>> {
        if let Some(proc) = self.proc_array.backend_of(xid) {
            return Ok(Some(proc));
        }
        for (proc, top) in self.proc_array.overflowed_backends() {
            if top.precedes(xid) && self.subtrans.topmost(xid, top)? == top {
                return Ok(Some(proc));
            }
        }
        Ok(None)
    }
}

/// What has become of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    InProgress,
    Committed,
    /// Aborted, or running when the server crashed.
    Aborted,
}

/// The xid before: what has completed when nothing runs.
pub(crate) fn previous(next: FullTransactionId) -> FullTransactionId {
    let mut previous = FullTransactionId(next.0.saturating_sub(1));
    while previous.0 > 0 && !previous.xid().is_normal() {
        previous.0 -= 1;
    }
    previous
}
