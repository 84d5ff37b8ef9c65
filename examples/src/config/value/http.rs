//! Methods, statuses and fields.

use ::http::{HeaderName, Method, StatusCode};
use serde::{Deserializer, de::Error};
use tower_retry_budget::http::GrpcCode;

use super::expect;

pub(in crate::config) fn methods<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Method>, D::Error> {
    let names = expect::<Vec<String>, D>(
        deserializer,
        "a list of methods such as [\"GET\", \"HEAD\"]",
    )?;
    let methods = names
        .iter()
        .map(|name| name.parse().ok().filter(|_| name.to_uppercase() == *name));
    let methods: Option<Vec<Method>> = methods.collect();
    methods.ok_or_else(|| D::Error::custom("methods are written in capitals: [\"GET\", \"HEAD\"]"))
}

/// Methods of which there must be one.
pub(in crate::config) fn some_methods<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Method>>, D::Error> {
    match methods(deserializer)? {
        methods if methods.is_empty() => Err(D::Error::custom(
            "an empty list is no method at all: write [\"GET\", \"HEAD\"], or leave it out",
        )),
        methods => Ok(Some(methods)),
    }
}

pub(in crate::config) fn some_failure_statuses<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<StatusCode>>, D::Error> {
    failure_statuses(deserializer).map(Some)
}

/// A status that has a `Location`.
pub(in crate::config) fn redirect_status<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<StatusCode, D::Error> {
    let code = expect::<u16, D>(deserializer, "one of 301, 302, 303, 307, 308")?;
    StatusCode::from_u16(code)
        .ok()
        .filter(|_| matches!(code, 301 | 302 | 303 | 307 | 308))
        .ok_or_else(|| {
            D::Error::custom("only these redirect: write one of 301, 302, 303, 307, 308")
        })
}

pub(in crate::config) fn failure_statuses<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<StatusCode>, D::Error> {
    let codes = expect::<Vec<u16>, D>(
        deserializer,
        "a list of status codes such as [502, 503, 504]",
    )?;
    let statuses = codes.iter().map(|&code| {
        StatusCode::from_u16(code)
            .ok()
            .filter(|_| (400..600).contains(&code))
    });
    let statuses: Option<Vec<StatusCode>> = statuses.collect();
    statuses.ok_or_else(|| {
        D::Error::custom("only statuses from 400 to 599 can be retried: [502, 503, 504]")
    })
}

/// Codes of gRPC, by their names; not OK.
pub(in crate::config) fn grpc_codes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<GrpcCode>, D::Error> {
    let names = expect::<Vec<String>, D>(
        deserializer,
        "a list of gRPC's codes such as [\"UNAVAILABLE\"]",
    )?;
    let codes = names
        .iter()
        .map(|name| GrpcCode::from_name(name).filter(|code| code.number() != 0));
    let codes: Option<Vec<GrpcCode>> = codes.collect();
    codes.ok_or_else(|| {
        D::Error::custom(
            "gRPC's codes but for OK are written by their names: [\"UNAVAILABLE\", \"RESOURCE_EXHAUSTED\"]",
        )
    })
}

pub(in crate::config) fn some_grpc_codes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<GrpcCode>>, D::Error> {
    grpc_codes(deserializer).map(Some)
}

/// A field that the proxy may write into a request: none that means something to HTTP itself.
pub(in crate::config) fn some_field_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<HeaderName>, D::Error> {
    let name = expect::<String, D>(deserializer, "a field's name such as \"x-retry-attempt\"")?;
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(field) if name.starts_with("x-") => Ok(Some(field)),
        _ => Err(D::Error::custom(format!(
            "`{name}` is no field that can be written here: write a name in small letters that begins with x-, such as \"x-retry-attempt\""
        ))),
    }
}
