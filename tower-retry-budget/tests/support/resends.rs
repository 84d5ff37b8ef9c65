//! A policy that tells what may be retried from what may be sent again.

use tower::BoxError;
use tower_retry_budget::{Budget, Builder, Policy, RetryLayer, RetryStats, Verdict};

use super::{Answer, Failure, Request, at_once};

pub const REFUSED: Answer = Answer::Err("refused");
pub const BUSY: Answer = Answer::Ok("busy");
pub const FINE: Answer = Answer::Ok("fine");

/// What may be done with a request; judges by the text of the outcome.
#[derive(Clone, Copy, Debug)]
pub struct May {
    pub retry: bool,
    pub resend: bool,
}

pub const ONLY_RESEND: May = May {
    retry: false,
    resend: true,
};
pub const ONLY_RETRY: May = May {
    retry: true,
    resend: false,
};
pub const BOTH: May = May {
    retry: true,
    resend: true,
};

impl Policy<Request, &'static str, Failure> for May {
    fn retryable(&self, _request: &Request) -> bool {
        self.retry
    }

    fn resendable(&self, _request: &Request) -> bool {
        self.resend
    }

    fn classify(&self, result: Result<&&'static str, &Failure>) -> Verdict {
        match result {
            Err(Failure("refused")) => Verdict::Unprocessed,
            Ok(&"busy") => Verdict::retry(),
            Ok(_) => Verdict::Success,
            Err(_) => Verdict::Failure,
        }
    }
}

/// Under tower's mock.
impl Policy<&'static str, &'static str, BoxError> for May {
    fn resendable(&self, _request: &&'static str) -> bool {
        self.resend
    }

    fn classify(&self, result: Result<&&'static str, &BoxError>) -> Verdict {
        match result {
            Ok(_) => Verdict::Success,
            Err(_) => Verdict::Unprocessed,
        }
    }
}

pub fn builder(budget: &Budget, may: May) -> Builder<May> {
    let builder = RetryLayer::builder(budget.clone());
    builder.backoff(at_once()).policy(may)
}

pub fn layer(budget: &Budget, attempts: u32, resends: u32, may: May) -> RetryLayer<May> {
    let builder = builder(budget, may).attempts(attempts);
    builder.resends(resends).build().expect("valid")
}

/// The counts that are not zero, besides those of requests and resends.
pub fn refusals(stats: RetryStats) -> Vec<(&'static str, u64)> {
    let counts = [
        ("exhausted", stats.exhausted),
        ("not_retryable", stats.not_retryable),
        ("not_replayable", stats.not_replayable),
        ("out_of_attempts", stats.out_of_attempts),
        ("not_ready", stats.not_ready),
        ("past_deadline", stats.past_deadline),
    ];
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}
