use std::{collections::HashSet, net::SocketAddr};

use serde::{Deserialize, Serialize};

use super::{
    Span,
    error::{At, Problem},
    identity::Identity,
    listener_tls::{ListenerTls, TlsFile},
    show,
    tls::Switch,
    value,
};

/// One `[[listener]]`.
#[derive(Clone, Debug, Serialize)]
pub struct ListenerConfig {
    /// Its name in logs and metrics.
    pub name: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The cluster that everything goes to that no route takes.
    pub cluster: Option<String>,
    /// TLS, or `None` for cleartext.
    #[serde(serialize_with = "show::switch")]
    pub tls: Option<ListenerTls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenerFile {
    pub(super) name: Span<String>,
    #[serde(deserialize_with = "value::address")]
    listen: SocketAddr,
    protocol: Option<Span<String>>,
    cluster: Option<Span<String>>,
    tls: Option<Span<Switch<TlsFile>>>,
}

impl ListenerFile {
    /// With `has_routes` it may do without a cluster of its own.
    pub(super) fn check_cluster(
        &self,
        clusters: &HashSet<&str>,
        has_routes: bool,
    ) -> Result<(), Problem> {
        match &self.cluster {
            Some(cluster) => super::check_known("cluster", cluster, clusters),
            None if has_routes => Ok(()),
            None => Err(self.name.problem(format!(
                "this listener leads nowhere: write cluster = \"backend\" here, or a [[route]] with listener = \"{}\"",
                self.name.get_ref()
            ))),
        }
    }

    pub(super) fn check(self, identity: Option<&Identity>) -> Result<ListenerConfig, Problem> {
        if let Some(protocol) = &self.protocol {
            check_protocol(protocol)?;
        }
        let tls = match self.tls {
            None => identity.map(ListenerTls::from_identity),
            Some(tls) => {
                let span = tls.span();
                match tls.into_inner() {
                    Switch::Off => None,
                    Switch::On(file) => Some(file.check(&Span::new(span, ()), identity)?),
                }
            }
        };
        Ok(ListenerConfig {
            name: self.name.into_inner(),
            listen: self.listen,
            cluster: self.cluster.map(Span::into_inner),
            tls,
        })
    }
}

/// Where two listen on one address, only one of them would get it.
pub(super) fn check_addresses(
    listeners: &[ListenerFile],
    admin: SocketAddr,
) -> Result<(), Problem> {
    let mut taken = vec![(admin, "[admin]".to_owned())];
    for listener in listeners {
        let address = listener.listen;
        if let Some((_, by)) = taken.iter().find(|(other, _)| overlap(*other, address)) {
            return Err(listener.name.problem(format!(
                "{address} is where {by} listens: choose another port"
            )));
        }
        taken.push((address, format!("listener `{}`", listener.name.get_ref())));
    }
    Ok(())
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_same = one.ip() == other.ip();
    let is_all = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port()
        && one.port() != 0
        && one.is_ipv4() == other.is_ipv4()
        && (is_same || is_all)
}

fn check_protocol(protocol: &Span<String>) -> Result<(), Problem> {
    match protocol.get_ref().as_str() {
        "http" => Ok(()),
        "auto" | "tcp" => Err(protocol.problem(format!(
            "protocol = \"{}\" is not supported yet: write \"http\" (HTTP/1.1 and HTTP/2)",
            protocol.get_ref()
        ))),
        other => Err(protocol.problem(format!("no protocol is named `{other}`: write \"http\""))),
    }
}
