//! The free space map: which page of a relation has room for so many bytes.
//!
//! Realises: `freespace.c`, `fsmpage.c`, byte for byte. Free space is kept in 256 classes of 32 bytes. A
//! map page has a slot for each of 4,069 pages below it; the pages form a tree of three levels, laid out
//! depth first in the `_fsm` fork, page 0 its root.
//!
//! Changes are hints: they are in the WAL only as page images, where hint bits are. A page that turns out to be fuller than
//! promised is recorded again, contradictory map pages are repaired when met, and VACUUM carries
//! everything upward ([`vacuum`]).
//!
//! Lock order: one map page at a time, shared for searching, exclusively for changing.

mod page;

use kokkiri_primitives::error::{Error, Result};
use kokkiri_primitives::{BLOCK_SIZE, BlockNumber, Fork};

use crate::buffer::{BufferPool, PageWriteGuard, PinnedBuffer};
use crate::critical::CriticalSection;
use crate::smgr::RelationFile;
use crate::visibility_map::read_auxiliary;

use page::Found;
pub use page::SLOTS;

const CLASS_BYTES: usize = 32;
/// The most that can be asked for: `MaxFSMRequestSize`, a heap tuple that fills a page.
pub const MAX_REQUEST: usize = BLOCK_SIZE - 32;
const ROOT_LEVEL: u32 = 2;
/// A search that meets stale promises starts again this many times.
const MAX_RESTARTS: usize = 10_000;

/// One map page in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Address {
    /// Zero at the leaves.
    level: u32,
    /// Number among the pages of its level.
    number: u32,
}

const ROOT: Address = Address { level: ROOT_LEVEL, number: 0 };

impl Address {
    /// The leaf page and slot of a heap page.
    fn of_heap(block: BlockNumber) -> (Self, usize) {
        let slots = SLOTS as u32;
        (Self { level: 0, number: block.0 / slots }, (block.0 % slots) as usize)
    }

    fn parent(self) -> (Self, usize) {
        let slots = SLOTS as u32;
        (Self { level: self.level + 1, number: self.number / slots }, (self.number % slots) as usize)
    }

    /// `None` if it would lie beyond the largest relation.
    fn child(self, slot: usize) -> Option<Self> {
        let number = self.number.checked_mul(SLOTS as u32)?.checked_add(slot as u32)?;
        Some(Self { level: self.level - 1, number })
    }

    fn heap_block(self, slot: usize) -> Option<BlockNumber> {
        let block = u64::from(self.number) * SLOTS as u64 + slot as u64;
        u32::try_from(block).ok().map(BlockNumber).filter(|block| *block <= BlockNumber::MAX)
    }

    /// Block of the fork: pages come depth first, each before its children.
    fn physical(self) -> Option<BlockNumber> {
        let slots = SLOTS as u64;
        let mut leaf = u64::from(self.number) * slots.pow(self.level);
        let mut pages = 0;
        for _ in 0..=ROOT_LEVEL {
            pages += leaf + 1;
            leaf /= slots;
        }
        u32::try_from(pages - u64::from(self.level) - 1).ok().map(BlockNumber)
    }
}

/// The class that `available` bytes surely satisfy.
fn class_of_available(available: usize) -> u8 {
    if available >= MAX_REQUEST { 255 } else { (available / CLASS_BYTES).min(254) as u8 }
}

/// The class that surely has `needed` bytes.
fn class_of_needed(needed: usize) -> Result<u8> {
    if needed > MAX_REQUEST {
        return Err(Error::internal(format!("invalid FSM request size {needed}")));
    }
    Ok(needed.div_ceil(CLASS_BYTES).clamp(1, 255) as u8)
}

fn available_in(class: u8) -> usize {
    if class == 255 { MAX_REQUEST } else { usize::from(class) * CLASS_BYTES }
}

fn read(pool: &BufferPool, rel: RelationFile, at: Address, extend: bool) -> Result<Option<PinnedBuffer>> {
    match at.physical() {
        Some(block) => read_auxiliary(pool, rel, Fork::FreeSpaceMap, block, extend),
        None => Ok(None),
    }
}

/// A page that probably has `needed` bytes of free space: `GetPageWithFreeSpace`.
pub fn find_page(pool: &BufferPool, rel: RelationFile, needed: usize) -> Result<Option<BlockNumber>> {
    search(pool, rel, class_of_needed(needed)?)
}

/// Notes how much room a page has: `RecordPageWithFreeSpace`.
pub fn record_free_space(
    pool: &BufferPool,
    rel: RelationFile,
    block: BlockNumber,
    available: usize,
) -> Result<()> {
    let (at, slot) = Address::of_heap(block);
    set_and_search(pool, rel, at, slot, class_of_available(available), None)?;
    Ok(())
}

