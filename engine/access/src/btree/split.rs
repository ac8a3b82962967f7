//! Splitting a page, and telling its parent.
//!
//! Realises: `_bt_split`, `_bt_insert_parent`, `_bt_newlevel`, `_bt_finish_split`, `_bt_getstackbuf`.
//!
//! ```text
//!   before            parent: ... | p |          after      parent: ... | left | right |
//!                                   |                                      |       |
//!                     ... <-> [ page p ] <-> next          ... <-> [ left ] <-> [ right ] <-> next
//! ```
//!
//! The original page becomes the left half; its high key is the separator, and so is the key of the right
//! half's downlink. Two atomic steps, each one record: first the halves, the left one marked as an
//! incomplete split; then the downlink, which clears the mark. Between them searches reach the right half
//! through the left one's right link.

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{BlockNumber, OffsetNumber, Result, error};
use kokkiri_storage::{CriticalSection, Page, PageWriteGuard};

use super::change::{self, LeftHalf, Replacement, append};
use super::insert::{NewItem, put};
use super::page::{BtreePage, HIGH_KEY, METAPAGE, Meta, Opaque, SPECIAL_SIZE, flags};
use super::record::{self, NewRoot, Split, info};
use super::split_point::{SplitPoint, find_split_point};
use super::tree::{STANDARD, StackEntry, Tree, WILL_INIT};
use super::tuple::{IndexTuple, TupleRef, align};
use super::vacuum;

/// What a split will do, worked out before anything is changed.
struct SplitPlan<'a> {
    point: SplitPoint,
    new_item_offset: OffsetNumber,
    item: &'a NewItem,
    high_key: IndexTuple,
    left: Box<Page>,
    right: Box<Page>,
}

/// Splits `page` with `item` coming in at `offset`; returns both halves, still locked. `_bt_split`.
pub(super) fn split(
    tree: &Tree<'_>,
    mut page: PageWriteGuard,
    mut child: Option<PageWriteGuard>,
    offset: OffsetNumber,
    item: &NewItem,
) -> Result<(PageWriteGuard, PageWriteGuard)> {
    let original = page.opaque();
    let mut plan = plan(tree, &page, offset, item)?;
    let mut right = tree.allocate()?;
    let mut sibling = original.next.map(|next| tree.write(next)).transpose()?;
    if let Some(sibling) = &sibling
        && sibling.opaque().prev != Some(page.block())
    {
        return Err(error!(
            INDEX_CORRUPTED,
            "right sibling's left-link doesn't match: block {} links to {} instead of expected {} in index \"{}\"",
            sibling.block(),
            sibling.opaque().prev.unwrap_or_default(),
            page.block(),
            tree.name()
        ));
    }
    let cycle_id = vacuum::active_cycle(tree);
    let kept = original.flags & !(flags::ROOT | flags::SPLIT_END | flags::HAS_GARBAGE);
    let ends_group = sibling.as_ref().is_some_and(|sibling| sibling.opaque().cycle_id != cycle_id);
    plan.left.set_opaque(change::left_opaque(original, right.block(), cycle_id));
    plan.right.set_opaque(Opaque {
        prev: Some(page.block()),
        flags: kept | if ends_group { flags::SPLIT_END } else { 0 },
        cycle_id,
        ..original
    });

    let critical = CriticalSection::enter();
    change::replace(page.page_mut(&critical), &plan.left);
    change::replace(right.page_mut(&critical), &plan.right);
    if let Some(sibling) = &mut sibling {
        let block = right.block();
        set_prev(sibling.page_mut(&critical), Some(block));
    }
    if let Some(child) = &mut child {
        child.page_mut(&critical).unmark(flags::INCOMPLETE_SPLIT);
    }
    if tree.needs_wal() {
        let mut record = tree.record(plan.kind());
        record.data(&plan.encode(original.level));
        record.register(0, &mut page, STANDARD);
        plan.log_left(&mut record);
        record.register(1, &mut right, WILL_INIT);
        record.buffer_data(1, items_of(&plan.right));
        if let Some(sibling) = &mut sibling {
            record.register(2, sibling, STANDARD);
        }
        if let Some(child) = &mut child {
            record.register(3, child, STANDARD);
        }
        tree.cluster.wal.insert(&critical, record);
    }
    drop(critical);
    Ok((page, right))
}

/// All item bytes of a page, in physical order.
pub(super) fn items_of(page: &Page) -> &[u8] {
    &page.bytes()[page.upper()..page.special_offset()]
}

pub(super) fn set_prev(page: &mut Page, prev: Option<BlockNumber>) {
    let opaque = page.opaque();
    page.set_opaque(Opaque { prev, ..opaque });
}

