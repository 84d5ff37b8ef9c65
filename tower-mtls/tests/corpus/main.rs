//! The verifier on a corpus of certificates: each rule broken alone, on both sides, in both modes.
//!
//! The expected verdict is written beside the rule that it follows from. The chains are made anew at each run, and
//! presented by rustls in memory, and by `openssl` and `curl` on sockets. The table in
//! `docs/evaluation/mtls.md` is made here, and out of date if it differs.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod cases;
mod memory;
mod ours;
mod peers;
mod pki;
mod setup;
mod table;
