use std::{fmt, sync::Arc};

use crate::error::InvalidSetting;

/// What discovery knows of an endpoint beyond its key: see [`Change::InsertWith`](crate::Change).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    weight: Weight,
    zone: Option<Arc<str>>,
}

impl Attributes {
    /// Weight one, in no zone.
    pub fn new() -> Self {
        Self::default()
    }

    /// The endpoint's share, in relation to those of the others.
    #[must_use]
    pub fn weight(mut self, weight: Weight) -> Self {
        self.weight = weight;
        self
    }

    /// Where the endpoint is. The balancer's own zone says where the client is.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<Arc<str>>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    pub(crate) fn weight_value(&self) -> f64 {
        self.weight.0
    }

    pub(crate) fn zone_name(&self) -> Option<&Arc<str>> {
        self.zone.as_ref()
    }
}

/// How much of the requests an endpoint is to get in relation to the others: one of weight 2 gets
/// twice as many as one of weight 1. From 0.001 to 1000; 1 unless set.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub struct Weight(f64);

impl Weight {
    /// # Errors
    ///
    /// A weight that is not from 0.001 to 1000.
    pub fn new(weight: f64) -> Result<Self, InvalidSetting> {
        if (LEAST..=MOST).contains(&weight) {
            Ok(Self(weight))
        } else {
            Err(InvalidSetting::new("weight", &weight, "from 0.001 to 1000"))
        }
    }

    /// The number.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1.0)
    }
}

impl fmt::Debug for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const LEAST: f64 = 0.001;
const MOST: f64 = 1000.0;
