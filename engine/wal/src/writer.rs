//! Writing and flushing the WAL.
//!
//! Realises: `XLogFlush`, `XLogWrite`, `XLogBackgroundFlush`, `XLogSetAsyncXactLSN`.
//!
//! One lock, the writer, orders all writes. Who gets it writes everything that is copied by then, syncs
//! once, and so serves everybody who has been waiting: group commit. A failed write or sync of the log is
//! a PANIC and never retried, because the kernel may have dropped the pages it couldn't write.
//!
//! Lock order: nobody waits for an insertion while holding the writer, except to learn how far insertions
//! have got that are known to be finished up to the position asked about.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use kokkiri_primitives::activity::{Backend, WaitEvent, WaitEventGuard, blocking, with_current};
use kokkiri_primitives::error::{Error, Result};
use kokkiri_primitives::ids::Lsn;
use kokkiri_storage::file::File;
use parking_lot::{Mutex, MutexGuard};

use crate::log::Wal;
use crate::position::{SegmentNumber, WAL_PAGE_SIZE, page_start};

static WAL_WRITE: WaitEvent = WaitEvent::new("IO", "WalWrite");
static WAL_SYNC: WaitEvent = WaitEvent::new("IO", "WalSync");
static WAL_WRITE_LOCK: WaitEvent = WaitEvent::new("LWLock", "WALWrite");

/// Pages copied out for one write call.
const WRITE_PAGES_MAX: u64 = 128;

/// What belongs to whoever writes.
#[derive(Default)]
pub(crate) struct WriteState {
    file: Option<(SegmentNumber, Arc<dyn File>)>,
    /// Whole pages for the next write call, zero behind the end of what is to be written.
    staging: Vec<u8>,
    /// The page written last, if it is at the front of `staging`: a commit adds a few hundred bytes to it,
    /// and only these are copied out of the buffers.
    staged: Option<Lsn>,
    last_background_flush: Option<Instant>,
}

/// Workers that want to hear from the writer.
#[derive(Default)]
pub(crate) struct Notices {
    /// Woken when the WAL since the last checkpoint has grown too long.
    checkpointer: Mutex<Option<Arc<Backend>>>,
    checkpoint_segments: AtomicU64,
    checkpoint_wanted: AtomicBool,
    /// Woken by asynchronous commits.
    wal_writer: Mutex<Option<Arc<Backend>>>,
    wal_writer_sleeping: AtomicBool,
}

impl Notices {
    fn wake(target: &Mutex<Option<Arc<Backend>>>) {
        if let Some(backend) = &*target.lock() {
            backend.latch.set();
        }
    }
}

/// The writer, held. When it is dropped, waiting tasks are told how far the log is flushed.
struct HeldWriter<'a> {
    wal: &'a Wal,
    state: Option<MutexGuard<'a, WriteState>>,
}

impl Drop for HeldWriter<'_> {
    fn drop(&mut self) {
        self.state = None;
        if self.wal.poison.is_poisoned() {
            self.wal.waiters.wake_all();
        } else {
            self.wal.waiters.wake(self.wal.flushed_lsn());
        }
    }
}

/// How far to write, and how far to sync.
#[derive(Clone, Copy)]
struct WriteRequest {
    write: Lsn,
    flush: Lsn,
}

impl Wal {
    /// Makes the log durable up to `lsn`, blocking: PostgreSQL's `XLogFlush`. While the log is being
    /// replayed there is nothing to do.
    ///
    /// # Errors
    /// XX000 if `lsn` is past the end of the log (a page with a corrupt LSN), 57P02 after a crash.
    pub fn flush(&self, lsn: Lsn) -> Result<()> {
        let lsn = self.geometry.without_header(lsn);
        if lsn <= self.flushed_lsn() || !self.insertion_allowed() {
            return Ok(());
        }
        self.poison.check()?;
        let wanted = lsn.max(Lsn(self.write_requested.load(Ordering::Acquire)));
        self.finished_up_to(wanted)?;
        let writer = self.lock_writer();
        if lsn > self.flushed_lsn() {
            self.poison.check()?;
            self.lead(writer, wanted)?;
        }
        self.check_flushed(lsn)
    }

