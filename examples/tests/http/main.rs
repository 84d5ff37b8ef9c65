//! What the proxy does with HTTP, seen from both sides through real sockets.

#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../support/mod.rs"]
mod support;

#[macro_use]
mod front;

mod admin;
mod back_pressure;
mod broken_off;
mod control;
mod curl;
mod exchange;
mod faults;
mod fields;
mod forwarded;
mod frames;
mod grpc;
mod limits;
mod malformed;
mod pool;
mod proxy_protocol;
mod raw;
mod resends;
mod short_lives;
mod timeouts;
mod trailers;
