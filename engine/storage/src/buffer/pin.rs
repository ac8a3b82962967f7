//! Pins, cleanup locks, dirtying, and waiting for input and output to end.

use std::sync::Arc;

use kokkiri_primitives::activity::{blocking, current, wait};
use kokkiri_primitives::error::{Error, Result};

use super::Pool;
use super::descriptor::{
    BufferTag, CHECKPOINT_NEEDED, DIRTY, IO_ERROR, IO_IN_PROGRESS, IO_WAITER, PERMANENT, PIN_WAITER, State,
    Touch, VALID,
};
use super::frame::{Filling, PageWriteGuard, PinnedBuffer};
use crate::page::Page;
use crate::wait_events;

impl Pool {
    /// Pins the page if it is found without a lock. It need not be valid yet.
    #[inline]
    pub(super) fn pin_mapped(
        &self,
        tag: &BufferTag,
        hash: u64,
        touch: Touch,
    ) -> Option<(PinnedBuffer, State)> {
        let frame = self.mapping.find(&self.descriptors, tag, hash)?;
        let state = self.descriptor(frame).pin(touch)?;
        let pin = PinnedBuffer::adopt(self, frame);
        // The frame may have got another page between the look and the pin; now it can't any more.
        self.descriptor(frame).matches(tag).then_some((pin, state))
    }

    /// Pins whatever page a frame holds.
    pub(super) fn pin_frame(&self, frame: u32, touch: Touch) -> Option<(PinnedBuffer, State)> {
        let state = self.descriptor(frame).pin(touch)?;
        Some((PinnedBuffer::adopt(self, frame), state))
    }

    #[inline]
    pub(super) fn unpin(&self, frame: u32) {
        if !self.descriptor(frame).unpin_unless_awaited() {
            self.unpin_and_tell(frame);
        }
    }

    #[cold]
    fn unpin_and_tell(&self, frame: u32) {
        // Fetched before the pin is given back: afterwards the pool may go.
        let waiter = self.pin_waiters.lock().get(&frame).map(Arc::clone);
        self.descriptor(frame).unpin();
        if let Some(waiter) = waiter {
            waiter.latch.set();
        }
    }

    /// Marks a page dirty whose content lock the caller holds exclusively.
    #[inline]
    pub(super) fn mark_dirty(&self, frame: u32) {
        let descriptor = self.descriptor(frame);
        if !descriptor.state().has(DIRTY) {
            descriptor.set_flags(DIRTY);
            self.count(|usage| usage.shared_dirtied.add(1), |usage| usage.local_dirtied.add(1));
        }
    }

    /// Hint bits of `page`, locked exclusively, have changed: `MarkBufferDirtyHint`.
    pub(super) fn hint_changed(&self, frame: u32, page: &mut Page) {
        let descriptor = self.descriptor(frame);
        let state = descriptor.state();
        if state.has(DIRTY) {
            return;
        }
        match &self.wal {
            Some(wal) if state.has(PERMANENT) && wal.hints_are_logged() => {
                if wal.in_recovery() {
                    // The image can't be logged, so the page must not be written because of a hint.
                    return;
                }
                self.mark_dirty(frame);
                let tag = descriptor.tag().expect("the tag of a pinned frame is stable");
                if let Some(lsn) = wal.log_hint_image(&tag, page) {
                    page.set_lsn(lsn);
                }
            }
            _ => self.mark_dirty(frame),
        }
    }

    /// Claims the input of an invalid frame; `None` once the page is valid. Waits for another's attempt.
    pub(super) fn start_filling(&self, pin: &PinnedBuffer) -> Option<Filling> {
        loop {
            match self.try_start_filling(pin) {
                Ok(claimed) => return claimed,
                Err(InProgress) => self.wait_io(pin.frame()),
            }
        }
    }

