//! The settings.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use crate::{
    backoff::Backoff,
    chance::Chance,
    error::InvalidSetting,
    exclusive::ExclusiveLayer,
    layer::ReconnectLayer,
    limits::Limits,
    mode::Mode,
    observer::{Observer, Told},
    pace::Pace,
    policy::Policy,
    rule::Rule,
};

/// The settings of a [`ReconnectLayer`] or of an [`ExclusiveLayer`].
///
/// Nothing is checked before [`build`](Self::build) or [`build_exclusive`](Self::build_exclusive).
#[derive(Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<T> {
    target: T,
    settings: Settings,
}

impl<T> Builder<T> {
    pub(crate) fn new(target: T) -> Self {
        let settings = Settings::default();
        Self { target, settings }
    }

    /// How long making one connection may take, the wait for the maker's readiness included.
    ///
    /// 1 s by default, 1 ms to 24 h.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// The steps between dials that fail, from the beginning of one to that of the next: up to
    /// `base` after the first failure, twice as much after each further one, up to `max`.
    ///
    /// The steps are `max` halved as often as it takes for the first not to exceed `base`. As long
    /// as they double, a delay is between half of its step and all of it. By how much is drawn at
    /// random once for an outage, so that clients that lost one server at one moment dial it again
    /// at moments that are spread over all of a step. Every delay is shortened at random by up to
    /// an eighth besides, those at the cap as well. A dial that failed is followed by half of the
    /// delay at least, however long the dial took.
    ///
    /// 125 ms and 8 s by default, 1 ms to 24 h each: 10,000 clients of one server are no more than
    /// 1,500 dials in a second then when it returns after 10 s or more, and all are back within
    /// 8 s.
    pub fn backoff(mut self, base: Duration, max: Duration) -> Self {
        self.settings.base = base;
        self.settings.max = max;
        self
    }

    /// How long a connection must have been up for its loss not to be a failure: it is replaced
    /// at once, and the backoff begins anew. Always at least the backoff's `base`.
    ///
    /// 5 s by default, 0 to 24 h.
    pub fn stable_after(mut self, uptime: Duration) -> Self {
        self.settings.stable_after = uptime;
        self
    }

    /// By how much a dial that follows no failure is put off at the most: the first one, and the
    /// one after a connection that was stable or retired. A random part of it is waited each time.
    ///
    /// 0 by default, to 24 h: a request waits for that dial. Set it where many clients of one
    /// server begin or lose their connections at one moment, to the number of clients by the dials
    /// a second that the server can take.
    pub fn first_dial_jitter(mut self, jitter: Duration) -> Self {
        self.settings.first_dial_jitter = jitter;
        self
    }

