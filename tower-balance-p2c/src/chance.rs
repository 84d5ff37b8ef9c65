//! Random numbers for picks: fast, not for secrets.

use std::cell::RefCell;

use rand::{SeedableRng as _, rngs::SmallRng};

use crate::sync::{AtomicU64, Ordering};

/// Where a balancer's random numbers come from.
#[derive(Debug)]
pub(crate) enum Chance {
    /// From the thread's own generator, which shares nothing with other threads.
    Thread,
    /// From a seed, in the order in which they are asked for: for tests and simulations.
    Seeded(AtomicU64),
}

impl Chance {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        seed.map_or(Self::Thread, |seed| Self::Seeded(AtomicU64::new(seed)))
    }

    #[inline]
    pub(crate) fn with<T>(&self, draw: impl FnOnce(&mut SmallRng) -> T) -> T {
        match self {
            // A pick within a pick finds it taken, and makes its own.
            Self::Thread => GENERATOR.with(|generator| match generator.try_borrow_mut() {
                Ok(mut generator) => draw(generator.get_or_insert_with(|| rand::make_rng())),
                Err(_) => draw(&mut rand::make_rng()),
            }),
            Self::Seeded(next) => {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                draw(&mut SmallRng::seed_from_u64(seed))
            }
        }
    }

    /// Uniform from 0 to 1.
    pub(crate) fn uniform(&self) -> f64 {
        self.with(rand::RngExt::random)
    }
}

thread_local! {
    static GENERATOR: RefCell<Option<SmallRng>> = const { RefCell::new(None) };
}
