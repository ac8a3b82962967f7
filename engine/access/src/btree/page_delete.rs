//! Deleting empty pages.
//!
//! Realises: `_bt_pagedel`, `_bt_mark_page_halfdead`, `_bt_unlink_halfdead_page`.
//!
//! Only an empty leaf is deleted, with those ancestors that have no other child. Two steps, each one
//! record:
//!  1. *Half-dead*: the downlink to the subtree goes. Searches for its key space now arrive at the next
//!     page; whoever is still under way to the leaf moves right. The leaf's high key is replaced by a link
//!     to the top of the subtree.
//!  2. *Unlink*, from the top of the subtree down to the leaf: the siblings link to each other. The page
//!     stays as a tombstone until no transaction is left that could have read a link to it.
//!
//! The rightmost page of a level is never deleted: there is no page to pass its key space to. Nor is the
//! rightmost child of a parent with others, as the parent's key space would have to shrink.

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{BlockNumber, FullTransactionId, OffsetNumber, Result, error};
use kokkiri_storage::{CriticalSection, PageWriteGuard};

use super::change;
use super::key::SearchKey;
use super::page::{BtreePage, HIGH_KEY, METAPAGE, Meta, Opaque};
use super::record::{self, MarkHalfDead, UnlinkPage, info};
use super::split::{find_parent, set_prev};
use super::tree::{STANDARD, Stack, StackEntry, Tree, WILL_INIT};

/// What deletions did.
#[derive(Default)]
pub struct Deleted {
    /// Pages unlinked, with the xid that must be gone before they are reused.
    pub pages: Vec<(BlockNumber, FullTransactionId)>,
    /// How many of them the scan has passed already.
    pub behind_scan: u32,
}

/// The top of a subtree to be deleted.
struct Subtree {
    /// The locked parent that stays, and the offset of its entry for the subtree.
    parent: PageWriteGuard,
    offset: OffsetNumber,
    top: BlockNumber,
    top_right: BlockNumber,
}

/// Deletes the empty (or half-dead) locked leaf and, when it was a half-dead one's left neighbour before,
/// those to the right of it that are empty too: `_bt_pagedel`.
pub fn delete_page(tree: &Tree<'_>, mut leaf: PageWriteGuard, deleted: &mut Deleted) -> Result<()> {
    let scan_block = leaf.block();
    let mut stack: Option<Stack> = None;
    loop {
        let opaque = leaf.opaque();
        let undeletable = !opaque.is_leaf()
            || opaque.is_deleted()
            || opaque.is_rightmost()
            || opaque.is_root()
            || !leaf.is_empty_of_data()
            || opaque.is_incomplete_split();
        if undeletable {
            return Ok(());
        }
        if !opaque.is_half_dead() {
            let Some(stack) = &mut stack else {
                let Some((found, again)) = find_stack(tree, leaf)? else { return Ok(()) };
                stack = Some(found);
                leaf = again;
                continue;
            };
            if !mark_half_dead(tree, &mut leaf, stack)? {
                return Ok(());
            }
        }
        let mut right_is_empty = false;
        while leaf.opaque().is_half_dead() {
            match unlink(tree, leaf, scan_block, deleted)? {
                Some((locked, empty)) => {
                    leaf = locked;
                    right_is_empty = empty;
                }
                None => return Ok(()),
            }
        }
        let right = leaf.opaque().next;
        drop(leaf);
        check_for_interrupts()?;
        // A right sibling that was empty could not be deleted as long as this page was half-dead.
        let Some(right) = right.filter(|_| right_is_empty) else { return Ok(()) };
        leaf = tree.write(right)?;
    }
}

/// Unlocks the leaf to search for its way down. `None` if its left sibling is about to split off a page
/// between them, which this deletion would break.
fn find_stack(tree: &Tree<'_>, leaf: PageWriteGuard) -> Result<Option<(Stack, PageWriteGuard)>> {
    let block = leaf.block();
    let left = leaf.opaque().prev;
    let high_key = leaf.tuple(HIGH_KEY)?.to_tuple();
    drop(leaf);
    if is_splitting_into(tree, left, block)? {
        return Ok(None);
    }
    // Searching backward for the high key leads to the page whose upper bound it is.
    let mut key = SearchKey::of_tuple(tree.shape(), high_key.as_ref())?;
    key.backward = true;
    let stack = tree.search(&key)?.map(|(stack, _)| stack).unwrap_or_default();
    Ok(Some((stack, tree.write(block)?)))
}

/// `_bt_leftsib_splitflag`.
fn is_splitting_into(tree: &Tree<'_>, left: Option<BlockNumber>, target: BlockNumber) -> Result<bool> {
    let Some(left) = left else { return Ok(false) };
    let opaque = tree.read(left)?.opaque();
    Ok(opaque.next == Some(target) && opaque.is_incomplete_split())
}

