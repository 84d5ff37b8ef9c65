//! What each layer costs a request that succeeds at once, beside tower's own layer for the same
//! purpose: `cargo bench -p benches`.
//!
//! One thread, a service that is always ready and answers at the first poll, a `()` request. Results
//! of one run are in `docs/evaluation.md`.
#![allow(clippy::print_stdout, reason = "a bench prints its results")]

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use benches::{CountingAllocator, Subject, measure, table};
use futures::stream;
use tokio::runtime::Runtime;
use tower::{
    Layer, Service, ServiceExt,
    balance::p2c::Balance as TowerBalance,
    buffer::Buffer,
    discover::ServiceList,
    load::{CompleteOnResponse, PeakEwmaDiscover},
    reconnect::Reconnect as TowerReconnect,
    retry::{
        Policy, Retry as TowerRetry,
        budget::{Budget as _, TpsBudget},
    },
    timeout::Timeout as TowerTimeout,
};
use tower_balance_p2c::{BalanceLayer, Change};
use tower_reconnect::ReconnectLayer;
use tower_retry_budget::{Budget, RetryLayer};
use tower_timeout_ewma::AdaptiveTimeoutLayer;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    let _entered = runtime.enter();
    for endpoints in [3, 100] {
        println!("{}", balance(&runtime, endpoints));
    }
    println!("{}", retry());
    println!("{}", reconnect(&runtime));
    println!("{}", timeout());
}

fn balance(runtime: &Runtime, endpoints: usize) -> String {
    let changes = (0..endpoints).map(|key| Ok::<_, Infallible>(Change::Insert(key, Bare)));
    let ours = BalanceLayer::new().layer(stream::iter(changes));
    runtime.block_on(async {
        while ours.stats().ready < endpoints {
            tokio::task::yield_now().await;
        }
    });
    let tower = || {
        let list = ServiceList::new(vec![Bare; endpoints]);
        TowerBalance::new(PeakEwmaDiscover::new(
            list,
            Duration::from_millis(30),
            Duration::from_secs(10),
            CompleteOnResponse::default(),
        ))
    };
    let buffered = Buffer::new(tower(), 1024);
    let measured = measure(vec![
        bare(),
        subject("tower-balance-p2c", ours.clone()),
        subject("the same, cloned for each request", Cloned(ours)),
        subject(TOWER_BALANCE, tower()),
        Subject::new("tower Buffer<Balance<PeakEwma>>", move |requests| {
            runtime.block_on(async {
                for _ in 0..requests {
                    let answer = buffered.clone().oneshot(()).await;
                    answer.expect("the bare service answers");
                }
            });
        }),
    ]);
    table(
        &format!("balance, {endpoints} endpoints"),
        &measured,
        TOWER_BALANCE,
    )
}

fn retry() -> String {
    let ours = RetryLayer::new(Budget::new()).layer(Bare);
    let tower = TowerRetry::new(TowerPolicy::default(), Bare);
    let measured = measure(vec![
        bare(),
        subject("tower-retry-budget", ours),
        subject(TOWER_RETRY, tower),
    ]);
    table("retry, nothing to retry", &measured, TOWER_RETRY)
}

fn reconnect(runtime: &Runtime) -> String {
    let ours = ReconnectLayer::new(()).layer(Maker);
    let connected = runtime.block_on(ours.clone().oneshot(()));
    connected.expect("the bare service answers");
    let measured = measure(vec![
        bare(),
        subject("tower-reconnect", ours.clone()),
        subject("the same, cloned for each request", Cloned(ours)),
        subject(
            TOWER_RECONNECT,
            TowerReconnect::with_connection(Bare, Maker, ()),
        ),
    ]);
    table("reconnect, connected", &measured, TOWER_RECONNECT)
}

fn timeout() -> String {
    let measured = measure(vec![
        bare(),
        subject(
            "tower-timeout-ewma, adaptive",
            AdaptiveTimeoutLayer::new().layer(Bare),
        ),
        subject(
            "tower-timeout-ewma, fixed",
            AdaptiveTimeoutLayer::fixed(Duration::from_secs(1)).layer(Bare),
        ),
        subject(
            TOWER_TIMEOUT,
            TowerTimeout::new(Bare, Duration::from_secs(1)),
        ),
    ]);
    table("timeout, answer at once", &measured, TOWER_TIMEOUT)
}

fn bare() -> Subject<'static> {
    subject("bare service", Bare)
}

/// A service that answers at the first poll.
fn subject<'a, S>(name: &'static str, mut service: S) -> Subject<'a>
where
    S: Service<()> + 'a,
{
    Subject::new(name, move |requests| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..requests {
            let service = black_box(&mut service);
            let is_ready = matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(())));
            let response = pin!(service.call(())).poll(&mut cx);
            let answered = matches!(response, Poll::Ready(Ok(_)));
            assert!(is_ready & answered, "{name} did not answer at once");
        }
    })
}

/// Always ready, answers at once.
#[derive(Clone, Copy, Debug)]
struct Bare;

impl Service<()> for Bare {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

/// Makes bare services.
#[derive(Clone, Copy, Debug)]
struct Maker;

impl Service<()> for Maker {
    type Response = Bare;
    type Error = Infallible;
    type Future = Ready<Result<Bare, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(Bare))
    }
}

/// Sends each request by a clone of its own, as tasks that share a service do.
struct Cloned<S>(S);

impl<S: Service<()> + Clone> Service<()> for Cloned<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: ()) -> S::Future {
        let clone = self.0.clone();
        std::mem::replace(&mut self.0, clone).call(request)
    }
}

#[derive(Clone, Default)]
struct TowerPolicy(std::sync::Arc<TpsBudget>);

impl Policy<(), (), Infallible> for TowerPolicy {
    type Future = Ready<()>;

    fn retry(&mut self, (): &mut (), result: &mut Result<(), Infallible>) -> Option<Ready<()>> {
        if result.is_ok() {
            self.0.deposit();
            return None;
        }
        self.0.withdraw().then(|| ready(()))
    }

    fn clone_request(&mut self, (): &()) -> Option<()> {
        Some(())
    }
}

const TOWER_BALANCE: &str = "tower Balance<PeakEwma>, by &mut";
const TOWER_RETRY: &str = "tower Retry + TpsBudget";
const TOWER_RECONNECT: &str = "tower Reconnect, not cloneable";
const TOWER_TIMEOUT: &str = "tower Timeout";
