//! Inserting an entry.
//!
//! Realises: nbtinsert.c, with splits in `split.rs`, the making of room in `delete.rs` and uniqueness in
//! `unique.rs`.
//!
//! An entry has one place: the leaf and offset where (key, heap tid) belongs. A unique index first looks
//! at all entries with the key, from the first page that may hold one; that page stays locked, so nobody
//! can bring in another meanwhile. If the leaf is full, dead entries are deleted, versions of unchanged
//! rows removed bottom-up, duplicates merged; only then it is split.

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{BlockNumber, ItemPointer, OffsetNumber, Result, TransactionId, error};
use kokkiri_storage::{CriticalSection, PageWriteGuard};
use kokkiri_types::ValueRef;

use super::change;
use super::delete::{self, MakeRoom};
use super::key::SearchKey;
use super::page::{BtreePage, HIGH_KEY, METAPAGE, Meta, flags};
use super::record::{self, Insert, info};
use super::split;
use super::table::IndexedTable;
use super::tree::{STANDARD, Stack, StackEntry, Tree, WILL_INIT, check_tuple_size};
use super::tuple::{IndexTuple, PostingSplit, TupleRef, align, split_posting};
use super::unique::{self, UniqueCheck};

/// In smaller trees a descent costs too little for the rightmost leaf to be remembered.
const FAST_PATH_MIN_LEVEL: u32 = 2;

/// What became of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertOutcome {
    Inserted,
    /// Inserted, but there may be another live entry with the key ([`UniqueCheck::Partial`]).
    InsertedPerhapsDuplicate,
    /// Nothing was inserted: there is an entry with the key.
    Conflict(Conflict),
}

/// Why a unique index refuses an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The row at `tid` has the key and is live.
    Duplicate { tid: ItemPointer },
    /// The row at `tid` has the key and is being inserted or deleted by `xid`: wait for it, then try again.
    InProgress { tid: ItemPointer, xid: TransactionId, speculative: bool },
}

/// How an insertion is to be done.
#[derive(Clone, Copy, Debug)]
pub struct InsertOptions {
    pub check: UniqueCheck,
    /// The row is a new version of one whose indexed values did not change: likely a duplicate that a
    /// bottom-up deletion can make room for.
    pub unchanged: bool,
}

/// The leaf where the entry belongs, and what is known about its place there.
pub(super) struct Target {
    pub leaf: PageWriteGuard,
    /// First offset whose item is not less than the key, and first whose item is greater, found with a
    /// key without heap tid. Lost when the page changes.
    pub bounds: Option<(u16, u16)>,
}

/// Where exactly an item goes.
#[derive(Clone, Copy)]
enum Place {
    /// Before the item now at the offset.
    At(OffsetNumber),
    /// Into the posting list at the offset, before its tid number `.1`.
    InPosting(OffsetNumber, usize),
    /// Into a posting list that is marked dead, which must go first.
    InDeadPosting,
}

