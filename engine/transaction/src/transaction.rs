//! One running transaction of a session.
//!
//! Realises: `TransactionState` and its stack (xact.c), `GetCurrentTransactionId`, command counters.
//!
//! A [`Transaction`] begins without an xid; the first change assigns one. Subtransactions are levels of a
//! stack; a level that commits hands what it has to its parent, a level that aborts undoes it. The
//! session drives the stack; whatever else must follow it (settings, cursors, the catalog's overlay) the
//! session tells by itself.
//!
//! Invariants:
//!  1. A parent has an xid before its child, so a child's xid is always later.
//!  2. A child's parent stands in pg_subtrans before anybody can ask for it.
//!  3. Ending never fails halfway: what may fail is done before the commit record is inserted, and an
//!     abort that can't even be logged is an abort nevertheless.
//!  4. Dropped without an end, a transaction aborts; a prepared commit completes.
//!
//! Start at [`Transaction::begin`], then [`Transaction::prepare_commit`] in `end.rs`.

mod combo;
mod end;
mod pending;
pub mod records;
mod savepoint;
mod snapshots;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use kokkiri_primitives::activity::Backend;
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::{CommandId, Error, Oid, ProcNumber, Result, TransactionId, bail, error};
use kokkiri_storage::CriticalSection;
use kokkiri_wal::record::RecordBuilder;
use kokkiri_wal::rmgr::RmgrId;
use parking_lot::Mutex;

use crate::cluster::Cluster;
use crate::invalidation::Invalidation;
use crate::lock::{LockMode, LockOutcome, LockOwner, LockTag, VirtualTransactionId, WaitPolicy};
use crate::proc_array::CACHED_SUBXIDS_MAX;
use crate::snapshot::{HorizonKind, Snapshot};
use crate::system::TransactionStatus;

use combo::ComboCommandIds;
pub use end::CommitTicket;
use pending::PendingFiles;
use records::{DroppedStatistics, Origin, XACT_ASSIGNMENT};
pub use savepoint::SubTransactionId;
pub use snapshots::SnapshotGuard;
pub(crate) use snapshots::SnapshotRegistry;

/// How much of others' work a transaction's statements see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum IsolationLevel {
    ReadUncommitted,
    #[default]
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl IsolationLevel {
    /// The whole transaction works with one snapshot: `IsolationUsesXactSnapshot`.
    pub fn uses_transaction_snapshot(self) -> bool {
        self >= Self::RepeatableRead
    }

    /// The setting's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadUncommitted => "read uncommitted",
            Self::ReadCommitted => "read committed",
            Self::RepeatableRead => "repeatable read",
            Self::Serializable => "serializable",
        }
    }
}

/// Setting `synchronous_commit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum SynchronousCommit {
    Off,
    Local,
    RemoteWrite,
    #[default]
    On,
    RemoteApply,
}

/// What a transaction begins with.
#[derive(Clone, Copy, Debug, Default)]
pub struct BeginOptions {
    pub isolation: IsolationLevel,
    pub read_only: bool,
    pub deferrable: bool,
    pub synchronous_commit: SynchronousCommit,
    /// Tablespace of the session's database, for commit records.
    pub tablespace: Option<Oid>,
}

/// One running transaction. Shared by reference; interior mutability.
pub struct Transaction {
    cluster: Arc<Cluster>,
    backend: Arc<Backend>,
    vxid: VirtualTransactionId,
    start: TimestampTz,
    tablespace: Option<Oid>,
    isolation: AtomicU8,
    read_only: AtomicBool,
    deferrable: AtomicBool,
    synchronous_commit: AtomicU8,
    /// The top-level xid, zero while there is none.
    top_xid: AtomicU32,
    /// Some subtransaction has or had an xid: the levels must be searched for it.
    has_sub_xids: AtomicBool,
    command_id: AtomicU32,
    /// The current command has changed something, so the next one must have another number.
    command_used: AtomicBool,
    snapshots: Arc<SnapshotRegistry>,
    state: Mutex<State>,
}

