//! The atomics of the lock-free cores; the loom tests put loom's in their place.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