    /// Completes when the log is durable up to `lsn`: how a session waits for its commit.
    pub fn wait_flushed(&self, lsn: Lsn) -> FlushWait<'_> {
        FlushWait { wal: self, lsn: self.geometry.without_header(lsn), id: None }
    }

    fn check_flushed(&self, lsn: Lsn) -> Result<()> {
        let flushed = self.flushed_lsn();
        if flushed >= lsn {
            return Ok(());
        }
        Err(Error::internal(format!(
            "xlog flush request {lsn} is not satisfied --- flushed only to {flushed}"
        )))
    }

    /// Waits for insertions before `target`; returns how far everything is copied.
    ///
    /// # Errors
    /// A PANIC, if an insertion was cut off: what was reserved behind it can't be made durable.
    fn finished_up_to(&self, target: Lsn) -> Result<Lsn> {
        let reserved = self.reserved_end();
        let finished = self.locks.wait_for_all(target.min(reserved), reserved);
        if self.locks.are_broken() {
            return Err(self.poison.panic_with(Error::internal("a WAL insertion was cut off")));
        }
        Ok(finished)
    }

    fn lock_writer(&self) -> HeldWriter<'_> {
        let state =
            self.writer.try_lock().unwrap_or_else(|| blocking(&WAL_WRITE_LOCK, || self.writer.lock()));
        HeldWriter { wal: self, state: Some(state) }
    }

    /// Flushes everything that is copied by now. Insertions before `target` are known to be finished.
    fn lead(&self, mut writer: HeldWriter<'_>, target: Lsn) -> Result<()> {
        let settings = self.writer_settings();
        if !settings.commit_delay.is_zero()
            && settings.fsync
            && self.active_backends() > settings.commit_siblings
        {
            std::thread::sleep(settings.commit_delay);
        }
        let finished = self.finished_up_to(target)?;
        let state = writer.state.as_mut().expect("held until dropped");
        self.write(state, WriteRequest { write: finished, flush: finished }, false)
    }

    /// Backends in a transaction that has written something.
    fn active_backends(&self) -> usize {
        self.processes.all().iter().filter(|backend| backend.xid().is_some()).count()
    }

    /// Writes the page that ends at `old_end`, whose slot an inserter needs.
    pub(crate) fn write_to_make_room(&self, old_end: Lsn) {
        if let Err(error) = self.finished_up_to(old_end) {
            panic!("{}", error.message());
        }
        let mut writer = self.lock_writer();
        if self.written_lsn() >= old_end {
            return;
        }
        self.counters.buffers_full.fetch_add(1, Ordering::Relaxed);
        with_current(|backend| {
            if let Some(backend) = backend {
                backend.usage.wal_buffers_full.add(1);
            }
        });
        let state = writer.state.as_mut().expect("held until dropped");
        if let Err(error) = self.write(state, WriteRequest { write: old_end, flush: Lsn::INVALID }, false) {
            panic!("{}", error.message());
        }
    }

    /// Writes and syncs as asked. With `flexible`, stops after the first write call. All insertions
    /// before the positions asked for have finished.
    ///
    /// # Errors
    /// A PANIC: the log can't be written, so every session ends and what is durable is replayed.
    fn write(&self, state: &mut WriteState, request: WriteRequest, flexible: bool) -> Result<()> {
        self.try_write(state, request, flexible).map_err(|error| self.poison.panic_with(error))
    }

    fn try_write(&self, state: &mut WriteState, request: WriteRequest, flexible: bool) -> Result<()> {
        let mut written = self.written_lsn();
        while written < request.write {
            let first_page = page_start(written);
            let segment = self.geometry.segment_of(first_page);
            let segment_end = self.geometry.segment_start(segment.next());
            let limit = (first_page + WRITE_PAGES_MAX * WAL_PAGE_SIZE).min(segment_end);
            let target = request.write.min(limit);
            self.write_pages(state, segment, written, target)?;
            written = target;
            self.written.store(written.0, Ordering::Release);
            if target == segment_end {
                self.sync(state, segment, target)?;
                self.segment_finished(segment);
            }
            if flexible {
                break;
            }
        }
        if request.flush > self.flushed_lsn() && written > self.flushed_lsn() {
            self.sync(state, self.geometry.segment_before(written), written)?;
        }
        Ok(())
    }

    /// Writes whole pages from the one with the byte at `written` up to the one with the byte before `target`.
    fn write_pages(
        &self,
        state: &mut WriteState,
        segment: SegmentNumber,
        written: Lsn,
        target: Lsn,
    ) -> Result<()> {
        let first_page = page_start(written);
        self.stage(state, first_page, written, target);
        let file = self.open_segment(state, segment)?;
        let offset = self.geometry.segment_offset(first_page);
        let begun = Instant::now();
        {
            let _shown = WaitEventGuard::show(&WAL_WRITE);
            file.write_all_at(&state.staging, offset).map_err(|cause| {
                let name = self.geometry.file_name(self.timeline(), segment);
                let length = state.staging.len();
                Error::file_access("write to log file", &name, &cause)
                    .detail(format!("The write was at offset {offset}, length {length}."))
            })?;
        }
        self.counters.writes.fetch_add(1, Ordering::Relaxed);
        self.counters.write_bytes.fetch_add(state.staging.len() as u64, Ordering::Relaxed);
        self.counters.write_us.fetch_add(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
        let last_page = page_start(Lsn(target.0 - 1));
        let last_offset = (last_page.0 - first_page.0) as usize;
        if last_offset > 0 {
            state.staging.copy_within(last_offset.., 0);
        }
        state.staging.truncate(WAL_PAGE_SIZE as usize);
        state.staged = Some(last_page);
        Ok(())
    }

    /// Copies the pages from `first_page` on that hold what is before `target` to the staging area; of the
    /// first, what is before `written` may be there already.
    fn stage(&self, state: &mut WriteState, first_page: Lsn, written: Lsn, target: Lsn) {
        let known = if state.staged == Some(first_page) {
            written.0 & !7
        } else {
            state.staging.clear();
            first_page.0
        };
        let pages_end = page_start(Lsn(target.0 - 1)).0 + WAL_PAGE_SIZE;
        state.staging.resize((pages_end - first_page.0) as usize, 0);
        for page in (first_page.0..target.0).step_by(WAL_PAGE_SIZE as usize) {
            assert!(
                self.buffers.holds(Lsn(page)),
                "xlog write request {target} is past end of log {}",
                Lsn(page)
            );
            let (from, to) = (known.max(page), target.0.min(page + WAL_PAGE_SIZE));
            let place = (from - first_page.0) as usize..(to - first_page.0) as usize;
            self.buffers.copy_out(Lsn(from), &mut state.staging[place]);
        }
    }

    fn open_segment(&self, state: &mut WriteState, segment: SegmentNumber) -> Result<Arc<dyn File>> {
        if let Some((open, file)) = &state.file
            && *open == segment
        {
            return Ok(Arc::clone(file));
        }
        let (file, created) = self.files.open_or_create(self.timeline(), segment)?;
        if created {
            self.counters.segments_created.fetch_add(1, Ordering::Relaxed);
        }
        state.file = Some((segment, Arc::clone(&file)));
        Ok(file)
    }

    /// Syncs the segment and declares everything up to `flushed` durable; earlier segments were synced
    /// when they were full.
    fn sync(&self, state: &mut WriteState, segment: SegmentNumber, flushed: Lsn) -> Result<()> {
        let file = self.open_segment(state, segment)?;
        if self.files.fsync() {
            let begun = Instant::now();
            blocking(&WAL_SYNC, || file.sync_data()).map_err(|cause| {
                Error::file_access("fsync file", self.geometry.file_name(self.timeline(), segment), &cause)
            })?;
            self.counters.syncs.fetch_add(1, Ordering::Relaxed);
            self.counters.sync_us.fetch_add(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
        }
        self.flushed.store(flushed.0, Ordering::Release);
        Ok(())
    }

    fn segment_finished(&self, segment: SegmentNumber) {
        let limit = self.notices.checkpoint_segments.load(Ordering::Relaxed);
        if limit > 0 && self.segments_since_redo(segment) >= limit.saturating_sub(1) {
            self.notices.checkpoint_wanted.store(true, Ordering::Release);
            Notices::wake(&self.notices.checkpointer);
        }
    }

    /// Wakes every task that waits for a flush, to find the instance poisoned. Part of what the crash
    /// handler does.
    pub fn wake_all_waiters(&self) {
        self.waiters.wake_all();
    }

    /// Notes an asynchronous commit that ends at `lsn`; the WAL writer flushes it soon.
    pub fn note_async_commit(&self, lsn: Lsn) {
        if self.async_commit.fetch_max(lsn.0, Ordering::AcqRel) >= lsn.0 {
            return;
        }
        let flush_after = self.settings.lock().writer_flush_after;
        let pages = (lsn.0 / WAL_PAGE_SIZE).saturating_sub(self.flushed_lsn().0 / WAL_PAGE_SIZE);
        let sleeping = self.notices.wal_writer_sleeping.load(Ordering::Acquire);
        if sleeping || flush_after == 0 || pages >= flush_after {
            Notices::wake(&self.notices.wal_writer);
        }
    }

    /// One round of the WAL writer: writes completed pages, or what asynchronous commits wait for, and
    /// syncs when it is due. Returns whether there was something to do. `XLogBackgroundFlush`.
    ///
    /// # Errors
    /// A PANIC, if the log can't be written.
    pub fn background_flush(&self) -> Result<bool> {
        if !self.insertion_allowed() || self.poison.is_poisoned() {
            return Ok(false);
        }
        let mut target = page_start(Lsn(self.write_requested.load(Ordering::Acquire)));
        let mut flexible = true;
        if target <= self.flushed_lsn() {
            target = Lsn(self.async_commit.load(Ordering::Acquire));
            flexible = false;
        }
        if target <= self.flushed_lsn() {
            return Ok(false);
        }
        self.finished_up_to(target)?;
        let mut writer = self.lock_writer();
        let state = writer.state.as_mut().expect("held until dropped");
        let flush = if self.flush_is_due(state, target) { target } else { Lsn::INVALID };
        if target > self.written_lsn() || flush > self.flushed_lsn() {
            self.write(state, WriteRequest { write: target, flush }, flexible)?;
        }
        drop(writer);
        self.initialize_pages_ahead();
        Ok(true)
    }

    fn flush_is_due(&self, state: &mut WriteState, target: Lsn) -> bool {
        let settings = self.writer_settings();
        let pages = (target.0 / WAL_PAGE_SIZE).saturating_sub(self.flushed_lsn().0 / WAL_PAGE_SIZE);
        let now = Instant::now();
        let due = settings.writer_flush_after == 0
            || pages >= settings.writer_flush_after
            || state.last_background_flush.is_none_or(|last| now - last >= settings.writer_delay);
        if due {
            state.last_background_flush = Some(now);
        }
        due
    }

    /// Makes `backend` the one to wake when `segments` segments have been filled since the redo pointer.
    pub fn set_checkpointer(&self, backend: Option<Arc<Backend>>) {
        *self.notices.checkpointer.lock() = backend;
    }

    /// PostgreSQL's `CheckPointSegments`: after how many segments a checkpoint is asked for.
    pub fn set_checkpoint_segments(&self, segments: u64) {
        self.notices.checkpoint_segments.store(segments, Ordering::Relaxed);
    }

    /// Tells, once, whether the log has grown so long that a checkpoint is wanted.
    pub fn take_checkpoint_wanted(&self) -> bool {
        self.notices.checkpoint_wanted.swap(false, Ordering::AcqRel)
    }

    /// The number given to [`Wal::set_checkpoint_segments`].
    pub fn checkpoint_segments(&self) -> u64 {
        self.notices.checkpoint_segments.load(Ordering::Relaxed)
    }

    /// What [`Wal::take_checkpoint_wanted`] would tell.
    pub fn checkpoint_is_wanted(&self) -> bool {
        self.notices.checkpoint_wanted.load(Ordering::Acquire)
    }

    /// Makes `backend` the one to wake for asynchronous commits.
    pub fn set_wal_writer(&self, backend: Option<Arc<Backend>>) {
        *self.notices.wal_writer.lock() = backend;
    }

    /// The WAL writer says whether it is going to sleep for long.
    pub fn set_wal_writer_sleeping(&self, sleeping: bool) {
        self.notices.wal_writer_sleeping.store(sleeping, Ordering::Release);
    }

    /// How many tasks wait for the log to become durable.
    pub fn waiting_for_flush(&self) -> usize {
        self.waiters.count()
    }
}

/// A task's wait for durability; see [`Wal::wait_flushed`].
pub struct FlushWait<'a> {
    wal: &'a Wal,
    lsn: Lsn,
    id: Option<u64>,
}

