#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(test(attr(deny(warnings))))]
#![forbid(unsafe_code)]

pub mod deadline;
pub mod envoy_timeout;
pub mod error;
pub mod future;
pub mod grpc_timeout;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;
pub mod respond;
pub mod scope;

mod builder;
mod chance;
mod check;
mod classify;
mod estimator;
mod exchange;
mod key;
mod keys;
mod lanes;
mod layer;
mod limiter;
mod readiness;
mod request_limit;
mod request_settings;
mod rules;
mod sent;
mod service;
mod stats;
mod sync;
mod timer;
mod watch;

pub use builder::Builder;
pub use classify::{Classify, EveryAnswer};
pub use error::BoxError;
pub use estimator::Estimate;
pub use key::{Key, OneKey, PerKey};
pub use layer::AdaptiveTimeoutLayer;
pub use request_limit::{LimitBy, OneLimit, RequestLimit};
pub use rules::Rules;
pub use scope::Scope;
pub use sent::{CarrySent, FromCall, FromSent, Sent, Start};
pub use service::AdaptiveTimeout;
pub use stats::Stats;
