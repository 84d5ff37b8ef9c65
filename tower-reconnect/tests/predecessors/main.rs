//! The known defects of what this crate comes from, one by one: it has none of them.
//!
//! tower's `Reconnect` and tower-resilience's go through the same scenario in the same test, and are
//! expected to show the defect. Such a test fails when they have mended it; what is said of it elsewhere
//! is to be corrected then. linkerd2-proxy's is no crate: of its defects the absence is shown.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod linkerd;
#[path = "../support/mod.rs"]
mod support;
mod theirs;
mod tower_backoff;
mod tower_balance;
mod tower_reconnect;
mod tower_resilience;
