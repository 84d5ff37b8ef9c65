//! Models of rules that are not ours.

use std::{collections::VecDeque, time::Duration};

use super::policy::Policy;

/// Always the same.
pub(super) struct Fixed(pub(super) Duration);

impl Policy for Fixed {
    fn started(&mut self, _: Duration) -> Duration {
        self.0
    }

    fn answered(&mut self, _: Duration, _: Duration) {}

    fn timed_out(&mut self, _: Duration, _: Duration) {}
}

/// Knows the distribution that is in force.
#[derive(Default)]
pub(super) struct Oracle(Duration);

impl Policy for Oracle {
    fn started(&mut self, _: Duration) -> Duration {
        self.0
    }

    fn answered(&mut self, _: Duration, _: Duration) {}

    fn timed_out(&mut self, _: Duration, _: Duration) {}

    fn tell_p999(&mut self, p999: Duration) {
        self.0 = p999;
    }
}

/// What a request that was cut off counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Censored {
    Dropped,
    AtBudget,
    AtTwice,
    AtMax,
    KaplanMeier,
}

/// A quantile of the last minute times a factor, found anew fifty times a second.
pub(super) struct Windowed {
    quantile: f64,
    factor: f64,
    how: Censored,
    /// When it ended, its bucket, and whether it was cut off.
    samples: VecDeque<(Duration, usize, bool)>,
    answered: Vec<u32>,
    censored: Vec<u32>,
    limit: Duration,
    due: Duration,
}

impl Windowed {
    pub(super) fn new(quantile: f64, factor: f64, how: Censored) -> Self {
        Self {
            quantile,
            factor,
            how,
            samples: VecDeque::new(),
            answered: vec![0; BUCKETS],
            censored: vec![0; BUCKETS],
            limit: INITIAL,
            due: Duration::ZERO,
        }
    }

    fn add(&mut self, age: Duration, is_cut: bool, now: Duration) {
        let bucket = bucket(age);
        self.samples.push_back((now, bucket, is_cut));
        self.side(is_cut)[bucket] += 1;
        if now >= self.due {
            self.due = now + Duration::from_millis(20);
            self.refresh(now);
        }
    }

    fn side(&mut self, is_cut: bool) -> &mut Vec<u32> {
        if is_cut {
            &mut self.censored
        } else {
            &mut self.answered
        }
    }

    fn refresh(&mut self, now: Duration) {
        while let Some(&(at, bucket, is_cut)) = self.samples.front()
            && (at + WINDOW < now || self.samples.len() > MOST_SAMPLES)
        {
            self.samples.pop_front();
            self.side(is_cut)[bucket] -= 1;
        }
        if self.samples.len() < FEWEST {
            return;
        }
        let limit = self.of_quantile().mul_f64(self.factor);
        self.limit = limit.clamp(MIN, MAX);
    }

    /// Of Kaplan and Meier, which without censored samples is the plain one.
    fn of_quantile(&self) -> Duration {
        let mut waited = self.samples.len() as f64;
        let mut share = 1.0;
        let mut longest = 0;
        for bucket in 0..BUCKETS {
            let (answered, censored) = (self.answered[bucket], self.censored[bucket]);
            if answered + censored == 0 {
                continue;
            }
            longest = bucket;
            share *= 1.0 - f64::from(answered) / waited;
            waited -= f64::from(answered + censored);
            if share <= 1.0 - self.quantile + 1e-12 {
                return upper(bucket);
            }
        }
        // Longer than anything that was seen.
        2 * upper(longest)
    }
}

impl Policy for Windowed {
    fn started(&mut self, _: Duration) -> Duration {
        self.limit
    }

    fn answered(&mut self, start: Duration, now: Duration) {
        self.add(now - start, false, now);
    }

    fn timed_out(&mut self, start: Duration, now: Duration) {
        let limit = now - start;
        match self.how {
            Censored::Dropped => {}
            Censored::AtBudget => self.add(limit, false, now),
            Censored::AtTwice => self.add((2 * limit).min(MAX), false, now),
            Censored::AtMax => self.add(MAX, false, now),
            Censored::KaplanMeier => self.add(limit, true, now),
        }
    }
}

/// The bucket of a time: a hundred to each factor of ten, from 10 microseconds.
fn bucket(time: Duration) -> usize {
    let tens = (time.as_secs_f64() / 1e-5).max(1.0).log10();
    ((tens * 100.0) as usize).min(BUCKETS - 1)
}

fn upper(bucket: usize) -> Duration {
    Duration::from_secs_f64(1e-5 * 10_f64.powf((bucket + 1) as f64 / 100.0))
}

const BUCKETS: usize = 700;
const WINDOW: Duration = Duration::from_secs(60);
const MOST_SAMPLES: usize = 1_000_000;
const FEWEST: usize = 10;
const INITIAL: Duration = Duration::from_secs(1);
const MIN: Duration = Duration::from_millis(10);
const MAX: Duration = Duration::from_secs(10);
