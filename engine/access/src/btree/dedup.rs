//! Deduplication: merging leaf tuples with equal keys into posting lists.
//!
//! Realises: nbtdedup.c without bottom-up deletion.
//!
//! It happens when a leaf page is about to split, and at the end of a build. It never changes what the
//! index says, so a page whose tuples all differ loses only the time to find that out. A record of it
//! holds intervals (first offset, number of tuples), from which redo merges the same tuples again.

use kokkiri_primitives::{BLOCK_SIZE, ItemPointer, OffsetNumber, Result, error};
use kokkiri_storage::Page;

use super::change::{append, empty_copy};
use super::page::{BtreePage, LINE_POINTER_SIZE, PAGE_HEADER_SIZE, SPECIAL_SIZE, flags};
use super::shape::IndexShape;
use super::tuple::{IndexTuple, MAX_ITEM_SIZE, TupleRef, align};

/// A posting list made by a deduplication pass is at most this large, so that a page holds several.
const PASS_MAX_SIZE: usize = MAX_ITEM_SIZE / 2;
/// A page of one value is left this full when it splits: 96 percent.
const SINGLE_VALUE_FREE: f64 = 0.04;

/// Tuples that became one posting list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    pub first: OffsetNumber,
    pub count: u16,
}

/// Tuples being merged: `BTDedupStateData`.
pub struct Deduplicator {
    max_size: usize,
    base: Option<IndexTuple>,
    first: OffsetNumber,
    tids: Vec<ItemPointer>,
    items: u16,
    physical_size: usize,
    /// Posting lists so far that reached the maximum size.
    full_lists: usize,
    intervals: Vec<Interval>,
}

impl Deduplicator {
    pub fn new(max_size: usize) -> Self {
        Self {
            max_size,
            base: None,
            first: OffsetNumber(0),
            tids: Vec::new(),
            items: 0,
            physical_size: 0,
            full_lists: 0,
            intervals: Vec::new(),
        }
    }

    /// For redo, where the record decides what is merged.
    pub fn for_redo() -> Self {
        Self::new(MAX_ITEM_SIZE)
    }

    /// The tuple that others are compared with.
    pub fn base(&self) -> Option<TupleRef<'_>> {
        self.base.as_ref().map(IndexTuple::as_ref)
    }

    pub fn start(&mut self, base: TupleRef<'_>, first: OffsetNumber) {
        self.tids.clear();
        self.tids.extend(base.heap_tids());
        self.items = 1;
        self.physical_size = align(base.size()) + LINE_POINTER_SIZE;
        self.base = Some(base.to_tuple());
        self.first = first;
    }

    /// Adds a tuple with the key of the base. False if the list would get too large.
    pub fn add(&mut self, tuple: TupleRef<'_>) -> bool {
        let Some(base) = self.base() else { return false };
        let more = tuple.heap_tids();
        let merged = align(base.key_size() + (self.tids.len() + more.len()) * ItemPointer::SIZE);
        if merged > self.max_size {
            // Lists that are large because of a few wide tuples don't count as single-value evidence.
            if self.tids.len() > 50 {
                self.full_lists += 1;
            }
            return false;
        }
        self.tids.extend(more);
        self.items += 1;
        self.physical_size += align(tuple.size()) + LINE_POINTER_SIZE;
        true
    }

    /// Whether there is more than one tuple to merge.
    pub fn is_merged(&self) -> bool {
        self.items > 1
    }

    /// The tuple that the pending ones become.
    pub fn merged(&self) -> Option<IndexTuple> {
        let base = self.base()?;
        Some(if self.items == 1 { base.to_tuple() } else { IndexTuple::with_tids(base, &self.tids) })
    }

    /// Adds the pending tuples, merged, to `page`.
    fn finish(&mut self, page: &mut Page) -> Result<()> {
        let Some(tuple) = self.merged() else { return Ok(()) };
        append(page, tuple.bytes())?;
        if self.items > 1 {
            self.intervals.push(Interval { first: self.first, count: self.items });
        }
        self.base = None;
        self.items = 0;
        Ok(())
    }
}

