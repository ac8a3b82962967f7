//! Dropping, evicting and looking at frames.

use std::time::{Duration, Instant};

use kokkiri_primitives::error::{Error, Result};
use kokkiri_primitives::{BlockNumber, Fork, Oid};

use super::descriptor::{BufferTag, DIRTY, TAG_VALID, Touch, VALID};
use super::replacement::AllocationStatistics;
use super::{BufferPool, Pool};
use crate::smgr::RelationFile;

/// One frame, as pg_buffercache shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferInfo {
    /// From one.
    pub buffer_id: u32,
    /// `None` for a frame without a page; then the rest is zero.
    pub tag: Option<BufferTag>,
    pub dirty: bool,
    pub usage: u8,
    pub pins: u32,
}

/// Totals over all frames, as pg_buffercache_summary and pg_buffercache_usage_counts show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferSummary {
    pub used: u64,
    pub unused: u64,
    pub dirty: u64,
    pub pinned: u64,
    pub usage_total: u64,
    /// Per usage count: frames, dirty ones, pinned ones.
    pub by_usage: [(u64, u64, u64); 6],
}

/// What became of one frame: pg_buffercache_evict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvictOutcome {
    pub evicted: bool,
    pub flushed: bool,
}

/// Sums of [`EvictOutcome`]: pg_buffercache_evict_relation and _all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelationEviction {
    pub evicted: u64,
    pub flushed: u64,
    /// Pinned by somebody.
    pub skipped: u64,
}

/// How long a page that is to be dropped may be pinned by those who are just writing it out.
const DROP_PATIENCE: Duration = Duration::from_secs(60);

impl BufferPool {
    /// Forgets a relation's pages from block `first` of a fork on, without writing them:
    /// `DropRelationBuffers`. Nobody else uses the relation.
    pub fn drop_fork(&self, rel: RelationFile, fork: Fork, first: BlockNumber) -> Result<()> {
        let matches = |tag: &BufferTag| tag.locator == rel.locator && tag.fork == fork && tag.block >= first;
        self.route(rel).drop_where(matches)
    }

    /// Forgets all pages of relations that are dropped: `DropRelationsAllBuffers`.
    pub fn drop_relations(&self, rels: &[RelationFile]) -> Result<()> {
        let (local, shared): (Vec<RelationFile>, Vec<RelationFile>) =
            rels.iter().partition(|rel| rel.temp().is_some());
        for rel in local {
            self.route(rel).drop_where(|tag| tag.locator == rel.locator)?;
        }
        let mut locators: Vec<_> = shared.iter().map(|rel| rel.locator).collect();
        locators.sort_unstable();
        if locators.is_empty() {
            return Ok(());
        }
        self.shared.drop_where(|tag| locators.binary_search(&tag.locator).is_ok())
    }

    /// Forgets all pages of a database, without writing them: `DropDatabaseBuffers`.
    pub fn drop_database(&self, database: Oid) -> Result<()> {
        self.shared.drop_where(|tag| tag.locator.database == database)
    }

