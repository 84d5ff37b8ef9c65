//! What the proxy and its layers do when something breaks.

#[path = "../support/mod.rs"]
mod support;

mod balance_over_reconnect;
mod config;
mod demo;
mod drain;
mod failover;
mod identity;
mod start;
