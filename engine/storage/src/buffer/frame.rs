//! The memory of the frames, and the guards that are the only way to it.
//!
//! All unsafe code of this crate is here. What makes it sound:
//!  1. A frame's bytes are lent as `&Page` only while its content lock is held shared or exclusively, and
//!     as `&mut Page` only while it is held exclusively, or, before the page is valid, by the one who has
//!     set `IO_IN_PROGRESS` on an invalid frame: nobody else gets a guard for an invalid frame.
//!  2. A [`PinnedBuffer`] points to its pool without counting references. A pool handle that is dropped
//!     while any frame is pinned doesn't free the pool, so the pointer of a pin never dangles. A pin comes
//!     only from a live handle or from another pin of the same frame.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use kokkiri_primitives::BlockNumber;

use super::Pool;
use super::content_lock::Lock;
use super::descriptor::{BufferTag, Descriptor};
use crate::critical::CriticalSection;
use crate::page::Page;

/// One allocation of zeroed pages, touched by nobody until used, so that the system gives memory lazily.
pub(super) struct Frames {
    base: NonNull<Page>,
    count: usize,
}

// SAFETY: the memory is owned, and access to it follows the locks as rule 1 of the module says.
unsafe impl Send for Frames {}
// SAFETY: as above.
unsafe impl Sync for Frames {}

impl Frames {
    pub fn new(count: usize) -> Self {
        let layout = Self::layout(count);
        // SAFETY: the layout is not empty: a pool has at least one frame.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(memory.cast::<Page>()) else { handle_alloc_error(layout) };
        Self { base, count }
    }

    fn layout(count: usize) -> Layout {
        assert!(count > 0, "a pool has frames");
        Layout::array::<Page>(count).expect("the pool's size fits the address space")
    }

    fn pointer(&self, frame: u32) -> *mut Page {
        assert!((frame as usize) < self.count, "a frame of this pool");
        // SAFETY: within the allocation, as just checked.
        unsafe { self.base.as_ptr().add(frame as usize) }
    }

    /// # Safety
    /// The caller holds the frame's content lock, or its input, for the lifetime it chooses.
    unsafe fn page<'a>(&self, frame: u32) -> &'a Page {
        // SAFETY: every bit pattern is a page, and the memory is initialised; aliasing is the caller's word.
        unsafe { &*self.pointer(frame) }
    }

    /// # Safety
    /// The caller holds the frame's content lock exclusively, or its input, for the lifetime it chooses.
    unsafe fn page_mut<'a>(&self, frame: u32) -> &'a mut Page {
        // SAFETY: as in `page`.
        unsafe { &mut *self.pointer(frame) }
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with the same layout.
        unsafe { dealloc(self.base.as_ptr().cast(), Self::layout(self.count)) }
    }
}

/// Owns a pool.
pub(super) struct PoolHandle(NonNull<Pool>);

// SAFETY: a pool is shared between threads by design.
unsafe impl Send for PoolHandle {}
// SAFETY: as above.
unsafe impl Sync for PoolHandle {}

impl PoolHandle {
    pub fn new(pool: Pool) -> Self {
        Self(NonNull::from(Box::leak(Box::new(pool))))
    }
}

impl Deref for PoolHandle {
    type Target = Pool;

