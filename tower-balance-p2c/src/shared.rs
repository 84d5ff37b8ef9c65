//! What the driver and the requests share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::{
    chance::Chance, clock::Clock, common::Common, endpoint::ReadyCount, error::EndpointCounts,
    health::Register, observer::Told, settings::Settings, snapshot::Snapshot, typical::Typical,
};

/// What the driver writes and requests read.
pub(crate) struct Shared<K, S> {
    pub(crate) snapshot: ArcSwap<Snapshot<K, S>>,
    pub(crate) common: Arc<Common>,
    pub(crate) zone: Option<Arc<str>>,
    driven: AtomicBool,
}

impl<K, S> Shared<K, S> {
    pub(crate) fn new(settings: &Settings) -> Self {
        let clock = Clock::start();
        let decay = u64::try_from(settings.decay.as_nanos()).unwrap_or(u64::MAX);
        let common = Common {
            clock,
            chance: Chance::new(settings.seed),
            typical: Typical::new(clock.now(), decay),
            register: Register::new(settings.ejection.nanos()),
            ready: ReadyCount::default(),
            slow_start: settings.slow_start,
            changed: Arc::new(Notify::new()),
            told: settings
                .observer
                .clone()
                .map_or_else(Told::default, Told::to),
        };
        Self {
            snapshot: ArcSwap::default(),
            common: Arc::new(common),
            zone: settings.zone.clone(),
            driven: AtomicBool::new(false),
        }
    }

    /// What there is, for those who got nothing.
    pub(crate) fn counts(&self) -> EndpointCounts {
        let snapshot = self.snapshot.load();
        let mut counts = EndpointCounts::default();
        for entry in snapshot.entries() {
            counts.endpoints += 1;
            let is_ready = entry.endpoint.is_ready();
            counts.ready += usize::from(is_ready);
            counts.ejected += usize::from(is_ready && entry.load.is_ejected());
        }
        counts
    }

    pub(crate) fn is_driven(&self) -> bool {
        self.driven.load(Ordering::Acquire)
    }

    pub(crate) fn set_driven(&self, driven: bool) {
        if self.driven.load(Ordering::Relaxed) != driven
            && self.driven.swap(driven, Ordering::AcqRel) != driven
        {
            self.common.changed.notify_waiters();
        }
    }
}
