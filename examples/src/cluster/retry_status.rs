//! What retries, hedges and the throttle cost and have done, for `/clusters` and `/metrics`.

use serde::Serialize;
use tower_retry_budget::{
    Kind, RetryStats, budget::BudgetStats, hedge::HedgeStats, http::BodyMemory,
    throttle::ThrottleStats,
};

use super::status::milliseconds;

/// What the cluster's budget holds and has decided.
#[derive(Clone, Debug, Serialize)]
pub struct BudgetStatus {
    /// Tokens that there are.
    pub balance: f64,
    /// Tokens that can be saved now.
    pub cap: f64,
    /// Tokens taken, less those given back.
    pub spent: f64,
    /// The share of successes in the window, if there was any outcome.
    pub success_ratio: Option<f64>,
    /// Successes that paid in.
    pub deposited: u64,
    /// Retries and hedges that got their tokens back because they were never sent.
    pub refunded: u64,
    /// The decisions, by the kind of failure.
    pub kinds: [KindStatus; 4],
}

/// What the budget has decided about one kind.
#[derive(Clone, Debug, Serialize)]
pub struct KindStatus {
    /// Its name.
    pub kind: &'static str,
    /// Tokens that one costs now.
    pub price: f64,
    /// How many were paid for.
    pub granted: u64,
    /// Refused: there was less than that.
    pub refused_empty: u64,
    /// Refused only because prices have risen, as so much fails.
    pub refused_dearer: u64,
}

/// What became of slow requests.
#[derive(Clone, Debug, Serialize)]
pub struct HedgeStatus {
    /// Second attempts sent.
    pub sent: u64,
    /// The first attempt answered.
    pub won_first: u64,
    /// The second attempt answered.
    pub won_second: u64,
    /// Both failed.
    pub failed: u64,
    /// Slow, and no second attempt, by reason.
    pub exhausted: u64,
    /// The body was still on its way, or too long to be kept.
    pub not_replayable: u64,
    /// There was no endpoint for it.
    pub not_ready: u64,
    /// For how long a first attempt is waited for; nothing while too little is known.
    pub delay_ms: Option<f64>,
}

/// What all kept bodies take together.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryStatus {
    /// Bytes in use.
    pub used: usize,
    /// Bytes that there are.
    pub limit: usize,
    /// Bodies that found no memory, so that their requests could not be retried.
    pub refused: u64,
}

/// What is held back.
#[derive(Clone, Debug, Serialize)]
pub struct ThrottleStatus {
    /// Requests held back so far.
    pub held: u64,
    /// How likely the next one is, from 0 to 1.
    pub probability: f64,
}

impl BudgetStatus {
    pub(super) fn of(stats: &BudgetStats) -> Self {
        let kind = |kind| {
            let decided = stats.kinds.of(kind);
            KindStatus {
                kind: name(kind),
                price: decided.price,
                granted: decided.granted,
                refused_empty: decided.refused_empty,
                refused_dearer: decided.refused_dearer,
            }
        };
        Self {
            balance: stats.balance,
            cap: stats.cap,
            spent: stats.spent,
            success_ratio: stats.success_ratio,
            deposited: stats.deposited,
            refunded: stats.refunded,
            kinds: [
                kind(Kind::Transient),
                kind(Kind::Throttled),
                kind(Kind::Timeout),
                kind(Kind::Hedge),
            ],
        }
    }
}

impl HedgeStatus {
    pub(super) fn of(stats: &HedgeStats) -> Self {
        Self {
            sent: stats.hedged,
            won_first: stats.won_first,
            won_second: stats.won_second,
            failed: stats.failed,
            exhausted: stats.exhausted,
            not_replayable: stats.not_replayable,
            not_ready: stats.not_ready,
            delay_ms: stats.delay.map(milliseconds),
        }
    }
}

impl MemoryStatus {
    pub(super) fn of(memory: &BodyMemory) -> Self {
        Self {
            used: memory.used(),
            limit: memory.limit(),
            refused: memory.refused(),
        }
    }
}

impl ThrottleStatus {
    pub(super) fn of(stats: &ThrottleStats) -> Self {
        Self {
            held: stats.held,
            probability: stats.probability,
        }
    }
}

/// Attempts that called for another and got none, by reason.
pub(crate) fn refused(retries: &RetryStats) -> [(&'static str, u64); 7] {
    [
        ("exhausted", retries.exhausted),
        ("not_retryable", retries.not_retryable),
        ("not_replayable", retries.not_replayable),
        ("not_ready", retries.not_ready),
        ("past_deadline", retries.past_deadline),
        ("unwanted", retries.unwanted),
        ("out_of_attempts", retries.out_of_attempts),
    ]
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Throttled => "throttled",
        Kind::Timeout => "timeout",
        Kind::Hedge => "hedge",
        _ => "transient",
    }
}
