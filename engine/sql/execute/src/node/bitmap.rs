//! Bitmap scans: index scans that collect the places of rows, and the heap scan that visits them in order.
//!
//! Realises: `tidbitmap.c`, `nodeBitmapIndexscan.c`, `nodeBitmapAnd.c`, `nodeBitmapHeapscan.c`. Collecting
//! first means that each page of the table is read once, and that what several indexes found can be
//! intersected. A bitmap that outgrows work_mem forgets which rows of a page it meant and remembers the page
//! as a whole: then the index conditions are checked again on each row.

use std::collections::BTreeMap;
use std::sync::Arc;

use kokkiri_access::btree::scan::{Scan, ScanOptions};
use kokkiri_access::btree::scan_key::Direction;
use kokkiri_access::heap::{FetchedRow, Heap, TupleFetch};
use kokkiri_access::relation::{IndexDescriptor, Relation};
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{BlockNumber, ItemPointer, OffsetNumber, Result};
use kokkiri_transaction::Visibility;
use kokkiri_types::{BATCH_ROWS, Batch};

use super::index_scan::{Key, scan_keys};
use super::output::Output;
use super::scan::{Fetched, Growth};
use super::{Details, Node, Operator};
use crate::context::Context;
use crate::expression::Filter;
use crate::row_store::prepare;

/// Rows a page can hold: `MaxHeapTuplesPerPage`.
const OFFSETS_MAX: usize = 291;
const WORDS: usize = OFFSETS_MAX.div_ceil(64);
/// Bytes that an entry takes, as `tbm_calculate_entries` counts them.
const ENTRY_BYTES: usize = 64;
const ENTRIES_MIN: usize = 16;

/// What a bitmap knows of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// These rows; `recheck` if they are only candidates.
    Rows { bits: [u64; WORDS], recheck: bool },
    /// Some rows.
    Whole,
}

/// A set of places of rows.
#[derive(Debug)]
pub struct TidBitmap {
    pages: BTreeMap<u32, Page>,
    entries_max: usize,
    /// Pages of which the rows are known: those that count against the limit.
    detailed: usize,
}

impl TidBitmap {
    /// `memory` is work_mem in bytes.
    pub fn new(memory: usize) -> Self {
        Self { pages: BTreeMap::new(), entries_max: (memory / ENTRY_BYTES).max(ENTRIES_MIN), detailed: 0 }
    }

    pub fn add(&mut self, tid: ItemPointer) {
        let at = usize::from(tid.offset.0) - 1;
        if at >= OFFSETS_MAX {
            if let Some(Page::Rows { .. }) = self.pages.insert(tid.block.0, Page::Whole) {
                self.detailed -= 1;
            }
            return;
        }
        let page = self.pages.entry(tid.block.0).or_insert_with(|| {
            self.detailed += 1;
            Page::Rows { bits: [0; WORDS], recheck: false }
        });
        if let Page::Rows { bits, .. } = page {
            bits[at / 64] |= 1 << (at % 64);
        }
        if self.detailed > self.entries_max {
            self.forget_rows();
        }
    }

    /// Keeps the rows of half as many pages as there is room for.
    fn forget_rows(&mut self) {
        let mut excess = self.detailed - self.entries_max / 2;
        for page in self.pages.values_mut() {
            if excess == 0 {
                break;
            }
            if matches!(page, Page::Rows { .. }) {
                *page = Page::Whole;
                excess -= 1;
                self.detailed -= 1;
            }
        }
    }

    /// Keeps what is in both.
    pub fn intersect(&mut self, other: &TidBitmap) {
        self.pages.retain(|block, page| {
            let Some(theirs) = other.pages.get(block) else { return false };
            *page = match (&*page, theirs) {
                (Page::Whole, Page::Whole) => Page::Whole,
                (Page::Whole, Page::Rows { bits, .. }) | (Page::Rows { bits, .. }, Page::Whole) => {
                    Page::Rows { bits: *bits, recheck: true }
                }
                (Page::Rows { bits: a, recheck: x }, Page::Rows { bits: b, recheck: y }) => {
                    let mut bits = *a;
                    bits.iter_mut().zip(b).for_each(|(word, other)| *word &= other);
                    Page::Rows { bits, recheck: *x || *y }
                }
            };
            *page != Page::Rows { bits: [0; WORDS], recheck: false }
                && *page != Page::Rows { bits: [0; WORDS], recheck: true }
        });
        self.detailed = self.pages.values().filter(|page| matches!(page, Page::Rows { .. })).count();
    }
}

