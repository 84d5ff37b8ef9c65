//! A policy that judges by text, and requests that count their clones.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use tower::{Service, ServiceExt};
use tower_retry_budget::{Budget, Policy, Replay, Retry, RetryLayer, Verdict};

use super::{Failure, Probe, Request, at_once};

/// Says whether requests may be retried, and judges by the text of the outcome.
#[derive(Clone, Copy, Debug)]
pub struct ByText {
    pub retryable: bool,
}

impl Policy<Request, &'static str, Failure> for ByText {
    fn retryable(&self, _request: &Request) -> bool {
        self.retryable
    }

    fn classify(&self, result: Result<&&'static str, &Failure>) -> Verdict {
        match result {
            Ok(&"busy") | Err(Failure("reset")) => Verdict::retry(),
            Ok(&"wait") => Verdict::retry().after(Duration::from_secs(3)),
            Ok(&"bad") | Err(_) => Verdict::Failure,
            Ok(_) => Verdict::Success,
        }
    }
}

pub fn layer(budget: &Budget, attempts: u32, retryable: bool) -> RetryLayer<ByText> {
    let builder = RetryLayer::builder(budget.clone()).policy(ByText { retryable });
    builder
        .attempts(attempts)
        .backoff(at_once())
        .build()
        .expect("valid")
}

pub async fn send<P, R>(service: &mut Retry<Probe, P, R>) -> (Result<&'static str, Failure>, usize)
where
    P: Policy<Request, &'static str, Failure>,
    R: Replay<Request>,
{
    let (request, clones) = Request::counted();
    let service = ServiceExt::<Request>::ready(service).await.expect("ready");
    (service.call(request).await, clones.load(Relaxed))
}
