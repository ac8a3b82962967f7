//! Making room on a full leaf instead of splitting it.
//!
//! Realises: `_bt_delete_or_dedup_one_page`, `_bt_simpledel_pass`, `_bt_bottomupdel_pass`,
//! `_bt_delitems_delete`.
//!
//! In this order, until there is room:
//!  1. *Simple deletion*: entries that scans marked dead, and with them others that lead to the same heap
//!     blocks, which are cheap to judge as those blocks are looked at anyway.
//!  2. *Bottom-up deletion*: duplicates are likely versions of one row; the table tells which are dead.
//!  3. *Deduplication*.

use kokkiri_primitives::{BlockNumber, OffsetNumber, Result, TransactionId};
use kokkiri_storage::{CriticalSection, Page, PageWriteGuard};

use super::change::{self, Removal};
use super::dedup::{self, Deduplicated};
use super::page::{BtreePage, LINE_POINTER_SIZE};
use super::record::{self, Dedup, Delete, info};
use super::table::{DeletionCandidate, IndexDeletion, IndexedTable};
use super::tree::{STANDARD, Tree};
use super::tuple::{MAX_ITEM_SIZE, TupleRef, align};

/// Space that a bottom-up deletion should free at least, bytes.
const BOTTOM_UP_WANTED: usize = 8192 / 16;
/// ... and that makes it a success.
const BOTTOM_UP_ENOUGH: usize = 8192 / 24;

/// What is known about the insertion that needs room.
#[derive(Clone, Copy)]
pub(super) struct MakeRoom {
    pub checking: bool,
    pub likely_duplicate: bool,
    pub unchanged: bool,
    /// Only entries marked dead.
    pub simple_only: bool,
}

/// Tries to make room for `new_item` on the locked `leaf`. True if the page was changed.
pub(super) fn make_room(
    tree: &Tree<'_>,
    table: &dyn IndexedTable,
    leaf: &mut PageWriteGuard,
    new_item: TupleRef<'_>,
    how: MakeRoom,
) -> Result<bool> {
    let size = align(new_item.size());
    let mut likely_duplicate = how.likely_duplicate;
    let mut changed = false;
    if leaf.data_offsets().any(|offset| is_dead(leaf, offset)) {
        let mut deletion = simple_candidates(leaf, new_item)?;
        changed |= delete_judged(tree, table, leaf, &mut deletion)?;
        if leaf.free_space() >= size {
            return Ok(true);
        }
        // The page has had dead entries: there may be more.
        likely_duplicate = true;
    }
    if how.simple_only || (how.checking && !likely_duplicate) {
        return Ok(changed);
    }
    let bottom_up = how.unchanged || likely_duplicate;
    if bottom_up {
        let (freed_enough, deleted) = delete_bottom_up(tree, table, leaf, size)?;
        changed |= deleted;
        if freed_enough {
            return Ok(changed);
        }
    }
    if tree.index.options.deduplicate_items
        && tree.is_equal_image()?
        && let Some(result) = dedup::deduplicate(tree.shape(), leaf, new_item, bottom_up)?
    {
        apply_deduplication(tree, leaf, &result);
        changed = true;
    }
    Ok(changed)
}

fn is_dead(page: &Page, offset: OffsetNumber) -> bool {
    page.item_id(offset).is_some_and(|item| item.is_dead())
}

/// Entries marked dead, and all others that lead to the same heap blocks or that of the new item.
fn simple_candidates(page: &Page, new_item: TupleRef<'_>) -> Result<IndexDeletion> {
    let mut blocks: Vec<BlockNumber> = vec![new_item.raw_tid().block];
    for offset in page.data_offsets().filter(|offset| is_dead(page, *offset)) {
        blocks.extend(page.tuple(offset)?.heap_tids().map(|tid| tid.block));
    }
    blocks.sort_unstable();
    blocks.dedup();
    let mut deletion = IndexDeletion::default();
    for offset in page.data_offsets() {
        let known_deletable = is_dead(page, offset);
        for tid in page.tuple(offset)?.heap_tids() {
            if blocks.binary_search(&tid.block).is_ok() {
                deletion.candidates.push(DeletionCandidate {
                    tid,
                    offset,
                    known_deletable,
                    promising: false,
                    free_space: 0,
                });
            }
        }
    }
    Ok(deletion)
}

/// Returns whether enough was freed to let deduplication be, and whether anything was deleted.
fn delete_bottom_up(
    tree: &Tree<'_>,
    table: &dyn IndexedTable,
    leaf: &mut PageWriteGuard,
    size: usize,
) -> Result<(bool, bool)> {
    let wanted = size + LINE_POINTER_SIZE;
    let (candidates, has_duplicates) = bottom_up_candidates(tree, leaf)?;
    let mut deletion = IndexDeletion { wanted_space: Some(wanted.max(BOTTOM_UP_WANTED)), candidates };
    let deleted = delete_judged(tree, table, leaf, &mut deletion)?;
    // Without duplicates there is nothing to merge either.
    let enough = !has_duplicates || leaf.exact_free_space() >= wanted.max(BOTTOM_UP_ENOUGH);
    Ok((enough, deleted))
}

