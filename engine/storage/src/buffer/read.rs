//! Getting pages: from memory, or from disk, one at a time or several neighbours in one read.

use std::io::IoSliceMut;
use std::time::Instant;

use kokkiri_primitives::error::{Error, Result};
use kokkiri_primitives::{BlockNumber, Fork};

use super::descriptor::{BufferTag, VALID};
use super::frame::{Filling, PageWriteGuard, PinnedBuffer};
use super::ring::Ring;
use super::{BufferPool, Pool};
use crate::page::{Page, Verdict};
use crate::smgr::RelationFile;

/// What to do about a page that can't be what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadMode {
    /// It is an error, unless zero_damaged_pages says otherwise.
    #[default]
    Normal,
    /// Give a page of zeros: the caller knows how to rebuild it.
    ZeroOnError,
}

/// Neighbouring pages, pinned.
#[derive(Debug)]
pub struct Run {
    pub pins: Vec<PinnedBuffer>,
    /// Some were not in memory.
    pub read_from_disk: bool,
}

impl BufferPool {
    /// Pins a page, reading it if it isn't in memory: `ReadBufferExtended`.
    ///
    /// # Errors
    /// XX001 for a damaged or missing block; 53000 if every frame is pinned.
    #[inline]
    pub fn read(
        &self,
        rel: RelationFile,
        fork: Fork,
        block: BlockNumber,
        mode: ReadMode,
        ring: Option<&Ring>,
    ) -> Result<PinnedBuffer> {
        let pool = self.route_own(rel)?;
        let tag = BufferTag { locator: rel.locator, fork, block };
        match pool.hit(&tag, ring) {
            Some(pin) => Ok(pin),
            None => pool.load(rel, &tag, mode, ring),
        }
    }

    /// The page if it is in memory: `ReadRecentBuffer`'s way of looking.
    pub fn find(&self, rel: RelationFile, fork: Fork, block: BlockNumber) -> Option<PinnedBuffer> {
        self.route(rel).hit(&BufferTag { locator: rel.locator, fork, block }, None)
    }

    /// Pins up to `count` neighbouring pages from `first` on; those not in memory are read together. At
    /// least one is returned if `count` is not zero.
    pub fn read_run(
        &self,
        rel: RelationFile,
        fork: Fork,
        first: BlockNumber,
        count: usize,
        ring: Option<&Ring>,
    ) -> Result<Run> {
        let pool = self.route_own(rel)?;
        let ring_limit = ring.map_or(usize::MAX, Ring::pin_limit);
        let limit = pool.config.io_combine_limit.min(pool.config.pin_limit).min(ring_limit).max(1);
        let mut run = Run { pins: Vec::with_capacity(count.min(limit)), read_from_disk: false };
        pool.read_run(rel, fork, first, count.min(limit), ring, &mut run)?;
        Ok(run)
    }

    /// A page whose old contents don't matter, zeroed unless it is in memory, locked exclusively:
    /// `RBM_ZERO_AND_LOCK`. The block exists.
    pub fn read_zeroed(&self, rel: RelationFile, fork: Fork, block: BlockNumber) -> Result<PageWriteGuard> {
        let pool = self.route_own(rel)?;
        let tag = BufferTag { locator: rel.locator, fork, block };
        if let Some(pin) = pool.hit(&tag, None) {
            return Ok(pin.write());
        }
        let pin = pool.allocate(&tag, rel.is_logged(fork), None)?;
        match pool.start_filling(&pin) {
            None => Ok(pin.write()),
            Some(mut filling) => {
                drop(pin);
                filling.page().zero();
                Ok(filling.finish_locked())
            }
        }
    }

    /// Pins a block if the fork has it, for replay: a record may name a relation that was cut or dropped
    /// later.
    pub fn read_if_exists(
        &self,
        rel: RelationFile,
        fork: Fork,
        block: BlockNumber,
    ) -> Result<Option<PinnedBuffer>> {
        if block.0 >= self.storage_manager().blocks_if_exists(rel, fork)? {
            return Ok(None);
        }
        self.read(rel, fork, block, ReadMode::Normal, None).map(Some)
    }

