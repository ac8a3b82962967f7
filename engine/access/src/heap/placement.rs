//! Finding a page with room for a tuple: `RelationGetBufferForTuple`.
//!
//! The page that took the last insertion, else one that the free space map names, else the last one, else
//! a new one. The map is corrected on the way. New pages come several at a time when many wait for them.

use kokkiri_primitives::{BLOCK_SIZE, BlockNumber, Fork, Result, bail};
use kokkiri_storage::buffer::{PageWriteGuard, PinnedBuffer, ReadMode};
use kokkiri_storage::page::{MAX_HEAP_TUPLES_PER_PAGE, PAGE_HEADER_SIZE};
use kokkiri_storage::{CriticalSection, ItemId, free_space_map};

use super::Heap;
use super::insert::BulkInsert;
use super::vm::VmPin;
use crate::tuple::header::max_align;

/// Longest tuple a page can hold: `MaxHeapTupleSize`.
pub const TUPLE_SIZE_MAX: usize = BLOCK_SIZE - max_align(PAGE_HEADER_SIZE + ItemId::SIZE);

/// Free space that a page without tuples is sure to have, whatever unused line pointers it keeps.
const NEARLY_EMPTY_SPACE: usize = TUPLE_SIZE_MAX - MAX_HEAP_TUPLES_PER_PAGE / 8 * ItemId::SIZE;

/// The page for a new tuple, locked, and the page of the old version if that is another one.
pub(super) struct Placed {
    pub page: PageWriteGuard,
    /// `None` if there is no old version, or it is on the same page.
    pub other: Option<PageWriteGuard>,
}

/// The page that holds the old version of a tuple, pinned but not locked.
pub(super) struct OtherPage<'a> {
    pub pin: &'a PinnedBuffer,
    pub vm: &'a mut VmPin,
}

/// How the search for a page goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PlacementOptions {
    /// Never look at the free space map: append.
    pub skip_fsm: bool,
}

