//! The table, as it is written.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;
use tower_mtls::{TrustDomain, authorize::AllowList, source::Updater};

use super::{
    ClientCertificate, Clients, ListenerTls, default_handshake_timeout, default_max_handshakes,
    default_max_waiting, default_patience,
};
use crate::{
    config::{
        Span,
        error::{At, Problem},
        identity::Identity,
        tls::{CrlUnknown, Federated, Files, TrustFiles, TrustKeys, certificate_files},
        value,
    },
    credentials,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct TlsFile {
    certificate: Option<PathBuf>,
    private_key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
    #[serde(default, deserialize_with = "value::some_parsed")]
    trust_domain: Option<TrustDomain>,
    federated: Option<Span<Federated>>,
    crl: Option<Span<Files>>,
    crl_unknown_status: Option<Span<CrlUnknown>>,
    client_certificate: Option<Span<ClientCertificate>>,
    allow: Option<Span<Vec<String>>>,
    #[serde(default)]
    allow_any: bool,
    allow_anonymous: Option<Span<bool>>,
    audit: Option<Span<bool>>,
    forward_client_certificate: Option<Span<bool>>,
    #[serde(
        default = "default_handshake_timeout",
        deserialize_with = "value::positive_duration"
    )]
    handshake_timeout: Duration,
    #[serde(
        default = "default_max_handshakes",
        deserialize_with = "value::positive"
    )]
    max_handshakes: usize,
    #[serde(default = "default_max_waiting", deserialize_with = "value::positive")]
    max_waiting: usize,
    #[serde(default = "default_patience", deserialize_with = "value::pace")]
    patience: Duration,
    #[serde(default, deserialize_with = "value::duration")]
    clock_skew: Duration,
    #[serde(default)]
    allow_tls12: bool,
    #[serde(default = "yes")]
    end_connections: bool,
}

impl TlsFile {
    pub(in crate::config) fn check(
        mut self,
        table: &Span<()>,
        identity: Option<&Identity>,
    ) -> Result<ListenerTls, Problem> {
        let clients = self.clients(table, identity)?;
        let certificate = certificate_files(self.certificate, self.private_key, identity, table)?;
        let tls = ListenerTls {
            certificate: certificate.ok_or_else(|| {
                table.problem("a TLS listener needs certificate = \"server.pem\" and private_key = \"server.key\"")
            })?,
            clients,
            handshake_timeout: self.handshake_timeout,
            max_handshakes: self.max_handshakes,
            max_waiting: self.max_waiting,
            patience: self.patience,
            clock_skew: self.clock_skew,
            allow_tls12: self.allow_tls12,
            end_connections: self.end_connections,
        };
        // Without files, only the settings are judged.
        match credentials::acceptor(&tls, &Updater::new().source()) {
            Ok(_) => Ok(tls),
            Err(error) => Err(table.problem(error.to_string()).of_key()),
        }
    }

    fn clients(
        &mut self,
        table: &Span<()>,
        identity: Option<&Identity>,
    ) -> Result<Option<Clients>, Problem> {
        let trust = self.trust(table, identity)?;
        let allowed = self.allow.as_ref().map(|list| list.get_ref().clone());
        let allow = check_allow(self.allow.take(), self.allow_any, trust.is_some(), table)?;
        let Some((trust, allow)) = trust.zip(allow) else {
            return self.check_without_clients();
        };
        let certificate = self.client_certificate.take();
        let certificate = certificate.map_or_else(Default::default, Span::into_inner);
        let anonymous = is_on(self.allow_anonymous.as_ref());
        if let Some(anonymous) = anonymous.filter(|_| certificate == ClientCertificate::Required) {
            return Err(anonymous.problem(
                "allow_anonymous needs client_certificate = \"optional\" beside it: nobody comes in without one",
            ));
        }
        let audit = is_on(self.audit.as_ref());
        if let Some(audit) = audit.filter(|_| self.allow_any) {
            return Err(audit.problem(
                "audit tries a list before it counts, and allow_any = true is none: write allow = [\"spiffe://example.org/frontend\"]",
            ));
        }
        Ok(Some(Clients {
            trust,
            certificate,
            allow_anonymous: anonymous.is_some(),
            allow,
            allowed: allowed.unwrap_or_default(),
            audit: audit.is_some(),
            forward: is_on(self.forward_client_certificate.as_ref()).is_some(),
        }))
    }

    fn trust(
        &mut self,
        table: &Span<()>,
        identity: Option<&Identity>,
    ) -> Result<Option<TrustFiles>, Problem> {
        let trust = match self.client_ca.take() {
            Some(bundle) => Some(TrustFiles::new(bundle, self.trust_domain.take())),
            None if self.trust_domain.is_some() && identity.is_none() => {
                return Err(table.problem(
                    "trust_domain needs client_ca = \"ca.pem\": whose certificates are meant?",
                ));
            }
            None => identity.map(|identity| identity.trust.clone()),
        };
        let keys = TrustKeys {
            crl: self.crl.take(),
            crl_unknown_status: self.crl_unknown_status.take(),
            federated: self.federated.take(),
        };
        keys.apply_to_some(trust, "client_ca")
    }

    /// What is about clients' certificates means nothing where they are not asked for one.
    fn check_without_clients(&self) -> Result<Option<Clients>, Problem> {
        let certificate = self.client_certificate.as_ref();
        let certificate = certificate.map(|it| ("client_certificate", Span::new(it.span(), ())));
        let flags = [
            ("allow_anonymous", &self.allow_anonymous),
            ("audit", &self.audit),
            (
                "forward_client_certificate",
                &self.forward_client_certificate,
            ),
        ];
        let flags = flags.into_iter().filter_map(|(key, flag)| {
            let flag = is_on(flag.as_ref())?;
            Some((key, Span::new(flag.span(), ())))
        });
        match certificate.into_iter().chain(flags).next() {
            Some((key, place)) => Err(place.problem(format!(
                "{key} needs client_ca = \"ca.pem\" beside it: without it no client shows an identity"
            ))),
            None => Ok(None),
        }
    }
}

fn check_allow(
    allow: Option<Span<Vec<String>>>,
    any: bool,
    client_certificates: bool,
    table: &Span<()>,
) -> Result<Option<AllowList>, Problem> {
    match (allow, any, client_certificates) {
        (None, false, false) => Ok(None),
        (Some(_), _, false) | (None, true, false) => Err(table.problem(
            "allow and allow_any need client_ca = \"ca.pem\": without it no client shows an identity",
        )),
        (Some(list), true, true) => {
            Err(list.problem("allow and allow_any = true contradict each other: remove one"))
        }
        (None, true, true) => Ok(Some(AllowList::any_verified())),
        (None, false, true) => Err(table.problem(
            "nobody is allowed: write allow = [\"spiffe://example.org/frontend\"] or allow_any = true",
        )),
        (Some(list), false, true) if list.get_ref().is_empty() => Err(list.problem(
            "an empty list lets nobody in: write [\"spiffe://example.org/frontend\"], or allow_any = true in its place",
        )),
        (Some(list), false, true) => AllowList::parse(list.get_ref())
            .map(Some)
            .map_err(|error| list.problem(error.to_string())),
    }
}

fn is_on(flag: Option<&Span<bool>>) -> Option<&Span<bool>> {
    flag.filter(|flag| *flag.get_ref())
}

fn yes() -> bool {
    true
}
