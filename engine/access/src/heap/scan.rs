//! Reading rows: sequential scans a page at a time, and fetches by tuple id.
//!
//! Realises: `heapgettup_pagemode`, `heap_fetch`, `heap_hot_search_buffer`.
//!
//! A page is judged in one go under its share lock: the visible line pointers are noted, and no tuple is
//! judged at all if the page is all-visible. Rows are then taken apart batch by batch, a column at a time;
//! the pin stays as long as rows of the page are left, so the offsets stay valid. Values out of line are
//! fetched last, with no page locked. Columns that only matter for the rows that pass a condition may be
//! left for later ([`ScanOptions::late`]): then the batch keeps the pins of its pages.

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::fault;
use kokkiri_primitives::{BlockNumber, Error, Fork, ItemPointer, OffsetNumber, Result, TransactionId};
use kokkiri_storage::buffer::{PageReadGuard, PinnedBuffer, ReadStream, Ring};
use kokkiri_transaction::Visibility;
use kokkiri_types::{BATCH_ROWS, Batch, Column, PhysicalType};

use super::Heap;
use super::page::{self, Item};
use super::visibility::{
    Hints, Judge, VacuumState, satisfies_dirty, satisfies_mvcc, satisfies_toast, satisfies_vacuum,
    settled_mvcc,
};
use crate::toast;
use crate::tuple::deform::{Deferred, Deformer, TupleField};
use crate::tuple::header::{Infomask, TupleHeader};

impl Heap<'_> {
    /// Judges one tuple.
    pub fn is_visible(&self, header: &TupleHeader, visibility: &Visibility<'_>) -> Result<(bool, Hints)> {
        let observer = self.observer();
        Ok(match visibility {
            Visibility::Mvcc(snapshot) => match settled_mvcc(header, snapshot.xmin()) {
                Some(visible) => (visible, Hints::default()),
                None => satisfies_mvcc(header, &observer.with(snapshot), &observer)?,
            },
            Visibility::SelfCurrent => {
                let (verdict, hints) = satisfies_dirty(header, &observer)?;
                (verdict.visible_to_self(), hints)
            }
            Visibility::Any => (true, Hints::default()),
            Visibility::Toast => (satisfies_toast(header)?, Hints::default()),
            Visibility::Dirty => {
                let (verdict, hints) = satisfies_dirty(header, &observer)?;
                (verdict.visible, hints)
            }
            Visibility::NonVacuumable(kind) => {
                let (state, hints) = satisfies_vacuum(header, &observer)?;
                let visible = match state {
                    VacuumState::Dead => false,
                    VacuumState::DeadAfter(xid) => !self.transaction.is_removable(*kind, xid),
                    VacuumState::Live | VacuumState::InsertInProgress | VacuumState::DeleteInProgress => true,
                };
                (visible, hints)
            }
        })
    }

    /// Writes the hint bits of a judgement to the page.
    fn keep_hints(&self, guard: &mut PageReadGuard, hints: &[(OffsetNumber, u16)]) {
        if !hints.is_empty() {
            guard.set_hint(|target| {
                for (offset, bits) in hints {
                    page::set_hint_bits(target, *offset, *bits);
                }
            });
        }
    }

    /// Notes the visible tuples of a page.
    fn visible_offsets(
        &self,
        guard: &mut PageReadGuard,
        visibility: &Visibility<'_>,
        visible: &mut Vec<OffsetNumber>,
    ) -> Result<()> {
        visible.clear();
        let all = matches!(visibility, Visibility::Any)
            || (guard.is_all_visible()
                && matches!(visibility, Visibility::Mvcc(_))
                && !self.cluster().transactions.in_recovery());
        if all {
            visible.extend(guard.normal_items().map(|(offset, _)| offset));
            return Ok(());
        }
        let observer = self.observer();
        let mut learned = Vec::new();
        for (offset, tuple) in guard.normal_items() {
            let (is_visible, hints) = self.is_visible(&TupleHeader::read(tuple)?, visibility)?;
            if is_visible {
                visible.push(offset);
            }
            if hints.bits != 0 {
                let bits = hints.safe_bits(&observer);
                if bits != 0 {
                    learned.push((offset, bits));
                }
            }
        }
        self.keep_hints(guard, &learned);
        Ok(())
    }
}

