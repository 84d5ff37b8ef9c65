//! The layers allocate nothing for a request.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;
use tokio_test::{assert_ready_ok, task};
use tower::{Layer, Service};
use tower_timeout_ewma::{
    AdaptiveTimeoutLayer,
    deadline::{Deadline, DeadlineLayer, Source},
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Clone)]
struct Echo;

impl Service<u32> for Echo {
    type Response = u32;
    type Error = Infallible;
    type Future = Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        ready(Ok(request))
    }
}

#[derive(Clone)]
struct InASecond;

impl Source<u32> for InASecond {
    fn deadline(&self, _: &u32, now: Instant) -> Option<Deadline> {
        Some(Deadline::at(now + Duration::from_secs(1)))
    }

    fn forward(&self, _: &mut u32, _: Deadline, _: Instant) {}
}

#[test]
fn an_answer_at_once_costs_no_allocation() {
    let layer = AdaptiveTimeoutLayer::new();
    let mut service = DeadlineLayer::new(InASecond).layer(layer.layer(Echo));
    // The task on which the services are polled, and whatever is set up once.
    let mut task = task::spawn(());
    request(&mut task, &mut service, 0);

    let before = ALLOCATIONS.get();
    for number in 0..1000 {
        request(&mut task, &mut service, number);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(layer.stats().samples, 1001);

    drop(Box::new(1));
    assert_eq!(ALLOCATIONS.get() - before, 1, "the test can fail");
}

fn request<S>(task: &mut task::Spawn<()>, service: &mut S, number: u32)
where
    S: Service<u32, Response = u32, Error: std::fmt::Debug>,
{
    task.enter(|cx, _| {
        assert_ready_ok!(service.poll_ready(cx));
        let response = std::pin::pin!(service.call(number));
        assert_eq!(assert_ready_ok!(response.poll(cx)), number);
    });
}
