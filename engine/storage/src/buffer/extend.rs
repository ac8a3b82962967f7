//! Making a fork longer: frames and zero blocks on disk, in one step.

use std::sync::Arc;

use kokkiri_primitives::error::Result;
use kokkiri_primitives::{BlockNumber, Fork};

use super::descriptor::BufferTag;
use super::frame::{PageWriteGuard, PinnedBuffer};
use super::ring::Ring;
use super::{BufferPool, Pool};
use crate::smgr::RelationFile;

/// New, zeroed blocks at the end of a fork, rising.
#[derive(Debug)]
pub struct Extension {
    /// The first, locked before anybody else could find it.
    pub first: PageWriteGuard,
    /// The others, pinned.
    pub rest: Vec<PinnedBuffer>,
}

impl BufferPool {
    /// Adds `count` zeroed blocks to a fork, fewer if few frames are free, at least one:
    /// `ExtendBufferedRelBy`. The caller initialises and logs them.
    ///
    /// # Errors
    /// 53100 on a full disk; the fork then has its old length.
    pub fn extend(
        &self,
        rel: RelationFile,
        fork: Fork,
        count: usize,
        ring: Option<&Ring>,
    ) -> Result<Extension> {
        self.route_own(rel)?.extend(rel, fork, count, None, ring)
    }

    /// Makes the fork at least `blocks` long, creating it if it is missing, and pins its last block of
    /// those, zeroed if it is new: `ExtendBufferedRelTo`.
    pub fn extend_to(&self, rel: RelationFile, fork: Fork, blocks: u32) -> Result<PinnedBuffer> {
        let pool = self.route_own(rel)?;
        if !pool.smgr.exists(rel, fork)? {
            pool.smgr.create(rel, fork, true)?;
        }
        loop {
            let current = pool.smgr.blocks(rel, fork)?;
            if current >= blocks {
                let mode = super::ReadMode::ZeroOnError;
                return self.read(rel, fork, BlockNumber(blocks - 1), mode, None);
            }
            let count = (blocks - current).min(64) as usize;
            // Somebody may extend at the same time; then the last block is theirs or ours alike.
            drop(pool.extend(rel, fork, count, Some(blocks), None)?);
        }
    }
}

impl Pool {
    /// `target`: don't grow beyond this length.
    fn extend(
        &self,
        rel: RelationFile,
        fork: Fork,
        count: usize,
        target: Option<u32>,
        ring: Option<&Ring>,
    ) -> Result<Extension> {
        self.poison.check()?;
        let count = count.clamp(1, self.config.pin_limit.max(1));
        // Frames first: writing out their old pages is slow, and others may extend meanwhile.
        let mut victims = vec![self.victim(ring)?];
        while victims.len() < count {
            match self.victim(ring) {
                Ok(victim) => victims.push(victim),
                Err(_) => break,
            }
        }
        let state = self.smgr.fork_state(rel, fork);
        let state = Arc::clone(&state);
        let (_extension, first) = self.smgr.lock_extension(&state, rel, fork)?;
        if let Some(target) = target {
            victims.truncate((target.saturating_sub(first) as usize).max(1));
        }
        let count = victims.len() as u32;
        if u64::from(first) + u64::from(count) > u64::from(BlockNumber::MAX.0) {
            return Err(kokkiri_primitives::error!(
                PROGRAM_LIMIT_EXCEEDED,
                "cannot extend relation {rel} beyond {} blocks",
                BlockNumber::MAX
            ));
        }
        let pins = self.map_new_blocks(rel, fork, first, victims)?;
        let mut fillings = Vec::with_capacity(pins.len());
        for pin in pins {
            match self.start_filling(&pin) {
                Some(mut filling) => {
                    filling.page().zero();
                    fillings.push(filling);
                }
                None => {
                    return Err(kokkiri_primitives::Error::internal(format!(
                        "unexpected data beyond EOF in block {} of relation \"{}\"",
                        pin.block(),
                        rel.path(fork)
                    )));
                }
            }
        }
        // On failure the frames stay mapped but invalid; the sweep takes them.
        self.smgr.extend_zeroed(&state, rel, fork, first, count)?;
        self.count(
            |usage| usage.shared_written.add(u64::from(count)),
            |usage| {
                usage.local_written.add(u64::from(count));
            },
        );
        let mut fillings = fillings.into_iter();
        let first = fillings.next().expect("at least one block").finish_locked();
        Ok(Extension { first, rest: fillings.map(|filling| filling.finish()).collect() })
    }

    /// Enters frames for blocks that nobody can ask for yet, as they lie beyond the end.
    fn map_new_blocks(
        &self,
        rel: RelationFile,
        fork: Fork,
        first: u32,
        victims: Vec<PinnedBuffer>,
    ) -> Result<Vec<PinnedBuffer>> {
        let mut pins = Vec::with_capacity(victims.len());
        for (index, victim) in victims.into_iter().enumerate() {
            let tag = BufferTag { locator: rel.locator, fork, block: BlockNumber(first + index as u32) };
            let chain = self.mapping.lock(tag.hash());
            if let Some(frame) = chain.find(&self.descriptors, &tag) {
                // A frame left over from a failed extension or a read beyond the end.
                let found = self.pin_frame(frame, super::descriptor::Touch::Normal);
                drop(chain);
                let spare = victim.frame();
                drop(victim);
                self.replacement.push_free(spare);
                let (pin, _) = found.expect("a mapped frame has a tag");
                pins.push(pin);
                continue;
            }
            let flags = if rel.is_logged(fork) { super::descriptor::PERMANENT } else { 0 };
            victim.descriptor().assign(&tag, flags);
            chain.insert(&self.descriptors, victim.frame());
            drop(chain);
            pins.push(victim);
        }
        Ok(pins)
    }
}
