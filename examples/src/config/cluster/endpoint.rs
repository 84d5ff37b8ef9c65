use std::{collections::HashSet, fmt, net::SocketAddr};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::config::{
    Span,
    error::{At, Problem},
    value::{self, NotYet},
};

/// `"127.0.0.1:9001"` or `{ address = "127.0.0.1:9001" }`.
pub(super) struct EndpointFile(SocketAddr);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointTable {
    #[serde(deserialize_with = "value::address")]
    address: SocketAddr,
    #[serde(rename = "weight")]
    _weight: Option<NotYet>,
    #[serde(rename = "zone")]
    _zone: Option<NotYet>,
}

impl<'de> Deserialize<'de> for EndpointFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EndpointVisitor)
    }
}

struct EndpointVisitor;

impl<'de> Visitor<'de> for EndpointVisitor {
    type Value = EndpointFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an endpoint such as \"127.0.0.1:9001\" or { address = \"127.0.0.1:9001\" }")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        value::parse_address(text)
            .map(EndpointFile)
            .map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        EndpointTable::deserialize(MapAccessDeserializer::new(map))
            .map(|table| EndpointFile(table.address))
    }
}

pub(super) fn check_endpoints(
    endpoints: Span<Vec<Span<EndpointFile>>>,
) -> Result<Vec<SocketAddr>, Problem> {
    if endpoints.get_ref().is_empty() {
        return Err(endpoints
            .problem("a cluster needs an endpoint: write endpoints = [\"127.0.0.1:9001\"]"));
    }
    let mut seen = HashSet::new();
    for endpoint in endpoints.get_ref() {
        let address = endpoint.get_ref().0;
        if address.port() == 0 {
            return Err(endpoint.problem(format!(
                "nobody listens on port 0 of {address}: write the endpoint's port"
            )));
        }
        if !seen.insert(address) {
            return Err(endpoint.problem(format!("endpoint {address} is listed twice: remove one")));
        }
    }
    Ok(endpoints
        .into_inner()
        .into_iter()
        .map(|endpoint| endpoint.into_inner().0)
        .collect())
}
