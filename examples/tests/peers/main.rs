//! The proxy between peers that are not ours, and what it costs in memory.

#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../support/mod.rs"]
mod support;

#[allow(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "shared with the tests of HTTP"
)]
#[macro_use]
#[path = "../http/front.rs"]
mod front;
#[allow(dead_code, reason = "shared with the tests of HTTP")]
#[path = "../http/raw.rs"]
mod raw;

#[cfg(target_os = "linux")]
mod bodies;
mod bytes_codec;
#[cfg(target_os = "linux")]
mod ceiling;
mod expect;
mod grpcio;
mod h2load;
#[cfg(target_os = "linux")]
mod idle;
mod nginx;
mod tonic_client;
mod tonic_server;
mod upgrade;
mod websocket;
