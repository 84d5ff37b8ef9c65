//! What the types promise, and what they refuse, as far as bounds can tell: most of it is checked when
//! this is compiled.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{
    cell::Cell,
    convert::Infallible,
    future::{Ready, ready},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use futures::stream;
use proptest::prelude::*;
use tower_balance_p2c::{
    AtResponse, Attributes, Balance, BalanceLayer, Change, Completion, Driver, Ejection,
    EndpointStats, InFlight, OkOrErr, SlowStart, Stats, Weight,
    error::{BoxError, InvalidSetting, NoEndpoint},
};
use tower_layer::Layer;
use tower_service::Service;

fn promises<T: Send + Sync>() {}
fn is_cloned<T: Clone + Send + Sync + 'static>() {}

macro_rules! does_not {
    ($type:ty: $($bound:tt)+) => {
        const _: fn() = || {
            // With the bound there would be two of these to choose from.
            trait Ambiguous<A> {
                fn either() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            struct Bound;
            impl<T: ?Sized + $($bound)+> Ambiguous<Bound> for T {}
            let _ = <$type as Ambiguous<_>>::either;
        };
    };
}

/// A request that may not be shared or sent.
type Local = Rc<Cell<u32>>;

#[derive(Clone)]
struct Echo;

impl<R> Service<R> for Echo {
    type Response = R;
    type Error = Infallible;
    type Future = Ready<Result<R, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        ready(Ok(request))
    }
}

struct NotCloned;

impl Service<()> for NotCloned {
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

type Discovery<S> = stream::Pending<Result<Change<u32, S>, Infallible>>;

// A balancer is shared, whatever its requests are.
const _: fn() = || {
    is_cloned::<Balance<u32, Echo, Local>>();
    is_cloned::<Balance<u32, Echo, ()>>();
    is_cloned::<BalanceLayer<Local>>();
    promises::<Driver<Discovery<Echo>, u32, Echo, Local>>();
    promises::<<Balance<u32, Echo, ()> as Service<()>>::Future>();
};
does_not!(Local: Send);
// The future has the request, and is as little to be sent as that.
does_not!(<Balance<u32, Echo, Local> as Service<Local>>::Future: Send);

// An endpoint that cannot be cloned or shared is refused.
does_not!(Balance<u32, NotCloned, ()>: Service<()>);
does_not!(BalanceLayer<()>: Layer<Discovery<NotCloned>>);
does_not!(Balance<u32, Rc<()>, ()>: Send);
// So is a completion that does not fit the response, and a key that is not told apart.
does_not!(Balance<u32, Echo, (), OkOrErr, ()>: Service<()>);
does_not!(BalanceLayer<()>: Layer<stream::Pending<Result<Change<f64, Echo>, Infallible>>>);

// A request in flight is counted once: nobody makes another one.
does_not!(InFlight: Clone);
does_not!(InFlight: Default);
does_not!(InFlight: From<u32>);
does_not!(Weight: From<f64>);
does_not!(Weight: std::ops::DerefMut);
does_not!(Weight: std::ops::Mul<f64>);

// What is known of a balancer may be handed to another thread.
const _: fn() = || {
    is_cloned::<Stats<u32>>();
    is_cloned::<EndpointStats<u32>>();
    is_cloned::<Attributes>();
    is_cloned::<Ejection>();
    is_cloned::<SlowStart>();
    is_cloned::<InvalidSetting>();
    promises::<NoEndpoint>();
    promises::<InFlight>();
};

#[cfg(feature = "http")]
mod http {
    use tower_balance_p2c::http::{AtEndOfBody, Blame, BlameAll};

    struct Own;

    // Blame is for closures and `BlameAll`.
    does_not!(Own: Blame<()>);
    does_not!(AtEndOfBody: Blame<()>);
    const _: fn() = || {
        fn blames<E>(_: &impl Blame<E>) {}
        blames(&|_: &u8| true);
        blames::<u8>(&BlameAll);
    };
}

/// One that keeps what it is given, as the only way to have one.
#[derive(Clone, Default)]
struct Kept(Arc<std::sync::Mutex<Vec<InFlight>>>);

impl<T> Completion<T> for Kept {
    type Output = T;

    fn complete(&self, in_flight: InFlight, response: T) -> T {
        self.0.lock().unwrap().push(in_flight);
        response
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_cannot_be_sent_are_answered_on_their_own_thread() {
    let insert = Ok::<_, Infallible>(Change::Insert(1, Echo));
    let (mut balance, driver) = Balance::new(stream::iter([insert]));
    tokio::spawn(driver);
    support::settle().await;
    let request: Local = Rc::default();
    let answer = balance.call(Rc::clone(&request)).await.unwrap();
    answer.set(7);
    assert_eq!(request.get(), 7);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_is_so_for_as_long_as_it_is_kept() {
    let kept = Kept::default();
    let layer = BalanceLayer::builder().completion(kept.clone());
    let insert = Ok::<_, Infallible>(Change::Insert(1, Echo));
    let (mut balance, driver) = layer.build().unwrap().pair(stream::iter([insert]));
    tokio::spawn(driver);
    support::settle().await;
    for count in 1..=3 {
        let answer: Result<(), BoxError> = balance.call(()).await;
        answer.unwrap();
        assert_eq!(balance.stats().endpoints[0].in_flight, count);
    }
    let mut requests = kept.0.lock().unwrap();
    requests.pop().unwrap().failed();
    drop(requests.pop());
    let seen = &balance.stats().endpoints[0];
    assert_eq!((seen.in_flight, seen.requests, seen.failures), (1, 2, 1));
    drop(requests.pop());
    assert_eq!(balance.stats().endpoints[0].in_flight, 0);
    const { assert!(<AtResponse as Completion<()>>::IS_IMMEDIATE) };
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_weight_has_a_good_value_or_there_is_none(value in prop::num::f64::ANY) {
        match Weight::new(value) {
            Ok(weight) => {
                prop_assert!((0.001..=1000.0).contains(&weight.value()));
                prop_assert_eq!(weight.value(), value);
            }
            Err(error) => {
                prop_assert!(!(0.001..=1000.0).contains(&value));
                prop_assert_eq!(error.field(), "weight");
            }
        }
    }
}
