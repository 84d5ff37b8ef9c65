//! The keys that say more of whom we trust than the one bundle does.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Deserializer};
use tower_mtls::TrustDomain;

use super::{CrlUnknown, TrustFiles};
use crate::config::{
    Span,
    error::{At, Problem},
    value,
};

/// `crl`, `crl_unknown_status` and `federated` of one table, as they are written.
pub(in crate::config) struct TrustKeys {
    pub(in crate::config) crl: Option<Span<Files>>,
    pub(in crate::config) crl_unknown_status: Option<Span<CrlUnknown>>,
    pub(in crate::config) federated: Option<Span<Federated>>,
}

/// A list of files.
pub(in crate::config) struct Files(Vec<PathBuf>);

/// A bundle for each of some trust domains.
pub(in crate::config) struct Federated(BTreeMap<Span<String>, PathBuf>);

impl TrustKeys {
    /// Puts them in the place of what the bundle came with, if there is one; `bundle` is the key that
    /// names it here.
    pub(in crate::config) fn apply_to_some(
        self,
        trust: Option<TrustFiles>,
        bundle: &str,
    ) -> Result<Option<TrustFiles>, Problem> {
        match (trust, self.first()) {
            (Some(trust), _) => self.apply(trust).map(Some),
            (None, None) => Ok(None),
            (None, Some((key, place))) => Err(place.problem(format!(
                "{key} needs {bundle} = \"ca.pem\" beside it: without it no certificate is asked for"
            ))),
        }
    }

    /// Puts them in the place of what the bundle came with.
    pub(in crate::config) fn apply(self, mut trust: TrustFiles) -> Result<TrustFiles, Problem> {
        if let Some(federated) = self.federated {
            trust.federated = check_federated(federated, trust.trust_domain.as_ref())?;
        }
        if let Some(crl) = self.crl {
            trust.crl = crl.into_inner().0;
        }
        if let Some(unknown) = self.crl_unknown_status {
            if trust.crl.is_empty() {
                return Err(unknown.problem(
                    "crl_unknown_status needs crl = [\"ca.crl\"] beside it: without lists no status is asked for",
                ));
            }
            trust.crl_unknown_status = unknown.into_inner();
        }
        Ok(trust)
    }

    fn first(&self) -> Option<(&'static str, Span<()>)> {
        let crl = self.crl.as_ref().map(|crl| ("crl", place(crl)));
        let unknown = || {
            let unknown = self.crl_unknown_status.as_ref()?;
            Some(("crl_unknown_status", place(unknown)))
        };
        let federated = || Some(("federated", place(self.federated.as_ref()?)));
        crl.or_else(unknown).or_else(federated)
    }
}

fn check_federated(
    federated: Span<Federated>,
    own: Option<&TrustDomain>,
) -> Result<Vec<(TrustDomain, PathBuf)>, Problem> {
    let Some(own) = own else {
        return Err(federated.problem(
            "federated needs trust_domain = \"example.org\" beside it: a plain PKI has no trust domains",
        ));
    };
    let bundles = federated.into_inner().0.into_iter().map(|(name, bundle)| {
        let parsed = name.get_ref().parse::<TrustDomain>();
        let domain = parsed.map_err(|error| name.problem(error.to_string()))?;
        match domain == *own {
            true => Err(name.problem(format!(
                "`{domain}` is the own trust domain: put all its roots into its one bundle"
            ))),
            false => Ok((domain, bundle)),
        }
    });
    bundles.collect()
}

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        value::expect(deserializer, "a list of files, such as [\"ca.crl\"]").map(Self)
    }
}

impl<'de> Deserialize<'de> for Federated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a table, such as { \"partner.example\" = \"partner.pem\" }";
        value::expect(deserializer, expected).map(Self)
    }
}

fn place<T>(of: &Span<T>) -> Span<()> {
    Span::new(of.span(), ())
}
