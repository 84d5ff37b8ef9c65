//! The known defects of the retries and hedges that these come from, one by one: they have none
//! of them.
//!
//! Where the predecessor is a crate, it goes through the same scenario in the same test, and is
//! expected to show the defect. Such a test fails when the predecessor has mended it; what is said
//! of it elsewhere is to be corrected then.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../support/backend.rs"]
mod backend;
#[cfg(feature = "http")]
mod linkerd_http;
mod linkerd_retry;
#[path = "../support/mod.rs"]
mod support;
mod theirs;
mod tower_backoff;
mod tower_budget;
mod tower_hedge;
mod tower_hedge_delay;
mod tower_resilience;
mod tower_retry;

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    thread,
};

/// Whether two threads, for so many deposits of one token, have ever got more than was paid in.
fn is_overdrawn(deposits: usize, deposit: impl Fn(), withdraw: impl Fn() -> bool + Sync) -> bool {
    let (deposited, granted) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let is_over = AtomicBool::new(false);
    let take = || granted.fetch_add(withdraw().into(), SeqCst);
    // Deposits are counted before they are made and grants after that, so that it is not too much
    // by mistake.
    let is_too_much = || granted.load(SeqCst) > deposited.load(SeqCst);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(SeqCst) {
                take();
            }
        });
        let is_overdrawn = (0..deposits).any(|_| {
            deposited.fetch_add(1, SeqCst);
            deposit();
            take();
            // The other thread may be about to count.
            (0..16).any(|_| is_too_much())
        });
        is_over.store(true, SeqCst);
        is_overdrawn
    })
}
