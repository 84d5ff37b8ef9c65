//! The layers allocate nothing for a request.
#![allow(clippy::unwrap_used, reason = "a test may")]

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
    AdaptiveTimeoutLayer, Sent,
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
    let layer = AdaptiveTimeoutLayer::builder()
        .samples_per_second(u32::MAX)
        .build()
        .unwrap();
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

#[test]
fn a_key_that_is_known_costs_no_allocation() {
    let layer = AdaptiveTimeoutLayer::builder()
        .key(|request: &u32| request % 100)
        .build()
        .unwrap();
    let mut service = layer.layer(Echo);
    let mut task = task::spawn(());
    for number in 0..100 {
        request(&mut task, &mut service, number);
    }
    let before = ALLOCATIONS.get();
    for number in 0..1000 {
        request(&mut task, &mut service, number);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(layer.stats_of(&7).unwrap().samples, 11);
}

#[test]
fn to_be_told_when_a_request_was_sent_costs_one() {
    let layer = AdaptiveTimeoutLayer::builder()
        .from_sent(|_: &mut u32, sent: Sent| sent.mark())
        .build()
        .unwrap();
    let mut service = layer.layer(Echo);
    let mut task = task::spawn(());
    request(&mut task, &mut service, 0);
    let before = ALLOCATIONS.get();
    for number in 0..1000 {
        request(&mut task, &mut service, number);
    }
    assert_eq!(ALLOCATIONS.get() - before, 1000);
}

#[cfg(feature = "http")]
#[test]
fn a_body_that_is_there_costs_no_allocation() {
    use http::Response;
    use http_body::Body;
    use http_body_util::Full;
    use tokio_test::assert_ready;
    use tower::service_fn;
    use tower_timeout_ewma::http::{BodyIdle, WholeBody};

    fn read<S, B>(task: &mut task::Spawn<()>, service: &mut S)
    where
        S: Service<(), Response = Response<B>, Error: std::fmt::Debug>,
        B: Body<Error: std::fmt::Debug>,
    {
        task.enter(|cx, _| {
            assert_ready_ok!(service.poll_ready(cx));
            let response = std::pin::pin!(service.call(()));
            let body = assert_ready_ok!(response.poll(cx)).into_body();
            let mut body = std::pin::pin!(body);
            let frame = assert_ready!(body.as_mut().poll_frame(cx));
            assert!(frame.unwrap().is_ok());
            assert!(body.is_end_stream());
        });
    }
    let bare =
        || service_fn(|()| ready(Ok::<_, Infallible>(Response::new(Full::new(b"x" as &[u8])))));
    let builder = AdaptiveTimeoutLayer::builder;
    let mut whole = builder().scope(WholeBody).build().unwrap().layer(bare());
    let mut idle = builder().scope(BodyIdle).build().unwrap().layer(bare());
    let mut task = task::spawn(());
    read(&mut task, &mut bare());
    let before = ALLOCATIONS.get();
    for _ in 0..1000 {
        read(&mut task, &mut whole);
        read(&mut task, &mut idle);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
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
