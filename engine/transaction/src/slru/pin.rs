//! A pinned page.

use std::sync::Arc;

use kokkiri_primitives::Lsn;
use kokkiri_storage::CriticalSection;
use parking_lot::MutexGuard;

use super::{BankState, Slru, SlruPage};

/// Keeps a page in memory while it lives; access through it can't fail.
pub struct SlruPin {
    slru: Arc<Slru>,
    page: u64,
    slot: usize,
}

impl SlruPin {
    pub(super) fn new(
        slru: &Arc<Slru>,
        page: u64,
        mut state: MutexGuard<'_, BankState>,
        slot: usize,
    ) -> Self {
        state.touch(slot);
        state.slots[slot].pins += 1;
        Self { slru: Arc::clone(slru), page, slot }
    }

    pub fn page(&self) -> u64 {
        self.page
    }

    /// Looks at the page.
    pub fn read<T>(&self, look: impl FnOnce(&SlruPage) -> T) -> T {
        let state = self.slru.bank(self.page).state.lock();
        look(&state.slots[self.slot].bytes)
    }

    /// Changes the page in a way that needs no WAL, or whose WAL is written by the caller.
    pub fn write<T>(&self, change: impl FnOnce(&mut SlruPage) -> T) -> T {
        let mut state = self.slru.bank(self.page).state.lock();
        let slot = &mut state.slots[self.slot];
        slot.dirty = true;
        change(&mut slot.bytes)
    }

    /// Changes the page inside a critical section, noting for some of its groups of entries that WAL must
    /// be flushed before the page may be written.
    pub fn write_logged(&self, critical: &CriticalSection, change: impl FnOnce(&mut SlruPage, &mut [Lsn])) {
        critical.involve(self.slru.context.poison);
        let mut state = self.slru.bank(self.page).state.lock();
        let slot = &mut state.slots[self.slot];
        slot.dirty = true;
        change(&mut slot.bytes, &mut slot.lsns);
    }
}

impl Drop for SlruPin {
    fn drop(&mut self) {
        self.slru.bank(self.page).state.lock().slots[self.slot].pins -= 1;
    }
}
