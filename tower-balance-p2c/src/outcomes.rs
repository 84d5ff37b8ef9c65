//! How the requests of one endpoint ended: totals, the last 64 in their order, and a window of time.
//! Lock-free; nanoseconds in, no clock. Latency has no part in it.

use std::sync::OnceLock;

use crate::{
    flights::{Flights, Halves},
    sync::{AtomicU64, Ordering},
};

/// What each request writes, or each choice reads, stands first.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Outcomes {
    flights: Flights,
    /// Zero for never.
    last_failure: AtomicU64,
    halves: Halves,
    /// One bit for each of the last outcomes, the latest lowest; a failure is a one. Only what came
    /// after a failure is written, so that those who never fail share no cache line.
    history: AtomicU64,
    failures: AtomicU64,
    /// From the first failure on; those who never fail need none.
    marks: OnceLock<Box<Marks>>,
    window: u64,
}

#[derive(Debug)]
struct Marks {
    /// The end of the current part of the window.
    turn_at: AtomicU64,
    /// The totals when each part of the window began.
    parts: [Mark; PARTS],
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
    pub(crate) fn new(window: u64) -> Self {
        Self {
            flights: Flights::new(),
            last_failure: AtomicU64::new(0),
            halves: Halves::new(),
            history: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            marks: OnceLock::new(),
            window,
        }
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.flights
    }

    /// A request was answered, and that was all.
    #[inline]
    pub(crate) fn answered_and_released(&self, is_success: bool, now: u64) {
        self.turn(now);
        if is_success {
            self.flights.answered_and_ended_well(&self.halves);
            self.succeeded();
        } else {
            self.flights.answered_and_released();
        }
    }

    /// A request that was answered has ended, and well.
    pub(crate) fn ended_well(&self, now: u64) {
        self.turn(now);
        self.flights.ended_well(&self.halves);
        self.succeeded();
    }

    #[inline]
    fn succeeded(&self) {
        if self.history.load(Ordering::Relaxed) != 0 {
            self.shift(0);
        }
    }

    pub(crate) fn record_failure(&self, now: u64) {
        self.marks.get_or_init(|| self.begin_marks(now));
        self.turn(now);
        self.failures.fetch_add(1, Ordering::Relaxed);
        let last = self.last_failure.fetch_max(now.max(1), Ordering::Relaxed);
        if now.saturating_sub(last) > self.window {
            self.history.store(0, Ordering::Relaxed);
        }
        self.shift(1);
    }

    /// One that is only to be counted.
    pub(crate) fn record_old_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if let Some(marks) = self.marks.get() {
            for mark in &marks.parts {
                mark.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The endpoint begins anew: what it did before is not held against it.
    pub(crate) fn forgive(&self) {
        self.history.store(0, Ordering::Relaxed);
        self.last_failure.store(0, Ordering::Relaxed);
        if let Some(marks) = self.marks.get() {
            marks.parts.iter().for_each(|mark| self.mark(mark));
        }
    }

    pub(crate) fn totals(&self) -> Counts {
        Counts {
            successes: self.flights.successes(&self.halves),
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

    /// What happened within the window, give or take a tenth of it, and not before the first
    /// failure of all.
    pub(crate) fn in_window(&self, now: u64) -> Counts {
        let Some(marks) = self.marks.get() else {
            return Counts::default();
        };
        self.turn(now);
        let current = (marks.turn_at.load(Ordering::Relaxed) / self.part()) as usize;
        let oldest = &marks.parts[(current + 1) % PARTS];
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
    #[inline]
    fn turn(&self, now: u64) {
        if let Some(marks) = self.marks.get() {
            self.turn_marks(marks, now);
        }
    }

    fn turn_marks(&self, marks: &Marks, now: u64) {
        let turn_at = marks.turn_at.load(Ordering::Relaxed);
        if now < turn_at {
            return;
        }
        let part = self.part();
        let begun = ((now - turn_at) / part).saturating_add(1);
        let next = turn_at.saturating_add(begun.saturating_mul(part));
        let claimed =
            marks
                .turn_at
                .compare_exchange(turn_at, next, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_err() {
            return;
        }
        let current = (next / part) as usize;
        for back in 0..(begun as usize).min(PARTS) {
            self.mark(&marks.parts[(current + PARTS - back) % PARTS]);
        }
    }

    fn begin_marks(&self, now: u64) -> Box<Marks> {
        let marks = Marks {
            turn_at: AtomicU64::new(now.saturating_add(self.part())),
            parts: std::array::from_fn(|_| Mark::default()),
        };
        marks.parts.iter().for_each(|mark| self.mark(mark));
        Box::new(marks)
    }

    fn part(&self) -> u64 {
        (self.window / PARTS as u64).max(1)
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
