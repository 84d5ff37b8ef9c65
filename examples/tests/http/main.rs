//! What the proxy does with HTTP, seen from both sides through real sockets.

#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../support/mod.rs"]
mod support;

#[macro_use]
mod front;

mod admin;
mod back_pressure;
mod curl;
mod exchange;
mod faults;
mod fields;
mod frames;
mod grpc;
mod limits;
mod malformed;
mod pool;
mod raw;
mod route_changes;
mod route_policy;
mod route_retries;
mod route_rules;
mod routed;
mod routes;
mod short_lives;
mod timeouts;
mod trailers;
