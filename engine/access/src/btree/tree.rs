//! Getting at the pages of an index: roots, descents, siblings, new pages.
//!
//! Realises: the page access half of nbtpage.c and the descents of nbtsearch.c.
//!
//! Lehman and Yao's tree with PostgreSQL's changes. A descent holds no lock on a page while it goes to the
//! child; a page that was split meanwhile is noticed by its high key, and the search moves right. A page
//! that was deleted stays as a tombstone with its links until nobody can be on the way to it.
//!
//! Lock order: leaf before parent, left before right, metapage last. A split page stays locked while its
//! parent gets the new downlink; if that fails, the page is marked as incompletely split and the next
//! insertion that comes along finishes it.
//!
//! Links of damaged pages may lead in circles. Whoever follows links in a loop heeds interrupts, and a page
//! that its own follower holds already is an error: locks on pages know no deadlocks.

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{
    BlockNumber, Fork, FullTransactionId, ItemPointer, OffsetNumber, ProcNumber, Result, TransactionId, error,
};
use kokkiri_storage::{
    CriticalSection, Page, PageReadGuard, PageWriteGuard, PinnedBuffer, ReadMode, Ring, free_space_map,
};
use kokkiri_transaction::Cluster;
use kokkiri_wal::record::{RecordBuilder, RegisterFlags};
use kokkiri_wal::rmgr::RmgrId;

use super::change;
use super::key::SearchKey;
use super::page::{BtreePage, METAPAGE, Meta};
use super::record::{self, NewRoot, ReusePage, info};
use super::shape::IndexShape;
use super::state::{FastRoot, IndexState};
use crate::relation::IndexDescriptor;

/// Registration of a page that the record makes from nothing.
pub const WILL_INIT: RegisterFlags = RegisterFlags::WILL_INIT;
/// Registration of a page with the standard layout.
pub const STANDARD: RegisterFlags = RegisterFlags::STANDARD;

/// An index being worked on.
#[derive(Clone, Copy)]
pub struct Tree<'a> {
    pub cluster: &'a Cluster,
    pub index: &'a IndexDescriptor,
    /// The transaction its records belong to.
    pub xid: Option<TransactionId>,
}

/// A step of a descent: the page and the entry that was followed.
#[derive(Clone, Copy, Debug)]
pub struct StackEntry {
    pub block: BlockNumber,
    pub offset: OffsetNumber,
}

/// The way down, root first.
pub type Stack = Vec<StackEntry>;

impl<'a> Tree<'a> {
    pub fn new(cluster: &'a Cluster, index: &'a IndexDescriptor, xid: Option<TransactionId>) -> Self {
        Self { cluster, index, xid }
    }

