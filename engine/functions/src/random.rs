//! The generator behind `random()`: xoroshiro128**, as PostgreSQL's pg_prng.c.

/// 128 bits of state.
#[derive(Clone, Copy, Debug)]
pub struct Generator {
    state: [u64; 2],
}

impl Default for Generator {
    /// Seeded from the hasher keys of the standard library, which come from the system.
    fn default() -> Self {
        use std::hash::{BuildHasher, Hasher};
        let key = || std::collections::hash_map::RandomState::new().build_hasher().finish();
        Self { state: [key() | 1, key()] }
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut value = *state;
    value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}

impl Generator {
    pub fn from_seed(mut seed: u64) -> Self {
        Self { state: [split_mix(&mut seed), split_mix(&mut seed)] }
    }

    /// `setseed`: from a number in [-1, 1].
    pub fn from_fraction(seed: f64) -> Self {
        Self::from_seed((((1u64 << 52) - 1) as f64 * seed) as i64 as u64)
    }

    pub fn next_u64(&mut self) -> u64 {
        let [first, second] = self.state;
        let value = first.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let mixed = second ^ first;
        self.state = [first.rotate_left(24) ^ mixed ^ mixed << 16, mixed.rotate_left(37)];
        value
    }

    /// In [0, 1), 52 bits of it.
    pub fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 12) as f64 * 2f64.powi(-52)
    }

    /// In `low..=high`, without bias.
    pub fn next_in(&mut self, low: i64, high: i64) -> i64 {
        let range = high.wrapping_sub(low) as u64;
        if range == 0 {
            return low;
        }
        let shift = range.leading_zeros();
        loop {
            let value = self.next_u64() >> shift;
            if value <= range {
                return low.wrapping_add(value as i64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_postgresqls_sequence() {
        // select setseed(0.5), then random() twice.
        let mut generator = Generator::from_fraction(0.5);
        assert_eq!(generator.next_f64(), SEEDED[0]);
        assert_eq!(generator.next_f64(), SEEDED[1]);
    }

    const SEEDED: [f64; 2] = [0.9851677175347999, 0.825301858027981];
}
