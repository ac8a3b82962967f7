//! Building an index bottom-up from its sorted entries.
//!
//! Realises: `btbuild`, `_bt_load`, `_bt_buildadd`, `_bt_uppershutdown`, and bulk_write.c.
//!
//! Leaves are filled from left to right to the fillfactor. When one is full, its last entry moves to the
//! next page and, truncated, stays behind as high key; the page's downlink goes to the level above, which
//! fills the same way. Pages are written past the buffer pool, as nobody else can know of them yet, and
//! are logged as images, 32 at a time.

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{BLOCK_SIZE, BlockNumber, Fork, Lsn, OffsetNumber, Result};
use kokkiri_storage::{CriticalSection, ItemId, Page};
use kokkiri_types::Value;
use kokkiri_wal::record::{RecordBuilder, RegisterFlags};
use kokkiri_wal::rmgr::RmgrId;
use kokkiri_wal::xlog;

use super::change::append;
use super::dedup::Deduplicator;
use super::page::{
    BtreePage, HIGH_KEY, LINE_POINTER_SIZE, METAPAGE, Meta, Opaque, PAGE_HEADER_SIZE, SPECIAL_SIZE, flags,
};
use super::sort::{Next, Spool};
use super::tree::{Tree, check_tuple_size};
use super::tuple::{IndexTuple, TupleRef, align};

/// Pages above the leaves are filled to 70 percent.
const INTERNAL_FREE_TARGET: usize = BLOCK_SIZE * 30 / 100;
/// Pages logged with one record: as many as it can refer to.
const PAGES_PER_RECORD: usize = 32;
/// Posting lists made by a build are at most this large, so that one fills a tenth of a page.
const POSTING_MAX_SIZE: usize = ((BLOCK_SIZE * 10 / 100) & !7) - LINE_POINTER_SIZE;

/// How a build ended.
#[derive(Clone, Debug, PartialEq)]
pub enum BuildOutcome {
    Built {
        /// Entries in the index.
        tuples: u64,
    },
    /// Two live rows have this key, and the index is unique. What was written of it is of no use.
    Duplicate { key: Vec<Value> },
}

/// Builds the index from the spooled entries into its empty, newly created file.
pub fn build(tree: &Tree<'_>, spool: Spool) -> Result<BuildOutcome> {
    let mut sorted = spool.finish()?;
    let shape = tree.shape();
    let mut loader = Loader::new(tree);
    let mut tuples = 0;
    let merging = shape.is_equal_image() && !tree.index.unique && tree.index.options.deduplicate_items;
    let mut pending = Deduplicator::new(POSTING_MAX_SIZE);
    let mut tuple = Vec::new();
    loop {
        match sorted.next(&mut tuple)? {
            Next::Tuple => {}
            Next::End => break,
            Next::Duplicate { key } => return Ok(BuildOutcome::Duplicate { key }),
        }
        check_for_interrupts()?;
        tuples += 1;
        let view = TupleRef::parse(&tuple).expect("the sort returns the tuples it was given");
        if !merging {
            loader.add_leaf(view, 0)?;
            continue;
        }
        if let Some(base) = pending.base() {
            if shape.columns_to_keep_fast(base, view)? > shape.keys().len() && pending.add(view) {
                continue;
            }
            loader.add_merged(&pending)?;
        }
        pending.start(view, OffsetNumber(0));
    }
    if merging {
        loader.add_merged(&pending)?;
    }
    loader.finish()?;
    Ok(BuildOutcome::Built { tuples })
}

/// Writes the empty index: what a new unlogged index is reset to, and what TRUNCATE leaves.
pub fn build_empty(tree: &Tree<'_>, fork: Fork) -> Result<()> {
    let mut writer = BulkWriter::new(tree, fork);
    writer.add(METAPAGE, metapage(tree, None, 0))?;
    writer.finish()
}

fn metapage(tree: &Tree<'_>, root: Option<BlockNumber>, level: u32) -> Box<Page> {
    let mut page = Page::boxed();
    Meta::new(root, level, tree.shape().is_equal_image()).write(&mut page);
    page
}

/// The page being filled on one level: `BTPageState`.
struct Level {
    page: Box<Page>,
    block: BlockNumber,
    /// Lower bound of the page's keys: its downlink's key. `None` for the leftmost page.
    low_key: Option<IndexTuple>,
    last: OffsetNumber,
    /// Size of the last item's posting list, which truncation will take away if the page ends here.
    last_extra: usize,
}

struct Loader<'a> {
    tree: &'a Tree<'a>,
    writer: BulkWriter<'a>,
    levels: Vec<Level>,
    next_block: u32,
    leaf_free_target: usize,
}

