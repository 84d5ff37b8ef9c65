//! Deadlines that travel with the request.
//!
//! A timeout says how long one hop may take; a *deadline* says when nobody waits for the answer
//! any more. [`DeadlineLayer`] asks a [`Source`] for the deadline of each request, refuses work
//! that is already expired, ends running work when the deadline passes, and lets the source write
//! the deadline into the request for whoever is next.
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//!
//! use tokio::time::Instant;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_timeout_ewma::{
//!     deadline::{Deadline, DeadlineLayer, Source},
//!     error::Expired,
//! };
//!
//! struct Job {
//!     time_left: Duration,
//! }
//!
//! #[derive(Clone)]
//! struct TimeLeft;
//!
//! impl Source<Job> for TimeLeft {
//!     fn deadline(&self, job: &Job, now: Instant) -> Option<Deadline> {
//!         Some(Deadline::at(now + job.time_left))
//!     }
//!
//!     fn forward(&self, job: &mut Job, deadline: Deadline, now: Instant) {
//!         job.time_left = deadline.remaining(now);
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let service = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new(TimeLeft))
//!     .service(service_fn(async |_: Job| Ok::<_, Infallible>("done")));
//!
//! let too_late = Job { time_left: Duration::ZERO };
//! let error = service.oneshot(too_late).await.unwrap_err();
//! assert!(error.downcast_ref::<Expired>().unwrap().before_start());
//! # }
//! ```

use std::time::Duration;

use tokio::time::Instant;

#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;

pub(crate) mod future;

mod layer;
mod service;

pub use layer::DeadlineLayer;
pub use service::Deadlines;

/// Where the deadline of a request comes from, and how it goes on.
pub trait Source<Req> {
    /// The deadline of the request; `None` if it has none.
    fn deadline(&self, request: &Req, now: Instant) -> Option<Deadline>;

    /// Writes the deadline into a request that is about to be sent. Not called without a deadline.
    fn forward(&self, request: &mut Req, deadline: Deadline, now: Instant);

    /// Looks at a request without a deadline that is about to be sent, to take away what must not go
    /// on. By default nothing is.
    fn without(&self, request: &mut Req) {
        let _ = request;
    }
}

/// The moment after which nobody waits for the answer. An earlier deadline is the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

impl Deadline {
    /// At `instant`.
    pub fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// `limit` from now, on tokio's clock.
    pub fn after(limit: Duration) -> Self {
        Self::from(Instant::now(), limit)
    }

    /// The moment itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The time left; zero once the deadline has come.
    pub fn remaining(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// `limit` after `start`, or as late as the clock can say.
    pub(crate) fn from(start: Instant, limit: Duration) -> Self {
        Self(
            start
                .checked_add(limit)
                .or_else(|| start.checked_add(FAR_FUTURE))
                .unwrap_or(start),
        )
    }
}

/// A century: any machine's clock can count that far.
const FAR_FUTURE: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
