//! VACUUM of a table: prune and freeze every page that needs it, take dead rows out of the indexes, reap
//! their line pointers.
//!
//! Realises: `vacuumlazy.c`.
//!
//! ```text
//!   pass 1   page after page: prune, freeze, note dead line pointers (tids)
//!   indexes  remove the entries that lead to those tids
//!   pass 2   the pages with dead line pointers: make them unused
//! ```
//!
//! The three repeat whenever the dead tids fill their memory. Pages that the visibility map knows to be
//! all-visible are skipped (all-frozen ones even by an aggressive vacuum), unless they come in short runs,
//! where reading ahead gains more. At the end an empty tail is given back to the file system.
//!
//! Only if no page was skipped that may hold old ids does VACUUM know the oldest id left, and the caller
//! may advance `relfrozenxid`.

mod cost;
mod cutoffs;
mod truncate;

use kokkiri_primitives::{BlockNumber, Fork, ItemPointer, MultiXactId, OffsetNumber, Result, TransactionId};
use kokkiri_storage::buffer::{PageWriteGuard, PinnedBuffer, ReadMode, Ring};
use kokkiri_storage::page::PD_ALL_VISIBLE;
use kokkiri_storage::{CriticalSection, free_space_map, visibility_map};
use kokkiri_wal::record::RegisterFlags;
use kokkiri_wal::rmgr::RmgrId;

use super::Heap;
use super::freeze::{Cutoffs, OldestIds, PageFreeze, should_freeze};
use super::page;
use super::prune_plan::PruneOptions;
use super::prune_record::{PruneChanges, PruneReason};
use super::record::{Visible, heap2_info};
use super::visibility::{VacuumState, satisfies_vacuum};
use super::vm::VmPin;
use crate::btree::Tree;
use crate::btree::vacuum::{VacuumStatistics, bulk_delete, cleanup};
use crate::relation::IndexCleanup;
use crate::tuple::header::TupleHeader;

pub use cost::{CostBalance, CostLimits};
pub use cutoffs::{FreezeAges, compute_cutoffs};

/// Runs of skippable pages shorter than this are read all the same: `SKIP_PAGES_THRESHOLD`.
const SKIP_RUN_MIN: u32 = 32;
/// With dead line pointers on fewer pages than this share, index vacuuming isn't worth it.
const BYPASS_SHARE: f64 = 0.02;
/// Bytes a dead tid takes in memory.
const TID_SIZE: usize = 8;

/// How a table is vacuumed.
#[derive(Clone, Copy, Debug)]
pub struct VacuumOptions {
    pub cutoffs: Cutoffs,
    /// Leave no page unread that may hold old ids.
    pub aggressive: bool,
    /// DISABLE_PAGE_SKIPPING: trust nothing the map says.
    pub read_all: bool,
    pub index_cleanup: IndexCleanup,
    /// Give an empty tail back.
    pub truncate: bool,
    /// BUFFER_USAGE_LIMIT; zero is none.
    pub ring_kilobytes: usize,
    /// Memory for dead tids: `maintenance_work_mem`.
    pub memory_bytes: usize,
    pub costs: CostLimits,
}

/// What a vacuum found and did.
#[derive(Clone, Debug, Default)]
pub struct VacuumReport {
    /// The table's size at the start.
    pub pages: u32,
    pub scanned_pages: u32,
    /// Pages cut off its end.
    pub removed_pages: u32,
    /// Pages newly marked in the visibility map.
    pub newly_all_visible: u32,
    pub newly_all_frozen: u32,
    pub frozen_tuples: u64,
    pub removed_tuples: u64,
    pub live_tuples: u64,
    pub recently_dead_tuples: u64,
    /// Dead line pointers found, and how many were left for the next vacuum.
    pub dead_items: u64,
    pub left_dead_items: u64,
    pub index_passes: u32,
    /// By position in the relation's list of indexes.
    pub indexes: Vec<Option<VacuumStatistics>>,
    /// The oldest ids left, if every page that may hold some was read.
    pub oldest_ids: Option<(TransactionId, MultiXactId)>,
    /// All-visible and all-frozen pages, as the map says at the end.
    pub visible_pages: u64,
    pub frozen_pages: u64,
}

