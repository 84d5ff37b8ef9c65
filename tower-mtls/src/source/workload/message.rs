//! What the agent sends, by the published `workload.proto`, and what becomes of it.

use std::collections::HashMap;

use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::Choice;
use crate::{
    Credentials, RevocationLists, SpiffeId, Trust, TrustBundle, TrustDomain, der,
    error::{CredentialsError, Failure, Source, SourceError},
    source::Snapshot,
};

/// Asks for all SVIDs of this workload: it has no fields.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct X509SvidRequest {}

// No `Debug` for what holds a key.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct X509SvidResponse {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<X509Svid>,
    /// Each in DER.
    #[prost(bytes = "vec", repeated, tag = "2")]
    crl: Vec<Vec<u8>>,
    /// Certificates in DER, one behind the other, by the SPIFFE ID of their trust domain.
    #[prost(map = "string, bytes", tag = "3")]
    federated_bundles: HashMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
struct X509Svid {
    #[prost(string, tag = "1")]
    spiffe_id: String,
    /// The chain in DER, one certificate behind the other, the leaf first.
    #[prost(bytes = "vec", tag = "2")]
    x509_svid: Vec<u8>,
    /// In PKCS #8.
    #[prost(bytes = "vec", tag = "3")]
    x509_svid_key: Vec<u8>,
    /// The roots of its own trust domain in DER, one behind the other.
    #[prost(bytes = "vec", tag = "4")]
    bundle: Vec<u8>,
    #[prost(string, tag = "5")]
    hint: String,
}

impl X509SvidResponse {
    /// The snapshot that the answer makes: one SVID of it, its bundle and all federated ones.
    pub(super) fn snapshot(self, choice: &Choice) -> Result<Snapshot, SourceError> {
        let mut svids = self.svids.into_iter();
        let svid = svids.find(|svid| choice.fits(svid)).ok_or_else(|| {
            SourceError::new(Failure::Refused, format!("the agent sent no SVID {choice}"))
        })?;
        let id = svid.spiffe_id.parse::<SpiffeId>().map_err(malformed)?;
        let own = bundle(&svid.bundle, id.trust_domain().clone())?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(svid.x509_svid_key));
        let chain = certificates(&svid.x509_svid)?;
        if chain.is_empty() {
            return Err(malformed(format!("there is no certificate for {id}")));
        }
        let credentials = Credentials::from_der(chain, key, &Source::WorkloadApi)?;
        if credentials.spiffe_id() != Some(&id) {
            let detail = format!("the certificate that the agent sent for {id} does not name it");
            return Err(SourceError::new(Failure::Malformed, detail));
        }

        let mut trust = Trust::from(own);
        for (domain, roots) in self.federated_bundles {
            // A domain without roots is one whose peers are refused, and no reason to keep an old key.
            if !roots.is_empty() {
                let bundle = bundle(&roots, trust_domain(&domain)?)?;
                trust = trust.federate(bundle).map_err(malformed)?;
            }
        }
        if let Some(lists) = revocation_lists(&self.crl)? {
            trust = trust
                .with_revocation_lists(lists)
                .unknown_status(choice.unknown_status);
        }
        Ok(Snapshot::new(credentials, trust))
    }
}

impl Choice {
    fn fits(&self, svid: &X509Svid) -> bool {
        let id = self.id.as_ref();
        let hint = self.hint.as_ref();
        id.is_none_or(|id| id.as_str() == svid.spiffe_id)
            && hint.is_none_or(|hint| *hint == svid.hint)
    }
}

fn bundle(roots: &[u8], domain: TrustDomain) -> Result<TrustBundle, SourceError> {
    let roots = certificates(roots)?;
    if roots.is_empty() {
        let detail = format!("the agent sent no root of {domain}");
        return Err(SourceError::new(Failure::Malformed, detail));
    }
    let bundle = TrustBundle::of_roots(&roots, &Source::WorkloadApi)?;
    Ok(bundle.with_trust_domain(domain))
}

fn certificates(der: &[u8]) -> Result<Vec<CertificateDer<'static>>, SourceError> {
    let certificates = der::all(der).ok_or_else(|| malformed("a certificate is cut off"))?;
    let certificates = certificates.iter();
    let certificates = certificates.map(|one| CertificateDer::from(one.whole.to_owned()));
    Ok(certificates.collect())
}

fn revocation_lists(lists: &[Vec<u8>]) -> Result<Option<RevocationLists>, CredentialsError> {
    let mut all = None::<RevocationLists>;
    for list in lists {
        let list = RevocationLists::load_either(list, &Source::WorkloadApi)?;
        all = Some(match all {
            None => list,
            Some(all) => all.and(&list),
        });
    }
    Ok(all)
}

/// The agent may write it as a name or as a SPIFFE ID without a path.
fn trust_domain(text: &str) -> Result<TrustDomain, SourceError> {
    let name = text.strip_prefix("spiffe://").unwrap_or(text);
    name.strip_suffix('/')
        .unwrap_or(name)
        .parse()
        .map_err(malformed)
}

fn malformed(error: impl Into<crate::BoxError>) -> SourceError {
    let error = error.into();
    let detail = format!("the answer of the SPIFFE Workload API is damaged: {error}");
    SourceError::new(Failure::Malformed, detail).with_source(error)
}
