use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The cryptography that is compiled in, named here so that two of them never meet in the TLS
/// library's process-wide default, which panics when it has to choose.
#[cfg(feature = "aws-lc-rs")]
pub(crate) fn provider() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

/// As above, where `ring` is the only one.
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
pub(crate) fn provider() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(rustls::crypto::ring::default_provider()))
}

/// As above, where there is none.
#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
pub(crate) fn provider() -> Option<Arc<CryptoProvider>> {
    None
}
