//! The known defects of what this crate comes from, one by one: it has none of them.
//!
//! tower's `Reconnect` goes through the same scenario in the same test, and is expected to show the
//! defect. Such a test fails when tower has mended it; what is said of it elsewhere is to be
//! corrected then. linkerd2-proxy's is no crate, and tower-resilience's would bring fifteen packages,
//! with a second `rand`: of theirs the absence is shown.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod linkerd;
#[path = "../support/mod.rs"]
mod support;
mod theirs;
mod tower_backoff;
mod tower_balance;
mod tower_reconnect;
mod tower_resilience;