impl<'a> Loader<'a> {
    fn new(tree: &'a Tree<'a>) -> Self {
        let fillfactor = usize::from(tree.index.options.fillfactor);
        Self {
            tree,
            writer: BulkWriter::new(tree, Fork::Main),
            levels: Vec::new(),
            next_block: 1,
            leaf_free_target: BLOCK_SIZE * (100 - fillfactor) / 100,
        }
    }

    fn add_merged(&mut self, pending: &Deduplicator) -> Result<()> {
        let Some(merged) = pending.merged() else { return Ok(()) };
        let view = merged.as_ref();
        self.add_leaf(view, if pending.is_merged() { view.size() - view.key_size() } else { 0 })
    }

    fn add_leaf(&mut self, tuple: TupleRef<'_>, extra: usize) -> Result<()> {
        check_tuple_size(self.tree.index, tuple)?;
        self.add(0, tuple, extra)
    }

    fn new_level(&mut self, level: usize) {
        let block = self.take_block();
        self.levels.push(Level {
            page: new_page(level as u32, None),
            block,
            low_key: None,
            last: HIGH_KEY,
            last_extra: 0,
        });
    }

    fn take_block(&mut self) -> BlockNumber {
        let block = BlockNumber(self.next_block);
        self.next_block += 1;
        block
    }

    /// Adds an item to the page being filled on `level`: `_bt_buildadd`.
    fn add(&mut self, level: usize, tuple: TupleRef<'_>, extra: usize) -> Result<()> {
        if level == self.levels.len() {
            self.new_level(level);
        }
        let is_leaf = level == 0;
        let target = if is_leaf { self.leaf_free_target } else { INTERNAL_FREE_TARGET };
        let state = &mut self.levels[level];
        let last_extra = std::mem::replace(&mut state.last_extra, extra);
        let free = state.page.free_space();
        // A leaf's high key may need room for a tiebreaker.
        let wanted = align(tuple.size()) + if is_leaf { 8 } else { 0 };
        let full = free < wanted || (free + last_extra < target && state.last > OffsetNumber(2));
        if full {
            self.finish_page(level)?;
        }
        let state = &mut self.levels[level];
        state.last = state.last.next();
        if !is_leaf && state.last == OffsetNumber(2) {
            append(&mut state.page, IndexTuple::minus_infinity(tuple.downlink()).bytes())
        } else {
            append(&mut state.page, tuple.bytes())
        }
    }

    /// Ends the page being filled, whose last item starts the next one.
    fn finish_page(&mut self, level: usize) -> Result<()> {
        let block = self.take_block();
        let shape = self.tree.shape();
        let state = &mut self.levels[level];
        let (last, old_block) = (state.last, state.block);
        let mut page = new_page(level as u32, Some(old_block));
        let moved = state.page.tuple(last)?.to_tuple();
        if level == 0 {
            append(&mut page, moved.bytes())?;
        } else {
            append(&mut page, IndexTuple::minus_infinity(moved.as_ref().downlink()).bytes())?;
        }
        // The last item becomes the high key where it is.
        let old = &mut state.page;
        let item = old.item_id(last).unwrap_or(ItemId::UNUSED);
        old.set_item_id(HIGH_KEY, item);
        old.set_item_id(last, ItemId::UNUSED);
        old.set_lower(old.lower() - LINE_POINTER_SIZE);
        if level == 0 {
            let high_key = shape.separator(old.tuple(OffsetNumber(last.0 - 1))?, moved.as_ref())?;
            let fits = old.index_tuple_overwrite(HIGH_KEY, high_key.bytes())?;
            assert!(fits, "room was left for a tiebreaker");
        }
        let high_key = old.tuple(HIGH_KEY)?.to_tuple();
        let opaque = old.opaque();
        old.set_opaque(Opaque { next: Some(block), ..opaque });
        let downlink = downlink(state.low_key.replace(high_key), old_block);
        let finished = std::mem::replace(&mut state.page, page);
        state.block = block;
        state.last = OffsetNumber(2);
        self.writer.add(old_block, finished)?;
        self.add(level + 1, downlink.as_ref(), 0)
    }

    /// Ends the rightmost page of every level, and the metapage: `_bt_uppershutdown`.
    fn finish(mut self) -> Result<()> {
        let mut level = 0;
        let mut root = None;
        while level < self.levels.len() {
            let is_root = level + 1 == self.levels.len();
            let state = &mut self.levels[level];
            let block = state.block;
            if is_root {
                state.page.mark(flags::ROOT);
                root = Some(block);
            } else {
                let downlink = downlink(state.low_key.take(), block);
                self.add(level + 1, downlink.as_ref(), 0)?;
            }
            let mut page = std::mem::replace(&mut self.levels[level].page, Page::boxed());
            slide_left(&mut page);
            self.writer.add(block, page)?;
            level += 1;
        }
        let height = level.saturating_sub(1) as u32;
        self.writer.add(METAPAGE, metapage(self.tree, root, height))?;
        self.writer.finish()
    }
}