fn plan<'a>(
    tree: &Tree<'_>,
    page: &Page,
    new_item_offset: OffsetNumber,
    item: &'a NewItem,
) -> Result<SplitPlan<'a>> {
    let shape = tree.shape();
    let opaque = page.opaque();
    let new_item = item.tuple.as_ref();
    let point = find_split_point(shape, tree.index.options.fillfactor, page, new_item_offset, new_item)?;
    let posting = item.split_of.as_ref().map(|split| Replacement {
        offset: OffsetNumber(new_item_offset.0 - 1),
        tuple: split.posting.as_ref(),
    });
    let original_at = |offset: OffsetNumber| match posting {
        Some(posting) if posting.offset == offset => Ok(posting.tuple),
        _ => page.tuple(offset),
    };
    let at_new_item = point.first_right == new_item_offset;
    let first_right =
        if at_new_item && !point.new_item_on_left { new_item } else { original_at(point.first_right)? };
    let high_key = if opaque.is_leaf() {
        let last_left = if at_new_item && point.new_item_on_left {
            new_item
        } else {
            original_at(OffsetNumber(point.first_right.0 - 1))?
        };
        shape.separator(last_left, first_right)?
    } else {
        first_right.to_tuple()
    };
    let left = LeftHalf {
        first_right: point.first_right,
        new_item: point.new_item_on_left.then_some((new_item_offset, new_item)),
        posting,
        high_key: high_key.as_ref(),
    }
    .build(page)?;
    let right = right_half(page, &opaque, point, new_item_offset, new_item, posting)?;
    Ok(SplitPlan { point, new_item_offset, item, high_key, left, right })
}

/// The right half: the original high key and all items from the split point on.
fn right_half(
    page: &Page,
    opaque: &Opaque,
    point: SplitPoint,
    new_item_offset: OffsetNumber,
    new_item: TupleRef<'_>,
    posting: Option<Replacement<'_>>,
) -> Result<Box<Page>> {
    let mut right = Page::boxed_init(SPECIAL_SIZE);
    if let Some(high_key) = page.high_key()? {
        append(&mut right, high_key.bytes())?;
    }
    // Above the leaves the first item of a page is minus infinity: its key went up, or into the high key.
    let mut first = !opaque.is_leaf();
    let mut add = |tuple: TupleRef<'_>| {
        if std::mem::take(&mut first) {
            append(&mut right, IndexTuple::minus_infinity(tuple.downlink()).bytes())
        } else {
            append(&mut right, tuple.bytes())
        }
    };
    let last = page.max_offset();
    for offset in page.data_offsets().filter(|offset| *offset >= point.first_right) {
        if offset == new_item_offset && !point.new_item_on_left {
            add(new_item)?;
        }
        match posting {
            Some(posting) if posting.offset == offset => add(posting.tuple)?,
            _ => add(page.tuple(offset)?)?,
        }
    }
    if new_item_offset > last && !point.new_item_on_left {
        add(new_item)?;
    }
    Ok(right)
}

impl SplitPlan<'_> {
    fn kind(&self) -> u8 {
        if self.point.new_item_on_left { info::SPLIT_L } else { info::SPLIT_R }
    }

    /// Where in its list the posting list was split, if the list is on the left page.
    fn posting_offset(&self) -> u16 {
        match &self.item.split_of {
            Some(split) if self.new_item_offset.0 - 1 < self.point.first_right.0 => split.position as u16,
            _ => 0,
        }
    }

    fn encode(&self, level: u32) -> [u8; 10] {
        Split {
            level,
            first_right: self.point.first_right,
            new_item: self.new_item_offset,
            posting_offset: self.posting_offset(),
        }
        .encode()
    }

    fn log_left<'r>(&self, record: &mut kokkiri_wal::record::RecordBuilder<'r>) {
        match &self.item.split_of {
            Some(split) if self.posting_offset() != 0 => {
                record.buffer_data(0, split.original.bytes());
            }
            _ if self.point.new_item_on_left => {
                record.buffer_data(0, self.item.tuple.bytes());
            }
            _ => {}
        }
        record.buffer_data(0, self.high_key.bytes());
    }
}

