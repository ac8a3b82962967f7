//! Pruning pages: carrying out what [`super::prune_plan`] decided.
//!
//! Readers prune a page in passing when it has become full and something on it is dead to everybody;
//! VACUUM prunes and freezes every page it visits. Both need to be alone with the page, because tuples
//! move.

use kokkiri_primitives::{BLOCK_SIZE, OffsetNumber, Result, TransactionId};
use kokkiri_storage::CriticalSection;
use kokkiri_storage::buffer::{PageWriteGuard, PinnedBuffer};
use kokkiri_storage::page::PD_PAGE_FULL;
use kokkiri_transaction::HorizonKind;
use kokkiri_wal::record::RegisterFlags;
use kokkiri_wal::rmgr::RmgrId;

use super::Heap;
use super::freeze::{Cutoffs, FreezePlan, PageFreeze};
use super::page;
use super::prune_plan::{self, PruneOptions, PrunePlan};
use super::prune_record::{PruneChanges, PruneReason};
use super::visibility::Judge;

impl Heap<'_> {
    /// Which horizon decides whether a tuple is dead to everybody.
    pub fn horizon_kind(&self) -> HorizonKind {
        let relation = self.relation;
        if relation.is_temporary() {
            HorizonKind::Temporary
        } else if relation.is_shared() {
            HorizonKind::Shared
        } else if relation.is_catalog {
            HorizonKind::Catalog
        } else {
            HorizonKind::Data
        }
    }

    pub fn is_removable(&self, xid: TransactionId) -> bool {
        self.transaction.is_removable(self.horizon_kind(), xid)
    }

    /// Prunes a page in passing, if that is likely to pay and nobody else has it pinned:
    /// `heap_page_prune_opt`. The pin comes back; a second one would be in the way.
    pub fn prune_in_passing(&self, pin: PinnedBuffer) -> Result<PinnedBuffer> {
        if self.cluster().transactions.in_recovery() {
            return Ok(pin);
        }
        let guard = pin.read();
        let promising =
            guard.prune_xid().is_some_and(|xid| self.is_removable(xid)) && self.is_short_of_space(&guard);
        let pin = guard.unlock();
        if !promising {
            return Ok(pin);
        }
        let mut guard = match pin.try_cleanup_lock() {
            Ok(guard) => guard,
            Err(pin) => return Ok(pin),
        };
        if self.is_short_of_space(&guard) {
            let options = PruneOptions { mark_unused_now: false, cutoffs: None };
            self.prune_page(&mut guard, options, None, PruneReason::OnAccess)?;
        }
        Ok(guard.unlock())
    }

    fn is_short_of_space(&self, target: &kokkiri_storage::Page) -> bool {
        let wanted = self.relation.options.reserved_space().max(BLOCK_SIZE / 10);
        target.has_flag(PD_PAGE_FULL) || target.heap_free_space() < wanted
    }

    /// Prunes a page, and freezes its tuples if there are cutoffs: `heap_page_prune_and_freeze`. Needs a
    /// cleanup lock.
    pub fn prune_page(
        &self,
        guard: &mut PageWriteGuard,
        options: PruneOptions<'_>,
        page_freeze: Option<PageFreeze>,
        reason: PruneReason,
    ) -> Result<Pruned> {
        let observer = self.observer();
        let mut plan =
            prune_plan::plan(guard, &observer, options, page_freeze, |xid| Ok(self.is_removable(xid)))?;
        for (offset, hints) in &plan.hints {
            let bits = hints.safe_bits(&observer);
            if bits != 0 {
                guard.set_hint(|target| page::set_hint_bits(target, *offset, bits));
            }
        }
        let prunes = plan.changes.prunes();
        let new_hint = guard.prune_xid() != plan.prune_xid || guard.has_flag(PD_PAGE_FULL);
        let freezes = self.decides_to_freeze(guard, &plan, prunes, new_hint);
        if freezes {
            self.check_freeze_plans(guard, &plan.freeze_plans)?;
            plan.changes.frozen = plan.freeze_plans.iter().map(|(offset, plan)| plan.at(*offset)).collect();
        } else if !plan.freeze_plans.is_empty() {
            plan.all_frozen = false;
        }
        if prunes || freezes {
            let horizon = conflict_horizon(&plan, options.cutoffs, freezes);
            self.apply(guard, &mut plan.changes, Some(plan.prune_xid), horizon, reason)?;
        } else if new_hint {
            let prune_xid = plan.prune_xid;
            guard.set_hint(|target| {
                target.set_prune_xid(prune_xid);
                target.clear_flag(PD_PAGE_FULL);
            });
        }
        let visible = plan.all_visible && plan.dead_items.is_empty();
        let all_frozen = visible && plan.all_frozen;
        Ok(Pruned {
            deleted: plan.deleted,
            newly_dead: plan.changes.dead.len(),
            frozen: plan.changes.frozen.len(),
            live_tuples: plan.live_tuples,
            recently_dead_tuples: plan.recently_dead_tuples,
            all_visible: visible,
            all_frozen,
            visibility_cutoff: plan.visibility_cutoff.filter(|_| !all_frozen),
            has_tuples: plan.has_tuples,
            dead_items: plan.dead_items,
            page_freeze: plan.page_freeze,
        })
    }

    fn decides_to_freeze(
        &self,
        guard: &PageWriteGuard,
        plan: &PrunePlan,
        prunes: bool,
        new_hint: bool,
    ) -> bool {
        let Some(page_freeze) = &plan.page_freeze else { return false };
        if plan.freeze_plans.is_empty() {
            return false;
        }
        if page_freeze.required {
            return true;
        }
        // An image of the page goes to the WAL anyway: freezing it whole costs next to nothing.
        let logs_image = self.relation.needs_wal()
            && self.needs_image(guard.lsn())
            && (prunes || (new_hint && self.cluster().buffers.config().checksums));
        plan.all_visible && plan.all_frozen && logs_image
    }

    /// A frozen tuple is visible for ever: its inserter must have committed, its deleter aborted.
    fn check_freeze_plans(&self, guard: &PageWriteGuard, plans: &[(OffsetNumber, FreezePlan)]) -> Result<()> {
        let observer = self.observer();
        for (offset, plan) in plans {
            let header = page::header(guard, *offset)?;
            if plan.check_xmin_committed && !header.xmin_frozen() && !observer.did_commit(header.xmin)? {
                return Err(kokkiri_primitives::Error::data_corrupted(format!(
                    "uncommitted xmin {} needs to be frozen",
                    header.xmin
                )));
            }
            if plan.check_xmax_aborted && observer.did_commit(header.xmax)? {
                return Err(kokkiri_primitives::Error::data_corrupted(format!(
                    "cannot freeze committed xmax {}",
                    header.xmax
                )));
            }
        }
        Ok(())
    }

    /// Changes the page and logs it. `prune_xid` is the page's new hint, if it gets one.
    ///
    /// # Errors
    /// XX001 if the page's line pointers contradict each other; nothing has changed then.
    pub(super) fn apply(
        &self,
        guard: &mut PageWriteGuard,
        changes: &mut PruneChanges,
        prune_xid: Option<Option<TransactionId>>,
        horizon: Option<TransactionId>,
        reason: PruneReason,
    ) -> Result<()> {
        guard.check_items()?;
        let main = changes.encode_main(horizon, false);
        let data = changes.encode_data();
        let critical = CriticalSection::enter();
        let target = guard.page_mut(&critical);
        if let Some(prune_xid) = prune_xid {
            target.set_prune_xid(prune_xid);
            target.clear_flag(PD_PAGE_FULL);
        }
        page::prune(target, changes)
            .expect("the items have been checked and the plan was made under the same lock");
        if self.relation.needs_wal() {
            let mut record =
                self.record(RmgrId::Heap2, reason.info(), self.transaction.current_xid_if_assigned());
            record.data(&main);
            record.register(0, guard, RegisterFlags::STANDARD);
            record.buffer_data(0, &data);
            self.cluster().wal.insert(&critical, record);
        }
        Ok(())
    }
}

