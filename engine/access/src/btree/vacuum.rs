//! VACUUM of an index.
//!
//! Realises: `btbulkdelete`, `btvacuumcleanup`, `btvacuumscan`, `_bt_start_vacuum`.
//!
//! The pages are read in the order of their blocks, not of keys. A leaf that is split while the scan is
//! under way may pass entries to a page that the scan is already past; so every split during a vacuum
//! marks both halves with the vacuum's cycle id, and the scan follows the marks back.
//!
//! Each leaf is locked for cleanup, even if nothing is to be deleted on it: an index scan that keeps its
//! pin on the page may still be about to visit rows whose line pointers vacuum will reuse.

use std::sync::atomic::{AtomicUsize, Ordering};

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::{BlockNumber, FullTransactionId, ItemPointer, RelFileLocator, Result, error};
use kokkiri_storage::{CriticalSection, Page, PageWriteGuard, Ring, free_space_map};
use parking_lot::Mutex;

use super::change::Removal;
use super::page::{BtreePage, METAPAGE, Meta, Opaque, flags};
use super::page_delete::{self, Deleted};
use super::record::{self, Vacuum, info};
use super::tree::{STANDARD, Tree, WILL_INIT};

/// Cycle ids stop below what other access methods put in a page's last two bytes: `MAX_BT_CYCLE_ID`.
const CYCLE_ID_MAX: u16 = 0xFF7F;

/// What was found and done: `IndexBulkDeleteResult`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VacuumStatistics {
    pub pages: u32,
    /// Entries left, by tids.
    pub tuples: u64,
    /// The count is no better than an estimate.
    pub estimated: bool,
    pub tuples_removed: u64,
    pub pages_newly_deleted: u32,
    /// All deleted pages in the index, new or old.
    pub pages_deleted: u32,
    /// Of those the ones that may be reused at once.
    pub pages_free: u32,
}

/// Removes the entries that lead to dead rows, as `is_dead` says: `btbulkdelete`.
pub fn bulk_delete(
    tree: &Tree<'_>,
    ring: Option<&Ring>,
    statistics: &mut VacuumStatistics,
    is_dead: &mut dyn FnMut(ItemPointer) -> bool,
) -> Result<()> {
    let cycle = Cycle::start(tree)?;
    scan(tree, ring, statistics, Some(is_dead), cycle.id)
}

/// The end of a vacuum. Without a preceding [`bulk_delete`] (`statistics` is `None`) the index is read
/// only if enough deleted pages wait to be recycled. `heap_tuples` is the exact number of rows, if known.
/// `btvacuumcleanup`.
pub fn cleanup(
    tree: &Tree<'_>,
    ring: Option<&Ring>,
    statistics: Option<VacuumStatistics>,
    heap_tuples: Option<u64>,
) -> Result<Option<VacuumStatistics>> {
    let mut statistics = match statistics {
        Some(statistics) => statistics,
        None => {
            if !needs_cleanup(tree)? {
                return Ok(None);
            }
            let mut statistics = VacuumStatistics::default();
            scan(tree, ring, &mut statistics, None, 0)?;
            // Posting lists were counted as one tuple.
            statistics.estimated = true;
            statistics
        }
    };
    set_cleanup_info(tree, statistics.pages_deleted.saturating_sub(statistics.pages_free))?;
    if let Some(rows) = heap_tuples {
        statistics.tuples = statistics.tuples.min(rows);
    }
    Ok(Some(statistics))
}

/// `_bt_vacuum_needs_cleanup`.
fn needs_cleanup(tree: &Tree<'_>) -> Result<bool> {
    let waiting = tree.meta()?.last_cleanup_deleted_pages;
    Ok(waiting > 0 && waiting > tree.block_count()? / 20)
}

/// `_bt_set_cleanup_info`.
fn set_cleanup_info(tree: &Tree<'_>, deleted_pages: u32) -> Result<()> {
    if tree.meta()?.last_cleanup_deleted_pages == deleted_pages {
        return Ok(());
    }
    let mut guard = tree.write(METAPAGE)?;
    let meta = Meta { last_cleanup_deleted_pages: deleted_pages, ..Meta::read(&guard, tree.name())? };
    let critical = CriticalSection::enter();
    meta.store(guard.page_mut(&critical));
    if tree.needs_wal() {
        let mut record = tree.record(info::META_CLEANUP);
        record.register(0, &mut guard, WILL_INIT | STANDARD);
        record.buffer_data(0, &record::encode_meta(&meta));
        tree.cluster.wal.insert(&critical, record);
    }
    Ok(())
}

