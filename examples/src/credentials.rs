//! Who we are and whom we trust, from files: each set of files is read and watched once.

use std::{error::Error, time::SystemTime};

use tower_mtls::{
    Source, UnknownStatus,
    accept::Acceptor,
    error::{Failure, InvalidSetting, SourceError},
    source::{Files, SourceStats},
};

use crate::{
    BoxError,
    config::{ClientCertificate, CredentialFiles, CrlUnknown, ListenerTls},
};

/// The sources of one process: listeners and clusters with the same files share one.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Named>);

/// A source, with the name of the first that it is for.
#[derive(Clone, Debug)]
struct Named {
    name: String,
    files: CredentialFiles,
    source: Source,
}

impl Sources {
    /// The source of these files, for `name`, such as `listener web`. Files that nobody has asked for yet are
    /// read now, and watched from then on.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Which file cannot be used, and why.
    pub fn of(&mut self, name: String, files: CredentialFiles) -> Result<Source, BoxError> {
        if let Some(known) = self.0.iter().find(|known| known.files == files) {
            return Ok(known.source.clone());
        }
        let source = watched(&files)?;
        self.0.push(Named {
            name,
            files,
            source: source.clone(),
        });
        Ok(source)
    }

    /// Whose own certificate has expired, if somebody's has.
    pub fn expired(&self, now: SystemTime) -> Option<&str> {
        let has_expired = |known: &&Named| {
            let not_after = known.source.stats().not_after();
            not_after.is_some_and(|not_after| not_after <= now)
        };
        let known = self.0.iter().find(has_expired)?;
        Some(&known.name)
    }

    /// What became of the rotations of each, by name, and whether the last one failed.
    pub(crate) fn stats(&self) -> impl Iterator<Item = (&str, SourceStats, bool)> {
        self.0.iter().map(|known| {
            let is_failing = known.source.failure().is_some();
            (known.name.as_str(), known.source.stats(), is_failing)
        })
    }
}

/// `[listener.tls]`, with what `source` has.
pub(crate) fn acceptor(tls: &ListenerTls, source: &Source) -> Result<Acceptor, InvalidSetting> {
    let builder = Acceptor::rotating(source)
        .alpn(["h2", "http/1.1"])
        .handshake_timeout(tls.handshake_timeout)
        .max_handshakes(tls.max_handshakes)
        .max_waiting(tls.max_waiting)
        .patience(tls.patience)
        .clock_skew(tls.clock_skew)
        .allow_tls12(tls.allow_tls12)
        .end_connections(tls.end_connections);
    let certificate = tls.clients.as_ref().map(|clients| clients.certificate);
    match certificate {
        None => builder.no_client_auth().build(),
        Some(ClientCertificate::Required) => builder.build(),
        Some(ClientCertificate::Optional) => builder.allow_anonymous().build(),
    }
}

fn watched(files: &CredentialFiles) -> Result<Source, BoxError> {
    let mut builder = Files::builder();
    if let Some(own) = &files.certificate {
        builder = builder.credentials(&own.certificate, &own.private_key);
    }
    if let Some(trust) = &files.trust {
        builder = match &trust.trust_domain {
            Some(domain) => builder.trust_domain(domain.clone(), &trust.bundle),
            None => builder.trust(&trust.bundle),
        };
        for (domain, bundle) in &trust.federated {
            builder = builder.trust_domain(domain.clone(), bundle);
        }
        for lists in &trust.crl {
            builder = builder.revocation_lists(lists);
        }
        builder = builder.unknown_status(match trust.crl_unknown_status {
            CrlUnknown::Refuse => UnknownStatus::Refuse,
            CrlUnknown::Accept => UnknownStatus::Accept,
        });
    }
    let loaded = builder.build()?.load_blocking();
    loaded.map_err(|error| explain(&error, files))
}

/// In the words of a start: there is nothing yet that could stay in force.
fn explain(error: &SourceError, files: &CredentialFiles) -> BoxError {
    match (&files.certificate, error.source()) {
        (_, Some(cause)) => cause.to_string().into(),
        (Some(own), None) if error.failure() == Failure::Expired => format!(
            "{} holds a certificate that has expired: renew it, or set this host's clock",
            own.certificate.display()
        )
        .into(),
        _ => error.to_string().into(),
    }
}
