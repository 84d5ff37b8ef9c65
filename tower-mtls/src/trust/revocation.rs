use std::{fmt, path::Path, sync::Arc, time::SystemTime};

use rustls_pki_types::{CertificateRevocationListDer, pem::PemObject};
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::{parse_x509_crl, revocation_list::CertificateRevocationList};

use crate::{
    credentials::read,
    error::{CredentialsError, CredentialsProblem, Source},
    peer::system_time,
};

/// Certificate revocation lists of any number of authorities; cheap to clone.
///
/// Whether a list is signed by the authority that it names is checked when it is used, and so is whether it is
/// past its next update. Delta and indirect lists are refused when they are loaded.
#[derive(Clone)]
pub struct RevocationLists {
    lists: Arc<[Arc<CertRevocationList<'static>>]>,
    next_update: Option<SystemTime>,
}

/// What becomes of a certificate that no current list of its issuer tells about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UnknownStatus {
    /// It is refused: there is no list of its issuer, the list is past its next update, or it is not signed by
    /// the issuer. The default.
    #[default]
    Refuse,
    /// It is accepted where there is no list of its issuer, or an outdated one that does not revoke it. A
    /// list with a bad signature is refused all the same.
    Accept,
}

impl RevocationLists {
    /// Reads one or more lists from a PEM text (`BEGIN X509 CRL`).
    pub fn from_pem(pem: &[u8]) -> Result<Self, CredentialsError> {
        Self::load_pem(pem, &Source::Memory)
    }

    /// Reads one list in DER.
    pub fn from_der(der: &[u8]) -> Result<Self, CredentialsError> {
        Self::load([der].into_iter(), &Source::Memory)
    }

    /// Reads the lists of a file, in PEM or DER.
    ///
    /// It blocks the thread while it reads: call it at start, or from a thread for blocking work.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, CredentialsError> {
        let (text, source) = read(path.as_ref())?;
        Self::load_either(&text, &source)
    }

    /// Reads PEM or DER.
    pub(crate) fn load_either(text: &[u8], source: &Source) -> Result<Self, CredentialsError> {
        // A list is a sequence, whose tag is no beginning of a PEM text.
        match text.first() {
            Some(&SEQUENCE) => Self::load([text].into_iter(), source),
            _ => Self::load_pem(text, source),
        }
    }

    /// These lists and others.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        let next_update = match (self.next_update, others.next_update) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            lists: self.lists.iter().chain(&*others.lists).cloned().collect(),
            next_update,
        }
    }

    /// How many lists these are: at least one.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// When the first of them is out of date; `None` where none says.
    pub fn next_update(&self) -> Option<SystemTime> {
        self.next_update
    }

    pub(crate) fn as_slice(&self) -> &[Arc<CertRevocationList<'static>>] {
        &self.lists
    }

    /// Whether they are the very same lists, in the same order.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let mut lists = self.lists.iter().zip(&*other.lists);
        self.len() == other.len() && lists.all(|(one, other)| Arc::ptr_eq(one, other))
    }

    fn load_pem(pem: &[u8], source: &Source) -> Result<Self, CredentialsError> {
        let lists = CertificateRevocationListDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            // The parser's own text may quote a line, and a key may be in it: it goes nowhere.
            .map_err(|_| CredentialsError::new(source, CredentialsProblem::MalformedPem))?;
        Self::load(lists.iter().map(AsRef::as_ref), source)
    }

    fn load<'a>(
        lists: impl Iterator<Item = &'a [u8]>,
        source: &Source,
    ) -> Result<Self, CredentialsError> {
        let malformed =
            || CredentialsError::new(source, CredentialsProblem::MalformedRevocationList);

        let (mut loaded, mut next_update) = (Vec::new(), None);
        for der in lists {
            let list = OwnedCertRevocationList::from_der(der)
                .map_err(|error| malformed().with_source(error))?;
            let Ok(([], parsed)) = parse_x509_crl(der) else {
                return Err(malformed());
            };
            next_update = next_update.into_iter().chain(update_of(&parsed)).min();
            loaded.push(Arc::new(CertRevocationList::from(list)));
        }
        match loaded.is_empty() {
            true => Err(CredentialsError::new(
                source,
                CredentialsProblem::NoRevocationList,
            )),
            false => Ok(Self {
                lists: loaded.into(),
                next_update,
            }),
        }
    }
}

impl fmt::Debug for RevocationLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationLists")
            .field("lists", &self.lists.len())
            .field("next_update", &self.next_update)
            .finish()
    }
}

fn update_of(list: &CertificateRevocationList<'_>) -> Option<SystemTime> {
    system_time(list.next_update()?.timestamp())
}

const SEQUENCE: u8 = 0x30;
