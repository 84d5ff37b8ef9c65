//! Rules that are not in Rust, or not with a clock and a jitter that a simulation can govern.

use std::time::Duration;

use rand::{RngExt as _, rngs::SmallRng};
use tokio::time::Instant;

use super::{models::Rule, policy::Outcome};

pub(super) struct Never;

impl Rule for Never {
    fn pay(&mut self, _: Outcome) -> Option<f64> {
        None
    }
}

pub(super) struct AtOnce;

impl Rule for AtOnce {
    fn pay(&mut self, _: Outcome) -> Option<f64> {
        Some(0.0)
    }
}

/// tower-resilience's `TokenBucketBudget`, whose clock no test can pause.
pub(super) struct Bucket {
    tokens: f64,
    refilled: Instant,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            tokens: Self::MOST,
            refilled: Instant::now(),
        }
    }
}

impl Bucket {
    const MOST: f64 = 100.0;
    const A_SECOND: f64 = 10.0;

    fn refill(&mut self, tokens: f64) {
        let now = Instant::now();
        let idle = now.saturating_duration_since(self.refilled);
        self.refilled = now;
        let tokens = tokens + idle.as_secs_f64() * Self::A_SECOND;
        self.tokens = (self.tokens + tokens).min(Self::MOST);
    }
}

impl Rule for Bucket {
    fn answered(&mut self, _: f64) {
        self.refill(1.0);
    }

    fn pay(&mut self, _: Outcome) -> Option<f64> {
        self.refill(0.0);
        take(&mut self.tokens, 1.0)
    }

    fn backoff(&self, retry: u32, _: &mut SmallRng) -> Duration {
        RESILIENCE_BACKOFF * (1 << retry)
    }
}

/// tower-resilience's `AimdBudget`: what it can hold is halved by each refusal, and grows by one
/// with each success.
pub(super) struct Aimd {
    tokens: f64,
    most: f64,
}

impl Default for Aimd {
    fn default() -> Self {
        Self {
            tokens: Self::MOST,
            most: Self::MOST,
        }
    }
}

impl Aimd {
    const LEAST: f64 = 10.0;
    const MOST: f64 = 1_000.0;
}

impl Rule for Aimd {
    fn answered(&mut self, _: f64) {
        self.most = (self.most + 1.0).min(Self::MOST);
        self.tokens = (self.tokens + 1.0).min(self.most);
    }

    fn pay(&mut self, _: Outcome) -> Option<f64> {
        let paid = take(&mut self.tokens, 1.0);
        if paid.is_none() {
            self.most = (self.most / 2.0).floor().max(Self::LEAST);
        }
        paid
    }

    fn backoff(&self, retry: u32, _: &mut SmallRng) -> Duration {
        RESILIENCE_BACKOFF * (1 << retry)
    }
}

/// The retry quota of AWS's SDKs: a success without a retry is one token, one after a retry gives
/// back what that has cost.
pub(super) struct Aws {
    tokens: f64,
    retry: f64,
    after_timeout: f64,
}

impl Aws {
    const MOST: f64 = 500.0;

    pub(super) fn before() -> Self {
        Self {
            tokens: Self::MOST,
            retry: 5.0,
            after_timeout: 10.0,
        }
    }

    pub(super) fn of_2026() -> Self {
        Self {
            tokens: Self::MOST,
            retry: 14.0,
            after_timeout: 14.0,
        }
    }
}

impl Rule for Aws {
    fn answered(&mut self, paid: f64) {
        self.tokens = (self.tokens + paid.max(1.0)).min(Self::MOST);
    }

    fn pay(&mut self, failure: Outcome) -> Option<f64> {
        let price = match failure {
            Outcome::TimedOut => self.after_timeout,
            Outcome::Answered | Outcome::Failed => self.retry,
        };
        take(&mut self.tokens, price)
    }

    fn backoff(&self, retry: u32, random: &mut SmallRng) -> Duration {
        let ceiling = Duration::from_millis(50) * (1 << retry);
        ceiling.mul_f64(random.random())
    }
}

/// gRPC's: each failure takes a token, each success brings a tenth, and there are retries while
/// more than half are left.
pub(super) struct Throttle {
    tokens: f64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { tokens: Self::MOST }
    }
}

impl Throttle {
    const MOST: f64 = 10.0;
    const A_SUCCESS: f64 = 0.1;
}

impl Rule for Throttle {
    fn answered(&mut self, _: f64) {
        self.tokens = (self.tokens + Self::A_SUCCESS).min(Self::MOST);
    }

    fn failed(&mut self) {
        self.tokens = (self.tokens - 1.0).max(0.0);
    }

    fn pay(&mut self, _: Outcome) -> Option<f64> {
        (self.tokens > Self::MOST / 2.0).then_some(0.0)
    }

    fn backoff(&self, retry: u32, random: &mut SmallRng) -> Duration {
        let middle = Duration::from_millis(100) * (1 << retry);
        middle.mul_f64(random.random_range(0.8..1.2))
    }
}

fn take(tokens: &mut f64, price: f64) -> Option<f64> {
    (*tokens >= price).then(|| {
        *tokens -= price;
        price
    })
}

const RESILIENCE_BACKOFF: Duration = Duration::from_millis(100);
