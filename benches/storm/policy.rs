//! Who is compared: retry layers, and models of rules that are not in Rust, or know more than a
//! client can.

use std::{cell::Cell, rc::Rc, time::Duration};

use benches::simulation;
use tower::{BoxError, timeout::Timeout, timeout::error::Elapsed};

use super::{
    endpoint::{Endpoint, Request, Response},
    event::Nanos,
    models::{Oracle, Retrying},
    real::{self, Without},
    rules,
    server::Server,
    tasks::{Ended, Task},
};

/// The retries of one client.
pub(super) trait Policy {
    /// There is one server; this is it.
    fn insert(&mut self, endpoint: Endpoint);

    /// Sends a request; the task ends with its last answer.
    fn send(&mut self, request: Request, view: View<'_>) -> Task;

    /// What has to run beside the requests.
    fn background(&mut self) -> Option<Task> {
        None
    }

    /// All use tokio's timers.
    fn needs_clock(&self) -> bool {
        true
    }
}

/// What a model may look at. A client does not.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) clock: &'a Rc<Cell<Nanos>>,
    pub(super) servers: &'a [Server],
}

/// What every policy sends its attempts through.
pub(super) type Client = Timeout<Endpoint>;

pub(super) fn client(endpoint: Endpoint) -> Client {
    Timeout::new(endpoint, ATTEMPT_TIMEOUT)
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    /// An answer that says so, or none.
    Failed,
    TimedOut,
}

impl Outcome {
    pub(super) fn of(result: Result<&Response, &BoxError>) -> Self {
        match result {
            Ok(Response { failed: false }) => Self::Answered,
            Err(error) if error.is::<Elapsed>() => Self::TimedOut,
            Ok(Response { failed: true }) | Err(_) => Self::Failed,
        }
    }

    pub(super) fn ended(self) -> Ended {
        match self {
            Self::Answered => Ended::Answered,
            Self::Failed | Self::TimedOut => Ended::Failed,
        }
    }
}

/// The policies by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum PolicyKind {
    None,
    Naive,
    NaiveBackoff,
    Tower,
    TowerNoFloor,
    ResilienceBucket,
    ResilienceAimd,
    Aws,
    Aws2026,
    Grpc,
    Ours,
    OursThrottled,
    OursWithout(Without),
    Oracle,
}

