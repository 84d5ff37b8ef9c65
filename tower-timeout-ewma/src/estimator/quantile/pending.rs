//! What the ages of the requests in flight say.

use super::{
    lanes::Counts,
    slots::{SLOT_BITS, SLOTS},
    survival::Survival,
};

/// Requests by the slot of time in which they started.
///
/// A service that has become slower shows it by what is still in flight, before the first of the
/// slow requests is answered or given up.
#[derive(Debug)]
pub(super) struct Pending {
    /// How many had ever started in a slot when its present turn came.
    before: [u32; SLOTS],
    /// How many of those had not ended by then: they never will, here.
    left: [u32; SLOTS],
    current: u64,
}

impl Pending {
    pub(super) fn new() -> Self {
        Self {
            before: [0; SLOTS],
            left: [0; SLOTS],
            current: 0,
        }
    }

    /// To be told at least once while half of the slots pass.
    pub(super) fn advance(&mut self, counts: &Counts, now: u64) {
        let current = now >> SLOT_BITS;
        let passed = current.saturating_sub(self.current).min(SLOTS as u64);
        for slot in (current - passed..current).map(|slot| slot + 1) {
            // Nobody starts there now.
            let far = (slot as usize + SLOTS / 2) % SLOTS;
            self.before[far] = counts.started[far];
            self.left[far] = counts.started[far].wrapping_sub(counts.ended[far]);
        }
        self.current = self.current.max(current);
    }

    /// How many times slower the service is, and since when, if too many are in flight for it to be as
    /// it was.
    pub(super) fn slower(
        &self,
        counts: &Counts,
        now: u64,
        era: u64,
        longest: f64,
        survival: &Survival,
    ) -> Option<(f64, u64)> {
        let slots = (longest as u64 >> SLOT_BITS).min(SLOTS as u64 / 2 - 1);
        let slots = slots.min(self.current.saturating_sub(era >> SLOT_BITS));
        let (mut all, mut expected, mut seen, mut variance) = (0.0, 0.0, 0.0, 0.0);
        let (mut most, mut until, mut in_flight, mut answered) = (CERTAIN, 0, 0.0, 0.0);
        for back in 1..=slots {
            let (started, waiting) = self.of(counts, self.current - back);
            let share = survival.at(self.age(now, back));
            let answered_since = all - seen;
            all += started;
            expected += started * share;
            variance += started * share * (1.0 - share);
            seen += waiting;
            let excess = seen - expected;
            let deviations = excess / (variance + 1.0).sqrt();
            if excess > FEWEST && deviations > most {
                (most, until, in_flight, answered) = (deviations, back, seen, answered_since);
            }
        }
        if answered < FEWEST_ANSWERED {
            return None;
        }
        let ratio = self.ratio(counts, now, until, in_flight, survival);
        let is_so = ratio > LEAST_RATIO
            && self.leaves_the_newest(counts, now, until, ratio, survival)
            && self.is_likelier(counts, now, until, ratio, survival);
        is_so.then_some((ratio, (self.current - until) << SLOT_BITS))
    }

    /// By which so many of the last slots would be in flight.
    fn ratio(
        &self,
        counts: &Counts,
        now: u64,
        slots: u64,
        in_flight: f64,
        survival: &Survival,
    ) -> f64 {
        let (mut low, mut high) = (0.0_f64, MOST_OCTAVES);
        for _ in 0..12 {
            let middle = (low + high) / 2.0;
            let expected = (1..=slots).map(|back| {
                let (started, _) = self.of(counts, self.current - back);
                started * survival.at(self.age(now, back) / middle.exp2())
            });
            if expected.sum::<f64>() < in_flight {
                low = middle;
            } else {
                high = middle;
            }
        }
        low.exp2()
    }

    /// Whether not too many of the newest are answered for it: after an outage only the older ones hang.
    fn leaves_the_newest(
        &self,
        counts: &Counts,
        now: u64,
        slots: u64,
        ratio: f64,
        survival: &Survival,
    ) -> bool {
        let (mut answered, mut expected) = (0.0, 0.0);
        (1..=slots).all(|back| {
            let (started, waiting) = self.of(counts, self.current - back);
            answered += started - waiting;
            expected += started * (1.0 - survival.at(self.age(now, back) / ratio));
            answered <= expected + 3.0 * expected.sqrt() + 2.0
        })
    }

    /// Whether that all are slower explains what is in flight no worse than that some hang, and the
    /// others are as they were: by the logarithm of the ratio of the likelihoods.
    fn is_likelier(
        &self,
        counts: &Counts,
        now: u64,
        slots: u64,
        ratio: f64,
        survival: &Survival,
    ) -> bool {
        let slots = || {
            (1..=slots).map(|back| {
                let (started, waiting) = self.of(counts, self.current - back);
                let age = self.age(now, back);
                (started, waiting, survival.at(age), survival.at(age / ratio))
            })
        };
        let excess: f64 = slots()
            .map(|(started, waiting, usual, _)| waiting - started * usual)
            .sum();
        let answerable: f64 = slots()
            .map(|(started, _, usual, _)| started * (1.0 - usual))
            .sum();
        let hung = (excess / answerable.max(1.0)).min(MOST_HUNG);
        let evidence = slots().map(|(started, waiting, usual, slower)| {
            let slower = slower.clamp(LEAST, 1.0 - LEAST);
            let hanging = (usual + hung * (1.0 - usual)).clamp(LEAST, 1.0 - LEAST);
            let answered = started - waiting;
            waiting * (slower / hanging).ln() + answered * ((1.0 - slower) / (1.0 - hanging)).ln()
        });
        evidence.sum::<f64>() > -DOUBT
    }

    /// How many started in a slot, and how many of them are in flight.
    fn of(&self, counts: &Counts, slot: u64) -> (f64, f64) {
        let slot = slot as usize % SLOTS;
        let started = counts.started[slot].wrapping_sub(self.before[slot]);
        let waiting = counts.started[slot].wrapping_sub(counts.ended[slot]);
        let waiting = waiting
            .wrapping_sub(self.left[slot])
            .cast_signed()
            .max(0)
            .cast_unsigned();
        (started.into(), waiting.min(started).into())
    }

    /// In the mean.
    fn age(&self, now: u64, back: u64) -> f64 {
        let start = (self.current - back) << SLOT_BITS;
        (now.saturating_sub(start)) as f64 - (1_u64 << SLOT_BITS) as f64 / 2.0
    }
}

/// Standard deviations.
const CERTAIN: f64 = 5.0;
const FEWEST: f64 = 5.0;
/// Where nothing is answered nothing is known of how slow it is.
const FEWEST_ANSWERED: f64 = 3.0;
const LEAST_RATIO: f64 = 1.3;
const MOST_OCTAVES: f64 = 4.0;
/// If more do not end, they had better be waited for.
const MOST_HUNG: f64 = 0.25;
/// A probability.
const LEAST: f64 = 1e-4;
/// As many as make seven times less likely.
const DOUBT: f64 = 2.0;
