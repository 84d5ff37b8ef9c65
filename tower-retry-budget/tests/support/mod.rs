//! A service that holds its callers to tower's contract.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

pub mod resends;
pub mod rules;

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use tower_retry_budget::{Backoff, Budget, Kind, Replay};
use tower_service::Service;

/// A budget of so many tokens that is paid by nothing.
pub fn tokens(reserve: u32) -> Budget {
    let builder = Budget::builder().ratio(0.0).min_per_second(0.0);
    let builder = builder.reserve(reserve).follow_success(false);
    builder.build().expect("valid")
}

/// A budget of so many tokens that pays `ratio` for a success. Its tokens are spent.
pub fn spent(ratio: f64, reserve: u32) -> Budget {
    let builder = Budget::builder().ratio(ratio).min_per_second(0.0);
    let builder = builder.reserve(reserve).burst(reserve);
    let budget = builder.follow_success(false).build().expect("valid");
    while budget.try_withdraw(Kind::Transient).is_ok() {}
    budget
}

pub fn at_once() -> Backoff {
    Backoff::new(Duration::ZERO, Duration::ZERO).expect("valid")
}

/// Waits that double from `base` to `max`.
pub fn within(base: Duration, max: Duration) -> Backoff {
    let backoff = Backoff::new(base, max).and_then(|backoff| backoff.factor(2));
    backoff.expect("valid")
}

/// What an attempt is answered with.
#[derive(Clone, Debug)]
pub enum Answer {
    Ok(&'static str),
    Err(&'static str),
    Never,
}

/// What one poll for readiness is answered with. Without a script it is `Ready`.
#[derive(Clone, Debug)]
pub enum Readiness {
    Ready,
    Pending,
    Err(&'static str),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Failure(pub &'static str);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Failure {}

/// A request that counts its clones.
#[derive(Debug, Default)]
pub struct Request {
    clones: Arc<AtomicUsize>,
}

impl Request {
    pub fn counted() -> (Self, Arc<AtomicUsize>) {
        let request = Self::default();
        let clones = Arc::clone(&request.clones);
        (request, clones)
    }
}

impl Clone for Request {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Relaxed);
        Self {
            clones: Arc::clone(&self.clones),
        }
    }
}

/// Has a spare, but nothing can be made from it when it comes to that.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Whether that is known before it comes to that.
    pub known: bool,
}

impl Replay<Request> for Broken {
    type Request = Request;
    type Spare = ();

    fn plain(&self, request: Request) -> Request {
        request
    }

    fn first(&self, request: Request) -> (Request, Option<()>) {
        (request, Some(()))
    }

    fn replayable(&self, _spare: &()) -> bool {
        !self.known
    }

    fn again(&self, _spare: &mut ()) -> Option<Request> {
        None
    }
}

/// Ready only for the instance that was polled, not for its clones; reserves while it is ready;
/// panics if it is called without, or used again after an error of readiness.
#[derive(Debug)]
pub struct Probe {
    instance: usize,
    failed: bool,
    reservation: Option<Reservation>,
    world: World,
}

/// What all clones of a probe see and what the test holds.
#[derive(Clone, Debug, Default)]
pub struct World {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<Answer>,
    readiness: VecDeque<Readiness>,
    wakers: Vec<Waker>,
    instances: usize,
    calls: Vec<usize>,
    polls: usize,
    reserved: usize,
    in_flight: usize,
}

impl World {
    pub fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        let world = Self::default();
        world.state().answers.extend(answers);
        world
    }

    /// The first instance, which is number 0.
    pub fn probe(&self) -> Probe {
        self.state().instances += 1;
        Probe {
            instance: 0,
            failed: false,
            reservation: None,
            world: self.clone(),
        }
    }

    pub fn then_ready(&self, readiness: impl IntoIterator<Item = Readiness>) {
        self.state().readiness.extend(readiness);
    }

    pub fn wake(&self) {
        let wakers = std::mem::take(&mut self.state().wakers);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The instances that were called, in order.
    pub fn calls(&self) -> Vec<usize> {
        self.state().calls.clone()
    }

    /// Instances that were made by cloning, but for the one that a retry layer keeps to clone
    /// from, which is number 1.
    pub fn clones(&self) -> usize {
        self.state().instances - 2
    }

    pub fn polls(&self) -> usize {
        self.state().polls
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

impl Clone for Probe {
    fn clone(&self) -> Self {
        let mut state = self.world.state();
        state.instances += 1;
        Self {
            instance: state.instances - 1,
            failed: false,
            reservation: None,
            world: self.world.clone(),
        }
    }
}

impl<Req> Service<Req> for Probe {
    type Response = &'static str;
    type Error = Failure;
    type Future = Attempt;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        assert!(!self.failed, "used again after an error of readiness");
        let mut state = self.world.state();
        state.polls += 1;
        if self.reservation.is_some() {
            return Poll::Ready(Ok(()));
        }
        match state.readiness.pop_front().unwrap_or(Readiness::Ready) {
            Readiness::Ready => {
                state.reserved += 1;
                self.reservation = Some(Reservation(self.world.clone()));
                Poll::Ready(Ok(()))
            }
            Readiness::Pending => {
                state.wakers.push(cx.waker().clone());
                Poll::Pending
            }
            Readiness::Err(text) => {
                self.failed = true;
                Poll::Ready(Err(Failure(text)))
            }
        }
    }

    fn call(&mut self, _request: Req) -> Attempt {
        assert!(self.reservation.take().is_some(), "called without ready");
        let mut state = self.world.state();
        state.calls.push(self.instance);
        state.in_flight += 1;
        Attempt {
            answer: state.answers.pop_front().expect("an answer for each call"),
            world: self.world.clone(),
        }
    }
}

#[derive(Debug)]
pub struct Attempt {
    answer: Answer,
    world: World,
}

impl Future for Attempt {
    type Output = Result<&'static str, Failure>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.answer {
            Answer::Ok(text) => Poll::Ready(Ok(text)),
            Answer::Err(text) => Poll::Ready(Err(Failure(text))),
            Answer::Never => Poll::Pending,
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.world.state().in_flight -= 1;
    }
}

#[derive(Debug)]
struct Reservation(World);

impl Drop for Reservation {
    fn drop(&mut self) {
        self.0.state().reserved -= 1;
    }
}
