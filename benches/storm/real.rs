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
use tower_retry_budget::{
    Backoff, Budget, Kind, RetryLayer, Verdict,
    throttle::{Throttle, ThrottleLayer},
};

use super::{
    endpoint::{Endpoint, Request, Response},
    policy::{ATTEMPTS, Client, Outcome, Policy, View, client},
    tasks::Task,
};

/// A client through a stack of layers.
pub(super) struct Stack<F, S> {
    over: F,
    service: Option<S>,
}

impl<F: Fn(Client) -> S, S> Stack<F, S> {
    fn new(over: F) -> Self {
        let service = None;
        Self { over, service }
    }
}

impl<F, S> Policy for Stack<F, S>
where
    F: Fn(Client) -> S,
    S: Service<Request, Response = Response, Error = BoxError> + Clone + 'static,
    S::Future: 'static,
{
    fn insert(&mut self, endpoint: Endpoint) {
        self.service = Some((self.over)(client(endpoint)));
    }

    fn send(&mut self, request: Request, _: View<'_>) -> Task {
        let service = self.service.clone();
        let service = service.expect("the server is there before the first request");
        Box::pin(async move {
            let result = service.oneshot(request).await;
            Outcome::of(result.as_ref()).ended()
        })
    }
}

/// What of the layer is not as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Without {
    Nothing,
    /// Each retry costs one, whatever failed.
    KindPrices,
    /// They do not rise where most fails.
    RisingPrices,
    /// As much may be saved whatever succeeds.
    FollowingBurst,
    /// Nothing is paid in with time.
    Floor,
    /// It is told to be one of a thousand.
    FullFloor,
    /// The backoff doubles from 25 to 250 ms.
    LongBackoff,
}

/// The layer of this workspace, with its default settings but for the number of attempts and what
/// is taken away.
pub(super) fn ours(without: Without, seed: u64) -> impl Policy {
    let layer = layer(without, seed);
    Stack::new(move |client| layer.layer(client))
}

/// The same behind this workspace's throttle.
pub(super) fn throttled(seed: u64) -> impl Policy {
    let retries = layer(Without::Nothing, seed);
    let throttle = Throttle::builder().seed(seed).build();
    let throttle = throttle.expect("the settings are in range");
    let throttle = ThrottleLayer::new(throttle).policy(verdict as Judge);
    Stack::new(move |client| throttle.layer(retries.layer(client)))
}

fn layer(without: Without, seed: u64) -> RetryLayer<Judge> {
    let budget = Budget::builder();
    let budget = match without {
        Without::Nothing | Without::LongBackoff => budget,
        Without::KindPrices => budget.price(Kind::Throttled, 1.0).price(Kind::Timeout, 1.0),
        Without::RisingPrices => budget.follow_success(false),
        Without::FollowingBurst => budget.reserve(FIXED_BURST).burst(FIXED_BURST),
        Without::Floor => budget.min_per_second(0.0),
        Without::FullFloor => budget.clients(FLEET),
    };
    let backoff = if without == Without::LongBackoff {
        Backoff::new(Duration::from_millis(25), Duration::from_millis(250))
            .and_then(|backoff| backoff.factor(2))
            .expect("the settings are in range")
    } else {
        Backoff::default()
    };
    RetryLayer::builder(budget.build().expect("the settings are in range"))
        .attempts(ATTEMPTS)
        .backoff(backoff)
        .seed(seed)
        .policy(verdict as Judge)
        .build()
        .expect("the settings are in range")
}

type Judge = fn(Result<&Response, &BoxError>) -> Verdict;

fn verdict(result: Result<&Response, &BoxError>) -> Verdict {
    match Outcome::of(result) {
        Outcome::Answered => Verdict::Success,
        Outcome::Failed => Verdict::retry(),
        Outcome::TimedOut => Verdict::retry().kind(Kind::Timeout),
    }
}

/// tower's `Retry`, with a policy that pays in for a success and takes out for a failure.
pub(super) fn tower(budget: Option<TpsBudget>, seed: u64) -> impl Policy {
    let random = Random(SmallRng::seed_from_u64(seed));
    // As `ExponentialBackoffMaker::default()`, but for the source of its jitter.
    let backoff = ExponentialBackoffMaker::new(
        Duration::from_millis(50),
        Duration::from_millis(u64::MAX),
        0.99,
        random,
    );
    let rule = Rule {
        budget: budget.map(Arc::new),
        backoff: backoff.expect("its own defaults").make_backoff(),
        retries: ATTEMPTS - 1,
    };
    Stack::new(move |client| TowerRetry::new(rule.clone(), client))
}

pub(super) fn default_budget() -> TpsBudget {
    TpsBudget::default()
}

pub(super) fn budget_without_floor() -> TpsBudget {
    TpsBudget::new(Duration::from_secs(10), 0, 0.2)
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

/// Tokens.
const FIXED_BURST: u32 = 20;
const FLEET: u32 = 1_000;
