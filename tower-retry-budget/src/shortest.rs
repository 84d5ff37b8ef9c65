//! The shortest latency of late: pure arithmetic on one atomic word, the time an argument.

use std::time::Duration;

use crate::sync::{AtomicU64, Ordering::Relaxed};

/// The shortest latency of the current ten seconds and the ten before.
///
/// A sample that is not the shortest is only compared, so that threads that note samples share
/// nothing but a word that they read.
///
/// The word has the number of the window in its upper 24 bits, then the shortest of the window
/// before and that of this one, each 20 bits of 16 microseconds. All ones are for none.
#[derive(Debug)]
pub(crate) struct Shortest {
    word: AtomicU64,
}

impl Shortest {
    /// Notes a latency at `age` since the epoch.
    pub(crate) fn note(&self, latency: Duration, age: Duration) {
        let units = latency.as_micros() / u128::from(UNIT_MICROS);
        let units = u64::try_from(units).map_or(NONE - 1, |units| units.min(NONE - 1));
        let mut word = self.word.load(Relaxed);
        loop {
            let windows = Windows::from(word).at(age);
            let noted = Windows {
                current: windows.current.min(units),
                ..windows
            };
            let new = u64::from(noted);
            if new == word {
                return;
            }
            match self.word.compare_exchange_weak(word, new, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(current) => word = current,
            }
        }
    }

    /// At `age` since the epoch. Zero if there was none.
    pub(crate) fn get(&self, age: Duration) -> Duration {
        let windows = Windows::from(self.word.load(Relaxed)).at(age);
        match windows.before.min(windows.current) {
            NONE => Duration::ZERO,
            units => Duration::from_micros(units * UNIT_MICROS),
        }
    }
}

impl Default for Shortest {
    fn default() -> Self {
        let empty = Windows {
            number: 0,
            before: NONE,
            current: NONE,
        };
        Self {
            word: AtomicU64::new(empty.into()),
        }
    }
}

#[derive(Clone, Copy)]
struct Windows {
    number: u64,
    before: u64,
    current: u64,
}

impl Windows {
    fn at(self, age: Duration) -> Self {
        let number = (age.as_secs() / WINDOW_SECONDS) & MAX_NUMBER;
        let before = match number.wrapping_sub(self.number) & MAX_NUMBER {
            0 => return self,
            1 => self.current,
            // A thread that read the clock before another that has already moved on.
            behind if behind > MAX_NUMBER / 2 => return self,
            _ => NONE,
        };
        Self {
            number,
            before,
            current: NONE,
        }
    }
}

impl From<u64> for Windows {
    fn from(word: u64) -> Self {
        Self {
            number: word >> (2 * BITS),
            before: (word >> BITS) & NONE,
            current: word & NONE,
        }
    }
}

impl From<Windows> for u64 {
    fn from(windows: Windows) -> Self {
        windows.number << (2 * BITS) | windows.before << BITS | windows.current
    }
}

const WINDOW_SECONDS: u64 = 10;

const UNIT_MICROS: u64 = 16;

const BITS: u32 = 20;

/// All 20 bits. Shorter ones go up to 16.7 seconds.
const NONE: u64 = (1 << BITS) - 1;

const MAX_NUMBER: u64 = (1 << 24) - 1;