/// First step; false if the page can't be deleted now. `_bt_mark_page_halfdead`.
fn mark_half_dead(tree: &Tree<'_>, leaf: &mut PageWriteGuard, stack: &mut [StackEntry]) -> Result<bool> {
    let opaque = leaf.opaque();
    let (block, Some(right)) = (leaf.block(), opaque.next) else { return Ok(false) };
    if tree.read(right)?.opaque().is_half_dead() {
        return Ok(false);
    }
    let Some(mut subtree) = lock_subtree_parent(tree, block, right, stack)? else { return Ok(false) };
    let next_child = subtree.parent.tuple(subtree.offset.next())?.downlink();
    if next_child != subtree.top_right {
        return Err(error!(
            INDEX_CORRUPTED,
            "right sibling {} of block {} is not next child {next_child} of block {} in index \"{}\"",
            subtree.top_right,
            subtree.top,
            subtree.parent.block(),
            tree.name()
        ));
    }
    let top_parent = (subtree.top != block).then_some(subtree.top);
    subtree.parent.check_pointers()?;

    let critical = CriticalSection::enter();
    change::remove_downlink(subtree.parent.page_mut(&critical), subtree.offset)
        .expect("both entries were just read");
    change::write_half_dead(leaf.page_mut(&critical), opaque.prev, opaque.next, top_parent);
    if tree.needs_wal() {
        let payload = MarkHalfDead {
            parent_offset: subtree.offset,
            leaf: block,
            left: opaque.prev,
            right: opaque.next,
            top_parent,
        };
        let mut record = tree.record(info::MARK_PAGE_HALFDEAD);
        record.data(&payload.encode());
        record.register(0, leaf, WILL_INIT);
        record.register(1, &mut subtree.parent, STANDARD);
        tree.cluster.wal.insert(&critical, record);
    }
    Ok(true)
}

/// Finds the lowest ancestor with another child to the right of the subtree: `_bt_lock_subtree_parent`.
fn lock_subtree_parent(
    tree: &Tree<'_>,
    leaf: BlockNumber,
    leaf_right: BlockNumber,
    mut stack: &mut [StackEntry],
) -> Result<Option<Subtree>> {
    let (mut top, mut top_right) = (leaf, leaf_right);
    loop {
        let Some((entry, parents)) = stack.split_last_mut() else { return Ok(None) };
        let Some(parent) = find_parent(tree, entry, parents, top)? else {
            return Err(error!(
                INDEX_CORRUPTED,
                "failed to re-find parent key in index \"{}\" for deletion target page {top}",
                tree.name()
            ));
        };
        let opaque = parent.opaque();
        if entry.offset < parent.max_offset() {
            return Ok(Some(Subtree { parent, offset: entry.offset, top, top_right }));
        }
        // The last child: deletable only with its parent, if it is the only one and that can go.
        let only_child = entry.offset == opaque.first_data();
        let (true, Some(right)) = (only_child, opaque.next) else { return Ok(None) };
        top = parent.block();
        top_right = right;
        drop(parent);
        if is_splitting_into(tree, opaque.prev, top)? {
            return Ok(None);
        }
        stack = parents;
    }
}

