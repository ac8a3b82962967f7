//! Writing dirty pages: one, a relation's, all for a checkpoint.

use std::cell::RefCell;
use std::time::Instant;

use kokkiri_primitives::error::Result;
use kokkiri_primitives::{BlockNumber, Lsn, Oid};

use super::descriptor::{BufferTag, CHECKPOINT_NEEDED, DIRTY, IO_ERROR, PERMANENT, Touch};
use super::frame::{PageReadGuard, PinnedBuffer};
use super::{BufferPool, Pool};
use crate::page::Page;
use crate::smgr::RelationFile;

thread_local! {
    /// Where a page gets its checksum: the frame itself is locked for reading only.
    static SCRATCH: RefCell<Box<Page>> = RefCell::new(Page::boxed());
}

/// How far a checkpoint's writing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushProgress {
    pub written: usize,
    pub total: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlushReport {
    /// Pages this checkpoint had to write.
    pub needed: usize,
    /// Those of them that it wrote itself.
    pub written: usize,
}

impl BufferPool {
    /// Writes all pages that are dirty now: `BufferSync`. Unlogged relations' only if `unlogged`, as at
    /// shutdown. `throttle` is called after every page; it may sleep, and an error of it ends the writing.
    pub fn flush_for_checkpoint(
        &self,
        unlogged: bool,
        throttle: impl FnMut(FlushProgress) -> Result<()>,
    ) -> Result<FlushReport> {
        self.shared.flush_for_checkpoint(unlogged, throttle)
    }

    /// Writes a relation's dirty pages of all forks: `FlushRelationBuffers`.
    pub fn flush_relation(&self, rel: RelationFile) -> Result<()> {
        self.route(rel).flush_where(|tag| tag.locator == rel.locator)
    }

    /// Writes all dirty pages of a database: `FlushDatabaseBuffers`.
    pub fn flush_database(&self, database: Oid) -> Result<()> {
        self.shared.flush_where(|tag| tag.locator.database == database)
    }

    /// Writes one page if it is dirty: `FlushOneBuffer`.
    pub fn flush(&self, pin: &PinnedBuffer) -> Result<()> {
        let guard = pin.clone().read();
        pin.pool().flush_locked(&guard)?;
        Ok(())
    }
}

impl Pool {
    /// Writes a page that is locked for reading, if it is dirty. Tells whether it wrote.
    pub(super) fn flush_locked(&self, guard: &PageReadGuard) -> Result<bool> {
        let frame = guard.pin().frame();
        self.poison.check()?;
        if !self.start_writing(frame) {
            return Ok(false);
        }
        let mut ending = EndOfWriting { pool: self, frame, done: false };
        let tag = guard.pin().tag();
        let permanent = self.descriptor(frame).state().has(PERMANENT);
        if permanent
            && let Some(wal) = &self.wal
            && guard.lsn() > Lsn::INVALID
        {
            wal.flush_to(guard.lsn())?;
        }
        let started = self.times_io().then(Instant::now);
        let rel = self.relation_of(&tag, permanent);
        if self.config.checksums && !guard.is_new() {
            SCRATCH.with_borrow_mut(|scratch| {
                scratch.bytes_mut().copy_from_slice(guard.bytes());
                scratch.set_checksum(tag.block);
                self.smgr.write(rel, tag.fork, tag.block, scratch)
            })?;
        } else {
            self.smgr.write(rel, tag.fork, tag.block, guard)?;
        }
        ending.done = true;
        let took = started.map_or(0, |at| at.elapsed().as_micros() as u64);
        self.count(
            |usage| {
                usage.shared_written.add(1);
                usage.shared_write_us.add(took);
            },
            |usage| {
                usage.local_written.add(1);
                usage.local_write_us.add(took);
            },
        );
        Ok(true)
    }

    /// Writes the page of a frame that seemed dirty. It may be clean, or another page, by now.
    pub(super) fn flush_frame(&self, frame: u32) -> Result<bool> {
        let Some((pin, state)) = self.pin_frame(frame, Touch::None) else { return Ok(false) };
        if !state.has(DIRTY) {
            return Ok(false);
        }
        let guard = pin.read();
        self.flush_locked(&guard)
    }

    fn flush_where(&self, matches: impl Fn(&BufferTag) -> bool) -> Result<()> {
        for frame in 0..self.descriptors.len() as u32 {
            let descriptor = self.descriptor(frame);
            if !descriptor.state().has(DIRTY) || !descriptor.tag().is_some_and(|tag| matches(&tag)) {
                continue;
            }
            // The tag was read without a pin; writing another dirty page instead does no harm.
            self.flush_frame(frame)?;
        }
        Ok(())
    }

    fn flush_for_checkpoint(
        &self,
        unlogged: bool,
        mut throttle: impl FnMut(FlushProgress) -> Result<()>,
    ) -> Result<FlushReport> {
        let wanted = if unlogged { DIRTY } else { DIRTY | PERMANENT };
        let mut work: Vec<(BufferTag, u32)> = Vec::new();
        for frame in 0..self.descriptors.len() as u32 {
            let descriptor = self.descriptor(frame);
            let marked =
                descriptor.update(|state| state.has(wanted).then_some(state.0 | CHECKPOINT_NEEDED)).is_some();
            if marked && let Some(tag) = descriptor.tag() {
                work.push((tag, frame));
            }
        }
        // In the order of the files, so that the device sees rising addresses.
        work.sort_unstable();
        let total = work.len();
        let mut report = FlushReport { needed: total, written: 0 };
        for (done, (_, frame)) in work.into_iter().enumerate() {
            // Others may have written it meanwhile; then the mark is gone, whatever the frame holds now.
            if self.descriptor(frame).state().has(CHECKPOINT_NEEDED) && self.flush_frame(frame)? {
                report.written += 1;
            }
            throttle(FlushProgress { written: done + 1, total })?;
        }
        Ok(report)
    }

    /// Asks the system to start writing a run of blocks to the device.
    pub(super) fn start_writeback(&self, tag: &BufferTag, count: u32) {
        let rel = self.relation_of(tag, true);
        self.smgr.start_writeback(rel, tag.fork, tag.block, count);
    }
}

/// Ends the output however it went: a page that couldn't be written stays dirty.
struct EndOfWriting<'a> {
    pool: &'a Pool,
    frame: u32,
    done: bool,
}

impl Drop for EndOfWriting<'_> {
    fn drop(&mut self) {
        if self.done {
            self.pool.written(self.frame);
        } else {
            self.pool.end_io(self.frame, IO_ERROR, 0);
        }
    }
}

impl BufferPool {
    /// Asks the system to start writing `count` blocks from `first` on to the device, as
    /// checkpoint_flush_after and its kin want it.
    pub fn start_writeback(&self, tag: &BufferTag, count: u32) {
        self.shared.start_writeback(&BufferTag { block: BlockNumber(tag.block.0), ..*tag }, count);
    }
}
