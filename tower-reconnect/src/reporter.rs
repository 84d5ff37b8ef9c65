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
    /// Made when somebody watches: it is bigger than all the rest.
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

    pub(crate) fn state(&self, view: &View<'_>) -> State {
        Published::new(view, self.epoch).state
    }

    /// Only to be called under the lock of what is viewed, so that no change is missed.
    pub(crate) fn watch(&self, view: &View<'_>) -> Watch {
        let first = || watch::channel(Published::new(view, self.epoch)).0;
        Watch::new(self.publisher.get_or_init(first).subscribe())
    }

    /// What there is to see now, if anybody watches. Only to be called under the lock of what is
    /// viewed, and [shown](Self::publish) only without.
    pub(crate) fn see(&self, view: &View<'_>) -> Option<Published> {
        let watched = self.publisher.get().is_some();
        watched.then(|| Published::new(view, self.epoch))
    }

    pub(crate) fn publish(&self, next: Option<Published>) {
        let (Some(publisher), Some(mut next)) = (self.publisher.get(), next) else {
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