/// What changes less often; under the transaction's mutex, which comes before all of this layer's locks
/// and is held by the session's own thread only.
struct State {
    /// The transaction itself, then its open subtransactions.
    levels: Vec<Level>,
    next_sub: u32,
    combo: ComboCommandIds,
    files: PendingFiles,
    /// Subtransaction xids that no assignment record has told standbys of yet.
    unreported: Vec<TransactionId>,
    /// Warnings on their way to the client.
    notices: Vec<Error>,
    at_commit: Vec<Box<dyn FnOnce() + Send>>,
    force_sync: bool,
    access_exclusive_locks: bool,
    relation_cache_file: bool,
    origin: Option<Origin>,
    ended: bool,
}

/// A (sub)transaction.
#[derive(Default)]
struct Level {
    id: u32,
    /// Savepoint name, if it has one.
    name: Option<String>,
    xid: Option<TransactionId>,
    /// xids of committed subtransactions, rising.
    children: Vec<TransactionId>,
    invalidations: Vec<Invalidation>,
    /// Statistics to drop if the level commits, and if it aborts.
    drop_at_commit: Vec<DroppedStatistics>,
    drop_at_abort: Vec<DroppedStatistics>,
}

impl Transaction {
    /// Begins a transaction for the backend. PostgreSQL's `StartTransaction`.
    ///
    /// It stays where it is until it ends: sessions hand it on from one state to the next.
    pub fn begin(cluster: &Arc<Cluster>, backend: &Arc<Backend>, options: BeginOptions) -> Box<Self> {
        cluster.transactions.proc_array.attach(backend.number, backend.database());
        let vxid = cluster.locks.begin_virtual_transaction(backend.number);
        Box::new(Self {
            snapshots: SnapshotRegistry::new(Arc::clone(cluster), Arc::clone(backend)),
            cluster: Arc::clone(cluster),
            backend: Arc::clone(backend),
            vxid,
            start: TimestampTz::now(),
            tablespace: options.tablespace,
            isolation: AtomicU8::new(options.isolation as u8),
            read_only: AtomicBool::new(options.read_only),
            deferrable: AtomicBool::new(options.deferrable),
            synchronous_commit: AtomicU8::new(options.synchronous_commit as u8),
            top_xid: AtomicU32::new(0),
            has_sub_xids: AtomicBool::new(false),
            command_id: AtomicU32::new(CommandId::FIRST.0),
            command_used: AtomicBool::new(false),
            state: Mutex::new(State {
                levels: vec![Level { id: SubTransactionId::TOP.0, ..Level::default() }],
                next_sub: SubTransactionId::TOP.0 + 1,
                combo: ComboCommandIds::default(),
                files: PendingFiles::default(),
                unreported: Vec::new(),
                notices: Vec::new(),
                at_commit: Vec::new(),
                force_sync: false,
                access_exclusive_locks: false,
                relation_cache_file: false,
                origin: None,
                ended: false,
            }),
        })
    }

    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    pub fn proc(&self) -> ProcNumber {
        self.vxid.proc
    }

    pub fn virtual_transaction(&self) -> VirtualTransactionId {
        self.vxid
    }

    /// `now()`.
    pub fn start_time(&self) -> TimestampTz {
        self.start
    }

    pub fn isolation(&self) -> IsolationLevel {
        match self.isolation.load(Ordering::Relaxed) {
            0 => IsolationLevel::ReadUncommitted,
            1 => IsolationLevel::ReadCommitted,
            2 => IsolationLevel::RepeatableRead,
            _ => IsolationLevel::Serializable,
        }
    }

    /// SET TRANSACTION ISOLATION LEVEL.
    ///
    /// # Errors
    /// 25001 once a snapshot has been taken or in a subtransaction.
    pub fn set_isolation(&self, level: IsolationLevel) -> Result<()> {
        if level == self.isolation() {
            return Ok(());
        }
        if self.snapshots.recent_xmin().is_some() {
            bail!(ACTIVE_SQL_TRANSACTION, "SET TRANSACTION ISOLATION LEVEL must be called before any query");
        }
        if self.nesting_level() > 1 {
            bail!(
                ACTIVE_SQL_TRANSACTION,
                "SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction"
            );
        }
        self.isolation.store(level as u8, Ordering::Relaxed);
        Ok(())
    }

    /// True once a query has seen data: some modes can't be changed any more.
    pub fn has_taken_snapshot(&self) -> bool {
        self.snapshots.recent_xmin().is_some()
    }

