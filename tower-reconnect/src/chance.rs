//! Random numbers for delays: not for secrets.

use std::sync::atomic::{AtomicU64, Ordering};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

/// Where the random numbers of one service come from: from its seed if there is one, in the order in
/// which they are asked for, else from the thread's own generator.
#[derive(Debug, Default)]
pub(crate) struct Chance {
    drawn: AtomicU64,
}

impl Chance {
    /// Uniform over all of `u64`.
    pub(crate) fn draw(&self, seed: Option<u64>) -> u64 {
        let Some(seed) = seed else {
            return rand::random();
        };
        // Each seed's first number is as good as any, and one number is all of our state.
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        let seed = seed.wrapping_add(drawn.wrapping_mul(STEP));
        SmallRng::seed_from_u64(seed).next_u64()
    }
}

/// The golden ratio: seeds that are neighbours, as a test's are, share no number for long.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