    /// Makes random delays come out the same each time, for tests and simulations. Services with
    /// one seed wait alike, which is what the jitter is against: give each its own.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// How old a connection may get. Between eight and nine tenths of that, at random, a new one
    /// is dialled; the old one serves until the new one is there, and then drains: requests in
    /// flight end as they would. When the dial fails the old one goes on to serve, beyond this age
    /// too, and is dialled for again after a backoff.
    ///
    /// None by default, 1 ms to 24 h.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.settings.max_age = Some(age);
        self
    }

    /// How long a connection may be unused. One that no request was sent on for this long is
    /// closed, at a random time up to half as long later, and the next request dials. A request in
    /// flight is not cut off by it.
    ///
    /// None by default, 1 ms to 24 h; not with [`eager`](Self::eager).
    pub fn idle(mut self, time: Duration) -> Self {
        self.settings.idle = Some(time);
        self
    }

    /// Whether a connection is made before anybody asks for it: when the layer is applied within a
    /// runtime, else at the first poll, and again whenever it was lost.
    ///
    /// `false` by default.
    pub fn eager(mut self, eager: bool) -> Self {
        self.settings.eager = eager;
        self
    }

    /// Which errors of a connection's readiness mean that it did its work and was retired, as by a
    /// GOAWAY or a `connection: close` after an answer. Such a loss is no failure, however soon it
    /// comes: the connection is replaced at once, and the backoff begins anew. One on which no
    /// request was ever sent has done no work, whatever the rule says.
    ///
    /// None by default. A rule that is true for a peer that never works makes it be dialled as
    /// often as a request asks for it.
    pub fn retired_when(
        mut self,
        rule: impl Fn(&(dyn Error + 'static)) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.retired = Rule::new(rule);
        self
    }

    /// Which errors of a response mean that the request was never sent, as when the connection
    /// ended while the request waited to be written. They come as
    /// [`error::NotSent`](crate::error::NotSent), by which whoever retries knows that it is safe.
    ///
    /// None by default. With a rule a request costs one reference count more.
    pub fn unsent_when(
        mut self,
        rule: impl Fn(&(dyn Error + 'static)) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.unsent = Rule::new(rule);
        self
    }

    /// What a handle does while there is no connection. [`Mode::Balanced`] by default.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.settings.mode = mode;
        self
    }

    /// What to call the other end in traces and errors. Nothing by default.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// Who is told what happens. Nobody by default.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.settings.observer = Some(Arc::new(observer));
        self
    }

    /// How many dials may be under way at once for connections that belong to one handle each,
    /// while none fails. Only [`build_exclusive`](Self::build_exclusive) heeds it: a shared
    /// connection is dialled once at a time.
    ///
    /// 4 by default, 1 to 1024.
    pub fn max_dials(mut self, dials: usize) -> Self {
        self.settings.max_dials = dials;
        self
    }

    /// The layer for one connection that all handles share, as HTTP/2 has it: it must be `Clone`.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`] when a setting is out of its range.
    pub fn build(self) -> Result<ReconnectLayer<T>, InvalidSetting> {
        self.settings.check()?;
        Ok(ReconnectLayer::with(self.target, self.settings))
    }

    /// The layer for connections that belong to one handle each, as HTTP/1 and databases have
    /// them: see [`exclusive`](crate::exclusive).
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`] when a setting is out of its range.
    pub fn build_exclusive(self) -> Result<ExclusiveLayer<T>, InvalidSetting> {
        self.settings.check()?;
        Ok(ExclusiveLayer::with(self.target, self.settings))
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) connect_timeout: Duration,
    base: Duration,
    max: Duration,
    pub(crate) stable_after: Duration,
    first_dial_jitter: Duration,
    seed: Option<u64>,
    max_age: Option<Duration>,
    idle: Option<Duration>,
    eager: bool,
    pub(crate) max_dials: usize,
    mode: Mode,
    retired: Rule,
    unsent: Rule,
    name: Option<Arc<str>>,
    observer: Option<Arc<dyn Observer>>,
}

impl Settings {
    /// Of one service, like what follows.
    pub(crate) fn pace(&self) -> Pace {
        let backoff = Backoff::new(self.base, self.max);
        let random = Chance::new(self.seed).draw();
        Pace::new(backoff, self.first_dial_jitter, random)
    }

    /// Of one service, with jitter of its own.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_age: self.max_age,
            idle: self.idle,
            seed: self.seed.unwrap_or_else(rand::random),
        }
    }

    pub(crate) fn told(&self) -> Told {
        Told {
            name: self.name.clone(),
            observer: self.observer.clone(),
        }
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy {
            mode: self.mode,
            eager: self.eager,
            chance: Chance::new(self.seed),
            releases: self.max_age.is_some() || self.idle.is_some(),
            retired: self.retired.clone(),
            unsent: self.unsent.clone(),
        }
    }

    fn check(&self) -> Result<(), InvalidSetting> {
        let Self { base, max, .. } = *self;
        require("connect_timeout", self.connect_timeout, SHORTEST)?;
        require("backoff.base", base, SHORTEST)?;
        require("backoff.max", max, SHORTEST)?;
        require("stable_after", self.stable_after, Duration::ZERO)?;
        let jitter = self.first_dial_jitter;
        require("first_dial_jitter", jitter, Duration::ZERO)?;
        if base > max {
            let value = format!("{base:?} with a `backoff.max` of {max:?}");
            let allowed = "at most `backoff.max`";
            return Err(InvalidSetting::new("backoff.base", value, allowed));
        }
        if let Some(age) = self.max_age {
            require("max_age", age, SHORTEST)?;
        }
        if let Some(time) = self.idle {
            require("idle", time, SHORTEST)?;
            if self.eager {
                let value = format!("{time:?} with `eager`");
                return Err(InvalidSetting::new("idle", value, "nothing with `eager`"));
            }
        }
        if !(1..=1024).contains(&self.max_dials) {
            let value = self.max_dials.to_string();
            return Err(InvalidSetting::new("max_dials", value, "1 to 1024"));
        }
        match self.mode {
            Mode::BoundedWait(limit) => require("mode.bounded_wait", limit, SHORTEST),
            Mode::Balanced | Mode::FailFast => Ok(()),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            base: Duration::from_millis(125),
            max: Duration::from_secs(8),
            stable_after: Duration::from_secs(5),
            first_dial_jitter: Duration::ZERO,
            seed: None,
            max_age: None,
            idle: None,
            eager: false,
            max_dials: 4,
            mode: Mode::default(),
            retired: Rule::default(),
            unsent: Rule::default(),
            name: None,
            observer: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("connect_timeout", &self.connect_timeout)
            .field("base", &self.base)
            .field("max", &self.max)
            .field("stable_after", &self.stable_after)
            .field("first_dial_jitter", &self.first_dial_jitter)
            .field("seed", &self.seed)
            .field("max_age", &self.max_age)
            .field("idle", &self.idle)
            .field("eager", &self.eager)
            .field("max_dials", &self.max_dials)
            .field("mode", &self.mode)
            .field("retired", &self.retired)
            .field("unsent", &self.unsent)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn require(field: &'static str, value: Duration, shortest: Duration) -> Result<(), InvalidSetting> {
    if (shortest..=LONGEST).contains(&value) {
        return Ok(());
    }
    let allowed = if shortest.is_zero() {
        "0 to 24 h"
    } else {
        "1 ms to 24 h"
    };
    Err(InvalidSetting::new(field, format!("{value:?}"), allowed))
}

/// The timer of tokio is no finer.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
