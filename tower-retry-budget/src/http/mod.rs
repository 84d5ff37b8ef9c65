//! HTTP: rules by method and status, and request bodies that can be sent again.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_retry_budget::{
//!     Budget, RetryLayer,
//!     http::{BodyReplay, ReplayBody, StatusPolicy},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let retry = RetryLayer::builder(Budget::new())
//!     .policy(StatusPolicy::new())
//!     .replay(BodyReplay::new(64 * 1024))
//!     .build()?;
//!
//! # let calls = std::sync::atomic::AtomicU16::new(0);
//! let client = service_fn(|request: Request<ReplayBody<Full<Bytes>>>| {
//! #   let call = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
//!     async move {
//!         let body = request.into_body().collect().await?.to_bytes();
//!         let mut response = Response::new(body);
//!         if call == 0 {
//!             *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
//!         }
//!         Ok::<_, std::convert::Infallible>(response)
//!     }
//! });
//! let mut service = ServiceBuilder::new().layer(retry).service(client);
//!
//! let request = Request::post("/")
//!     .header("idempotency-key", "\"8e03978e\"")
//!     .body(Full::from("sent twice"))?;
//! let response = service.ready().await?.call(request).await?;
//! assert_eq!(response.into_body(), "sent twice");
//! # Ok(())
//! # }
//! ```

mod attempts;
mod body;
mod code;
mod delay;
mod frames;
mod gate;
mod grpc;
mod leftovers;
mod memory;
mod peek;
mod refused;
mod replay;
mod source;
mod status;
mod tape;

pub use self::{
    attempts::{AttemptHeader, GrpcPreviousAttempts},
    body::ReplayBody,
    code::GrpcCode,
    gate::{Gate, NoOther},
    grpc::GrpcPolicy,
    memory::BodyMemory,
    peek::{PeekFuture, PeekTrailers, PeekTrailersLayer, Peeked, PeekedTrailers},
    refused::{KnownErrors, is_refused_connection},
    replay::{BodyReplay, Spare},
    status::{NotRetried, StatusPolicy},
};
