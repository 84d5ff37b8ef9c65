//! The atomics of the lock-free cores, in one place so that the loom tests can put theirs here.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