/// State of one pass over the index.
struct Pass<'a, 'b> {
    tree: &'a Tree<'a>,
    ring: Option<&'a Ring>,
    statistics: &'a mut VacuumStatistics,
    is_dead: Option<&'b mut dyn FnMut(ItemPointer) -> bool>,
    cycle_id: u16,
    deleted: Deleted,
}

/// `btvacuumscan`.
fn scan(
    tree: &Tree<'_>,
    ring: Option<&Ring>,
    statistics: &mut VacuumStatistics,
    is_dead: Option<&mut dyn FnMut(ItemPointer) -> bool>,
    cycle_id: u16,
) -> Result<()> {
    statistics.tuples = 0;
    statistics.pages_deleted = 0;
    statistics.pages_free = 0;
    let mut pass = Pass { tree, ring, statistics, is_dead, cycle_id, deleted: Deleted::default() };
    let mut block = METAPAGE.next();
    // Pages that are added meanwhile may hold entries from pages not yet scanned: go on until none is.
    loop {
        let end = tree.block_count()?;
        if block.0 >= end {
            pass.statistics.pages = end;
            break;
        }
        while block.0 < end {
            check_for_interrupts()?;
            pass.page(block)?;
            block = block.next();
        }
    }
    let deleted = std::mem::take(&mut pass.deleted);
    statistics.pages_newly_deleted += deleted.pages.len() as u32;
    statistics.pages_deleted += deleted.behind_scan;
    free_deleted(tree, statistics, &deleted.pages)?;
    if statistics.pages_free > 0 {
        free_space_map::vacuum(&tree.cluster.buffers, tree.index.file)?;
    }
    Ok(())
}

/// Pages deleted by this very pass may be reusable already, if no transaction is left that was running
/// then: `_bt_pendingfsm_finalize`.
fn free_deleted(
    tree: &Tree<'_>,
    statistics: &mut VacuumStatistics,
    pages: &[(BlockNumber, FullTransactionId)],
) -> Result<()> {
    for (block, safe_xid) in pages {
        // In the order of their xids, so later ones are not removable either.
        if !tree.is_removable(*safe_xid) {
            break;
        }
        tree.record_free(*block)?;
        statistics.pages_free += 1;
    }
    Ok(())
}

impl Pass<'_, '_> {
    /// A page, and those that its splits led back to: `btvacuumpage`.
    fn page(&mut self, scan_block: BlockNumber) -> Result<()> {
        let mut block = scan_block;
        while let Some(back) = self.one_page(block, scan_block)? {
            block = back;
            check_for_interrupts()?;
        }
        Ok(())
    }

    fn one_page(&mut self, block: BlockNumber, scan_block: BlockNumber) -> Result<Option<BlockNumber>> {
        let tree = self.tree;
        let buffer = tree.pin_with(block, self.ring)?;
        let guard = buffer.read();
        let revisited = block != scan_block;
        if guard.is_new() {
            drop(guard);
            if !revisited {
                tree.record_free(block)?;
                self.statistics.pages_deleted += 1;
                self.statistics.pages_free += 1;
            }
            return Ok(None);
        }
        guard.check(tree.name(), block)?;
        let opaque = guard.opaque();
        if revisited {
            // Split off from a page of this pass, unless something else has become of it.
            let follows = opaque.is_leaf()
                && !opaque.is_half_dead()
                && !opaque.is_deleted()
                && opaque.cycle_id == self.cycle_id;
            if !follows {
                return Ok(None);
            }
        }
        if opaque.is_deleted() {
            self.statistics.pages_deleted += 1;
            if tree.is_recyclable(&guard) {
                drop(guard);
                tree.record_free(block)?;
                self.statistics.pages_free += 1;
            }
            return Ok(None);
        }
        if opaque.is_half_dead() {
            // Left by a vacuum that was interrupted.
            drop(guard);
            page_delete::delete_page(tree, tree.write(block)?, &mut self.deleted)?;
            return Ok(None);
        }
        if !opaque.is_leaf() {
            return Ok(None);
        }
        drop(guard);
        let leaf = tree.pin_with(block, self.ring)?.cleanup_lock()?;
        self.leaf(leaf, scan_block)
    }

    fn leaf(&mut self, mut leaf: PageWriteGuard, scan_block: BlockNumber) -> Result<Option<BlockNumber>> {
        let tree = self.tree;
        let opaque = leaf.opaque();
        let marked = self.cycle_id != 0 && opaque.cycle_id == self.cycle_id;
        let back = opaque.next.filter(|next| marked && !opaque.has(flags::SPLIT_END) && *next < scan_block);
        let (removal, dead, live) = self.judge(&leaf)?;
        if !removal.is_empty() {
            delete(tree, &mut leaf, &removal)?;
            self.statistics.tuples_removed += dead;
        } else if marked {
            // Spare the next pass from following the mark.
            leaf.set_hint(|page: &mut Page| {
                let opaque = page.opaque();
                page.set_opaque(Opaque { cycle_id: 0, ..opaque });
            });
        }
        if !leaf.is_empty_of_data() {
            self.statistics.tuples += live;
        } else if leaf.block() == scan_block {
            page_delete::delete_page(tree, leaf, &mut self.deleted)?;
        }
        Ok(back)
    }

