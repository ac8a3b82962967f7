//! Row locks: four strengths, kept in xmax alone or in a multixact.
//!
//! Realises: `README.tuplock`, `compute_new_xmax_infomask`, `GetMultiXactIdHintBits`,
//! `DoesMultiXactIdConflict`.
//!
//! ```text
//!                       FOR KEY SHARE  FOR SHARE  FOR NO KEY UPDATE  FOR UPDATE
//!   FOR KEY SHARE                                                        x
//!   FOR SHARE                                           x               x
//!   FOR NO KEY UPDATE                       x           x               x
//!   FOR UPDATE               x              x           x               x       (x: they conflict)
//! ```
//!
//! A row's lockers live in its xmax: one transaction with bits that say how, or a multixact of several.
//! An update that leaves the key alone takes NO KEY UPDATE, any other and a deletion take UPDATE. Whoever
//! has to wait first takes the heavyweight lock on the tuple, so that waiters queue, then waits for the
//! transactions in xmax to end.

use kokkiri_primitives::{MultiXactId, Result, TransactionId};
use kokkiri_transaction::lock::LockMode;
use kokkiri_transaction::multixact::{MultiXactMember, MultiXactStatus};

use super::visibility::Judge;
use crate::tuple::header::{Infomask, TupleHeader, infomask2};

/// Strength of a row lock, weakest first: `LockTupleMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowLockMode {
    KeyShare,
    Share,
    NoKeyExclusive,
    Exclusive,
}

impl RowLockMode {
    /// Mode of the heavyweight lock that waiters queue for.
    pub fn heavyweight(self) -> LockMode {
        match self {
            Self::KeyShare => LockMode::AccessShare,
            Self::Share => LockMode::RowShare,
            Self::NoKeyExclusive => LockMode::Exclusive,
            Self::Exclusive => LockMode::AccessExclusive,
        }
    }

    /// What a member of a multixact with this lock is, if it also updates the row or if it only locks it.
    pub fn status(self, is_update: bool) -> MultiXactStatus {
        match (self, is_update) {
            (Self::KeyShare, _) => MultiXactStatus::ForKeyShare,
            (Self::Share, _) => MultiXactStatus::ForShare,
            (Self::NoKeyExclusive, false) => MultiXactStatus::ForNoKeyUpdate,
            (Self::NoKeyExclusive, true) => MultiXactStatus::NoKeyUpdate,
            (Self::Exclusive, false) => MultiXactStatus::ForUpdate,
            (Self::Exclusive, true) => MultiXactStatus::Update,
        }
    }

    /// The strength a member holds.
    pub fn of(status: MultiXactStatus) -> Self {
        match status {
            MultiXactStatus::ForKeyShare => Self::KeyShare,
            MultiXactStatus::ForShare => Self::Share,
            MultiXactStatus::ForNoKeyUpdate | MultiXactStatus::NoKeyUpdate => Self::NoKeyExclusive,
            MultiXactStatus::ForUpdate | MultiXactStatus::Update => Self::Exclusive,
        }
    }

    pub fn conflicts_with(self, other: Self) -> bool {
        self.heavyweight().conflicts_with(other.heavyweight())
    }
}

/// Bits of the two infomasks that describe a multixact: `GetMultiXactIdHintBits`.
pub fn hint_bits_of(members: &[MultiXactMember]) -> (u16, u16) {
    let strongest = members.iter().map(|member| RowLockMode::of(member.status)).max();
    let mut bits = Infomask::XMAX_IS_MULTI
        | match strongest.unwrap_or(RowLockMode::KeyShare) {
            RowLockMode::Exclusive | RowLockMode::NoKeyExclusive => Infomask::XMAX_EXCL_LOCK,
            RowLockMode::Share => Infomask::XMAX_SHR_LOCK,
            RowLockMode::KeyShare => Infomask::XMAX_KEYSHR_LOCK,
        };
    if !members.iter().any(|member| member.status.is_update()) {
        bits |= Infomask::XMAX_LOCK_ONLY;
    }
    let touches_key = members
        .iter()
        .any(|member| matches!(member.status, MultiXactStatus::ForUpdate | MultiXactStatus::Update));
    (bits, if touches_key { infomask2::KEYS_UPDATED } else { 0 })
}

/// An xmax and the bits that go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewXmax {
    pub xmax: TransactionId,
    pub infomask: u16,
    pub infomask2: u16,
}

