//! Changes of B-tree pages, as both the forward path and redo make them.
//!
//! A function here either changes a page completely or not at all. The forward path checks beforehand
//! that it will succeed, as inside a critical section nothing may fail; redo turns a refusal into an error.
//! Bigger rewrites (splits, deduplication) build a new image aside, which [`replace`] then copies in.

use kokkiri_primitives::{BlockNumber, FullTransactionId, OffsetNumber, Result, error};
use kokkiri_storage::Page;
use kokkiri_storage::page::ItemPlace;

use super::page::{BtreePage, HIGH_KEY, Opaque, SPECIAL_SIZE, flags};
use super::tuple::{IndexTuple, TupleRef, align, remove_from_posting, set_downlink_in_place};

/// Puts `tuple` at `offset`, moving later line pointers up. False if it doesn't fit.
#[must_use]
pub fn insert_item(page: &mut Page, offset: OffsetNumber, tuple: &[u8]) -> bool {
    page.add_item(tuple, ItemPlace::Insert(offset)).is_some()
}

/// An empty page with the special area of `page`, to be filled with its new contents.
pub fn empty_copy(page: &Page) -> Box<Page> {
    let mut copy = Page::boxed_init(SPECIAL_SIZE);
    copy.set_opaque(page.opaque());
    copy.set_lsn(page.lsn());
    copy
}

/// Replaces the contents of `page` by `image`.
pub fn replace(page: &mut Page, image: &Page) {
    page.bytes_mut().copy_from_slice(image.bytes());
}

/// Adds `tuple` after the last item of a page under construction.
pub fn append(page: &mut Page, tuple: &[u8]) -> Result<()> {
    let offset = page.max_offset().next();
    if insert_item(page, offset, tuple) {
        return Ok(());
    }
    Err(error!(INDEX_CORRUPTED, "failed to add item {offset} to index page: it does not fit"))
}

/// Adds the items of a page as they were logged: in the physical order of their bytes, last item first.
/// `_bt_restore_page`.
pub fn restore_items(page: &mut Page, mut bytes: &[u8]) -> Result<()> {
    let mut items = Vec::new();
    while !bytes.is_empty() {
        let tuple = TupleRef::parse(bytes)
            .ok_or_else(|| error!(INDEX_CORRUPTED, "WAL record holds an invalid index tuple"))?;
        let size = align(tuple.size()).min(bytes.len());
        items.push(&bytes[..size]);
        bytes = &bytes[size..];
    }
    items.iter().rev().try_for_each(|item| append(page, item))
}

/// A tuple to put in place of another on a page.
#[derive(Clone, Copy)]
pub struct Replacement<'a> {
    pub offset: OffsetNumber,
    pub tuple: TupleRef<'a>,
}

/// What a split makes of the left half.
pub struct LeftHalf<'a> {
    /// First item (by its offset on the original page) that goes right.
    pub first_right: OffsetNumber,
    /// The incoming item and its offset, if it goes left.
    pub new_item: Option<(OffsetNumber, TupleRef<'a>)>,
    /// The posting list that the incoming item split.
    pub posting: Option<Replacement<'a>>,
    pub high_key: TupleRef<'a>,
}

impl LeftHalf<'_> {
    /// The image of the left page, its special area still that of the original.
    pub fn build(&self, original: &Page) -> Result<Box<Page>> {
        let mut page = empty_copy(original);
        append(&mut page, self.high_key.bytes())?;
        for offset in original.data_offsets().take_while(|offset| *offset < self.first_right) {
            self.append_new_item_at(offset, &mut page)?;
            match self.posting {
                Some(posting) if posting.offset == offset => append(&mut page, posting.tuple.bytes())?,
                _ => append(&mut page, original.tuple(offset)?.bytes())?,
            }
        }
        self.append_new_item_at(self.first_right, &mut page)?;
        Ok(page)
    }

    fn append_new_item_at(&self, offset: OffsetNumber, page: &mut Page) -> Result<()> {
        match self.new_item {
            Some((at, tuple)) if at == offset => append(page, tuple.bytes()),
            _ => Ok(()),
        }
    }
}

