//! The retry layers under test, through their public `Service`.

use std::{pin::Pin, sync::Arc, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tokio::time::Sleep;
use tower::{
    BoxError, Layer as _, Service, ServiceExt as _,
    retry::{
        Policy as TowerPolicy, Retry as TowerRetry,
        backoff::{Backoff as _, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff as _},
        budget::{Budget as _, TpsBudget},
    },
    util::rng::Rng as TowerRng,
};
use tower_retry_budget::{Budget, Retry, RetryLayer, Verdict};

use super::{
    endpoint::{Endpoint, Request, Response},
    policy::{ATTEMPTS, Client, Outcome, Policy, View, client},
    tasks::Task,
};

/// The layer of this workspace, with its default settings but for the number of attempts.
pub(super) struct Ours {
    layer: RetryLayer<Judge>,
    service: Option<Retry<Client, Judge>>,
}

type Judge = fn(Result<&Response, &BoxError>) -> Verdict;

impl Ours {
    pub(super) fn new(_seed: u64) -> Self {
        let layer = RetryLayer::builder(Budget::new())
            .attempts(ATTEMPTS)
            .policy(verdict as Judge)
            .build();
        Self {
            layer: layer.expect("the settings are in range"),
            service: None,
        }
    }
}

impl Policy for Ours {
    fn insert(&mut self, endpoint: Endpoint) {
        self.service = Some(self.layer.layer(client(endpoint)));
    }

    fn send(&mut self, request: Request, _: View<'_>) -> Task {
        send(self.service.clone(), request)
    }
}

fn verdict(result: Result<&Response, &BoxError>) -> Verdict {
    match Outcome::of(result) {
        Outcome::Answered => Verdict::Success,
        Outcome::Failed | Outcome::TimedOut => Verdict::Retry { after: None },
    }
}

/// tower's `Retry`, with a policy that pays in for a success and takes out for a failure.
pub(super) struct Tower {
    rule: Rule,
    service: Option<TowerRetry<Rule, Client>>,
}

pub(super) fn tower(budget: Option<TpsBudget>, seed: u64) -> Tower {
    let random = Random(SmallRng::seed_from_u64(seed));
    // As `ExponentialBackoffMaker::default()`, but for the source of its jitter.
    let backoff = ExponentialBackoffMaker::new(
        Duration::from_millis(50),
        Duration::from_millis(u64::MAX),
        0.99,
        random,
    );
    Tower {
        rule: Rule {
            budget: budget.map(Arc::new),
            backoff: backoff.expect("its own defaults").make_backoff(),
            retries: ATTEMPTS - 1,
        },
        service: None,
    }
}

pub(super) fn default_budget() -> TpsBudget {
    TpsBudget::default()
}

pub(super) fn budget_without_floor() -> TpsBudget {
    TpsBudget::new(Duration::from_secs(10), 0, 0.2)
}

impl Policy for Tower {
    fn insert(&mut self, endpoint: Endpoint) {
        self.service = Some(TowerRetry::new(self.rule.clone(), client(endpoint)));
    }

    fn send(&mut self, request: Request, _: View<'_>) -> Task {
        send(self.service.clone(), request)
    }
}

#[derive(Clone)]
struct Rule {
    budget: Option<Arc<TpsBudget>>,
    backoff: ExponentialBackoff<Random>,
    retries: u32,
}

impl TowerPolicy<Request, Response, BoxError> for Rule {
    type Future = Pin<Box<Sleep>>;

    fn retry(
        &mut self,
        _: &mut Request,
        result: &mut Result<Response, BoxError>,
    ) -> Option<Self::Future> {
        let budget = self.budget.as_ref();
        if Outcome::of(result.as_ref()) == Outcome::Answered {
            if let Some(budget) = budget {
                budget.deposit();
            }
            return None;
        }
        self.retries = self.retries.checked_sub(1)?;
        if budget.is_some_and(|budget| !budget.withdraw()) {
            return None;
        }
        Some(Box::pin(self.backoff.next_backoff()))
    }

    fn clone_request(&mut self, request: &Request) -> Option<Request> {
        Some(*request)
    }
}

/// Cloned for each request, as tower clones its own: so all sessions of a client jitter alike.
#[derive(Clone)]
struct Random(SmallRng);

impl TowerRng for Random {
    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

fn send<S>(service: Option<S>, request: Request) -> Task
where
    S: Service<Request, Response = Response, Error = BoxError, Future: 'static> + 'static,
{
    let service = service.expect("the server is there before the first request");
    Box::pin(async move {
        let result = service.oneshot(request).await;
        Outcome::of(result.as_ref()).ended()
    })
}
