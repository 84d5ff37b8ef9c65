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
    hint::spin_loop,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
};

/// Whether two threads that ask for one token at the same moment have both got it, in some round.
fn is_overdrawn(rounds: usize, deposit: impl Fn(), withdraw: impl Fn() -> bool + Sync) -> bool {
    let (arrived, granted) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (arrived, granted, withdraw) = (&arrived, &granted, &withdraw);
    let together = move |times: usize| {
        arrived.fetch_add(1, SeqCst);
        for spins in 0_usize.. {
            if arrived.load(SeqCst) >= 2 * times {
                break;
            }
            spin_loop();
            if spins > 10_000 {
                thread::yield_now();
            }
        }
    };
    // Whether it was one at the most, which both say alike.
    let take = move |round| {
        together(3 * round + 1);
        granted.fetch_add(withdraw().into(), SeqCst);
        together(3 * round + 2);
        let is_one = granted.load(SeqCst) <= 1;
        together(3 * round + 3);
        granted.store(0, SeqCst);
        is_one
    };
    thread::scope(|scope| {
        scope.spawn(move || (0..rounds).take_while(|round| take(*round)).count());
        (0..rounds).any(|round| {
            deposit();
            !take(round)
        })
    })
}
