//! Locking rows without changing them: SELECT FOR UPDATE and its weaker kin, and foreign-key checks.
//!
//! Realises: `heap_lock_tuple`, `heap_lock_updated_tuple`.
//!
//! A locker that comes to a version which a running transaction has updated must also lock the versions
//! after it, or the lock would be lost when the updater commits.

use kokkiri_primitives::{ItemPointer, Result, TransactionId, bail};
use kokkiri_storage::buffer::{PageWriteGuard, PinnedBuffer};
use kokkiri_transaction::lock::{LockOutcome as Granted, WaitPolicy};
use kokkiri_transaction::multixact::{MultiXactMember, MultiXactStatus};
use kokkiri_wal::rmgr::RmgrId;

use super::delete::{TupleLock, set_hints};
use super::locking::{NewXmax, RowLockMode, compute_new_xmax, multi_conflicts, status_of_lone_xmax};
use super::page;
use super::record::heap2_info;
use super::update::xmax_changed;
use super::visibility::{Judge, TupleState, satisfies_update};
use super::vm::VmPin;
use super::{Heap, Unchanged};
use crate::tuple::header::{Infomask, TupleHeader};

/// How a row is to be locked.
#[derive(Clone, Copy, Debug)]
pub struct RowLock {
    pub mode: RowLockMode,
    pub policy: WaitPolicy,
    /// Lock the versions after this one too.
    pub follow_updates: bool,
}

/// The row is ours, or why it is not.
pub type LockOutcome = std::result::Result<(), Unchanged>;

/// What is to be done about those who hold a row.
enum Step {
    /// The lock may be written under the guard.
    Free(PageWriteGuard),
    /// We hold it already, this strongly or stronger.
    AlreadyOurs,
    /// Look at the row anew.
    Again,
    Failed(Unchanged),
}

