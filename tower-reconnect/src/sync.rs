//! What the lock-free cores know of threads, in one place so that the loom tests can put theirs
//! here.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
