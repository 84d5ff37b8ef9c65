//! Answers instead of errors.
//!
//! A timeout is an error to the caller. Where the caller is to get an answer, for example a server's
//! client, [`RespondLayer`] outside of the timeout makes one, by a closure or, with the feature
//! `http`, by `http::GatewayTimeout`. Other errors pass.
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//!
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_timeout_ewma::{
//!     AdaptiveTimeoutLayer,
//!     respond::{RespondLayer, TimedOut},
//! };
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_timeout_ewma::BoxError> {
//! let service = ServiceBuilder::new()
//!     .layer(RespondLayer::new(|_: TimedOut| "come back later"))
//!     .layer(AdaptiveTimeoutLayer::fixed(Duration::from_millis(10)))
//!     .service(service_fn(async |()| {
//!         std::future::pending::<()>().await;
//!         Ok::<_, Infallible>("done")
//!     }));
//! assert_eq!(service.oneshot(()).await?, "come back later");
//! # Ok(())
//! # }
//! ```

use std::error::Error;

use crate::error::{Elapsed, Expired};

mod future;
mod layer;
mod service;

pub use future::RespondFuture;
pub use layer::RespondLayer;
pub use service::Responding;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimedOut {
    /// A limit has passed.
    Elapsed(Elapsed),
    /// The deadline has passed.
    Expired(Expired),
}

impl TimedOut {
    /// Finds it in an error or its sources.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(elapsed) = error.downcast_ref() {
                return Some(Self::Elapsed(*elapsed));
            }
            if let Some(expired) = error.downcast_ref() {
                return Some(Self::Expired(*expired));
            }
            cause = error.source();
        }
        None
    }
}

/// Makes answers. Any `Fn(TimedOut) -> Res` that is `Clone` does.
pub trait Respond<Req, Res> {
    /// The answer that one request would get.
    type Answer: Answer<Res>;

    /// Looks at a request that is about to be sent.
    fn prepare(&self, request: &Req) -> Self::Answer;
}

/// The answer to one request, should it time out. Any `FnOnce(TimedOut) -> Res` is one.
pub trait Answer<Res> {
    /// Makes it.
    fn answer(self, why: TimedOut) -> Res;
}

impl<Req, Res, F: Fn(TimedOut) -> Res + Clone> Respond<Req, Res> for F {
    type Answer = F;

    fn prepare(&self, _: &Req) -> F {
        self.clone()
    }
}

impl<Res, F: FnOnce(TimedOut) -> Res> Answer<Res> for F {
    fn answer(self, why: TimedOut) -> Res {
        self(why)
    }
}