impl simulation::Policy for PolicyKind {
    const ALL: &'static [Self] = &[
        Self::None,
        Self::Naive,
        Self::Tower,
        Self::TowerNoFloor,
        Self::ResilienceBucket,
        Self::ResilienceAimd,
        Self::Aws,
        Self::Grpc,
        Self::Ours,
        Self::OursThrottled,
        Self::Oracle,
    ];

    const MORE: &'static [Self] = &[
        Self::NaiveBackoff,
        Self::Aws2026,
        Self::OursWithout(Without::KindPrices),
        Self::OursWithout(Without::RisingPrices),
        Self::OursWithout(Without::FollowingBurst),
        Self::OursWithout(Without::Floor),
        Self::OursWithout(Without::FullFloor),
        Self::OursWithout(Without::LongBackoff),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Naive => "naive",
            Self::NaiveBackoff => "naive-backoff",
            Self::Tower => "tower",
            Self::TowerNoFloor => "tower-no-floor",
            Self::ResilienceBucket => "resilience-bucket",
            Self::ResilienceAimd => "resilience-aimd",
            Self::Aws => "aws",
            Self::Aws2026 => "aws-2026",
            Self::Grpc => "grpc",
            Self::Ours | Self::OursWithout(Without::Nothing) => "ours",
            Self::OursWithout(Without::KindPrices) => "ours-one-price",
            Self::OursWithout(Without::RisingPrices) => "ours-same-prices",
            Self::OursWithout(Without::FollowingBurst) => "ours-fixed-burst",
            Self::OursWithout(Without::Floor) => "ours-no-floor",
            Self::OursWithout(Without::FullFloor) => "ours-of-1000",
            Self::OursThrottled => "ours-throttled",
            Self::OursWithout(Without::LongBackoff) => "ours-short-backoff",
            Self::Oracle => "oracle",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::None => "no retries",
            Self::Naive => "three retries, at once",
            Self::NaiveBackoff => "three retries, after tower's default backoff",
            Self::Tower => "tower `Retry`, default `TpsBudget` (20 % + 10/s) and default backoff",
            Self::TowerNoFloor => "the same with `TpsBudget::new(10 s, 0, 0.2)` (20 % + 0/s)",
            Self::ResilienceBucket => {
                "model: the default token bucket of tower-resilience 0.14 (100; 10/s, and 1 a \
                 success) and its default backoff (100 ms, doubling, no jitter)"
            }
            Self::ResilienceAimd => "model: the same with its default AIMD budget (10 to 1,000)",
            Self::Aws => {
                "model: AWS's standard mode as it was (500 tokens; 5 a retry, 10 after a \
                 timeout; 50 ms, doubling, full jitter)"
            }
            Self::Aws2026 => "model: the same as of 2026 (14 a retry, whatever failed)",
            Self::Grpc => {
                "model: gRPC's retry throttle and policy as in its proposal A6 (10 tokens, 0.1 a \
                 success; 100 ms, doubling, ± 20 %)"
            }
            Self::Ours | Self::OursWithout(Without::Nothing) => {
                "tower-retry-budget, default settings"
            }
            Self::OursWithout(Without::KindPrices) => {
                "the same, but each retry costs one, whatever failed"
            }
            Self::OursWithout(Without::RisingPrices) => {
                "the same, but prices do not rise where most fails"
            }
            Self::OursWithout(Without::FollowingBurst) => {
                "the same, but 20 may be saved whatever succeeds"
            }
            Self::OursWithout(Without::Floor) => "the same, but nothing is paid in with time",
            Self::OursWithout(Without::FullFloor) => {
                "the same, told that it is one of 1,000 clients"
            }
            Self::OursThrottled => "the same behind its `ThrottleLayer`, default settings",
            Self::OursWithout(Without::LongBackoff) => {
                "the same, but the backoff doubles from 25 to 250 ms"
            }
            Self::Oracle => {
                "model: does not send what could not be answered within a second, and never \
                 retries"
            }
        }
    }
}

impl PolicyKind {
    /// A client whose choices follow from `seed`, where it lets one say so.
    pub(super) fn build(self, seed: u64) -> Box<dyn Policy> {
        match self {
            Self::None => Box::new(Retrying::new(rules::Never, seed)),
            Self::Naive => Box::new(Retrying::new(rules::AtOnce, seed)),
            Self::NaiveBackoff => Box::new(real::tower(None, seed)),
            Self::Tower => Box::new(real::tower(Some(real::default_budget()), seed)),
            Self::TowerNoFloor => Box::new(real::tower(Some(real::budget_without_floor()), seed)),
            Self::ResilienceBucket => Box::new(Retrying::new(rules::Bucket::default(), seed)),
            Self::ResilienceAimd => Box::new(Retrying::new(rules::Aimd::default(), seed)),
            Self::Aws => Box::new(Retrying::new(rules::Aws::before(), seed)),
            Self::Aws2026 => Box::new(Retrying::new(rules::Aws::of_2026(), seed)),
            Self::Grpc => Box::new(Retrying::new(rules::Throttle::default(), seed)),
            Self::Ours => Box::new(real::ours(Without::Nothing, seed)),
            Self::OursWithout(part) => Box::new(real::ours(part, seed)),
            Self::OursThrottled => Box::new(real::throttled(seed)),
            Self::Oracle => Box::new(Oracle::default()),
        }
    }
}

/// With all of them, the first included.
pub(super) const ATTEMPTS: u32 = 4;

/// How long a client waits for an attempt.
pub(super) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