    /// A page that replay overwrites as a whole, locked exclusively: [`BufferPool::read_zeroed`], making the
    /// fork long enough first.
    pub fn read_for_redo(&self, rel: RelationFile, fork: Fork, block: BlockNumber) -> Result<PageWriteGuard> {
        self.lengthen_for_redo(rel, fork, block)?;
        self.read_zeroed(rel, fork, block)
    }

    /// [`BufferPool::read_for_redo`] with a cleanup lock.
    pub fn read_for_redo_cleanup(
        &self,
        rel: RelationFile,
        fork: Fork,
        block: BlockNumber,
    ) -> Result<PageWriteGuard> {
        self.lengthen_for_redo(rel, fork, block)?;
        let guard = self.read_zeroed(rel, fork, block)?;
        if guard.is_only_pin() { Ok(guard) } else { guard.unlock().cleanup_lock() }
    }

    fn lengthen_for_redo(&self, rel: RelationFile, fork: Fork, block: BlockNumber) -> Result<()> {
        if block.0 >= self.storage_manager().blocks_if_exists(rel, fork)? {
            drop(self.extend_to(rel, fork, block.0 + 1)?);
        }
        Ok(())
    }

    /// Says that blocks will be needed soon: asks the system to read those that are not in memory.
    pub fn prefetch(&self, rel: RelationFile, fork: Fork, block: BlockNumber) -> Result<()> {
        let pool = self.route_own(rel)?;
        let tag = BufferTag { locator: rel.locator, fork, block };
        match pool.mapping.find(&pool.descriptors, &tag, tag.hash()) {
            Some(_) => Ok(()),
            None => pool.smgr.prefetch(rel, fork, block, 1),
        }
    }
}

impl Pool {
    /// The page if it is in memory and valid, counted as a hit.
    #[inline]
    pub(super) fn hit(&self, tag: &BufferTag, ring: Option<&Ring>) -> Option<PinnedBuffer> {
        let (pin, state) = self.pin_mapped(tag, tag.hash(), Ring::touch(ring))?;
        if !state.has(VALID) {
            return None;
        }
        self.count(|usage| usage.shared_hit.add(1), |usage| usage.local_hit.add(1));
        Some(pin)
    }

    #[cold]
    fn load(
        &self,
        rel: RelationFile,
        tag: &BufferTag,
        mode: ReadMode,
        ring: Option<&Ring>,
    ) -> Result<PinnedBuffer> {
        self.poison.check()?;
        let pin = self.allocate(tag, rel.is_logged(tag.fork), ring)?;
        match self.start_filling(&pin) {
            None => {
                self.count(|usage| usage.shared_hit.add(1), |usage| usage.local_hit.add(1));
                Ok(pin)
            }
            Some(filling) => {
                drop(pin);
                let mut filled = self.fill(rel, tag.fork, tag.block, vec![filling], mode)?;
                Ok(filled.pop().expect("one frame in, one frame out"))
            }
        }
    }

