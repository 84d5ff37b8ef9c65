//! The layer and its settings.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use tower_layer::Layer;
use tower_service::Service;

use crate::{
    backoff::Backoff,
    chance::Chance,
    connector::Connector,
    error::{BoxError, InvalidSetting},
    machine::Machine,
    retired::Retired,
    service::Reconnect,
    shared::Shared,
};

/// Makes a [`Reconnect`] out of a service that makes connections to a target.
///
/// See the [crate's documentation](crate) for an example.
#[derive(Clone)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct ReconnectLayer<T> {
    target: T,
    settings: Settings,
}

/// What a handle does while there is no connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// It is not ready until there is one, so that a balancer picks another endpoint.
    #[default]
    Balanced,
    /// It waits for a dial that is under way, but during a backoff it is ready and refuses the
    /// request with [`error::Unavailable`](crate::error::Unavailable).
    FailFast,
}

impl<T> ReconnectLayer<T> {
    /// With every setting at its default.
    pub fn new(target: T) -> Self {
        let settings = Settings::default();
        Self { target, settings }
    }

    /// With settings of your own.
    pub fn builder(target: T) -> Builder<T> {
        let settings = Settings::default();
        Builder { target, settings }
    }
}

impl<M, T> Layer<M> for ReconnectLayer<T>
where
    M: Service<T> + Send + 'static,
    M::Response: Clone + Send + Sync + 'static,
    M::Error: Into<BoxError>,
    M::Future: Send,
    T: Clone + Send + 'static,
{
    type Service = Reconnect<M::Response>;

    fn layer(&self, maker: M) -> Self::Service {
        let settings = &self.settings;
        let connector = Connector {
            maker,
            target: self.target.clone(),
            timeout: settings.connect_timeout,
        };
        let backoff = Backoff::new(settings.base, settings.max);
        let chance = Chance::new(settings.seed);
        let machine = Machine::new(backoff, settings.stable_after)
            .with_first_dial_jitter(settings.first_dial_jitter, chance.draw());
        let shared = Shared::new(
            machine,
            chance,
            settings.mode,
            settings.retired.clone(),
            settings.name.clone(),
            Box::new(move |runtime, shared, wake| {
                runtime.spawn(connector.run(shared, wake)).abort_handle()
            }),
        );
        Reconnect::new(Arc::new(shared))
    }
}

impl<T> fmt::Debug for ReconnectLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectLayer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The settings of a [`ReconnectLayer`].
///
/// Nothing is checked before [`build`](Self::build).
#[derive(Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<T> {
    target: T,
    settings: Settings,
}

impl<T> Builder<T> {
    /// How long making one connection may take, the wait for the maker's readiness included.
    ///
    /// 1 s by default, 1 ms to 24 h.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// The steps between dials that fail, from the beginning of one to that of the next: up to `base`
    /// after the first failure, twice as much after each further one, up to `max`.
    ///
    /// The steps are `max` halved as often as it takes for the first not to exceed `base`. As long
    /// as they double, a delay is between half of its step and all of it. By how much is drawn at
    /// random once for an outage, so that clients that lost one server at one moment dial it again
    /// at moments that are spread over all of a step. Every delay is shortened at random by up to an
    /// eighth besides, those at the cap as well. A dial that failed is followed by half of the delay
    /// at least, however long the dial took.
    ///
    /// 125 ms and 8 s by default, 1 ms to 24 h each: 10,000 clients of one server are no more than
    /// 1,500 dials in a second then when it returns after 10 s or more, and all are back within 8 s.
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

    /// By how much a dial that follows no failure is put off at the most: the first one, and the one
    /// after a connection that was stable or retired. A random part of it is waited each time.
    ///
    /// 0 by default, to 24 h: a request waits for that dial. Set it where many clients of one server
    /// begin or lose their connections at one moment, to the number of clients by the dials a second
    /// that the server can take.
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

    /// Which errors of a connection mean that it did its work and was retired, as by a GOAWAY or
    /// a `connection: close` after an answer. Such a loss is no failure, however soon it comes:
    /// the connection is replaced at once, and the backoff begins anew.
    ///
    /// None by default. A rule that is true for a peer that never works makes it be dialled as
    /// often as a request asks for it.
    pub fn retired_when(
        mut self,
        rule: impl Fn(&(dyn Error + 'static)) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.retired = Retired::when(rule);
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

    /// The layer.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`] when a setting is out of its range.
    pub fn build(self) -> Result<ReconnectLayer<T>, InvalidSetting> {
        let Self { target, settings } = self;
        let Settings { base, max, .. } = settings;
        require("connect_timeout", settings.connect_timeout, SHORTEST)?;
        require("backoff.base", base, SHORTEST)?;
        require("backoff.max", max, SHORTEST)?;
        require("stable_after", settings.stable_after, Duration::ZERO)?;
        let jitter = settings.first_dial_jitter;
        require("first_dial_jitter", jitter, Duration::ZERO)?;
        if base > max {
            let value = format!("{base:?} with a `backoff.max` of {max:?}");
            let allowed = "at most `backoff.max`";
            return Err(InvalidSetting::new("backoff.base", value, allowed));
        }
        Ok(ReconnectLayer { target, settings })
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
struct Settings {
    connect_timeout: Duration,
    base: Duration,
    max: Duration,
    stable_after: Duration,
    first_dial_jitter: Duration,
    seed: Option<u64>,
    mode: Mode,
    retired: Retired,
    name: Option<Arc<str>>,
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
            mode: Mode::default(),
            retired: Retired::default(),
            name: None,
        }
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