    pub fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    pub fn set_read_only(&self, read_only: bool) {
        self.read_only.store(read_only, Ordering::Relaxed);
    }

    pub fn is_deferrable(&self) -> bool {
        self.deferrable.load(Ordering::Relaxed)
    }

    pub fn set_deferrable(&self, deferrable: bool) {
        self.deferrable.store(deferrable, Ordering::Relaxed);
    }

    pub fn set_synchronous_commit(&self, level: SynchronousCommit) {
        self.synchronous_commit.store(level as u8, Ordering::Relaxed);
    }

    /// The top-level xid, if one has been assigned.
    pub fn xid_if_assigned(&self) -> Option<TransactionId> {
        TransactionId(self.top_xid.load(Ordering::Relaxed)).valid()
    }

    /// The top-level xid, assigned now if need be. `GetTopTransactionId`.
    pub fn assign_xid(&self) -> Result<TransactionId> {
        match self.xid_if_assigned() {
            Some(xid) => Ok(xid),
            None => self.assign_up_to(0),
        }
    }

    /// The xid of the current subtransaction, assigned now if need be: what tuples are stamped with.
    /// `GetCurrentTransactionId`.
    pub fn current_xid(&self) -> Result<TransactionId> {
        let (depth, xid) = {
            let state = self.state.lock();
            (state.levels.len() - 1, state.levels.last().and_then(|level| level.xid))
        };
        match xid {
            Some(xid) => Ok(xid),
            None => self.assign_up_to(depth),
        }
    }

    /// The xid of the current subtransaction, if one has been assigned.
    pub fn current_xid_if_assigned(&self) -> Option<TransactionId> {
        self.state.lock().levels.last().and_then(|level| level.xid)
    }

    /// Assigns xids to all levels up to `depth` that have none, parents first.
    fn assign_up_to(&self, depth: usize) -> Result<TransactionId> {
        let mut state = self.state.lock();
        let system = &self.cluster.transactions;
        let mut parent = None;
        for at in 0..=depth {
            if let Some(xid) = state.levels[at].xid {
                parent = Some(xid);
                continue;
            }
            let (full, warned) = system.allocate_xid(self.proc(), at > 0)?;
            let xid = full.xid();
            state.notices.extend(warned);
            state.levels[at].xid = Some(xid);
            self.cluster.locks.hold_xid(self.proc(), xid);
            match parent {
                None => {
                    self.top_xid.store(xid.0, Ordering::Release);
                    self.backend.set_xid(Some(xid));
                }
                Some(parent) => {
                    self.has_sub_xids.store(true, Ordering::Release);
                    system.subtrans.set_parent(xid, parent)?;
                    self.report_assignment(&mut state, xid);
                }
            }
            parent = Some(xid);
        }
        Ok(parent.expect("every level up to the depth has an xid now"))
    }

    /// Tells standbys now and then which subtransactions belong to this transaction, so that theirs
    /// don't overflow.
    fn report_assignment(&self, state: &mut State, xid: TransactionId) {
        if !self.cluster.transactions.standby_info() {
            return;
        }
        state.unreported.push(xid);
        if state.unreported.len() < CACHED_SUBXIDS_MAX {
            return;
        }
        let Some(top) = self.xid_if_assigned() else { return };
        let critical = CriticalSection::enter();
        let mut record = RecordBuilder::new(RmgrId::Transaction, XACT_ASSIGNMENT);
        record.xid(Some(xid)).data(&top.0.to_le_bytes());
        record.data(&(state.unreported.len() as u32).to_le_bytes());
        for xid in &state.unreported {
            record.data(&xid.0.to_le_bytes());
        }
        self.cluster.wal.insert(&critical, record);
        state.unreported.clear();
    }

    /// True if `xid` is this transaction's or one of its subtransactions' that has not aborted.
    /// `TransactionIdIsCurrentTransactionId`.
    #[inline]
    pub fn is_current(&self, xid: TransactionId) -> bool {
        let top = self.top_xid.load(Ordering::Relaxed);
        if top == 0 || !xid.is_normal() {
            return false;
        }
        xid.0 == top || self.has_sub_xids.load(Ordering::Acquire) && self.is_current_sub(xid)
    }

    fn is_current_sub(&self, xid: TransactionId) -> bool {
        let state = self.state.lock();
        state.levels.iter().any(|level| level.xid == Some(xid) || level.children.contains(&xid))
    }

