//! What a test needs to bring tower's own balancer into the same situation.

use std::{
    collections::hash_map::DefaultHasher, future::poll_fn, hash::BuildHasherDefault, task::Poll,
};

use futures::Stream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tower::{
    balance::p2c::Balance,
    discover::{Change, Discover},
    load::Load,
    util::rng::HasherRng,
};
use tower_balance_p2c::BoxError;
use tower_service::Service;

use crate::support::{Key, Probe, Refused};

pub(crate) type Found<S> = Result<Change<Key, S>, Refused>;

/// tower is expected to have this defect.
#[track_caller]
pub(crate) fn still(has_it: bool, defect: &str) {
    assert!(
        has_it,
        "tower has no longer this defect: {defect}. Take it out of this test and out of the docs"
    );
}

/// A discovery by hand.
pub(crate) fn discovery<S: Send + 'static>() -> (
    UnboundedSender<Found<S>>,
    impl Stream<Item = Found<S>> + Unpin + Send + 'static,
) {
    let (sender, mut receiver) = unbounded_channel();
    (
        sender,
        futures::stream::poll_fn(move |cx| receiver.poll_recv(cx)),
    )
}

/// tower's balancer over `probes`, each with the load that `with_load` puts around it.
pub(crate) fn balance<S>(
    probes: &[Probe],
    with_load: impl Fn(&Probe) -> S,
) -> (impl BalanceOf<S>, UnboundedSender<Found<S>>)
where
    S: Service<(), Response = Key, Error = Refused> + Load<Metric: std::fmt::Debug> + Send,
    S: 'static,
{
    let (sender, stream) = discovery();
    for probe in probes {
        let found = Change::Insert(probe.control.key, with_load(probe));
        sender.send(Ok(found)).unwrap();
    }
    (seeded(stream), sender)
}

/// Makes the same choices each time.
pub(crate) fn seeded<D>(discover: D) -> Balance<D, ()>
where
    D: Discover<Key = Key, Service: Service<(), Error: Into<BoxError>>>,
{
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    Balance::from_rng(discover, HasherRng::with_hasher(hasher))
}

/// Hides a stream that has no name.
pub(crate) trait BalanceOf<S>: Service<(), Response = Key, Error = BoxError> {
    fn len(&self) -> usize;
}

impl<D, S> BalanceOf<S> for Balance<D, ()>
where
    D: Discover<Key = Key, Service = S>,
    S: Service<()>,
    S::Error: Into<BoxError>,
    Self: Service<(), Response = Key, Error = BoxError>,
{
    fn len(&self) -> usize {
        Balance::len(self)
    }
}

/// One look at whether a service is ready.
pub(crate) async fn look<S: Service<()>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    poll_fn(|cx| Poll::Ready(service.poll_ready(cx))).await
}
