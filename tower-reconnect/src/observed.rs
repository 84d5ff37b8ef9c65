//! State under a lock, the changes of which become visible, and whose clock counts.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use crate::{
    error::Cause,
    loss::Loss,
    observer::{Event, Told},
    view::{Phase, View},
    watch::{Published, State, Watch},
};

/// What can be seen of a state.
pub(crate) trait Visible {
    fn view(&self) -> View<'_, Cause>;
}

/// The moments of the state count from its epoch.
pub(crate) struct Observed<T> {
    state: Mutex<T>,
    epoch: Instant,
    /// Made when somebody watches: it is bigger than all the rest.
    publisher: OnceLock<watch::Sender<Published>>,
    told: Option<Arc<Told>>,
}

impl<T: Visible> Observed<T> {
    pub(crate) fn new(state: T, told: Option<Arc<Told>>) -> Self {
        Self {
            state: Mutex::new(state),
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
        self.told.as_ref()?.name.as_ref()
    }

    pub(crate) fn state(&self) -> State {
        Published::new(&self.lock().view(), self.epoch).state
    }

    pub(crate) fn watch(&self) -> Watch {
        // Under the lock, so that no change is missed.
        let state = self.lock();
        let first = || watch::channel(Published::new(&state.view(), self.epoch)).0;
        Watch::new(self.publisher.get_or_init(first).subscribe())
    }

    /// For what changes nothing that can be seen.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        // Nothing under the lock panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state under the lock, then shows it to the watches without.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut state = self.lock();
        let before = state.view().history.version();
        // To drop the last of a cause may run code of others.
        let causes = causes(&state.view());
        let result = change(&mut state);
        let view = state.view();
        let seen = self
            .publisher
            .get()
            .filter(|_| view.history.version() != before)
            .map(|publisher| (publisher, Published::new(&view, self.epoch)));
        drop(state);
        drop(causes);
        if let Some((publisher, next)) = seen {
            publish(publisher, next);
        }
        result
    }

    /// Not to be called under a lock.
    pub(crate) fn tell(&self, event: &Event<'_>) {
        Told::tell(self.told.as_deref(), event);
    }

    /// Tells of a connection that ended `age` after it was made.
    pub(crate) fn tell_loss(
        &self,
        connection: u64,
        cause: &Cause,
        age: Duration,
        loss: Loss,
        retired: bool,
    ) {
        let retry_in = match loss {
            Loss::Known => return,
            Loss::Stable | Loss::Renewing => None,
            Loss::Unstable { delay } => Some(delay),
        };
        self.tell(&match retired {
            true => Event::Retired {
                connection,
                cause,
                age,
                retry_in,
            },
            false => Event::Lost {
                connection,
                cause,
                age,
                retry_in,
            },
        });
    }
}

fn causes(view: &View<'_, Cause>) -> [Option<Cause>; 2] {
    let of_backoff = match view.phase {
        Phase::BackingOff { cause, .. } => Some(cause.clone()),
        _ => None,
    };
    [of_backoff, view.history.last_cause().cloned()]
}

fn publish(publisher: &watch::Sender<Published>, mut next: Published) {
    publisher.send_if_modified(|latest| {
        // Two changes may arrive here in the wrong order.
        let newer = next.version > latest.version;
        if newer {
            mem::swap(latest, &mut next);
        }
        newer
    });
}