/// Blocks of a scan in order: from a start to the end of the range, then around from its beginning.
#[derive(Clone, Debug)]
struct BlockRange {
    next: u32,
    first: u32,
    end: u32,
    left: u32,
}

impl Iterator for BlockRange {
    type Item = BlockNumber;

    fn next(&mut self) -> Option<BlockNumber> {
        self.left = self.left.checked_sub(1)?;
        let block = self.next;
        self.next = if block + 1 == self.end { self.first } else { block + 1 };
        Some(BlockNumber(block))
    }
}

/// What a scan reads.
#[derive(Clone, Debug, Default)]
pub struct ScanOptions {
    /// Attributes wanted (0-based), in order of the output columns.
    pub columns: Vec<usize>,
    /// What else is wanted of the tuples, each with its place behind these columns.
    pub fields: Vec<(TupleField, usize)>,
    /// Output columns that only [`Scan::complete`] fills, for the rows that are still selected then.
    pub late: Vec<usize>,
    /// Blocks to read, first and one past the last; all by default.
    pub blocks: Option<(BlockNumber, BlockNumber)>,
    /// Block of the range to begin with.
    pub start: Option<BlockNumber>,
}

/// A sequential scan. It owns no borrow of table or snapshot: these come with every call, always the same.
pub struct Scan {
    types: Vec<PhysicalType>,
    deformer: Deformer,
    late: Option<Late>,
    stream: ReadStream<BlockRange>,
    /// The page whose rows are being given out.
    current: Option<PinnedBuffer>,
    visible: Vec<OffsetNumber>,
    /// Rows of the current page given out.
    position: usize,
    tids: Vec<ItemPointer>,
    deferred: Vec<Deferred>,
}

/// A batch with late columns keeps no more pages pinned than this.
const PINNED_PAGES_MAX: usize = 8;

/// Columns that are filled once it is known which rows they are needed for.
struct Late {
    deformer: Deformer,
    columns: Vec<usize>,
    /// Pages of the last batch, each with the number of its first row.
    pages: Vec<(PinnedBuffer, usize)>,
}

impl Scan {
    pub fn new(heap: &Heap<'_>, options: &ScanOptions) -> Result<Self> {
        let relation = heap.relation;
        let buffers = &heap.cluster().buffers;
        let blocks = heap.block_count()?;
        let (first, end) = options.blocks.map_or((0, blocks), |(first, end)| (first.0, end.0.min(blocks)));
        let first = first.min(end);
        let start = options.start.map_or(first, |start| start.0.clamp(first, end.max(1) - 1));
        let range = BlockRange { next: start, first, end, left: end - first };
        // A large table must not drive everything else out of the pool.
        let is_large = !relation.is_temporary() && blocks as usize > buffers.frames() / 4;
        let ring = is_large.then(|| Ring::bulk_read(buffers));
        let wanted = options.columns.iter().enumerate().map(|(column, attribute)| (*attribute, column));
        let (late, early): (Vec<_>, Vec<_>) = wanted.partition(|(_, column)| options.late.contains(column));
        let desc = &relation.tuple_desc;
        Ok(Self {
            types: options.columns.iter().map(|attribute| desc[*attribute].physical).collect(),
            deformer: Deformer::of(desc.clone(), early).with_fields(&options.fields),
            late: (!late.is_empty()).then(|| Late {
                columns: options.late.clone(),
                deformer: Deformer::of(desc.clone(), late),
                pages: Vec::new(),
            }),
            stream: ReadStream::new(relation.file, Fork::Main, ring, range),
            current: None,
            visible: Vec::new(),
            position: 0,
            tids: Vec::new(),
            deferred: Vec::new(),
        })
    }

    /// Physical types of the output columns.
    pub fn physical_types(&self) -> Vec<PhysicalType> {
        self.types.clone()
    }

