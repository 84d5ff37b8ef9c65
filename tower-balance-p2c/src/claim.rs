use std::sync::Arc;

use crate::{Event, common::Name, health::Probe, load::Load};

/// The right to probe an ejected endpoint, until a request is on its way. Given back on drop.
pub(crate) struct Claim {
    /// None once the request has taken it over.
    load: Option<Arc<Load<dyn Name>>>,
    probe: Probe,
    now: u64,
}

impl Claim {
    pub(crate) fn new<K: Name + 'static>(load: &Arc<Load<K>>, probe: Probe, now: u64) -> Self {
        let load: Arc<Load<dyn Name>> = Arc::<Load<K>>::clone(load);
        Self {
            load: Some(load),
            probe,
            now,
        }
    }

    pub(crate) fn probe(&self) -> Probe {
        self.probe
    }

    /// The request has taken it over.
    pub(crate) fn kept(mut self) {
        if let Some(load) = self.load.take() {
            load.tell(|endpoint| Event::Probed { endpoint });
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(load) = &self.load {
            load.unproven(load.ticket(Some(self.probe)), false, self.now);
            load.common.changed.notify_waiters();
        }
    }
}