    /// What has become of `xid`; the own transaction is in progress.
    pub fn status(&self, xid: TransactionId) -> Result<TransactionStatus> {
        if self.is_in_progress(xid)? {
            return Ok(TransactionStatus::InProgress);
        }
        let committed = self.cluster.transactions.did_commit(xid)?;
        Ok(if committed { TransactionStatus::Committed } else { TransactionStatus::Aborted })
    }

    /// True if `xid` runs, here or in another backend.
    pub fn is_in_progress(&self, xid: TransactionId) -> Result<bool> {
        // What is older than everything that ran at the last snapshot has ended.
        if self.snapshots.recent_xmin().is_some_and(|xmin| xid.precedes(xmin)) {
            return Ok(false);
        }
        Ok(self.is_current(xid) || self.cluster.transactions.is_in_progress(xid)?)
    }

    /// Waits until another transaction has ended. The caller adds what it was about as context to an
    /// error. `XactLockTableWait`.
    pub fn wait_for_transaction(&self, xid: TransactionId, policy: WaitPolicy) -> Result<LockOutcome> {
        self.cluster.transactions.wait_for_transaction(&self.cluster.locks, self.proc(), xid, policy)
    }

    /// True if a tuple that `xid` deleted is dead to everybody. `GlobalVisTestIsRemovableXid`.
    pub fn is_removable(&self, kind: HorizonKind, xid: TransactionId) -> bool {
        let recent_xmin = self.snapshots.recent_xmin();
        self.cluster.transactions.proc_array.is_removable(self.proc(), kind, xid, recent_xmin)
    }

    /// The exact horizon: the oldest xid still needed. `GetOldestNonRemovableTransactionId`.
    pub fn oldest_nonremovable(&self, kind: HorizonKind) -> TransactionId {
        self.cluster.transactions.proc_array.horizons(self.proc()).of(kind)
    }

    /// The current command's number, without claiming it.
    pub fn command_id(&self) -> CommandId {
        CommandId(self.command_id.load(Ordering::Relaxed))
    }

    /// The current command's number, to stamp a tuple with: the next command gets another one.
    /// `GetCurrentCommandId(true)`.
    pub fn use_command_id(&self) -> CommandId {
        self.command_used.store(true, Ordering::Relaxed);
        self.command_id()
    }

    /// Makes the effects of the current command visible to those that follow.
    /// `CommandCounterIncrement`. True if there were any.
    ///
    /// # Errors
    /// 54000 after 2^32-2 commands.
    pub fn advance_command(&self) -> Result<bool> {
        if !self.command_used.swap(false, Ordering::Relaxed) {
            return Ok(false);
        }
        let next = self.command_id.load(Ordering::Relaxed) + 1;
        if next == CommandId::INVALID.0 {
            bail!(PROGRAM_LIMIT_EXCEEDED, "cannot have more than 2^32-2 commands in a transaction");
        }
        self.command_id.store(next, Ordering::Relaxed);
        Ok(true)
    }

    /// The number that stands for inserted by command `cmin` and deleted by `cmax`, both of this
    /// transaction.
    pub fn combo_command_id(&self, cmin: CommandId, cmax: CommandId) -> CommandId {
        self.state.lock().combo.number(cmin, cmax)
    }

    /// Inserting and deleting command behind a combo number.
    ///
    /// # Errors
    /// XX000 for a number that this transaction has not made.
    pub fn resolve_combo(&self, combo: CommandId) -> Result<(CommandId, CommandId)> {
        let resolved = self.state.lock().combo.resolve(combo);
        resolved.ok_or_else(|| Error::internal(format!("combo command id {combo} is unknown")))
    }

    /// The snapshot for a statement: the transaction's one at repeatable read, a new one at read
    /// committed. `GetTransactionSnapshot`.
    pub fn snapshot(&self) -> SnapshotGuard {
        if self.isolation().uses_transaction_snapshot() {
            self.snapshots.of_transaction(self.command_id())
        } else {
            self.latest_snapshot()
        }
    }

    /// A snapshot as of now at any isolation level, for catalogs and for constraint checks.
    /// `GetLatestSnapshot`, `GetCatalogSnapshot`.
    pub fn latest_snapshot(&self) -> SnapshotGuard {
        self.snapshots.latest(self.command_id())
    }

