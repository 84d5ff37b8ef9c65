//! Whether the service has become slower or faster, and how many times.

use super::{
    buckets::{BUCKETS, EMPTY},
    latencies::Latencies,
    survival::Survival,
};

/// Page's cumulative sums of log likelihood ratios: of twice the latencies, and of half of them,
/// against those of the [`Reference`]. Whatever its shape, the latencies of the reference have
/// cumulative hazards that are distributed exponentially; so this needs no assumption of shape, and
/// a request that was given up says as much as it can.
#[derive(Clone, Debug)]
pub(super) struct Shift {
    slower: Sum,
    faster: Sum,
}

/// What has been in one direction since it last seemed to be nothing.
#[derive(Clone, Debug)]
struct Sum {
    evidence: f64,
    since: u64,
    news: Latencies,
}

/// What the latencies are compared with.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) survival: Survival,
    /// The mean cumulative hazard of the answers in each bucket.
    hazards: [f64; BUCKETS],
}

impl Reference {
    pub(super) fn new(survival: Survival) -> Self {
        let mut hazards = [0.0; BUCKETS];
        let mut logarithm = 0.0;
        for (bucket, hazard) in hazards.iter_mut().enumerate() {
            let [before, after] = survival.around(bucket).map(|share| share.max(LEAST));
            // Of most buckets nothing has to be found anew: they are empty.
            *hazard = -logarithm;
            if before > after {
                let next = after.ln();
                *hazard = 1.0 - (before * logarithm - after * next) / (before - after);
                logarithm = next;
            }
        }
        Self { survival, hazards }
    }
}

impl Shift {
    pub(super) fn new() -> Self {
        Self {
            slower: Sum::new(),
            faster: Sum::new(),
        }
    }

    /// How many times slower the service is than the reference, and since when, if it is certain that
    /// it is slower or faster. What is counted has come since `before`.
    pub(super) fn told(
        &mut self,
        before: u64,
        news: &Latencies,
        reference: &Reference,
    ) -> Option<(f64, u64)> {
        let ln2 = std::f64::consts::LN_2;
        let (mut slower, mut faster) = (0.0, 0.0);
        for bucket in 0..BUCKETS {
            let hazard = reference.hazards[bucket];
            let (answered, censored) = (news.answered[bucket], news.censored[bucket]);
            slower += answered * (hazard.min(MOST_ANSWERED) / 2.0 - ln2)
                + censored * hazard.min(MOST_CENSORED) / 2.0;
            faster += answered * (ln2 - hazard);
        }
        self.slower.add(slower, before, news);
        // Those that hang say nothing about the others.
        let answers = Latencies {
            answered: news.answered,
            censored: EMPTY,
        };
        self.faster.add(faster, before, &answers);
        let slower = self
            .slower
            .ratio_if_certain(&reference.survival, |ratio| ratio > LEAST_RATIO);
        let faster = self
            .faster
            .ratio_if_certain(&reference.survival, |ratio| ratio < 1.0 / LEAST_RATIO);
        slower.or(faster)
    }

    /// What has come since it was slower, or faster.
    pub(super) fn news(&self, is_slower: bool) -> &Latencies {
        let sum = if is_slower {
            &self.slower
        } else {
            &self.faster
        };
        &sum.news
    }
}

impl Sum {
    fn new() -> Self {
        Self {
            evidence: 0.0,
            since: 0,
            news: Latencies::none(),
        }
    }

    fn add(&mut self, evidence: f64, before: u64, news: &Latencies) {
        if self.evidence == 0.0 {
            self.since = before;
        }
        self.evidence += evidence;
        if self.evidence <= 0.0 {
            *self = Self::new();
            return;
        }
        self.news.add(news);
    }

    fn ratio_if_certain(
        &mut self,
        reference: &Survival,
        matters: impl FnOnce(f64) -> bool,
    ) -> Option<(f64, u64)> {
        if self.evidence <= ENOUGH {
            return None;
        }
        match self.ratio(reference) {
            Some(ratio) if matters(ratio) => Some((ratio, self.since)),
            None if self.news.given_up() < MOST_WITHOUT_ANSWER => None,
            _ => {
                *self = Self::new();
                None
            }
        }
    }

    /// By the median. Not known where too little was answered: it may be that requests hang.
    fn ratio(&self, reference: &Survival) -> Option<f64> {
        if self.news.answers() < FEWEST_ANSWERED {
            return None;
        }
        Some(self.news.survival().age(0.5)? / reference.age(0.5)?)
    }
}

/// So that what has never been is not impossible.
const LEAST: f64 = 1e-6;
/// A single request says no more than this.
const MOST_ANSWERED: f64 = 7.0;
/// Less of one that was given up: it may hang.
const MOST_CENSORED: f64 = 4.0;
/// By chance it comes once in millions of requests.
const ENOUGH: f64 = 15.0;
const LEAST_RATIO: f64 = 1.3;
const FEWEST_ANSWERED: f64 = 5.0;
const MOST_WITHOUT_ANSWER: f64 = 200.0;
