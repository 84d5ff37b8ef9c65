use std::{
    fmt::{self, Debug},
    marker::PhantomData,
    sync::Arc,
    time::Duration,
};

use crate::{
    AtResponse, BalanceLayer, Ejection, Observer, OkOrErr, SlowStart, error::InvalidSetting,
};

/// The settings of a [`BalanceLayer`].
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<Req, C = OkOrErr, T = AtResponse, A = ()> {
    settings: Settings,
    classify: C,
    completion: T,
    steer: A,
    _request: PhantomData<fn(Req)>,
}

impl<Req> Builder<Req> {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings::default(),
            classify: OkOrErr,
            completion: AtResponse,
            steer: (),
            _request: PhantomData,
        }
    }
}

impl<Req, C, T, A> Builder<Req, C, T, A> {
    /// How fast history fades: after this time an idle endpoint's latency has lost 63 % of its
    /// distance to what is typical, or after 2,000 requests to the set, whichever is later. 10 s
    /// unless set; 1 ms to 1 day.
    pub fn decay(mut self, decay: Duration) -> Self {
        self.settings.decay = decay;
        self
    }

    /// How many endpoints are compared for a request. Unless set, all of up to 16 are, and eight
    /// of more than that. At least 1, which is a random choice. As many as there are endpoints,
    /// or more (`usize::MAX`), compares all of them, in time proportional to their number.
    pub fn choices(mut self, choices: usize) -> Self {
        self.settings.choices = Some(choices);
        self
    }

    /// How long a request waits for an endpoint to be ready before it ends in
    /// [`NoEndpoint`](crate::error::NoEndpoint). 1 s unless set; any duration. `ZERO` does not
    /// wait, and looks at 32 endpoints at the most that seem ready; `MAX` waits for ever.
    ///
    /// To wait takes a tokio runtime with time enabled: without one, a request that has to wait
    /// [panics](crate::Balance#panics).
    pub fn wait(mut self, wait: Duration) -> Self {
        self.settings.wait = wait;
        self
    }

    /// How endpoints that join others come to their full share. [`SlowStart::new`] unless set.
    pub fn slow_start(mut self, slow_start: SlowStart) -> Self {
        self.settings.slow_start = slow_start;
        self
    }

    /// When endpoints that fail are left alone. [`Ejection::new`] unless set.
    pub fn ejection(mut self, ejection: Ejection) -> Self {
        self.settings.ejection = ejection;
        self
    }

    /// The zone of this client. Endpoints of [that zone](crate::Attributes::zone) are preferred
    /// until the best of them is expected to take 2.5 times as long as the best of the others; where
    /// there are none, all are alike. No zone unless set.
    pub fn zone(mut self, zone: impl Into<Arc<str>>) -> Self {
        self.settings.zone = Some(zone.into());
        self
    }

    /// Makes random choices come out the same each time, for tests and simulations: threads share
    /// one generator then, so that it costs time.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// Who is told of ejections, probes and discovery. Nobody unless set.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.settings.observer = Some(Arc::new(observer));
        self
    }

    /// What counts as a failure. [`OkOrErr`] unless set.
    pub fn classify<C2>(self, classify: C2) -> Builder<Req, C2, T, A> {
        Builder {
            settings: self.settings,
            classify,
            completion: self.completion,
            steer: self.steer,
            _request: PhantomData,
        }
    }

    /// How long a request counts as in flight. [`AtResponse`] unless set.
    pub fn completion<T2>(self, completion: T2) -> Builder<Req, C, T2, A> {
        Builder {
            settings: self.settings,
            classify: self.classify,
            completion,
            steer: self.steer,
            _request: PhantomData,
        }
    }

    /// Which endpoints a request avoids, and who is told which one it has got: a
    /// [`Steer`](crate::Steer). None and nobody unless set.
    pub fn steer<A2>(self, steer: A2) -> Builder<Req, C, T, A2> {
        Builder {
            settings: self.settings,
            classify: self.classify,
            completion: self.completion,
            steer,
            _request: PhantomData,
        }
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// A setting that is outside its range.
    pub fn build(self) -> Result<BalanceLayer<Req, C, T, A>, InvalidSetting> {
        let Settings { decay, choices, .. } = self.settings;
        if decay < SHORTEST_DECAY || decay > LONGEST_DECAY {
            return Err(InvalidSetting::new("decay", &decay, "from 1ms to 86400s"));
        }
        if choices == Some(0) {
            return Err(InvalidSetting::new("choices", &0, "at least 1"));
        }
        self.settings.slow_start.check()?;
        self.settings.ejection.check()?;
        Ok(self.into_layer())
    }

    pub(crate) fn into_layer(self) -> BalanceLayer<Req, C, T, A> {
        BalanceLayer {
            settings: self.settings,
            classify: self.classify,
            completion: self.completion,
            steer: self.steer,
            _request: PhantomData,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) decay: Duration,
    pub(crate) choices: Option<usize>,
    pub(crate) wait: Duration,
    pub(crate) slow_start: SlowStart,
    pub(crate) ejection: Ejection,
    pub(crate) zone: Option<Arc<str>>,
    pub(crate) seed: Option<u64>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

impl Settings {
    pub(crate) fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("decay", &self.decay)
            .field("choices", &self.choices)
            .field("wait", &self.wait)
            .field("slow_start", &self.slow_start)
            .field("ejection", &self.ejection)
            .field("zone", &self.zone)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            decay: Duration::from_secs(10),
            choices: None,
            wait: Duration::from_secs(1),
            slow_start: SlowStart::new(),
            ejection: Ejection::new(),
            zone: None,
            seed: None,
            observer: None,
        }
    }
}

impl<Req, C, T, A> Debug for Builder<Req, C, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt_as("Builder", f)
    }
}

const SHORTEST_DECAY: Duration = Duration::from_millis(1);
const LONGEST_DECAY: Duration = Duration::from_secs(86_400);
