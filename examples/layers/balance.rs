//! Three endpoints, one of them slow: `cargo run -p examples --example balance`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{convert::Infallible, time::Duration};

use futures::stream;
use tokio::time::sleep;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_balance_p2c::{BalanceLayer, Change};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let endpoint = |latency: u64| {
        service_fn(move |(): ()| async move {
            sleep(Duration::from_millis(latency)).await;
            Ok::<_, Infallible>(())
        })
    };
    let discovery = stream::iter([
        Ok::<_, Infallible>(Change::Insert("quick", endpoint(2))),
        Ok(Change::Insert("quick too", endpoint(2))),
        Ok(Change::Insert("slow", endpoint(40))),
    ]);
    let balance = ServiceBuilder::new()
        .layer(BalanceLayer::new())
        .service(discovery);

    for _ in 0..200 {
        balance.clone().oneshot(()).await?;
    }
    for endpoint in balance.stats().endpoints {
        println!("{:>9}: {} requests", endpoint.key, endpoint.requests);
    }
    Ok(())
}