/// What pruning a page came to: `PruneFreezeResult`.
#[derive(Clone, Debug)]
pub struct Pruned {
    pub deleted: usize,
    pub newly_dead: usize,
    pub frozen: usize,
    pub live_tuples: usize,
    pub recently_dead_tuples: usize,
    /// The visibility map may say so.
    pub all_visible: bool,
    pub all_frozen: bool,
    /// Newest xmin on the page, for standbys to respect when the map's bit is set.
    pub visibility_cutoff: Option<TransactionId>,
    pub has_tuples: bool,
    pub dead_items: Vec<OffsetNumber>,
    pub page_freeze: Option<PageFreeze>,
}

/// Snapshots of standbys that are older must end before the record is replayed.
fn conflict_horizon(plan: &PrunePlan, cutoffs: Option<&Cutoffs>, freezes: bool) -> Option<TransactionId> {
    let frozen = match cutoffs.filter(|_| freezes) {
        Some(_) if plan.all_visible && plan.all_frozen => plan.visibility_cutoff,
        Some(cutoffs) => Some(cutoffs.oldest_xmin.previous()),
        None => None,
    };
    match (frozen, plan.latest_removed) {
        (Some(frozen), Some(removed)) => Some(frozen.newer(removed)),
        (frozen, removed) => frozen.or(removed),
    }
}
