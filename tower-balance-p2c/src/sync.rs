//! What the cores share between threads; the loom tests put loom's in its place.

pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
