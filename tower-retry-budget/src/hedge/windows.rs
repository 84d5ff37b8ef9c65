//! How long attempts took within the last window, and the quantile of that.
//!
//! The quantiles of `tower-timeout-ewma` are apart on purpose: those smooth a limit, this counts.

use std::iter;

use hdrhistogram::Histogram;

/// One attempt, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    /// It succeeded after this long.
    Answered(u32),
    /// It was given up after this long: it would have taken longer.
    Outlived(u32),
}

/// The samples of the last window, in slots that are forgotten one after another.
#[derive(Debug)]
pub(crate) struct Windows {
    slots: [Counts; SLOTS],
    /// Room to add the slots up.
    total: Counts,
    /// The number of the slot that is written to, counted from the epoch.
    current: u64,
}

impl Windows {
    pub(crate) fn new() -> Self {
        Self {
            slots: std::array::from_fn(|_| Counts::new()),
            total: Counts::new(),
            current: 0,
        }
    }

    pub(crate) fn add(&mut self, sample: Sample) {
        self.slots[index(self.current)].add(sample);
    }

    /// Forgets what is older than a window, where `slot` is the one that has begun. One that is
    /// over is not begun again.
    pub(crate) fn advance(&mut self, slot: u64) {
        if slot <= self.current {
            return;
        }
        let stale = (self.current + 1..=slot).take(SLOTS);
        stale.for_each(|slot| self.slots[index(slot)].clear());
        self.current = slot;
    }

    /// The age, in microseconds, before which the share `quantile` of all attempts was answered,
    /// if at least `least` were answered at all.
    ///
    /// This is the estimate of Kaplan and Meier. At each age at which attempts were answered, they
    /// are counted as a share of those that had reached that age: one that was given up before is
    /// not among them, and neither shortens nor lengthens the estimate. Where so many were given up
    /// that the quantile is not reached, it ends with the longest answer: nothing is known beyond.
    pub(crate) fn quantile(&mut self, quantile: f64, least: u64) -> Option<u64> {
        self.total.clear();
        for slot in &self.slots {
            self.total.extend(slot);
        }
        let Counts { answered, outlived } = &self.total;
        if answered.len() < least {
            return None;
        }
        let mut at_risk = answered.len() + outlived.len();
        let mut unanswered = 1.0;
        let mut given_up = outlived.iter_recorded().peekable();
        let mut age = None;
        for answers in answered.iter_recorded() {
            let reached = answers.value_iterated_to();
            let before = iter::from_fn(|| given_up.next_if(|it| it.value_iterated_to() < reached));
            at_risk -= before.map(|it| u64::from(it.count_at_value())).sum::<u64>();
            let count = u64::from(answers.count_at_value());
            unanswered *= 1.0 - count as f64 / at_risk as f64;
            at_risk -= count;
            age = Some(reached);
            if unanswered <= 1.0 - quantile + ROUNDING {
                break;
            }
        }
        age
    }
}

#[derive(Debug)]
struct Counts {
    answered: Histogram<u32>,
    outlived: Histogram<u32>,
}

impl Counts {
    fn new() -> Self {
        let empty = Histogram::new_with_max(LONGEST, DIGITS).expect("within hdrhistogram's limits");
        Self {
            answered: empty.clone(),
            outlived: empty,
        }
    }

    fn add(&mut self, sample: Sample) {
        match sample {
            Sample::Answered(age) => self.answered.saturating_record(age.into()),
            Sample::Outlived(age) => self.outlived.saturating_record(age.into()),
        }
    }

    fn extend(&mut self, other: &Self) {
        // It fails only where a value is out of range, and all have the same range.
        let _ = self.answered.add(&other.answered);
        let _ = self.outlived.add(&other.outlived);
    }

    fn clear(&mut self) {
        self.answered.reset();
        self.outlived.reset();
    }
}

fn index(slot: u64) -> usize {
    (slot % SLOTS as u64) as usize
}

/// In one window, the one that is written to included.
pub(crate) const SLOTS: usize = 4;

/// Two minutes. What takes longer counts as this.
const LONGEST: u64 = 120_000_000;

/// An age is known to a hundredth.
const DIGITS: u8 = 2;

/// More than the sum of what is rounded, less than one sample among millions.
const ROUNDING: f64 = 1e-9;