/// Special area of the left page after a split.
pub fn left_opaque(original: Opaque, right: BlockNumber, cycle_id: u16) -> Opaque {
    let kept = original.flags & !(flags::ROOT | flags::SPLIT_END | flags::HAS_GARBAGE);
    Opaque { next: Some(right), flags: kept | flags::INCOMPLETE_SPLIT, cycle_id, ..original }
}

/// What is removed from a leaf at once: whole tuples, and tids out of posting lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Offsets of tuples to delete, ascending.
    pub deleted: Vec<OffsetNumber>,
    /// Posting lists to shrink, ascending: offset, and positions of tids in the list.
    pub updated: Vec<(OffsetNumber, Vec<u16>)>,
}

impl Removal {
    pub fn is_empty(&self) -> bool {
        self.deleted.is_empty() && self.updated.is_empty()
    }

    /// The shrunken posting lists. Fails if the page doesn't hold what is to be removed.
    pub fn prepare(&self, page: &Page) -> Result<Vec<(OffsetNumber, IndexTuple)>> {
        page.check_pointers()?;
        if self.deleted.iter().any(|offset| page.item(*offset).is_none()) {
            return Err(error!(INDEX_CORRUPTED, "index tuple to be deleted is not on the page"));
        }
        self.updated
            .iter()
            .map(|(offset, positions)| {
                let tuple = remove_from_posting(page.tuple(*offset)?, positions).ok_or_else(|| {
                    error!(INDEX_CORRUPTED, "posting list at offset {offset} has not the tids to be removed")
                })?;
                Ok((*offset, tuple))
            })
            .collect()
    }

    /// Carries the removal out, with what [`Removal::prepare`] returned for this page.
    pub fn apply(&self, page: &mut Page, shrunken: &[(OffsetNumber, IndexTuple)]) {
        for (offset, tuple) in shrunken {
            let fits = page.index_tuple_overwrite(*offset, tuple.bytes());
            assert!(fits.is_ok_and(|fits| fits), "a shrunken posting list takes the place of a longer one");
        }
        if !self.deleted.is_empty() {
            page.index_multi_delete(&self.deleted).expect("the tuples were found on a sound page");
        }
        page.unmark(flags::HAS_GARBAGE);
    }
}

/// Lets the entry at `offset` of a parent take over its right neighbour's child, and removes that
/// neighbour: so the key space of the child that goes passes to the next one.
pub fn remove_downlink(page: &mut Page, offset: OffsetNumber) -> Result<()> {
    let next = offset.next();
    let right = page.tuple(next)?.downlink();
    page.tuple(offset)?;
    if let Some(item) = page.item_mut(offset) {
        set_downlink_in_place(item, right);
    }
    page.index_tuple_delete(next)
}

/// Makes a page a half-dead leaf: empty, its high key a link to the top of the subtree being deleted.
pub fn write_half_dead(
    page: &mut Page,
    prev: Option<BlockNumber>,
    next: Option<BlockNumber>,
    top_parent: Option<BlockNumber>,
) {
    page.init(SPECIAL_SIZE);
    page.set_opaque(Opaque { prev, next, level: 0, flags: flags::HALF_DEAD | flags::LEAF, cycle_id: 0 });
    let high_key = IndexTuple::half_dead_high_key(top_parent);
    assert!(insert_item(page, HIGH_KEY, high_key.bytes()), "an empty page has room for a high key");
}

/// Makes a page a deleted one: a tombstone that only links on.
pub fn write_deleted(
    page: &mut Page,
    prev: Option<BlockNumber>,
    next: Option<BlockNumber>,
    level: u32,
    safe_xid: FullTransactionId,
) {
    page.init(SPECIAL_SIZE);
    let leaf = if level == 0 { flags::LEAF } else { 0 };
    page.set_opaque(Opaque { prev, next, level, flags: leaf, cycle_id: 0 });
    page.set_deleted(safe_xid);
}

/// Makes a page a root, without items yet.
pub fn write_root(page: &mut Page, level: u32) {
    page.init(SPECIAL_SIZE);
    let leaf = if level == 0 { flags::LEAF } else { 0 };
    page.set_opaque(Opaque { level, flags: flags::ROOT | leaf, ..Opaque::default() });
}