    /// Fills `batch`, whose first columns are the wanted ones, with at most `demand` rows. Zero at the end.
    /// Late columns stay empty.
    pub fn next(
        &mut self,
        heap: &Heap<'_>,
        visibility: &Visibility<'_>,
        batch: &mut Batch,
        demand: usize,
    ) -> Result<usize> {
        let demand = demand.min(BATCH_ROWS);
        batch.clear();
        if let Some(late) = &mut self.late {
            late.pages.clear();
        }
        self.tids.clear();
        self.deferred.clear();
        while self.tids.len() < demand {
            if self.position == self.visible.len() && !self.next_page(heap, visibility)? {
                break;
            }
            self.take_rows(demand - self.tids.len(), &mut batch.columns)?;
            // A batch of one page is enough: the next page may need input.
            let pinned = self.late.as_ref().map_or(0, |late| late.pages.len());
            let enough = self.tids.len() * 4 >= demand || pinned >= PINNED_PAGES_MAX;
            if !self.tids.is_empty() && self.position == self.visible.len() && enough {
                break;
            }
        }
        toast::store::fetch_deferred(heap, &self.deferred, &mut batch.columns)?;
        // The caller may have columns of its own behind these, to be filled by the places of the rows.
        batch.selection.set_all(self.tids.len());
        Ok(self.tids.len())
    }

    /// Drops the rows of the last batch that are no longer selected and fills the late columns of the others.
    pub fn complete(&mut self, heap: &Heap<'_>, batch: &mut Batch) -> Result<()> {
        let Some(late) = &mut self.late else { return Ok(()) };
        if let Some(chosen) = batch.selection.chosen() {
            let kept = batch.columns.iter_mut().enumerate().filter(|(at, _)| !late.columns.contains(at));
            kept.for_each(|(_, column)| column.compact(chosen));
        }
        self.deferred.clear();
        let mut done = 0;
        for (at, (pin, _)) in late.pages.iter().enumerate() {
            let end = late.pages.get(at + 1).map_or(batch.rows(), |(_, first)| *first);
            let first = done;
            while done < batch.len() && batch.selection.nth(done) < end {
                done += 1;
            }
            if first == done {
                continue;
            }
            let guard = pin.clone().read();
            let rows = (first..done).map(|nth| batch.selection.nth(nth));
            let tuples = rows.map(|row| page::tuple(&guard, self.tids[row].offset));
            let tuples = tuples.collect::<Option<Vec<_>>>().ok_or_else(left_its_page)?;
            late.deformer.append(&tuples, first, &mut batch.columns, &mut self.deferred)?;
        }
        late.pages.clear();
        toast::store::fetch_deferred(heap, &self.deferred, &mut batch.columns)?;
        if let Some(chosen) = batch.selection.chosen() {
            let mut rows = chosen.iter().map(|row| usize::from(*row)).peekable();
            let mut row = 0;
            self.tids.retain(|_| {
                row += 1;
                rows.next_if_eq(&(row - 1)).is_some()
            });
        }
        batch.selection.set_all(done);
        Ok(())
    }

    /// Places of the rows of the last batch.
    pub fn tids(&self) -> &[ItemPointer] {
        &self.tids
    }

    /// Goes to the next page that has visible rows, or not yet: false at the end.
    fn next_page(&mut self, heap: &Heap<'_>, visibility: &Visibility<'_>) -> Result<bool> {
        check_for_interrupts()?;
        self.current = None;
        self.visible.clear();
        self.position = 0;
        let Some(pin) = self.stream.next(&heap.cluster().buffers)? else { return Ok(false) };
        let mut guard = heap.prune_in_passing(pin)?.read();
        heap.visible_offsets(&mut guard, visibility, &mut self.visible)?;
        fault::point("heap_scan");
        self.current = Some(guard.unlock());
        Ok(true)
    }

