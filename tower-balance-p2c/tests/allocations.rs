//! The balancer itself allocates nothing for a request that finds an endpoint ready.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use futures::{Future as _, stream};
use tokio_test::task;
use tower_balance_p2c::{AtResponse, Balance, BalanceLayer, Change, OkOrErr, Steer};
use tower_service::Service;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is left to `System`.
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
struct Echo {
    fails: bool,
}

impl Service<()> for Echo {
    type Response = ();
    type Error = &'static str;
    type Future = Ready<Result<(), &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(if self.fails { Err("failed") } else { Ok(()) })
    }
}

/// Tells which endpoint has answered, where nobody wants to know.
#[derive(Clone)]
struct Watching;

impl Steer<u32, (), ()> for Watching {
    fn avoids(&self, (): &(), endpoint: &u32) -> bool {
        *endpoint == 3
    }
}

type Pool<A> = Balance<u32, Echo, (), OkOrErr, AtResponse, A>;

/// Of ten endpoints, of which the first fail.
fn of_ten<A: Clone + Steer<u32, (), ()>>(steer: A, failing: u32) -> (Pool<A>, impl Future) {
    let endpoint = move |key| {
        Change::Insert(
            key,
            Echo {
                fails: key < failing,
            },
        )
    };
    let inserts = (0..10).map(move |key| Ok::<_, Infallible>(endpoint(key)));
    let builder = BalanceLayer::builder().steer(steer);
    // Without a random choice one that has failed would not be asked three times.
    let layer = builder.choices(1).build().unwrap();
    let (balance, driver) = layer.pair(stream::iter(inserts));
    let mut driver = task::spawn(driver);
    assert!(driver.poll().is_pending());
    assert_eq!(balance.stats().ready, 10);
    (balance, driver)
}

fn allocations_of_requests<A: Steer<u32, (), ()>>(mut balance: Pool<A>) -> u64 {
    let mut requests = |count| {
        for _ in 0..count {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(balance.poll_ready(&mut cx).is_ready());
            let mut balance = balance.clone();
            let response = pin!(balance.call(()));
            assert!(response.poll(&mut cx).is_ready());
        }
    };
    // What is made once a thread is made here, and who fails is ejected.
    requests(100);
    let before = ALLOCATIONS.get();
    requests(10_000);
    ALLOCATIONS.get() - before
}

#[tokio::test]
async fn a_request_allocates_nothing() {
    let (balance, _driver) = of_ten((), 0);
    assert_eq!(allocations_of_requests(balance), 0);
}

#[tokio::test]
async fn nor_does_one_that_is_steered() {
    let (balance, _driver) = of_ten(Watching, 0);
    assert_eq!(allocations_of_requests(balance), 0);
}

#[tokio::test(start_paused = true)]
async fn nor_does_one_while_others_are_ejected() {
    let (balance, _driver) = of_ten((), 2);
    assert_eq!(allocations_of_requests(balance.clone()), 0);
    assert_eq!(balance.stats().ejected, 2);
}
