//! What the cores share between threads; the loom tests put loom's in its place.

pub(crate) use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};
