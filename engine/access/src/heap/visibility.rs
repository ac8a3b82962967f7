//! Which row versions a reader sees, and what a writer may do with one.
//!
//! Realises: `heapam_visibility.c`. Every rule reads a tuple header, asks about transactions through
//! [`Judge`], and answers together with the hint bits it learned: whether and how these reach the page is
//! the caller's business, because it holds the page's lock and knows whether a commit is durable enough
//! for a hint (a hint must not reach disk before the commit record it tells of).
//!
//! Order of questions: a transaction of ours, then the snapshot or the process array, and the commit log
//! last. A transaction writes its commit-log entry before it leaves the process array, so asking in the
//! other order could take a transaction that commits in between for an aborted one.
//!
//! Differs: tuples moved by VACUUM FULL of servers before 9.0 are reported as damaged.

use std::sync::Arc;

use kokkiri_primitives::{CommandId, Error, ItemPointer, MultiXactId, Result, TransactionId};
use kokkiri_transaction::multixact::{MultiXactMember, MultiXactStatus};

use crate::tuple::header::{Infomask, TupleHeader};

/// What visibility asks about transactions.
pub trait Judge {
    /// The xid is ours: the current transaction or one of its live subtransactions.
    fn is_current(&self, xid: TransactionId) -> bool;
    /// Somebody's transaction (ours included) that hasn't ended.
    fn is_in_progress(&self, xid: TransactionId) -> Result<bool>;
    fn did_commit(&self, xid: TransactionId) -> Result<bool>;
    /// The member of a multixact that updated or deleted the tuple, if there is one.
    fn updater(&self, multi: MultiXactId) -> Result<Option<TransactionId>> {
        let members = self.members(multi, false)?;
        Ok(members.iter().find(|member| member.status.is_update()).map(|member| member.xid))
    }
    /// True if a member of the multixact is still running.
    fn is_multi_running(&self, multi: MultiXactId, lock_only: bool) -> Result<bool> {
        for member in self.members(multi, lock_only)?.iter() {
            if self.is_current(member.xid) || self.is_in_progress(member.xid)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
    /// The members; with `lock_only`, none if the multixact is too old to have a running one.
    fn members(&self, multi: MultiXactId, lock_only: bool) -> Result<Arc<[MultiXactMember]>>;
    fn create_multi(&self, members: &[MultiXactMember]) -> Result<MultiXactId>;
    /// A multixact of the members that still matter and one more.
    fn expand_multi(
        &self,
        multi: MultiXactId,
        xid: TransactionId,
        status: MultiXactStatus,
    ) -> Result<MultiXactId>;
    /// The transaction's commit is on disk, so a page may say that it committed.
    fn is_durable(&self, xid: TransactionId) -> bool;
    /// Command that inserted the tuple, one of ours.
    fn inserting_command(&self, header: &TupleHeader) -> CommandId;
    /// Command that deleted the tuple, one of ours.
    fn deleting_command(&self, header: &TupleHeader) -> CommandId;
}

/// A snapshot as the MVCC rule needs it.
pub trait MvccSnapshot {
    /// True if the transaction counts as running: it had not ended when the snapshot was taken.
    fn is_running(&self, xid: TransactionId) -> Result<bool>;
    /// Commands of our own transaction from this one on are invisible.
    fn command_id(&self) -> CommandId;
}

/// A hint bit learned while judging, with the transaction it is about (`None`: safe at once).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    pub bits: u16,
    /// Transaction whose commit must be durable before XMIN_COMMITTED is written.
    pub xmin: Option<TransactionId>,
    /// The same for XMAX_COMMITTED.
    pub xmax: Option<TransactionId>,
}

impl Hints {
    /// The bits that may go to the page now.
    pub fn safe_bits(&self, judge: &impl Judge) -> u16 {
        let mut bits = self.bits;
        for (xid, bit) in [(self.xmin, Infomask::XMIN_COMMITTED), (self.xmax, Infomask::XMAX_COMMITTED)] {
            if bits & bit != 0 && xid.is_some_and(|xid| !judge.is_durable(xid)) {
                bits &= !bit;
            }
        }
        bits
    }

