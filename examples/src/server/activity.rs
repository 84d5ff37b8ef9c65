//! What a client connection is doing, as far as its timeouts care.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use http::Version;
use rand::RngExt;
use tokio::time::Instant;

use crate::{
    config::Limits,
    telemetry::{Limit, ListenerMetrics},
};

/// One connection's requests and silences. Shared by its task and its streams' tasks.
#[derive(Debug)]
pub(crate) struct Activity {
    metrics: Arc<ListenerMetrics>,
    epoch: Instant,
    end: Instant,
    header_timeout: Duration,
    idle_timeout: Duration,
    stall_limit: Duration,
    streams: u32,
    /// Requests, and bodies that are still being read.
    in_flight: AtomicU32,
    requests: AtomicU32,
    /// How many requests there have been.
    served: AtomicU32,
    /// When the head that is being read began, in milliseconds since `epoch`; else `NEVER`.
    head_since: AtomicU64,
    /// Since when the client takes no bytes, in milliseconds since `epoch`; else `NEVER`.
    stalled_since: AtomicU64,
    /// When the last request ended, in milliseconds since `epoch`.
    idle_since: AtomicU64,
    http2: AtomicBool,
    /// Whether an HTTP/2 client has said more than its preface.
    greeted: AtomicBool,
    /// Whether a byte has come since the last request.
    spoke: AtomicBool,
}

/// What to do with a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look again then.
    KeepUntil(Instant),
    /// It is idle or old: end it gracefully.
    End(Limit),
    /// It is too slow: end it.
    Cut(Limit),
    /// It was asked to end and says nothing any more.
    Gone,
}

/// One request of a connection, or its body that is still being read, until it is dropped.
#[derive(Debug)]
pub(crate) struct InUse {
    activity: Arc<Activity>,
    /// Else a body.
    is_request: bool,
}

impl Activity {
    pub(super) fn new(limits: &Limits, metrics: Arc<ListenerMetrics>, now: Instant) -> Self {
        // Connections that came together shall not leave together.
        let age = limits
            .connection_age
            .mul_f64(rand::rng().random_range(0.9..=1.0));
        Self {
            metrics,
            epoch: now,
            end: now + age,
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            stall_limit: limits.body_idle,
            streams: limits.http2_streams,
            in_flight: AtomicU32::new(0),
            requests: AtomicU32::new(0),
            served: AtomicU32::new(0),
            // A client that says nothing at all is as slow as one that stops within its head.
            head_since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(NEVER),
            idle_since: AtomicU64::new(0),
            http2: AtomicBool::new(false),
            greeted: AtomicBool::new(false),
            spoke: AtomicBool::new(false),
        }
    }

    pub(super) fn request(self: &Arc<Self>, version: Version) -> InUse {
        self.head_since.store(NEVER, Relaxed);
        self.spoke.store(false, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        self.served.fetch_add(1, Relaxed);
        let before = self.requests.fetch_add(1, Relaxed);
        if version == Version::HTTP_2 {
            self.http2.store(true, Relaxed);
            if before + 1 == self.streams {
                self.metrics.reached(Limit::Http2Streams);
            }
        }
        InUse {
            activity: self.clone(),
            is_request: true,
        }
    }

    /// How many requests there have been.
    pub(super) fn served(&self) -> u32 {
        self.served.load(Relaxed)
    }

    /// Whether a part of a request's head has come, and nothing else.
    pub(super) fn has_part_of_a_head(&self) -> bool {
        self.head_since().is_some() && self.spoke.load(Relaxed)
    }

    /// Whether a request came by HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.http2.load(Relaxed)
    }

    /// Whether a request is in flight.
    pub(super) fn is_in_use(&self) -> bool {
        self.in_flight.load(Relaxed) > 0
    }

    pub(super) fn first_check(&self) -> Instant {
        let first = self.epoch + self.header_timeout.min(self.idle_timeout);
        first.min(self.end)
    }