/// What a lone xmax holds, by the header's bits. `None`: bits that say nothing.
pub fn status_of_lone_xmax(header: &TupleHeader) -> Option<MultiXactStatus> {
    let keys = header.keys_updated();
    if !header.infomask.xmax_is_locked_only() {
        return Some(if keys { MultiXactStatus::Update } else { MultiXactStatus::NoKeyUpdate });
    }
    match header.infomask.0 & Infomask::LOCK_MASK {
        Infomask::XMAX_KEYSHR_LOCK => Some(MultiXactStatus::ForKeyShare),
        Infomask::XMAX_SHR_LOCK => Some(MultiXactStatus::ForShare),
        Infomask::XMAX_EXCL_LOCK if keys => Some(MultiXactStatus::ForUpdate),
        Infomask::XMAX_EXCL_LOCK => Some(MultiXactStatus::ForNoKeyUpdate),
        _ => None,
    }
}

/// The xmax of a row that `xid`, one of ours, updates or locks, added to what xmax holds already:
/// `compute_new_xmax_infomask`. May create a multixact.
pub fn compute_new_xmax(
    header: &TupleHeader,
    xid: TransactionId,
    mode: RowLockMode,
    is_update: bool,
    judge: &impl Judge,
) -> Result<NewXmax> {
    let infomask = header.infomask;
    if infomask.any(Infomask::XMAX_INVALID) {
        return Ok(alone(xid, mode, is_update));
    }
    if let Some(multi) = header.xmax_multi() {
        return add_to_multi(multi, infomask, xid, mode, is_update, judge);
    }
    let committed = infomask.any(Infomask::XMAX_COMMITTED);
    let running = !committed && judge.is_in_progress(header.xmax)?;
    let updated_for_good =
        committed || (!running && !infomask.xmax_is_locked_only() && judge.did_commit(header.xmax)?);
    if !running && !updated_for_good {
        return Ok(alone(xid, mode, is_update));
    }
    let Some(status) = status_of_lone_xmax(header) else { return Ok(alone(xid, mode, is_update)) };
    if running && header.xmax == xid {
        // Our own lock gets stronger, never weaker.
        return Ok(alone(xid, mode.max(RowLockMode::of(status)), is_update));
    }
    let old = MultiXactMember { xid: header.xmax, status };
    let new = MultiXactMember { xid, status: mode.status(is_update) };
    of_multi(judge.create_multi(&[old, new])?, judge)
}

fn alone(xid: TransactionId, mode: RowLockMode, is_update: bool) -> NewXmax {
    let keys = if mode == RowLockMode::Exclusive { infomask2::KEYS_UPDATED } else { 0 };
    let infomask = match mode {
        _ if is_update => 0,
        RowLockMode::KeyShare => Infomask::XMAX_LOCK_ONLY | Infomask::XMAX_KEYSHR_LOCK,
        RowLockMode::Share => Infomask::XMAX_LOCK_ONLY | Infomask::XMAX_SHR_LOCK,
        RowLockMode::NoKeyExclusive | RowLockMode::Exclusive => {
            Infomask::XMAX_LOCK_ONLY | Infomask::XMAX_EXCL_LOCK
        }
    };
    NewXmax { xmax: xid, infomask, infomask2: keys }
}

fn of_multi(multi: MultiXactId, judge: &impl Judge) -> Result<NewXmax> {
    let (infomask, infomask2) = hint_bits_of(&judge.members(multi, false)?);
    Ok(NewXmax { xmax: TransactionId(multi.0), infomask, infomask2 })
}

fn add_to_multi(
    multi: MultiXactId,
    infomask: Infomask,
    xid: TransactionId,
    mode: RowLockMode,
    is_update: bool,
    judge: &impl Judge,
) -> Result<NewXmax> {
    if infomask.xmax_is_upgraded_lock() {
        return Ok(alone(xid, mode, is_update));
    }
    let lock_only = infomask.xmax_is_locked_only();
    if !judge.is_multi_running(multi, lock_only)? {
        let updated = match judge.updater(multi)?.filter(|_| !lock_only) {
            Some(updater) => judge.did_commit(updater)?,
            None => false,
        };
        if !updated {
            return Ok(alone(xid, mode, is_update));
        }
    }
    of_multi(judge.expand_multi(multi, xid, mode.status(is_update))?, judge)
}

/// Whether some other transaction in a multixact holds a lock that conflicts, and whether one of ours is a
/// member: `DoesMultiXactIdConflict`.
pub fn multi_conflicts(
    multi: MultiXactId,
    infomask: Infomask,
    mode: RowLockMode,
    judge: &impl Judge,
) -> Result<(bool, bool)> {
    if infomask.xmax_is_upgraded_lock() {
        return Ok((false, false));
    }
    let (mut conflict, mut ours) = (false, false);
    for member in judge.members(multi, infomask.xmax_is_locked_only())?.iter() {
        if judge.is_current(member.xid) {
            ours = true;
        } else if !conflict && RowLockMode::of(member.status).conflicts_with(mode) {
            let running = judge.is_in_progress(member.xid)?;
            conflict = running || (member.status.is_update() && judge.did_commit(member.xid)?);
        }
    }
    Ok((conflict, ours))
}
