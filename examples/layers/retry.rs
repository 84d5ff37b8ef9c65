//! A server that fails every third request: `cargo run -p examples --example retry`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    io,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_retry_budget::{Budget, RetryLayer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), io::Error> {
    let calls = AtomicU32::new(0);
    let server = service_fn(|(): ()| {
        let fails = calls.fetch_add(1, Relaxed) % 3 == 2;
        async move {
            if fails {
                Err(io::Error::other("every third"))
            } else {
                Ok(())
            }
        }
    });
    let budget = Budget::new();
    let mut service = ServiceBuilder::new()
        .layer(RetryLayer::new(budget.clone()))
        .service(server);

    let mut failed = 0;
    for _ in 0..100 {
        failed += u32::from(service.ready().await?.call(()).await.is_err());
    }
    println!(
        "100 requests, {} attempts, {failed} failed",
        calls.load(Relaxed)
    );
    println!("{:?}", service.stats());
    println!("{:?}", budget.stats());
    Ok(())
}
