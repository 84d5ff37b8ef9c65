//! The layer.

use std::{any::type_name, fmt, sync::Arc};

use tower_layer::Layer;

use super::{Throttle, Throttled};
use crate::policy::OnError;

/// Asks a [`Throttle`] before each request. See the [module's documentation](super).
#[must_use = "a layer does nothing until it is put on a service"]
pub struct ThrottleLayer<P = OnError> {
    throttle: Throttle,
    policy: Arc<P>,
}

impl ThrottleLayer {
    /// Takes each error for a refusal, and each response for a request that was accepted.
    pub fn new(throttle: Throttle) -> Self {
        Self {
            throttle,
            policy: Arc::new(OnError),
        }
    }
}

impl<P> ThrottleLayer<P> {
    /// What counts as accepted, by the [`Policy`](crate::Policy) of the retries:
    /// [`Success`](crate::Verdict::Success) and [`Failure`](crate::Verdict::Failure), for which
    /// the backend has done its work. [`Retry`](crate::Verdict::Retry) and
    /// [`Unprocessed`](crate::Verdict::Unprocessed) do not, and
    /// [`Neutral`](crate::Verdict::Neutral) does not count at all.
    pub fn policy<Q>(self, policy: Q) -> ThrottleLayer<Q> {
        ThrottleLayer {
            throttle: self.throttle,
            policy: Arc::new(policy),
        }
    }
}

impl<S, P> Layer<S> for ThrottleLayer<P> {
    type Service = Throttled<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Throttled::new(inner, self.throttle.clone(), Arc::clone(&self.policy))
    }
}

impl<P> Clone for ThrottleLayer<P> {
    fn clone(&self) -> Self {
        Self {
            throttle: self.throttle.clone(),
            policy: Arc::clone(&self.policy),
        }
    }
}

impl<P> fmt::Debug for ThrottleLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleLayer")
            .field("throttle", &self.throttle)
            .field("policy", &format_args!("{}", type_name::<P>()))
            .finish()
    }
}