    pub fn shape(&self) -> &'a IndexShape {
        self.state().shape(self.index)
    }

    pub fn state(&self) -> &'a IndexState {
        &self.index.btree
    }

    pub fn name(&self) -> &'a str {
        &self.index.name
    }

    pub fn needs_wal(&self) -> bool {
        self.index.needs_wal()
    }

    pub fn pin(&self, block: BlockNumber) -> Result<PinnedBuffer> {
        self.pin_with(block, None)
    }

    /// Pins a page, in a ring of buffers if the index is read as a whole.
    pub fn pin_with(&self, block: BlockNumber, ring: Option<&Ring>) -> Result<PinnedBuffer> {
        self.cluster.buffers.read(self.index.file, Fork::Main, block, ReadMode::Normal, ring)
    }

    /// Length of the index, pages.
    pub fn block_count(&self) -> Result<u32> {
        self.cluster.buffers.blocks(self.index.file, Fork::Main)
    }

    /// `_bt_getbuf` with a shared lock.
    pub fn read(&self, block: BlockNumber) -> Result<PageReadGuard> {
        let guard = self.pin(block)?.read_if_not_held()?.ok_or_else(|| self.leads_in_circles(block))?;
        guard.check(self.name(), block)?;
        Ok(guard)
    }

    /// `_bt_getbuf` with an exclusive lock.
    pub fn write(&self, block: BlockNumber) -> Result<PageWriteGuard> {
        let guard = self.pin(block)?.write_if_not_held()?.ok_or_else(|| self.leads_in_circles(block))?;
        guard.check(self.name(), block)?;
        Ok(guard)
    }

    pub fn record<'r>(&self, info: u8) -> RecordBuilder<'r> {
        let mut record = RecordBuilder::new(RmgrId::Btree, info);
        record.xid(self.xid);
        record
    }

    /// The metapage as it is now.
    pub fn meta(&self) -> Result<Meta> {
        Meta::read(&*self.read(METAPAGE)?, self.name())
    }

    /// The fast root as cached, or from the metapage; `None` if there is no root yet.
    pub fn fast_root(&self) -> Result<Option<FastRoot>> {
        if let Some(cached) = self.state().fast_root() {
            return Ok(Some(cached));
        }
        let fast_root = FastRoot::of(&self.meta()?);
        if let Some(root) = fast_root {
            self.state().set_fast_root(root);
        }
        Ok(fast_root)
    }

    /// Level of the fast root: `_bt_getrootheight`.
    pub fn height(&self) -> Result<u32> {
        Ok(self.fast_root()?.map_or(0, |root| root.level))
    }

    /// Whether posting lists may be made.
    pub fn is_equal_image(&self) -> Result<bool> {
        match self.fast_root()? {
            Some(root) => Ok(root.equal_image),
            None => Ok(self.meta()?.equal_image),
        }
    }

    /// Where descents start, locked; `None` if there is no root yet. `_bt_getroot`.
    pub fn root(&self) -> Result<Option<PageReadGuard>> {
        if let Some(cached) = self.state().fast_root() {
            let guard = self.read(cached.block)?;
            let opaque = guard.opaque();
            // Still alone on its level, so everything is below it.
            if !opaque.is_ignored()
                && opaque.level == cached.level
                && opaque.is_leftmost()
                && opaque.is_rightmost()
            {
                return Ok(Some(guard));
            }
            drop(guard);
            self.state().forget_fast_root();
        }
        let Some(root) = self.fast_root()? else { return Ok(None) };
        self.live_root(root.block, root.level).map(Some)
    }

    /// The true root, which stands above the fast one in a tree that shrank: `_bt_gettrueroot`.
    pub fn true_root(&self) -> Result<Option<PageReadGuard>> {
        self.state().forget_fast_root();
        let meta = self.meta()?;
        let Some(root) = meta.root else { return Ok(None) };
        self.live_root(root, meta.level).map(Some)
    }

    /// The root page `block` or, if it was split or deleted since, the first live page to its right.
    fn live_root(&self, mut block: BlockNumber, level: u32) -> Result<PageReadGuard> {
        loop {
            let guard = self.read(block)?;
            let opaque = guard.opaque();
            if !opaque.is_ignored() {
                if opaque.level == level {
                    return Ok(guard);
                }
                return Err(error!(
                    INTERNAL_ERROR,
                    "root page {block} of index \"{}\" has level {}, expected {level}",
                    self.name(),
                    opaque.level
                ));
            }
            check_for_interrupts()?;
            block = opaque.next.ok_or_else(|| {
                error!(INTERNAL_ERROR, "no live root page found in index \"{}\"", self.name())
            })?;
        }
    }

    /// Makes the first root, an empty leaf, unless somebody was faster.
    pub fn create_root(&self) -> Result<()> {
        let mut meta_guard = self.write(METAPAGE)?;
        let mut meta = Meta::read(&meta_guard, self.name())?;
        if meta.root.is_some() {
            return Ok(());
        }
        let mut root = self.allocate()?;
        let block = root.block();
        meta = Meta { equal_image: meta.equal_image, ..Meta::new(Some(block), 0, meta.equal_image) };
        let critical = CriticalSection::enter();
        change::write_root(root.page_mut(&critical), 0);
        meta.store(meta_guard.page_mut(&critical));
        if self.needs_wal() {
            let mut record = self.record(info::NEWROOT);
            record.data(&NewRoot { root: block, level: 0 }.encode());
            record.register(0, &mut root, WILL_INIT);
            record.register(2, &mut meta_guard, WILL_INIT | STANDARD);
            record.buffer_data(2, &record::encode_meta(&meta));
            self.cluster.wal.insert(&critical, record);
        }
        Ok(())
    }

    /// Descends to the leaf that `key` belongs to, locked shared; `None` if the index has no root yet.
    /// `_bt_search` with `BT_READ`.
    pub fn search(&self, key: &SearchKey<'_>) -> Result<Option<(Stack, PageReadGuard)>> {
        let Some(mut guard) = self.root()? else { return Ok(None) };
        let mut stack = Stack::new();
        loop {
            guard = self.move_right(key, guard)?;
            let opaque = guard.opaque();
            if opaque.is_leaf() {
                return Ok(Some((stack, guard)));
            }
            let entry = StackEntry { block: guard.block(), offset: key.find(&guard)? };
            let child = guard.tuple(entry.offset)?.downlink();
            stack.push(entry);
            drop(guard);
            guard = self.read(child)?;
            self.check_level(&guard, opaque.level)?;
        }
    }

    /// A child must be one level below its parent: a descent that follows damaged links would not end.
    fn check_level(&self, child: &PageReadGuard, parent: u32) -> Result<()> {
        if child.opaque().level.checked_add(1) == Some(parent) {
            return Ok(());
        }
        let (name, block) = (self.name(), child.block());
        Err(error!(INDEX_CORRUPTED, "index \"{name}\" contains corrupted page at block {block}")
            .hint("Please REINDEX it."))
    }

    /// `_bt_moveright` for readers, who take incomplete splits as they are.
    fn move_right(&self, key: &SearchKey<'_>, mut guard: PageReadGuard) -> Result<PageReadGuard> {
        loop {
            let opaque = guard.opaque();
            let beyond = opaque.is_ignored() || key.is_beyond(&guard, &opaque)?;
            if !beyond {
                return Ok(guard);
            }
            let next = opaque.next.ok_or_else(|| self.fell_off())?;
            drop(guard);
            check_for_interrupts()?;
            guard = self.read(next)?;
        }
    }

    /// The error for links that lead back to a page that is locked on the way.
    fn leads_in_circles(&self, block: BlockNumber) -> kokkiri_primitives::Error {
        error!(INDEX_CORRUPTED, "links of index \"{}\" lead in a circle to block {block}", self.name())
            .hint("Please REINDEX it.")
    }

    pub fn fell_off(&self) -> kokkiri_primitives::Error {
        error!(INTERNAL_ERROR, "fell off the end of index \"{}\"", self.name())
    }

    /// The first or last page of a level: `_bt_get_endpoint`.
    pub fn endpoint(&self, level: u32, rightmost: bool) -> Result<Option<PageReadGuard>> {
        let root = if level == 0 { self.root()? } else { self.true_root()? };
        let Some(mut guard) = root else { return Ok(None) };
        loop {
            let mut opaque = guard.opaque();
            while opaque.is_ignored() || (rightmost && !opaque.is_rightmost()) {
                let next = opaque.next.ok_or_else(|| self.fell_off())?;
                drop(guard);
                check_for_interrupts()?;
                guard = self.read(next)?;
                opaque = guard.opaque();
            }
            if opaque.level == level {
                return Ok(Some(guard));
            }
            if opaque.level < level {
                return Err(error!(
                    INDEX_CORRUPTED,
                    "btree level {level} not found in index \"{}\"",
                    self.name()
                ));
            }
            let offset = if rightmost { guard.max_offset() } else { opaque.first_data() };
            let child = guard.tuple(offset)?.downlink();
            drop(guard);
            guard = self.read(child)?;
            self.check_level(&guard, opaque.level)?;
        }
    }

    /// A page to be initialised by the caller, locked: recycled if there is one, else new at the end.
    /// `_bt_allocbuf`.
    pub fn allocate(&self) -> Result<PageWriteGuard> {
        while let Some(block) = free_space_map::take_free_index_page(&self.cluster.buffers, self.index.file)?
        {
            // Whoever holds it is not done with it, and it can't be waited for: it may be us.
            let Ok(guard) = self.pin(block)?.try_write() else { continue };
            if guard.is_new() {
                return Ok(guard);
            }
            if self.is_recyclable(&guard) {
                self.log_reuse(&guard);
                return Ok(guard);
            }
        }
        Ok(self.cluster.buffers.extend(self.index.file, Fork::Main, 1, None)?.first)
    }

    /// A deleted page that no running scan can be on its way to: `BTPageIsRecyclable`.
    pub fn is_recyclable(&self, page: &Page) -> bool {
        page.safe_xid().is_some_and(|safe_xid| self.is_removable(safe_xid))
    }

    /// True if no running transaction could have seen what was removed at `safe_xid`.
    pub fn is_removable(&self, safe_xid: FullTransactionId) -> bool {
        let transactions = &self.cluster.transactions;
        let next = transactions.xids.next();
        // Of all databases: a page is not worth the trouble of telling them apart.
        let oldest = transactions.proc_array.horizons(ProcNumber(0)).shared;
        let behind = next.xid().0.wrapping_sub(oldest.0);
        safe_xid.0 < next.0.saturating_sub(u64::from(behind))
    }

    /// Notes that a page may be recycled: `RecordFreeIndexPage`.
    pub fn record_free(&self, block: BlockNumber) -> Result<()> {
        free_space_map::record_free_index_page(&self.cluster.buffers, self.index.file, block)
    }

    /// Standbys must end the snapshots that could still reach the page that is about to be reused.
    fn log_reuse(&self, guard: &PageWriteGuard) {
        let Some(safe_xid) = guard.safe_xid() else { return };
        if self.needs_wal() && self.cluster.transactions.standby_info() {
            let reuse = ReusePage {
                locator: self.index.file.locator,
                block: guard.block(),
                conflict_horizon: safe_xid,
                is_catalog: false,
            };
            let mut record = self.record(info::REUSE_PAGE);
            record.data(&reuse.encode());
            self.cluster.wal.insert(&CriticalSection::enter(), record);
        }
    }
}

/// The error for a leaf tuple larger than a third of a page: `_bt_check_third_page`.
pub fn check_tuple_size(index: &IndexDescriptor, tuple: super::tuple::TupleRef<'_>) -> Result<()> {
    use super::tuple::{MAX_ITEM_SIZE, align};
    let size = align(tuple.size());
    if size <= MAX_ITEM_SIZE {
        return Ok(());
    }
    let tid: ItemPointer = tuple.heap_tid().unwrap_or_default();
    Err(error!(
        PROGRAM_LIMIT_EXCEEDED,
        "index row size {size} exceeds btree version 4 maximum {MAX_ITEM_SIZE} for index \"{}\"", index.name
    )
    .detail(format!(
        "Index row references tuple ({},{}) in relation \"{}\".",
        tid.block, tid.offset, index.heap_name
    ))
    .hint(
        "Values larger than 1/3 of a buffer page cannot be indexed.\n\
         Consider a function index of an MD5 hash of the value, or use full text indexing.",
    )
    .table(index.namespace_name.clone(), index.heap_name.clone())
    .constraint(index.name.clone()))
}