    fn read_run(
        &self,
        rel: RelationFile,
        fork: Fork,
        first: BlockNumber,
        count: usize,
        ring: Option<&Ring>,
        done: &mut Run,
    ) -> Result<()> {
        // The frames of the current run of misses, to be read together.
        let mut run: Vec<Filling> = Vec::new();
        for index in 0..count as u32 {
            let block = BlockNumber(first.0 + index);
            let tag = BufferTag { locator: rel.locator, fork, block };
            if let Some(pin) = self.hit(&tag, ring) {
                self.finish_run(rel, fork, block, &mut run, done)?;
                done.pins.push(pin);
                continue;
            }
            self.poison.check()?;
            let pin = match self.allocate(&tag, rel.is_logged(fork), ring) {
                Ok(pin) => pin,
                // A small pool may be full of pins; what there is so far serves the caller.
                Err(_) if !(run.is_empty() && done.pins.is_empty()) => {
                    self.finish_run(rel, fork, block, &mut run, done)?;
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            match self.try_start_filling(&pin) {
                Ok(Some(filling)) => run.push(filling),
                Ok(None) => {
                    self.finish_run(rel, fork, block, &mut run, done)?;
                    done.pins.push(pin);
                }
                Err(_) => {
                    // Own input ends before waiting for another's: two runs that overlap never wait for
                    // each other.
                    self.finish_run(rel, fork, block, &mut run, done)?;
                    match self.start_filling(&pin) {
                        Some(filling) => run.push(filling),
                        None => done.pins.push(pin),
                    }
                }
            }
        }
        let end = BlockNumber(first.0 + count as u32);
        self.finish_run(rel, fork, end, &mut run, done)
    }

    /// Reads the run that ends before `end` and appends its pins.
    fn finish_run(
        &self,
        rel: RelationFile,
        fork: Fork,
        end: BlockNumber,
        run: &mut Vec<Filling>,
        done: &mut Run,
    ) -> Result<()> {
        if !run.is_empty() {
            let fillings = std::mem::take(run);
            let first = BlockNumber(end.0 - fillings.len() as u32);
            done.read_from_disk = true;
            done.pins.extend(self.fill(rel, fork, first, fillings, ReadMode::Normal)?);
        }
        Ok(())
    }

    /// Reads neighbouring blocks into their frames and judges them.
    fn fill(
        &self,
        rel: RelationFile,
        fork: Fork,
        first: BlockNumber,
        mut fillings: Vec<Filling>,
        mode: ReadMode,
    ) -> Result<Vec<PinnedBuffer>> {
        let started = self.times_io().then(Instant::now);
        {
            let mut slices: Vec<IoSliceMut<'_>> =
                fillings.iter_mut().map(|filling| IoSliceMut::new(filling.page().bytes_mut())).collect();
            self.smgr.read(rel, fork, first, &mut slices)?;
        }
        let (blocks, took) = (fillings.len() as u64, started.map_or(0, |at| at.elapsed().as_micros() as u64));
        self.count(
            |usage| {
                usage.shared_read.add(blocks);
                usage.shared_read_us.add(took);
            },
            |usage| {
                usage.local_read.add(blocks);
                usage.local_read_us.add(took);
            },
        );
        let mut pins = Vec::with_capacity(fillings.len());
        let mut damaged = None;
        for (index, mut filling) in fillings.into_iter().enumerate() {
            let block = BlockNumber(first.0 + index as u32);
            match self.judge(rel, fork, block, filling.page(), mode) {
                Ok(()) => pins.push(filling.finish()),
                // The good neighbours are kept in memory.
                Err(error) => damaged = damaged.or(Some(error)),
            }
        }
        match damaged {
            Some(error) => Err(error),
            None => Ok(pins),
        }
    }

    /// Verifies a page just read, or replaces it by zeros where that is wanted.
    fn judge(
        &self,
        rel: RelationFile,
        fork: Fork,
        block: BlockNumber,
        page: &mut Page,
        mode: ReadMode,
    ) -> Result<()> {
        use std::sync::atomic::Ordering::Relaxed;
        let verdict = page.verify(block, self.config.checksums);
        let path = || rel.path(fork);
        if let Verdict::WrongChecksum { calculated, stored, header_is_sane } = verdict {
            tracing::warn!(
                "page verification failed, calculated checksum {calculated} but expected {stored}"
            );
            if self.switches.ignore_checksum_failure.load(Relaxed) && header_is_sane {
                tracing::warn!("ignoring checksum failure in block {block} of relation \"{}\"", path());
                return Ok(());
            }
        }
        if verdict == Verdict::Valid {
            return Ok(());
        }
        if mode == ReadMode::ZeroOnError || self.switches.zero_damaged_pages.load(Relaxed) {
            tracing::warn!("invalid page in block {block} of relation \"{}\"; zeroing out page", path());
            page.zero();
            return Ok(());
        }
        Err(Error::data_corrupted(format!("invalid page in block {block} of relation \"{}\"", path())))
    }
}
