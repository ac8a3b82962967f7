//! The background writer's rounds: cleaning, ahead of the clock hand, the pages it will come to.
//!
//! Realises: `BgBufferSync`. Each round estimates how many frames will be asked for until the next, from
//! a moving average of the past, and how many of the frames ahead can be reused, and writes what is
//! missing.

use kokkiri_primitives::error::Result;

use super::descriptor::{DIRTY, VALID};
use super::{BufferPool, Pool};

/// Rounds that the averages look back on.
const SMOOTHING: f64 = 16.0;
/// The whole pool is looked at in this time even without load.
const WHOLE_POOL_MS: f64 = 120_000.0;

/// What the background writer remembers between rounds.
#[derive(Debug)]
pub struct BackgroundSweep {
    /// Hand and rounds of the clock at the last call; `None` before the first.
    previous: Option<(i64, i64)>,
    next_frame: i64,
    next_round: i64,
    smoothed_allocation: f64,
    /// Frames the hand passes for each one it takes.
    smoothed_density: f64,
}

impl Default for BackgroundSweep {
    fn default() -> Self {
        Self {
            previous: None,
            next_frame: 0,
            next_round: 0,
            smoothed_allocation: 0.0,
            smoothed_density: 10.0,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// pg_stat_bgwriter's `buffers_clean`.
    pub written: usize,
    /// It stopped because it had written `max_pages`: `maxwritten_clean`.
    pub reached_limit: bool,
    /// There was nothing to do: the caller may sleep longer.
    pub idle: bool,
}

enum Cleaned {
    Written,
    Reusable,
    InUse,
}

impl BackgroundSweep {
    /// One round, with bgwriter_lru_maxpages, bgwriter_lru_multiplier and bgwriter_delay.
    pub fn round(
        &mut self,
        buffers: &BufferPool,
        max_pages: usize,
        multiplier: f64,
        delay_ms: u64,
    ) -> Result<SweepReport> {
        let pool = &buffers.shared;
        let frames = pool.descriptors.len() as i64;
        let now = pool.replacement.statistics(frames as usize, true);
        let (hand, round, recent) = (now.hand as i64, now.rounds as i64, now.recent as f64);
        if max_pages == 0 {
            self.previous = None;
            return Ok(SweepReport { idle: true, ..SweepReport::default() });
        }
        let (hand_moved, to_lap) = self.compare(hand, round, frames);
        self.previous = Some((hand, round));
        if hand_moved > 0 && recent > 0.0 {
            self.smoothed_density += (hand_moved as f64 / recent - self.smoothed_density) / SMOOTHING;
        }
        let reusable_ahead = (frames - to_lap) as f64 / self.smoothed_density;
        if self.smoothed_allocation <= recent {
            self.smoothed_allocation = recent;
        } else {
            self.smoothed_allocation += (recent - self.smoothed_allocation) / SMOOTHING;
        }
        let mut upcoming = self.smoothed_allocation * multiplier;
        if upcoming < 1.0 {
            self.smoothed_allocation = 0.0;
        }
        let least_scan = frames as f64 / (WHOLE_POOL_MS / delay_ms.max(1) as f64);
        upcoming = upcoming.max(least_scan + reusable_ahead);
        let mut report = SweepReport { idle: to_lap == 0 && recent == 0.0, ..SweepReport::default() };
        let (mut left, mut reusable) = (to_lap, reusable_ahead);
        while left > 0 && reusable < upcoming {
            let outcome = pool.clean(self.next_frame as u32)?;
            self.next_frame += 1;
            if self.next_frame >= frames {
                self.next_frame = 0;
                self.next_round += 1;
            }
            left -= 1;
            match outcome {
                Cleaned::InUse => {}
                Cleaned::Reusable => reusable += 1.0,
                Cleaned::Written => {
                    reusable += 1.0;
                    report.written += 1;
                    if report.written >= max_pages {
                        report.reached_limit = true;
                        break;
                    }
                }
            }
        }
        let (scanned, found) = ((to_lap - left) as f64, reusable - reusable_ahead);
        if scanned > 0.0 && found > 0.0 {
            self.smoothed_density += (scanned / found - self.smoothed_density) / SMOOTHING;
        }
        Ok(report)
    }

    /// How far the hand has moved, and how many frames are left until cleaning would lap it. Catches up
    /// if the hand has overtaken.
    fn compare(&mut self, hand: i64, round: i64, frames: i64) -> (i64, i64) {
        let Some((old_hand, old_round)) = self.previous else {
            (self.next_frame, self.next_round) = (hand, round);
            return (0, frames);
        };
        let moved = hand - old_hand + (round - old_round) * frames;
        let to_lap = if self.next_round > round {
            hand - self.next_frame
        } else if self.next_round == round && self.next_frame >= hand {
            frames - (self.next_frame - hand)
        } else {
            (self.next_frame, self.next_round) = (hand, round);
            frames
        };
        (moved, to_lap)
    }
}

impl Pool {
    /// Writes the frame's page if nobody has used it lately: `SyncOneBuffer`.
    fn clean(&self, frame: u32) -> Result<Cleaned> {
        let state = self.descriptor(frame).state();
        if state.pins() > 0 || state.usage() > 0 {
            return Ok(Cleaned::InUse);
        }
        if state.has(VALID | DIRTY) && self.flush_frame(frame)? {
            return Ok(Cleaned::Written);
        }
        Ok(Cleaned::Reusable)
    }
}
