//! The server, as its clients see it, and a connection to it.

use std::{
    error::Error,
    fmt,
    future::{Ready, ready},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tower::{BoxError, Service};

use super::{record::Record, scenario::Scenario};

/// The server. Clones are the same one.
#[derive(Clone)]
pub(super) struct Endpoint(Arc<Inner>);

struct Inner {
    scenario: Scenario,
    /// When its trouble begins.
    zero: Instant,
    record: Mutex<Record>,
}

/// A connection. It dies unnoticed, as one does: whoever polls it then learns of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    dies_at: Instant,
    /// Whether its clients are told to go.
    sends_away: bool,
}

/// It does not accept.
#[derive(Debug)]
pub(super) struct Refused;

/// It has closed the connection.
#[derive(Debug)]
pub(super) struct Closed;

/// It has told its client to go.
#[derive(Debug)]
pub(super) struct SentAway;

impl Endpoint {
    pub(super) fn new(scenario: &Scenario, zero: Instant) -> Self {
        Self(Arc::new(Inner {
            scenario: *scenario,
            zero,
            record: Mutex::new(Record::default()),
        }))
    }

    pub(super) fn zero(&self) -> Instant {
        self.0.zero
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        lock(&self.0.record)
    }

    /// Seconds since its trouble began, less than nothing before.
    pub(super) fn now(&self) -> f64 {
        let (now, zero) = (Instant::now(), self.0.zero);
        now.saturating_duration_since(zero).as_secs_f64()
            - zero.saturating_duration_since(now).as_secs_f64()
    }

    pub(super) async fn dial(&self) -> Result<Link, Refused> {
        let Inner { scenario, zero, .. } = &*self.0;
        let now = self.now();
        if now < 0.0 {
            return Ok(Link {
                dies_at: *zero,
                sends_away: false,
            });
        }
        self.record().dialled(now);
        if scenario.rejects {
            sleep(HANDSHAKE).await;
        }
        let dies_at = scenario.accepts(now).ok_or(Refused)?;
        Ok(Link::until(*zero, dies_at, scenario.sends_away))
    }

    pub(super) fn connected(&self) {
        let now = self.now();
        if now >= 0.0 {
            self.record().connected(now);
        }
    }
}

impl Link {
    fn until(zero: Instant, seconds: f64, sends_away: bool) -> Self {
        let lives = Duration::from_secs_f64(seconds.min(LONGEST));
        Self {
            dies_at: zero + lives,
            sends_away,
        }
    }

    pub(super) fn dies_at(self) -> Instant {
        self.dies_at
    }
}

impl Service<()> for Endpoint {
    type Response = Link;
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<Link, Refused>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let endpoint = self.clone();
        Box::pin(async move { endpoint.dial().await })
    }
}

/// Answers with itself.
impl Service<()> for Link {
    type Response = Self;
    type Error = BoxError;
    type Future = Ready<Result<Self, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if Instant::now() < self.dies_at {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Err(match self.sends_away {
            true => SentAway.into(),
            false => Closed.into(),
        }))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(*self))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl Error for Refused {}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed")
    }
}

impl Error for Closed {}

impl fmt::Display for SentAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sent away")
    }
}

impl Error for SentAway {}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until a handshake fails.
const HANDSHAKE: Duration = Duration::from_millis(20);
/// Longer than any run, in seconds.
const LONGEST: f64 = 1e6;
