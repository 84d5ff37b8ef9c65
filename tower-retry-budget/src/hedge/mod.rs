//! Second attempts beside slow first ones.
//!
//! A few requests take much longer than the rest, for reasons that have nothing to do with
//! them: the server collects garbage, or the packet is lost. A [`HedgeLayer`] waits for as long
//! as 95 % of all requests take. To one that has not been answered by then it adds a second
//! attempt, the hedge, and the answer that comes first wins.
//!
//! - **It is paid for.** A hedge takes the price of [`Kind::Hedge`](crate::Kind::Hedge) from
//!   the [`Budget`](crate::Budget) that it shares with the retries, when it is sent and not
//!   before. Where everything is slow there is soon nothing left to pay with, and servers that
//!   have too much to do do not get twice as much.
//! - **It learns how long to wait, and does not fool itself.** A hedge that wins hides how long
//!   the first attempt would have taken. Such an attempt counts as one that took longer, and so
//!   does one that the caller gives up on; failures do not count.
//! - **An error does not win.** If one attempt fails, the other is waited for. If both fail,
//!   the outcome is that of the first. The layer has no errors of its own.
//! - **Never twice what must not be.** The [`Policy`](crate::Policy), which has no default
//!   here, says what may be sent twice. There is one hedge for a request at most.
//! - **The loser is dropped at once**, before the answer is returned.
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//!
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_retry_budget::{Budget, OnError, hedge::HedgeLayer};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let budget = Budget::new();
//! let hedge = HedgeLayer::builder(budget.clone(), OnError)
//!     .quantile(0.95)
//!     .min_samples(100)
//!     // There is no RetryLayer here that would pay in.
//!     .funds(true)
//!     .build()?;
//!
//! let mut calls = 0;
//! let mut service = ServiceBuilder::new().layer(hedge).service(service_fn(move |_path: &'static str| {
//!     // A server that answers after 5 ms, except once.
//!     calls += 1;
//!     let latency = Duration::from_millis(if calls == 500 { 1000 } else { 5 });
//!     async move { Ok::<_, Infallible>(tokio::time::sleep(latency).await) }
//! }));
//! # let service = &mut service;
//!
//! for _ in 0..600 {
//!     service.ready().await?.call("/").await?;
//! }
//! assert_eq!(service.stats().won_second, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Where it goes
//!
//! Outermost first: retry, hedge, timeout of each attempt, balance. Then a retry may be hedged
//! too; where that is not wanted, let the policy's `retryable` say no to what a
//! [`Prepare`](crate::Prepare) hook of the retries has marked. Set [`Builder::funds`] where
//! there are no retries. The second attempt goes through a clone of the service, which a
//! balancer sends to another endpoint if it is [told to](Builder::prepare).
//!
//! A body that is still on its way from the caller is no reason for a hedge: see
//! [`Replay::complete`](crate::Replay::complete).
//!
//! # The delay
//!
//! The age of a first attempt runs from its first poll, if that did not answer at once, to its
//! success. The delay is the [`quantile`](Builder::quantile) of those ages over the last
//! [`window`](Builder::window), by the estimate of Kaplan and Meier: an attempt that was given
//! up is counted among those that took longer for as long as it was watched, and then no more.
//! It is worked out anew some thirty times in a window, and exact to a hundredth. Where more
//! attempts hang than the quantile leaves, it is the longest age at which any was answered.
//!
//! Nothing is hedged before there are [`min_samples`](Builder::min_samples) answers in the
//! window, nor when a window has passed without any: [`HedgeStats::delay`] is `None` then.
//! After a change of the latencies the delay follows within a window; upwards as soon as 5 % of
//! the answers in it are slow.
//!
//! # Settings
//!
//! | setting | unit | default | range |
//! | --- | --- | --- | --- |
//! | `quantile` | share of the first attempts that are not hedged | 0.95 | 0.5 to 0.9999 |
//! | `min_samples` | answers in the window | 100 | 1 to 1,000,000 |
//! | `window` | how long an answer counts | 10 s | 1 s to 1 h |
//! | `min_delay` | the least delay | 1 ms | 0 to 1 min |
//! | `funds` | whether successes pay into the budget | no | |
//!
//! # Errors and cancel safety
//!
//! Errors are the service's own. An error of readiness for a hedge is counted, and the first
//! attempt goes on. What a dropped response future leaves behind is told at [`ResponseFuture`].
//!
//! # Cost
//!
//! A request that is answered at its first poll costs a counter and a reference count that its
//! thread shares with no other, a lock that nobody waits for, and no allocation, clone of the
//! service or reading of the clock. One that is not costs two readings of the clock and, once
//! the delay is known, a timer and what [`Replay::first`](crate::Replay::first) costs. A layer
//! takes some 110 KB for its histograms.
//!
//! # How it differs from `tower::hedge`
//!
//! | | `tower::hedge` 0.5 | here |
//! | --- | --- | --- |
//! | cost of hedging | unbounded: where all is slow, all is sent twice | a share of the successes |
//! | an early error | wins | waits for the other attempt |
//! | losers | not learnt from, so that the quantile comes out too low | counted as longer |
//! | data | a mutex for each answer and each request, milliseconds | lanes, microseconds |
//! | failures | learnt from, if they are an `Ok` | no answers |
//! | the second instance | cloned for each request; an error of its readiness fails the request | cloned when there is to be a hedge; then the first attempt goes on |
//! | shape | a service that cannot be cloned | a layer, and a service that is `Clone` |
//!
//! What `tower::hedge` has and this has not: a policy that can change its mind about a request
//! when the delay is over.
//!
//! # Sources
//!
//! Jeffrey Dean and Luiz André Barroso, *The Tail at Scale*, Communications of the ACM 56 (2),
//! 2013: "hedged requests", with the 95th percentile. E. L. Kaplan and Paul Meier,
//! *Nonparametric Estimation from Incomplete Observations*, Journal of the American Statistical
//! Association 53, 1958. The histograms are `hdrhistogram`'s.

mod estimator;
mod future;
mod layer;
mod service;
mod stats;
mod watch;
mod windows;

pub use self::{
    future::ResponseFuture,
    layer::{Builder, HedgeLayer},
    service::Hedge,
    stats::HedgeStats,
};
