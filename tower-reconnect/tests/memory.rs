//! What a reconnecting endpoint takes while it is connected and idle, above the connection itself.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use tower::ServiceExt;
use tower_layer::Layer;
use tower_reconnect::ReconnectLayer;
use tower_service::Service;

/// A connection without anything of its own.
#[derive(Clone)]
struct Nothing;

impl Service<()> for Nothing {
    type Response = ();
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<(), Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        Ok(()).into()
    }

    fn call(&mut self, (): ()) -> Self::Future {
        std::future::ready(Ok(()))
    }
}

#[tokio::test]
async fn an_idle_endpoint_is_small_and_has_no_task() {
    let layer = ReconnectLayer::new(());
    let maker = || tower::service_fn(async |()| Ok::<_, std::convert::Infallible>(Nothing));
    let mut services = Vec::with_capacity(COUNT);
    for _ in 0..10 {
        layer.layer(maker()).oneshot(()).await.unwrap();
    }
    let before = ALLOCATED.load(SeqCst);
    for _ in 0..COUNT {
        let mut service = layer.layer(maker());
        service.ready().await.unwrap().call(()).await.unwrap();
        services.push(service);
    }
    tokio::task::yield_now().await;
    let tasks = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    assert_eq!(tasks, 0);
    let each = (ALLOCATED.load(SeqCst) - before) / COUNT;
    let handle = size_of_val(&services[0]);
    eprintln!("{each} bytes on the heap, {handle} in a handle");
    assert!(each <= 710, "{each}");
    assert!(handle <= 104);
    let mut watches = Vec::with_capacity(COUNT);
    let before = ALLOCATED.load(SeqCst);
    watches.extend(services.iter().map(tower_reconnect::Reconnect::watch));
    let each = (ALLOCATED.load(SeqCst) - before) / COUNT;
    eprintln!("{each} bytes for the first watch");
    assert!(each <= 500, "{each}");
}

const COUNT: usize = 1000;

struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all of it is the system's allocator; the counter is an atomic that never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), SeqCst);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), SeqCst);
        unsafe { System.dealloc(pointer, layout) }
    }
}