/// What a deduplication pass makes of a page.
pub struct Deduplicated {
    pub image: Box<Page>,
    pub intervals: Vec<Interval>,
}

/// Merges what can be merged on `page`, for which `new_item` waits: `_bt_dedup_pass`. `None` if nothing
/// can. After a bottom-up deletion that freed something (`bottom_up`) a page of one value is not prepared
/// for a single-value split.
pub fn deduplicate(
    shape: &IndexShape,
    page: &Page,
    new_item: TupleRef<'_>,
    bottom_up: bool,
) -> Result<Option<Deduplicated>> {
    let keys = shape.keys().len();
    let mut single_value = !bottom_up && is_single_value(shape, page, new_item)?;
    let mut merging = true;
    let mut pending = Deduplicator::new(PASS_MAX_SIZE);
    let mut image = start_image(page)?;
    for offset in page.data_offsets() {
        let tuple = page.tuple(offset)?;
        if let Some(base) = pending.base() {
            if merging && shape.columns_to_keep_fast(base, tuple)? > keys && pending.add(tuple) {
                continue;
            }
            pending.finish(&mut image)?;
            if single_value {
                // Leave a few tuples alone at the end: the split will put them on the right page.
                if pending.full_lists == 5 {
                    pending.max_size -= single_value_reduction(new_item).min(pending.max_size);
                } else if pending.full_lists == 6 {
                    merging = false;
                    single_value = false;
                }
            }
        }
        pending.start(tuple, offset);
    }
    pending.finish(&mut image)?;
    image.unmark(flags::HAS_GARBAGE);
    let intervals = pending.intervals;
    Ok((!intervals.is_empty()).then_some(Deduplicated { image, intervals }))
}

/// Merges the tuples of `intervals`, as a record of deduplication says.
pub fn replay(page: &Page, intervals: &[Interval]) -> Result<Box<Page>> {
    let mut pending = Deduplicator::for_redo();
    let mut image = start_image(page)?;
    for offset in page.data_offsets() {
        let tuple = page.tuple(offset)?;
        if pending.base.is_some() {
            let interval = intervals.get(pending.intervals.len());
            if interval.is_some_and(|i| i.first == pending.first && pending.items < i.count) {
                if !pending.add(tuple) {
                    return Err(error!(
                        INDEX_CORRUPTED,
                        "deduplication failed to add heap tid to pending posting list"
                    ));
                }
                continue;
            }
            pending.finish(&mut image)?;
        }
        pending.start(tuple, offset);
    }
    pending.finish(&mut image)?;
    image.unmark(flags::HAS_GARBAGE);
    if pending.intervals != intervals {
        return Err(error!(INDEX_CORRUPTED, "deduplication record does not fit the page"));
    }
    Ok(image)
}

fn start_image(page: &Page) -> Result<Box<Page>> {
    let mut image = empty_copy(page);
    if let Some(high_key) = page.high_key()? {
        append(&mut image, high_key.bytes())?;
    }
    Ok(image)
}

/// Whether the page is full of one value, which is the incoming one too: `_bt_do_singleval`.
fn is_single_value(shape: &IndexShape, page: &Page, new_item: TupleRef<'_>) -> Result<bool> {
    let keys = shape.keys().len();
    for offset in [page.opaque().first_data(), page.max_offset()] {
        if shape.columns_to_keep_fast(new_item, page.tuple(offset)?)? <= keys {
            return Ok(false);
        }
    }
    Ok(true)
}

fn single_value_reduction(new_item: TupleRef<'_>) -> usize {
    let free = BLOCK_SIZE - PAGE_HEADER_SIZE - SPECIAL_SIZE;
    let free = free - (align(new_item.size()) + LINE_POINTER_SIZE + align(ItemPointer::SIZE));
    (free as f64 * SINGLE_VALUE_FREE) as usize
}
