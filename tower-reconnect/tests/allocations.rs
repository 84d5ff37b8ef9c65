//! A request on a live connection allocates nothing.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
};

use tokio_test::{assert_pending, assert_ready_ok, task};
use tower_layer::Layer;
use tower_reconnect::{Mode, ReconnectLayer};
use tower_service::Service;

mod support;

use support::{Dial, Peer, settle};

#[tokio::test(start_paused = true)]
async fn a_request_on_a_live_connection_allocates_nothing() {
    for mode in [Mode::Balanced, Mode::FailFast, BOUNDED] {
        let peer = Peer::new(&[Dial::Accept]);
        let layer = ReconnectLayer::builder("peer").mode(mode).name("the peer");
        let mut service = layer.build().unwrap().layer(peer.maker());
        let mut task = task::spawn(());
        assert_pending!(task.enter(|context, _| service.poll_ready(context)));
        settle().await;
        let mut request = |clone: bool| {
            task.enter(|context, _| {
                let mut cloned = clone.then(|| service.clone());
                let service = cloned.as_mut().unwrap_or(&mut service);
                assert_ready_ok!(service.poll_ready(context));
                let mut response = std::pin::pin!(service.call(7));
                assert_ready_ok!(response.as_mut().poll(context));
            });
        };
        // What is thread-local is made at its first use.
        request(true);
        request(false);
        let before = ALLOCATIONS.get();
        for _ in 0..1000 {
            request(true);
            request(false);
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "in 2000 requests");
    }
}

#[tokio::test(start_paused = true)]
async fn neither_do_requests_with_limits_or_on_an_exclusive_connection() {
    let limited = || {
        let builder = ReconnectLayer::builder("peer").unsent_when(|_| false);
        let second = std::time::Duration::from_secs(1);
        builder.max_age(second * 60).idle(second * 60)
    };
    let peer = Peer::new(&[Dial::Accept]);
    let mut shared = limited().build().unwrap().layer(peer.maker());
    assert_eq!(in_a_thousand_requests(&mut shared).await, 0, "shared");
    let mut exclusive = limited().build_exclusive().unwrap().layer(peer.maker());
    assert_eq!(in_a_thousand_requests(&mut exclusive).await, 0, "exclusive");
}

async fn in_a_thousand_requests<S>(service: &mut S) -> u64
where
    S: Service<u64, Error = tower_reconnect::error::BoxError>,
{
    let mut task = task::spawn(());
    assert_pending!(task.enter(|context, _| service.poll_ready(context)));
    settle().await;
    let mut request = || {
        task.enter(|context, _| {
            assert_ready_ok!(service.poll_ready(context));
            let mut response = std::pin::pin!(service.call(7));
            assert_ready_ok!(response.as_mut().poll(context));
        });
    };
    request();
    let before = ALLOCATIONS.get();
    (0..1000).for_each(|_| request());
    ALLOCATIONS.get() - before
}

const BOUNDED: Mode = Mode::BoundedWait(std::time::Duration::from_secs(1));

#[test]
fn the_counter_counts() {
    let before = ALLOCATIONS.get();
    drop(black_box(Box::new(7)));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all of it is the system's allocator; the counter is a plain cell that never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}
