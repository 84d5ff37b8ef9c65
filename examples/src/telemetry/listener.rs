use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::StatusCode;
use tokio::time::Instant;

use super::{
    histogram::Histogram,
    limit::{Limit, LimitHits, Throttle, second_since},
};

/// What happened at one listener. Written by every request, read by a scrape.
#[derive(Debug)]
pub struct ListenerMetrics {
    name: Arc<str>,
    pub(super) cleartext: bool,
    pub(super) connections: AtomicU64,
    pub(super) connections_ended: AtomicU64,
    pub(super) connections_failed: AtomicU64,
    pub(super) proxy_protocol_refused: AtomicU64,
    pub(super) began: AtomicU64,
    pub(super) endings: [AtomicU64; Ending::ALL.len()],
    pub(super) statuses: [AtomicU64; STATUSES],
    pub(super) latency: Histogram,
    pub(super) limits: LimitHits,
    pub(super) tunnels: AtomicU64,
    pub(super) tunnels_ended: AtomicU64,
    pub(super) routes: Vec<Arc<RouteCount>>,
    broken_off: Throttle,
    tls_refused: Throttle,
    headers_refused: Throttle,
    epoch: Instant,
}

/// A tunnel that is counted as open.
#[derive(Debug)]
pub struct Tunnelled(Arc<ListenerMetrics>);

impl Drop for Tunnelled {
    fn drop(&mut self) {
        self.0.tunnels_ended.fetch_add(1, Relaxed);
    }
}

/// How many requests a route has taken.
#[derive(Debug)]
pub struct RouteCount {
    pub(super) name: Box<str>,
    pub(super) requests: AtomicU64,
}

impl RouteCount {
    /// For the route of this name.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            requests: AtomicU64::new(0),
        }
    }

    /// One more.
    pub fn one(&self) {
        self.requests.fetch_add(1, Relaxed);
    }
}

/// A client's connection that is counted as open.
#[derive(Debug)]
pub struct Connected(Arc<ListenerMetrics>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections_ended.fetch_add(1, Relaxed);
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The response was passed on whole.
    Whole,
    /// The response began and broke off.
    BrokenOff,
    /// The client left before there was a response.
    Cancelled,
}

impl ListenerMetrics {
    /// For one listener.
    pub fn new(name: &str, cleartext: bool) -> Self {
        Self {
            name: name.into(),
            cleartext,
            connections: AtomicU64::new(0),
            connections_ended: AtomicU64::new(0),
            connections_failed: AtomicU64::new(0),
            proxy_protocol_refused: AtomicU64::new(0),
            began: AtomicU64::new(0),
            endings: Default::default(),
            statuses: std::array::from_fn(|_| AtomicU64::new(0)),
            latency: Histogram::default(),
            limits: LimitHits::default(),
            tunnels: AtomicU64::new(0),
            tunnels_ended: AtomicU64::new(0),
            broken_off: Throttle::default(),
            tls_refused: Throttle::default(),
            headers_refused: Throttle::default(),
            epoch: Instant::now(),
            routes: Vec::new(),
        }
    }

    /// With the routes of the listener.
    #[must_use]
    pub fn routes(mut self, routes: Vec<Arc<RouteCount>>) -> Self {
        self.routes = routes;
        self
    }

    /// The listener's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// A client connected, until what is returned is dropped.
    pub fn connected(self: &Arc<Self>) -> Connected {
        self.connections.fetch_add(1, Relaxed);
        Connected(self.clone())
    }

    /// A client's connection ended by breaking the protocol, or broke.
    pub fn connection_failed(&self) {
        self.connections_failed.fetch_add(1, Relaxed);
    }

    /// A limit was reached: counts, and logs unless there was a line this second.
    pub fn reached(&self, limit: Limit) {
        self.limits.hit(&self.name, limit, second_since(self.epoch));
    }

    /// A response broke off: logs unless there was a line this second.
    pub fn broke_off(&self, error: &(dyn std::error::Error + 'static)) {
        if let Some(times) = self.broken_off.admit(second_since(self.epoch), 1) {
            tracing::warn!(listener = %self.name, error, times, "response broke off");
        }
    }

    /// A connection became a tunnel, until what is returned is dropped.
    pub fn tunnelled(self: &Arc<Self>) -> Tunnelled {
        self.tunnels.fetch_add(1, Relaxed);
        Tunnelled(self.clone())
    }

    /// A head was refused before it was a request.
    pub fn head_refused(&self, status: StatusCode) {
        self.count(status);
    }

    /// A TLS handshake was refused: how many of them a line in the log stands for; none where there
    /// were enough this second.
    pub fn tls_refused(&self) -> Option<u64> {
        self.tls_refused.admit(second_since(self.epoch), LINES)
    }

    /// A trusted peer began with a header of the PROXY protocol that could not be taken.
    ///
    /// How many of them a line in the log stands for; none where there were enough this second.
    pub fn proxy_protocol_refused(&self) -> Option<u64> {
        self.proxy_protocol_refused.fetch_add(1, Relaxed);
        self.headers_refused.admit(second_since(self.epoch), LINES)
    }

    /// A request came.
    pub fn request_began(&self) {
        self.began.fetch_add(1, Relaxed);
    }

    /// Response headers are about to be passed on, `latency` after the request came.
    pub fn responded(&self, status: StatusCode, latency: Duration) {
        self.count(status);
        self.latency.observe(latency);
    }

    fn count(&self, status: StatusCode) {
        if let Some(count) = self.statuses.get(usize::from(status.as_u16()) - 100) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// A request and its response are over.
    pub fn request_ended(&self, ending: Ending) {
        self.endings[ending as usize].fetch_add(1, Relaxed);
    }

    /// Requests answered with each status, where there were any.
    pub fn statuses(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = self.statuses.iter().map(|count| count.load(Relaxed));
        (100..).zip(counts).filter(|(_, count)| *count > 0)
    }
}

impl Ending {
    pub(super) const ALL: [Self; 3] = [Self::Whole, Self::BrokenOff, Self::Cancelled];

    /// As a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::BrokenOff => "broken_off",
            Self::Cancelled => "cancelled",
        }
    }
}

/// In a second: enough to see who is refused and why, too few to fill a disk.
const LINES: u64 = 10;

/// Every status that there can be, from 100 to 999: a bound on labels.
const STATUSES: usize = 900;
