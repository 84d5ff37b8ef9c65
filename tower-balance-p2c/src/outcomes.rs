//! How the requests of one endpoint ended: totals, the last 64 in their order, and a window of time.
//! Lock-free; nanoseconds in, no clock. Latency has no part in it.

use crate::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Outcomes {
    successes: AtomicU64,
    failures: AtomicU64,
    /// One bit for each of the last outcomes, the latest lowest; a failure is a one. Only what came
    /// after a failure is written, so that those who never fail share no cache line.
    history: AtomicU64,
    last_failure: AtomicU64,
    /// The end of the current part of the window.
    turn_at: AtomicU64,
    /// The totals when each part of the window began.
    marks: [Mark; PARTS],
    window: u64,
}

#[derive(Debug, Default)]
struct Mark {
    successes: AtomicU64,
    failures: AtomicU64,
}

/// Successes and failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) successes: u64,
    pub(crate) failures: u64,
}

impl Counts {
    pub(crate) fn total(self) -> u64 {
        self.successes.saturating_add(self.failures)
    }
}

impl Outcomes {
    pub(crate) fn new(now: u64, window: u64) -> Self {
        Self {
            successes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            history: AtomicU64::new(0),
            last_failure: AtomicU64::new(0),
            turn_at: AtomicU64::new(now.saturating_add(window / PARTS as u64)),
            marks: std::array::from_fn(|_| Mark::default()),
            window,
        }
    }

    pub(crate) fn record_success(&self, now: u64) {
        self.turn(now);
        self.successes.fetch_add(1, Ordering::Relaxed);
        if self.history.load(Ordering::Relaxed) != 0 {
            self.shift(0);
        }
    }

    pub(crate) fn record_failure(&self, now: u64) {
        self.turn(now);
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.stumbled(now);
    }

    /// Something failed that was no request.
    pub(crate) fn stumbled(&self, now: u64) {
        // Zero stands for never.
        let last = self.last_failure.fetch_max(now.max(1), Ordering::Relaxed);
        if now.saturating_sub(last) > self.window {
            self.history.store(0, Ordering::Relaxed);
        }
        self.shift(1);
    }

    /// The endpoint begins anew: what it did before is not held against it.
    pub(crate) fn forgive(&self) {
        self.history.store(0, Ordering::Relaxed);
        self.last_failure.store(0, Ordering::Relaxed);
        for mark in &self.marks {
            self.mark(mark);
        }
    }

    pub(crate) fn totals(&self) -> Counts {
        Counts {
            successes: self.successes.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }

    /// Whether it has failed within the window.
    pub(crate) fn has_failed(&self, now: u64) -> bool {
        let last = self.last_failure.load(Ordering::Relaxed);
        last != 0 && now.saturating_sub(last) <= self.window
    }

    /// The latest outcomes, a one for each failure, the latest lowest.
    pub(crate) fn history(&self, now: u64) -> u64 {
        if self.has_failed(now) {
            self.history.load(Ordering::Relaxed)
        } else {
            0
        }
    }

    /// What happened within the window, give or take a tenth of it.
    pub(crate) fn in_window(&self, now: u64) -> Counts {
        self.turn(now);
        let part = (self.window / PARTS as u64).max(1);
        let current = (self.turn_at.load(Ordering::Relaxed) / part) as usize;
        let oldest = &self.marks[(current + 1) % PARTS];
        let totals = self.totals();
        let since =
            |total: u64, mark: &AtomicU64| total.saturating_sub(mark.load(Ordering::Relaxed));
        Counts {
            successes: since(totals.successes, &oldest.successes),
            failures: since(totals.failures, &oldest.failures),
        }
    }

    /// The share of successes as far as it matters for the cost: 1 for one that has not failed
    /// within the window, else an average over the latest outcomes, of which the last one counts
    /// an eighth and each one before it an eighth less. At least [`FLOOR`].
    pub(crate) fn ratio(&self, now: u64) -> f64 {
        if !self.has_failed(now) {
            return 1.0;
        }
        let history = self.history.load(Ordering::Relaxed);
        let mut failing = 0.0;
        for byte in history.to_be_bytes() {
            failing = failing * EIGHT_LATER + FAILING[byte as usize];
        }
        (1.0 - failing).max(FLOOR)
    }

    fn shift(&self, outcome: u64) {
        let _ = self
            .history
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |history| {
                Some(history << 1 | outcome)
            });
    }

    /// Begins those parts of the window that time has come to. One of those that race does it.
    fn turn(&self, now: u64) {
        let turn_at = self.turn_at.load(Ordering::Relaxed);
        if now < turn_at {
            return;
        }
        let part = (self.window / PARTS as u64).max(1);
        let begun = ((now - turn_at) / part).saturating_add(1);
        let next = turn_at.saturating_add(begun.saturating_mul(part));
        let claimed =
            self.turn_at
                .compare_exchange(turn_at, next, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_err() {
            return;
        }
        let current = (next / part) as usize;
        for back in 0..(begun as usize).min(PARTS) {
            self.mark(&self.marks[(current + PARTS - back) % PARTS]);
        }
    }

    fn mark(&self, mark: &Mark) {
        let Counts {
            successes,
            failures,
        } = self.totals();
        mark.successes.store(successes, Ordering::Relaxed);
        mark.failures.store(failures, Ordering::Relaxed);
    }
}

/// The window moves by a tenth of itself.
const PARTS: usize = 10;
/// An endpoint that has failed is asked again some day.
pub(crate) const FLOOR: f64 = 0.01;
/// How much the last outcome counts.
const GAIN: f64 = 1.0 / 8.0;
/// What is left of that after eight further ones.
const EIGHT_LATER: f64 = kept(8);
/// What eight outcomes add up to, for each pattern of failures.
const FAILING: [f64; 256] = {
    let mut sums = [0.0; 256];
    let mut byte = 0;
    while byte < sums.len() {
        let mut bit = 0;
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                sums[byte] += GAIN * kept(bit);
            }
            bit += 1;
        }
        byte += 1;
    }
    sums
};

const fn kept(outcomes: u32) -> f64 {
    let mut kept = 1.0;
    let mut passed = 0;
    while passed < outcomes {
        kept *= 1.0 - GAIN;
        passed += 1;
    }
    kept
}