/// Second step, for the topmost page of the half-dead subtree. Returns the leaf, locked again, and whether
/// the right sibling of what was unlinked is empty; `None` if the siblings contradict each other.
/// `_bt_unlink_halfdead_page`.
fn unlink(
    tree: &Tree<'_>,
    leaf: PageWriteGuard,
    scan_block: BlockNumber,
    deleted: &mut Deleted,
) -> Result<Option<(PageWriteGuard, bool)>> {
    let leaf_block = leaf.block();
    let leaf_opaque = leaf.opaque();
    let top = leaf.tuple(HIGH_KEY)?.top_parent();
    drop(leaf);
    check_for_interrupts()?;
    let target = top.unwrap_or(leaf_block);
    let left_block = match top {
        Some(top) => tree.read(top)?.opaque().prev,
        None => leaf_opaque.prev,
    };
    // Left to right; the leaf's lock comes first where the target is an internal page above it.
    let mut leaf_guard = top.map(|_| tree.write(leaf_block)).transpose()?;
    let mut left = match left_block {
        Some(left) => match lock_left_sibling(tree, left, target)? {
            Some(guard) => Some(guard),
            None => return Ok(None),
        },
        None => None,
    };
    let mut page = tree.write(target)?;
    let opaque = page.opaque();
    let left_block = left.as_ref().map(PageWriteGuard::block);
    let leaf_top_parent = check_target(tree, &page, &opaque, leaf_block, left_block)?;
    let right_block = opaque.next.ok_or_else(|| tree.fell_off())?;
    let mut right = tree.write(right_block)?;
    if right.opaque().prev != Some(target) {
        report_siblings(tree, right_block, target);
        return Ok(None);
    }
    let right_is_empty = right.is_empty_of_data();
    let mut meta = None;
    if left.is_none() && right.opaque().is_rightmost() {
        // The right sibling is left alone on its level: it may be the new fast root.
        let guard = tree.write(METAPAGE)?;
        let contents = Meta::read(&guard, tree.name())?;
        if contents.fast_level <= opaque.level + 1 {
            meta = Some((guard, Meta { fast_root: Some(right_block), fast_level: opaque.level, ..contents }));
        }
    }
    let safe_xid = tree.cluster.transactions.xids.next();

    let critical = CriticalSection::enter();
    if let Some(left) = &mut left {
        let contents = left.page_mut(&critical);
        let opaque = contents.opaque();
        contents.set_opaque(Opaque { next: Some(right_block), ..opaque });
    }
    set_prev(right.page_mut(&critical), left_block);
    if let Some(leaf) = &mut leaf_guard {
        let page = leaf.page_mut(&critical);
        change::write_half_dead(page, leaf_opaque.prev, leaf_opaque.next, leaf_top_parent);
    }
    change::write_deleted(page.page_mut(&critical), left_block, opaque.next, opaque.level, safe_xid);
    if let Some((guard, meta)) = &mut meta {
        meta.store(guard.page_mut(&critical));
        tree.state().forget_fast_root();
    }
    if tree.needs_wal() {
        let payload = UnlinkPage {
            left: left_block,
            right: opaque.next,
            level: opaque.level,
            safe_xid,
            leaf_left: leaf_opaque.prev,
            leaf_right: leaf_opaque.next,
            leaf_top_parent,
        };
        let kind = if meta.is_some() { info::UNLINK_PAGE_META } else { info::UNLINK_PAGE };
        let mut record = tree.record(kind);
        record.data(&payload.encode());
        record.register(0, &mut page, WILL_INIT);
        if let Some(left) = &mut left {
            record.register(1, left, STANDARD);
        }
        record.register(2, &mut right, STANDARD);
        if let Some(leaf) = &mut leaf_guard {
            record.register(3, leaf, WILL_INIT);
        }
        if let Some((guard, meta)) = &mut meta {
            record.register(4, guard, WILL_INIT | STANDARD);
            record.buffer_data(4, &record::encode_meta(meta));
        }
        tree.cluster.wal.insert(&critical, record);
    }
    drop(critical);
    deleted.pages.push((target, safe_xid));
    // Pages ahead of the scan are counted when it gets there.
    deleted.behind_scan += u32::from(target <= scan_block);
    let leaf = leaf_guard.unwrap_or(page);
    Ok(Some((leaf, right_is_empty)))
}

/// The page whose right link leads to `target`, starting from what was its left sibling.
fn lock_left_sibling(
    tree: &Tree<'_>,
    mut block: BlockNumber,
    target: BlockNumber,
) -> Result<Option<PageWriteGuard>> {
    loop {
        let guard = tree.write(block)?;
        let opaque = guard.opaque();
        if !opaque.is_deleted() && opaque.next == Some(target) {
            return Ok(Some(guard));
        }
        // It was split meanwhile; its right half is the one. A deleted sibling would have changed the
        // target's link, which only a corrupted index hasn't.
        match opaque.next.filter(|next| !opaque.is_deleted() && *next != block) {
            Some(next) => block = next,
            None => {
                report_siblings(tree, block, target);
                return Ok(None);
            }
        }
        drop(guard);
        check_for_interrupts()?;
    }
}

/// Checks that the locked target is still what it must be; returns the new top of the subtree.
fn check_target(
    tree: &Tree<'_>,
    page: &PageWriteGuard,
    opaque: &Opaque,
    leaf: BlockNumber,
    left: Option<BlockNumber>,
) -> Result<Option<BlockNumber>> {
    let target = page.block();
    let is_leaf = target == leaf;
    let as_expected = if is_leaf {
        page.is_empty_of_data() && opaque.is_leaf() && opaque.is_half_dead()
    } else {
        page.max_offset() == opaque.first_data() && !opaque.is_leaf()
    };
    if !as_expected || opaque.is_rightmost() || opaque.is_root() || opaque.is_deleted() {
        return Err(error!(
            INTERNAL_ERROR,
            "target page changed status unexpectedly in block {target} of index \"{}\"",
            tree.name()
        ));
    }
    if opaque.prev != left {
        return Err(error!(
            INDEX_CORRUPTED,
            "target page left link unexpectedly changed in block {target} of index \"{}\"",
            tree.name()
        ));
    }
    if is_leaf {
        return Ok(None);
    }
    let child = page.tuple(opaque.first_data())?.downlink();
    Ok((child != leaf).then_some(child))
}

/// Vacuum goes on past siblings that contradict each other, as an error would keep it from ever finishing.
fn report_siblings(tree: &Tree<'_>, sibling: BlockNumber, target: BlockNumber) {
    tracing::warn!(
        index = tree.name(),
        sibling = sibling.0,
        target_page = target.0,
        "sibling links of a page to be deleted do not match"
    );
}