    fn set(&mut self, header: &mut TupleHeader, bit: u16, xid: Option<TransactionId>) {
        header.infomask.0 |= bit;
        self.bits |= bit;
        match bit {
            Infomask::XMIN_COMMITTED => self.xmin = xid,
            Infomask::XMAX_COMMITTED => self.xmax = xid,
            _ => {}
        }
    }
}

/// What became of the insertion.
enum Inserted {
    /// Never, or taken back.
    Aborted,
    ByUs,
    InProgress,
    Committed,
}

fn check_not_moved(header: &TupleHeader) -> Result<()> {
    if header.infomask.any(Infomask::MOVED) {
        return Err(Error::data_corrupted("heap tuple was moved by a VACUUM FULL of before PostgreSQL 9.0"));
    }
    Ok(())
}

fn judge_insertion(
    header: &mut TupleHeader,
    judge: &impl Judge,
    running: impl FnOnce(TransactionId) -> Result<bool>,
    hints: &mut Hints,
) -> Result<Inserted> {
    if header.xmin_committed() {
        return Ok(Inserted::Committed);
    }
    if header.xmin_invalid() {
        return Ok(Inserted::Aborted);
    }
    check_not_moved(header)?;
    if judge.is_current(header.xmin) {
        return Ok(Inserted::ByUs);
    }
    if running(header.xmin)? {
        return Ok(Inserted::InProgress);
    }
    if judge.did_commit(header.xmin)? {
        hints.set(header, Infomask::XMIN_COMMITTED, Some(header.xmin));
        Ok(Inserted::Committed)
    } else {
        hints.set(header, Infomask::XMIN_INVALID, None);
        Ok(Inserted::Aborted)
    }
}

/// The transaction that updated or deleted the tuple, looked up in a multixact if need be. Only for a
/// tuple whose xmax does not merely lock.
fn update_xid(header: &TupleHeader, judge: &impl Judge) -> Result<Option<TransactionId>> {
    match header.xmax_multi() {
        Some(multi) => judge.updater(multi),
        None => Ok(Some(header.xmax)),
    }
}

/// What the MVCC rule answers from a tuple's hint bits alone, if its transactions ended before
/// `oldest_running`, the oldest one that was running when the snapshot was taken: most tuples are settled so.
#[inline]
pub fn settled_mvcc(header: &TupleHeader, oldest_running: TransactionId) -> Option<bool> {
    let infomask = header.infomask;
    if !header.xmin_committed() || !(header.xmin_frozen() || header.xmin.precedes(oldest_running)) {
        return None;
    }
    if infomask.any(Infomask::XMAX_INVALID) {
        return Some(true);
    }
    let is_deleted = infomask.any(Infomask::XMAX_COMMITTED)
        && !infomask.any(Infomask::XMAX_IS_MULTI)
        && !infomask.xmax_is_locked_only()
        && header.xmax.precedes(oldest_running);
    is_deleted.then_some(false)
}

/// The MVCC rule: `HeapTupleSatisfiesMVCC`.
pub fn satisfies_mvcc(
    header: &TupleHeader,
    snapshot: &impl MvccSnapshot,
    judge: &impl Judge,
) -> Result<(bool, Hints)> {
    let mut header = *header;
    let mut hints = Hints::default();
    let command_id = snapshot.command_id();
    let was_committed = header.xmin_committed();
    match judge_insertion(&mut header, judge, |xid| snapshot.is_running(xid), &mut hints)? {
        Inserted::Aborted | Inserted::InProgress => return Ok((false, hints)),
        Inserted::ByUs => {
            if judge.inserting_command(&header) >= command_id {
                return Ok((false, hints));
            }
            if header.infomask.any(Infomask::XMAX_INVALID) || header.infomask.xmax_is_locked_only() {
                return Ok((true, hints));
            }
            let deleter = update_xid(&header, judge)?;
            if !deleter.is_some_and(|xid| judge.is_current(xid)) {
                // A subtransaction of ours deleted it and rolled back.
                if header.xmax_multi().is_none() {
                    hints.set(&mut header, Infomask::XMAX_INVALID, None);
                }
                return Ok((true, hints));
            }
            return Ok((judge.deleting_command(&header) >= command_id, hints));
        }
        Inserted::Committed => {
            if was_committed && !header.xmin_frozen() && snapshot.is_running(header.xmin)? {
                return Ok((false, hints));
            }
        }
    }
    let infomask = header.infomask;
    if infomask.any(Infomask::XMAX_INVALID) || infomask.xmax_is_locked_only() {
        return Ok((true, hints));
    }
    let Some(deleter) = update_xid(&header, judge)? else { return Ok((true, hints)) };
    if !infomask.any(Infomask::XMAX_COMMITTED) || infomask.any(Infomask::XMAX_IS_MULTI) {
        if judge.is_current(deleter) {
            return Ok((judge.deleting_command(&header) >= command_id, hints));
        }
        if snapshot.is_running(deleter)? {
            return Ok((true, hints));
        }
        let committed = judge.did_commit(deleter)?;
        if !infomask.any(Infomask::XMAX_IS_MULTI) {
            let bit = if committed { Infomask::XMAX_COMMITTED } else { Infomask::XMAX_INVALID };
            hints.set(&mut header, bit, committed.then_some(deleter));
        }
        return Ok((!committed, hints));
    }
    Ok((snapshot.is_running(deleter)?, hints))
}

/// What a reader that looks beyond commits finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirtyVerdict {
    pub visible: bool,
    /// The inserter, if it is still running.
    pub inserter: Option<TransactionId>,
    /// The deleter, if it is still running.
    pub deleter: Option<TransactionId>,
    /// The insertion is speculative, with this token.
    pub speculative_token: Option<u32>,
}