/// A vacuum under way.
struct Vacuum<'a> {
    heap: Heap<'a>,
    options: &'a VacuumOptions,
    ring: Option<Ring>,
    report: VacuumReport,
    oldest: OldestIds,
    /// A page was skipped that is all-visible but not all-frozen.
    skipped_visible: bool,
    dead: Vec<u64>,
    pages_with_dead: u32,
    /// One past the last page that holds something.
    nonempty: u32,
    vm: VmPin,
    costs: CostBalance,
}

impl Heap<'_> {
    /// Vacuums the table. The caller holds it in mode ShareUpdateExclusive.
    pub fn vacuum(&self, options: &VacuumOptions) -> Result<VacuumReport> {
        let cutoffs = &options.cutoffs;
        let mut vacuum = Vacuum {
            heap: *self,
            options,
            ring: Ring::vacuum(&self.cluster().buffers, options.ring_kilobytes),
            report: VacuumReport {
                pages: self.block_count()?,
                indexes: vec![None; self.relation.indexes.len()],
                ..VacuumReport::default()
            },
            oldest: OldestIds { xid: cutoffs.oldest_xmin, mxid: cutoffs.oldest_mxact },
            skipped_visible: false,
            dead: Vec::new(),
            pages_with_dead: 0,
            nonempty: 0,
            vm: VmPin::default(),
            costs: CostBalance::new(options.costs),
        };
        vacuum.scan()?;
        vacuum.reap(true)?;
        free_space_map::vacuum(&self.cluster().buffers, self.relation.file)?;
        vacuum.clean_indexes_up()?;
        vacuum.truncate_tail()?;
        vacuum.finish()
    }
}

