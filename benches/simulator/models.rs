//! Models of policies: what a balancer could do at best with what it sees, and with all there is.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tower::Service as _;

use super::{
    endpoint::{Call, Endpoint, Request},
    event::Nanos,
    policy::{Policy, View, ended},
    tasks::{Ended, Task},
};

/// A policy that is a rule, and what it keeps about its endpoints.
pub(super) struct Model<R>(Rc<RefCell<Book<R>>>);

/// How a model chooses.
pub(super) trait Rule {
    /// The index of the endpoint for a request.
    fn choose(&mut self, request: &Request, in_flight: &[u32], view: View<'_>) -> usize;

    fn inserted(&mut self) {}

    /// A request has ended, or was given up at this age.
    fn observe(&mut self, _endpoint: usize, _latency: f64, _failed: bool, _now: Nanos) {}

    fn seed(&mut self, _random: SmallRng) {}
}

struct Book<R> {
    endpoints: Vec<Endpoint>,
    in_flight: Vec<u32>,
    rule: R,
}

impl<R: Rule> Model<R> {
    pub(super) fn new(mut rule: R, seed: u64) -> Self {
        rule.seed(SmallRng::seed_from_u64(seed));
        Self(Rc::new(RefCell::new(Book {
            endpoints: Vec::new(),
            in_flight: Vec::new(),
            rule,
        })))
    }
}

impl<R: Rule + 'static> Policy for Model<R> {
    fn insert(&mut self, endpoint: Endpoint) {
        let mut book = self.0.borrow_mut();
        book.endpoints.push(endpoint);
        book.in_flight.push(0);
        book.rule.inserted();
    }

    fn send(&mut self, request: Request, view: View<'_>) -> Task {
        let mut book = self.0.borrow_mut();
        let Book {
            endpoints,
            in_flight,
            rule,
        } = &mut *book;
        let endpoint = rule.choose(&request, in_flight, view);
        in_flight[endpoint] += 1;
        Box::pin(Sent {
            call: endpoints[endpoint].call(request),
            endpoint,
            sent: view.clock.get(),
            clock: Rc::clone(view.clock),
            book: Rc::clone(&self.0),
            ended: None,
        })
    }

    fn needs_clock(&self) -> bool {
        false
    }
}

/// A request in flight, which is written down when it is dropped.
struct Sent<R: Rule> {
    call: Call,
    endpoint: usize,
    sent: Nanos,
    clock: Rc<Cell<Nanos>>,
    book: Rc<RefCell<Book<R>>>,
    ended: Option<Ended>,
}

impl<R: Rule> Future for Sent<R> {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let ended = ended(&ready!(Pin::new(&mut self.call).poll(cx)));
        self.ended = Some(ended);
        Poll::Ready(ended)
    }
}

impl<R: Rule> Drop for Sent<R> {
    fn drop(&mut self) {
        let now = self.clock.get();
        let latency = (now - self.sent) as f64;
        let failed = self.ended == Some(Ended::Failed);
        let mut book = self.book.borrow_mut();
        book.in_flight[self.endpoint] -= 1;
        book.rule.observe(self.endpoint, latency, failed, now);
    }
}

/// Least in flight of some, or of all.
pub(super) struct Choices {
    choices: usize,
    random: SmallRng,
}

impl Choices {
    pub(super) fn all() -> Self {
        Self::of(usize::MAX)
    }

    pub(super) fn of(choices: usize) -> Self {
        Self {
            choices,
            random: unseeded(),
        }
    }
}

impl Rule for Choices {
    fn choose(&mut self, _: &Request, in_flight: &[u32], _: View<'_>) -> usize {
        let random = &mut self.random;
        let endpoints = in_flight.len();
        if self.choices >= endpoints {
            return least(endpoints, random, |endpoint| f64::from(in_flight[endpoint]));
        }
        let mut best = random.random_range(0..endpoints);
        for _ in 1..self.choices {
            let other = random.random_range(0..endpoints);
            if in_flight[other] < in_flight[best] {
                best = other;
            }
        }
        best
    }

    fn seed(&mut self, random: SmallRng) {
        self.random = random;
    }
}