impl DirtyVerdict {
    /// `HeapTupleSatisfiesSelf`: what is committed or ours, up to this very command.
    pub fn visible_to_self(&self) -> bool {
        self.visible && self.inserter.is_none()
    }
}

/// The rule for uniqueness checks: `HeapTupleSatisfiesDirty`. Effects of running transactions count.
pub fn satisfies_dirty(header: &TupleHeader, judge: &impl Judge) -> Result<(DirtyVerdict, Hints)> {
    let mut header = *header;
    let mut hints = Hints::default();
    let visible = |visible| DirtyVerdict { visible, ..DirtyVerdict::default() };
    match judge_insertion(&mut header, judge, |xid| judge.is_in_progress(xid), &mut hints)? {
        Inserted::Aborted => return Ok((visible(false), hints)),
        Inserted::InProgress => {
            let speculative_token = header.is_speculative().then_some(header.ctid.block.0);
            return Ok((
                DirtyVerdict { inserter: Some(header.xmin), speculative_token, ..visible(true) },
                hints,
            ));
        }
        Inserted::ByUs => {
            if header.infomask.any(Infomask::XMAX_INVALID) || header.infomask.xmax_is_locked_only() {
                return Ok((visible(true), hints));
            }
            let ours = update_xid(&header, judge)?.is_some_and(|xid| judge.is_current(xid));
            if !ours && header.xmax_multi().is_none() {
                hints.set(&mut header, Infomask::XMAX_INVALID, None);
            }
            return Ok((visible(!ours), hints));
        }
        Inserted::Committed => {}
    }
    let infomask = header.infomask;
    if infomask.any(Infomask::XMAX_INVALID) {
        return Ok((visible(true), hints));
    }
    if infomask.any(Infomask::XMAX_COMMITTED) && !infomask.any(Infomask::XMAX_IS_MULTI) {
        return Ok((visible(infomask.xmax_is_locked_only()), hints));
    }
    if infomask.xmax_is_locked_only() {
        return Ok((visible(true), hints));
    }
    let Some(deleter) = update_xid(&header, judge)? else { return Ok((visible(true), hints)) };
    if judge.is_current(deleter) {
        return Ok((visible(false), hints));
    }
    if judge.is_in_progress(deleter)? {
        return Ok((DirtyVerdict { deleter: Some(deleter), ..visible(true) }, hints));
    }
    let committed = judge.did_commit(deleter)?;
    if header.xmax_multi().is_none() {
        let bit = if committed { Infomask::XMAX_COMMITTED } else { Infomask::XMAX_INVALID };
        hints.set(&mut header, bit, committed.then_some(deleter));
    }
    Ok((visible(!committed), hints))
}