impl Heap<'_> {
    /// Finds and locks a page with room for a tuple of `length` bytes. The map pages of all-visible pages
    /// are pinned on return.
    pub(super) fn page_for_tuple(
        &self,
        length: usize,
        mut other: Option<OtherPage<'_>>,
        vm: &mut VmPin,
        mut bulk: Option<&mut BulkInsert>,
        options: PlacementOptions,
    ) -> Result<Placed> {
        let length = max_align(length);
        if length > TUPLE_SIZE_MAX {
            bail!(PROGRAM_LIMIT_EXCEEDED, "row is too big: size {length}, maximum size {TUPLE_SIZE_MAX}");
        }
        let reserved = self.relation.options.reserved_space();
        let wanted = if length + reserved > NEARLY_EMPTY_SPACE {
            length.max(NEARLY_EMPTY_SPACE)
        } else {
            length + reserved
        };
        let use_fsm = !options.skip_fsm;
        let mut target = self.first_target(wanted, bulk.as_deref(), use_fsm)?;
        while let Some(block) = target {
            let pin = match &other {
                Some(other) if other.pin.block() == block => other.pin.clone(),
                _ => self.read_for_insert(block, bulk.as_deref_mut())?,
            };
            let mut placed = self.lock_target(pin, other.as_mut(), vm)?;
            if placed.page.is_new() {
                let critical = CriticalSection::enter();
                placed.page.page_mut(&critical).init(0);
            }
            let free = placed.page.heap_free_space();
            if wanted <= free {
                self.remember_target(block, bulk);
                return Ok(placed);
            }
            drop(placed);
            target = if use_fsm {
                free_space_map::record_and_find_page(
                    &self.cluster().buffers,
                    self.relation.file,
                    block,
                    free,
                    wanted,
                )?
            } else {
                None
            };
        }
        loop {
            let placed = self.extend(other.as_mut(), vm, bulk.as_deref_mut(), use_fsm)?;
            if length <= placed.page.heap_free_space() {
                self.remember_target(placed.page.block(), bulk);
                return Ok(placed);
            }
        }
    }

    fn first_target(
        &self,
        wanted: usize,
        bulk: Option<&BulkInsert>,
        use_fsm: bool,
    ) -> Result<Option<BlockNumber>> {
        let blocks = self.block_count()?;
        let hinted = match bulk.and_then(|bulk| bulk.current.as_ref()) {
            Some(pin) => Some(pin.block()),
            None => self.relation.insert_targets.get(backend_group()),
        };
        if let Some(block) = hinted.filter(|block| block.0 < blocks) {
            return Ok(Some(block));
        }
        if use_fsm {
            let found = free_space_map::find_page(&self.cluster().buffers, self.relation.file, wanted)?;
            if let Some(block) = found.filter(|block| block.0 < blocks) {
                return Ok(Some(block));
            }
        }
        Ok(blocks.checked_sub(1).map(BlockNumber))
    }

    fn read_for_insert(&self, block: BlockNumber, bulk: Option<&mut BulkInsert>) -> Result<PinnedBuffer> {
        let Some(bulk) = bulk else { return self.pin(block) };
        if let Some(pin) = bulk.current.as_ref().filter(|pin| pin.block() == block) {
            return Ok(pin.clone());
        }
        bulk.current = None;
        let pin = self.cluster().buffers.read(
            self.relation.file,
            Fork::Main,
            block,
            ReadMode::Normal,
            Some(&bulk.ring),
        )?;
        bulk.current = Some(pin.clone());
        Ok(pin)
    }

    /// Locks the target and the other page in order of their blocks, with map pages pinned where needed.
    fn lock_target(
        &self,
        pin: PinnedBuffer,
        mut other: Option<&mut OtherPage<'_>>,
        vm: &mut VmPin,
    ) -> Result<Placed> {
        loop {
            let (page, other_page) = match &other {
                Some(other) if other.pin.block() == pin.block() => (pin.clone().write(), None),
                Some(other) if other.pin.block() < pin.block() => {
                    let other_page = other.pin.clone().write();
                    (pin.clone().write(), Some(other_page))
                }
                Some(other) => {
                    let page = pin.clone().write();
                    (page, Some(other.pin.clone().write()))
                }
                None => (pin.clone().write(), None),
            };
            // A target that is the other page is covered by the other page's map pin.
            let same = other.as_ref().is_some_and(|other| other.pin.block() == pin.block());
            let target_needs_pin = page.is_all_visible() && !same && !vm.is_pinned_for(page.block());
            let other_guard = if same { Some(&page) } else { other_page.as_ref() };
            let other_needs_pin = match (&other, other_guard) {
                (Some(other), Some(guard)) => {
                    guard.is_all_visible() && !other.vm.is_pinned_for(guard.block())
                }
                _ => false,
            };
            if !target_needs_pin && !other_needs_pin {
                return Ok(Placed { page, other: other_page });
            }
            drop((page, other_page));
            if target_needs_pin {
                vm.pin(self, pin.block())?;
            }
            if let Some(other) = other.as_deref_mut().filter(|_| other_needs_pin) {
                let block = other.pin.block();
                other.vm.pin(self, block)?;
            }
        }
    }

    /// Appends pages and locks the first: `RelationAddBlocks`.
    fn extend(
        &self,
        other: Option<&mut OtherPage<'_>>,
        vm: &mut VmPin,
        bulk: Option<&mut BulkInsert>,
        use_fsm: bool,
    ) -> Result<Placed> {
        let cluster = self.cluster();
        let ring = bulk.as_ref().map(|bulk| &bulk.ring);
        let extension = cluster.buffers.extend(self.relation.file, Fork::Main, 1, ring)?;
        let mut guard = extension.first;
        let critical = CriticalSection::enter();
        guard.page_mut(&critical).init(0);
        drop(critical);
        let first = guard.unlock();
        // The others are for whoever finds them in the map.
        let spare: Vec<_> = extension.rest.iter().map(PinnedBuffer::block).collect();
        if use_fsm {
            for block in &spare {
                free_space_map::record_free_space(
                    &cluster.buffers,
                    self.relation.file,
                    *block,
                    BLOCK_SIZE - PAGE_HEADER_SIZE,
                )?;
            }
            if let (Some(from), Some(to)) = (spare.first(), spare.last()) {
                free_space_map::vacuum_range(&cluster.buffers, self.relation.file, *from, to.next())?;
            }
        }
        if let Some(bulk) = bulk {
            bulk.current = Some(first.clone());
        }
        self.lock_target(first, other, vm)
    }

    fn remember_target(&self, block: BlockNumber, bulk: Option<&mut BulkInsert>) {
        if bulk.is_none() {
            self.relation.insert_targets.set(backend_group(), Some(block));
        }
    }
}

/// Which insertion hint this backend uses.
fn backend_group() -> usize {
    kokkiri_primitives::activity::with_current(|backend| backend.map_or(0, |backend| backend.pid as usize))
}
