//! What is remembered, and the limit that follows from it.

use super::{
    Settings,
    buckets::{BUCKETS, EMPTY, Histogram},
    lanes::Counts,
    latencies::Latencies,
    pending::Pending,
    shift::{Reference, Shift},
    tail,
};

/// Latencies of the past, the older the lighter.
///
/// When the service becomes slower or faster, they are stretched with it: how much longer the slow
/// requests take than the usual ones is learnt slowly, and does not have to be learnt anew.
#[derive(Debug)]
pub(super) struct History {
    settings: Settings,
    /// The share that may take longer than the limit.
    share: f64,
    factor: f64,
    latencies: Latencies,
    /// The same before the last shift.
    before: Option<Latencies>,
    /// What has come since the last shift, until it is settled.
    fresh: Option<Latencies>,
    /// Since when the service is as it is.
    era: u64,
    /// Requests of the last seconds.
    recent: f64,
    seen: Counts,
    pending: Pending,
    shift: Shift,
    reference: Reference,
    last: u64,
    limit: f64,
}

impl History {
    pub(super) fn new(settings: &Settings, quantile: f64, factor: f64) -> Self {
        let latencies = Latencies::none();
        Self {
            settings: *settings,
            share: 1.0 - quantile,
            factor,
            reference: Reference::new(latencies.survival()),
            latencies,
            before: None,
            fresh: None,
            era: 0,
            recent: 0.0,
            seen: Counts::new(),
            pending: Pending::new(),
            shift: Shift::new(),
            last: 0,
            limit: settings.initial.as_nanos() as f64,
        }
    }

    /// In nanoseconds.
    pub(super) fn limit(&self) -> f64 {
        self.limit
    }

    /// In nanoseconds; zero until there are enough samples.
    pub(super) fn median(&self) -> f64 {
        if self.is_learnt() {
            self.reference.survival.age(0.5).unwrap_or(0.0)
        } else {
            0.0
        }
    }

    /// Since when the service is as it is.
    pub(super) fn era(&self) -> u64 {
        self.era
    }

    /// Takes over what was counted since the last time. Returns how much that was, and how long ago.
    pub(super) fn carry(&mut self, counts: &Counts, now: u64) -> (f64, u64) {
        let news = Latencies {
            answered: difference(&counts.answered, &self.seen.answered),
            censored: difference(&counts.censored, &self.seen.censored),
        };
        self.seen.answered = counts.answered;
        self.seen.censored = counts.censored;
        self.pending.advance(counts, now);
        let carried = (news.weight(), now.saturating_sub(self.last));

        let shift = self.shift(&news, counts, now);
        self.remember(&news, now);
        if let Some((ratio, since)) = shift {
            self.stretch(ratio);
            // When it was slow, one may have begun just before that will end long after.
            self.era = if ratio > 1.0 { since } else { now };
            self.fresh = Some(Latencies::none());
        } else if !self.settle(now) {
            return carried;
        }
        self.refresh();
        carried
    }

    /// As if log-normal latencies had been seen: half of them below `typical`, nearly all below
    /// `limit`.
    pub(super) fn start_from(&mut self, typical: u64, limit: u64) {
        let mut latencies = tail::log_normal(typical as f64, limit as f64, self.share);
        let weight = STARTS_WITH
            .max(self.settings.min_samples.into())
            .min(FEWEST);
        latencies.keep(weight / latencies.weight());
        self.latencies = latencies;
        self.refresh();
        self.limit = limit as f64;
    }

    /// How many times slower the service is, and since when, if it is.
    fn shift(&mut self, news: &Latencies, counts: &Counts, now: u64) -> Option<(f64, u64)> {
        if self.latencies.weight() < ENOUGH_TO_COMPARE {
            return None;
        }
        let told = match self.fresh {
            None => self.shift.told(self.last, news, &self.reference),
            Some(_) => None,
        };
        told.or_else(|| {
            let survival = &self.reference.survival;
            // What is in flight for longer may hang.
            let longest = survival.age(SLOW).map_or(self.limit, |slow| 2.0 * slow);
            self.pending
                .slower(counts, now, self.era, longest, survival)
        })
    }

    fn remember(&mut self, news: &Latencies, now: u64) {
        let passed = now.saturating_sub(self.last) as f64;
        self.last = self.last.max(now);
        self.recent = self.recent * (-passed / RECENT).exp() + news.weight();
        if let Some(fresh) = &mut self.fresh {
            fresh.add(news);
            return;
        }
        let window = self.settings.window.as_nanos() as f64;
        // However few there are, some are kept.
        let kept = (FEWEST / self.latencies.answers()).min(1.0);
        self.latencies.keep((-passed / window).exp().max(kept));
        self.latencies.add(news);
        // Of an outage nothing is to remain.
        self.latencies.bound_given_up(MOST_GIVEN_UP);
    }

