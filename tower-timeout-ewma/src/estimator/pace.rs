use crate::sync::{AtomicU64, Ordering::Relaxed};

/// How many of the requests are measured: all, or where they are very many, one of so many by chance.
///
/// Some thousands a second tell all that there is to know; more would only cost. Which ones must not
/// depend on how long they take, so it is decided when they start, and one that is not measured teaches
/// nothing, whether it is answered or not.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Until when it holds, in nanoseconds, but for the last four bits: the logarithm of how many are
    /// one. Zero if all are measured.
    word: AtomicU64,
    /// How many requests there are in a second, smoothed: the bits of an `f64`.
    rate: AtomicU64,
    /// Measured in a second.
    wanted: f64,
}

impl Pace {
    pub(crate) fn new(samples_per_second: u32) -> Self {
        Self {
            word: AtomicU64::new(0),
            rate: AtomicU64::new(0),
            wanted: samples_per_second.into(),
        }
    }

    /// Whether a request that starts now is measured. It is by chance: `random` is any number.
    #[inline]
    pub(crate) fn measures(&self, now: impl FnOnce() -> u64, random: impl FnOnce() -> u32) -> bool {
        let word = self.word.load(Relaxed);
        // The common case.
        if word == 0 {
            return true;
        }
        let one_in = 1_u32 << (word & OCTAVES);
        let random = random();
        if random & (one_in - 1) == 0 {
            return true;
        }
        // The load may have gone, and nobody is left who would say so. Looking at the time costs more
        // than all of this, so few do.
        random >> 29 == 0 && now() >= word
    }

    /// Whether less than all are measured though there was nobody to say so for long.
    #[inline]
    pub(crate) fn has_lapsed(&self, now: u64) -> bool {
        let word = self.word.load(Relaxed);
        word != 0 && now >= word
    }

    /// So many were measured in the time before `now`, in nanoseconds. Told by one thread at a time.
    ///
    /// It changes seldom: each time, the fast ones of the new kind are answered before the slow ones.
    pub(crate) fn adapt(&self, measured: f64, passed: u64, now: u64) {
        let word = self.word.load(Relaxed);
        let seconds = passed.max(SHORTEST) as f64 / 1e9;
        let (octaves, before) = match self.has_lapsed(now) {
            true => (0.0, 0.0),
            false => (
                (word & OCTAVES) as f64,
                f64::from_bits(self.rate.load(Relaxed)),
            ),
        };
        let rate = measured * octaves.exp2() / seconds;
        let rate = rate + (before - rate) * (-seconds / SMOOTHED).exp();
        self.rate.store(rate.to_bits(), Relaxed);

        let wanted = (rate / self.wanted).log2().clamp(0.0, MOST_OCTAVES);
        let octaves = match (wanted - octaves).abs() > 1.0 {
            true => wanted.round(),
            false => octaves,
        };
        let word = match octaves as u64 {
            0 => 0,
            octaves => (now.saturating_add(LASTS) & !OCTAVES) | octaves,
        };
        self.word.store(word, Relaxed);
    }
}

/// The bits for them.
const OCTAVES: u64 = 15;
/// One in a thousand.
const MOST_OCTAVES: f64 = 10.0;
/// Seconds.
const SMOOTHED: f64 = 1.0;
/// A burst is no rate: 17 ms.
const SHORTEST: u64 = 1 << 24;
/// 67 ms.
const LASTS: u64 = 1 << 26;
