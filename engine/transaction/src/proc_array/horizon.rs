//! Horizons: before which xid nobody looks at a deleted tuple any more.
//!
//! Realises: `ComputeXidHorizons`, `GetOldestNonRemovableTransactionId`, `GlobalVisState`.
//!
//! Computing the exact horizon reads every backend's xmin. Pruning asks for every page it looks at, so
//! each backend keeps two bounds and computes exactly only for an xid that lies between them, and only
//! once per snapshot.

use std::sync::atomic::Ordering;

use kokkiri_primitives::{FullTransactionId, ProcNumber, TransactionId};

use crate::snapshot::HorizonKind;

use super::{ProcArray, ProcFlags};

/// The exact horizons at one moment: the oldest xid that is still needed. A tuple deleted by an earlier
/// one is dead to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizons {
    pub latest_completed: FullTransactionId,
    /// Oldest xid that any snapshot may consider running: pg_subtrans is needed from here on.
    pub oldest_considered_running: TransactionId,
    pub shared: TransactionId,
    pub catalog: TransactionId,
    pub data: TransactionId,
    pub temporary: TransactionId,
}

impl Horizons {
    pub fn of(&self, kind: HorizonKind) -> TransactionId {
        match kind {
            HorizonKind::Shared => self.shared,
            HorizonKind::Catalog => self.catalog,
            HorizonKind::Data => self.data,
            HorizonKind::Temporary => self.temporary,
        }
    }
}

/// What a backend remembers of the horizons it computed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct VisibilityBounds {
    /// By kind: everything before is removable. Zero before the first computation.
    removable_before: [FullTransactionId; 4],
    /// xmin of the snapshot under which the horizons were last computed.
    computed_at: Option<TransactionId>,
}

/// The 64-bit id of `xid`, which is less than 2^31 away from `relative`.
pub fn full_relative_to(relative: FullTransactionId, xid: TransactionId) -> FullTransactionId {
    let distance = i64::from(xid.0.wrapping_sub(relative.xid().0) as i32);
    FullTransactionId(relative.0.wrapping_add_signed(distance))
}

impl ProcArray {
    /// Computes the horizons as the backend sees them. PostgreSQL's `ComputeXidHorizons`.
    pub fn horizons(&self, proc: ProcNumber) -> Horizons {
        let own_slot = &self.slots[proc.0 as usize];
        let own_database = own_slot.database();
        let completion = self.lock.read();
        let latest_completed = completion.latest_completed;
        let initial = latest_completed.next().xid();
        let temporary = self.xid(proc).unwrap_or(initial);
        let (mut running, mut shared, mut data) = (initial, initial, initial);
        let used = self.used.load(Ordering::SeqCst).min(self.slots.len());
        for n in 0..used {
            let xid = TransactionId(self.xids[n].load(Ordering::Acquire));
            let xmin = TransactionId(self.xmins[n].load(Ordering::Acquire));
            let oldest = match (xid.valid(), xmin.valid()) {
                (None, None) => continue,
                (Some(one), None) | (None, Some(one)) => one,
                (Some(xid), Some(xmin)) => xid.older(xmin),
            };
            running = running.older(oldest);
            let flags = self.slots[n].flags();
            if flags.ignored_by_snapshots() {
                continue;
            }
            shared = shared.older(oldest);
            let database = self.slots[n].database();
            if own_database.is_none()
                || database == own_database
                || flags.contains(ProcFlags::AFFECTS_ALL_HORIZONS)
            {
                data = data.older(oldest);
            }
        }
        let (slot_xmin, slot_catalog_xmin) = (completion.slot_xmin, completion.slot_catalog_xmin);
        drop(completion);
        let older =
            |xid: TransactionId, slot: Option<TransactionId>| slot.map_or(xid, |slot| xid.older(slot));
        data = older(data, slot_xmin);
        shared = older(older(shared, slot_xmin), slot_catalog_xmin);
        let catalog = older(data, slot_catalog_xmin);
        let oldest_considered_running = running.older(shared).older(catalog).older(data);
        let horizons =
            Horizons { latest_completed, oldest_considered_running, shared, catalog, data, temporary };
        own_slot.visibility.lock().apply(&horizons);
        horizons
    }

    /// The oldest xid that any snapshot may consider running. `GetOldestTransactionIdConsideredRunning`.
    pub fn oldest_considered_running(&self) -> TransactionId {
        let completion = self.lock.read();
        let used = self.used.load(Ordering::SeqCst).min(self.slots.len());
        let each = (0..used).flat_map(|n| [&self.xids[n], &self.xmins[n]]);
        let known = each.filter_map(|xid| TransactionId(xid.load(Ordering::Acquire)).valid());
        let slots = [completion.slot_xmin, completion.slot_catalog_xmin].into_iter().flatten();
        known.chain(slots).fold(completion.latest_completed.next().xid(), TransactionId::older)
    }

    /// True if a tuple that `xid` deleted is dead to everybody. `recent_xmin` is that of the backend's
    /// latest snapshot. PostgreSQL's `GlobalVisTestIsRemovableXid`.
    pub fn is_removable(
        &self,
        proc: ProcNumber,
        kind: HorizonKind,
        xid: TransactionId,
        recent_xmin: Option<TransactionId>,
    ) -> bool {
        // What the own snapshot may see is needed; a temporary relation has no other spectators.
        if kind != HorizonKind::Temporary && recent_xmin.is_some_and(|xmin| xmin.precedes_or_equals(xid)) {
            return false;
        }
        let slot = &self.slots[proc.0 as usize];
        {
            let bounds = slot.visibility.lock();
            let before = bounds.removable_before[kind as usize];
            if before != FullTransactionId(0) {
                if full_relative_to(before, xid) < before {
                    return true;
                }
                if bounds.computed_at == recent_xmin && kind != HorizonKind::Temporary {
                    return false;
                }
            }
        }
        let horizons = self.horizons(proc);
        slot.visibility.lock().computed_at = recent_xmin;
        xid.precedes(horizons.of(kind))
    }
}

impl VisibilityBounds {
    /// Takes over exact horizons, which never move back.
    fn apply(&mut self, horizons: &Horizons) {
        let kinds = [HorizonKind::Shared, HorizonKind::Catalog, HorizonKind::Data, HorizonKind::Temporary];
        for kind in kinds {
            let exact = full_relative_to(horizons.latest_completed, horizons.of(kind));
            let bound = &mut self.removable_before[kind as usize];
            *bound = exact.max(*bound);
        }
    }
}
