use std::{fmt, path::Path, sync::Arc, time::SystemTime};

use rustls_pki_types::{CertificateRevocationListDer, pem::PemObject};
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::{
    extensions::X509Extension, oid_registry::OID_X509_EXT_ISSUER_DISTRIBUTION_POINT,
    parse_x509_crl, revocation_list::CertificateRevocationList,
};

use crate::{
    credentials::read,
    error::{CredentialsError, CredentialsProblem, Source},
    peer::system_time,
};

/// Certificate revocation lists of any number of authorities; cheap to clone.
///
/// Whether a list is signed by the authority that it names is checked when it is used, and so is whether it is
/// past its next update. Delta and indirect lists are refused when they are loaded. There may be several lists of one
/// issuer: the newest one that its key has signed counts, so an authority may change its key and keep its name.
#[derive(Clone)]
pub struct RevocationLists {
    // By issuer; for each those of no distribution point, then the others; of either the newest first.
    lists: Arc<[List]>,
    next_update: Option<SystemTime>,
}

#[derive(Clone)]
struct List {
    issuer: Box<[u8]>,
    /// Whether it is only about certificates that name the same distribution point: RFC 5280, 5.2.5.
    of_a_point: bool,
    this_update: i64,
    list: Arc<CertRevocationList<'static>>,
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
        Self::sorted(self.lists.iter().chain(&*others.lists).cloned().collect())
            .due(self.next_update.into_iter().chain(others.next_update).min())
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

    /// The orders in which to offer the lists to the path validation, which takes the first of an issuer and no
    /// other, whoever signed it. At most 16: that is two issuers with four lists each.
    pub(crate) fn orders(&self) -> impl Iterator<Item = Vec<&CertRevocationList<'static>>> {
        let issuers = || self.lists.chunk_by(List::is_alike);
        let sizes = issuers().map(<[_]>::len);
        let orders = sizes.fold(1, usize::saturating_mul).min(MAX_ORDERS);
        (0..orders).map(move |mut order| {
            let mut lists = Vec::with_capacity(self.lists.len());
            for of_issuer in issuers() {
                let (older, newer) = of_issuer.split_at(order % of_issuer.len());
                lists.extend(newer.iter().chain(older).map(|one| &*one.list));
                order /= of_issuer.len();
            }
            lists
        })
    }

    /// Whether there is a list about the certificates of this issuer that name no distribution point.
    ///
    /// The path validation would take a list of some point for it, which need not be about them: RFC 5280, 6.3.3.
    pub(crate) fn cover(&self, issuer: &[u8]) -> bool {
        let covers = |list: &List| *list.issuer == *issuer && !list.of_a_point;
        self.lists.iter().any(covers)
    }

    fn sorted(mut lists: Vec<List>) -> Self {
        lists.sort_by(|one, other| {
            let issuers = one.issuer.cmp(&other.issuer);
            let points = one.of_a_point.cmp(&other.of_a_point);
            let newest_first = other.this_update.cmp(&one.this_update);
            issuers.then(points).then(newest_first)
        });
        Self {
            lists: lists.into(),
            next_update: None,
        }
    }

    fn due(self, next_update: Option<SystemTime>) -> Self {
        Self {
            next_update,
            ..self
        }
    }

    /// Whether they are the very same lists, in the same order.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let mut lists = self.lists.iter().zip(&*other.lists);
        self.len() == other.len() && lists.all(|(one, other)| Arc::ptr_eq(&one.list, &other.list))
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
            loaded.push(List {
                issuer: parsed.issuer().as_raw().into(),
                of_a_point: is_of_a_point(&parsed),
                this_update: parsed.last_update().timestamp(),
                list: Arc::new(CertRevocationList::from(list)),
            });
        }
        match loaded.is_empty() {
            true => Err(CredentialsError::new(
                source,
                CredentialsProblem::NoRevocationList,
            )),
            false => Ok(Self::sorted(loaded).due(next_update)),
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

impl List {
    /// Whether one list may stand for the other, if it is signed by the right key.
    fn is_alike(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.of_a_point == other.of_a_point
    }
}

/// A list with this extension has a point in it, or else the path validation did not load it.
fn is_of_a_point(list: &CertificateRevocationList<'_>) -> bool {
    let point = |one: &X509Extension<'_>| one.oid == OID_X509_EXT_ISSUER_DISTRIBUTION_POINT;
    list.extensions().iter().any(point)
}

fn update_of(list: &CertificateRevocationList<'_>) -> Option<SystemTime> {
    system_time(list.next_update()?.timestamp())
}

const SEQUENCE: u8 = 0x30;
const MAX_ORDERS: usize = 16;
