//! The layer itself allocates nothing for a request without anything to copy.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll, Waker},
};

use tower::Layer;
use tower_retry_budget::{Budget, Kind, OnError, Policy, RetryLayer, Verdict};
use tower_service::Service;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: each call goes to the system allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Clone)]
struct Fine;

impl Service<()> for Fine {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

fn allocations_of_a_request(budget: Budget) -> u64 {
    allocations_through(&RetryLayer::new(budget))
}

fn allocations_through<P: Policy<(), (), Infallible>>(layer: &RetryLayer<P>) -> u64 {
    let mut service = layer.layer(Fine);
    let mut context = Context::from_waker(Waker::noop());
    let before = ALLOCATIONS.get();
    assert!(service.poll_ready(&mut context).is_ready());
    let mut response = std::pin::pin!(service.call(()));
    assert!(response.as_mut().poll(&mut context).is_ready());
    ALLOCATIONS.get() - before
}

#[test]
fn a_request_that_succeeds_allocates_nothing() {
    assert_eq!(allocations_of_a_request(Budget::new()), 0);
}

#[test]
fn nor_does_one_for_which_no_retry_is_affordable() {
    let builder = Budget::builder().min_per_second(0.0).burst(1);
    let budget = builder.build().unwrap();
    let _spent = budget.try_withdraw(Kind::Transient).unwrap();
    assert_eq!(allocations_of_a_request(budget), 0);
}

#[test]
fn nor_does_one_that_may_be_sent_again() {
    for resendable in [false, true] {
        let layer = RetryLayer::builder(Budget::new()).attempts(1).resends(2);
        let layer = layer.policy(Resendable(resendable)).build().unwrap();
        assert_eq!(allocations_through(&layer), 0);
    }
}

struct Resendable(bool);

impl Policy<(), (), Infallible> for Resendable {
    fn resendable(&self, (): &()) -> bool {
        self.0
    }

    fn classify(&self, result: Result<&(), &Infallible>) -> Verdict {
        Policy::<(), _, _>::classify(&OnError, result)
    }
}

#[cfg(feature = "http")]
#[test]
fn a_body_that_is_empty_or_not_to_be_repeated_allocates_nothing() {
    use bytes::Bytes;
    use http::Request;
    use http_body_util::{Empty, Full};
    use tower_retry_budget::{Replay, http::BodyReplay};

    let replay = BodyReplay::default();
    let full = Full::new(Bytes::from_static(b"body"));
    let before = ALLOCATIONS.get();
    let (first, spare) = replay.first(Request::new(Empty::<Bytes>::new()));
    let second = spare.and_then(|mut spare| replay.again(&mut spare));
    let plain = replay.plain(Request::new(full));
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert!(second.is_some());
    drop((first, plain));
}

#[test]
fn the_counter_counts() {
    let before = ALLOCATIONS.get();
    drop(Box::new(7));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}
