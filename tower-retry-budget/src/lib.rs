#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(test(attr(deny(warnings))))]
#![forbid(unsafe_code)]

mod attempt;
mod backoff;
mod bucket;
pub mod budget;
mod builder;
mod checkpoints;
#[cfg(feature = "tower")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub mod coming_from_tower;
pub mod deadline;
pub mod error;
pub mod future;
pub mod hedge;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;
mod kind;
mod lanes;
mod layer;
mod ledger;
mod nanos;
pub mod per_try;
mod policy;
pub mod prepare;
mod replay;
mod reservation;
mod service;
mod shortest;
mod stats;
mod sync;
mod template;
pub mod throttle;
mod waits;

pub use crate::{
    backoff::{Backoff, Jitter, Session},
    budget::Budget,
    builder::Builder,
    error::BoxError,
    kind::Kind,
    layer::RetryLayer,
    policy::{Again, OnError, Policy, Refusal, Verdict},
    prepare::{Next, Prepare},
    replay::{CloneRequest, Replay},
    service::Retry,
    stats::RetryStats,
};
