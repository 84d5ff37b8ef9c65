use std::{
    error::Error,
    fmt::{Debug, Formatter, Result},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use crate::EjectionReason;

/// Is told what happens to the set: [`Builder::observer`](crate::Builder::observer).
///
/// Any `Fn(&Event<'_>)` is one. It is called where the event happens, by the driver or by a
/// request, so it should be quick; if it panics that is logged, and nothing else comes of it. Nothing
/// is told for each request.
///
/// The balancer owns its observer. One that holds the [`Balance`](crate::Balance) in turn keeps it
/// for ever, with its endpoints and its driver: let it hold it [weakly](std::sync::Weak).
pub trait Observer: Send + Sync + 'static {
    /// Something has happened.
    fn event(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Observer for F {
    fn event(&self, event: &Event<'_>) {
        self(event);
    }
}

/// What can happen to the set. An endpoint is told by its key.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Discovery has named an endpoint, or a new service for one.
    Inserted {
        /// Its key.
        endpoint: &'a dyn Debug,
    },
    /// Discovery has taken an endpoint away.
    Removed {
        /// Its key.
        endpoint: &'a dyn Debug,
    },
    /// Discovery's stream has failed. The last endpoints stay.
    DiscoveryFailed {
        /// The stream's error.
        error: &'a (dyn Error + Send + Sync + 'static),
    },
    /// Discovery's stream has ended. The last endpoints stay.
    DiscoveryEnded,
    /// Discovery's stream has panicked, and is not polled again. The last endpoints stay.
    DiscoveryPanicked,
    /// An endpoint gets no requests for a while.
    Ejected {
        /// Its key.
        endpoint: &'a dyn Debug,
        /// Why.
        reason: EjectionReason,
        /// For how long, until its probe.
        duration: Duration,
    },
    /// An endpoint should be ejected, but as many as
    /// [`max_ejected`](crate::Ejection::max_ejected) allows are. Told once in
    /// [`window`](crate::Ejection::window) for an endpoint.
    Spared {
        /// Its key.
        endpoint: &'a dyn Debug,
        /// Why it should be.
        reason: EjectionReason,
    },
    /// The next request goes to an ejected endpoint, to see how it does.
    Probed {
        /// Its key.
        endpoint: &'a dyn Debug,
    },
    /// The probe was a success: the endpoint gets requests again, few at a time.
    Readmitted {
        /// Its key.
        endpoint: &'a dyn Debug,
    },
    /// The endpoint is like the others again.
    Recovered {
        /// Its key.
        endpoint: &'a dyn Debug,
    },
}

/// Where events go: to the log, and to the observer if there is one.
#[derive(Clone, Default)]
pub(crate) struct Told {
    observer: Option<Arc<dyn Observer>>,
}

impl Told {
    pub(crate) fn to(observer: Arc<dyn Observer>) -> Self {
        Self {
            observer: Some(observer),
        }
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        log(event);
        let Some(observer) = &self.observer else {
            return;
        };
        // What others see of the pool must not depend on whoever watches it.
        if catch_unwind(AssertUnwindSafe(|| observer.event(event))).is_err() {
            tracing::error!(?event, "the observer panicked");
        }
    }
}

fn log(event: &Event<'_>) {
    match *event {
        Event::Inserted { endpoint } => tracing::debug!(?endpoint, "endpoint inserted"),
        Event::Removed { endpoint } => tracing::debug!(?endpoint, "endpoint removed"),
        Event::DiscoveryFailed { error } => {
            tracing::warn!(%error, "discovery failed: the last endpoints stay");
        }
        Event::DiscoveryEnded => {
            tracing::info!("discovery has ended: the last endpoints stay");
        }
        Event::DiscoveryPanicked => {
            tracing::error!("discovery has panicked: the last endpoints stay");
        }
        Event::Ejected {
            endpoint,
            reason,
            duration,
        } => tracing::warn!(?endpoint, %reason, ?duration, "endpoint ejected"),
        // It may be so for each failing request of an outage.
        Event::Spared { endpoint, reason } => {
            tracing::debug!(?endpoint, %reason, "endpoint not ejected: too many are");
        }
        Event::Probed { endpoint } => tracing::debug!(?endpoint, "ejected endpoint probed"),
        Event::Readmitted { endpoint } => {
            tracing::info!(?endpoint, "ejected endpoint readmitted, on probation");
        }
        Event::Recovered { endpoint } => tracing::info!(?endpoint, "endpoint recovered"),
    }
}

impl Debug for Told {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Told")
            .field("observer", &self.observer.is_some())
            .finish()
    }
}