/// All entries of the page, those in groups of equal keys as promising.
fn bottom_up_candidates(tree: &Tree<'_>, page: &Page) -> Result<(Vec<DeletionCandidate>, bool)> {
    let shape = tree.shape();
    let keys = shape.keys().len();
    let mut candidates = Vec::new();
    let mut has_duplicates = false;
    let mut group: Vec<(OffsetNumber, TupleRef<'_>)> = Vec::new();
    let mut group_size = 0;
    for offset in page.data_offsets() {
        let tuple = page.tuple(offset)?;
        let merged = group_size + tuple.heap_tids().len() * 6;
        let joins = match group.first() {
            Some((_, base)) => {
                shape.columns_to_keep_fast(*base, tuple)? > keys && align(merged) <= 8192.max(MAX_ITEM_SIZE)
            }
            None => false,
        };
        if !joins {
            has_duplicates |= finish_group(&group, &mut candidates);
            group.clear();
            group_size = tuple.key_size() + tuple.heap_tids().len() * 6;
        } else {
            group_size = merged;
        }
        group.push((offset, tuple));
    }
    has_duplicates |= finish_group(&group, &mut candidates);
    Ok((candidates, has_duplicates))
}

fn finish_group(group: &[(OffsetNumber, TupleRef<'_>)], candidates: &mut Vec<DeletionCandidate>) -> bool {
    let duplicates = group.len() > 1;
    for (offset, tuple) in group {
        let candidate = |tid, promising, free_space| DeletionCandidate {
            tid,
            offset: *offset,
            known_deletable: false,
            promising,
            free_space,
        };
        if !tuple.is_posting() {
            let space = align(tuple.size()) + LINE_POINTER_SIZE;
            candidates.push(candidate(tuple.raw_tid(), duplicates, space as u16));
            continue;
        }
        // Of a posting list at most the first or the last tid promises anything: whichever lies in the
        // block where most of the list does.
        let last = tuple.posting_len() - 1;
        let block = |n| tuple.posting_tid(n).block;
        let middle = block(tuple.posting_len() / 2);
        let first_promises = duplicates && block(0) == middle;
        let last_promises = duplicates && !first_promises && block(last) == middle;
        for (n, tid) in tuple.heap_tids().enumerate() {
            let promising = (first_promises && n == 0) || (last_promises && n == last);
            candidates.push(candidate(tid, promising, 6));
        }
    }
    duplicates
}

/// Has the table judge the candidates, and deletes what it gives up: `_bt_delitems_delete_check`.
fn delete_judged(
    tree: &Tree<'_>,
    table: &dyn IndexedTable,
    leaf: &mut PageWriteGuard,
    deletion: &mut IndexDeletion,
) -> Result<bool> {
    if deletion.candidates.is_empty() {
        return Ok(false);
    }
    let horizon = table.judge(deletion)?;
    let removal = removal_of(leaf, &deletion.candidates)?;
    if removal.is_empty() {
        return Ok(false);
    }
    delete(tree, leaf, &removal, horizon)?;
    Ok(true)
}

fn removal_of(page: &Page, candidates: &[DeletionCandidate]) -> Result<Removal> {
    let mut removal = Removal::default();
    for group in candidates.chunk_by(|a, b| a.offset == b.offset) {
        let offset = group[0].offset;
        let tuple = page.tuple(offset)?;
        let gone = |tid| group.iter().any(|candidate| candidate.known_deletable && candidate.tid == tid);
        let positions: Vec<u16> = tuple
            .heap_tids()
            .enumerate()
            .filter(|(_, tid)| gone(*tid))
            .map(|(position, _)| position as u16)
            .collect();
        if positions.len() == tuple.heap_tids().len() {
            removal.deleted.push(offset);
        } else if !positions.is_empty() {
            removal.updated.push((offset, positions));
        }
    }
    Ok(removal)
}

/// `_bt_delitems_delete`.
fn delete(
    tree: &Tree<'_>,
    leaf: &mut PageWriteGuard,
    removal: &Removal,
    horizon: TransactionId,
) -> Result<()> {
    let shrunken = removal.prepare(leaf)?;
    let conflict_horizon =
        if tree.cluster.transactions.standby_info() { horizon } else { TransactionId::INVALID };
    let critical = CriticalSection::enter();
    removal.apply(leaf.page_mut(&critical), &shrunken);
    if tree.needs_wal() {
        let mut record = tree.record(info::DELETE);
        record.data(&Delete { conflict_horizon, is_catalog: false }.encode(removal));
        record.register(0, leaf, STANDARD);
        record.buffer_data(0, &record::encode_removal(removal));
        tree.cluster.wal.insert(&critical, record);
    }
    Ok(())
}

fn apply_deduplication(tree: &Tree<'_>, leaf: &mut PageWriteGuard, result: &Deduplicated) {
    let critical = CriticalSection::enter();
    change::replace(leaf.page_mut(&critical), &result.image);
    if tree.needs_wal() {
        let (main, data) = Dedup::encode(&result.intervals);
        let mut record = tree.record(info::DEDUP);
        record.data(&main);
        record.register(0, leaf, STANDARD);
        record.buffer_data(0, &data);
        tree.cluster.wal.insert(&critical, record);
    }
}