impl Heap<'_> {
    /// Locks the version at `tid` until our transaction ends.
    pub fn lock_row(&self, tid: ItemPointer, wanted: RowLock) -> Result<LockOutcome> {
        let pin = self.pin(tid.block)?;
        let mut vm = VmPin::default();
        let mut lock = TupleLock::default();
        let outcome = self.lock_row_queued(&pin, tid, wanted, &mut vm, &mut lock);
        lock.release(self);
        outcome
    }

    fn lock_row_queued(
        &self,
        pin: &PinnedBuffer,
        tid: ItemPointer,
        wanted: RowLock,
        vm: &mut VmPin,
        lock: &mut TupleLock,
    ) -> Result<LockOutcome> {
        let observer = self.observer();
        let cid = self.transaction.command_id();
        let mut first_time = true;
        loop {
            let mut guard = self.lock_page(pin, vm)?;
            let header = page::header(&guard, tid.offset)?;
            let (state, hints) = satisfies_update(&header, tid, cid, &observer)?;
            set_hints(&mut guard, tid, hints.safe_bits(&observer));
            let header = page::header(&guard, tid.offset)?;
            let guard = match state {
                TupleState::Ok => guard,
                TupleState::Invisible | TupleState::SelfModified => {
                    return Ok(Err(self.unchanged(&header, state, cid)?));
                }
                TupleState::BeingModified | TupleState::Updated | TupleState::Deleted => {
                    drop(guard);
                    match self.settle_lock(pin, tid, &header, state, wanted, lock, &mut first_time)? {
                        Step::Free(guard) => guard,
                        Step::AlreadyOurs => return Ok(Ok(())),
                        Step::Again => continue,
                        Step::Failed(unchanged) => return Ok(Err(unchanged)),
                    }
                }
            };
            if guard.is_all_visible() && !vm.is_pinned_for(tid.block) {
                continue;
            }
            let xid = self.transaction.current_xid()?;
            self.announce_membership();
            let header = page::header(&guard, tid.offset)?;
            let new = compute_new_xmax(&header, xid, wanted.mode, false, &observer)?;
            self.write_row_lock(guard, tid, new, None, vm)?;
            return Ok(Ok(()));
        }
    }

    /// Deals with those who hold the row, with its page unlocked.
    #[expect(clippy::too_many_arguments, reason = "the state of one attempt to lock")]
    fn settle_lock(
        &self,
        pin: &PinnedBuffer,
        tid: ItemPointer,
        header: &TupleHeader,
        state: TupleState,
        wanted: RowLock,
        lock: &mut TupleLock,
        first_time: &mut bool,
    ) -> Result<Step> {
        let observer = self.observer();
        let cid = self.transaction.command_id();
        let mut ours = false;
        if std::mem::take(first_time) {
            for member in self.holders(header)? {
                if observer.is_current(member.xid) {
                    if RowLockMode::of(member.status) >= wanted.mode {
                        return Ok(Step::AlreadyOurs);
                    }
                    ours = true;
                }
            }
        }
        let follows = wanted.follow_updates && !header.infomask.xmax_is_locked_only() && header.ctid != tid;
        if !self.must_sleep(header, wanted.mode)? {
            if follows && let Err(unchanged) = self.lock_later_versions(header, wanted)? {
                return Ok(Step::Failed(unchanged));
            }
            let guard = pin.clone().write();
            let now = page::header(&guard, tid.offset)?;
            return Ok(if xmax_changed(header, &now) { Step::Again } else { Step::Free(guard) });
        }
        if matches!(state, TupleState::Updated | TupleState::Deleted) {
            return Ok(Step::Failed(self.unchanged(header, state, cid)?));
        }
        if !ours && !lock.acquire(self, tid, wanted.mode, wanted.policy)? {
            return self.refuse(wanted.policy);
        }
        let outcome = match header.xmax_multi() {
            Some(multi) => {
                self.wait_for_members(multi, header, wanted.mode, tid, "locking", wanted.policy)?.0
            }
            None => self.wait_for_xid(header.xmax, tid, "locking", wanted.policy)?,
        };
        if outcome == Granted::NotAvailable {
            return self.refuse(wanted.policy);
        }
        if follows && let Err(unchanged) = self.lock_later_versions(header, wanted)? {
            return Ok(Step::Failed(unchanged));
        }
        let guard = pin.clone().write();
        let now = page::header(&guard, tid.offset)?;
        if xmax_changed(header, &now) {
            return Ok(Step::Again);
        }
        let aborted = match now.xmax_multi() {
            Some(_) => self.is_only_locked(&now)?,
            None => now.infomask.xmax_is_locked_only() || !observer.did_commit(now.xmax)?,
        };
        if now.infomask.any(Infomask::XMAX_INVALID) || aborted {
            return Ok(Step::Free(guard));
        }
        let state =
            if now.ctid == tid || now.moved_partitions() { TupleState::Deleted } else { TupleState::Updated };
        Ok(Step::Failed(self.unchanged(&now, state, cid)?))
    }

    fn refuse(&self, policy: WaitPolicy) -> Result<Step> {
        if policy == WaitPolicy::NoWait {
            bail!(LOCK_NOT_AVAILABLE, "could not obtain lock on row in relation \"{}\"", self.relation.name);
        }
        Ok(Step::Failed(Unchanged::WouldBlock))
    }

    /// Who holds the row, as members of a multixact.
    fn holders(&self, header: &TupleHeader) -> Result<Vec<MultiXactMember>> {
        if header.infomask.any(Infomask::XMAX_INVALID) {
            return Ok(Vec::new());
        }
        match header.xmax_multi() {
            Some(_) if header.infomask.xmax_is_upgraded_lock() => Ok(Vec::new()),
            Some(multi) => {
                Ok(self.observer().members(multi, header.infomask.xmax_is_locked_only())?.to_vec())
            }
            None => {
                let status = status_of_lone_xmax(header);
                Ok(status.map(|status| MultiXactMember { xid: header.xmax, status }).into_iter().collect())
            }
        }
    }

    /// Whether the lock can't be had beside those who hold the row.
    fn must_sleep(&self, header: &TupleHeader, mode: RowLockMode) -> Result<bool> {
        let infomask = header.infomask;
        let bits = infomask.0 & Infomask::LOCK_MASK;
        let conflict = match mode {
            RowLockMode::KeyShare => header.keys_updated(),
            RowLockMode::Share => !(infomask.xmax_is_locked_only() && bits != Infomask::XMAX_EXCL_LOCK),
            RowLockMode::NoKeyExclusive => match header.xmax_multi() {
                Some(multi) => multi_conflicts(multi, infomask, mode, &self.observer())?.0,
                None => bits != Infomask::XMAX_KEYSHR_LOCK,
            },
            RowLockMode::Exclusive => true,
        };
        // A lock of our own alone never keeps us waiting.
        let alone_ours = header.xmax_multi().is_none()
            && self.transaction.is_current(header.xmax)
            && infomask.xmax_is_locked_only();
        Ok(conflict && !alone_ours)
    }

    /// Locks the versions after one whose header is given.
    fn lock_later_versions(&self, header: &TupleHeader, wanted: RowLock) -> Result<LockOutcome> {
        self.announce_membership();
        let mut prior = match header.xmax_multi() {
            Some(multi) => self.observer().updater(multi)?,
            None => header.xmax.valid(),
        };
        let mut tid = header.ctid;
        let mut vm = VmPin::default();
        while !header.moved_partitions() {
            match self.lock_later_version(tid, prior, wanted, &mut vm)? {
                Err(unchanged) => return Ok(Err(unchanged)),
                Ok(None) => break,
                Ok(Some((next, xmax))) => (tid, prior) = (next, Some(xmax)),
            }
        }
        Ok(Ok(()))
    }

    /// Locks one version of a chain; the next one comes back, with the xmin it must have.
    fn lock_later_version(
        &self,
        tid: ItemPointer,
        prior: Option<TransactionId>,
        wanted: RowLock,
        vm: &mut VmPin,
    ) -> Result<std::result::Result<Option<(ItemPointer, TransactionId)>, Unchanged>> {
        let observer = self.observer();
        if tid.block.0 >= self.block_count()? {
            return Ok(Ok(None));
        }
        let pin = self.pin(tid.block)?;
        let header = loop {
            kokkiri_primitives::activity::check_for_interrupts()?;
            let guard = self.lock_page(&pin, vm)?;
            // Pruned away: its updater aborted, or nobody needs it any more.
            let Ok(header) = page::header(&guard, tid.offset) else { return Ok(Ok(None)) };
            if prior.is_some_and(|xid| header.effective_xmin() != xid) {
                return Ok(Ok(None));
            }
            let inserter = header.effective_xmin();
            if !header.xmin_committed()
                && !observer.is_current(inserter)
                && !observer.is_in_progress(inserter)?
                && !observer.did_commit(inserter)?
            {
                return Ok(Ok(None));
            }
            let mut wait_for = None;
            let mut already_ours = false;
            for holder in self.holders(&header)? {
                match self.test_holder(&header, tid, holder, wanted.mode)? {
                    Holder::Ours => already_ours = true,
                    Holder::Harmless => {}
                    Holder::WaitFor(xid) => wait_for = Some(xid),
                    Holder::Gone(unchanged) => return Ok(Err(unchanged)),
                }
                if wait_for.is_some() {
                    break;
                }
            }
            if let Some(xid) = wait_for {
                drop(guard);
                self.wait_out(xid, tid, "locking updated version of")?;
                continue;
            }
            if !already_ours {
                let xid = self.transaction.current_xid()?;
                let new = compute_new_xmax(&header, xid, wanted.mode, false, &observer)?;
                self.write_later_lock(guard, tid, new, vm)?;
            }
            break header;
        };
        let ends = header.infomask.any(Infomask::XMAX_INVALID)
            || header.moved_partitions()
            || header.ctid == tid
            || self.is_only_locked(&header)?;
        if ends {
            return Ok(Ok(None));
        }
        let updater = match header.xmax_multi() {
            Some(multi) => observer.updater(multi)?,
            None => header.xmax.valid(),
        };
        Ok(Ok(updater.map(|xmax| (header.ctid, xmax))))
    }

    fn test_holder(
        &self,
        header: &TupleHeader,
        tid: ItemPointer,
        holder: MultiXactMember,
        mode: RowLockMode,
    ) -> Result<Holder> {
        let observer = self.observer();
        let conflicts = RowLockMode::of(holder.status).conflicts_with(mode);
        if observer.is_current(holder.xid) {
            return Ok(Holder::Ours);
        }
        if observer.is_in_progress(holder.xid)? {
            return Ok(if conflicts { Holder::WaitFor(holder.xid) } else { Holder::Harmless });
        }
        let is_update = matches!(holder.status, MultiXactStatus::NoKeyUpdate | MultiXactStatus::Update);
        if !is_update || !conflicts || !observer.did_commit(holder.xid)? {
            return Ok(Holder::Harmless);
        }
        Ok(Holder::Gone(if header.ctid == tid || header.moved_partitions() {
            Unchanged::Deleted { moved: header.moved_partitions() }
        } else {
            Unchanged::Updated { next: header.ctid, xmax: holder.xid }
        }))
    }

    fn write_later_lock(
        &self,
        guard: PageWriteGuard,
        tid: ItemPointer,
        new: NewXmax,
        vm: &VmPin,
    ) -> Result<()> {
        let kind = (RmgrId::Heap2, heap2_info::LOCK_UPDATED);
        self.write_lock(guard, tid, new, vm, kind, page::mark_updated_version_locked)
    }
}

/// One who holds a later version of a row.
enum Holder {
    Ours,
    Harmless,
    WaitFor(TransactionId),
    /// The version was updated or deleted for good.
    Gone(Unchanged),
}