    /// What is to be removed from the page, and how many tids go and stay.
    fn judge(&mut self, page: &Page) -> Result<(Removal, u64, u64)> {
        let mut removal = Removal::default();
        let (mut dead, mut live) = (0, 0);
        let Some(is_dead) = self.is_dead.as_deref_mut() else {
            return Ok((removal, 0, page.data_offsets().count() as u64));
        };
        for offset in page.data_offsets() {
            let tuple = page.tuple(offset)?;
            let mut positions = Vec::new();
            for (position, tid) in tuple.heap_tids().enumerate() {
                if is_dead(tid) {
                    positions.push(position as u16);
                }
            }
            let total = tuple.heap_tids().len();
            dead += positions.len() as u64;
            live += (total - positions.len()) as u64;
            if positions.len() == total {
                removal.deleted.push(offset);
            } else if !positions.is_empty() {
                removal.updated.push((offset, positions));
            }
        }
        Ok((removal, dead, live))
    }
}

/// `_bt_delitems_vacuum`.
fn delete(tree: &Tree<'_>, leaf: &mut PageWriteGuard, removal: &Removal) -> Result<()> {
    let shrunken = removal.prepare(leaf)?;
    let critical = CriticalSection::enter();
    let page = leaf.page_mut(&critical);
    removal.apply(page, &shrunken);
    let opaque = page.opaque();
    page.set_opaque(Opaque { cycle_id: 0, ..opaque });
    if tree.needs_wal() {
        let mut record = tree.record(info::VACUUM);
        record.data(&Vacuum::encode(removal));
        record.register(0, leaf, STANDARD);
        record.buffer_data(0, &record::encode_removal(removal));
        tree.cluster.wal.insert(&critical, record);
    }
    Ok(())
}

/// Vacuums under way in the process: cluster (by address), index file, cycle id.
static ACTIVE: Mutex<Vec<(usize, RelFileLocator, u16)>> = Mutex::new(Vec::new());
/// Their number, so that a split need not take the lock while there are none.
static ACTIVE_COUNT: AtomicUsize = AtomicUsize::new(0);
static LAST_CYCLE: Mutex<u16> = Mutex::new(0);

/// Cycle id to mark the halves of a split with; 0 if no vacuum of the index is under way.
/// `_bt_vacuum_cycleid`.
pub(super) fn active_cycle(tree: &Tree<'_>) -> u16 {
    if ACTIVE_COUNT.load(Ordering::Acquire) == 0 {
        return 0;
    }
    let (cluster, locator) = identity(tree);
    let active = ACTIVE.lock();
    active.iter().find(|(c, l, _)| (*c, *l) == (cluster, locator)).map_or(0, |(_, _, id)| *id)
}

fn identity(tree: &Tree<'_>) -> (usize, RelFileLocator) {
    (std::ptr::from_ref(tree.cluster).addr(), tree.index.file.locator)
}

/// A vacuum's registration, which ends with it however it ends.
struct Cycle {
    cluster: usize,
    locator: RelFileLocator,
    id: u16,
}

impl Cycle {
    fn start(tree: &Tree<'_>) -> Result<Self> {
        let (cluster, locator) = identity(tree);
        let mut active = ACTIVE.lock();
        if active.iter().any(|(c, l, _)| (*c, *l) == (cluster, locator)) {
            return Err(error!(INTERNAL_ERROR, "multiple active vacuums for index \"{}\"", tree.name()));
        }
        let mut last = LAST_CYCLE.lock();
        if *last == 0 {
            // Elsewhere than the last time: pages may still carry ids of vacuums before the restart.
            *last = (TimestampTz::now().0 as u64 / 1_000_000 % u64::from(CYCLE_ID_MAX)) as u16;
        }
        *last = if *last >= CYCLE_ID_MAX { 1 } else { *last + 1 };
        active.push((cluster, locator, *last));
        ACTIVE_COUNT.fetch_add(1, Ordering::AcqRel);
        Ok(Self { cluster, locator, id: *last })
    }
}

impl Drop for Cycle {
    fn drop(&mut self) {
        ACTIVE.lock().retain(|(c, l, _)| (*c, *l) != (self.cluster, self.locator));
        ACTIVE_COUNT.fetch_sub(1, Ordering::AcqRel);
    }
}