/// The rule for chunks of wide values: `HeapTupleSatisfiesToast`. Whoever sees the row sees its chunks.
pub fn satisfies_toast(header: &TupleHeader) -> Result<bool> {
    if !header.xmin_committed() {
        if header.xmin_invalid() {
            return Ok(false);
        }
        check_not_moved(header)?;
        return Ok(header.xmin.is_valid());
    }
    Ok(true)
}

/// What a writer finds: PostgreSQL's `TM_Result` of `HeapTupleSatisfiesUpdate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TupleState {
    /// Free to be changed.
    Ok,
    /// Not visible to the command that asks.
    Invisible,
    /// Changed by our own transaction, in this command or a later one.
    SelfModified,
    /// Replaced by a committed transaction.
    Updated,
    /// Deleted by a committed transaction.
    Deleted,
    /// Changed or locked by a transaction that is still running.
    BeingModified,
}

/// What may be done with the tuple that stands at `tid`, by a command of ours: `HeapTupleSatisfiesUpdate`.
pub fn satisfies_update(
    header: &TupleHeader,
    tid: ItemPointer,
    command_id: CommandId,
    judge: &impl Judge,
) -> Result<(TupleState, Hints)> {
    let mut header = *header;
    let mut hints = Hints::default();
    let by_command = |header: &TupleHeader| {
        if judge.deleting_command(header) >= command_id {
            TupleState::SelfModified
        } else {
            TupleState::Invisible
        }
    };
    let gone = |header: &TupleHeader| {
        if header.ctid == tid || header.moved_partitions() {
            TupleState::Deleted
        } else {
            TupleState::Updated
        }
    };
    match judge_insertion(&mut header, judge, |xid| judge.is_in_progress(xid), &mut hints)? {
        Inserted::Aborted | Inserted::InProgress => return Ok((TupleState::Invisible, hints)),
        Inserted::ByUs => {
            let state = state_of_our_own(&mut header, command_id, judge, &mut hints)?;
            return Ok((state, hints));
        }
        Inserted::Committed => {}
    }
    let infomask = header.infomask;
    if infomask.any(Infomask::XMAX_INVALID) {
        return Ok((TupleState::Ok, hints));
    }
    if infomask.any(Infomask::XMAX_COMMITTED) {
        let state = if infomask.xmax_is_locked_only() { TupleState::Ok } else { gone(&header) };
        return Ok((state, hints));
    }
    if let Some(multi) = header.xmax_multi() {
        if infomask.xmax_is_upgraded_lock() {
            return Ok((TupleState::Ok, hints));
        }
        if infomask.xmax_is_locked_only() {
            if judge.is_multi_running(multi, true)? {
                return Ok((TupleState::BeingModified, hints));
            }
            hints.set(&mut header, Infomask::XMAX_INVALID, None);
            return Ok((TupleState::Ok, hints));
        }
        let updater = judge.updater(multi)?;
        if updater.is_some_and(|xid| judge.is_current(xid)) {
            return Ok((by_command(&header), hints));
        }
        if judge.is_multi_running(multi, false)? {
            return Ok((TupleState::BeingModified, hints));
        }
        if let Some(xid) = updater
            && judge.did_commit(xid)?
        {
            return Ok((gone(&header), hints));
        }
        hints.set(&mut header, Infomask::XMAX_INVALID, None);
        return Ok((TupleState::Ok, hints));
    }
    if judge.is_current(header.xmax) {
        let state =
            if infomask.xmax_is_locked_only() { TupleState::BeingModified } else { by_command(&header) };
        return Ok((state, hints));
    }
    if judge.is_in_progress(header.xmax)? {
        return Ok((TupleState::BeingModified, hints));
    }
    if infomask.xmax_is_locked_only() || !judge.did_commit(header.xmax)? {
        hints.set(&mut header, Infomask::XMAX_INVALID, None);
        return Ok((TupleState::Ok, hints));
    }
    let deleter = header.xmax;
    hints.set(&mut header, Infomask::XMAX_COMMITTED, Some(deleter));
    Ok((gone(&header), hints))
}