    /// The service is so many times slower.
    fn stretch(&mut self, ratio: f64) {
        // What is new is no part of what was.
        let mut old = self.latencies.clone();
        old.subtract(self.shift.news(ratio > 1.0));
        if old.answers() >= ENOUGH_TO_COMPARE {
            self.latencies = old;
        }
        self.shift = Shift::new();
        let before = self.before.take();
        if self.latencies.weight() >= STABLE {
            self.before = Some(self.latencies.clone());
        }
        self.latencies = self.become_slower(ratio, before);
    }

    /// As it was before, or else of the same shape.
    fn become_slower(&mut self, ratio: f64, before: Option<Latencies>) -> Latencies {
        let ratio = ratio.clamp(1.0 / LARGEST_SHIFT, LARGEST_SHIFT);
        let median = self.reference.survival.age(0.5).unwrap_or(0.0) * ratio;
        if let Some(before) = before {
            let as_before = before.survival().age(0.5);
            if as_before.is_some_and(|as_before| (median / as_before).ln().abs() < SAME.ln()) {
                return before;
            }
            self.before.get_or_insert(before);
        }
        let mut stretched = self.latencies.stretched(ratio);
        stretched.keep((AFTER_A_SHIFT / stretched.weight()).min(1.0));
        stretched
    }

    /// Whether there is nothing to wait for: of the requests since a shift the fast ones are answered
    /// first. Then they tell more exactly how large it was.
    fn settle(&mut self, now: u64) -> bool {
        let slow = self.reference.survival.age(SLOW).unwrap_or(self.limit);
        let is_time = now.saturating_sub(self.era) as f64 >= 2.0 * slow;
        let Some(fresh) = self
            .fresh
            .take_if(|fresh| is_time && fresh.answers() >= ENOUGH_FRESH)
        else {
            return self.fresh.is_none();
        };
        let before = self.reference.survival.age(0.5);
        if let Some((median, before)) = fresh.survival().age(0.5).zip(before) {
            let ratio = median / before;
            if ratio.ln().abs() > EXACT.ln() {
                let before = self.before.take();
                self.latencies = self.become_slower(ratio, before);
            }
        }
        self.latencies.add(&fresh);
        true
    }

    fn refresh(&mut self) {
        let survival = self.latencies.survival();
        self.limit = if self.is_learnt() {
            let age = tail::outlived_by(self.share, &self.latencies, &survival);
            let margin = 1.0 + MARGIN / self.recent.max(FEWEST_RECENT).sqrt();
            self.factor * margin * age.unwrap_or_else(|| survival.end())
        } else {
            self.settings.initial.as_nanos() as f64
        };
        self.reference = Reference::new(survival);
    }

    fn is_learnt(&self) -> bool {
        self.latencies.answers() >= f64::from(self.settings.min_samples).min(MOST_NEEDED)
    }
}

fn difference(now: &[u64; BUCKETS], before: &[u64; BUCKETS]) -> Histogram {
    let mut difference = EMPTY;
    for (bucket, difference) in difference.iter_mut().enumerate() {
        *difference = now[bucket].wrapping_sub(before[bucket]) as f64;
    }
    difference
}

/// Latencies that can be compared with.
const ENOUGH_TO_COMPARE: f64 = 30.0;
/// Which can be returned to.
const STABLE: f64 = 500.0;
/// Which tell how large a shift was.
const ENOUGH_FRESH: f64 = 30.0;
/// Which are kept, however old.
const FEWEST: f64 = 1000.0;
/// What those from before a shift count.
const AFTER_A_SHIFT: f64 = 100.0;
/// At a time.
const LARGEST_SHIFT: f64 = 64.0;
/// Medians this many times apart may be of one service, if one is known from a few answers.
const SAME: f64 = 1.6;
/// And if it is known from more.
const EXACT: f64 = 1.1;
/// The share of the requests that is slow.
const SLOW: f64 = 0.02;
/// For an answer.
const MOST_GIVEN_UP: f64 = 0.5;
/// What an estimate of another time counts.
const STARTS_WITH: f64 = 100.0;
/// More are never waited for: older ones are forgotten.
const MOST_NEEDED: f64 = 0.9 * FEWEST;
/// In nanoseconds.
const RECENT: f64 = 10e9;
/// That many are counted at least.
const FEWEST_RECENT: f64 = 8.0;
/// Of the limit, by the square root of the recent requests.
const MARGIN: f64 = 5.8;