/// Inserts the entry of the row at `tid` with the index columns `values`: `_bt_doinsert`.
pub fn insert(
    tree: &Tree<'_>,
    table: &dyn IndexedTable,
    values: &[ValueRef<'_>],
    tid: ItemPointer,
    options: InsertOptions,
) -> Result<InsertOutcome> {
    let shape = tree.shape();
    let tuple = shape.form(values, tid)?;
    let mut key = SearchKey::of_tuple(shape, tuple.as_ref())?;
    // Nulls are distinct from each other unless the index says otherwise.
    let nulls_exempt = key.has_null() && !tree.index.nulls_not_distinct;
    let checking = options.check != UniqueCheck::No && !nulls_exempt;
    if checking {
        key.heap_tid = None;
    }
    let (mut stack, leaf) = find_leaf(tree, &key, align(tuple.size()))?;
    let mut target = Target { leaf, bounds: None };
    let mut outcome = InsertOutcome::Inserted;
    if checking {
        match unique::check(tree, table, &key, tid, options.check, &mut target)? {
            unique::Verdict::Unique => {}
            unique::Verdict::PerhapsNot => outcome = InsertOutcome::InsertedPerhapsDuplicate,
            unique::Verdict::Conflict(conflict) => return Ok(InsertOutcome::Conflict(conflict)),
        }
        key.heap_tid = Some(tid);
    }
    if options.check == UniqueCheck::Existing {
        return Ok(outcome);
    }
    check_tuple_size(tree.index, tuple.as_ref())?;
    let (leaf, place) = find_place(tree, table, &key, &tuple, checking, options, &mut stack, target)?;
    let item = NewItem { tuple, split_of: None };
    match place {
        Place::At(offset) => put(tree, leaf, None, &mut stack, item, offset, false)?,
        Place::InPosting(offset, position) => {
            let item = split_posting_at(tree, &leaf, item.tuple, offset, position)?;
            put(tree, leaf, None, &mut stack, item, offset.next(), false)?;
        }
        Place::InDeadPosting => return Err(misplaced(tree, tid, &leaf)),
    }
    Ok(outcome)
}

/// The leaf where `key` belongs, locked exclusively: the rightmost one if the last insertion went there
/// and the key is beyond its first item, else by descent. `_bt_search_insert`.
fn find_leaf(tree: &Tree<'_>, key: &SearchKey<'_>, size: usize) -> Result<(Stack, PageWriteGuard)> {
    if let Some(block) = tree.state().target() {
        if let Ok(leaf) = tree.pin(block)?.try_write() {
            leaf.check(tree.name(), block)?;
            let opaque = leaf.opaque();
            if opaque.is_rightmost()
                && opaque.is_leaf()
                && !opaque.is_ignored()
                && leaf.free_space() > size
                && leaf.max_offset() >= HIGH_KEY
                && key.compare(leaf.tuple(opaque.first_data())?)?.is_gt()
            {
                return Ok((Stack::new(), leaf));
            }
        }
        tree.state().set_target(None);
    }
    search_for_insert(tree, key)
}

/// `_bt_search` with `BT_WRITE`: descends to the leaf, finishing incomplete splits on the way.
fn search_for_insert(tree: &Tree<'_>, key: &SearchKey<'_>) -> Result<(Stack, PageWriteGuard)> {
    let mut guard = loop {
        match tree.root()? {
            Some(root) => break root,
            None => tree.create_root()?,
        }
    };
    let mut stack = Stack::new();
    loop {
        // Shared locks down to the leaf's parent; the leaf itself is locked as it is needed.
        let opaque = guard.opaque();
        if opaque.is_leaf() {
            let block = guard.block();
            drop(guard);
            let leaf = move_right(tree, key, tree.write(block)?, &mut stack)?;
            return Ok((stack, leaf));
        }
        if !opaque.is_rightmost() && opaque.is_incomplete_split() {
            let block = guard.block();
            drop(guard);
            let left = tree.write(block)?;
            if left.opaque().is_incomplete_split() {
                split::finish(tree, left, &mut stack)?;
            } else {
                drop(left);
            }
            guard = tree.read(block)?;
            continue;
        }
        if opaque.is_ignored() || key.is_beyond(&guard, &opaque)? {
            let next = opaque.next.ok_or_else(|| tree.fell_off())?;
            drop(guard);
            check_for_interrupts()?;
            guard = tree.read(next)?;
            continue;
        }
        let entry = StackEntry { block: guard.block(), offset: key.find(&guard)? };
        let child = guard.tuple(entry.offset)?.downlink();
        stack.push(entry);
        drop(guard);
        if opaque.level == 1 {
            let leaf = move_right(tree, key, tree.write(child)?, &mut stack)?;
            return Ok((stack, leaf));
        }
        guard = tree.read(child)?;
    }
}

/// `_bt_moveright` with exclusive locks.
fn move_right(
    tree: &Tree<'_>,
    key: &SearchKey<'_>,
    mut guard: PageWriteGuard,
    stack: &mut [StackEntry],
) -> Result<PageWriteGuard> {
    loop {
        let opaque = guard.opaque();
        if opaque.is_rightmost() {
            if opaque.is_ignored() {
                return Err(tree.fell_off());
            }
            return Ok(guard);
        }
        if opaque.is_incomplete_split() {
            let block = guard.block();
            split::finish(tree, guard, stack)?;
            guard = tree.write(block)?;
            continue;
        }
        if !opaque.is_ignored() && !key.is_beyond(&guard, &opaque)? {
            return Ok(guard);
        }
        let next = opaque.next.ok_or_else(|| tree.fell_off())?;
        drop(guard);
        check_for_interrupts()?;
        guard = tree.write(next)?;
    }
}

/// The page to the right, which takes the place of the locked one: `_bt_stepright`.
fn step_right(tree: &Tree<'_>, target: &mut Target, stack: &mut [StackEntry]) -> Result<()> {
    let mut next = target.leaf.opaque().next.ok_or_else(|| tree.fell_off())?;
    loop {
        check_for_interrupts()?;
        let right = tree.write(next)?;
        let opaque = right.opaque();
        if opaque.is_incomplete_split() {
            split::finish(tree, right, stack)?;
            continue;
        }
        if !opaque.is_ignored() {
            *target = Target { leaf: right, bounds: None };
            return Ok(());
        }
        next = opaque.next.ok_or_else(|| tree.fell_off())?;
    }
}

/// Finds the offset, moving right and making room as needed: `_bt_findinsertloc`.
#[expect(clippy::too_many_arguments, reason = "the state of one insertion")]
fn find_place(
    tree: &Tree<'_>,
    table: &dyn IndexedTable,
    key: &SearchKey<'_>,
    tuple: &IndexTuple,
    checking: bool,
    options: InsertOptions,
    stack: &mut [StackEntry],
    mut target: Target,
) -> Result<(PageWriteGuard, Place)> {
    let mut likely_duplicate = options.unchanged;
    if checking {
        likely_duplicate |= target.bounds.is_some_and(|(low, above)| low < above);
        // The search was for the first page with the key; the tid may belong farther right.
        loop {
            let inside =
                target.bounds.is_some_and(|(low, above)| low <= above && above <= target.leaf.max_offset().0);
            let opaque = target.leaf.opaque();
            if inside || opaque.is_rightmost() || key.compare(target.leaf.tuple(HIGH_KEY)?)?.is_le() {
                break;
            }
            step_right(tree, &mut target, stack)?;
            likely_duplicate = true;
        }
    }
    if target.leaf.free_space() < align(tuple.size()) {
        let how = MakeRoom { checking, likely_duplicate, unchanged: options.unchanged, simple_only: false };
        if delete::make_room(tree, table, &mut target.leaf, tuple.as_ref(), how)? {
            target.bounds = None;
        }
    }
    let mut place = find_offset(key, &target)?;
    if matches!(place, Place::InDeadPosting) {
        let how = MakeRoom { checking: false, likely_duplicate: false, unchanged: false, simple_only: true };
        delete::make_room(tree, table, &mut target.leaf, tuple.as_ref(), how)?;
        target.bounds = None;
        place = find_offset(key, &target)?;
    }
    Ok((target.leaf, place))
}

/// `_bt_binsrch_insert` with a complete key.
fn find_offset(key: &SearchKey<'_>, target: &Target) -> Result<Place> {
    let page = &*target.leaf;
    let opaque = page.opaque();
    let first = opaque.first_data().0;
    let (mut low, mut high) = target.bounds.unwrap_or((first, page.max_offset().0 + 1));
    let mut inside = None;
    while high > low {
        let middle = low + (high - low) / 2;
        let order = key.compare(page.tuple(OffsetNumber(middle))?)?;
        if order.is_gt() {
            low = middle + 1;
        } else {
            high = middle;
            if order.is_eq() {
                inside = Some(OffsetNumber(middle));
            }
        }
    }
    // Only a posting list whose range covers the tid compares equal.
    let (Some(offset), Some(tid)) = (inside, key.heap_tid) else { return Ok(Place::At(OffsetNumber(low))) };
    let posting = page.tuple(offset)?;
    if !posting.is_posting() {
        return Ok(Place::At(OffsetNumber(low)));
    }
    if page.item_id(offset).is_some_and(|item| item.is_dead()) {
        return Ok(Place::InDeadPosting);
    }
    let position = posting.heap_tids().take_while(|stored| *stored < tid).count();
    Ok(Place::InPosting(offset, position))
}

/// An item on its way onto a page.
pub(super) struct NewItem {
    pub tuple: IndexTuple,
    /// If it splits a posting list: the list as it will be, where in it, and the item as it came.
    pub split_of: Option<SplitOf>,
}

pub(super) struct SplitOf {
    pub posting: IndexTuple,
    pub position: usize,
    pub original: IndexTuple,
}

fn split_posting_at(
    tree: &Tree<'_>,
    leaf: &PageWriteGuard,
    original: IndexTuple,
    offset: OffsetNumber,
    position: usize,
) -> Result<NewItem> {
    let tid = original.as_ref().raw_tid();
    let PostingSplit { posting, new_item } = split_posting(original.as_ref(), leaf.tuple(offset)?, position)
        .filter(|_| leaf.tuple(offset).is_ok_and(|posting| posting.heap_tids().all(|other| other != tid)))
        .ok_or_else(|| misplaced(tree, tid, leaf))?;
    Ok(NewItem { tuple: new_item, split_of: Some(SplitOf { posting, position, original }) })
}

fn misplaced(tree: &Tree<'_>, tid: ItemPointer, leaf: &PageWriteGuard) -> kokkiri_primitives::Error {
    error!(
        INDEX_CORRUPTED,
        "table tid from new index tuple ({},{}) overlaps with invalid duplicate tuple \
         of block {} in index \"{}\"",
        tid.block,
        tid.offset,
        leaf.block(),
        tree.name()
    )
}

/// Puts `item` at `offset` of the locked `page`, splitting it if need be: `_bt_insertonpg`. Above the
/// leaves `child` is the left half of the split whose right half the item links to. `was_only`: the split
/// child was alone on its level, so the page may become the fast root.
pub(super) fn put(
    tree: &Tree<'_>,
    page: PageWriteGuard,
    child: Option<PageWriteGuard>,
    stack: &mut [StackEntry],
    item: NewItem,
    offset: OffsetNumber,
    was_only: bool,
) -> Result<()> {
    let opaque = page.opaque();
    if page.free_space() < align(item.tuple.size()) {
        let is_root = opaque.is_root();
        let is_only = opaque.is_leftmost() && opaque.is_rightmost();
        let (left, right) = split::split(tree, page, child, offset, &item)?;
        return split::insert_parent(tree, left, right, stack, is_root, is_only);
    }
    let block = page.block();
    let remember = opaque.is_rightmost() && opaque.is_leaf() && !opaque.is_root();
    put_without_split(tree, page, child, item, offset, was_only)?;
    if remember && tree.height()? >= FAST_PATH_MIN_LEVEL {
        tree.state().set_target(Some(block));
    }
    Ok(())
}

fn put_without_split(
    tree: &Tree<'_>,
    mut page: PageWriteGuard,
    mut child: Option<PageWriteGuard>,
    item: NewItem,
    offset: OffsetNumber,
    was_only: bool,
) -> Result<()> {
    let opaque = page.opaque();
    page.check_pointers()?;
    let mut meta = if was_only { meta_to_lift(tree, page.block(), opaque.level)? } else { None };
    let critical = CriticalSection::enter();
    let contents = page.page_mut(&critical);
    if let Some(split) = &item.split_of {
        replace_posting(contents, OffsetNumber(offset.0 - 1), split.posting.as_ref());
    }
    let added = change::insert_item(contents, offset, item.tuple.bytes());
    assert!(added, "the page was checked to have room");
    if let Some((guard, meta)) = &mut meta {
        meta.store(guard.page_mut(&critical));
        tree.state().forget_fast_root();
    }
    if let Some(child) = &mut child {
        child.page_mut(&critical).unmark(flags::INCOMPLETE_SPLIT);
    }
    if !tree.needs_wal() {
        return Ok(());
    }
    let kind = match (&item.split_of, &meta) {
        (Some(_), _) => info::INSERT_POST,
        (None, Some(_)) => info::INSERT_META,
        (None, None) if opaque.is_leaf() => info::INSERT_LEAF,
        (None, None) => info::INSERT_UPPER,
    };
    let mut record = tree.record(kind);
    record.data(&Insert { offset }.encode());
    record.register(0, &mut page, STANDARD);
    match &item.split_of {
        None => {
            record.buffer_data(0, item.tuple.bytes());
        }
        Some(split) => {
            record.buffer_data(0, &(split.position as u16).to_le_bytes());
            record.buffer_data(0, split.original.bytes());
        }
    }
    if let Some(child) = &mut child {
        record.register(1, child, STANDARD);
    }
    if let Some((guard, meta)) = &mut meta {
        record.register(2, guard, WILL_INIT | STANDARD);
        record.buffer_data(2, &record::encode_meta(meta));
    }
    tree.cluster.wal.insert(&critical, record);
    Ok(())
}

/// The metapage, if page `block` of level `level` is to become the fast root.
fn meta_to_lift(tree: &Tree<'_>, block: BlockNumber, level: u32) -> Result<Option<(PageWriteGuard, Meta)>> {
    let guard = tree.write(METAPAGE)?;
    let meta = Meta::read(&guard, tree.name())?;
    if meta.fast_level >= level {
        return Ok(None);
    }
    Ok(Some((guard, Meta { fast_root: Some(block), fast_level: level, ..meta })))
}

/// Overwrites a posting list by one of the same size.
pub(super) fn replace_posting(page: &mut kokkiri_storage::Page, offset: OffsetNumber, posting: TupleRef<'_>) {
    let item = page.item_mut(offset).expect("the posting list was just read");
    item[..posting.size()].copy_from_slice(posting.bytes());
}
