//! The reference proxy: five tower layers put together, and nothing else.
//!
//! The rooms follow the data: [`config`] says what to build; [`listen`] accepts connections and
//! [`server`] speaks HTTP on them; [`route`] says to which [`cluster`] a request goes, through
//! deadline, retry and balancer to one [`endpoint`], which is a timeout over a reconnecting
//! connection over mutual TLS.
//! Who we are and whom we trust is in [`credentials`], who may send requests in [`authorize`].
//! [`proxy`] starts and drains the whole; [`admin`] and [`telemetry`] show it; [`demo`] is the proxy
//! in a world that breaks on purpose.

#![forbid(unsafe_code)]

pub mod admin;
pub mod authorize;
pub mod cluster;
pub mod config;
pub mod credentials;
pub mod demo;
pub mod drain;
pub mod endpoint;
pub mod http;
pub mod listen;
pub mod proxy;
pub mod route;
pub mod server;
pub mod telemetry;

/// An error of any layer.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