    fn deref(&self) -> &Pool {
        // SAFETY: the handle owns the pool and lives.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for PoolHandle {
    fn drop(&mut self) {
        // A pin that outlives the pool (a session that panicked elsewhere) keeps its memory alive for good.
        if self.descriptors.iter().all(|descriptor| descriptor.state().pins() == 0) {
            // SAFETY: made by `Box::leak` in `new`; no pin is left, so no other pointer is.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

/// A page held in memory: it stays in its frame while this lives. Its bytes need a lock besides.
pub struct PinnedBuffer {
    pool: NonNull<Pool>,
    frame: u32,
}

// SAFETY: a pin belongs to no thread; the pool is shared between threads by design.
unsafe impl Send for PinnedBuffer {}
// SAFETY: as above.
unsafe impl Sync for PinnedBuffer {}

impl PinnedBuffer {
    /// Takes over a pin that the caller has added to the frame's state.
    pub(super) fn adopt(pool: &Pool, frame: u32) -> Self {
        debug_assert!(pool.descriptors[frame as usize].state().pins() > 0, "a pinned frame");
        Self { pool: NonNull::from(pool), frame }
    }

    #[inline]
    pub(super) fn pool(&self) -> &Pool {
        // SAFETY: rule 2 of the module: a pool with pins is not freed.
        unsafe { self.pool.as_ref() }
    }

    #[inline]
    pub(super) fn descriptor(&self) -> &Descriptor {
        &self.pool().descriptors[self.frame as usize]
    }

    /// Number of the frame, from zero; pg_buffercache's `bufferid` is one more.
    pub fn frame(&self) -> u32 {
        self.frame
    }

    pub fn tag(&self) -> BufferTag {
        self.descriptor().tag().expect("the tag of a pinned frame is stable")
    }

    /// Which block of its relation's fork this is.
    pub fn block(&self) -> BlockNumber {
        self.tag().block
    }

    /// Both pin the same page.
    pub fn is_same_page(&self, other: &Self) -> bool {
        self.frame == other.frame && self.pool == other.pool
    }

    /// Takes the content lock shared.
    #[inline]
    pub fn read(self) -> PageReadGuard {
        self.descriptor().content.lock_shared(self.pool().parking(self.frame));
        PageReadGuard { pin: ManuallyDrop::new(self) }
    }

    /// Takes the content lock exclusively.
    #[inline]
    pub fn write(self) -> PageWriteGuard {
        self.descriptor().content.lock_exclusive(self.pool().parking(self.frame));
        PageWriteGuard { pin: ManuallyDrop::new(self) }
    }

    /// As [`Self::read`], where damaged links may have led here: `None` if the caller holds the page
    /// exclusively itself.
    ///
    /// # Errors
    /// An interrupt.
    pub fn read_if_not_held(self) -> kokkiri_primitives::Result<Option<PageReadGuard>> {
        let taken = self.descriptor().content.wait_shared(self.pool().parking(self.frame))?;
        Ok((taken == Lock::Taken).then(|| PageReadGuard { pin: ManuallyDrop::new(self) }))
    }

    /// As [`Self::write`], where damaged links may have led here: `None` if the caller holds the page
    /// exclusively itself.
    ///
    /// # Errors
    /// An interrupt.
    pub fn write_if_not_held(self) -> kokkiri_primitives::Result<Option<PageWriteGuard>> {
        let taken = self.descriptor().content.wait_exclusive(self.pool().parking(self.frame))?;
        Ok((taken == Lock::Taken).then(|| PageWriteGuard { pin: ManuallyDrop::new(self) }))
    }

    /// Takes the content lock shared if that needs no waiting; else gives the pin back.
    pub fn try_read(self) -> Result<PageReadGuard, Self> {
        if !self.descriptor().content.try_lock_shared() {
            return Err(self);
        }
        Ok(PageReadGuard { pin: ManuallyDrop::new(self) })
    }

    /// Takes the content lock exclusively if that needs no waiting; else gives the pin back.
    pub fn try_write(self) -> Result<PageWriteGuard, Self> {
        if !self.descriptor().content.try_lock_exclusive() {
            return Err(self);
        }
        Ok(PageWriteGuard { pin: ManuallyDrop::new(self) })
    }
}

impl Clone for PinnedBuffer {
    fn clone(&self) -> Self {
        self.descriptor().pin_again();
        Self { pool: self.pool, frame: self.frame }
    }
}

impl Drop for PinnedBuffer {
    #[inline]
    fn drop(&mut self) {
        self.pool().unpin(self.frame);
    }
}

impl fmt::Debug for PinnedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = self.tag();
        write!(f, "{}/{}/{} in frame {}", tag.locator, tag.fork.name(), tag.block, self.frame)
    }
}

/// A page locked for reading.
pub struct PageReadGuard {
    /// Moved out by `unlock`, dropped by `drop`, never both.
    pin: ManuallyDrop<PinnedBuffer>,
}

impl PageReadGuard {
    pub fn block(&self) -> BlockNumber {
        self.pin.block()
    }

    /// The pin under the lock; clone it to keep the page after unlocking.
    pub fn pin(&self) -> &PinnedBuffer {
        &self.pin
    }

    /// Releases the lock and keeps the pin.
    #[inline]
    pub fn unlock(self) -> PinnedBuffer {
        let mut this = ManuallyDrop::new(self);
        this.release();
        // SAFETY: `this` is never dropped, so the pin is taken once.
        unsafe { ManuallyDrop::take(&mut this.pin) }
    }

    #[inline]
    fn release(&mut self) {
        let frame = self.pin.frame;
        self.pin.descriptor().content.unlock_shared(self.pin.pool().parking(frame));
    }

    /// Changes hint bits if nobody else reads the page at this moment, and tells whether it did.
    ///
    /// A hint is what anybody can find out again: it may be lost, and needs no WAL record of its own. With
    /// checksums the first hint after a checkpoint logs an image of the page, so that a torn write of it
    /// can be repaired. PostgreSQL's `MarkBufferDirtyHint`.
    pub fn set_hint(&mut self, change: impl FnOnce(&mut Page)) -> bool {
        let descriptor = self.pin.descriptor();
        if !descriptor.content.try_upgrade() {
            return false;
        }
        let _downgrade = Downgrade(&self.pin);
        // SAFETY: the content lock is now held exclusively, and `&mut self` says that this guard has lent
        // no reference to the page.
        let page = unsafe { self.pin.pool().frames.page_mut(self.pin.frame) };
        change(page);
        self.pin.pool().hint_changed(self.pin.frame, page);
        true
    }
}

/// Turns an upgraded lock back, also when the change of the hint panics.
struct Downgrade<'a>(&'a PinnedBuffer);

impl Drop for Downgrade<'_> {
    fn drop(&mut self) {
        self.0.descriptor().content.downgrade(self.0.pool().parking(self.0.frame));
    }
}

