//! The builder of both layers.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use crate::{
    error::InvalidSetting,
    exclusive::ExclusiveLayer,
    layer::ReconnectLayer,
    mode::Mode,
    observer::{Observer, Told},
    rule::Rule,
    settings::{EXCLUSIVE_WORKED_AFTER, SHARED_WORKED_AFTER, Settings},
};

/// The settings of a [`ReconnectLayer`] or of an [`ExclusiveLayer`].
///
/// Nothing is checked before [`build`](Self::build) or [`build_exclusive`](Self::build_exclusive).
#[derive(Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<T> {
    target: T,
    settings: Settings,
    told: Told,
}

impl<T> Builder<T> {
    pub(crate) fn new(target: T) -> Self {
        Self {
            target,
            settings: Settings::default(),
            told: Told::default(),
        }
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
        self.settings.bounds_mut().stable_after = uptime;
        self
    }

    /// By how much a dial that follows no failure is put off at the most: the first one, and the
    /// one after a connection that was stable or retired. A random part of it is waited, which is drawn
    /// once for a service and again with the first failure of an outage.
    ///
    /// 0 by default, to 24 h: a request waits for that dial. Set it where many clients of one
    /// server begin or lose their connections at one moment, to the number of clients by the dials
    /// a second that the server can take.
    pub fn first_dial_jitter(mut self, jitter: Duration) -> Self {
        self.settings.bounds_mut().first_dial_jitter = jitter;
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
        self.settings.bounds_mut().limits.max_age = Some(age);
        self
    }

    /// How long a connection may be unused. One that no request was sent on for this long is
    /// closed, at a random time up to half as long later, and the next request dials. A request in
    /// flight is not cut off by it. In the exclusive shape it is the time of connections that no
    /// handle has.
    ///
    /// None by default, 1 ms to 24 h; not with [`eager`](Self::eager).
    pub fn idle(mut self, time: Duration) -> Self {
        self.settings.bounds_mut().limits.idle = Some(time);
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

    /// Which errors of a connection's readiness mean that its other end has retired it, as by a
    /// GOAWAY or a `connection: close` after an answer. Such a loss is no failure, however soon it
    /// comes, if the connection has done its work: see [`worked_after`](Self::worked_after). It is
    /// replaced at once then, and the backoff begins anew. Another one that is retired before
    /// [`stable_after`](Self::stable_after) is a failure: a server that sends everybody away is
    /// dialled ever more rarely.
    ///
    /// None by default. With a rule a request costs one reference count more.
    pub fn retired_when(
        mut self,
        rule: impl Fn(&(dyn Error + 'static)) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.retired = Rule::new(rule);
        self
    }

    /// How many requests a connection must have answered for its retirement, by the rule of
    /// [`retired_when`](Self::retired_when), to be no failure.
    ///
    /// With 1 a server that closes each connection after an answer is dialled as often as a request
    /// asks for it. A GOAWAY comes after a thousand requests from nginx by default.
    ///
    /// A request is answered when its response future is ready without an error. One that was sent
    /// and never answered shows nothing.
    ///
    /// 100 by default for a shared connection, 1 for exclusive ones. At least 1.
    pub fn worked_after(mut self, requests: u32) -> Self {
        self.settings.worked_after = Some(requests);
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
        self.told.name = Some(name.into());
        self
    }

    /// Who is told what happens. Nobody by default.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.told.observer = Some(Arc::new(observer));
        self
    }

    /// How many dials may be under way at once for connections that belong to one handle each,
    /// while none fails. Only [`build_exclusive`](Self::build_exclusive) heeds it: a shared
    /// connection is dialled once at a time.
    ///
    /// 4 by default, 1 to 1024.
    pub fn max_dials(mut self, dials: usize) -> Self {
        self.settings.bounds_mut().max_dials = dials;
        self
    }

    /// The layer for one connection that all handles share, as HTTP/2 has it: it must be `Clone`.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`] when a setting is out of its range.
    pub fn build(self) -> Result<ReconnectLayer<T>, InvalidSetting> {
        let settings = self.settings.complete(SHARED_WORKED_AFTER)?;
        Ok(ReconnectLayer::with(self.target, settings, self.told))
    }

    /// The layer for connections that belong to one handle each, as HTTP/1 and databases have
    /// them: see [`exclusive`](crate::exclusive).
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`] when a setting is out of its range.
    pub fn build_exclusive(self) -> Result<ExclusiveLayer<T>, InvalidSetting> {
        let settings = self.settings.complete(EXCLUSIVE_WORKED_AFTER)?;
        Ok(ExclusiveLayer::with(self.target, settings, self.told))
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.told.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