/// Notes that `old` has only `available` bytes and looks for another page, near it if possible:
/// `RecordAndGetPageWithFreeSpace`.
pub fn record_and_find_page(
    pool: &BufferPool,
    rel: RelationFile,
    old: BlockNumber,
    available: usize,
    needed: usize,
) -> Result<Option<BlockNumber>> {
    let (at, slot) = Address::of_heap(old);
    let wanted = class_of_needed(needed)?;
    let near = set_and_search(pool, rel, at, slot, class_of_available(available), Some(wanted))?;
    if let Some(block) = near.and_then(|slot| at.heap_block(slot))
        && block.0 < pool.blocks(rel, Fork::Main)?
    {
        return Ok(Some(block));
    }
    search(pool, rel, wanted)
}

/// Notes that an index page is free to be used again: `RecordFreeIndexPage`. Indexes know only free and
/// used.
pub fn record_free_index_page(pool: &BufferPool, rel: RelationFile, block: BlockNumber) -> Result<()> {
    record_free_space(pool, rel, block, BLOCK_SIZE - 1)
}

/// Finds a free index page and notes it as used: `GetFreeIndexPage`. The caller makes sure that it is.
pub fn take_free_index_page(pool: &BufferPool, rel: RelationFile) -> Result<Option<BlockNumber>> {
    let found = find_page(pool, rel, BLOCK_SIZE / 2)?;
    if let Some(block) = found {
        record_free_space(pool, rel, block, 0)?;
    }
    Ok(found)
}

/// What the map says about a page, in whole classes: `GetRecordedFreeSpace`.
pub fn recorded_free_space(pool: &BufferPool, rel: RelationFile, block: BlockNumber) -> Result<usize> {
    let (at, slot) = Address::of_heap(block);
    let Some(pin) = read(pool, rel, at, false)? else { return Ok(0) };
    Ok(available_in(page::slot_value(&pin.read(), slot)))
}

/// Carries the values of the leaves upward in the whole map: `FreeSpaceMapVacuum`.
pub fn vacuum(pool: &BufferPool, rel: RelationFile) -> Result<()> {
    vacuum_range(pool, rel, BlockNumber(0), BlockNumber::INVALID)
}

/// [`vacuum`] for the heap pages from `start` up to but not including `end`.
pub fn vacuum_range(
    pool: &BufferPool,
    rel: RelationFile,
    start: BlockNumber,
    end: BlockNumber,
) -> Result<()> {
    if end > start {
        vacuum_page(pool, rel, ROOT, start, end)?;
    }
    Ok(())
}

/// Prepares the map for a heap cut to `heap_blocks`: `FreeSpaceMapPrepareTruncateRel`. Slots behind the new
/// end are zeroed in the page that stays; `log` is then called to log an image of it where hint bits are
/// logged. Returns the length the map is to be cut to, `None` if it is short enough.
pub fn prepare_truncate(
    pool: &BufferPool,
    rel: RelationFile,
    heap_blocks: u32,
    log: impl FnOnce(&mut PageWriteGuard, &CriticalSection),
) -> Result<Option<u32>> {
    let (at, slot) = Address::of_heap(BlockNumber(heap_blocks));
    let current = pool.storage_manager().blocks_if_exists(rel, Fork::FreeSpaceMap)?;
    let Some(block) = at.physical() else { return Ok(None) };
    let blocks = if slot > 0 {
        let Some(pin) = read(pool, rel, at, false)? else { return Ok(None) };
        let mut guard = pin.write();
        let critical = CriticalSection::enter();
        page::truncate(guard.page_mut(&critical), slot);
        log(&mut guard, &critical);
        drop(critical);
        block.0 + 1
    } else {
        block.0
    };
    Ok((current > blocks).then_some(blocks))
}

/// Sets a slot and, if a class is wanted, looks for it on the same page.
fn set_and_search(
    pool: &BufferPool,
    rel: RelationFile,
    at: Address,
    slot: usize,
    value: u8,
    wanted: Option<u8>,
) -> Result<Option<usize>> {
    let Some(pin) = read(pool, rel, at, true)? else { return Ok(None) };
    let mut guard = pin.write();
    if page::slot_value(&guard, slot) != value || value > page::best(&guard) {
        guard.set_hint(|page| {
            page::set_slot(page, slot, value);
        });
    }
    Ok(wanted.and_then(|wanted| search_locked(&mut guard, wanted, at.level == 0)))
}

