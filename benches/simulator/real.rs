//! The balancers under test, through their public `Service`.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{
    Stream, StreamExt as _,
    channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded},
};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tower::{
    BoxError, Service,
    balance::p2c::Balance as TowerBalance,
    discover::Change as TowerChange,
    load::{CompleteOnResponse, Load, PeakEwmaDiscover, PendingRequestsDiscover},
    util::rng::Rng as TowerRng,
};
use tower_balance_p2c::{Balance, BalanceLayer, Change, Outcome};

use super::{
    endpoint::{Endpoint, Request, Response, Unanswered},
    policy::{Policy, View, ended},
    tasks::{Ended, Task},
};

/// The balancer of this workspace.
pub(super) struct Ours {
    balance: Balance<usize, Endpoint, Request, Judge>,
    changes: UnboundedSender<Endpoint>,
    driver: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

type Judge = fn(Result<&Response, &Unanswered>) -> Outcome;

impl Ours {
    /// With the default number of choices, or another one.
    pub(super) fn new(seed: u64, choices: Option<usize>) -> Self {
        let builder = BalanceLayer::builder().seed(seed).classify(judge as Judge);
        let builder = match choices {
            Some(choices) => builder.choices(choices),
            None => builder,
        };
        let layer = builder.build().expect("the settings are in range");
        let (changes, discovered) = unbounded::<Endpoint>();
        let discovered = discovered
            .map(|endpoint| Ok::<_, Infallible>(Change::Insert(endpoint.server, endpoint)));
        let (balance, driver) = layer.pair(discovered);
        Self {
            balance,
            changes,
            driver: Some(Box::pin(driver)),
        }
    }
}

impl Policy for Ours {
    fn insert(&mut self, endpoint: Endpoint) {
        // Nobody listens once the driver has ended, and then nobody needs to know.
        let _ = self.changes.unbounded_send(endpoint);
    }

    fn send(&mut self, request: Request, _: View<'_>) -> Task {
        let answer = self.balance.call(request);
        Box::pin(async { ended(&answer.await) })
    }

    fn background(&mut self) -> Option<Task> {
        let driver = self.driver.take()?;
        Some(Box::pin(async {
            driver.await;
            Ended::Background
        }))
    }

    fn ejections(&self) -> Option<u64> {
        let endpoints = self.balance.stats().endpoints;
        Some(endpoints.iter().map(|endpoint| endpoint.ejections).sum())
    }
}

fn judge(result: Result<&Response, &Unanswered>) -> Outcome {
    match result {
        Ok(Response { failed: false }) => Outcome::Success,
        Ok(Response { failed: true }) | Err(Unanswered) => Outcome::Failure,
    }
}

/// One of tower's balancers. It is not `Clone`, and wakes only the last that asked whether it is
/// ready: its requests take turns, as behind tower's `Buffer`.
pub(super) struct Tower<S> {
    turns: Rc<RefCell<Turns<S>>>,
    changes: UnboundedSender<Endpoint>,
}

struct Turns<S> {
    balance: S,
    waiting: Vec<Waker>,
}

impl<S: Balancer> Turns<S> {
    fn poll_call(
        &mut self,
        request: Request,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Future, BoxError>> {
        let Poll::Ready(ready) = self.balance.poll_ready(cx) else {
            self.waiting.push(cx.waker().clone());
            return Poll::Pending;
        };
        self.waiting.drain(..).for_each(Waker::wake);
        Poll::Ready(ready.map(|()| self.balance.call(request)))
    }
}

/// tower's balancer by peak-EWMA latency, with the settings that Linkerd runs it with.
pub(super) fn peak_ewma(seed: u64) -> Tower<impl Balancer> {
    let (changes, discovered) = tower_discovery();
    let loads = PeakEwmaDiscover::new(
        discovered,
        Duration::from_millis(30),
        Duration::from_secs(10),
        CompleteOnResponse::default(),
    );
    Tower::new(loads, changes, seed)
}

/// tower's balancer by requests in flight.
pub(super) fn pending_requests(seed: u64) -> Tower<impl Balancer> {
    let (changes, discovered) = tower_discovery();
    let loads = PendingRequestsDiscover::new(discovered, CompleteOnResponse::default());
    Tower::new(loads, changes, seed)
}

/// What both of tower's balancers are.
pub(super) trait Balancer:
    Service<Request, Response = Response, Error = BoxError, Future: 'static> + 'static
{
}

impl<S> Balancer for S where
    S: Service<Request, Response = Response, Error = BoxError, Future: 'static> + 'static
{
}

impl<D, S> Tower<TowerBalance<D, Request>>
where
    D: Stream<Item = Result<TowerChange<usize, S>, Infallible>> + Unpin + 'static,
    S: Service<Request, Response = Response, Error = Unanswered> + Load + 'static,
    S::Metric: std::fmt::Debug,
    S::Future: 'static,
{
    fn new(loads: D, changes: UnboundedSender<Endpoint>, seed: u64) -> Self {
        let random = Random(SmallRng::seed_from_u64(seed));
        let balance = TowerBalance::from_rng(loads, random);
        let waiting = Vec::new();
        let turns = Rc::new(RefCell::new(Turns { balance, waiting }));
        Self { turns, changes }
    }
}

impl<S: Balancer> Policy for Tower<S> {
    fn insert(&mut self, endpoint: Endpoint) {
        // The balancer holds the receiver.
        let _ = self.changes.unbounded_send(endpoint);
    }

    fn send(&mut self, request: Request, _: View<'_>) -> Task {
        let turns = Rc::clone(&self.turns);
        Box::pin(async move {
            match poll_fn(|cx| turns.borrow_mut().poll_call(request, cx)).await {
                Ok(answer) => ended(&answer.await),
                Err(_) => Ended::Failed,
            }
        })
    }
}

type TowerDiscovery = futures::stream::Map<
    UnboundedReceiver<Endpoint>,
    fn(Endpoint) -> Result<TowerChange<usize, Endpoint>, Infallible>,
>;

fn tower_discovery() -> (UnboundedSender<Endpoint>, TowerDiscovery) {
    let (changes, discovered) = unbounded::<Endpoint>();
    let insert: fn(Endpoint) -> _ = |endpoint| Ok(TowerChange::Insert(endpoint.server, endpoint));
    (changes, discovered.map(insert))
}

struct Random(SmallRng);

impl TowerRng for Random {
    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}
