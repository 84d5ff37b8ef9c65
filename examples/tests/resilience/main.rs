//! What the proxy and its layers do when something breaks.

#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, reason = "shared with the tests of HTTP")]
#[path = "../http/raw.rs"]
mod raw;

mod access;
mod balance_over_reconnect;
mod config;
mod demo;
mod documented;
mod drain;
mod drain_grpc;
mod failover;
mod help;
mod identity;
mod limits;
mod operate;
mod rotation;
mod shown;
mod start;
mod ten_minutes;
mod verification;
