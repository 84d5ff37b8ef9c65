//! Where the state and its changes become visible, and whose clock counts.

use std::{mem, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use crate::{
    observer::{Event, Told},
    watch::{Published, View, Watch},
};

/// The moments of a state machine count from its epoch.
pub(crate) struct Reporter {
    epoch: Instant,
    publisher: watch::Sender<Published>,
    told: Told,
}

impl Reporter {
    pub(crate) fn new(told: Told, first: &View<'_>) -> Self {
        let epoch = Instant::now();
        let (publisher, _) = watch::channel(Published::new(first, epoch));
        Self {
            epoch,
            publisher,
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

    pub(crate) fn watch(&self) -> Watch {
        Watch::new(self.publisher.subscribe())
    }

    /// What there will be to see. It may be made under a lock, and shown only without.
    pub(crate) fn see(&self, view: &View<'_>) -> Published {
        Published::new(view, self.epoch)
    }

    pub(crate) fn publish(&self, mut next: Published) {
        self.publisher.send_if_modified(|latest| {
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
