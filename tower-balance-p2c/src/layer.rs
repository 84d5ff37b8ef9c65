use std::{
    fmt::{self, Debug},
    hash::Hash,
    marker::PhantomData,
    sync::Arc,
};

use futures::Stream;
use tokio::{runtime::Handle, sync::mpsc};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    AtResponse, Balance, BoxError, Builder, Change, Driver, OkOrErr, pool::Pool,
    settings::Settings, shared::Shared,
};

/// Makes a [`Balance`] of a discovery stream, and sees to its [`Driver`].
///
/// The driver is spawned on the current tokio runtime; outside of a runtime it is kept until the
/// balancer is first polled inside of one. [`pair`](Self::pair) leaves it to the caller.
///
/// That ties the balancer to this runtime, whatever runtimes its requests are polled on: discovery is
/// followed, and endpoints that were not ready are found to be, only while it runs. After it was shut
/// down each request finds out for itself which endpoints of the last set are ready.
#[must_use = "a layer does nothing until it is applied"]
pub struct BalanceLayer<Req, C = OkOrErr, T = AtResponse, A = ()> {
    pub(crate) settings: Settings,
    pub(crate) classify: C,
    pub(crate) completion: T,
    pub(crate) steer: A,
    pub(crate) _request: PhantomData<fn(Req)>,
}

impl<Req> BalanceLayer<Req> {
    /// A layer with default settings.
    pub fn new() -> Self {
        Self::builder().into_layer()
    }

    /// A layer with other settings.
    pub fn builder() -> Builder<Req> {
        Builder::new()
    }
}

impl<Req, C: Clone, T: Clone, A: Clone> BalanceLayer<Req, C, T, A> {
    /// A balancer over `discover`, and the driver that the caller is to spawn for it.
    #[expect(
        clippy::type_complexity,
        reason = "two types, each with its parameters"
    )]
    pub fn pair<D, K, S, E>(
        &self,
        discover: D,
    ) -> (Balance<K, S, Req, C, T, A>, Driver<D, K, S, Req>)
    where
        D: Stream<Item = Result<Change<K, S>, E>>,
        E: Into<BoxError>,
        K: Hash + Eq + Clone + Debug + Send + Sync + 'static,
        S: Service<Req> + Clone,
        S::Error: Into<BoxError>,
    {
        let (pool, driver) = self.parts(discover);
        (Balance::from_pool(pool), driver)
    }

    fn parts<D, K, S>(&self, discover: D) -> Parts<D, K, S, Req, C, T, A> {
        let (sender, unready) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(&self.settings));
        let pool = Pool::new(
            Arc::clone(&shared),
            sender,
            &self.settings,
            (
                self.classify.clone(),
                self.completion.clone(),
                self.steer.clone(),
            ),
        );
        (pool, Driver::new(discover, unready, shared))
    }
}

impl<D, K, S, E, Req, C, T, A> Layer<D> for BalanceLayer<Req, C, T, A>
where
    D: Stream<Item = Result<Change<K, S>, E>> + Send + 'static,
    E: Into<BoxError>,
    K: Hash + Eq + Clone + Debug + Send + Sync + 'static,
    S: Service<Req> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    Req: 'static,
    C: Clone,
    T: Clone,
    A: Clone,
{
    type Service = Balance<K, S, Req, C, T, A>;

    fn layer(&self, discover: D) -> Self::Service {
        let (mut pool, driver) = self.parts(discover);
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(driver)),
            Err(_) => pool.defer(driver),
        }
        Balance::from_pool(pool)
    }
}

type Parts<D, K, S, Req, C, T, A> = (Pool<K, S, C, T, A>, Driver<D, K, S, Req>);

impl<Req> Default for BalanceLayer<Req> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Req, C: Clone, T: Clone, A: Clone> Clone for BalanceLayer<Req, C, T, A> {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            classify: self.classify.clone(),
            completion: self.completion.clone(),
            steer: self.steer.clone(),
            _request: PhantomData,
        }
    }
}

impl<Req, C, T, A> Debug for BalanceLayer<Req, C, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt_as("BalanceLayer", f)
    }
}
