//! Verifying the structure of an index.
//!
//! Realises: what amcheck's `bt_index_parent_check` does, as far as the index alone can tell. For tests,
//! the crash sweep and the curious; nobody may change the index meanwhile.
//!
//! Checked, level by level from the true root down:
//!  * siblings link to each other, and levels and flags are what they must be;
//!  * tuples have the columns they must have, and are in strict order, heap tid included; posting lists
//!    ascend;
//!  * no tuple exceeds the high key of its page, and the page to the right has none that doesn't;
//!  * the entries of a page name exactly the live pages of the level below, in order, and each carries the
//!    high key of its child's left sibling.

use std::cmp::Ordering;

use kokkiri_primitives::{BlockNumber, Error, ItemPointer, OffsetNumber, Result, error};
use kokkiri_storage::Page;

use super::page::{BtreePage, METAPAGE, Meta, Opaque, flags};
use super::shape::IndexShape;
use super::tree::Tree;
use super::tuple::{IndexTuple, MAX_ITEM_SIZE, TupleRef, align};

/// What the check counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    pub levels: u32,
    pub leaf_pages: u32,
    pub internal_pages: u32,
    pub half_dead_pages: u32,
    pub deleted_pages: u32,
    /// Never initialised, left by a crash between extension and first use.
    pub zero_pages: u32,
    pub tids: u64,
    pub posting_lists: u64,
    pub incomplete_splits: u32,
}

/// An entry of a level: a child and the lower bound of its keys (`None` for minus infinity).
struct Child {
    block: BlockNumber,
    low: Option<IndexTuple>,
}

struct Checker<'a> {
    tree: &'a Tree<'a>,
    shape: &'a IndexShape,
    report: CheckReport,
    /// Pages reached from the root.
    reached: Vec<bool>,
    visit: &'a mut dyn FnMut(TupleRef<'_>),
}

/// Checks the whole index.
pub fn check(tree: &Tree<'_>) -> Result<CheckReport> {
    check_visiting(tree, &mut |_| {})
}

/// Checks the whole index and shows every leaf tuple in order.
pub fn check_visiting(tree: &Tree<'_>, visit: &mut dyn FnMut(TupleRef<'_>)) -> Result<CheckReport> {
    let blocks = tree.block_count()?;
    let mut checker = Checker {
        tree,
        shape: tree.shape(),
        report: CheckReport::default(),
        reached: vec![false; blocks as usize],
        visit,
    };
    let meta = Meta::read(&*tree.read(METAPAGE)?, tree.name())?;
    checker.reached[0] = true;
    if let Some(root) = meta.root {
        checker.report.levels = meta.level + 1;
        let mut expected = vec![Child { block: root, low: None }];
        for level in (0..=meta.level).rev() {
            expected = checker.level(level, expected, &meta)?;
        }
    }
    checker.unreached()?;
    Ok(checker.report)
}

