#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(test(attr(deny(warnings))))]
#![forbid(unsafe_code)]

mod attributes;
mod backoff;
mod change;
mod classify;
mod clock;
mod completion;
mod cost;
#[cfg(feature = "tower")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub mod discover;
mod drive;
mod driver;
mod endpoint;
pub mod error;
mod ewma;
pub mod future;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;
mod layer;
mod load;
mod members;
mod pick;
mod pool;
mod search;
mod service;
mod stats;
mod subset;
mod success;
mod sync;
mod typical;

pub use attributes::{Attributes, Weight};
pub use change::Change;
pub use classify::{Classify, OkOrErr, Outcome};
pub use completion::{AtResponse, Completion, InFlight};
pub use driver::Driver;
pub use error::BoxError;
pub use layer::{BalanceLayer, Builder};
pub use service::Balance;
pub use stats::{EndpointStats, Stats};
pub use subset::Subset;
