//! A throw-away certificate authority, for tests and demonstrations only.
//!
//! Its key lives in memory and its leaves for a day. It is no way to run a service.
//!
//! ```
//! use tower_mtls::dev::Authority;
//!
//! let authority = Authority::new("example.org".parse()?)?;
//! let trust = authority.trust_bundle();
//! let web = authority.svid("/ns/shop/sa/web")?.credentials();
//! # let _ = (trust, web);
//! # Ok::<(), tower_mtls::BoxError>(())
//! ```

mod judge;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::{Credentials, SpiffeId, TrustBundle, TrustDomain, error::BoxError};

pub use self::judge::{Side, judge};

/// A certificate authority in memory; cheap to clone.
#[derive(Clone)]
pub struct Authority {
    issuer: Arc<CertifiedIssuer<'static, KeyPair>>,
    trust: TrustBundle,
    trust_domain: TrustDomain,
    leaf_validity: Option<(SystemTime, SystemTime)>,
}

/// A leaf certificate and its key.
#[derive(Clone)]
pub struct Issued {
    credentials: Credentials,
    chain_pem: String,
    key_pem: String,
}

/// A certificate could not be made.
#[derive(Debug)]
pub struct IssueError(BoxError);

impl Authority {
    /// Makes a new authority with a key of its own.
    pub fn new(trust_domain: TrustDomain) -> Result<Self, IssueError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("{trust_domain} development authority"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, default_validity());

        let key = KeyPair::generate().map_err(IssueError::from_rcgen)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(IssueError::from_rcgen)?;
        let trust = TrustBundle::from_pem(issuer.pem().as_bytes())?;
        Ok(Self {
            issuer: Arc::new(issuer),
            trust,
            trust_domain,
            leaf_validity: None,
        })
    }

    /// The same authority, but its leaves are valid only between these two times.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # let authority = tower_mtls::dev::Authority::new("example.org".parse()?)?;
    /// let now = SystemTime::now();
    /// let day = Duration::from_secs(86_400);
    /// let expired = authority.valid(now - 2 * day, now - day).svid("/late")?;
    /// # let _ = expired;
    /// # Ok::<(), tower_mtls::BoxError>(())
    /// ```
    #[must_use]
    pub fn valid(&self, not_before: SystemTime, not_after: SystemTime) -> Self {
        Self {
            leaf_validity: Some((not_before, not_after)),
            ..self.clone()
        }
    }

    /// A bundle that trusts this authority, for X.509-SVIDs of its trust domain.
    pub fn trust_bundle(&self) -> TrustBundle {
        self.trust
            .clone()
            .with_trust_domain(self.trust_domain.clone())
    }

    /// A bundle that trusts this authority as a plain PKI.
    pub fn plain_trust_bundle(&self) -> TrustBundle {
        self.trust.clone()
    }

    /// The root certificate.
    pub fn ca_pem(&self) -> String {
        self.issuer.pem()
    }

    /// Issues an X.509-SVID, for both sides of a connection.
    ///
    /// `id` is a path in the authority's own trust domain (`/ns/shop/sa/web`), or a whole SPIFFE ID,
    /// which may belong to another domain: good for tests of refusals.
    pub fn svid(&self, id: impl AsRef<str>) -> Result<Issued, IssueError> {
        let id = id.as_ref();
        let id = match id.starts_with('/') {
            true => format!("spiffe://{}{id}", self.trust_domain).parse::<SpiffeId>()?,
            false => id.parse::<SpiffeId>()?,
        };
        let mut params = CertificateParams::default();
        let name = id.as_str().try_into().map_err(IssueError::from_rcgen)?;
        params.subject_alt_names = vec![SanType::URI(name)];
        self.issue(params, id.path())
    }

    /// Issues a leaf of a plain PKI, for both sides, with these DNS names or IP addresses.
    pub fn dns<N: AsRef<str>>(&self, names: &[N]) -> Result<Issued, IssueError> {
        let names = names.iter().map(|name| name.as_ref().to_owned());
        let params =
            CertificateParams::new(names.collect::<Vec<_>>()).map_err(IssueError::from_rcgen)?;
        self.issue(params, "a server")
    }

    fn issue(&self, mut params: CertificateParams, subject: &str) -> Result<Issued, IssueError> {
        params.distinguished_name = named(subject);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        set_validity(
            &mut params,
            self.leaf_validity.unwrap_or_else(default_validity),
        );

        let key = KeyPair::generate().map_err(IssueError::from_rcgen)?;
        let chain_pem = params
            .signed_by(&key, &self.issuer)
            .map_err(IssueError::from_rcgen)?
            .pem();
        let key_pem = key.serialize_pem();
        Ok(Issued {
            credentials: Credentials::from_pem(chain_pem.as_bytes(), key_pem.as_bytes())?,
            chain_pem,
            key_pem,
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("trust_domain", &self.trust_domain)
            .finish_non_exhaustive()
    }
}

impl Issued {
    /// The certificate and the key, ready to use.
    pub fn credentials(&self) -> Credentials {
        self.credentials.clone()
    }

    /// The certificate chain, leaf first, as PEM.
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// The certificate chain, leaf first, in DER.
    pub fn chain_der(&self) -> Vec<Vec<u8>> {
        let chain = self.credentials.certified_key();
        chain.cert.iter().map(|one| one.to_vec()).collect()
    }

    /// The private key, as PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl IssueError {
    // Not `From`: that would make rcgen's type a part of the public API.
    fn from_rcgen(error: rcgen::Error) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the development authority could not issue: {}", self.0)
    }
}

impl std::error::Error for IssueError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

macro_rules! issue_error_from {
    ($($error:ty),*) => {$(
        impl From<$error> for IssueError {
            fn from(error: $error) -> Self {
                Self(error.into())
            }
        }
    )*};
}

issue_error_from!(
    crate::error::InvalidIdentity,
    crate::error::CredentialsError
);

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn default_validity() -> (SystemTime, SystemTime) {
    let now = SystemTime::now();
    (now - CLOCK_SKEW, now + DAY)
}

fn set_validity(params: &mut CertificateParams, (from, until): (SystemTime, SystemTime)) {
    // Beyond these bounds the date type panics.
    let since_epoch = |time: SystemTime| {
        time.duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .min(END_OF_YEAR_9999)
    };
    params.not_before = date_time_ymd(1970, 1, 1) + since_epoch(from);
    params.not_after = date_time_ymd(1970, 1, 1) + since_epoch(until);
}

const CLOCK_SKEW: Duration = Duration::from_secs(300);
const DAY: Duration = Duration::from_secs(86_400);
const END_OF_YEAR_9999: Duration = Duration::from_secs(253_402_300_799);
