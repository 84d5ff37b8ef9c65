//! Connections that belong to one handle each: HTTP/1, plain TCP, databases.
//!
//! The connection need not be `Clone` or `Sync`, and is used by one handle alone. Each handle owns
//! at most one; a clone of a handle gets its own when it is polled. All clones share what they know
//! of the other end:
//!
//! - While it fails there is one dial at a time, after the backoff, for all of them. It fails from
//!   a failed dial, or from a connection that was lost before it was stable, until nothing has
//!   failed for `stable_after` since a connection was made again, or until one was retired. Until
//!   then a dial that succeeds is followed by a pause of the backoff's `base`, in which it shows if the connection
//!   dies at once.
//! - While it is well there are up to [`max_dials`](crate::Builder::max_dials) dials at once.
//! - Many connections that die together are one failure, and so are many dials that fail together.
//!
//! Dials run in tasks of their own. Who waits longest gets the first connection, whoever began the
//! dial. What nobody waits for is kept for the next handle, and so is the connection of a handle
//! that was dropped before it was called: for the [`idle`](crate::Builder::idle) time if there is
//! one, else until it is taken or the last handle is gone. Once a handle has called its connection, they end
//! together: nobody else gets a connection in the middle of something. Whoever wants to use one
//! again keeps the handle, as a pool does, and tells by
//! [`report_lost`](Exclusive::report_lost) what it learns of its end.
//!
//! That a connection is dead is told by its `poll_ready`. A handle that is dropped after its call,
//! as `oneshot` drops it, tells nothing: a peer that fails each request by closing is not known to
//! fail then. Poll the handle again after an error.
//!
//! ```rust
//! use std::{convert::Infallible, io};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_reconnect::ReconnectLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let dial = service_fn(|address: &'static str| async move {
//!     let mut count = 0; // of this connection: it is not `Clone`
//!     let connection = service_fn(move |request: u32| {
//!         count += request;
//!         std::future::ready(Ok::<_, Infallible>(format!("{address} counts {count}")))
//!     });
//!     Ok::<_, io::Error>(connection)
//! });
//!
//! let exclusive = ReconnectLayer::builder("10.0.0.1:80").build_exclusive()?;
//! let mut one = ServiceBuilder::new().layer(exclusive).service(dial);
//! let mut other = one.clone();
//! assert_eq!(one.ready().await?.call(1).await?, "10.0.0.1:80 counts 1");
//! assert_eq!(one.ready().await?.call(1).await?, "10.0.0.1:80 counts 2");
//! assert_eq!(other.ready().await?.call(1).await?, "10.0.0.1:80 counts 1");
//! assert_eq!(one.watch().stats().open, 2);
//! # Ok(())
//! # }
//! ```
//!
//! # Readiness and state
//!
//! The modes are those of the shared shape, and so are the states: `BackingOff` whenever no dial is
//! let through, though handles may have connections; else `Connected` while there is at least one,
//! since the oldest of them was made.
//!
//! # Age and idle time
//!
//! Near the `max_age` of a handle's connection another one is dialled. The handle changes to it when
//! its own has no request under way, that is when its `poll_ready` says ready. One that is not polled has
//! both until then, and no more: a successor that becomes too old is closed when the next is there. The `idle` time is
//! that of connections that no handle has. What a handle has it keeps.
//!
//! # Cost
//!
//! A request on a live connection takes no lock, reads no clock and allocates nothing. Taking a
//! connection, and giving it back, takes a lock.

mod gate;
mod open;
mod pool;
mod service;
mod stock;
mod task;

use std::{fmt, sync::Arc};

use tower_layer::Layer;
use tower_service::Service;

use self::pool::Pool;
pub use self::service::Exclusive;
use crate::{
    connector::Connector,
    driver::Driver,
    error::BoxError,
    observer::{Observer, Told},
    settings::Settings,
};

/// Makes an [`Exclusive`] out of a service that makes connections to a target.
///
/// [`Builder::build_exclusive`](crate::Builder::build_exclusive) makes it; see the
/// [module's documentation](self) for an example. Its clones, and those
/// [for other targets](Self::for_target), share the settings.
#[derive(Clone)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct ExclusiveLayer<T> {
    target: T,
    settings: Arc<Settings>,
    told: Option<Arc<Told>>,
}

impl<T> ExclusiveLayer<T> {
    /// The same for another target. The settings are checked and kept once for all targets, which
    /// makes each endpoint smaller.
    pub fn for_target<U>(&self, target: U) -> ExclusiveLayer<U> {
        ExclusiveLayer {
            target,
            settings: self.settings.clone(),
            told: self.told.clone(),
        }
    }

    /// The same with a [name](crate::Builder::name) of its own.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        Told::change(&mut self.told, |told| told.name = Some(name.into()));
        self
    }

    /// The same with an [observer](crate::Builder::observer) of its own.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        Told::change(&mut self.told, |told| {
            told.observer = Some(Arc::new(observer));
        });
        self
    }

    pub(crate) fn with(target: T, settings: Settings, told: Told) -> Self {
        Self {
            target,
            settings: Arc::new(settings),
            told: told.share(),
        }
    }
}

impl<M, T> Layer<M> for ExclusiveLayer<T>
where
    M: Service<T> + Send + 'static,
    M::Response: Send + 'static,
    M::Error: Into<BoxError>,
    M::Future: Send,
    T: Clone + Send + 'static,
{
    type Service = Exclusive<M::Response>;

    fn layer(&self, maker: M) -> Self::Service {
        let settings = &self.settings;
        let connector = Connector::new(maker, self.target.clone(), settings.clone());
        let driver = Driver::new(connector);
        Exclusive::new(Pool::new(settings.clone(), self.told.clone(), driver))
    }
}

impl<T> fmt::Debug for ExclusiveLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExclusiveLayer")
            .field("name", &self.told.as_ref().map(|told| &told.name))
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