/// Collects the places that an index names.
pub struct BitmapIndexScan {
    pub index: Arc<IndexDescriptor>,
    pub keys: Vec<Key>,
    pub scan: Option<Scan>,
}

impl Operator for BitmapIndexScan {
    fn next(&mut self, _context: &mut Context<'_>, _demand: usize, _out: &mut Batch) -> Result<()> {
        Err(super::no_rows("BitmapIndexScan"))
    }

    fn bitmap(&mut self, context: &mut Context<'_>) -> Result<(TidBitmap, u64)> {
        let mut bitmap = TidBitmap::new(context.work_mem());
        let Some(keys) = scan_keys(&mut self.keys, context)? else { return Ok((bitmap, 0)) };
        let cluster = context.transaction.cluster();
        let scan = match &mut self.scan {
            Some(scan) => {
                scan.rescan(keys)?;
                scan
            }
            none => {
                let skip_killed = !cluster.transactions.in_recovery();
                let options = ScanOptions { mvcc: true, with_tuples: false, skip_killed };
                none.insert(Scan::new(Arc::clone(cluster), Arc::clone(&self.index), keys, options))
            }
        };
        let mut rows = 0;
        while let Some(tid) = scan.next(Direction::Forward)? {
            check_for_interrupts()?;
            bitmap.add(tid);
            rows += 1;
        }
        Ok((bitmap, rows))
    }

    fn rescan(&mut self, _context: &mut Context<'_>, _changed: &[u32]) -> Result<()> {
        Ok(())
    }

    fn details(&self) -> Details {
        Details { index_searches: self.scan.as_ref().map_or(0, Scan::searches), ..Details::default() }
    }
}

/// Intersects the bitmaps of its inputs.
pub struct BitmapAnd {
    pub inputs: Vec<Node>,
}

impl Operator for BitmapAnd {
    fn next(&mut self, _context: &mut Context<'_>, _demand: usize, _out: &mut Batch) -> Result<()> {
        Err(super::no_rows("BitmapAnd"))
    }

    fn bitmap(&mut self, context: &mut Context<'_>) -> Result<(TidBitmap, u64)> {
        let mut whole: Option<TidBitmap> = None;
        for input in &mut self.inputs {
            let bitmap = input.bitmap(context)?;
            match &mut whole {
                Some(whole) => whole.intersect(&bitmap),
                none => *none = Some(bitmap),
            }
            if whole.as_ref().is_some_and(|whole| whole.pages.is_empty()) {
                break;
            }
        }
        Ok((whole.unwrap_or_else(|| TidBitmap::new(context.work_mem())), 0))
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        self.inputs.iter_mut().try_for_each(|input| input.rescan(context, changed))
    }

    fn children(&self) -> Vec<&Node> {
        self.inputs.iter().collect()
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        self.inputs.iter_mut().collect()
    }
}

/// Reads the rows whose places a bitmap has.
pub struct BitmapHeapScan {
    pub relation: Arc<Relation>,
    pub fetched: Fetched,
    pub input: Node,
    /// The index conditions, for rows that are only candidates.
    pub recheck: Filter,
    pub output: Output,
    pub fetch: Option<TupleFetch>,
    /// Pages still to be read.
    pub pages: Option<std::vec::IntoIter<(BlockNumber, PageRows)>>,
    pub current: Option<(BlockNumber, PageRows)>,
    pub tids: Vec<ItemPointer>,
    pub growth: Growth,
    pub batch: Batch,
    pub removed_by_recheck: u64,
    pub exact_pages: u64,
    pub lossy_pages: u64,
}

/// Rows of a page that are still to be looked at.
pub struct PageRows {
    offsets: std::vec::IntoIter<OffsetNumber>,
    /// Any row of the page may be meant: they are found as they are, not through their chains.
    whole: bool,
    recheck: bool,
}

impl PageRows {
    fn of(page: Page) -> Self {
        let number = |at: usize| OffsetNumber(at as u16 + 1);
        match page {
            Page::Whole => {
                let all: Vec<_> = (0..OFFSETS_MAX).map(number).collect();
                Self { offsets: all.into_iter(), whole: true, recheck: true }
            }
            Page::Rows { bits, recheck } => {
                let set = (0..OFFSETS_MAX).filter(|at| bits[at / 64] & (1 << (at % 64)) != 0);
                Self { offsets: set.map(number).collect::<Vec<_>>().into_iter(), whole: false, recheck }
            }
        }
    }
}

