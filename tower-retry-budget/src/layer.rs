//! The layer and its builder.

use std::{any::type_name, fmt, sync::Arc, time::Duration};

use tower_layer::Layer;

use crate::{
    backoff::Backoff,
    budget::Budget,
    error::InvalidSetting,
    policy::OnError,
    replay::CloneRequest,
    service::{Retry, Shared},
    stats::{Counters, RetryStats},
};

/// Retries what fails, within a [`Budget`]. See the [crate's documentation](crate).
#[must_use = "a layer does nothing until it is put on a service"]
pub struct RetryLayer<P = OnError, R = CloneRequest> {
    shared: Arc<Shared<P, R>>,
}

impl RetryLayer {
    /// Retries each error, with the default settings. The request is cloned.
    pub fn new(budget: Budget) -> Self {
        Self::from_settings(Self::builder(budget))
    }

    /// Sets up a layer.
    pub fn builder(budget: Budget) -> Builder {
        Builder {
            budget,
            attempts: 3,
            resends: 0,
            backoff: Backoff::default(),
            ready_timeout: Duration::from_secs(1),
            policy: OnError,
            replay: CloneRequest,
        }
    }
}

impl<P, R> RetryLayer<P, R> {
    /// What this layer has done, in all its services.
    pub fn stats(&self) -> RetryStats {
        self.shared.counters.snapshot()
    }

    fn from_settings(settings: Builder<P, R>) -> Self {
        let Builder {
            budget,
            attempts,
            resends,
            backoff,
            ready_timeout,
            policy,
            replay,
        } = settings;
        Self {
            shared: Arc::new(Shared {
                budget,
                attempts,
                resends,
                backoff,
                ready_timeout,
                policy,
                replay,
                counters: Counters::default(),
            }),
        }
    }
}

impl<S, P, R> Layer<S> for RetryLayer<P, R> {
    type Service = Retry<S, P, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(inner, Arc::clone(&self.shared))
    }
}

impl<P, R> Clone for RetryLayer<P, R> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<P, R> fmt::Debug for RetryLayer<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared
            .debug(&mut f.debug_struct("RetryLayer"))
            .finish()
    }
}

/// Sets up a [`RetryLayer`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<P = OnError, R = CloneRequest> {
    budget: Budget,
    attempts: u32,
    resends: u32,
    backoff: Backoff,
    ready_timeout: Duration,
    policy: P,
    replay: R,
}

impl<P, R> Builder<P, R> {
    /// Attempts in all, the first one included. Default 3, range 1 to 100.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// How often a request that was certainly not processed is sent again, whatever its method
    /// and at no cost to the budget: see [`Verdict::Unprocessed`](crate::Verdict::Unprocessed).
    /// They do not count against [`attempts`](Self::attempts). Default 0, range 0 to 100.
    pub fn resends(mut self, resends: u32) -> Self {
        self.resends = resends;
        self
    }

    /// The wait before each retry, and before each resend but the first. The default is that of [`Backoff`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How long a retry or a resend may wait, after its backoff, until the service is ready. Default 1 s,
    /// range 0 to 24 h.
    ///
    /// When it has passed, the token is refunded and the outcome of the last attempt is
    /// returned, which is kept until the next one is sent. With zero the service has to be ready
    /// as soon as the backoff is over.
    pub fn ready_timeout(mut self, timeout: Duration) -> Self {
        self.ready_timeout = timeout;
        self
    }

    /// What is retried: a [`Policy`](crate::Policy). Default [`OnError`].
    pub fn policy<Q>(self, policy: Q) -> Builder<Q, R> {
        Builder {
            budget: self.budget,
            attempts: self.attempts,
            resends: self.resends,
            backoff: self.backoff,
            ready_timeout: self.ready_timeout,
            policy,
            replay: self.replay,
        }
    }

    /// How attempts are made: a [`Replay`](crate::Replay). Default [`CloneRequest`].
    pub fn replay<Q>(self, replay: Q) -> Builder<P, Q> {
        Builder {
            budget: self.budget,
            attempts: self.attempts,
            resends: self.resends,
            backoff: self.backoff,
            ready_timeout: self.ready_timeout,
            policy: self.policy,
            replay,
        }
    }

    /// Makes the layer.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`], if a value is outside its range.
    pub fn build(self) -> Result<RetryLayer<P, R>, InvalidSetting> {
        if !(1..=MAX_ATTEMPTS).contains(&self.attempts) {
            return Err(InvalidSetting::new("attempts", self.attempts, "1 to 100"));
        }
        if self.resends > MAX_RESENDS {
            return Err(InvalidSetting::new("resends", self.resends, "0 to 100"));
        }
        if self.ready_timeout > LONGEST_READY_TIMEOUT {
            let value = format_args!("{:?}", self.ready_timeout);
            return Err(InvalidSetting::new("ready_timeout", value, "0 to 24 hours"));
        }
        Ok(RetryLayer::from_settings(self))
    }
}

impl<P, R> fmt::Debug for Builder<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("budget", &self.budget)
            .field("attempts", &self.attempts)
            .field("resends", &self.resends)
            .field("backoff", &self.backoff)
            .field("ready_timeout", &self.ready_timeout)
            .field("policy", &format_args!("{}", type_name::<P>()))
            .field("replay", &format_args!("{}", type_name::<R>()))
            .finish()
    }
}

const MAX_ATTEMPTS: u32 = 100;

const MAX_RESENDS: u32 = 100;

const LONGEST_READY_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
