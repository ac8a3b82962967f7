//! Freezing: replacing old transaction ids in tuple headers before they can wrap around.
//!
//! Realises: `heap_prepare_freeze_tuple`, `FreezeMultiXactId`, `heap_tuple_should_freeze`. Judging a tuple
//! gives a plan and keeps two pairs of trackers: the oldest ids left on the page if all plans are carried
//! out, and if none is. The pruner chooses, VACUUM takes over the pair that applies.

use kokkiri_primitives::{Error, MultiXactId, Result, TransactionId};
use kokkiri_transaction::multixact::MultiXactMember;

use super::locking::hint_bits_of;
use super::prune_record::FreezeTuple;
use super::visibility::Judge;
use crate::tuple::header::{Infomask, TupleHeader, infomask2};

/// What VACUUM decided before its scan: `VacuumCutoffs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutoffs {
    /// The table's current limits: nothing older may be found.
    pub relfrozenxid: TransactionId,
    pub relminmxid: MultiXactId,
    /// Tuples deleted before this are dead to everybody.
    pub oldest_xmin: TransactionId,
    /// Multixacts before this have no running member.
    pub oldest_mxact: MultiXactId,
    /// Ids before these must not be left behind.
    pub freeze_limit: TransactionId,
    pub multixact_cutoff: MultiXactId,
}

/// The oldest ids that stay in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldestIds {
    pub xid: TransactionId,
    pub mxid: MultiXactId,
}

impl OldestIds {
    fn note_xid(&mut self, xid: TransactionId) {
        if xid.precedes(self.xid) {
            self.xid = xid;
        }
    }

    fn note_mxid(&mut self, mxid: MultiXactId) {
        if mxid.precedes(self.mxid) {
            self.mxid = mxid;
        }
    }
}

/// State of one page while its tuples are judged: `HeapPageFreeze`.
#[derive(Clone, Copy, Debug)]
pub struct PageFreeze {
    /// Some tuple leaves no choice.
    pub required: bool,
    /// Left behind if the plans are carried out.
    pub if_frozen: OldestIds,
    /// Left behind if they are not.
    pub if_not: OldestIds,
}

/// A tuple's plan, with what must be true when it is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreezePlan {
    pub xmax: u32,
    pub infomask2: u16,
    pub infomask: u16,
    pub check_xmin_committed: bool,
    pub check_xmax_aborted: bool,
}

impl FreezePlan {
    pub fn at(&self, offset: kokkiri_primitives::OffsetNumber) -> FreezeTuple {
        FreezeTuple { xmax: self.xmax, infomask2: self.infomask2, infomask: self.infomask, offset }
    }
}

/// What is to become of an xmax.
enum XmaxPlan {
    /// It stays, and is not old.
    Keep,
    /// There is none.
    AlreadyFrozen,
    Remove,
    /// A plain updater takes the place of a multixact.
    Xid {
        xid: TransactionId,
        committed: bool,
    },
    /// A smaller multixact takes the place of the old one.
    Multi(MultiXactId),
}

fn corrupted(message: String) -> Error {
    Error::data_corrupted(message)
}

