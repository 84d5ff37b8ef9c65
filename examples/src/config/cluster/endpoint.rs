use std::{collections::HashSet, fmt, net::SocketAddr};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
    ser::SerializeMap,
};
use tower_balance_p2c::{Attributes, Weight};

use crate::config::{
    Span,
    error::{At, Problem},
    value,
};

/// `"127.0.0.1:9001"` or `{ address = "127.0.0.1:9001", weight = 2, zone = "b" }`.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointConfig {
    /// Where it is.
    pub address: SocketAddr,
    /// Its share of the requests, in relation to the others'.
    pub weight: Weight,
    /// Which zone it is in.
    pub zone: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointTable {
    #[serde(deserialize_with = "value::address")]
    address: SocketAddr,
    #[serde(default, deserialize_with = "value::weight")]
    weight: Weight,
    #[serde(default, deserialize_with = "value::some_zone")]
    zone: Option<String>,
}

impl EndpointConfig {
    /// What the balancer is to know of it.
    pub fn attributes(&self) -> Attributes {
        let attributes = Attributes::new().weight(self.weight);
        match &self.zone {
            Some(zone) => attributes.zone(zone.as_str()),
            None => attributes,
        }
    }
}

impl From<SocketAddr> for EndpointConfig {
    fn from(address: SocketAddr) -> Self {
        Self {
            address,
            weight: Weight::default(),
            zone: None,
        }
    }
}

impl<'de> Deserialize<'de> for EndpointConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EndpointVisitor)
    }
}

impl Serialize for EndpointConfig {
    /// In the shorter of the two ways.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self {
            address,
            weight,
            zone,
        } = self;
        if *weight == Weight::default() && zone.is_none() {
            return address.serialize(to);
        }
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("address", address)?;
        map.serialize_entry("weight", &weight.value())?;
        map.serialize_entry("zone", zone)?;
        map.end()
    }
}

struct EndpointVisitor;

impl<'de> Visitor<'de> for EndpointVisitor {
    type Value = EndpointConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an endpoint such as \"127.0.0.1:9001\" or { address = \"127.0.0.1:9001\" }")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        value::parse_address(text)
            .map(EndpointConfig::from)
            .map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let table = EndpointTable::deserialize(MapAccessDeserializer::new(map))?;
        let EndpointTable {
            address,
            weight,
            zone,
        } = table;
        Ok(EndpointConfig {
            address,
            weight,
            zone,
        })
    }
}

pub(super) fn check_endpoints(
    endpoints: Span<Vec<Span<EndpointConfig>>>,
) -> Result<Vec<EndpointConfig>, Problem> {
    if endpoints.get_ref().is_empty() {
        return Err(endpoints
            .problem("a cluster needs an endpoint: write endpoints = [\"127.0.0.1:9001\"]"));
    }
    let mut seen = HashSet::new();
    for endpoint in endpoints.get_ref() {
        let address = endpoint.get_ref().address;
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
        .map(Span::into_inner)
        .collect())
}
