//! Second attempts beside slow first ones.
mod estimator;
mod future;
mod layer;
mod service;
mod stats;
mod watch;
mod windows;

pub use self::{
    future::ResponseFuture,
    layer::{Builder, HedgeLayer},
    service::Hedge,
    stats::HedgeStats,
};
