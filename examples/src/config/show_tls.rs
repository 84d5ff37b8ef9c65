//! How TLS is shown: in the keys of the file, which the types do not have.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Clients, Expected, TrustFiles, UpstreamTls};

impl Serialize for Clients {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        trust(&mut map, "client_ca", &self.trust)?;
        map.serialize_entry("client_certificate", &self.certificate)?;
        map.serialize_entry("allow_anonymous", &self.allow_anonymous)?;
        if self.allowed.is_empty() {
            map.serialize_entry("allow_any", &true)?;
        } else {
            map.serialize_entry("allow", &self.allowed)?;
            map.serialize_entry("allow_any", &false)?;
        }
        map.serialize_entry("audit", &self.audit)?;
        map.serialize_entry("forward_client_certificate", &self.forward)?;
        map.end()
    }
}

impl Serialize for UpstreamTls {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        if let Some(files) = &self.certificate {
            let certificate = files.certificate.display().to_string();
            map.serialize_entry("certificate", &certificate)?;
        }
        trust(&mut map, "ca", &self.trust)?;
        match &self.expected {
            Expected::Identities(ids) => {
                let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
                map.serialize_entry("identity", &ids)?;
            }
            Expected::ServerName(name) => {
                map.serialize_entry("server_name", &name.to_string())?;
            }
            Expected::TrustDomain => {}
        }
        map.serialize_entry("clock_skew", &self.clock_skew)?;
        map.serialize_entry("allow_tls12", &self.allow_tls12)?;
        map.serialize_entry("end_connections", &self.end_connections)?;
        map.end()
    }
}

/// The bundle, under the name that it has there, and what is beside it.
fn trust<M: SerializeMap>(map: &mut M, bundle: &str, trust: &TrustFiles) -> Result<(), M::Error> {
    map.serialize_entry(bundle, &trust.bundle.display().to_string())?;
    if let Some(domain) = &trust.trust_domain {
        map.serialize_entry("trust_domain", &domain.to_string())?;
    }
    if !trust.federated.is_empty() {
        let federated = trust.federated.iter();
        let federated =
            federated.map(|(domain, path)| (domain.to_string(), path.display().to_string()));
        let federated: BTreeMap<_, _> = federated.collect();
        map.serialize_entry("federated", &federated)?;
    }
    if !trust.crl.is_empty() {
        let lists = trust.crl.iter().map(|path| path.display().to_string());
        map.serialize_entry("crl", &lists.collect::<Vec<_>>())?;
        map.serialize_entry("crl_unknown_status", &trust.crl_unknown_status)?;
    }
    Ok(())
}