/// The entry of a finished page in the level above.
fn downlink(low_key: Option<IndexTuple>, block: BlockNumber) -> IndexTuple {
    match low_key {
        Some(mut key) => {
            key.set_downlink(block);
            key
        }
        None => IndexTuple::minus_infinity(block),
    }
}

/// An empty page with the place of its high key reserved.
fn new_page(level: u32, prev: Option<BlockNumber>) -> Box<Page> {
    let mut page = Page::boxed_init(SPECIAL_SIZE);
    let leaf = if level == 0 { flags::LEAF } else { 0 };
    page.set_opaque(Opaque { prev, next: None, level, flags: leaf, cycle_id: 0 });
    page.set_lower(PAGE_HEADER_SIZE + LINE_POINTER_SIZE);
    page
}

/// The rightmost page of a level has no high key: its items move into the reserved place. `_bt_slideleft`.
fn slide_left(page: &mut Page) {
    let last = page.max_offset().0;
    for offset in 2..=last {
        if let Some(item) = page.item_id(OffsetNumber(offset)) {
            page.set_item_id(OffsetNumber(offset - 1), item);
        }
    }
    page.set_lower(page.lower() - LINE_POINTER_SIZE);
}

/// Writes pages of a new file past the buffer pool: bulk_write.c.
struct BulkWriter<'a> {
    tree: &'a Tree<'a>,
    fork: Fork,
    pending: Vec<(BlockNumber, Box<Page>)>,
    /// Length of the file so far.
    blocks: u32,
    redo_at_start: Lsn,
}

impl<'a> BulkWriter<'a> {
    fn new(tree: &'a Tree<'a>, fork: Fork) -> Self {
        let redo_at_start = tree.cluster.wal.redo_lsn();
        Self { tree, fork, pending: Vec::new(), blocks: 0, redo_at_start }
    }

    /// The init fork of an unlogged index is logged too: it must survive a crash.
    fn is_logged(&self) -> bool {
        self.tree.needs_wal() || self.fork == Fork::Init
    }

    fn add(&mut self, block: BlockNumber, page: Box<Page>) -> Result<()> {
        self.pending.push((block, page));
        if self.pending.len() == PAGES_PER_RECORD { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.pending.sort_by_key(|(block, _)| *block);
        if self.is_logged() {
            self.log();
        }
        let file = self.tree.index.file;
        let storage = self.tree.cluster.buffers.storage_manager();
        let checksums = self.tree.cluster.buffers.config().checksums;
        for (block, mut page) in std::mem::take(&mut self.pending) {
            if checksums {
                page.set_checksum(block);
            }
            // A gap is filled with zeros: the metapage comes last.
            while self.blocks < block.0 {
                storage.append(file, self.fork, &[&Page::boxed()])?;
                self.blocks += 1;
            }
            if block.0 < self.blocks {
                storage.write(file, self.fork, block, &page)?;
            } else {
                storage.append(file, self.fork, &[&page])?;
                self.blocks += 1;
            }
        }
        Ok(())
    }

    /// `log_newpages`.
    fn log(&mut self) {
        let locator = self.tree.index.file.locator;
        let critical = CriticalSection::enter();
        let mut record = RecordBuilder::new(RmgrId::Xlog, xlog::FPI);
        record.xid(self.tree.xid);
        for (id, (block, page)) in self.pending.iter().enumerate() {
            let flags = RegisterFlags::FORCE_IMAGE | RegisterFlags::STANDARD;
            record.register_block(id as u8, (locator, self.fork, *block), page.bytes(), flags);
        }
        let lsn = self.tree.cluster.wal.insert(&critical, record);
        for (_, page) in &mut self.pending {
            page.set_lsn(lsn);
        }
    }

    fn finish(mut self) -> Result<()> {
        self.flush()?;
        // A checkpoint that began meanwhile may have missed pages whose records are older than it.
        let missed = self.tree.cluster.wal.redo_lsn() != self.redo_at_start;
        if self.is_logged() && (missed || self.fork == Fork::Init) {
            let storage = self.tree.cluster.buffers.storage_manager();
            storage.sync_now(self.tree.index.file, self.fork)?;
        }
        Ok(())
    }
}