/// Puts the downlink of a split's right half into the parent, or makes a new root: `_bt_insert_parent`.
pub(super) fn insert_parent(
    tree: &Tree<'_>,
    left: PageWriteGuard,
    right: PageWriteGuard,
    stack: &mut [StackEntry],
    was_root: bool,
    was_only: bool,
) -> Result<()> {
    if was_root {
        return new_root(tree, left, right);
    }
    let (left_block, right_block) = (left.block(), right.block());
    let mut fake = [StackEntry { block: left_block, offset: OffsetNumber(0) }];
    let (entry, parents) = match stack.split_last_mut() {
        Some((entry, parents)) => (entry, parents),
        None => {
            // The root was split since the descent: its successor's level is found from the top.
            let parent = tree.endpoint(left.opaque().level + 1, false)?;
            fake[0].block = parent.ok_or_else(|| lost_parent(tree, left_block, right_block))?.block();
            let [entry] = &mut fake;
            (entry, &mut [][..])
        }
    };
    let mut downlink = left.tuple(HIGH_KEY)?.to_tuple();
    downlink.set_downlink(right_block);
    let Some(parent) = find_parent(tree, entry, parents, left_block)? else {
        return Err(lost_parent(tree, left_block, right_block));
    };
    drop(right);
    let item = NewItem { tuple: downlink, split_of: None };
    put(tree, parent, Some(left), parents, item, entry.offset.next(), was_only)
}

fn lost_parent(tree: &Tree<'_>, left: BlockNumber, right: BlockNumber) -> kokkiri_primitives::Error {
    error!(
        INDEX_CORRUPTED,
        "failed to re-find parent key in index \"{}\" for split pages {left}/{right}",
        tree.name()
    )
}

/// Locks the parent of `child`, wherever splits have moved its entry, and notes where it is:
/// `_bt_getstackbuf`. `None` if there is no such entry on the level.
pub(super) fn find_parent(
    tree: &Tree<'_>,
    entry: &mut StackEntry,
    parents: &mut [StackEntry],
    child: BlockNumber,
) -> Result<Option<PageWriteGuard>> {
    let mut block = entry.block;
    let mut start = entry.offset;
    loop {
        check_for_interrupts()?;
        let page = tree.write(block)?;
        let opaque = page.opaque();
        if opaque.is_incomplete_split() {
            finish(tree, page, parents)?;
            continue;
        }
        if !opaque.is_ignored() {
            // Entries only move right, so look there first, then left.
            let (first, last) = (opaque.first_data().0, page.max_offset().0);
            let start = start.0.clamp(first, last + 1);
            for offset in (start..=last).chain((first..start).rev()).map(OffsetNumber) {
                if page.tuple(offset)?.downlink() == child {
                    *entry = StackEntry { block, offset };
                    return Ok(Some(page));
                }
            }
        }
        match opaque.next {
            Some(next) => block = next,
            None => return Ok(None),
        }
        start = OffsetNumber(0);
    }
}

/// Completes the split of the locked page `left`: `_bt_finish_split`.
pub(super) fn finish(tree: &Tree<'_>, left: PageWriteGuard, stack: &mut [StackEntry]) -> Result<()> {
    let next = left.opaque().next.ok_or_else(|| tree.fell_off())?;
    let right = tree.write(next)?;
    let was_root = stack.is_empty() && tree.meta()?.root == Some(left.block());
    let was_only = left.opaque().is_leftmost() && right.opaque().is_rightmost();
    insert_parent(tree, left, right, stack, was_root, was_only)
}

/// Puts a new root above the halves of the old one: `_bt_newlevel`.
fn new_root(tree: &Tree<'_>, mut left: PageWriteGuard, right: PageWriteGuard) -> Result<()> {
    let mut root = tree.allocate()?;
    let mut meta_guard = tree.write(METAPAGE)?;
    let level = left.opaque().level + 1;
    let block = root.block();
    let meta = Meta {
        root: Some(block),
        level,
        fast_root: Some(block),
        fast_level: level,
        ..Meta::read(&meta_guard, tree.name())?
    };
    let mut right_item = left.tuple(HIGH_KEY)?.to_tuple();
    right_item.set_downlink(right.block());
    let mut image = Page::boxed();
    change::write_root(&mut image, level);
    append(&mut image, IndexTuple::minus_infinity(left.block()).bytes())?;
    append(&mut image, right_item.bytes())?;
    debug_assert_eq!(align(right_item.size()), right_item.size());

    let critical = CriticalSection::enter();
    change::replace(root.page_mut(&critical), &image);
    meta.store(meta_guard.page_mut(&critical));
    left.page_mut(&critical).unmark(flags::INCOMPLETE_SPLIT);
    tree.state().forget_fast_root();
    if tree.needs_wal() {
        let mut record = tree.record(info::NEWROOT);
        record.data(&NewRoot { root: block, level }.encode());
        record.register(0, &mut root, WILL_INIT);
        record.buffer_data(0, items_of(&image));
        record.register(1, &mut left, STANDARD);
        record.register(2, &mut meta_guard, WILL_INIT | STANDARD);
        record.buffer_data(2, &record::encode_meta(&meta));
        tree.cluster.wal.insert(&critical, record);
    }
    Ok(())
}
