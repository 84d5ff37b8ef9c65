#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(test(attr(deny(warnings))))]
#![forbid(unsafe_code)]

pub mod accept;
pub mod authorize;
#[cfg(doc)]
pub mod coming_from_tokio_rustls {
    #![doc = include_str!("../COMING-FROM-TOKIO-RUSTLS.md")]
}
#[cfg(feature = "dev")]
pub mod dev;
pub mod error;
pub mod future;
#[cfg(feature = "http")]
pub mod http;
pub mod observer;
pub mod source;

mod admission;
mod attempt;
mod config;
mod connections;
mod credentials;
mod der;
mod handshake;
mod identity;
mod layer;
mod live;
mod peer;
mod provider;
mod service;
mod stats;
mod stream;
mod trust;
mod validity;
mod verify;

pub use crate::{
    credentials::Credentials,
    error::BoxError,
    identity::{DnsName, Identity, SpiffeId, TrustDomain},
    layer::{Expected, MtlsBuilder, MtlsLayer},
    peer::{Fingerprint, PeerIdentity},
    provider::Cryptography,
    service::Mtls,
    source::Source,
    stats::Stats,
    stream::MtlsStream,
    trust::{RevocationLists, Trust, TrustBundle, UnknownStatus},
    validity::Validity,
};
