//! The delay after which a second attempt is sent: what is learnt, the time an argument.

use std::time::Duration;

use super::windows::{SLOTS, Sample, Windows};
use crate::{
    nanos::nanos,
    sync::{AtomicU64, Mutex, Ordering::Relaxed},
};

/// What the delay is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) quantile: f64,
    pub(crate) min_samples: u32,
    pub(crate) min_delay: Duration,
    pub(crate) window: Duration,
}

/// Learns how long attempts take, and publishes the delay in one word.
///
/// Nobody waits for a lock: a sample is written down in the lane of its thread, and some thirty
/// times in a window one of the threads carries all lanes into the histograms and publishes
/// anew. A sample whose lane is busy at that moment is missed. Times are nanoseconds since an epoch;
/// one that is earlier than what was seen before changes nothing.
///
/// Relaxed ordering is enough: nothing but the word itself is published.
#[derive(Debug)]
pub(crate) struct Estimator {
    published: Published,
    lanes: Box<[Lane]>,
    windows: Mutex<Windows>,
    rule: Rule,
    slot: u64,
    /// The delay is published once in 2 to this power nanoseconds.
    tick_bits: u32,
}

impl Estimator {
    /// With as many lanes as a power of two.
    pub(crate) fn new(rule: Rule, lanes: usize) -> Self {
        let window = nanos(rule.window);
        Self {
            published: Published(AtomicU64::new(Word::default().into())),
            lanes: (0..lanes.max(1)).map(|_| Lane::new()).collect(),
            windows: Mutex::new(Windows::new()),
            slot: (window / SLOTS as u64).max(1),
            tick_bits: (window / TICKS).max(1).ilog2(),
            rule,
        }
    }

    /// How long to wait for the first attempt, or `None` while too little is known: at first, and
    /// when a window has passed without samples.
    pub(crate) fn delay(&self, now: u64) -> Option<Duration> {
        let word = self.word();
        let window = self.tick(nanos(self.rule.window)).cast_signed();
        let is_known = word.micros > 0 && self.ticks_since(word, now) <= window;
        is_known.then(|| Duration::from_micros(word.micros.into()))
    }

    /// Whether there was a delay when it was last published, however long ago.
    pub(crate) fn is_known(&self) -> bool {
        self.word().micros > 0
    }

    /// An attempt has succeeded before it had any age. The time is asked for only now and then.
    pub(crate) fn answered_at_once(&self, lane: usize, now: impl FnOnce() -> u64) {
        let at_once = Sample::Answered(0);
        if !self.push(lane, at_once) {
            self.refresh_if_due(now());
            self.empty(lane);
            self.push(lane, at_once);
        }
    }

    /// An attempt has succeeded at this age.
    pub(crate) fn answered(&self, lane: usize, age: Duration, now: u64) {
        self.record(lane, Sample::Answered(micros(age)), now);
    }

    /// An attempt was given up at this age.
    pub(crate) fn outlived(&self, lane: usize, age: Duration, now: u64) {
        self.record(lane, Sample::Outlived(micros(age)), now);
    }

    pub(crate) fn rule(&self) -> Rule {
        self.rule
    }

    fn record(&self, lane: usize, sample: Sample, now: u64) {
        // What is in the lanes is older than this sample.
        self.refresh_if_due(now);
        if !self.push(lane, sample) {
            self.empty(lane);
            self.push(lane, sample);
        }
    }

    /// Whether it was not kept out by a full lane.
    fn push(&self, lane: usize, sample: Sample) -> bool {
        // One that is busy misses the sample.
        let Ok(mut samples) = self.lane(lane).try_lock() else {
            return true;
        };
        let has_room = samples.len() < IN_A_LANE;
        if has_room {
            samples.push(sample);
        }
        has_room
    }

    fn empty(&self, lane: usize) {
        if let Ok(mut windows) = self.windows.try_lock() {
            carry(self.lane(lane), &mut windows);
        }
    }

    fn refresh_if_due(&self, now: u64) {
        if self.ticks_since(self.word(), now) <= 0 {
            return;
        }
        let Ok(mut windows) = self.windows.try_lock() else {
            return;
        };
        // The word is written only under the lock, so that it does not go back.
        if self.ticks_since(self.word(), now) <= 0 {
            return;
        }
        for lane in &self.lanes {
            carry(&lane.0, &mut windows);
        }
        windows.advance(now / self.slot);
        let Rule {
            quantile,
            min_samples,
            min_delay,
            ..
        } = self.rule;
        let age = windows.quantile(quantile, min_samples.into());
        let micros = age.map_or(0, |age| clamped(age).max(micros(min_delay)).max(1));
        let tick = self.tick(now);
        self.published
            .0
            .store(Word { tick, micros }.into(), Relaxed);
    }

    fn lane(&self, lane: usize) -> &Mutex<Vec<Sample>> {
        &self.lanes[lane & (self.lanes.len() - 1)].0
    }

    fn word(&self) -> Word {
        self.published.0.load(Relaxed).into()
    }

    /// Below zero if the word is from later.
    fn ticks_since(&self, word: Word, now: u64) -> i32 {
        self.tick(now).wrapping_sub(word.tick).cast_signed()
    }

    /// Wraps around after more than a hundred windows' worth of years; only differences count.
    fn tick(&self, now: u64) -> u32 {
        (now >> self.tick_bits) as u32
    }
}

/// On a cache line of its own: all requests read it, and few write.
#[derive(Debug)]
#[repr(align(128))]
struct Published(AtomicU64);

/// Samples on their way into the histograms.
#[derive(Debug)]
#[repr(align(128))]
struct Lane(Mutex<Vec<Sample>>);

impl Lane {
    fn new() -> Self {
        Self(Mutex::new(Vec::with_capacity(IN_A_LANE)))
    }
}

/// What is published: the delay, zero for none, and when.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    tick: u32,
    micros: u32,
}

impl From<u64> for Word {
    fn from(word: u64) -> Self {
        Self {
            tick: (word >> 32) as u32,
            micros: word as u32,
        }
    }
}

impl From<Word> for u64 {
    fn from(word: Word) -> Self {
        Self::from(word.tick) << 32 | Self::from(word.micros)
    }
}

/// Carries what is in a lane into the histograms.
fn carry(lane: &Mutex<Vec<Sample>>, windows: &mut Windows) {
    if let Ok(mut samples) = lane.try_lock() {
        samples.drain(..).for_each(|sample| windows.add(sample));
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

fn clamped(micros: u64) -> u32 {
    u32::try_from(micros).unwrap_or(u32::MAX)
}

/// At least so many in a window.
const TICKS: u64 = 32;

const IN_A_LANE: usize = 64;
