//! The visibility map: two bits a heap page, all-visible and all-frozen.
//!
//! Realises: `visibilitymap.c`, byte for byte. A map page holds the bits of 32,672 heap pages, four to a
//! byte, after the page header.
//!
//! Locking, as in PostgreSQL: the map page is pinned before the heap page is locked, so that no input
//! happens under that lock. Bits are set and cleared while the heap page is locked exclusively; clearing
//! is part of the heap's own WAL record, setting has a record of its own. This module knows pages, not
//! WAL. A set bit is a promise that index-only scans and VACUUM rely on; a cleared one is only lost time.

use kokkiri_primitives::error::Result;
use kokkiri_primitives::{BLOCK_SIZE, BlockNumber, Fork};

use crate::buffer::{BufferPool, PageWriteGuard, PinnedBuffer, ReadMode};
use crate::critical::CriticalSection;
use crate::page::{PAGE_HEADER_SIZE, Page};
use crate::smgr::RelationFile;

/// All tuples of the heap page are visible to everyone.
pub const ALL_VISIBLE: u8 = 1;
/// All tuples of the heap page are frozen as well.
pub const ALL_FROZEN: u8 = 2;
pub const VALID_BITS: u8 = ALL_VISIBLE | ALL_FROZEN;

const BITS_PER_BLOCK: u32 = 2;
const BLOCKS_PER_BYTE: u32 = 4;
/// Heap pages that one map page covers.
pub const BLOCKS_PER_PAGE: u32 = (BLOCK_SIZE - PAGE_HEADER_SIZE) as u32 * BLOCKS_PER_BYTE;

/// Where a heap page's bits are: map page, byte in that page, shift in that byte.
fn locate(heap_block: BlockNumber) -> (BlockNumber, usize, u32) {
    let within = heap_block.0 % BLOCKS_PER_PAGE;
    let byte = PAGE_HEADER_SIZE + (within / BLOCKS_PER_BYTE) as usize;
    (BlockNumber(heap_block.0 / BLOCKS_PER_PAGE), byte, within % BLOCKS_PER_BYTE * BITS_PER_BLOCK)
}

/// The map page that covers a heap page.
pub fn map_block(heap_block: BlockNumber) -> BlockNumber {
    locate(heap_block).0
}

/// The bits of a heap page in the map page that covers it.
pub fn bits(map_page: &Page, heap_block: BlockNumber) -> u8 {
    let (_, byte, shift) = locate(heap_block);
    map_page.bytes()[byte] >> shift & VALID_BITS
}

/// Sets bits; tells whether that changed anything. Pure, for redo and forward alike.
pub fn set_bits(map_page: &mut Page, heap_block: BlockNumber, flags: u8) -> bool {
    let (_, byte, shift) = locate(heap_block);
    let old = map_page.bytes()[byte];
    let new = old | (flags & VALID_BITS) << shift;
    map_page.bytes_mut()[byte] = new;
    new != old
}

/// Clears bits; tells whether that changed anything.
pub fn clear_bits(map_page: &mut Page, heap_block: BlockNumber, flags: u8) -> bool {
    let (_, byte, shift) = locate(heap_block);
    let old = map_page.bytes()[byte];
    let new = old & !((flags & VALID_BITS) << shift);
    map_page.bytes_mut()[byte] = new;
    new != old
}

/// Clears a heap page's bits in its locked map page: `visibilitymap_clear`. The page is dirtied only if
/// something changed.
pub fn clear(
    guard: &mut PageWriteGuard,
    critical: &CriticalSection,
    heap_block: BlockNumber,
    flags: u8,
) -> bool {
    bits(guard, heap_block) & flags != 0 && clear_bits(guard.page_mut(critical), heap_block, flags)
}

/// True if `pin` is of the map page that covers the heap page: `visibilitymap_pin_ok`.
pub fn covers(pin: &PinnedBuffer, heap_block: BlockNumber) -> bool {
    pin.block() == map_block(heap_block)
}

/// Makes `pin` a pin of the map page that covers the heap page, extending the map if it is too short:
/// `visibilitymap_pin`.
pub fn pin(
    pool: &BufferPool,
    rel: RelationFile,
    heap_block: BlockNumber,
    pin: &mut Option<PinnedBuffer>,
) -> Result<()> {
    if !pin.as_ref().is_some_and(|pin| covers(pin, heap_block)) {
        *pin = None;
        *pin = read_map(pool, rel, map_block(heap_block), true)?;
    }
    Ok(())
}

