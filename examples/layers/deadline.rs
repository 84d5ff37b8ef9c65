//! One deadline for retries, timeouts and the server: `cargo run -p examples --example deadline`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{io, time::Duration};

use http::Request;
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_retry_budget::{Backoff, Budget, RetryLayer};
use tower_timeout_ewma::{
    AdaptiveTimeoutLayer, BoxError,
    deadline::{Deadline, DeadlineLayer, http::HttpDeadline},
    http::UntilDeadline,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let server = service_fn(async |request: Request<()>| {
        println!(
            "  the server is told {:?}",
            request.headers()["grpc-timeout"]
        );
        sleep(Duration::from_millis(120)).await;
        Err::<(), _>(io::Error::other("out of order"))
    });
    let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(20))?;
    let retry = RetryLayer::builder(Budget::new())
        .attempts(100)
        .backoff(backoff)
        .deadline(|request: &Request<()>| {
            let deadline = request.extensions().get::<Deadline>();
            deadline.map(|deadline| deadline.instant())
        });
    let service = ServiceBuilder::new()
        // Reads the client's header, and puts the deadline where the layers below find it.
        .layer(DeadlineLayer::new(HttpDeadline::new()))
        // Sends nothing again that could not be answered in time.
        .layer(retry.build()?)
        // Waits no longer than until then.
        .layer(
            AdaptiveTimeoutLayer::builder()
                .limit_by(UntilDeadline)
                .build()?,
        )
        // Tells the server what is left now.
        .layer(DeadlineLayer::new(HttpDeadline::new()))
        .service(server);

    let request = Request::get("/").header("grpc-timeout", "500m").body(())?;
    let start = Instant::now();
    let error = service.oneshot(request).await.expect_err("it always fails");
    let took = Instant::now().saturating_duration_since(start);
    println!("after {took:?} of 500ms: {error}");
    Ok(())
}
