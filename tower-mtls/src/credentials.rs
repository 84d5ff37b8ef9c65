//! This side's certificate chain and private key.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tracing::warn;
use zeroize::Zeroizing;

use crate::{
    SpiffeId,
    error::{CredentialsError, CredentialsProblem, Source},
    peer::{Leaf, validity},
    provider::provider,
};

/// A certificate chain and the private key of its leaf; cheap to clone.
///
/// Loading checks that every block of the PEM text can be read, that there is a key of a kind that
/// the cryptography knows (ECDSA, Ed25519 or RSA, not encrypted), and that it belongs to the first
/// certificate, the leaf. The intermediates follow the leaf; the root need not be there.
///
/// A leaf that has expired is loaded, with a warning in the log, because only the peer's clock decides.
/// Whether the leaf is an X.509-SVID is the peer's question too.
///
/// Neither `Debug` nor an error shows a byte of the key.
///
/// ```
/// # #[cfg(feature = "dev")]
/// # fn main() -> Result<(), tower_mtls::BoxError> {
/// use tower_mtls::{Credentials, dev::Authority, error::CredentialsProblem};
///
/// let authority = Authority::new("example.org".parse()?)?;
/// let (web, api) = (authority.svid("/web")?, authority.svid("/api")?);
/// assert!(Credentials::from_pem(web.chain_pem().as_bytes(), web.key_pem().as_bytes()).is_ok());
///
/// let mixed = Credentials::from_pem(web.chain_pem().as_bytes(), api.key_pem().as_bytes());
/// assert_eq!(mixed.unwrap_err().problem(), CredentialsProblem::KeyMismatch);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "dev"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Credentials {
    key: Arc<CertifiedKey>,
    spiffe_id: Option<SpiffeId>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Credentials {
    /// Reads a chain, leaf first, and a private key (PKCS #8, SEC 1 or PKCS #1) from PEM texts.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CredentialsError> {
        Self::load(chain, &Source::Memory, key, &Source::Memory)
    }

    /// Reads a chain and a private key from PEM files.
    ///
    /// It blocks the thread while it reads: call it at start, or from a thread for blocking work.
    pub fn from_files(
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, CredentialsError> {
        let (chain, chain_source) = read(chain.as_ref())?;
        let (key, key_source) = read(key.as_ref())?;
        Self::load(&chain, &chain_source, &key, &key_source)
    }

    /// This side's SPIFFE ID, if the leaf has exactly one URI name and that is one.
    pub fn spiffe_id(&self) -> Option<&SpiffeId> {
        self.spiffe_id.as_ref()
    }

    /// When the leaf begins to be valid.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// When the leaf expires.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    pub(crate) fn certified_key(&self) -> Arc<CertifiedKey> {
        self.key.clone()
    }

    /// Takes what is already decoded, as the SPIFFE Workload API sends it.
    #[cfg(feature = "spiffe")]
    pub(crate) fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        source: &Source,
    ) -> Result<Self, CredentialsError> {
        Self::new(chain, source, key, source)
    }

    pub(crate) fn parse(
        chain: &[u8],
        chain_source: &Source,
        key: &[u8],
        key_source: &Source,
    ) -> Result<Self, CredentialsError> {
        let chain = certificates(chain, chain_source)?;
        let key = private_key(key, key_source)?;
        Self::new(chain, chain_source, key, key_source)
    }

    fn load(
        chain: &[u8],
        chain_source: &Source,
        key: &[u8],
        key_source: &Source,
    ) -> Result<Self, CredentialsError> {
        let credentials = Self::parse(chain, chain_source, key, key_source)?;
        if credentials.not_after <= SystemTime::now() {
            warn!(certificate = %chain_source, "this side's certificate has expired: peers will refuse it");
        }
        Ok(credentials)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        chain_source: &Source,
        key: PrivateKeyDer<'static>,
        key_source: &Source,
    ) -> Result<Self, CredentialsError> {
        let key = certify(chain, chain_source, key, key_source)?;
        let (not_before, not_after) = key
            .cert
            .first()
            .and_then(|leaf| validity(leaf))
            .ok_or_else(|| {
                CredentialsError::new(chain_source, CredentialsProblem::MalformedCertificate)
            })?;
        Ok(Self {
            spiffe_id: leaf(&key).and_then(|leaf| leaf.spiffe_id().ok()),
            key: Arc::new(key),
            not_before,
            not_after,
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("spiffe_id", &self.spiffe_id)
            .field("certificates", &self.key.cert.len())
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// The whole of a file, and its name for errors.
pub(crate) fn read(path: &Path) -> Result<(Zeroizing<Vec<u8>>, Source), CredentialsError> {
    let source = Source::File(path.to_owned());
    match read_once(path) {
        Ok(text) => Ok((text, source)),
        Err(error) => {
            let problem = CredentialsProblem::Unreadable;
            Err(CredentialsError::new(&source, problem).with_source(error))
        }
    }
}

/// Reads into one piece of memory, so that no copy of a key is left behind in another.
fn read_once(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    // What is no plain file, such as a pipe, does not know its length.
    let length = file.metadata()?.len().clamp(LEAST_ROOM, MAX_FILE);
    let room = usize::try_from(length).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room + 1));
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_FILE {
        true => {
            let kind = io::ErrorKind::FileTooLarge;
            Err(io::Error::new(kind, "it is larger than 16 MiB"))
        }
        false => Ok(bytes),
    }
}

/// Every certificate of a PEM text: at least one.
pub(crate) fn certificates(
    pem: &[u8],
    source: &Source,
) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        // The parser's own text may quote a line, and a key may be in it: it goes nowhere.
        .map_err(|_| CredentialsError::new(source, CredentialsProblem::MalformedPem))?;
    match certificates.is_empty() {
        true => Err(CredentialsError::new(
            source,
            CredentialsProblem::NoCertificate,
        )),
        false => Ok(certificates),
    }
}

fn leaf(key: &CertifiedKey) -> Option<Leaf<'_>> {
    key.cert.first().and_then(|leaf| Leaf::read(leaf))
}

fn private_key(pem: &[u8], source: &Source) -> Result<PrivateKeyDer<'static>, CredentialsError> {
    use rustls_pki_types::pem::Error::NoItemsFound;

    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        // The parser's own text may quote a line of the key, so it goes nowhere.
        let problem = match error {
            NoItemsFound => CredentialsProblem::NoPrivateKey,
            _ => CredentialsProblem::MalformedPem,
        };
        CredentialsError::new(source, problem)
    })
}

fn certify(
    chain: Vec<CertificateDer<'static>>,
    chain_source: &Source,
    key: PrivateKeyDer<'static>,
    key_source: &Source,
) -> Result<CertifiedKey, CredentialsError> {
    use rustls::{Error::InconsistentKeys, InconsistentKeys::KeyMismatch};

    let Some(provider) = provider() else {
        return Err(CredentialsError::new(
            key_source,
            CredentialsProblem::NoProvider,
        ));
    };
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|_| CredentialsError::new(key_source, CredentialsProblem::UnusableKey))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(InconsistentKeys(KeyMismatch)) => Err(CredentialsError::new(
            key_source,
            CredentialsProblem::KeyMismatch,
        )),
        Err(InconsistentKeys(_)) => Err(CredentialsError::new(
            key_source,
            CredentialsProblem::UnusableKey,
        )),
        Err(error) => {
            let problem = CredentialsProblem::MalformedCertificate;
            Err(CredentialsError::new(chain_source, problem).with_source(error))
        }
    }
}

const LEAST_ROOM: u64 = 16 << 10;
const MAX_FILE: u64 = 16 << 20;