/// Searches a page locked exclusively, repairs it if it contradicts itself, and notes where to go on.
fn search_locked(guard: &mut PageWriteGuard, minimum: u8, is_leaf: bool) -> Option<usize> {
    loop {
        match page::search(guard, minimum) {
            Found::Nothing => return None,
            Found::Corrupt => {
                guard.set_hint(|page| {
                    page::rebuild(page);
                });
            }
            Found::Slot(slot) => {
                // On a leaf the next searcher gets the next page, so that inserters spread.
                page::set_next_slot(guard.page_mut_silently(), slot + usize::from(is_leaf));
                return Some(slot);
            }
        }
    }
}

/// Descends from the root to a heap page of at least the class: `fsm_search`.
fn search(pool: &BufferPool, rel: RelationFile, minimum: u8) -> Result<Option<BlockNumber>> {
    let mut at = ROOT;
    for _ in 0..MAX_RESTARTS {
        let (slot, best) = match read(pool, rel, at, false)? {
            None => (None, 0),
            Some(pin) => {
                let guard = pin.read();
                let best = page::best(&guard);
                if best < minimum {
                    (None, best)
                } else {
                    let mut guard = guard.unlock().write();
                    (search_locked(&mut guard, minimum, at.level == 0), page::best(&guard))
                }
            }
        };
        match slot {
            Some(slot) if at.level == 0 => {
                if let Some(block) = at.heap_block(slot)
                    && block.0 < pool.blocks(rel, Fork::Main)?
                {
                    return Ok(Some(block));
                }
                // The relation was cut and the map not: forget the page.
                set_and_search(pool, rel, at, slot, 0, None)?;
                at = ROOT;
            }
            Some(slot) => match at.child(slot) {
                Some(child) => at = child,
                None => return Ok(None),
            },
            None if at == ROOT => return Ok(None),
            None => {
                // The parent promised more than there is: correct it and start again.
                let (parent, slot) = at.parent();
                set_and_search(pool, rel, parent, slot, best, None)?;
                at = ROOT;
            }
        }
    }
    Ok(None)
}

/// Corrects one page from its children; returns its best value, `None` if it doesn't exist:
/// `fsm_vacuum_page`.
fn vacuum_page(
    pool: &BufferPool,
    rel: RelationFile,
    at: Address,
    start: BlockNumber,
    end: BlockNumber,
) -> Result<Option<u8>> {
    let Some(pin) = read(pool, rel, at, false)? else { return Ok(None) };
    if at.level > 0 {
        let (first, last) = slots_in_range(at, start, end);
        let mut past_end = false;
        for slot in first..=last {
            kokkiri_primitives::activity::check_for_interrupts()?;
            let value = match at.child(slot) {
                Some(child) if !past_end => vacuum_page(pool, rel, child, start, end)?,
                _ => None,
            };
            past_end |= value.is_none();
            let value = value.unwrap_or(0);
            if page::slot_value(&pin.clone().read(), slot) != value {
                pin.clone().write().set_hint(|page| {
                    page::set_slot(page, slot, value);
                });
            }
        }
    }
    let mut guard = pin.write();
    let best = page::best(&guard);
    // Later searches begin at the front again, so that the relation's end may become free.
    page::set_next_slot(guard.page_mut_silently(), 0);
    Ok(Some(best))
}

/// The slots of a map page that lead to heap pages of the range; none as a range that is empty.
fn slots_in_range(at: Address, start: BlockNumber, end: BlockNumber) -> (usize, usize) {
    let below = (SLOTS as u64).pow(at.level);
    let first_here = u64::from(at.number) * SLOTS as u64;
    let clamp =
        |block: u32| (u64::from(block) / below).saturating_sub(first_here).min(SLOTS as u64 - 1) as usize;
    (clamp(start.0), clamp(end.0 - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_numbered_depth_first() {
        let physical = |level, number| Address { level, number }.physical().map(|block| block.0);
        assert_eq!(physical(2, 0), Some(0));
        assert_eq!(physical(1, 0), Some(1));
        assert_eq!(physical(0, 0), Some(2));
        assert_eq!(physical(0, 4068), Some(4070));
        assert_eq!(physical(1, 1), Some(4071));
        assert_eq!(physical(0, 4069), Some(4072));
    }

    #[test]
    fn classes_never_promise_too_much() {
        for bytes in 0..=MAX_REQUEST {
            assert!(available_in(class_of_available(bytes)) <= bytes);
            assert!(available_in(class_of_needed(bytes).expect("in range")) >= bytes);
        }
        assert_eq!((class_of_available(8160), class_of_available(8159)), (255, 254));
        assert!(class_of_needed(8161).is_err());
    }
}