    /// Makes a snapshot that another transaction exported this one's own. `ImportSnapshot`'s core.
    ///
    /// # Errors
    /// 22023 if that transaction no longer protects it, 25001 if this one has a snapshot already.
    pub fn import_snapshot(&self, exported: &Snapshot, source: ProcNumber) -> Result<()> {
        if self.snapshots.has_transaction_snapshot() || self.snapshots.recent_xmin().is_some() {
            bail!(ACTIVE_SQL_TRANSACTION, "SET TRANSACTION SNAPSHOT must be called before any query");
        }
        if !self.snapshots.import(Arc::clone(&exported.running), source) {
            return Err(error!(INVALID_PARAMETER_VALUE, "could not import the requested snapshot")
                .detail("The source transaction is not running anymore."));
        }
        Ok(())
    }

    /// Acquires a lock until the transaction ends or the current subtransaction aborts.
    pub fn lock(&self, tag: LockTag, mode: LockMode, policy: WaitPolicy) -> Result<LockOutcome> {
        let outcome = self.cluster.locks.acquire(self.proc(), self.lock_owner(), tag, mode, policy)?;
        if mode == LockMode::AccessExclusive
            && outcome == LockOutcome::Granted
            && let LockTag::Relation { database, relation } = tag
            && self.cluster.transactions.standby_info()
        {
            // Standbys must take the lock before they see what it protected; a failure here is undone by
            // the abort that follows.
            let xid = self.current_xid()?;
            self.cluster.log_access_exclusive_locks(xid, &[(database, relation)]);
            self.state.lock().access_exclusive_locks = true;
        }
        Ok(outcome)
    }

    /// Gives a lock back before the transaction ends; false if it was not held.
    pub fn unlock(&self, tag: LockTag, mode: LockMode) -> bool {
        self.cluster.locks.release(self.proc(), self.lock_owner(), tag, mode)
    }

    fn lock_owner(&self) -> LockOwner {
        LockOwner::Transaction(self.current_sub().0)
    }

    /// Adds a message to those that the commit sends to everybody.
    pub fn add_invalidation(&self, message: Invalidation) {
        let mut state = self.state.lock();
        let level = state.levels.last_mut().expect("the transaction itself is always there");
        if !level.invalidations.contains(&message) {
            level.invalidations.push(message);
        }
    }

    /// Messages of all levels so far, outermost first.
    pub fn pending_invalidations(&self) -> Vec<Invalidation> {
        let state = self.state.lock();
        state.levels.iter().flat_map(|level| level.invalidations.iter().copied()).collect()
    }

    /// Statistics to drop with an object if the current level commits.
    pub fn drop_statistics_at_commit(&self, item: DroppedStatistics) {
        let mut state = self.state.lock();
        state.levels.last_mut().expect("the transaction itself is always there").drop_at_commit.push(item);
    }

    /// Statistics of a new object, to drop if the current level aborts.
    pub fn drop_statistics_at_abort(&self, item: DroppedStatistics) {
        let mut state = self.state.lock();
        state.levels.last_mut().expect("the transaction itself is always there").drop_at_abort.push(item);
    }

    /// Runs `action` after the commit is done, before its locks are released.
    pub fn on_commit(&self, action: impl FnOnce() + Send + 'static) {
        self.state.lock().at_commit.push(Box::new(action));
    }

    /// The commit waits for its record to be durable whatever synchronous_commit says.
    /// `ForceSyncCommit`.
    pub fn force_synchronous_commit(&self) {
        self.state.lock().force_sync = true;
    }

    /// The commit record asks readers to rebuild their relation cache file.
    pub fn invalidate_relation_cache_file(&self) {
        self.state.lock().relation_cache_file = true;
    }

    /// The transaction replays one from elsewhere.
    pub fn set_origin(&self, origin: Origin) {
        self.state.lock().origin = Some(origin);
    }

    /// Keeps a notice or warning that arose deep in a statement until the session asks for it.
    pub fn add_notice(&self, notice: Error) {
        self.state.lock().notices.push(notice);
    }

    /// Warnings that arose deep below, to be sent to the client.
    pub fn take_notices(&self) -> Vec<Error> {
        std::mem::take(&mut self.state.lock().notices)
    }
}
