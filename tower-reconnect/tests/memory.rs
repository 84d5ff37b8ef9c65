//! What a reconnecting endpoint takes while it is connected and idle, above the connection itself.
#![allow(clippy::unwrap_used)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    future::{Ready, ready},
    time::Duration,
};

use tower::ServiceExt;
use tower_layer::Layer;
use tower_reconnect::{ReconnectLayer, error::BoxError};
use tower_service::Service;

/// A connection without anything of its own.
#[derive(Clone)]
struct Nothing;

impl Service<()> for Nothing {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        Ok(()).into()
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

#[tokio::test]
async fn an_idle_endpoint_is_small_and_has_no_task() {
    let layer = ReconnectLayer::new(());
    let shared = measure(|target| layer.for_target(target).layer(maker())).await;
    let named = measure(|target| layer.for_target(target).name("a").layer(maker())).await;
    let own = measure(|target| ReconnectLayer::new(target).layer(maker())).await;
    let tasks = tokio::runtime::Handle::current().metrics();
    assert_eq!(tasks.num_alive_tasks(), 0);
    let exclusive = ReconnectLayer::builder(()).build_exclusive().unwrap();
    let exclusive = measure(|target| exclusive.for_target(target).layer(maker())).await;
    let limited = ReconnectLayer::builder(()).max_age(HOUR).idle(HOUR);
    let limited = limited.build().unwrap();
    let limited = measure(|target| limited.for_target(target).layer(maker())).await;
    eprintln!(
        "shared {shared:?}, named {named:?}, own settings {own:?}, exclusive {exclusive:?}, \
        with limits {limited:?}"
    );
    assert!(shared.all() <= 512, "{shared:?}");
    assert!(named.all() <= 512 + 72, "{named:?}");
    assert!(own.all() <= 512 + 300, "{own:?}");
    assert!(exclusive.all() <= 800, "{exclusive:?}");
    assert!(limited.all() <= 1300, "{limited:?}");
}

#[tokio::test]
async fn the_first_watch_is_small() {
    let mut services = Vec::with_capacity(COUNT);
    let layer = ReconnectLayer::new(());
    services.extend((0..COUNT).map(|_| layer.layer(maker())));
    let mut watches = Vec::with_capacity(COUNT);
    let before = ALLOCATED.get();
    watches.extend(services.iter().map(tower_reconnect::Reconnect::watch));
    let each = (ALLOCATED.get() - before) / COUNT as isize;
    eprintln!("{each} bytes for the first watch");
    assert!(each <= 500, "{each}");
}

/// Bytes.
#[derive(Debug)]
struct Size {
    heap: usize,
    handle: usize,
}

impl Size {
    fn all(&self) -> usize {
        self.heap + self.handle
    }
}

/// What a service takes that has answered a request.
async fn measure<S: Service<(), Error = BoxError>>(make: impl Fn(()) -> S) -> Size {
    let mut services = Vec::with_capacity(COUNT);
    for _ in 0..10 {
        let mut service = make(());
        service.ready().await.unwrap().call(()).await.unwrap();
    }
    tokio::task::yield_now().await;
    let before = ALLOCATED.get();
    for _ in 0..COUNT {
        let mut service = make(());
        service.ready().await.unwrap().call(()).await.unwrap();
        services.push(service);
    }
    tokio::task::yield_now().await;
    let heap = (ALLOCATED.get() - before) as usize / COUNT;
    drop(services);
    tokio::task::yield_now().await;
    let handle = size_of::<S>();
    Size { heap, handle }
}

type Maker = tower::util::ServiceFn<fn(()) -> Ready<Result<Nothing, Infallible>>>;

fn maker() -> Maker {
    tower::service_fn(|()| ready(Ok(Nothing)))
}

const COUNT: usize = 1000;
const HOUR: Duration = Duration::from_secs(3600);

struct Counting;

thread_local! {
    static ALLOCATED: Cell<isize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all of it is the system's allocator; the counter is a plain cell that never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.set(ALLOCATED.get() - layout.size() as isize);
        unsafe { System.dealloc(pointer, layout) }
    }
}
