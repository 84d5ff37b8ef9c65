//! Random numbers for delays: not for secrets.

use std::sync::atomic::{AtomicU64, Ordering};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

/// Where the random numbers of one connection come from.
#[derive(Debug)]
pub(crate) enum Chance {
    /// From the thread's own generator.
    Thread,
    /// From a seed, in the order in which they are asked for.
    Seeded(AtomicU64),
}

impl Chance {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        seed.map_or(Self::Thread, |seed| Self::Seeded(AtomicU64::new(seed)))
    }

    /// Uniform over all of `u64`.
    pub(crate) fn draw(&self) -> u64 {
        match self {
            Self::Thread => rand::random(),
            Self::Seeded(next) => {
                // Each seed's first number is as good as any, and one number is all of our state.
                let seed = next.fetch_add(STEP, Ordering::Relaxed);
                SmallRng::seed_from_u64(seed).next_u64()
            }
        }
    }
}

/// The golden ratio: seeds that are neighbours, as a test's are, share no number for long.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