/// Mean latency x (requests in flight + 1), the least of all endpoints. An error is a latency of
/// one second, an endpoint without samples is a median one.
pub(super) struct Scan {
    means: Vec<Mean>,
    median: f64,
    median_until: Nanos,
    random: SmallRng,
}

#[derive(Clone, Copy)]
struct Mean {
    latency: f64,
    at: Nanos,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            means: Vec::new(),
            median: f64::NAN,
            median_until: 0,
            random: unseeded(),
        }
    }
}

impl Rule for Scan {
    fn choose(&mut self, _: &Request, in_flight: &[u32], view: View<'_>) -> usize {
        self.refresh_median(view.clock.get());
        let (means, median) = (&self.means, self.median);
        least(in_flight.len(), &mut self.random, |endpoint| {
            let mean = means[endpoint].latency;
            let latency = if mean.is_nan() { median } else { mean };
            latency * f64::from(in_flight[endpoint] + 1)
        })
    }

    fn inserted(&mut self) {
        let latency = f64::NAN;
        self.means.push(Mean { latency, at: 0 });
    }

    fn observe(&mut self, endpoint: usize, latency: f64, failed: bool, now: Nanos) {
        let latency = if failed { LATENCY_OF_ERROR } else { latency };
        let mean = &mut self.means[endpoint];
        let old = (-((now - mean.at) as f64) / DECAY).exp();
        mean.latency = if mean.latency.is_nan() {
            latency
        } else {
            mean.latency * old + latency * (1.0 - old)
        };
        mean.at = now;
    }

    fn seed(&mut self, random: SmallRng) {
        self.random = random;
    }
}

impl Scan {
    /// Sorting for each request would make it slow, not better.
    fn refresh_median(&mut self, now: Nanos) {
        if now < self.median_until && !self.median.is_nan() {
            return;
        }
        let means = self.means.iter().map(|mean| mean.latency);
        let mut seen: Vec<f64> = means.filter(|mean| !mean.is_nan()).collect();
        let middle = seen.len() / 2;
        if middle < seen.len() {
            self.median = *seen.select_nth_unstable_by(middle, f64::total_cmp).1;
        }
        self.median = if self.median.is_nan() {
            1.0
        } else {
            self.median
        };
        self.median_until = now + MEDIAN_HOLDS;
    }
}

/// The oracle: sends a request to where it will be finished first.
pub(super) struct Everything {
    pub(super) random: SmallRng,
}

impl Default for Everything {
    fn default() -> Self {
        Self { random: unseeded() }
    }
}

impl Rule for Everything {
    fn choose(&mut self, request: &Request, in_flight: &[u32], view: View<'_>) -> usize {
        let now = view.clock.get();
        least(in_flight.len(), &mut self.random, |server| {
            view.servers[server].time_to_finish(request.work, now)
        })
    }

    fn seed(&mut self, random: SmallRng) {
        self.random = random;
    }
}

/// As much as a client could know: how fast each server is, in what state, and what the client has
/// in flight there, but neither how much work a request is nor how much of it is left.
pub(super) struct Informed {
    random: SmallRng,
}

impl Default for Informed {
    fn default() -> Self {
        Self { random: unseeded() }
    }
}

impl Rule for Informed {
    fn choose(&mut self, _: &Request, in_flight: &[u32], view: View<'_>) -> usize {
        least(in_flight.len(), &mut self.random, |server| {
            view.servers[server].average_time_behind(in_flight[server])
        })
    }

    fn seed(&mut self, random: SmallRng) {
        self.random = random;
    }
}

/// The endpoint of the least cost, the first such from a random one on.
fn least(endpoints: usize, random: &mut SmallRng, cost: impl Fn(usize) -> f64) -> usize {
    let start = random.random_range(0..endpoints);
    let mut best = (start, f64::INFINITY);
    for endpoint in (start..endpoints).chain(0..start) {
        let cost = cost(endpoint);
        if cost < best.1 {
            best = (endpoint, cost);
        }
    }
    best.0
}

fn unseeded() -> SmallRng {
    SmallRng::seed_from_u64(0)
}

const LATENCY_OF_ERROR: f64 = 1e9;
const DECAY: f64 = 10e9;
const MEDIAN_HOLDS: Nanos = 100_000_000;
