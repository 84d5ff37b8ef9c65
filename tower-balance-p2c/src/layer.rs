use std::{
    fmt::{self, Debug},
    hash::Hash,
    marker::PhantomData,
    sync::Arc,
    time::Duration,
};

use futures::Stream;
use tokio::{runtime::Handle, sync::mpsc};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    AtResponse, Balance, BoxError, Change, Driver, OkOrErr,
    error::InvalidSetting,
    pool::{Pool, Shared},
};

/// Makes a [`Balance`] of a discovery stream, and sees to its [`Driver`].
///
/// The driver is spawned on the current tokio runtime; outside of a runtime it is kept until the
/// balancer is first polled inside of one. [`pair`](Self::pair) leaves it to the caller.
#[must_use = "a layer does nothing until it is applied"]
pub struct BalanceLayer<Req, C = OkOrErr, T = AtResponse> {
    settings: Settings,
    classify: C,
    completion: T,
    _request: PhantomData<fn(Req)>,
}

impl<Req> BalanceLayer<Req> {
    /// A layer with default settings.
    pub fn new() -> Self {
        Self::builder().into_layer()
    }

    /// A layer with other settings.
    pub fn builder() -> Builder<Req> {
        Builder {
            settings: Settings::default(),
            classify: OkOrErr,
            completion: AtResponse,
            _request: PhantomData,
        }
    }
}

impl<Req, C: Clone, T: Clone> BalanceLayer<Req, C, T> {
    /// A balancer over `discover`, and the driver that the caller is to spawn for it.
    #[expect(
        clippy::type_complexity,
        reason = "two types, each with its parameters"
    )]
    pub fn pair<D, K, S, E>(&self, discover: D) -> (Balance<K, S, Req, C, T>, Driver<D, K, S, Req>)
    where
        D: Stream<Item = Result<Change<K, S>, E>>,
        E: Into<BoxError>,
        K: Hash + Eq + Clone + Debug,
        S: Service<Req> + Clone,
        S::Error: Into<BoxError>,
    {
        let (pool, driver) = self.parts(discover);
        (Balance::from_pool(pool), driver)
    }

    fn parts<D, K, S>(&self, discover: D) -> Parts<D, K, S, Req, C, T> {
        let (sender, unready) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(self.settings.decay));
        let pool = Pool::new(
            Arc::clone(&shared),
            sender,
            self.settings,
            self.classify.clone(),
            self.completion.clone(),
        );
        (pool, Driver::new(discover, unready, shared))
    }
}

impl<D, K, S, E, Req, C, T> Layer<D> for BalanceLayer<Req, C, T>
where
    D: Stream<Item = Result<Change<K, S>, E>> + Send + 'static,
    E: Into<BoxError>,
    K: Hash + Eq + Clone + Debug + Send + Sync + 'static,
    S: Service<Req> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    Req: 'static,
    C: Clone,
    T: Clone,
{
    type Service = Balance<K, S, Req, C, T>;

    fn layer(&self, discover: D) -> Self::Service {
        let (mut pool, driver) = self.parts(discover);
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(driver)),
            Err(_) => pool.defer(driver),
        }
        Balance::from_pool(pool)
    }
}

/// The settings of a [`BalanceLayer`].
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<Req, C = OkOrErr, T = AtResponse> {
    settings: Settings,
    classify: C,
    completion: T,
    _request: PhantomData<fn(Req)>,
}

impl<Req, C, T> Builder<Req, C, T> {
    /// How fast history fades: after this time a latency or a failure has lost 63 % of its weight.
    /// 10 s unless set; 1 ms to 1 day.
    pub fn decay(mut self, decay: Duration) -> Self {
        self.settings.decay = decay;
        self
    }

    /// How many endpoints are compared for a request. 2 unless set; at least 1, which is a random
    /// choice. As many as there are endpoints, or more (`usize::MAX`), compares all of them, in
    /// time proportional to their number.
    pub fn choices(mut self, choices: usize) -> Self {
        self.settings.choices = choices;
        self
    }

    /// How long a request waits for an endpoint to be ready before it ends in
    /// [`NoEndpoint`](crate::error::NoEndpoint). 1 s unless set; any duration. `ZERO` does not
    /// wait, and looks at 32 endpoints at the most that seem ready; `MAX` waits for ever.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.settings.wait = wait;
        self
    }

    /// What counts as a failure. [`OkOrErr`] unless set.
    pub fn classify<C2>(self, classify: C2) -> Builder<Req, C2, T> {
        Builder {
            settings: self.settings,
            classify,
            completion: self.completion,
            _request: PhantomData,
        }
    }

    /// How long a request counts as in flight. [`AtResponse`] unless set.
    pub fn completion<T2>(self, completion: T2) -> Builder<Req, C, T2> {
        Builder {
            settings: self.settings,
            classify: self.classify,
            completion,
            _request: PhantomData,
        }
    }

    /// The layer, unless a setting is outside its range.
    pub fn build(self) -> Result<BalanceLayer<Req, C, T>, InvalidSetting> {
        let Settings { decay, choices, .. } = self.settings;
        if decay < SHORTEST_DECAY || decay > LONGEST_DECAY {
            return Err(InvalidSetting::new("decay", &decay, "from 1ms to 86400s"));
        }
        if choices == 0 {
            return Err(InvalidSetting::new("choices", &choices, "at least 1"));
        }
        Ok(self.into_layer())
    }

    fn into_layer(self) -> BalanceLayer<Req, C, T> {
        BalanceLayer {
            settings: self.settings,
            classify: self.classify,
            completion: self.completion,
            _request: PhantomData,
        }
    }
}

type Parts<D, K, S, Req, C, T> = (Pool<K, S, C, T>, Driver<D, K, S, Req>);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) decay: Duration,
    pub(crate) choices: usize,
    pub(crate) wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            decay: Duration::from_secs(10),
            choices: 2,
            wait: Duration::from_secs(1),
        }
    }
}

impl<Req> Default for BalanceLayer<Req> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Req, C: Clone, T: Clone> Clone for BalanceLayer<Req, C, T> {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings,
            classify: self.classify.clone(),
            completion: self.completion.clone(),
            _request: PhantomData,
        }
    }
}

impl<Req, C, T> Debug for BalanceLayer<Req, C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt_as("BalanceLayer", f)
    }
}

impl<Req, C, T> Debug for Builder<Req, C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt_as("Builder", f)
    }
}

impl Settings {
    fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("decay", &self.decay)
            .field("choices", &self.choices)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

const SHORTEST_DECAY: Duration = Duration::from_millis(1);
const LONGEST_DECAY: Duration = Duration::from_secs(86_400);
