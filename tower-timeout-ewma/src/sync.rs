//! The atomics of the estimator; the loom tests put loom's in their place.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
