//! What the proxy does with HTTP, seen from both sides through real sockets.

#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../support/mod.rs"]
mod support;

#[macro_use]
mod front;

mod admin;
mod back_pressure;
mod balance;
mod broken_off;
mod cluster_timeout;
mod control;
mod curl;
mod dials;
mod endpoint;
mod exchange;
mod faults;
mod fields;
mod forwarded;
mod frames;
mod goaway;
mod grpc;
mod grpc_retries;
mod hedges;
mod injected;
mod interim;
mod keep_alive;
mod leaving;
mod limits;
mod malformed;
mod peeked;
mod pool;
mod proxy_protocol;
mod raw;
mod resends;
mod retry_rules;
mod retry_told;
mod route_changes;
mod route_policy;
mod route_retries;
mod route_rules;
mod routed;
mod routes;
mod short_lives;
mod spoilt;
mod streams;
mod timeouts;
mod trailers;
mod tunnel;
mod unsent;
