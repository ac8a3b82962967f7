//! Deleting rows: `heap_delete`.

use kokkiri_primitives::{CommandId, Error, ItemPointer, Result, SqlState, TransactionId};
use kokkiri_storage::CriticalSection;
use kokkiri_storage::buffer::{PageWriteGuard, PinnedBuffer};
use kokkiri_transaction::lock::{LockOutcome, LockTag, WaitPolicy};
use kokkiri_wal::record::RegisterFlags;
use kokkiri_wal::rmgr::RmgrId;

use super::insert::clear_visibility;
use super::locking::{RowLockMode, compute_new_xmax, multi_conflicts};
use super::page::{self, StoredCommand};
use super::record::{Delete, Infobits, delete_flags, heap_info};
use super::update::xmax_changed;
use super::visibility::{Judge, TupleState, satisfies_update};
use super::vm::VmPin;
use super::{Heap, Unchanged};
use crate::toast;
use crate::tuple::header::{Infomask, TupleHeader};

/// The heavyweight lock on a tuple, held while waiting for those who hold the row.
#[derive(Default)]
pub(super) struct TupleLock(Option<(LockTag, RowLockMode)>);

impl TupleLock {
    /// Queues for the tuple. False if that would mean waiting and the policy forbids it.
    pub fn acquire(
        &mut self,
        heap: &Heap<'_>,
        tid: ItemPointer,
        mode: RowLockMode,
        policy: WaitPolicy,
    ) -> Result<bool> {
        if self.0.is_some() {
            return Ok(true);
        }
        let relation = heap.relation;
        let tag = LockTag::Tuple { database: relation.locator().database, relation: relation.oid, tid };
        let outcome = heap.transaction.lock(tag, mode.heavyweight(), policy)?;
        if outcome == LockOutcome::NotAvailable {
            return Ok(false);
        }
        self.0 = Some((tag, mode));
        Ok(true)
    }

    /// Gives the lock back: the row itself says now who holds it.
    pub fn release(&mut self, heap: &Heap<'_>) {
        if let Some((tag, mode)) = self.0.take() {
            heap.transaction.unlock(tag, mode.heavyweight());
        }
    }
}