    /// A check that is due before the one planned, because a head or a stall has begun meanwhile.
    pub(super) fn earlier_check(&self, planned: Instant) -> Option<Instant> {
        let head = self.head_since().map(|since| since + self.header_timeout);
        let stall = self.stall_end();
        head.into_iter()
            .chain(stall)
            .min()
            .filter(|check| *check < planned)
    }

    /// With `ending` the connection has been asked to end.
    pub(super) fn judge(&self, now: Instant, ending: bool) -> Verdict {
        let stall_end = self.stall_end().unwrap_or(now + self.idle_timeout);
        if now >= stall_end {
            return Verdict::Cut(Limit::BodyIdle);
        }
        if now >= self.end && !ending {
            return Verdict::End(Limit::ConnectionAge);
        }
        let next = if ending {
            stall_end
        } else {
            self.end.min(stall_end)
        };
        if self.is_in_use() {
            return Verdict::KeepUntil(next.min(now + self.idle_timeout));
        }
        if let Some(head_since) = self.head_since() {
            let cut = head_since + self.header_timeout;
            return if now >= cut {
                Verdict::Cut(Limit::HeaderTimeout)
            } else {
                // The head may end soon, and its request as well.
                Verdict::KeepUntil(next.min(cut).min(now + self.idle_timeout))
            };
        }
        let idle_since = self.epoch + Duration::from_millis(self.idle_since.load(Relaxed));
        let end = idle_since + self.idle_timeout;
        match now >= end {
            true if ending => Verdict::Gone,
            true => Verdict::End(Limit::IdleTimeout),
            false => Verdict::KeepUntil(next.min(end)),
        }
    }

    fn stall_end(&self) -> Option<Instant> {
        match self.stalled_since.load(Relaxed) {
            NEVER => None,
            since => Some(self.epoch + Duration::from_millis(since) + self.stall_limit),
        }
    }

    pub(super) fn wrote<T>(&self, polled: &Poll<T>) {
        if polled.is_ready() {
            self.stalled_since.store(NEVER, Relaxed);
        } else if self.stalled_since.load(Relaxed) == NEVER {
            self.stalled_since
                .store(self.millis(Instant::now()), Relaxed);
        }
    }

    /// In HTTP/2 bytes may be PINGs: only silence counts there.
    fn head_since(&self) -> Option<Instant> {
        match self.head_since.load(Relaxed) {
            NEVER => None,
            _ if self.is_http2() || self.greeted.load(Relaxed) => None,
            since => Some(self.epoch + Duration::from_millis(since)),
        }
    }

    /// An HTTP/2 client has said more than its preface: from here on it may be idle.
    pub(super) fn greeted(&self) {
        self.greeted.store(true, Relaxed);
    }

    pub(super) fn bytes_came(&self) {
        if self.in_flight.load(Relaxed) > 0 || self.spoke.load(Relaxed) {
            return;
        }
        self.spoke.store(true, Relaxed);
        if self.head_since.load(Relaxed) == NEVER {
            self.head_since.store(self.millis(Instant::now()), Relaxed);
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        let millis = now.saturating_duration_since(self.epoch).as_millis();
        u64::try_from(millis).unwrap_or(NEVER - 1)
    }
}

impl InUse {
    /// Whether it came by HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.activity.is_http2()
    }

    /// Something that this request did reached a limit.
    pub(crate) fn reached(&self, limit: Limit) {
        self.activity.metrics.reached(limit);
    }

    /// The request's body, which may outlive its response.
    pub(crate) fn body(&self) -> Self {
        self.activity.in_flight.fetch_add(1, Relaxed);
        Self {
            activity: self.activity.clone(),
            is_request: false,
        }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let activity = &self.activity;
        let now = activity.millis(Instant::now());
        activity.idle_since.store(now, Relaxed);
        activity.in_flight.fetch_sub(1, Relaxed);
        if self.is_request {
            activity.requests.fetch_sub(1, Relaxed);
        }
    }
}

const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests;
