#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(test(attr(deny(warnings))))]
#![forbid(unsafe_code)]

mod attempt;
mod backoff;
mod bucket;
pub mod budget;
pub mod error;
pub mod future;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;
mod kind;
mod layer;
mod policy;
mod prepare;
mod replay;
mod service;
mod stats;
mod sync;
pub mod throttle;

pub use crate::{
    backoff::Backoff,
    budget::Budget,
    kind::Kind,
    layer::{Builder, RetryLayer},
    policy::{Again, OnError, Policy, Refusal, Verdict},
    prepare::{Next, Prepare, Unchanged},
    replay::{CloneRequest, Replay},
    service::Retry,
    stats::RetryStats,
};
