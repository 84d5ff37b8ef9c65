#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(test(attr(deny(warnings))))]
#![forbid(unsafe_code)]

mod attributes;
mod backoff;
mod chance;
mod change;
mod choose;
mod claim;
mod classify;
mod clock;
mod common;
mod completion;
mod cost;
mod deferred;
#[cfg(feature = "tower")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub mod discover;
mod drive;
mod driver;
mod ejection;
mod endpoint;
pub mod error;
mod flights;
pub mod future;
mod health;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;
mod lanes;
mod latency;
mod layer;
mod load;
mod members;
mod observer;
mod outcomes;
mod pick;
mod pool;
#[cfg(all(doctest, feature = "http"))]
mod refused;
mod sampler;
mod search;
mod service;
mod settings;
mod shared;
mod slow_start;
mod snapshot;
mod stats;
mod steer;
mod subset;
mod sync;
mod typical;
mod verdict;
mod waiting;
mod weights;

pub use attributes::{Attributes, Weight};
pub use change::Change;
pub use classify::{Classify, OkOrErr, Outcome};
pub use completion::{AtResponse, Completion, InFlight};
pub use driver::Driver;
pub use ejection::Ejection;
pub use error::BoxError;
pub use health::EjectionReason;
pub use layer::BalanceLayer;
pub use observer::{Event, Observer};
pub use service::Balance;
pub use settings::Builder;
pub use slow_start::SlowStart;
pub use stats::{EndpointStats, Health, Stats};
pub use steer::Steer;
pub use subset::Subset;