/// Judges one tuple that stays on the page. Answers its plan, if there is something to do, and whether the
/// tuple will hold no id that VACUUM must ever look at again.
pub fn prepare(
    header: &TupleHeader,
    cutoffs: &Cutoffs,
    page: &mut PageFreeze,
    judge: &impl Judge,
) -> Result<(Option<FreezePlan>, bool)> {
    let mut plan = FreezePlan {
        xmax: header.xmax.0,
        infomask2: header.infomask2,
        infomask: header.infomask.0,
        check_xmin_committed: false,
        check_xmax_aborted: false,
    };
    let xmin = header.effective_xmin();
    let xmin_already_frozen = !xmin.is_normal();
    let mut freeze_xmin = false;
    if !xmin_already_frozen {
        if xmin.precedes(cutoffs.relfrozenxid) {
            return Err(corrupted(format!(
                "found xmin {xmin} from before relfrozenxid {}",
                cutoffs.relfrozenxid
            )));
        }
        freeze_xmin = xmin.precedes(cutoffs.oldest_xmin);
        plan.check_xmin_committed = freeze_xmin;
    }
    let xmax_plan = plan_xmax(header, cutoffs, page, judge)?;
    let mut changes_xmax = true;
    match xmax_plan {
        XmaxPlan::Keep | XmaxPlan::AlreadyFrozen => changes_xmax = false,
        XmaxPlan::Remove => {
            plan.xmax = 0;
            plan.infomask = plan.infomask & !Infomask::XMAX_BITS | Infomask::XMAX_INVALID;
            plan.infomask2 &= !(infomask2::HOT_UPDATED | infomask2::KEYS_UPDATED);
            plan.check_xmax_aborted = header.xmax_multi().is_none() && !header.infomask.xmax_is_locked_only();
        }
        XmaxPlan::Xid { xid, committed } => {
            plan.xmax = xid.0;
            plan.infomask &= !Infomask::XMAX_BITS;
            if committed {
                plan.infomask |= Infomask::XMAX_COMMITTED;
            }
        }
        XmaxPlan::Multi(multi) => {
            let (bits, bits2) = hint_bits_of(&judge.members(multi, false)?);
            plan.xmax = multi.0;
            plan.infomask = plan.infomask & !Infomask::XMAX_BITS | bits;
            plan.infomask2 = plan.infomask2 & !infomask2::KEYS_UPDATED | bits2;
        }
    }
    if freeze_xmin {
        plan.infomask |= Infomask::XMIN_FROZEN;
    }
    let removes_xmax = matches!(xmax_plan, XmaxPlan::Remove);
    let xmax_already_frozen = matches!(xmax_plan, XmaxPlan::AlreadyFrozen);
    let totally_frozen = (freeze_xmin || xmin_already_frozen) && (removes_xmax || xmax_already_frozen);
    let nothing_to_freeze = xmin_already_frozen && xmax_already_frozen;
    if !page.required && !nothing_to_freeze {
        page.required = should_freeze(header, cutoffs, &mut page.if_not, judge)?;
    }
    Ok(((freeze_xmin || changes_xmax).then_some(plan), totally_frozen))
}

fn plan_xmax(
    header: &TupleHeader,
    cutoffs: &Cutoffs,
    page: &mut PageFreeze,
    judge: &impl Judge,
) -> Result<XmaxPlan> {
    if let Some(multi) = header.xmax_multi() {
        let plan = plan_multi(multi, header.infomask, cutoffs, page, judge)?;
        if !matches!(plan, XmaxPlan::Keep) {
            page.required = true;
        }
        return Ok(plan);
    }
    let xmax = header.xmax;
    if xmax.is_normal() {
        if xmax.precedes(cutoffs.relfrozenxid) {
            return Err(corrupted(format!(
                "found xmax {xmax} from before relfrozenxid {}",
                cutoffs.relfrozenxid
            )));
        }
        return Ok(if xmax.precedes(cutoffs.oldest_xmin) { XmaxPlan::Remove } else { XmaxPlan::Keep });
    }
    if xmax.is_valid() {
        let infomask = header.infomask.0;
        return Err(corrupted(format!(
            "found raw xmax {xmax} (infomask 0x{infomask:04x}) not invalid and not multi"
        )));
    }
    Ok(XmaxPlan::AlreadyFrozen)
}

fn plan_multi(
    multi: MultiXactId,
    infomask: Infomask,
    cutoffs: &Cutoffs,
    page: &mut PageFreeze,
    judge: &impl Judge,
) -> Result<XmaxPlan> {
    let lock_only = infomask.xmax_is_locked_only();
    if !multi.is_valid() || infomask.xmax_is_upgraded_lock() {
        return Ok(XmaxPlan::Remove);
    }
    if multi.precedes(cutoffs.relminmxid) {
        return Err(corrupted(format!(
            "found multixact {multi} from before relminmxid {}",
            cutoffs.relminmxid
        )));
    }
    if multi.precedes(cutoffs.oldest_mxact) {
        return plan_old_multi(multi, lock_only, cutoffs, judge);
    }
    let members = judge.members(multi, lock_only)?;
    if members.is_empty() {
        return Ok(XmaxPlan::Remove);
    }
    let must_replace = multi.precedes(cutoffs.multixact_cutoff)
        || members.iter().any(|member| member.xid.precedes(cutoffs.freeze_limit));
    if !must_replace {
        members.iter().for_each(|member| page.if_frozen.note_xid(member.xid));
        page.if_frozen.note_mxid(multi);
        return Ok(XmaxPlan::Keep);
    }
    replace_multi(multi, &members, cutoffs, judge)
}