    /// All shared frames, one by one.
    pub fn inspect(&self) -> impl Iterator<Item = BufferInfo> + '_ {
        (0..self.frames() as u32).map(|frame| {
            let descriptor = self.shared.descriptor(frame);
            let state = descriptor.state();
            let tag = if state.has(TAG_VALID | VALID) { descriptor.tag() } else { None };
            let (dirty, usage, pins) = match tag {
                Some(_) => (state.has(DIRTY), state.usage() as u8, state.pins() as u32),
                None => (false, 0, 0),
            };
            BufferInfo { buffer_id: frame + 1, tag, dirty, usage, pins }
        })
    }

    pub fn summary(&self) -> BufferSummary {
        let mut summary = BufferSummary::default();
        for info in self.inspect() {
            if info.tag.is_none() {
                summary.unused += 1;
                summary.by_usage[0].0 += 1;
                continue;
            }
            let (dirty, pinned) = (u64::from(info.dirty), u64::from(info.pins > 0));
            summary.used += 1;
            summary.dirty += dirty;
            summary.pinned += pinned;
            summary.usage_total += u64::from(info.usage);
            let row = &mut summary.by_usage[usize::from(info.usage.min(5))];
            *row = (row.0 + 1, row.1 + dirty, row.2 + pinned);
        }
        summary
    }

    /// Pins held on shared frames at this moment, by everybody.
    pub fn pins(&self) -> u64 {
        self.shared.descriptors.iter().map(|descriptor| descriptor.state().pins()).sum()
    }

    /// Counters of the clock sweep; recent ones are not reset.
    pub fn allocation_statistics(&self) -> AllocationStatistics {
        self.shared.replacement.statistics(self.frames(), false)
    }

    /// Takes the page out of one frame, writing it first if it is dirty: pg_buffercache_evict. The frame
    /// is numbered from one.
    ///
    /// # Errors
    /// 22023 for a number that is no frame's.
    pub fn evict(&self, buffer_id: u32) -> Result<EvictOutcome> {
        match buffer_id.checked_sub(1) {
            Some(frame) if (frame as usize) < self.frames() => self.shared.evict(frame),
            _ => Err(kokkiri_primitives::error!(INVALID_PARAMETER_VALUE, "bad buffer ID: {buffer_id}")),
        }
    }

    /// Takes all pages of a relation out of memory.
    pub fn evict_relation(&self, rel: RelationFile) -> Result<RelationEviction> {
        self.shared.evict_where(|tag| tag.locator == rel.locator)
    }

    /// Takes all pages out of memory.
    pub fn evict_all(&self) -> Result<RelationEviction> {
        self.shared.evict_where(|_| true)
    }
}

impl Pool {
    fn drop_where(&self, matches: impl Fn(&BufferTag) -> bool) -> Result<()> {
        for frame in 0..self.descriptors.len() as u32 {
            let held = |descriptor: &super::Descriptor| {
                descriptor.state().has(TAG_VALID) && descriptor.tag().is_some_and(|tag| matches(&tag))
            };
            let descriptor = self.descriptor(frame);
            let started = Instant::now();
            while held(descriptor) {
                let Some((pin, _)) = self.pin_frame(frame, Touch::None) else { break };
                if !held(descriptor) {
                    break;
                }
                self.wait_io(frame);
                if self.empty_frame(&pin, true) {
                    drop(pin);
                    self.replacement.push_free(frame);
                    break;
                }
                let tag = pin.tag();
                drop(pin);
                // The checkpointer or the background writer has it for the time of one write.
                if started.elapsed() > DROP_PATIENCE {
                    return Err(Error::internal(format!(
                        "block {} of relation \"{}\" is still pinned",
                        tag.block,
                        self.relation_of(&tag, true).path(tag.fork)
                    )));
                }
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        Ok(())
    }

    fn evict(&self, frame: u32) -> Result<EvictOutcome> {
        let Some((pin, state)) = self.pin_frame(frame, Touch::None) else {
            return Ok(EvictOutcome::default());
        };
        if !self.is_valid(&pin) || state.pins() > 1 {
            return Ok(EvictOutcome::default());
        }
        let flushed = state.has(DIRTY) && self.flush_locked(&pin.clone().read())?;
        let evicted = self.empty_frame(&pin, false);
        drop(pin);
        if evicted {
            self.replacement.push_free(frame);
        }
        Ok(EvictOutcome { evicted, flushed })
    }

    fn evict_where(&self, matches: impl Fn(&BufferTag) -> bool) -> Result<RelationEviction> {
        let mut sum = RelationEviction::default();
        for frame in 0..self.descriptors.len() as u32 {
            let descriptor = self.descriptor(frame);
            if !descriptor.state().has(TAG_VALID | VALID)
                || !descriptor.tag().is_some_and(|tag| matches(&tag))
            {
                continue;
            }
            let outcome = self.evict(frame)?;
            sum.evicted += u64::from(outcome.evicted);
            sum.flushed += u64::from(outcome.flushed);
            sum.skipped += u64::from(!outcome.evicted);
        }
        Ok(sum)
    }
}
