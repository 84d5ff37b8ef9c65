//! Methods and statuses.

use ::http::{Method, StatusCode};
use serde::{Deserializer, de::Error};

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
