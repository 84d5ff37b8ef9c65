//! What the cores know of threads, in one place so that the loom tests can put theirs here.

pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

pub(crate) use tokio::sync::Notify;