impl Deref for PageReadGuard {
    type Target = Page;

    #[inline]
    fn deref(&self) -> &Page {
        // SAFETY: the content lock is held shared for the guard's life.
        unsafe { self.pin.pool().frames.page(self.pin.frame) }
    }
}

impl Drop for PageReadGuard {
    #[inline]
    fn drop(&mut self) {
        self.release();
        // SAFETY: dropped once; `unlock` doesn't come here.
        unsafe { ManuallyDrop::drop(&mut self.pin) }
    }
}

impl fmt::Debug for PageReadGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read lock on {:?}", *self.pin)
    }
}

/// A page locked for writing.
pub struct PageWriteGuard {
    /// Moved out by `unlock`, dropped by `drop`, never both.
    pin: ManuallyDrop<PinnedBuffer>,
}

impl PageWriteGuard {
    pub fn block(&self) -> BlockNumber {
        self.pin.block()
    }

    pub fn tag(&self) -> BufferTag {
        self.pin.tag()
    }

    /// The pin under the lock; clone it to keep the page after unlocking.
    pub fn pin(&self) -> &PinnedBuffer {
        &self.pin
    }

    /// Changes of the page belong into the WAL: it is neither temporary nor unlogged.
    pub fn is_logged(&self) -> bool {
        self.pin.descriptor().state().has(super::descriptor::PERMANENT)
    }

    /// The page, to be changed; marks it dirty. The change is logged before the critical section ends.
    #[inline]
    pub fn page_mut(&mut self, critical: &CriticalSection) -> &mut Page {
        let pool = self.pin.pool();
        critical.involve(pool.poison);
        pool.mark_dirty(self.pin.frame);
        // SAFETY: the content lock is held exclusively, and the borrow of the guard covers the reference.
        unsafe { pool.frames.page_mut(self.pin.frame) }
    }

    /// Changes hint bits: see [`PageReadGuard::set_hint`].
    pub fn set_hint(&mut self, change: impl FnOnce(&mut Page)) {
        let pool = self.pin.pool();
        // SAFETY: as in `page_mut`.
        let page = unsafe { pool.frames.page_mut(self.pin.frame) };
        change(page);
        pool.hint_changed(self.pin.frame, page);
    }

