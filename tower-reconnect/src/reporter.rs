//! Where the state and its changes become visible, and whose clock counts.

use std::{
    mem,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use crate::{
    observer::{Event, Told},
    watch::{Published, State, View, Watch},
};

/// The moments of a state machine count from its epoch.
pub(crate) struct Reporter {
    epoch: Instant,
    /// Made for the first watch: it is as big as all the rest of a connection's state.
    publisher: OnceLock<watch::Sender<Published>>,
    told: Told,
}

impl Reporter {
    pub(crate) fn new(told: Told) -> Self {
        Self {
            epoch: Instant::now(),
            publisher: OnceLock::new(),
            told,
        }
    }

    pub(crate) fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.epoch)
    }

    /// Saturates at the epoch, which is out of reach: the builder bounds every delay.
    pub(crate) fn at(&self, time: Duration) -> Instant {
        self.epoch.checked_add(time).unwrap_or(self.epoch)
    }

    pub(crate) fn name(&self) -> Option<&Arc<str>> {
        self.told.name.as_ref()
    }

    /// Sees what there is now and will be. To be called under the lock under which it changes.
    pub(crate) fn watch(&self, now: &View<'_>) -> Watch {
        let first = || watch::Sender::new(Published::new(now, self.epoch));
        Watch::new(self.publisher.get_or_init(first).subscribe())
    }

    /// What there will be to see, if anybody looks. It may be made under a lock, and shown only
    /// without.
    pub(crate) fn see(&self, view: &View<'_>) -> Option<Published> {
        self.publisher.get()?;
        Some(Published::new(view, self.epoch))
    }

    /// What there is to see now.
    pub(crate) fn state(&self, view: &View<'_>) -> State {
        Published::new(view, self.epoch).state
    }

    pub(crate) fn publish(&self, mut next: Published) {
        let Some(publisher) = self.publisher.get() else {
            return;
        };
        publisher.send_if_modified(|latest| {
            // Two changes may arrive here in the wrong order.
            let newer = next.version > latest.version;
            if newer {
                mem::swap(latest, &mut next);
            }
            newer
        });
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        self.told.tell(event);
    }
}