impl Vacuum<'_> {
    fn has_indexes(&self) -> bool {
        self.heap.relation.indexes.iter().any(|index| index.is_ready)
    }

    /// The first pass.
    fn scan(&mut self) -> Result<()> {
        let mut block = 0;
        while block < self.report.pages {
            self.costs.delay_point()?;
            let skip = self.skippable_run(block)?;
            if skip > 0 {
                block += skip;
                continue;
            }
            if self.dead.len() * TID_SIZE >= self.options.memory_bytes.max(1 << 16) {
                self.reap(false)?;
            }
            self.scan_page(BlockNumber(block))?;
            block += 1;
        }
        Ok(())
    }

    /// How many pages from `block` on are skipped. The last page is always read, for the truncation.
    fn skippable_run(&mut self, block: u32) -> Result<u32> {
        if self.options.read_all {
            return Ok(0);
        }
        let mut skips_visible = false;
        let mut end = block;
        while end + 1 < self.report.pages {
            let bits = self.vm.status(&self.heap, BlockNumber(end))?;
            let skippable = if self.options.aggressive {
                bits & visibility_map::ALL_FROZEN != 0
            } else {
                bits & visibility_map::ALL_VISIBLE != 0
            };
            if !skippable {
                break;
            }
            skips_visible |= bits & visibility_map::ALL_FROZEN == 0;
            end += 1;
        }
        let run = end - block;
        if run < SKIP_RUN_MIN {
            return Ok(0);
        }
        self.skipped_visible |= skips_visible;
        self.nonempty = self.nonempty.max(end);
        Ok(run)
    }

    fn pin(&self, block: BlockNumber) -> Result<PinnedBuffer> {
        let heap = &self.heap;
        heap.cluster().buffers.read(
            heap.relation.file,
            Fork::Main,
            block,
            ReadMode::Normal,
            self.ring.as_ref(),
        )
    }

    fn scan_page(&mut self, block: BlockNumber) -> Result<()> {
        self.report.scanned_pages += 1;
        self.vm.pin(&self.heap, block)?;
        let pin = self.pin(block)?;
        let mut guard = match pin.try_cleanup_lock() {
            Ok(guard) => guard,
            Err(pin) => {
                if self.look_without_cleanup_lock(&pin)? {
                    return Ok(());
                }
                pin.cleanup_lock()?
            }
        };
        if guard.is_new() || guard.is_empty() {
            return self.empty_page(guard);
        }
        let options =
            PruneOptions { mark_unused_now: !self.has_indexes(), cutoffs: Some(&self.options.cutoffs) };
        let page_freeze = PageFreeze { required: false, if_frozen: self.oldest, if_not: self.oldest };
        let pruned = self.heap.prune_page(&mut guard, options, Some(page_freeze), PruneReason::VacuumScan)?;
        if let Some(page_freeze) = pruned.page_freeze {
            self.oldest = if pruned.frozen > 0 { page_freeze.if_frozen } else { page_freeze.if_not };
        }
        self.report.removed_tuples += pruned.deleted as u64;
        self.report.frozen_tuples += pruned.frozen as u64;
        self.report.live_tuples += pruned.live_tuples as u64;
        self.report.recently_dead_tuples += pruned.recently_dead_tuples as u64;
        if pruned.has_tuples {
            self.nonempty = block.0 + 1;
        }
        self.note_dead(block, &pruned.dead_items);
        if pruned.all_visible {
            self.mark_visible(&mut guard, pruned.all_frozen, pruned.visibility_cutoff)?;
        } else {
            self.check_map(&guard)?;
        }
        let space = guard.heap_free_space();
        drop(guard);
        // A page with dead line pointers is looked at again when they are reaped.
        if pruned.dead_items.is_empty() || !self.reaps_indexes() {
            self.record_space(block, space)?;
        }
        Ok(())
    }

    fn record_space(&self, block: BlockNumber, space: usize) -> Result<()> {
        free_space_map::record_free_space(&self.heap.cluster().buffers, self.heap.relation.file, block, space)
    }

    fn note_dead(&mut self, block: BlockNumber, offsets: &[OffsetNumber]) {
        if !offsets.is_empty() {
            self.pages_with_dead += 1;
            self.report.dead_items += offsets.len() as u64;
            self.dead.extend(offsets.iter().map(|offset| ItemPointer::new(block, *offset).to_u64()));
        }
    }

    /// A page nobody has put anything on, or from which everything is gone.
    fn empty_page(&mut self, mut guard: PageWriteGuard) -> Result<()> {
        let block = guard.block();
        if guard.is_new() {
            // Left by an extension that a crash cut short. Whoever inserts here initialises it.
            drop(guard);
            let room = kokkiri_primitives::BLOCK_SIZE - kokkiri_storage::page::PAGE_HEADER_SIZE;
            return self.record_space(block, room);
        }
        if !guard.is_all_visible() {
            self.mark_visible(&mut guard, true, None)?;
        }
        let space = guard.heap_free_space();
        drop(guard);
        self.record_space(block, space)
    }

    /// Counts what is on a page that somebody else has pinned. False if the page must not be left as it is.
    fn look_without_cleanup_lock(&mut self, pin: &PinnedBuffer) -> Result<bool> {
        let guard = pin.clone().read();
        if guard.is_new() || guard.is_empty() {
            return Ok(false);
        }
        let observer = self.heap.observer();
        let cutoffs = &self.options.cutoffs;
        let (mut oldest, mut live, mut recently_dead, mut has_tuples) = (self.oldest, 0, 0, false);
        let mut dead = Vec::new();
        for (offset, item_id) in guard.item_ids() {
            match page::item(&guard, offset) {
                page::Item::Unused => continue,
                page::Item::Redirect(_) => {
                    has_tuples = true;
                    continue;
                }
                page::Item::Dead => {
                    dead.push(offset);
                    continue;
                }
                page::Item::Tuple(_) => has_tuples = true,
            }
            let Some(bytes) = guard.item_bytes(item_id) else { continue };
            let header = TupleHeader::read(bytes)?;
            if should_freeze(&header, cutoffs, &mut oldest, &observer)? && self.options.aggressive {
                return Ok(false);
            }
            match satisfies_vacuum(&header, &observer)?.0 {
                VacuumState::Live | VacuumState::DeleteInProgress => live += 1,
                VacuumState::DeadAfter(_) => recently_dead += 1,
                VacuumState::Dead | VacuumState::InsertInProgress => {}
            }
        }
        let (block, space) = (guard.block(), guard.heap_free_space());
        drop(guard);
        self.oldest = oldest;
        self.report.live_tuples += live;
        self.report.recently_dead_tuples += recently_dead;
        if has_tuples {
            self.nonempty = block.0 + 1;
        }
        if !self.has_indexes() {
            // Only a cleanup lock allows to reap them; the next vacuum will.
            self.report.left_dead_items += dead.len() as u64;
            self.nonempty = self.nonempty.max(if dead.is_empty() { 0 } else { block.0 + 1 });
            self.record_space(block, space)?;
        } else {
            self.note_dead(block, &dead);
            if dead.is_empty() {
                self.record_space(block, space)?;
            }
        }
        Ok(true)
    }

    /// Sets PD_ALL_VISIBLE and the map's bits: `visibilitymap_set`.
    fn mark_visible(
        &mut self,
        guard: &mut PageWriteGuard,
        frozen: bool,
        cutoff: Option<TransactionId>,
    ) -> Result<()> {
        let block = guard.block();
        let flags = if frozen { visibility_map::VALID_BITS } else { visibility_map::ALL_VISIBLE };
        self.vm.pin(&self.heap, block)?;
        let Some(mut map) = self.vm.lock(block) else { return Ok(()) };
        let old = visibility_map::bits(&map, block);
        if old & flags == flags && guard.is_all_visible() {
            return Ok(());
        }
        self.report.newly_all_visible += u32::from(old & visibility_map::ALL_VISIBLE == 0);
        self.report.newly_all_frozen += u32::from(frozen && old & visibility_map::ALL_FROZEN == 0);
        let heap = &self.heap;
        let hints_logged = heap.cluster().buffers.config().checksums;
        let critical = CriticalSection::enter();
        guard.page_mut(&critical).set_flag(PD_ALL_VISIBLE);
        visibility_map::set_bits(map.page_mut(&critical), block, flags);
        if heap.relation.needs_wal() {
            let payload = Visible { conflict_horizon: cutoff.unwrap_or(TransactionId::INVALID), flags };
            let xid = heap.transaction.current_xid_if_assigned();
            let mut record = heap.record(RmgrId::Heap2, heap2_info::VISIBLE, xid);
            record.data(&payload.encode());
            record.register(0, &mut map, RegisterFlags::NONE);
            // Without checksums the flag is a mere hint: the page keeps its LSN, so that its next change
            // still takes an image.
            let registration = if hints_logged {
                RegisterFlags::STANDARD
            } else {
                RegisterFlags::STANDARD | RegisterFlags::NO_IMAGE | RegisterFlags::NO_CHANGE
            };
            record.register(1, guard, registration);
            heap.cluster().wal.insert(&critical, record);
        }
        Ok(())
    }

    /// A map that claims more than its page is wrong: clear it, with a warning in the log.
    fn check_map(&mut self, guard: &PageWriteGuard) -> Result<()> {
        let block = guard.block();
        if guard.is_all_visible() {
            return Ok(());
        }
        let Some(mut map) = self.vm.lock(block) else { return Ok(()) };
        if visibility_map::bits(&map, block) != 0 {
            let name = &self.heap.relation.name;
            tracing::warn!(
                "page is not marked all-visible but visibility map bit is set in relation \"{name}\" page {block}"
            );
            visibility_map::clear(&mut map, &CriticalSection::enter(), block, visibility_map::VALID_BITS);
        }
        Ok(())
    }

    fn reaps_indexes(&self) -> bool {
        self.has_indexes() && self.options.index_cleanup != IndexCleanup::Off
    }

    /// Takes the dead tids out of the indexes, then reaps their line pointers.
    fn reap(&mut self, is_last: bool) -> Result<()> {
        if self.dead.is_empty() {
            return Ok(());
        }
        let few = f64::from(self.pages_with_dead) < f64::from(self.report.pages) * BYPASS_SHARE;
        let bypass = is_last
            && self.report.index_passes == 0
            && self.options.index_cleanup == IndexCleanup::Auto
            && few
            && self.dead.len() * TID_SIZE < 32 << 20;
        if bypass || !self.reaps_indexes() {
            self.report.left_dead_items += self.dead.len() as u64;
            // What is left keeps its pages from being cut off.
            if let Some(last) = self.dead.last() {
                self.nonempty = self.nonempty.max(ItemPointer::from_u64(*last).block.0 + 1);
            }
            self.dead.clear();
            return Ok(());
        }
        self.report.index_passes += 1;
        let heap = self.heap;
        let dead = std::mem::take(&mut self.dead);
        for (position, index) in heap.relation.indexes.iter().enumerate().filter(|(_, index)| index.is_ready)
        {
            let tree = Tree::new(heap.cluster(), index, heap.transaction.current_xid_if_assigned());
            let mut statistics = self.report.indexes[position].unwrap_or_default();
            bulk_delete(&tree, self.ring.as_ref(), &mut statistics, &mut |tid| {
                dead.binary_search(&tid.to_u64()).is_ok()
            })?;
            self.report.indexes[position] = Some(statistics);
        }
        for page_tids in dead.chunk_by(|a, b| a >> 16 == b >> 16) {
            self.costs.delay_point()?;
            let block = ItemPointer::from_u64(page_tids[0]).block;
            let offsets = page_tids.iter().map(|tid| ItemPointer::from_u64(*tid).offset).collect();
            self.reap_page(block, offsets)?;
        }
        Ok(())
    }

    /// The second pass, one page: its dead line pointers become unused.
    fn reap_page(&mut self, block: BlockNumber, offsets: Vec<OffsetNumber>) -> Result<()> {
        self.vm.pin(&self.heap, block)?;
        let mut guard = self.pin(block)?.write();
        let unused: Vec<_> = offsets
            .into_iter()
            .filter(|offset| matches!(page::item(&guard, *offset), page::Item::Dead))
            .collect();
        if !unused.is_empty() {
            let mut changes = PruneChanges { unused, cleanup_lock: false, ..PruneChanges::default() };
            self.heap.apply(&mut guard, &mut changes, None, None, PruneReason::VacuumCleanup)?;
        }
        if let Some((frozen, cutoff)) = self.visible_now(&guard)? {
            self.mark_visible(&mut guard, frozen, cutoff)?;
        }
        let space = guard.heap_free_space();
        drop(guard);
        self.record_space(block, space)
    }

    /// Whether everybody sees all of a page, and if so whether all is frozen and the newest xmin:
    /// `heap_page_is_all_visible`.
    fn visible_now(&self, guard: &PageWriteGuard) -> Result<Option<(bool, Option<TransactionId>)>> {
        let observer = self.heap.observer();
        let oldest_xmin = self.options.cutoffs.oldest_xmin;
        let (mut frozen, mut cutoff) = (true, None::<TransactionId>);
        for (offset, item_id) in guard.item_ids() {
            let bytes = match page::item(guard, offset) {
                page::Item::Unused | page::Item::Redirect(_) => continue,
                page::Item::Dead => return Ok(None),
                page::Item::Tuple(_) => guard.item_bytes(item_id).unwrap_or_default(),
            };
            let header = TupleHeader::read(bytes)?;
            let xmin = header.effective_xmin();
            let live = satisfies_vacuum(&header, &observer)?.0 == VacuumState::Live;
            if !live || !header.xmin_committed() || !xmin.precedes(oldest_xmin) {
                return Ok(None);
            }
            if xmin.is_normal() && cutoff.is_none_or(|newest| xmin.follows(newest)) {
                cutoff = Some(xmin);
            }
            frozen &= !xmin.is_normal() && !header.xmax.is_valid();
        }
        Ok(Some((frozen, cutoff.filter(|_| !frozen))))
    }

    fn clean_indexes_up(&mut self) -> Result<()> {
        if self.options.index_cleanup == IndexCleanup::Off {
            return Ok(());
        }
        let heap = self.heap;
        let exact = (self.report.scanned_pages == self.report.pages).then_some(self.report.live_tuples);
        for (position, index) in heap.relation.indexes.iter().enumerate().filter(|(_, index)| index.is_ready)
        {
            let tree = Tree::new(heap.cluster(), index, heap.transaction.current_xid_if_assigned());
            let statistics = self.report.indexes[position].take();
            self.report.indexes[position] = cleanup(&tree, self.ring.as_ref(), statistics, exact)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<VacuumReport> {
        if !self.skipped_visible {
            self.report.oldest_ids = Some((self.oldest.xid, self.oldest.mxid));
        }
        let heap = &self.heap;
        let (visible, frozen) = visibility_map::count(&heap.cluster().buffers, heap.relation.file)?;
        self.report.visible_pages = visible;
        self.report.frozen_pages = frozen;
        Ok(self.report)
    }
}
