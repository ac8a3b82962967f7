//! Reading blocks in order, some ahead of their use, so that neighbours are read together.
//!
//! Realises: `read_stream.c`. The distance starts at one page, so that who wants one row reads one page;
//! it doubles with every read from disk, up to io_combine_limit, and shrinks while pages are in memory.

use std::collections::VecDeque;

use kokkiri_primitives::error::Result;
use kokkiri_primitives::{BlockNumber, Fork};

use super::BufferPool;
use super::frame::PinnedBuffer;
use super::ring::Ring;
use crate::smgr::RelationFile;

/// Pages of one fork in the order in which `blocks` names them.
#[derive(Debug)]
pub struct ReadStream<I: Iterator<Item = BlockNumber>> {
    rel: RelationFile,
    fork: Fork,
    blocks: std::iter::Peekable<I>,
    ring: Option<Ring>,
    ready: VecDeque<PinnedBuffer>,
    distance: usize,
}

impl<I: Iterator<Item = BlockNumber>> ReadStream<I> {
    pub fn new(
        rel: RelationFile,
        fork: Fork,
        ring: Option<Ring>,
        blocks: impl IntoIterator<IntoIter = I>,
    ) -> Self {
        let blocks = blocks.into_iter().peekable();
        Self { rel, fork, blocks, ring, ready: VecDeque::new(), distance: 1 }
    }

    /// The next page, pinned; `None` after the last block.
    pub fn next(&mut self, pool: &BufferPool) -> Result<Option<PinnedBuffer>> {
        if self.ready.is_empty() {
            self.look_ahead(pool)?;
        }
        Ok(self.ready.pop_front())
    }

    fn look_ahead(&mut self, pool: &BufferPool) -> Result<()> {
        let Some(first) = self.blocks.next() else { return Ok(()) };
        let mut count = 1;
        while count < self.distance
            && self.blocks.next_if(|next| u64::from(next.0) == u64::from(first.0) + count as u64).is_some()
        {
            count += 1;
        }
        let ring_limit = self.ring.as_ref().map_or(usize::MAX, Ring::pin_limit);
        let limit = pool.config().io_combine_limit.min(ring_limit).max(1);
        let mut done = 0;
        while done < count {
            let from = BlockNumber(first.0 + done as u32);
            let run = pool.read_run(self.rel, self.fork, from, count - done, self.ring.as_ref())?;
            self.distance = match run.read_from_disk {
                true => (self.distance * 2).min(limit),
                false => self.distance.saturating_sub(1).max(1),
            };
            done += run.pins.len();
            self.ready.extend(run.pins);
        }
        Ok(())
    }
}
