//! `hedge` and `throttle` of `[cluster.retry]`: what is done about endpoints that are slow or
//! drowning.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::value::{self, Optional};

/// `hedge`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HedgeConfig {
    /// The share of first attempts that are to be answered before a second one is sent.
    pub quantile: f64,
    /// Answers within `window` before anything is hedged.
    pub min_samples: u32,
    /// How long an answer counts.
    #[serde(deserialize_with = "value::duration")]
    pub window: Duration,
    /// The least time that a first attempt is waited for.
    #[serde(deserialize_with = "value::duration")]
    pub min_delay: Duration,
}

/// `throttle`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThrottleConfig {
    /// How far back is looked.
    #[serde(deserialize_with = "value::duration")]
    pub window: Duration,
    /// How many times what endpoints accept they may be asked for.
    pub multiplier: f64,
    /// Requests a second that are let through however few are accepted.
    pub min_per_second: f64,
    /// After how long a request without an answer counts as not accepted; `None`: never.
    #[serde(deserialize_with = "value::some_duration")]
    pub patience: Option<Duration>,
}

impl Default for HedgeConfig {
    fn default() -> Self {
        Self {
            quantile: 0.95,
            min_samples: 100,
            window: Duration::from_secs(10),
            min_delay: Duration::from_millis(1),
        }
    }
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(5),
            multiplier: 2.0,
            min_per_second: 1.0,
            patience: None,
        }
    }
}

impl Optional for HedgeConfig {
    const KEY: &'static str = "hedge";
    const EXAMPLE: &'static str = "{ quantile = 0.95 }";
}

impl Optional for ThrottleConfig {
    const KEY: &'static str = "throttle";
    const EXAMPLE: &'static str = "{ multiplier = 2.0 }";
}