/// A multixact so old that none of its members can be running.
fn plan_old_multi(
    multi: MultiXactId,
    lock_only: bool,
    cutoffs: &Cutoffs,
    judge: &impl Judge,
) -> Result<XmaxPlan> {
    if judge.is_multi_running(multi, lock_only)? {
        return Err(corrupted(format!(
            "multixact {multi} from before multi freeze cutoff {} found to be still running",
            cutoffs.oldest_mxact
        )));
    }
    if lock_only {
        return Ok(XmaxPlan::Remove);
    }
    let Some(updater) = judge.updater(multi)? else { return Ok(XmaxPlan::Remove) };
    if updater.precedes(cutoffs.relfrozenxid) {
        return Err(corrupted(format!(
            "multixact {multi} contains update XID {updater} from before relfrozenxid {}",
            cutoffs.relfrozenxid
        )));
    }
    if updater.precedes(cutoffs.oldest_xmin) {
        if judge.did_commit(updater)? {
            return Err(corrupted(format!(
                "multixact {multi} contains committed update XID {updater} from before removable cutoff {}",
                cutoffs.oldest_xmin
            )));
        }
        return Ok(XmaxPlan::Remove);
    }
    Ok(XmaxPlan::Xid { xid: updater, committed: false })
}

/// Keeps only the members that still matter: running lockers, and an updater that didn't abort.
fn replace_multi(
    multi: MultiXactId,
    members: &[MultiXactMember],
    cutoffs: &Cutoffs,
    judge: &impl Judge,
) -> Result<XmaxPlan> {
    let mut kept = Vec::new();
    let mut updater: Option<(TransactionId, bool)> = None;
    for member in members {
        let xid = member.xid;
        let running = judge.is_current(xid) || judge.is_in_progress(xid)?;
        if !member.status.is_update() {
            if running {
                if xid.precedes(cutoffs.oldest_xmin) {
                    return Err(corrupted(format!(
                        "multixact {multi} contains running locker XID {xid} from before removable cutoff {}",
                        cutoffs.oldest_xmin
                    )));
                }
                kept.push(*member);
            }
            continue;
        }
        if let Some((first, _)) = updater {
            return Err(corrupted(format!("multixact {multi} has two or more updating members"))
                .detail(format!("First updater XID={first} second updater XID={xid}.")));
        }
        let committed = !running && judge.did_commit(xid)?;
        if !running && !committed {
            continue;
        }
        if xid.precedes(cutoffs.oldest_xmin) {
            return Err(corrupted(format!(
                "multixact {multi} contains committed update XID {xid} from before removable cutoff {}",
                cutoffs.oldest_xmin
            )));
        }
        updater = Some((xid, committed));
        kept.push(*member);
    }
    match (kept.len(), updater) {
        (0, _) => Ok(XmaxPlan::Remove),
        (1, Some((xid, committed))) => Ok(XmaxPlan::Xid { xid, committed }),
        _ => Ok(XmaxPlan::Multi(judge.create_multi(&kept)?)),
    }
}

/// True if the tuple holds an id that must not be left behind; notes the ids it holds.
pub fn should_freeze(
    header: &TupleHeader,
    cutoffs: &Cutoffs,
    oldest: &mut OldestIds,
    judge: &impl Judge,
) -> Result<bool> {
    let mut must = false;
    let mut note = |oldest: &mut OldestIds, xid: TransactionId| {
        if xid.is_normal() {
            oldest.note_xid(xid);
            must |= xid.precedes(cutoffs.freeze_limit);
        }
    };
    note(oldest, header.effective_xmin());
    match header.xmax_multi() {
        None => note(oldest, header.xmax),
        Some(multi) if !multi.is_valid() => {}
        Some(multi) => {
            oldest.note_mxid(multi);
            if header.infomask.xmax_is_upgraded_lock() {
                return Ok(true);
            }
            for member in judge.members(multi, header.infomask.xmax_is_locked_only())?.iter() {
                note(oldest, member.xid);
            }
            must |= multi.precedes(cutoffs.multixact_cutoff);
        }
    }
    Ok(must)
}