/// [`satisfies_update`] of a tuple that our own transaction inserted.
fn state_of_our_own(
    header: &mut TupleHeader,
    command_id: CommandId,
    judge: &impl Judge,
    hints: &mut Hints,
) -> Result<TupleState> {
    if judge.inserting_command(header) >= command_id {
        return Ok(TupleState::Invisible);
    }
    if header.infomask.any(Infomask::XMAX_INVALID) {
        return Ok(TupleState::Ok);
    }
    let running_or_ok = |running| if running { TupleState::BeingModified } else { TupleState::Ok };
    if header.infomask.xmax_is_locked_only() {
        // Others may hold a key-share lock on a row that only a later part of ours will make visible.
        let running = match header.xmax_multi() {
            Some(multi) => judge.is_multi_running(multi, true)?,
            None => judge.is_in_progress(header.xmax)?,
        };
        return Ok(running_or_ok(running));
    }
    let ours = update_xid(header, judge)?.is_some_and(|xid| judge.is_current(xid));
    if !ours {
        return match header.xmax_multi() {
            Some(multi) => Ok(running_or_ok(judge.is_multi_running(multi, false)?)),
            None => {
                hints.set(header, Infomask::XMAX_INVALID, None);
                Ok(TupleState::Ok)
            }
        };
    }
    let later = judge.deleting_command(header) >= command_id;
    Ok(if later { TupleState::SelfModified } else { TupleState::Invisible })
}

/// What VACUUM finds: PostgreSQL's `HTSV_Result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VacuumState {
    /// Its insertion never happened.
    Dead,
    Live,
    /// Deleted by this transaction: dead to everybody once that is older than the horizon.
    DeadAfter(TransactionId),
    InsertInProgress,
    DeleteInProgress,
}