impl Heap<'_> {
    /// Deletes the version at `tid`, waiting for others who hold the row. `moved` marks a row that goes to
    /// another partition.
    pub fn delete(&self, tid: ItemPointer, moved: bool) -> Result<std::result::Result<(), Unchanged>> {
        let xid = self.transaction.current_xid()?;
        let cid = self.transaction.use_command_id();
        let pin = self.pin(tid.block)?;
        let mut vm = VmPin::default();
        let mut lock = TupleLock::default();
        let outcome = self.delete_locked(&pin, tid, xid, cid, moved, &mut vm, &mut lock);
        let old = match outcome {
            Ok(Ok(old)) => old,
            Ok(Err(unchanged)) => {
                lock.release(self);
                return Ok(Err(unchanged));
            }
            Err(error) => {
                lock.release(self);
                return Err(error);
            }
        };
        if let Some(old) = old {
            toast::store::delete_values(self, &old)?;
        }
        lock.release(self);
        Ok(Ok(()))
    }

    /// The old tuple comes back if it has values out of line.
    #[expect(clippy::too_many_arguments, reason = "the state of one deletion")]
    fn delete_locked(
        &self,
        pin: &PinnedBuffer,
        tid: ItemPointer,
        xid: TransactionId,
        cid: CommandId,
        moved: bool,
        vm: &mut VmPin,
        lock: &mut TupleLock,
    ) -> Result<std::result::Result<Option<Vec<u8>>, Unchanged>> {
        let observer = self.observer();
        let (mut guard, header) = loop {
            let guard = self.lock_page(pin, vm)?;
            let header = page::header(&guard, tid.offset)?;
            let (state, guard) = self.settle(guard, pin, tid, cid, RowLockMode::Exclusive, lock)?;
            match state {
                Settled::Again => continue,
                Settled::State(TupleState::Ok) => {
                    // Waiting may have let go of the page.
                    let now = page::header(&guard, tid.offset)?;
                    if guard.is_all_visible() && !vm.is_pinned_for(tid.block) {
                        continue;
                    }
                    break (guard, now);
                }
                Settled::State(TupleState::Invisible) => return Err(invisible("delete")),
                Settled::State(state) => {
                    let now = page::header(&guard, tid.offset).unwrap_or(header);
                    return Ok(Err(self.unchanged(&now, state, cid)?));
                }
            }
        };
        let command = self.adjust_cmax(&header, cid);
        self.announce_membership();
        let new_xmax = compute_new_xmax(&header, xid, RowLockMode::Exclusive, true, &observer)?;
        let has_external = header.infomask.any(Infomask::HAS_EXTERNAL);
        let old = page::tuple(&guard, tid.offset).filter(|_| has_external).map(<[u8]>::to_vec);
        let clear = guard.is_all_visible();
        let mut map = if clear { vm.lock(tid.block) } else { None };
        let mut flags = if clear { delete_flags::ALL_VISIBLE_CLEARED } else { 0 };
        if moved {
            flags |= delete_flags::IS_PARTITION_MOVE;
        }
        let infobits = Infobits::of(new_xmax.infomask, new_xmax.infomask2);
        let payload = Delete { xmax: new_xmax.xmax, offset: tid.offset, infobits, flags };
        let critical = CriticalSection::enter();
        let map_cleared = clear_visibility(&mut guard, map.as_mut(), &critical);
        page::mark_deleted(guard.page_mut(&critical), tid.block, &payload, command, xid)
            .expect("the tuple was judged under the same lock");
        if self.relation.needs_wal() {
            let mut record = self.record(RmgrId::Heap, heap_info::DELETE, Some(xid));
            record.data(&payload.encode());
            record.register(0, &mut guard, RegisterFlags::STANDARD);
            if let Some(map) = map.as_mut().filter(|_| map_cleared) {
                record.register(1, map, RegisterFlags::NONE);
            }
            self.cluster().wal.insert(&critical, record);
        }
        Ok(Ok(old))
    }

    /// Locks a page, with its map page pinned if it is all-visible.
    pub(super) fn lock_page(&self, pin: &PinnedBuffer, vm: &mut VmPin) -> Result<PageWriteGuard> {
        loop {
            let guard = pin.clone().write();
            if !guard.is_all_visible() || vm.is_pinned_for(guard.block()) {
                return Ok(guard);
            }
            let block = guard.block();
            drop(guard);
            vm.pin(self, block)?;
        }
    }

    /// The deleting command as stored, a combo number if we inserted the tuple too:
    /// `HeapTupleHeaderAdjustCmax`.
    pub(super) fn adjust_cmax(&self, header: &TupleHeader, cid: CommandId) -> StoredCommand {
        if !header.xmin_committed() && self.transaction.is_current(header.xmin) {
            let cmin = self.observer().inserting_command(header);
            return StoredCommand { cid: self.transaction.combo_command_id(cmin, cid), is_combo: true };
        }
        StoredCommand { cid, is_combo: false }
    }

    /// Why a tuple can't be changed.
    pub(super) fn unchanged(
        &self,
        header: &TupleHeader,
        state: TupleState,
        cid: CommandId,
    ) -> Result<Unchanged> {
        let observer = self.observer();
        Ok(match state {
            TupleState::SelfModified => {
                Unchanged::SelfModified { is_current: observer.deleting_command(header) == cid }
            }
            TupleState::Updated => {
                let xmax = match header.xmax_multi() {
                    Some(multi) => observer.updater(multi)?.unwrap_or(TransactionId::INVALID),
                    None => header.xmax,
                };
                Unchanged::Updated { next: header.ctid, xmax }
            }
            TupleState::Deleted => Unchanged::Deleted { moved: header.moved_partitions() },
            TupleState::Invisible => Unchanged::Invisible,
            TupleState::Ok | TupleState::BeingModified => Unchanged::WouldBlock,
        })
    }

    /// Judges a tuple for a deletion or an update with key, waiting for whoever holds it. The page stays
    /// locked.
    fn settle(
        &self,
        mut guard: PageWriteGuard,
        pin: &PinnedBuffer,
        tid: ItemPointer,
        cid: CommandId,
        mode: RowLockMode,
        lock: &mut TupleLock,
    ) -> Result<(Settled, PageWriteGuard)> {
        let observer = self.observer();
        let header = page::header(&guard, tid.offset)?;
        let (state, hints) = satisfies_update(&header, tid, cid, &observer)?;
        set_hints(&mut guard, tid, hints.safe_bits(&observer));
        if state != TupleState::BeingModified {
            return Ok((Settled::State(state), guard));
        }
        if let Some(multi) = header.xmax_multi() {
            let (conflict, ours) = multi_conflicts(multi, header.infomask, mode, &observer)?;
            if conflict {
                drop(guard);
                if !ours {
                    lock.acquire(self, tid, mode, WaitPolicy::Block)?;
                }
                let _ = self.wait_for_members(multi, &header, mode, tid, "deleting", WaitPolicy::Block)?;
                guard = pin.clone().write();
                // Others may be in the set still: ourselves, or lockers that don't conflict. An updater
                // that has committed will not go away.
                if xmax_changed(&header, &page::header(&guard, tid.offset)?) {
                    return Ok((Settled::Again, guard));
                }
            }
        } else if !self.transaction.is_current(header.xmax) {
            drop(guard);
            lock.acquire(self, tid, mode, WaitPolicy::Block)?;
            self.wait_out(header.xmax, tid, "deleting")?;
            return Ok((Settled::Again, pin.clone().write()));
        }
        // Only our own lock, or locks that don't conflict, are left.
        let free = header.infomask.xmax_is_locked_only() || self.is_only_locked(&header)?;
        let state = match (free, header.ctid == tid) {
            (true, _) => TupleState::Ok,
            (false, true) => TupleState::Deleted,
            (false, false) => TupleState::Updated,
        };
        Ok((Settled::State(state), guard))
    }

    /// True if nobody has updated or deleted the tuple for good: `HeapTupleHeaderIsOnlyLocked`.
    pub(super) fn is_only_locked(&self, header: &TupleHeader) -> Result<bool> {
        let infomask = header.infomask;
        if infomask.any(Infomask::XMAX_INVALID) || infomask.xmax_is_locked_only() || !header.xmax.is_valid() {
            return Ok(true);
        }
        let Some(multi) = header.xmax_multi() else { return Ok(false) };
        let observer = self.observer();
        let Some(updater) = observer.updater(multi)? else { return Ok(true) };
        if observer.is_current(updater) || observer.is_in_progress(updater)? {
            return Ok(false);
        }
        Ok(!observer.did_commit(updater)?)
    }

    /// Waits for a transaction that holds the row, however long it takes.
    pub(super) fn wait_out(&self, xid: TransactionId, tid: ItemPointer, doing: &str) -> Result<()> {
        match self.wait_for_xid(xid, tid, doing, WaitPolicy::Block)? {
            LockOutcome::NotAvailable => Err(Error::internal("a wait that blocks ended without the lock")),
            _ => Ok(()),
        }
    }

    /// We may become a member of multixacts from now on: `MultiXactIdSetOldestMember`.
    pub(super) fn announce_membership(&self) {
        self.cluster().transactions.multixacts.set_oldest_member(self.transaction.proc());
    }

    /// Waits for a transaction that holds the row.
    pub(super) fn wait_for_xid(
        &self,
        xid: TransactionId,
        tid: ItemPointer,
        doing: &str,
        policy: WaitPolicy,
    ) -> Result<LockOutcome> {
        self.transaction
            .wait_for_transaction(xid, policy)
            .map_err(|error| self.row_context(error, tid, doing))
    }

    /// Waits for the members of a multixact whose locks conflict with `mode`.
    pub(super) fn wait_for_members(
        &self,
        multi: kokkiri_primitives::MultiXactId,
        header: &TupleHeader,
        mode: RowLockMode,
        tid: ItemPointer,
        doing: &str,
        policy: WaitPolicy,
    ) -> Result<(LockOutcome, bool)> {
        let observer = self.observer();
        let mut remains = false;
        if header.infomask.xmax_is_upgraded_lock() {
            return Ok((LockOutcome::Granted, false));
        }
        for member in observer.members(multi, header.infomask.xmax_is_locked_only())?.iter() {
            if observer.is_current(member.xid) {
                remains = true;
                continue;
            }
            if !RowLockMode::of(member.status).conflicts_with(mode) {
                remains |= observer.is_in_progress(member.xid)?;
                continue;
            }
            if self.wait_for_xid(member.xid, tid, doing, policy)? == LockOutcome::NotAvailable {
                return Ok((LockOutcome::NotAvailable, remains));
            }
        }
        Ok((LockOutcome::Granted, remains))
    }

    fn row_context(&self, error: Error, tid: ItemPointer, doing: &str) -> Error {
        error.context(format!("while {doing} tuple {tid} in relation \"{}\"", self.relation.name))
    }
}

/// Judgement of a tuple under its page's lock.
enum Settled {
    State(TupleState),
    /// The page was let go: look at the tuple anew.
    Again,
}

pub(super) fn invisible(action: &str) -> Error {
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, format!("attempted to {action} invisible tuple"))
}

/// Writes hint bits to a page that is locked exclusively.
pub(super) fn set_hints(guard: &mut PageWriteGuard, tid: ItemPointer, bits: u16) {
    if bits != 0 {
        guard.set_hint(|target| page::set_hint_bits(target, tid.offset, bits));
    }
}
