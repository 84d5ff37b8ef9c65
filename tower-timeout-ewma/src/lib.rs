#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(test(attr(deny(warnings))))]
#![forbid(unsafe_code)]

pub mod deadline;
pub mod error;
pub mod future;
pub mod grpc_timeout;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;

mod builder;
mod check;
mod classify;
mod estimator;
mod lanes;
mod layer;
mod limiter;
mod service;
mod stats;
mod sync;
mod timer;

pub use builder::Builder;
pub use classify::{Classify, EveryAnswer};
pub use error::BoxError;
pub use estimator::Estimate;
pub use layer::AdaptiveTimeoutLayer;
pub use service::AdaptiveTimeout;
pub use stats::Stats;
