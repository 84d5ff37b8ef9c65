use std::{fmt, sync::Arc};

use rustls::crypto::{self, CryptoProvider, hash::HashAlgorithm};
use rustls_pki_types::CertificateDer;

use crate::{Fingerprint, error::InvalidSetting};

/// A cryptography for TLS, chosen when a layer or an acceptor is built.
///
/// The process-wide default of the TLS library is never read or set, so two of them in one program do not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cryptography {
    /// aws-lc-rs, by the feature `aws-lc-rs`: the default where it is compiled in. Key exchange by
    /// X25519MLKEM768 first, which resists quantum computers.
    AwsLcRs,
    /// ring, by the feature `ring`: the default where it alone is compiled in. No post-quantum key exchange.
    Ring,
}

impl Cryptography {
    /// Those that are compiled in, the default first.
    pub const AVAILABLE: &'static [Self] = &[
        #[cfg(feature = "aws-lc-rs")]
        Self::AwsLcRs,
        #[cfg(feature = "ring")]
        Self::Ring,
    ];

    /// Whether it is a module validated by FIPS 140, in its approved mode: aws-lc-rs where the feature `fips` of
    /// rustls is on anywhere in the program.
    pub fn is_fips(self) -> bool {
        self.provider().is_some_and(|provider| provider.fips())
    }

    fn provider(self) -> Option<CryptoProvider> {
        match self {
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs => Some(crypto::aws_lc_rs::default_provider()),
            #[cfg(feature = "ring")]
            Self::Ring => Some(crypto::ring::default_provider()),
            #[cfg(not(all(feature = "aws-lc-rs", feature = "ring")))]
            _ => None,
        }
    }
}

impl fmt::Display for Cryptography {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AwsLcRs => "aws-lc-rs",
            Self::Ring => "ring",
        })
    }
}

/// The default cryptography, if there is one.
pub(crate) fn provider() -> Option<Arc<CryptoProvider>> {
    let default = Cryptography::AVAILABLE.first()?;
    default.provider().map(Arc::new)
}

/// The cryptography that was asked for, or else the default.
pub(crate) fn chosen(wanted: Option<Cryptography>) -> Result<Arc<CryptoProvider>, InvalidSetting> {
    let Some(wanted) = wanted else {
        return provider().ok_or_else(|| {
            let allowed = "tower-mtls with feature `aws-lc-rs`, `ring` or both";
            InvalidSetting::new("cargo features", "without cryptography", allowed)
        });
    };
    wanted.provider().map(Arc::new).ok_or_else(|| {
        let allowed = "one that is compiled in, by a feature of tower-mtls: `aws-lc-rs` or `ring`";
        InvalidSetting::new("cryptography", wanted.to_string(), allowed)
    })
}

/// The hash of a cryptography that fingerprints are made with.
#[derive(Clone, Copy)]
pub(crate) struct Sha256(&'static dyn crypto::hash::Hash);

impl Sha256 {
    pub(crate) fn of(provider: &CryptoProvider) -> Option<Self> {
        let suites = provider.cipher_suites.iter();
        let hashes = suites.filter_map(|suite| Some(suite.tls13()?.common.hash_provider));
        let mut hashes = hashes.filter(|hash| hash.algorithm() == HashAlgorithm::SHA256);
        hashes.next().map(Self)
    }

    /// The hash of certificates, one behind the other.
    pub(crate) fn of_all<'a, 'b: 'a>(
        self,
        certificates: impl IntoIterator<Item = &'a CertificateDer<'b>>,
    ) -> Fingerprint {
        let mut hash = self.0.start();
        for certificate in certificates {
            hash.update(certificate);
        }
        let mut fingerprint = [0; 32];
        for (to, from) in fingerprint.iter_mut().zip(hash.finish().as_ref()) {
            *to = *from;
        }
        Fingerprint::from(fingerprint)
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256")
    }
}