/// The bits of a heap page, zero if the map doesn't reach it: `visibilitymap_get_status`. Keeps the map
/// page pinned in `pin` for the next question. The answer may be out of date when it is used; who must
/// know looks again with the heap page locked.
pub fn status(
    pool: &BufferPool,
    rel: RelationFile,
    heap_block: BlockNumber,
    pin: &mut Option<PinnedBuffer>,
) -> Result<u8> {
    let held = match pin.take() {
        Some(held) if covers(&held, heap_block) => held,
        _ => match read_map(pool, rel, map_block(heap_block), false)? {
            Some(read) => read,
            None => return Ok(0),
        },
    };
    let guard = held.read();
    let found = bits(&guard, heap_block);
    *pin = Some(guard.unlock());
    Ok(found)
}

/// How many heap pages are all-visible, and how many of them all-frozen: `visibilitymap_count`.
pub fn count(pool: &BufferPool, rel: RelationFile) -> Result<(u64, u64)> {
    let (mut visible, mut frozen) = (0, 0);
    for block in 0.. {
        let Some(pin) = read_map(pool, rel, BlockNumber(block), false)? else { break };
        let guard = pin.read();
        for byte in &guard.bytes()[PAGE_HEADER_SIZE..] {
            visible += u64::from((byte & 0x55).count_ones());
            frozen += u64::from((byte & 0xAA).count_ones());
        }
    }
    Ok((visible, frozen))
}

/// Prepares the map for a heap cut to `heap_blocks`: `visibilitymap_prepare_truncate`. Bits behind the new
/// end are cleared in the page that stays; `log` is then called to log an image of it where hint bits are
/// logged. Returns the length the map is to be cut to, `None` if it is short enough.
pub fn prepare_truncate(
    pool: &BufferPool,
    rel: RelationFile,
    heap_blocks: u32,
    log: impl FnOnce(&mut PageWriteGuard, &CriticalSection),
) -> Result<Option<u32>> {
    let (block, byte, shift) = locate(BlockNumber(heap_blocks));
    let current = pool.storage_manager().blocks_if_exists(rel, Fork::VisibilityMap)?;
    if current == 0 {
        return Ok(None);
    }
    let blocks = if byte != PAGE_HEADER_SIZE || shift != 0 {
        let Some(pin) = read_map(pool, rel, block, false)? else { return Ok(None) };
        let mut guard = pin.write();
        let critical = CriticalSection::enter();
        let bytes = guard.page_mut(&critical).bytes_mut();
        bytes[byte + 1..].fill(0);
        bytes[byte] &= (1 << shift) - 1;
        log(&mut guard, &critical);
        drop(critical);
        block.0 + 1
    } else {
        block.0
    };
    Ok((current > blocks).then_some(blocks))
}

/// Pins a map page, initialised; `None` if it doesn't exist and shouldn't be made.
fn read_map(
    pool: &BufferPool,
    rel: RelationFile,
    block: BlockNumber,
    extend: bool,
) -> Result<Option<PinnedBuffer>> {
    read_auxiliary(pool, rel, Fork::VisibilityMap, block, extend)
}

/// Pins a page of a fork whose pages come into being when first needed, initialised.
pub(crate) fn read_auxiliary(
    pool: &BufferPool,
    rel: RelationFile,
    fork: Fork,
    block: BlockNumber,
    extend: bool,
) -> Result<Option<PinnedBuffer>> {
    let pin = if block.0 < pool.storage_manager().blocks_if_exists(rel, fork)? {
        pool.read(rel, fork, block, ReadMode::ZeroOnError, None)?
    } else if extend {
        pool.extend_to(rel, fork, block.0 + 1)?
    } else {
        return Ok(None);
    };
    let guard = pin.read();
    if !guard.is_new() {
        return Ok(Some(guard.unlock()));
    }
    let mut guard = guard.unlock().write();
    if guard.is_new() {
        guard.page_mut_silently().init(0);
    }
    Ok(Some(guard.unlock()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_lie_where_postgresql_has_them() {
        assert_eq!(BLOCKS_PER_PAGE, 32672);
        let mut page = Page::boxed_init(0);
        assert!(set_bits(&mut page, BlockNumber(0), ALL_VISIBLE));
        assert!(set_bits(&mut page, BlockNumber(5), VALID_BITS));
        assert!(!set_bits(&mut page, BlockNumber(5), ALL_FROZEN));
        assert_eq!(&page.bytes()[24..26], [0b0000_0001, 0b0000_1100]);
        assert_eq!(bits(&page, BlockNumber(5)), VALID_BITS);
        assert!(clear_bits(&mut page, BlockNumber(5), ALL_FROZEN));
        assert_eq!(bits(&page, BlockNumber(5)), ALL_VISIBLE);
        assert_eq!(map_block(BlockNumber(32672)), BlockNumber(1));
    }
}