impl Checker<'_> {
    /// Checks the pages of one level; returns the children that its entries name.
    fn level(&mut self, level: u32, expected: Vec<Child>, meta: &Meta) -> Result<Vec<Child>> {
        let mut expected = expected.into_iter().peekable();
        let named = expected.peek().map(|child| child.block);
        let leftmost = self.leftmost(named.ok_or_else(|| self.broken(METAPAGE, "no root"))?)?;
        let mut children = Vec::new();
        let mut next = Some(leftmost);
        let mut prev: Option<BlockNumber> = None;
        let mut low: Option<IndexTuple> = None;
        let mut last: Option<IndexTuple> = None;
        let mut split_open = false;
        let mut live = 0;
        while let Some(block) = next {
            let page = self.tree.read(block)?;
            let opaque = page.opaque();
            self.mark_reached(block)?;
            if opaque.prev != prev || opaque.level != level || opaque.is_leaf() != (level == 0) {
                return Err(self.broken(block, format!("bad special area {opaque:?}, left sibling {prev:?}")));
            }
            if opaque.is_deleted() {
                return Err(self.broken(block, "a sibling links to a deleted page"));
            }
            (prev, next) = (Some(block), opaque.next);
            if opaque.is_half_dead() {
                // Already without a downlink: the next page has its key space.
                self.report.half_dead_pages += 1;
                continue;
            }
            // An ancestor of a half-dead leaf has lost its downlink too; its only entry leads down to it.
            let named = expected.peek().map(|child| child.block);
            if level > 0 && !split_open && named != Some(block) && page.data_offsets().count() == 1 {
                self.report.half_dead_pages += 1;
                continue;
            }
            live += 1;
            // The right half of an incomplete split has no downlink yet.
            if split_open {
                split_open = false;
            } else {
                match expected.next() {
                    Some(child) if child.block == block => self.check_low(block, &child, low.as_ref())?,
                    other => {
                        let named = other.map(|child| child.block);
                        return Err(self.broken(block, format!("the parent level names {named:?} here")));
                    }
                }
            }
            if opaque.is_incomplete_split() {
                self.report.incomplete_splits += 1;
                split_open = true;
            }
            self.items(block, &page, &opaque, low.as_ref(), &mut last)?;
            if level == 0 {
                self.report.leaf_pages += 1;
            } else {
                self.report.internal_pages += 1;
                self.children(&page, &mut children, low.as_ref())?;
            }
            low = page.high_key()?.map(TupleRef::to_tuple);
        }
        if let Some(child) = expected.next() {
            return Err(self.broken(child.block, "the parent level names a page that no sibling links to"));
        }
        let root_is_root = level != meta.level || live >= 1;
        if !root_is_root || (level < meta.fast_level && live == 0) {
            return Err(self.broken(leftmost, "a level without live pages"));
        }
        Ok(children)
    }

    /// The first page of the level of `block`, which is the first that the level above names: pages to the
    /// left of it are half-dead.
    fn leftmost(&self, mut block: BlockNumber) -> Result<BlockNumber> {
        for _ in 0..self.reached.len() {
            match self.tree.read(block)?.opaque().prev {
                Some(prev) => block = prev,
                None => return Ok(block),
            }
        }
        Err(self.broken(block, "left links in a circle"))
    }

    /// The parent's entry for a page carries the high key of the page to its left.
    fn check_low(&self, block: BlockNumber, child: &Child, low: Option<&IndexTuple>) -> Result<()> {
        let same = match (&child.low, low) {
            (None, None) => true,
            (Some(a), Some(b)) => self.same_pivot(a.as_ref(), b.as_ref())?,
            _ => false,
        };
        if same {
            Ok(())
        } else {
            Err(self.broken(block, "the downlink's key is not the left sibling's high key"))
        }
    }

    /// Pivots are equal if their columns and tiebreakers are, whatever their block numbers say.
    fn same_pivot(&self, a: TupleRef<'_>, b: TupleRef<'_>) -> Result<bool> {
        let total = self.shape.columns().len();
        Ok(a.column_count(total) == b.column_count(total)
            && a.heap_tid() == b.heap_tid()
            && self.shape.columns_to_keep_fast(a, b)? > a.column_count(total))
    }

    fn children(&self, page: &Page, children: &mut Vec<Child>, low: Option<&IndexTuple>) -> Result<()> {
        for (n, offset) in page.data_offsets().enumerate() {
            let tuple = page.tuple(offset)?;
            // Minus infinity is minus infinity within the page: the page's own lower bound.
            let low = if n == 0 { low.cloned() } else { Some(tuple.to_tuple()) };
            children.push(Child { block: tuple.downlink(), low });
        }
        Ok(())
    }

    fn items(
        &mut self,
        block: BlockNumber,
        page: &Page,
        opaque: &Opaque,
        low: Option<&IndexTuple>,
        last: &mut Option<IndexTuple>,
    ) -> Result<()> {
        let high = page.high_key()?;
        if let Some(high) = high {
            self.check_pivot(block, high, 1)?;
        }
        if !opaque.is_leaf() && page.is_empty_of_data() {
            return Err(self.broken(block, "internal page without entries"));
        }
        for (n, offset) in page.data_offsets().enumerate() {
            let tuple = page.tuple(offset)?;
            if align(tuple.size()) > MAX_ITEM_SIZE + 8
                || page.item(offset).is_none_or(|i| i.len() != align(i.len()))
            {
                return Err(self.broken_at(block, offset, "size"));
            }
            if opaque.is_leaf() {
                self.check_leaf_tuple(block, offset, tuple)?;
            } else if n == 0 {
                if tuple.column_count(0) != 0 || !tuple.is_pivot() {
                    return Err(self.broken_at(block, offset, "first entry is not minus infinity"));
                }
                continue;
            } else {
                self.check_pivot(block, tuple, 1)?;
            }
            if let Some(last) = last.as_ref()
                && self.compare(last.as_ref(), true, tuple, false)?.is_ge()
            {
                return Err(self.broken_at(block, offset, "not greater than the tuple before it"));
            }
            if let Some(low) = low
                && self.compare(low.as_ref(), false, tuple, false)?.is_ge()
            {
                return Err(self.broken_at(block, offset, "not greater than the left sibling's high key"));
            }
            if let Some(high) = high
                && self.compare(tuple, true, high, false)?.is_gt()
            {
                return Err(self.broken_at(block, offset, "greater than the high key"));
            }
            *last = Some(tuple.to_tuple());
        }
        Ok(())
    }

    fn check_leaf_tuple(
        &mut self,
        block: BlockNumber,
        offset: OffsetNumber,
        tuple: TupleRef<'_>,
    ) -> Result<()> {
        if tuple.is_pivot() {
            return Err(self.broken_at(block, offset, "a pivot among the leaf tuples"));
        }
        let tids: Vec<ItemPointer> = tuple.heap_tids().collect();
        if tids.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(self.broken_at(block, offset, "posting list out of order"));
        }
        if tids.iter().any(|tid| tid.offset.0 == 0) {
            return Err(self.broken_at(block, offset, "invalid heap tid"));
        }
        for index in 0..self.shape.columns().len() {
            self.shape.value(tuple, index)?;
        }
        self.report.tids += tids.len() as u64;
        self.report.posting_lists += u64::from(tuple.is_posting());
        (self.visit)(tuple);
        Ok(())
    }

    fn check_pivot(&self, block: BlockNumber, tuple: TupleRef<'_>, least: usize) -> Result<()> {
        let columns = tuple.column_count(usize::MAX);
        let keys = self.shape.keys().len();
        let tiebreaker_fits = tuple.heap_tid().is_none() || columns == keys;
        if !tuple.is_pivot() || columns < least || columns > keys || !tiebreaker_fits {
            return Err(self.broken(block, format!("pivot tuple with {columns} columns")));
        }
        Ok(())
    }

    /// Order of two tuples; missing columns are minus infinity. `by_max` takes a posting list's highest tid.
    fn compare(
        &self,
        left: TupleRef<'_>,
        left_max: bool,
        right: TupleRef<'_>,
        right_max: bool,
    ) -> Result<Ordering> {
        let total = self.shape.columns().len();
        let keys = self.shape.keys().len();
        let count = |tuple: TupleRef<'_>| tuple.column_count(total).min(keys);
        for index in 0..count(left).min(count(right)) {
            let (a, b) = (self.shape.value(left, index)?, self.shape.value(right, index)?);
            let order = self.shape.compare_column(index, a.as_ref(), b.as_ref());
            if order.is_ne() {
                return Ok(order);
            }
        }
        let tid = |tuple: TupleRef<'_>, max: bool| match tuple.heap_tid() {
            Some(_) if max && !tuple.is_pivot() => Some(tuple.max_heap_tid()),
            tid => tid,
        };
        Ok(count(left).cmp(&count(right)).then(tid(left, left_max).cmp(&tid(right, right_max))))
    }

    fn mark_reached(&mut self, block: BlockNumber) -> Result<()> {
        match self.reached.get_mut(block.0 as usize) {
            Some(reached) if !*reached => {
                *reached = true;
                Ok(())
            }
            Some(_) => Err(self.broken(block, "reached twice")),
            None => Err(self.broken(block, "link past the end of the index")),
        }
    }

    /// Pages that nothing links to are deleted or were never used.
    fn unreached(&mut self) -> Result<()> {
        let missing: Vec<u32> =
            (0..self.reached.len() as u32).filter(|block| !self.reached[*block as usize]).collect();
        for block in missing.into_iter().map(BlockNumber) {
            let page = self.tree.pin(block)?.read();
            if page.is_new() {
                self.report.zero_pages += 1;
            } else if page.opaque().has(flags::DELETED) {
                self.report.deleted_pages += 1;
            } else if !page.opaque().is_half_dead() && !page.is_empty_of_data() {
                return Err(self.broken(block, "live page that nothing links to"));
            }
        }
        Ok(())
    }

    fn broken(&self, block: BlockNumber, what: impl AsRef<str>) -> Error {
        error!(INDEX_CORRUPTED, "index \"{}\", block {block}: {}", self.tree.name(), what.as_ref())
    }

    fn broken_at(&self, block: BlockNumber, offset: OffsetNumber, what: &str) -> Error {
        self.broken(block, format!("item {offset}: {what}"))
    }
}
