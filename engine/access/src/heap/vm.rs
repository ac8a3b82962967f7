//! The visibility-map page beside a heap page.
//!
//! The map page of an all-visible heap page is pinned before the heap page is locked, so that clearing its
//! bits needs no I/O under the lock. If a page turns out to be all-visible only once it is locked, the
//! lock is given up, the map page pinned, and whatever was found on the heap page is looked at anew.
//!
//! Lock order: heap pages by rising block, then map pages by rising block.

use kokkiri_primitives::{BlockNumber, Result};
use kokkiri_storage::buffer::{PageWriteGuard, PinnedBuffer};
use kokkiri_storage::visibility_map;

use super::Heap;

/// A pin on the map page that covers a heap block, if one was needed yet.
#[derive(Default)]
pub struct VmPin(Option<PinnedBuffer>);

impl VmPin {
    pub fn is_pinned_for(&self, block: BlockNumber) -> bool {
        self.0.as_ref().is_some_and(|pin| visibility_map::covers(pin, block))
    }

    /// Pins the map page of `block`, making it if there is none.
    pub fn pin(&mut self, heap: &Heap<'_>, block: BlockNumber) -> Result<()> {
        visibility_map::pin(&heap.cluster().buffers, heap.relation.file, block, &mut self.0)
    }

    /// The bits of a heap block as they are now; the map page stays pinned for the next question.
    pub fn status(&mut self, heap: &Heap<'_>, block: BlockNumber) -> Result<u8> {
        visibility_map::status(&heap.cluster().buffers, heap.relation.file, block, &mut self.0)
    }

    /// The map page of `block`, locked. `None` if it isn't pinned.
    pub fn lock(&self, block: BlockNumber) -> Option<PageWriteGuard> {
        self.0.as_ref().filter(|_| self.is_pinned_for(block)).map(|pin| pin.clone().write())
    }
}
