//! What a request that needs no hedge costs: no allocation and no clone of the service.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::advance;
use tower::Layer;
use tower_retry_budget::{Budget, OnError, hedge::HedgeLayer};
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

#[derive(Debug, Default)]
struct Fine(Arc<AtomicUsize>);

impl Clone for Fine {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Relaxed);
        Self(Arc::clone(&self.0))
    }
}

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

#[tokio::test(start_paused = true)]
async fn what_is_answered_at_once_allocates_and_clones_nothing() {
    let layer = HedgeLayer::new(Budget::new(), OnError);
    let inner = Fine::default();
    let clones = Arc::clone(&inner.0);
    let mut service = layer.layer(inner);
    let mut send = |requests| {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..requests {
            assert!(service.poll_ready(&mut context).is_ready());
            let response = std::pin::pin!(service.call(()));
            assert!(response.poll(&mut context).is_ready());
        }
    };
    send(500);
    advance(Duration::from_millis(1013)).await;
    send(500);
    assert!(layer.stats().delay.is_some());
    let (allocations, before) = (ALLOCATIONS.get(), clones.load(Relaxed));
    send(10_000);
    assert_eq!(ALLOCATIONS.get(), allocations);
    assert_eq!(clones.load(Relaxed), before);
}