    /// The page, for changes that need not reach the disk: they neither dirty nor log it.
    pub(crate) fn page_mut_silently(&mut self) -> &mut Page {
        // SAFETY: as in `page_mut`.
        unsafe { self.pin.pool().frames.page_mut(self.pin.frame) }
    }

    /// Whether this is the only pin, so that nobody can be looking at items it remembers: the condition
    /// of a cleanup lock.
    pub fn is_only_pin(&self) -> bool {
        self.pin.descriptor().state().pins() == 1
    }

    /// Keeps the lock, for reading only.
    pub fn downgrade(self) -> PageReadGuard {
        let mut this = ManuallyDrop::new(self);
        let frame = this.pin.frame;
        this.pin.descriptor().content.downgrade(this.pin.pool().parking(frame));
        // SAFETY: `this` is never dropped, so the pin is taken once.
        PageReadGuard { pin: ManuallyDrop::new(unsafe { ManuallyDrop::take(&mut this.pin) }) }
    }

    /// Releases the lock and keeps the pin.
    #[inline]
    pub fn unlock(self) -> PinnedBuffer {
        let mut this = ManuallyDrop::new(self);
        this.release();
        // SAFETY: `this` is never dropped, so the pin is taken once.
        unsafe { ManuallyDrop::take(&mut this.pin) }
    }

    #[inline]
    fn release(&mut self) {
        let pool = self.pin.pool();
        if std::thread::panicking() && CriticalSection::is_active() {
            // Dropped before the critical section it was used in: nobody may see the page as it is.
            pool.poison.trip("panic inside a critical section");
        }
        self.pin.descriptor().content.unlock_exclusive(pool.parking(self.pin.frame));
    }
}

impl Deref for PageWriteGuard {
    type Target = Page;

    #[inline]
    fn deref(&self) -> &Page {
        // SAFETY: the content lock is held exclusively for the guard's life.
        unsafe { self.pin.pool().frames.page(self.pin.frame) }
    }
}

impl Drop for PageWriteGuard {
    #[inline]
    fn drop(&mut self) {
        self.release();
        // SAFETY: dropped once; `unlock` and `downgrade` don't come here.
        unsafe { ManuallyDrop::drop(&mut self.pin) }
    }
}

impl fmt::Debug for PageWriteGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write lock on {:?}", *self.pin)
    }
}

/// The right to fill a frame whose page isn't valid yet. Dropped without [`Filling::finish`], it leaves
/// the frame invalid, and the next who wants the page tries again.
pub(super) struct Filling {
    pin: PinnedBuffer,
}

impl Filling {
    /// Takes over `IO_IN_PROGRESS`, which the caller has set on an invalid frame.
    pub fn adopt(pin: PinnedBuffer) -> Self {
        Self { pin }
    }

    pub fn page(&mut self) -> &mut Page {
        // SAFETY: rule 1: the frame is invalid and this is the one input in progress.
        unsafe { self.pin.pool().frames.page_mut(self.pin.frame) }
    }

    /// The page is as it should be: lets everybody at it.
    pub fn finish(self) -> PinnedBuffer {
        let pin = self.pin.clone();
        self.pin.pool().end_io(self.pin.frame, super::descriptor::VALID, 0);
        // The drop that follows ends an input that has ended: it changes nothing.
        pin
    }

    /// As [`Filling::finish`], with the content lock taken before anybody else can.
    pub fn finish_locked(self) -> PageWriteGuard {
        // Nobody locks an invalid frame's content, so there is nobody to wait for but whoever has just
        // released it as the frame's former page.
        let pin = self.pin.clone();
        let guard = pin.write();
        self.pin.pool().end_io(self.pin.frame, super::descriptor::VALID, 0);
        guard
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        if !self.pin.descriptor().state().has(super::descriptor::VALID) {
            self.pin.pool().end_io(self.pin.frame, 0, 0);
        }
    }
}
