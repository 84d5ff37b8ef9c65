//! Sets up the layer.

use std::{any::type_name, fmt, time::Duration};

use tokio::time::Instant;

use crate::{
    backoff::Backoff,
    budget::Budget,
    deadline::WithDeadline,
    error::InvalidSetting,
    layer::RetryLayer,
    per_try::{PerTry, TimedPolicy, Tries, Untimed},
    policy::OnError,
    prepare::WithPrepare,
    replay::CloneRequest,
};

/// Sets up a [`RetryLayer`].
///
/// [`policy`](Self::policy) and [`replay`](Self::replay) are set once, and before what builds on
/// them: [`per_try`](Self::per_try), [`deadline`](Self::deadline) and [`prepare`](Self::prepare). In
/// another order it does not compile.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<P = OnError, R = CloneRequest, T = Untimed> {
    pub(crate) settings: Settings,
    pub(crate) policy: P,
    pub(crate) replay: R,
    pub(crate) tries: T,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) budget: Budget,
    pub(crate) attempts: u32,
    pub(crate) resends: u32,
    pub(crate) backoff: Backoff,
    pub(crate) seed: Option<u64>,
    pub(crate) ready_timeout: Duration,
}

impl Builder {
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            settings: Settings {
                budget,
                attempts: 4,
                resends: 0,
                backoff: Backoff::default(),
                seed: None,
                ready_timeout: Duration::from_secs(1),
            },
            policy: OnError,
            replay: CloneRequest,
            tries: Untimed,
        }
    }
}

impl<P, R, T> Builder<P, R, T> {
    /// Attempts in all, the first one included. Default 4, range 1 to 100.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.settings.attempts = attempts;
        self
    }

    /// How often a request that was certainly not processed is sent again, whatever its method
    /// and at no cost to the budget: see [`Verdict::Unprocessed`](crate::Verdict::Unprocessed).
    /// They do not count against [`attempts`](Self::attempts). Default 0, range 0 to 100.
    pub fn resends(mut self, resends: u32) -> Self {
        self.settings.resends = resends;
        self
    }

    /// The wait before each retry, and before each resend but the first. The default is that of [`Backoff`].
    ///
    /// What a server asks for instead, if that is longer, is made longer by up to a quarter, so
    /// that all those that it has asked do not come back at once.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// What the jitter of all waits follows from, for a simulation that is to be repeated. By
    /// default each request draws a seed of its own.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// How long a retry or a resend may wait, after its backoff, until the service is ready. Default 1 s,
    /// range 0 to 24 h.
    ///
    /// When it has passed, the token is refunded and the outcome of the last attempt is
    /// returned, which is kept until the next one is sent. With zero the service has to be ready
    /// as soon as the backoff is over.
    pub fn ready_timeout(mut self, timeout: Duration) -> Self {
        self.settings.ready_timeout = timeout;
        self
    }

    /// Until when the answer to a request is of use: see [`Policy::deadline`](crate::Policy::deadline),
    /// which a policy can also tell itself.
    ///
    /// Nothing is cut off at the deadline. That is for a layer above this one, and this one then
    /// gives it an answer before.
    pub fn deadline<F, Req>(self, deadline: F) -> Builder<WithDeadline<P, F>, R, T>
    where
        F: Fn(&Req) -> Option<Instant>,
    {
        let Self {
            settings,
            policy,
            replay,
            tries,
        } = self;
        Builder {
            settings,
            policy: WithDeadline::new(policy, deadline),
            replay,
            tries,
        }
    }

    /// Changes a request before it is sent again: a [`Prepare`](crate::Prepare), as a closure is.
    /// Those that were set before come first.
    pub fn prepare<H>(self, hook: H) -> Builder<P, WithPrepare<R, H>, T> {
        let Self {
            settings,
            policy,
            replay,
            tries,
        } = self;
        Builder {
            settings,
            policy,
            replay: WithPrepare::new(replay, hook),
            tries,
        }
    }

    /// Makes the layer.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`], if a value is outside its range.
    pub fn build(self) -> Result<RetryLayer<P, R, T>, InvalidSetting>
    where
        T: Tries,
    {
        self.settings.check()?;
        self.tries.check()?;
        Ok(RetryLayer::from_settings(self))
    }
}

impl<R, T> Builder<OnError, R, T> {
    /// What is retried: a [`Policy`](crate::Policy). Default [`OnError`].
    pub fn policy<Q>(self, policy: Q) -> Builder<Q, R, T> {
        let Self {
            settings,
            replay,
            tries,
            ..
        } = self;
        Builder {
            settings,
            policy,
            replay,
            tries,
        }
    }
}

impl<P, T> Builder<P, CloneRequest, T> {
    /// How attempts are made: a [`Replay`](crate::Replay). Default [`CloneRequest`].
    pub fn replay<Q>(self, replay: Q) -> Builder<P, Q, T> {
        let Self {
            settings,
            policy,
            tries,
            ..
        } = self;
        Builder {
            settings,
            policy,
            replay,
            tries,
        }
    }
}

impl<P, R> Builder<P, R> {
    /// How long each attempt may take until its response. Default unlimited, above 0 to 24 h.
    ///
    /// One that takes longer is dropped and has failed with [`error::TryElapsed`](crate::error::TryElapsed),
    /// so errors are a [`BoxError`](crate::BoxError) in such a layer. If it is retried, that costs
    /// what a [`Kind::Timeout`](crate::Kind::Timeout) costs, unless the policy names another
    /// kind than `Transient`.
    pub fn per_try(self, limit: Duration) -> Builder<TimedPolicy<P>, R, PerTry> {
        Builder {
            settings: self.settings,
            policy: TimedPolicy::new(self.policy),
            replay: self.replay,
            tries: PerTry::new(limit),
        }
    }
}

impl<P, R, T: fmt::Debug> fmt::Debug for Builder<P, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("settings", &self.settings)
            .field("policy", &format_args!("{}", type_name::<P>()))
            .field("replay", &format_args!("{}", type_name::<R>()))
            .field("tries", &self.tries)
            .finish()
    }
}

impl Settings {
    fn check(&self) -> Result<(), InvalidSetting> {
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
        Ok(())
    }
}

const MAX_ATTEMPTS: u32 = 100;

const MAX_RESENDS: u32 = 100;

const LONGEST_READY_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
