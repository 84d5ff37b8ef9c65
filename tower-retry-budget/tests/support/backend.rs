//! A service that answers each call after its time, and holds its callers to tower's contract.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Sleep, sleep};
use tower::{Layer, Service, ServiceExt};
use tower_retry_budget::{
    Budget, Policy, Replay, Verdict,
    hedge::{Builder, Hedge, HedgeLayer},
};

pub const MS: Duration = Duration::from_millis(1);

/// A budget of so many tokens that is paid by nothing.
pub fn tokens(burst: u32) -> Budget {
    let builder = Budget::builder().ratio(0.0).min_per_second(0.0);
    let builder = builder.reserve(burst).burst(burst).follow_success(false);
    builder.build().expect("valid")
}

#[derive(Debug, PartialEq, Eq)]
pub struct Failure(pub &'static str);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Failure {}

pub type Outcome = Result<&'static str, Failure>;

/// Errors may be retried, `bad` has failed for good, `yours` is the caller's fault.
pub fn by_text(outcome: Result<&&'static str, &Failure>) -> Verdict {
    match outcome {
        Err(_) => Verdict::retry(),
        Ok(&"bad") => Verdict::Failure,
        Ok(&"yours") => Verdict::Neutral,
        Ok(_) => Verdict::Success,
    }
}

pub type ByText = fn(Result<&&'static str, &Failure>) -> Verdict;

pub fn builder(budget: &Budget) -> Builder<ByText> {
    HedgeLayer::builder(budget.clone(), by_text as ByText)
}

pub fn layer(budget: &Budget) -> HedgeLayer<ByText> {
    builder(budget).build().expect("valid")
}

/// Ready only for the instance that was polled; reserves while it is ready; panics if it is called
/// without.
#[derive(Debug)]
pub struct Instance {
    number: usize,
    is_reserved: bool,
    backend: Backend,
}

/// What all instances have in common and what the test holds. A call without a script is answered
/// `ok` after 10 ms.
#[derive(Clone, Debug, Default)]
pub struct Backend {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<(Duration, Outcome)>,
    usual: Option<Duration>,
    readiness: VecDeque<Poll<Outcome>>,
    instances: usize,
    calls: Vec<usize>,
    reserved: usize,
    in_flight: usize,
}

impl Backend {
    /// The first instance, which is number 0.
    pub fn instance(&self) -> Instance {
        self.state().instances += 1;
        Instance {
            number: 0,
            is_reserved: false,
            backend: self.clone(),
        }
    }

    pub fn will_answer(&self, answers: impl IntoIterator<Item = (Duration, Outcome)>) {
        self.state().answers.extend(answers);
    }

    pub fn usually_takes(&self, latency: Duration) {
        self.state().usual = Some(latency);
    }

    /// What the next polls for readiness are answered with, before it is ready again.
    pub fn will_be(&self, readiness: impl IntoIterator<Item = Poll<Outcome>>) {
        self.state().readiness.extend(readiness);
    }

    /// The instances that were called, in order.
    pub fn calls(&self) -> Vec<usize> {
        self.state().calls.clone()
    }

    pub fn instances(&self) -> usize {
        self.state().instances
    }

    pub fn reserved(&self) -> usize {
        self.state().reserved
    }

    pub fn in_flight(&self) -> usize {
        self.state().in_flight
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with the lock")
    }
}

impl Clone for Instance {
    fn clone(&self) -> Self {
        let mut state = self.backend.state();
        state.instances += 1;
        Self {
            number: state.instances - 1,
            is_reserved: false,
            backend: self.backend.clone(),
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.backend.state().reserved -= usize::from(self.is_reserved);
    }
}

impl<Req> Service<Req> for Instance {
    type Response = &'static str;
    type Error = Failure;
    type Future = Attempt;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.is_reserved {
            return Poll::Ready(Ok(()));
        }
        let mut state = self.backend.state();
        let ready = state.readiness.pop_front().unwrap_or(Poll::Ready(Ok("")));
        if ready.is_pending() {
            cx.waker().wake_by_ref();
        }
        ready!(ready)?;
        state.reserved += 1;
        self.is_reserved = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Req) -> Attempt {
        assert!(self.is_reserved, "called without ready");
        self.is_reserved = false;
        let mut state = self.backend.state();
        state.reserved -= 1;
        state.calls.push(self.number);
        state.in_flight += 1;
        let usual = state.usual.unwrap_or(10 * MS);
        let (latency, outcome) = state.answers.pop_front().unwrap_or((usual, Ok("ok")));
        Attempt {
            sleep: Box::pin(sleep(latency)),
            outcome: Some(outcome),
            backend: self.backend.clone(),
        }
    }
}

#[derive(Debug)]
pub struct Attempt {
    sleep: Pin<Box<Sleep>>,
    outcome: Option<Outcome>,
    backend: Backend,
}

impl Future for Attempt {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        ready!(self.sleep.as_mut().poll(cx));
        Poll::Ready(self.outcome.take().expect("not polled after the end"))
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.backend.state().in_flight -= 1;
    }
}

pub async fn send<P, R>(service: &mut Hedge<Instance, P, R>) -> Outcome
where
    P: Policy<(), &'static str, Failure>,
    R: Replay<()>,
{
    ServiceExt::<()>::ready(service).await?.call(()).await
}

/// A service that has learnt from 200 answers after 10 ms each, so that it hedges after some 11 ms.
pub async fn learnt<P, R>(layer: &HedgeLayer<P, R>, backend: &Backend) -> Hedge<Instance, P, R>
where
    P: Policy<(), &'static str, Failure>,
    R: Replay<()>,
{
    let mut service = layer.layer(backend.instance());
    for _ in 0..200 {
        send(&mut service).await.expect("answered");
    }
    let delay = layer.stats().delay.expect("known");
    assert!((10 * MS..=12 * MS).contains(&delay), "{delay:?}");
    backend.state().calls.clear();
    service
}