/// The rule of pruning and VACUUM: `HeapTupleSatisfiesVacuumHorizon`.
pub fn satisfies_vacuum(header: &TupleHeader, judge: &impl Judge) -> Result<(VacuumState, Hints)> {
    let mut header = *header;
    let mut hints = Hints::default();
    match judge_insertion(&mut header, judge, |xid| judge.is_in_progress(xid), &mut hints)? {
        Inserted::Aborted => return Ok((VacuumState::Dead, hints)),
        Inserted::InProgress => return Ok((VacuumState::InsertInProgress, hints)),
        Inserted::ByUs => {
            let infomask = header.infomask;
            let deleted = !infomask.any(Infomask::XMAX_INVALID)
                && !infomask.xmax_is_locked_only()
                && update_xid(&header, judge)?.is_some_and(|xid| judge.is_current(xid));
            let state = if deleted { VacuumState::DeleteInProgress } else { VacuumState::InsertInProgress };
            return Ok((state, hints));
        }
        Inserted::Committed => {}
    }
    let infomask = header.infomask;
    if infomask.any(Infomask::XMAX_INVALID) {
        return Ok((VacuumState::Live, hints));
    }
    if infomask.xmax_is_locked_only() {
        if !infomask.any(Infomask::XMAX_COMMITTED) {
            let running = match header.xmax_multi() {
                Some(multi) => !infomask.xmax_is_upgraded_lock() && judge.is_multi_running(multi, true)?,
                None => judge.is_in_progress(header.xmax)?,
            };
            if !running {
                hints.set(&mut header, Infomask::XMAX_INVALID, None);
            }
        }
        return Ok((VacuumState::Live, hints));
    }
    let Some(deleter) = update_xid(&header, judge)? else { return Ok((VacuumState::Live, hints)) };
    if let Some(multi) = header.xmax_multi() {
        if judge.is_in_progress(deleter)? {
            return Ok((VacuumState::DeleteInProgress, hints));
        }
        if judge.did_commit(deleter)? {
            return Ok((VacuumState::DeadAfter(deleter), hints));
        }
        if !judge.is_multi_running(multi, false)? {
            hints.set(&mut header, Infomask::XMAX_INVALID, None);
        }
        return Ok((VacuumState::Live, hints));
    }
    if !infomask.any(Infomask::XMAX_COMMITTED) {
        if judge.is_in_progress(deleter)? {
            return Ok((VacuumState::DeleteInProgress, hints));
        }
        if !judge.did_commit(deleter)? {
            hints.set(&mut header, Infomask::XMAX_INVALID, None);
            return Ok((VacuumState::Live, hints));
        }
        hints.set(&mut header, Infomask::XMAX_COMMITTED, Some(deleter));
    }
    Ok((VacuumState::DeadAfter(deleter), hints))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLDEST_RUNNING: TransactionId = TransactionId(200);

    /// Knows transactions only from the snapshot: whatever else is asked goes beyond hint bits.
    struct HintsOnly;

    impl MvccSnapshot for HintsOnly {
        fn is_running(&self, xid: TransactionId) -> Result<bool> {
            Ok(!xid.precedes(OLDEST_RUNNING))
        }

        fn command_id(&self) -> CommandId {
            CommandId(0)
        }
    }

    impl Judge for HintsOnly {
        fn is_current(&self, _: TransactionId) -> bool {
            unreachable!("hint bits say who committed")
        }

        fn is_in_progress(&self, _: TransactionId) -> Result<bool> {
            unreachable!("hint bits say who committed")
        }

        fn did_commit(&self, _: TransactionId) -> Result<bool> {
            unreachable!("hint bits say who committed")
        }

        fn members(&self, _: MultiXactId, _: bool) -> Result<Arc<[MultiXactMember]>> {
            unreachable!("multixacts are not settled by hint bits")
        }

        fn create_multi(&self, _: &[MultiXactMember]) -> Result<MultiXactId> {
            unreachable!("a reader locks nothing")
        }

        fn expand_multi(&self, _: MultiXactId, _: TransactionId, _: MultiXactStatus) -> Result<MultiXactId> {
            unreachable!("a reader locks nothing")
        }

        fn is_durable(&self, _: TransactionId) -> bool {
            unreachable!("nothing is learned")
        }

        fn inserting_command(&self, _: &TupleHeader) -> CommandId {
            unreachable!("the tuple is not ours")
        }

        fn deleting_command(&self, _: &TupleHeader) -> CommandId {
            unreachable!("the tuple is not ours")
        }
    }

    #[test]
    fn what_hint_bits_settle_is_what_the_whole_rule_says() {
        let mut settled = [0, 0];
        for infomask in 0..=u16::MAX {
            for (xmin, xmax) in
                [2, 100, 200].into_iter().flat_map(|xmin| [0, 150, 200].map(|xmax| (xmin, xmax)))
            {
                let mut bytes = [0; 23];
                bytes[0..4].copy_from_slice(&u32::to_le_bytes(xmin));
                bytes[4..8].copy_from_slice(&u32::to_le_bytes(xmax));
                bytes[20..22].copy_from_slice(&infomask.to_le_bytes());
                bytes[22] = 23;
                let header = TupleHeader::read(&bytes).expect("a header of its own size");
                let Some(visible) = settled_mvcc(&header, OLDEST_RUNNING) else { continue };
                let (whole, hints) =
                    satisfies_mvcc(&header, &HintsOnly, &HintsOnly).expect("nothing is read");
                assert_eq!((visible, 0), (whole, hints.bits), "{header:?}");
                settled[usize::from(visible)] += 1;
            }
        }
        assert!(settled[0] > 1000 && settled[1] > 1000, "{settled:?}");
    }
}
