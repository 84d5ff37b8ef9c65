//! A strict service: readiness is owned by the instance that was polled, and everything is counted.
#![allow(dead_code, unreachable_pub)]

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};
use tower::Service;
use tower_timeout_ewma::Stats;

/// What the request asks the service to do.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    Now,
    After(Duration),
    FailNow,
    FailAfter(Duration),
    Never,
}

#[derive(Debug, Default)]
pub struct Counts {
    pub ready_polls: AtomicUsize,
    pub clones: AtomicUsize,
    pub calls: AtomicUsize,
    pub in_flight: AtomicUsize,
}

impl Counts {
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[derive(Debug, Default)]
pub struct Probe {
    ready: bool,
    pub counts: Arc<Counts>,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        self.counts.clones.fetch_add(1, Ordering::SeqCst);
        Self {
            ready: false,
            counts: Arc::clone(&self.counts),
        }
    }
}

impl Service<Reply> for Probe {
    type Response = &'static str;
    type Error = io::Error;
    type Future = ProbeFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.counts.ready_polls.fetch_add(1, Ordering::SeqCst);
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, reply: Reply) -> ProbeFuture {
        assert!(self.ready, "called without being ready");
        self.ready = false;
        self.counts.calls.fetch_add(1, Ordering::SeqCst);
        ProbeFuture {
            reply,
            sleep: None,
            _in_flight: InFlight::new(&self.counts),
        }
    }
}

/// Creates its own timer at the first poll only, so that it needs no runtime to answer at once.
pub struct ProbeFuture {
    reply: Reply,
    sleep: Option<Pin<Box<Sleep>>>,
    _in_flight: InFlight,
}

impl Future for ProbeFuture {
    type Output = io::Result<&'static str>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (delay, result) = match self.reply {
            Reply::Now => return Poll::Ready(Ok("answer")),
            Reply::FailNow => return Poll::Ready(Err(failure())),
            Reply::Never => return Poll::Pending,
            Reply::After(delay) => (delay, Ok("answer")),
            Reply::FailAfter(delay) => (delay, Err(failure())),
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(delay)));
        sleep.as_mut().poll(cx).map(|()| result)
    }
}

struct InFlight(Arc<Counts>);

impl InFlight {
    fn new(counts: &Arc<Counts>) -> Self {
        counts.in_flight.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(counts))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

pub fn failure() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "reset by peer")
}

/// The smoothed latency, or the median.
pub fn typical(stats: &Stats) -> Duration {
    let estimate = stats.estimate;
    estimate.expect("there are enough samples").typical()
}

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Odd, so that no test relies on landing exactly on a timer.
pub const fn odd_ms(millis: u64) -> Duration {
    Duration::from_micros(millis * 1000 + 3)
}
