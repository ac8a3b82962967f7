//! A random sample of a table's rows, taken in one pass over a random sample of its blocks.
//!
//! Realises: PostgreSQL's `sampling.c` and `acquire_sample_rows`. Two stages: Knuth's algorithm S picks
//! blocks, Vitter's algorithm Z keeps a reservoir of the rows found in them. Every row of the table is
//! equally likely to be in the sample as long as rows are spread evenly over blocks.

/// Rows sampled for each unit of the statistics target.
pub const ROWS_PER_TARGET: usize = 300;

/// A small, fast generator of uniform random numbers (xoshiro256**), seeded by the caller so that a
/// sample can be repeated.
#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }))
    }

    fn bits(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in the open interval from 0 to 1.
    pub fn fraction(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }
}

/// Picks `wanted` of `total` blocks in rising order, every subset equally likely (`BlockSampler`).
#[derive(Clone, Debug)]
pub struct BlockSampler {
    total: u32,
    next: u32,
    wanted: u32,
    picked: u32,
    random: Random,
}

impl BlockSampler {
    pub fn new(total: u32, wanted: u32, random: Random) -> Self {
        Self { total, next: 0, wanted, picked: 0, random }
    }
}

impl Iterator for BlockSampler {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let mut remaining = self.total - self.next;
        let needed = self.wanted.saturating_sub(self.picked);
        if remaining == 0 || needed == 0 {
            return None;
        }
        if needed < remaining {
            // The chance of skipping k blocks falls with k; one random number decides how far to go.
            let chance = self.random.fraction();
            let mut skip = 1.0 - f64::from(needed) / f64::from(remaining);
            while chance < skip {
                self.next += 1;
                remaining -= 1;
                skip *= 1.0 - f64::from(needed) / f64::from(remaining);
            }
        }
        self.picked += 1;
        self.next += 1;
        Some(self.next - 1)
    }
}

/// Keeps a uniform sample of a stream whose length is not known (Vitter's algorithm Z).
#[derive(Clone, Debug)]
pub struct Reservoir<T> {
    rows: Vec<T>,
    capacity: usize,
    seen: f64,
    skip: f64,
    w: f64,
    random: Random,
}

impl<T> Reservoir<T> {
    pub fn new(capacity: usize, mut random: Random) -> Self {
        let w = (-random.fraction().ln() / capacity as f64).exp();
        Self { rows: Vec::new(), capacity, seen: 0.0, skip: -1.0, w, random }
    }

    /// Offers a row; `make` is called only if it enters the sample.
    pub fn offer(&mut self, make: impl FnOnce() -> T) {
        if self.rows.len() < self.capacity {
            self.rows.push(make());
        } else {
            if self.skip < 0.0 {
                self.skip = self.next_skip();
            }
            if self.skip <= 0.0 {
                let victim = (self.capacity as f64 * self.random.fraction()) as usize;
                self.rows[victim.min(self.capacity - 1)] = make();
            }
            self.skip -= 1.0;
        }
        self.seen += 1.0;
    }

    pub fn seen(&self) -> f64 {
        self.seen
    }

    pub fn into_rows(self) -> Vec<T> {
        self.rows
    }

    /// How many rows to pass over before the next one enters (`reservoir_get_next_S`).
    fn next_skip(&mut self) -> f64 {
        let (n, t) = (self.capacity as f64, self.seen);
        if t <= 22.0 * n {
            // Algorithm X: search the distribution linearly while that is cheap.
            let chance = self.random.fraction();
            let mut skip = 0.0;
            let mut t = t + 1.0;
            let mut quotient = (t - n) / t;
            while quotient > chance {
                skip += 1.0;
                t += 1.0;
                quotient *= (t - n) / t;
            }
            return skip;
        }
        let term = t - n + 1.0;
        loop {
            // Algorithm Z: rejection from an easy distribution that lies close above.
            let u = self.random.fraction();
            let x = t * (self.w - 1.0);
            let skip = x.floor();
            let lhs = (((u * ((t + 1.0) / term).powi(2)) * (term + skip)) / (t + x)).ln() / n;
            let rhs = (((t + x) / (term + skip)) * term) / t;
            if lhs.exp() <= rhs {
                self.w = rhs / lhs.exp();
                return skip;
            }
            let mut y = (((u * (t + 1.0)) / term) * (t + skip + 1.0)) / (t + x);
            let (mut denominator, bound) = if n < skip { (t, term + skip) } else { (t - n + skip, t + 1.0) };
            let mut numerator = t + skip;
            while numerator >= bound {
                y *= numerator / denominator;
                denominator -= 1.0;
                numerator -= 1.0;
            }
            self.w = (-self.random.fraction().ln() / n).exp();
            if (y.ln() / n).exp() <= (t + x) / t {
                return skip;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_distinct_rising_and_as_many_as_wanted() {
        for seed in 0..50 {
            let blocks: Vec<u32> = BlockSampler::new(1000, 100, Random::new(seed)).collect();
            assert_eq!(blocks.len(), 100);
            assert!(blocks.windows(2).all(|pair| pair[0] < pair[1]) && blocks[99] < 1000);
        }
        assert_eq!(BlockSampler::new(7, 100, Random::new(1)).count(), 7);
    }

    #[test]
    fn a_reservoir_is_fair_to_early_and_late_rows() {
        let mut sums = [0u32; 4];
        for seed in 0..40 {
            let mut reservoir = Reservoir::new(100, Random::new(seed));
            (0..10_000u32).for_each(|row| reservoir.offer(|| row));
            let rows = reservoir.into_rows();
            assert_eq!(rows.len(), 100);
            rows.iter().for_each(|row| sums[(row / 2500) as usize] += 1);
        }
        assert!(sums.iter().all(|&sum| (880..1120).contains(&sum)), "{sums:?}");
    }
}
