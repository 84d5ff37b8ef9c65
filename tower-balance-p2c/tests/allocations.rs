//! The balancer itself allocates nothing for a request that finds an endpoint ready.

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
use tower_balance_p2c::{Balance, Change};
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
struct Echo;

impl Service<()> for Echo {
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

#[tokio::test]
async fn a_request_allocates_nothing() {
    let inserts = (0..10).map(|key| Ok::<_, Infallible>(Change::Insert(key, Echo)));
    let (mut balance, driver) = Balance::new(stream::iter(inserts));
    let mut driver = task::spawn(driver);
    assert!(driver.poll().is_pending());
    assert_eq!(balance.stats().ready, 10);

    let mut requests = |count| {
        for _ in 0..count {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(balance.poll_ready(&mut cx).is_ready());
            let mut balance = balance.clone();
            let response = pin!(balance.call(()));
            assert!(matches!(response.poll(&mut cx), Poll::Ready(Ok(()))));
        }
    };
    // What is made once a thread is made here.
    requests(100);
    let before = ALLOCATIONS.get();
    requests(10_000);
    assert_eq!(ALLOCATIONS.get() - before, 0);
}