impl Future for FlushWait<'_> {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let (wal, lsn) = (self.wal, self.lsn);
        if lsn <= wal.flushed_lsn() || !wal.insertion_allowed() {
            return Poll::Ready(Ok(()));
        }
        wal.poison.check()?;
        self.id = Some(wal.waiters.register(self.id, lsn, context.waker()));
        // From here on whoever drops the writer wakes this task, so each reason to go on waiting is
        // looked at only now.
        if lsn <= wal.flushed_lsn() {
            return Poll::Ready(Ok(()));
        }
        if wal.writer.is_locked() {
            return Poll::Pending;
        }
        wal.finished_up_to(lsn)?;
        let Some(state) = wal.writer.try_lock() else {
            return Poll::Pending;
        };
        let writer = HeldWriter { wal, state: Some(state) };
        wal.poison.check()?;
        if lsn > wal.flushed_lsn() {
            wal.lead(writer, lsn)?;
        }
        Poll::Ready(wal.check_flushed(lsn))
    }
}

impl Drop for FlushWait<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        // A task that goes away unserved may have been chosen to lead: pass it on.
        if self.wal.waiters.deregister(id)
            && self.lsn > self.wal.flushed_lsn()
            && !self.wal.writer.is_locked()
        {
            self.wal.waiters.wake(self.wal.flushed_lsn());
        }
    }
}