    fn take_rows(&mut self, limit: usize, columns: &mut [Column]) -> Result<()> {
        let count = limit.min(self.visible.len() - self.position);
        let Some(pin) = self.current.as_ref().filter(|_| count > 0) else { return Ok(()) };
        let guard = pin.clone().read();
        let block = guard.block();
        let offsets = &self.visible[self.position..self.position + count];
        let tuples = offsets.iter().map(|offset| page::tuple(&guard, *offset)).collect::<Option<Vec<_>>>();
        let tuples = tuples.ok_or_else(left_its_page)?;
        self.deformer.append(&tuples, self.tids.len(), columns, &mut self.deferred)?;
        if let Some(late) = &mut self.late {
            late.pages.push((pin.clone(), self.tids.len()));
        }
        self.tids.extend(offsets.iter().map(|offset| ItemPointer::new(block, *offset)));
        self.position += count;
        Ok(())
    }
}

#[cold]
fn left_its_page() -> Error {
    Error::data_corrupted("a visible tuple left its page")
}

/// What a fetch by tuple id found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchedRow {
    /// The version that is visible; its values were appended to the columns.
    Visible(ItemPointer),
    /// None. `all_dead`: to no snapshot at all, so the index entry may be killed.
    Nothing { all_dead: bool },
}

/// Fetches rows by tuple id: for index scans, and to look at one version again.
pub struct TupleFetch {
    deformer: Deformer,
    /// The page fetched from last: entries in index order often lead to the same one.
    current: Option<PinnedBuffer>,
    deferred: Vec<Deferred>,
}

impl TupleFetch {
    /// `columns` are the attributes wanted (0-based), in order of the output columns.
    pub fn new(heap: &Heap<'_>, columns: &[usize]) -> Self {
        Self {
            deformer: Deformer::new(heap.relation.tuple_desc.clone(), columns),
            current: None,
            deferred: Vec::new(),
        }
    }

    /// Fields of the tuples are wanted behind the columns.
    pub fn with_fields(mut self, fields: &[(TupleField, usize)]) -> Self {
        self.deformer = self.deformer.with_fields(fields);
        self
    }

    pub fn physical_types(&self) -> Vec<PhysicalType> {
        self.deformer.physical_types()
    }

    /// Gives the pin back.
    pub fn release(&mut self) {
        self.current = None;
    }

    /// Appends the visible version of the row that an index entry leads to, as row `row` of `columns`.
    pub fn fetch_chain(
        &mut self,
        heap: &Heap<'_>,
        visibility: &Visibility<'_>,
        tid: ItemPointer,
        row: usize,
        columns: &mut [Column],
    ) -> Result<FetchedRow> {
        let mut guard = self.lock(heap, tid.block, true)?;
        let found = heap.search_chain(&mut guard, visibility, tid)?;
        if let FetchedRow::Visible(tid) = found {
            self.append(&guard, tid, row, columns)?;
        }
        self.finish(heap, guard, columns)?;
        Ok(found)
    }

    /// Appends exactly the version at `tid`, if it is visible.
    pub fn fetch_version(
        &mut self,
        heap: &Heap<'_>,
        visibility: &Visibility<'_>,
        tid: ItemPointer,
        row: usize,
        columns: &mut [Column],
    ) -> Result<bool> {
        if tid.block.0 >= heap.block_count()? {
            return Ok(false);
        }
        let mut guard = self.lock(heap, tid.block, false)?;
        let mut visible = false;
        if let Some(tuple) = page::tuple(&guard, tid.offset) {
            let (is_visible, hints) = heap.is_visible(&TupleHeader::read(tuple)?, visibility)?;
            let bits = hints.safe_bits(&heap.observer());
            if bits != 0 {
                heap.keep_hints(&mut guard, &[(tid.offset, bits)]);
            }
            visible = is_visible;
        }
        if visible {
            self.append(&guard, tid, row, columns)?;
        }
        self.finish(heap, guard, columns)?;
        Ok(visible)
    }

