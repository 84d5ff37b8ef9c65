//! What the endpoints of a pool share.

use std::{fmt::Debug, sync::Arc};

use tokio::sync::Notify;

use crate::{
    chance::Chance, clock::Clock, cost::Differences, endpoint::ReadyCount, health::Register,
    load::Load, observer::Told, slow_start::SlowStart, typical::Typical,
};

/// A key whose type does not matter.
pub(crate) trait Name: Debug + Send + Sync {}
impl<K: Debug + Send + Sync> Name for K {}

/// What the endpoints of a pool share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) clock: Clock,
    pub(crate) chance: Chance,
    pub(crate) typical: Typical,
    pub(crate) register: Register<Load<dyn Name>>,
    pub(crate) ready: ReadyCount,
    pub(crate) slow_start: SlowStart,
    pub(crate) told: Told,
    /// Wakes the requests that wait, all of them, when there may be something to pick.
    pub(crate) changed: Arc<Notify>,
}

/// How endpoints are looked at: what is the same for all of them in one choice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lens {
    pub(crate) now: u64,
    pub(crate) usual: f64,
    pub(crate) drift: u64,
    pub(crate) differences: Differences,
}

impl Common {
    pub(crate) fn lens(&self, now: u64, differences: Differences) -> Lens {
        Lens {
            now,
            usual: self.typical.per_place(),
            drift: self.typical.drift(),
            differences,
        }
    }
}
