//! `[cluster.balance]`: which endpoint a request goes to, and which endpoints are left alone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{
    show,
    value::{self, Optional},
};

/// `[cluster.balance]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BalanceConfig {
    /// How fast an endpoint's latency is forgotten.
    #[serde(deserialize_with = "value::positive_duration")]
    pub decay: Duration,
    /// How many endpoints are compared for a request; `None`: all of up to 16, eight of more.
    #[serde(deserialize_with = "value::some_positive")]
    pub choices: Option<usize>,
    /// In what time an endpoint that joins others comes to its full share; zero: at once.
    #[serde(deserialize_with = "value::duration")]
    pub slow_start: Duration,
    /// Where this proxy is: endpoints of the same zone are preferred.
    #[serde(deserialize_with = "value::some_zone")]
    pub zone: Option<String>,
    /// How many of the endpoints this process uses; zero: all.
    pub subset: usize,
    /// How long a request may wait for an endpoint.
    #[serde(deserialize_with = "value::duration")]
    pub wait: Duration,
    /// When endpoints that fail are left alone; `None`: never.
    #[serde(
        deserialize_with = "value::off_or_table",
        serialize_with = "show::switch"
    )]
    pub eject: Option<EjectConfig>,
}

/// `eject` of `[cluster.balance]`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EjectConfig {
    /// Failures in a row.
    pub consecutive: u32,
    /// The least share of successes, in relation to that of the median endpoint.
    pub ratio: f64,
    /// How long a failure is remembered.
    #[serde(deserialize_with = "value::positive_duration")]
    pub window: Duration,
    /// Requests within `window` before their ratio counts.
    pub min_requests: u32,
    /// The first ejection; twice as long for the next one.
    #[serde(deserialize_with = "value::positive_duration")]
    pub base: Duration,
    /// The longest ejection.
    #[serde(deserialize_with = "value::positive_duration")]
    pub max: Duration,
    /// Requests to the cluster after which an ejected endpoint may be probed before its time.
    pub requests_per_probe: u32,
    /// The share of the endpoints that may be ejected at a time.
    pub max_ejected: f64,
    /// The share of usable endpoints below which ejection is ignored.
    pub panic: f64,
    /// For how long an endpoint's own wish to be left alone is respected.
    #[serde(deserialize_with = "value::duration")]
    pub max_pushback: Duration,
}

impl Default for BalanceConfig {
    fn default() -> Self {
        Self {
            decay: Duration::from_secs(10),
            choices: None,
            slow_start: Duration::from_secs(10),
            zone: None,
            subset: 0,
            wait: Duration::from_secs(1),
            eject: Some(EjectConfig::default()),
        }
    }
}

impl Default for EjectConfig {
    fn default() -> Self {
        Self {
            consecutive: 3,
            ratio: 0.8,
            window: Duration::from_secs(10),
            min_requests: 20,
            base: Duration::from_secs(1),
            max: Duration::from_secs(60),
            requests_per_probe: 8_500,
            max_ejected: 0.5,
            panic: 0.5,
            max_pushback: Duration::from_secs(30),
        }
    }
}

impl Optional for EjectConfig {
    const KEY: &'static str = "eject";
    const EXAMPLE: &'static str = "{ consecutive = 5 }";
}