    fn lock(&mut self, heap: &Heap<'_>, block: BlockNumber, prunes: bool) -> Result<PageReadGuard> {
        match self.current.take().filter(|pin| pin.block() == block) {
            Some(pin) => Ok(pin.read()),
            None => {
                let pin = heap.pin(block)?;
                Ok(if prunes { heap.prune_in_passing(pin)? } else { pin }.read())
            }
        }
    }

    fn append(
        &mut self,
        guard: &PageReadGuard,
        tid: ItemPointer,
        row: usize,
        columns: &mut [Column],
    ) -> Result<()> {
        let tuple =
            page::tuple(guard, tid.offset).ok_or_else(|| Error::data_corrupted("a tuple left its page"))?;
        self.deformer.append(&[tuple], row, columns, &mut self.deferred)
    }

    fn finish(&mut self, heap: &Heap<'_>, guard: PageReadGuard, columns: &mut [Column]) -> Result<()> {
        self.current = Some(guard.unlock());
        let deferred = std::mem::take(&mut self.deferred);
        toast::store::fetch_deferred(heap, &deferred, columns)?;
        self.deferred = deferred;
        self.deferred.clear();
        Ok(())
    }
}

impl Heap<'_> {
    /// Finds the visible version in the HOT chain that starts at `tid`: `heap_hot_search_buffer`.
    pub(crate) fn search_chain(
        &self,
        guard: &mut PageReadGuard,
        visibility: &Visibility<'_>,
        tid: ItemPointer,
    ) -> Result<FetchedRow> {
        let mut learned = Vec::new();
        let found = self.walk_chain(guard, tid, |offset, header, all_dead| {
            let (visible, hints) = self.is_visible(header, visibility)?;
            let bits = hints.safe_bits(&self.observer());
            if bits != 0 {
                learned.push((offset, bits));
            }
            header.infomask.0 |= hints.bits;
            *all_dead = *all_dead && !visible && self.is_surely_dead(header);
            Ok(visible)
        })?;
        self.keep_hints(guard, &learned);
        Ok(found)
    }

    /// Walks the HOT chain that starts at `tid` until `accept` takes a version.
    pub(crate) fn walk_chain(
        &self,
        target: &kokkiri_storage::Page,
        tid: ItemPointer,
        mut accept: impl FnMut(OffsetNumber, &mut TupleHeader, &mut bool) -> Result<bool>,
    ) -> Result<FetchedRow> {
        let mut all_dead = true;
        let mut at_start = true;
        let mut prior_xmax: Option<TransactionId> = None;
        let mut offset = tid.offset;
        loop {
            let tuple = match page::item(target, offset) {
                Item::Redirect(to) if at_start => {
                    offset = to;
                    at_start = false;
                    continue;
                }
                Item::Tuple(tuple) => tuple,
                Item::Unused | Item::Dead | Item::Redirect(_) => break,
            };
            let mut header = TupleHeader::read(tuple)?;
            // An entry that leads into the middle of a chain is older than the chain.
            if at_start && header.is_heap_only() {
                break;
            }
            if prior_xmax.is_some_and(|xid| header.effective_xmin() != xid) {
                break;
            }
            if accept(offset, &mut header, &mut all_dead)? {
                return Ok(FetchedRow::Visible(ItemPointer::new(tid.block, offset)));
            }
            if !header.is_hot_updated() {
                break;
            }
            prior_xmax = match header.xmax_multi() {
                Some(multi) => self.observer().updater(multi)?,
                None => header.xmax.valid(),
            };
            offset = header.ctid.offset;
            at_start = false;
        }
        Ok(FetchedRow::Nothing { all_dead })
    }

    /// True if the hint bits prove that nobody sees the tuple any more: `HeapTupleIsSurelyDead`.
    pub(crate) fn is_surely_dead(&self, header: &TupleHeader) -> bool {
        if !header.xmin_committed() {
            return header.xmin_invalid();
        }
        let infomask = header.infomask;
        infomask.any(Infomask::XMAX_COMMITTED)
            && !infomask.any(Infomask::XMAX_INVALID | Infomask::XMAX_IS_MULTI)
            && !infomask.xmax_is_locked_only()
            && self.is_removable(header.xmax)
    }
}
