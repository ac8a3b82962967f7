//! Numbers that look random and depend on the seed alone.

/// SplitMix64: neighbouring seeds give unrelated numbers.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from zero to `limit` exclusive; zero if there is none.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit.max(1) as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// One of several that an iterator has; `None` if there is none.
    pub fn choose<T>(&mut self, mut of: impl ExactSizeIterator<Item = T>) -> Option<T> {
        let at = self.below(of.len());
        of.nth(at)
    }

    /// Rising numbers above `from`, `gap` apart on the average.
    pub fn rising(&mut self, from: u64, gap: usize, count: usize) -> Vec<u64> {
        let mut at = from;
        let mut next = || {
            at += 1 + self.below(2 * gap) as u64;
            at
        };
        (0..count).map(|_| next()).collect()
    }

    /// Takes some away, so that no more than `count` are left.
    pub fn thin<T>(&mut self, of: &mut Vec<T>, count: usize) {
        while of.len() > count {
            of.swap_remove(self.below(of.len()));
        }
    }
}
