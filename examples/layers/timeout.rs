//! A limit that follows a server from 5 to 50 ms: `cargo run -p examples --example timeout`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{convert::Infallible, time::Duration};

use tokio::time::sleep;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_timeout_ewma::AdaptiveTimeoutLayer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let timeout = AdaptiveTimeoutLayer::builder()
        .min(Duration::from_millis(10))
        .build()?;
    let mut service = ServiceBuilder::new()
        .layer(timeout.clone())
        .service(service_fn(|latency: Duration| async move {
            sleep(latency).await;
            Ok::<_, Infallible>(())
        }));

    println!("to begin with: {:?}", timeout.limit());
    for milliseconds in [5, 50] {
        let latency = Duration::from_millis(milliseconds);
        let mut cut_off = 0;
        for _ in 0..60 {
            cut_off += u32::from(service.ready().await?.call(latency).await.is_err());
        }
        println!(
            "60 answers after {latency:?}: limit {:?}, {cut_off} cut off",
            timeout.limit()
        );
    }
    Ok(())
}