impl BitmapHeapScan {
    fn start(&mut self, context: &mut Context<'_>) -> Result<()> {
        let bitmap = self.input.bitmap(context)?;
        let pages = bitmap.pages.into_iter().map(|(block, page)| (BlockNumber(block), PageRows::of(page)));
        self.pages = Some(pages.collect::<Vec<_>>().into_iter());
        Ok(())
    }

    /// Fills the batch with up to `wanted` rows, all of which are to be checked again or none; tells which.
    fn fill(&mut self, context: &Context<'_>, wanted: usize) -> Result<(usize, bool)> {
        prepare(&mut self.batch, &self.fetched.types);
        self.tids.clear();
        let relation = Arc::clone(&self.relation);
        let heap = Heap::new(&relation, context.transaction);
        let snapshot = Visibility::Mvcc(context.snapshot);
        let blocks = heap.block_count()?;
        let fetch = self.fetch.get_or_insert_with(|| self.fetched.fetch(&heap));
        let mut recheck = false;
        while self.tids.len() < wanted {
            check_for_interrupts()?;
            let Some((block, rows)) = &mut self.current else {
                let Some((block, rows)) = self.pages.as_mut().and_then(Iterator::next) else { break };
                if block.0 >= blocks {
                    continue;
                }
                if rows.whole {
                    self.lossy_pages += 1;
                } else {
                    self.exact_pages += 1;
                }
                self.current = Some((block, rows));
                continue;
            };
            if !self.tids.is_empty() && rows.recheck != recheck {
                break;
            }
            recheck = rows.recheck;
            let Some(offset) = rows.offsets.next() else {
                self.current = None;
                continue;
            };
            let tid = ItemPointer::new(*block, offset);
            let (at, columns) = (self.tids.len(), &mut self.batch.columns);
            if rows.whole {
                if fetch.fetch_version(&heap, &snapshot, tid, at, columns)? {
                    self.tids.push(tid);
                }
            } else if let FetchedRow::Visible(tid) = fetch.fetch_chain(&heap, &snapshot, tid, at, columns)? {
                self.tids.push(tid);
            }
        }
        if self.tids.is_empty() {
            fetch.release();
        }
        self.fetched.fill_system(relation.oid, &self.tids, &mut self.batch);
        self.batch.seal(self.tids.len());
        Ok((self.tids.len(), recheck))
    }
}

impl Operator for BitmapHeapScan {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        out.selection.set_all(0);
        if self.pages.is_none() {
            self.start(context)?;
        }
        loop {
            let wanted = if demand < BATCH_ROWS { demand } else { self.growth.next(demand) };
            let (rows, recheck) = self.fill(context, wanted)?;
            if rows == 0 {
                return Ok(());
            }
            if recheck {
                self.removed_by_recheck += self.recheck.apply(context, &mut self.batch)? as u64;
            }
            if self.output.emit(context, &mut self.batch, out)? {
                return Ok(());
            }
        }
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        self.pages = None;
        self.current = None;
        self.growth = Growth::default();
        self.input.rescan(context, changed)
    }

    fn children(&self) -> Vec<&Node> {
        vec![&self.input]
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        vec![&mut self.input]
    }

    fn details(&self) -> Details {
        Details {
            removed_by_index_recheck: self.removed_by_recheck,
            heap_blocks: Some((self.exact_pages, self.lossy_pages)),
            ..self.output.details()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tid(block: u32, offset: u16) -> ItemPointer {
        ItemPointer::new(BlockNumber(block), OffsetNumber(offset))
    }

    #[test]
    fn bitmaps_are_intersected_row_by_row() {
        let (mut a, mut b) = (TidBitmap::new(1 << 20), TidBitmap::new(1 << 20));
        [tid(1, 1), tid(1, 2), tid(2, 7), tid(3, 9)].into_iter().for_each(|tid| a.add(tid));
        [tid(1, 2), tid(2, 8), tid(3, 9), tid(4, 1)].into_iter().for_each(|tid| b.add(tid));
        a.intersect(&b);
        assert_eq!(a.pages.keys().copied().collect::<Vec<_>>(), [1, 3]);
        let rows: Vec<u16> = PageRows::of(a.pages[&1]).offsets.map(|offset| offset.0).collect();
        assert_eq!(rows, [2]);
    }

    #[test]
    fn a_bitmap_too_large_remembers_pages() {
        let mut bitmap = TidBitmap::new(0);
        (0..100).for_each(|block| bitmap.add(tid(block, 3)));
        assert_eq!(bitmap.pages.len(), 100);
        assert!(bitmap.detailed <= ENTRIES_MIN);
        assert!(PageRows::of(bitmap.pages[&0]).recheck);
    }
}