    /// [`Pool::start_filling`] without waiting.
    pub(super) fn try_start_filling(&self, pin: &PinnedBuffer) -> Result<Option<Filling>, InProgress> {
        let mut outcome = Ok(None);
        self.descriptor(pin.frame()).update(|state| {
            if state.has(VALID) {
                outcome = Ok(None);
                None
            } else if state.has(IO_IN_PROGRESS) {
                outcome = Err(InProgress);
                None
            } else {
                outcome = Ok(Some(()));
                Some(state.0 | IO_IN_PROGRESS)
            }
        });
        outcome.map(|claimed| claimed.map(|()| Filling::adopt(pin.clone())))
    }

    /// Claims the output of a dirty frame; false if it isn't dirty (any more).
    pub(super) fn start_writing(&self, frame: u32) -> bool {
        loop {
            let mut busy = false;
            let claimed = self.descriptor(frame).update(|state| {
                busy = state.has(IO_IN_PROGRESS);
                (!busy && state.has(DIRTY)).then_some(state.0 | IO_IN_PROGRESS)
            });
            if !busy {
                return claimed.is_some();
            }
            self.wait_io(frame);
        }
    }

    /// Ends input or output: sets and clears flags in one step and wakes those who wait.
    pub(super) fn end_io(&self, frame: u32, set: u64, clear: u64) {
        let changed = self
            .descriptor(frame)
            .update(|state| Some(state.0 & !(IO_IN_PROGRESS | IO_WAITER | IO_ERROR | clear) | set));
        if changed.is_some_and(|(old, _)| old.has(IO_WAITER)) {
            self.parking(frame).wake_all();
        }
    }

    /// The page is on disk as it is in memory.
    pub(super) fn written(&self, frame: u32) {
        self.end_io(frame, 0, DIRTY | CHECKPOINT_NEEDED);
    }

    /// Sleeps until the input or output in progress ends. The caller has the frame pinned.
    pub(super) fn wait_io(&self, frame: u32) {
        let (descriptor, place) = (self.descriptor(frame), self.parking(frame));
        if !descriptor.state().has(IO_IN_PROGRESS) {
            return;
        }
        blocking(&wait_events::BUFFER_IO, || {
            loop {
                let mut held = place.mutex.lock();
                // Under the mutex that the end of the operation takes to wake us.
                let waiting = descriptor
                    .update(|state| state.has(IO_IN_PROGRESS).then_some(state.0 | IO_WAITER))
                    .is_some();
                if !waiting {
                    return;
                }
                place.condition.wait(&mut held);
            }
        });
    }

    fn await_sole_pin(&self, frame: u32) -> Result<()> {
        let backend = current().ok_or_else(|| Error::internal("only a backend waits for a cleanup lock"))?;
        if self.pin_waiters.lock().insert(frame, backend).is_some() {
            return Err(Error::internal("multiple backends attempting to wait for pincount 1"));
        }
        self.descriptor(frame).set_flags(PIN_WAITER);
        let outcome =
            wait(&wait_events::BUFFER_PIN, || Ok((self.descriptor(frame).state().pins() == 1).then_some(())));
        self.descriptor(frame).clear_flags(PIN_WAITER);
        self.pin_waiters.lock().remove(&frame);
        outcome
    }
}

/// Somebody else's input is in progress.
#[derive(Debug)]
pub(super) struct InProgress;

impl PinnedBuffer {
    /// Takes the content lock exclusively when no other pin is left: `LockBufferForCleanup`.
    ///
    /// # Errors
    /// If the wait is interrupted, or somebody else already waits for the same page.
    pub fn cleanup_lock(self) -> Result<PageWriteGuard> {
        let mut pin = self;
        loop {
            let guard = pin.write();
            if guard.is_only_pin() {
                return Ok(guard);
            }
            pin = guard.unlock();
            pin.pool().await_sole_pin(pin.frame())?;
        }
    }

    /// The cleanup lock if it is to be had at once; else gives the pin back:
    /// `ConditionalLockBufferForCleanup`.
    pub fn try_cleanup_lock(self) -> Result<PageWriteGuard, Self> {
        let guard = self.try_write()?;
        if guard.is_only_pin() { Ok(guard) } else { Err(guard.unlock()) }
    }
}
