//! A client that stops knocking while its backend is drowning.
//!
//! A budget bounds retries. When the backend has no capacity for the first attempts either, most
//! of them fail, and failing them is work too. A [`Throttle`] compares what was asked of the
//! backend with what it accepted, over a [`window`](Builder::window) of some seconds, and holds a
//! request back with the probability
//!
//! ```text
//! max(0, (requests − multiplier × accepted − min_per_second × window) / (requests + 1))
//! ```
//!
//! so that the backend is asked for no more than about `multiplier` times what it accepts. The
//! requests that are held back count among the `requests`: while more of them come, it stays that
//! way. A few always go through, and when those are accepted, more follow.
//!
//! ```
//! use std::time::Duration;
//!
//! use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_retry_budget::{
//!     Budget, RetryLayer,
//!     error::Held,
//!     throttle::{Throttle, ThrottleLayer},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let throttle = Throttle::builder().window(Duration::from_secs(5)).build()?;
//!
//! let mut service = ServiceBuilder::new()
//!     .layer(ThrottleLayer::new(throttle.clone()))
//!     .layer(RetryLayer::new(Budget::new()))
//!     .service(service_fn(|_path: &'static str| async { Err::<(), _>("too much to do") }));
//!
//! # let mut held = 0;
//! for _ in 0..100 {
//!     let error = service.ready().await?.call("/").await.unwrap_err();
//!     if let Some(held_back) = error.downcast_ref::<Held>() {
//!         assert!(held_back.probability() > 0.0);
//! #       held += 1;
//!     }
//! }
//! # assert!(held > 50, "{held}");
//! assert_eq!(throttle.stats().accepted, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Where it belongs
//!
//! Around the retries: what is held back then never reaches them, so it is neither retried nor
//! counted against the budget, and a request that a retry has saved counts as accepted. Inside, a
//! [`Held`](crate::error::Held) error has to be [`Neutral`](crate::Verdict::Neutral) to the policy
//! of the retries, so that it is neither retried nor taken for a failure of the backend.
//!
//! # What counts
//!
//! A request counts when its outcome is known, or when it is held back. What a request that
//! hangs, or one whose caller leaves, says about the backend cannot be known in general: see
//! [`patience`](Builder::patience).
//!
//! # What it costs
//!
//! A request that is let through reads the clock twice and 32 words (48 with `patience`), and
//! writes two reference counts and one shared word (three). It takes no lock and allocates
//! nothing. The work is the same after a second idle as after a month.
//!
//! # How it differs from the book
//!
//! "Adaptive throttling" is in chapter 21, *Handling Overload*, of *Site Reliability Engineering*
//! (Beyer, Jones, Petoff, Murphy, 2016), with two minutes of history. Nothing but time lets it
//! through there once everything is refused: about one request for each length of the history,
//! whatever the traffic. Here there is a floor, and the history is shorter, because what is let
//! through again after an outage grows by a factor of e in half a window.

mod admission;
mod future;
mod layer;
mod service;
mod settings;
mod window;

pub use self::{
    admission::{Admission, Throttle, ThrottleStats},
    future::ResponseFuture,
    layer::ThrottleLayer,
    service::Throttled,
    settings::Builder,
};
