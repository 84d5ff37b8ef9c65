//! Whether there is a task, and whether it may end.

use crate::sync::{Arc, Mutex, MutexGuard, Notify, PoisonError};

/// The place of a task that is there only while it has something to do. It asks, does, and ends
/// when there is nothing to do and nobody has called since it asked.
///
/// While there is none, its `tools` lie here.
#[derive(Debug)]
pub(crate) struct Post<T>(Mutex<State<T>>);

#[derive(Debug)]
enum State<T> {
    /// There is no task.
    Resting(T),
    Running {
        /// Whether it has to ask once more.
        called: bool,
        wake: Arc<Notify>,
    },
    /// There is none, or it is to end, and there will be no other.
    Stopped,
}

/// What a call has come to.
pub(crate) enum Call<T, R> {
    /// A task has to be started, with this.
    Start(T, R, Arc<Notify>),
    /// There is one, and it will ask.
    Running,
    Stopped,
}

impl<T> Post<T> {
    pub(crate) fn new(tools: T) -> Self {
        Self(Mutex::new(State::Resting(tools)))
    }

    /// Whether there is no task, but could be.
    pub(crate) fn rests(&self) -> bool {
        matches!(*self.lock(), State::Resting(_))
    }

    /// Whether there will be no task any more.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(*self.lock(), State::Stopped)
    }

    /// There is something new to do. What a task needs besides its tools is asked for only if one
    /// has to be started, and under the lock.
    pub(crate) fn call<R, E>(
        &self,
        prepare: impl FnOnce() -> Result<R, E>,
    ) -> Result<Call<T, R>, E> {
        let mut state = self.lock();
        if let Some(wake) = state.call() {
            drop(state);
            wake.notify_one();
            return Ok(Call::Running);
        }
        if !matches!(*state, State::Resting(_)) {
            return Ok(Call::Stopped);
        }
        let prepared = prepare()?;
        let wake = Arc::new(Notify::new());
        let running = State::Running {
            called: false,
            wake: wake.clone(),
        };
        Ok(match std::mem::replace(&mut *state, running) {
            State::Resting(tools) => Call::Start(tools, prepared, wake),
            State::Running { .. } | State::Stopped => Call::Stopped,
        })
    }

    /// There may be something new to do for a task that is there.
    pub(crate) fn nudge(&self) {
        let wake = self.lock().call();
        if let Some(wake) = wake {
            wake.notify_one();
        }
    }

    /// The task is about to ask.
    pub(crate) fn ask(&self) {
        if let State::Running { called, .. } = &mut *self.lock() {
            *called = false;
        }
    }

    /// The task has found nothing to do. Returns its tools if it has to ask again, or nothing when
    /// it ends.
    pub(crate) fn rest(&self, tools: T) -> Option<T> {
        let mut state = self.lock();
        match *state {
            State::Running { called: true, .. } => Some(tools),
            State::Running { called: false, .. } | State::Resting(_) => {
                *state = State::Resting(tools);
                None
            }
            // What may run code of others is dropped without the lock.
            State::Stopped => {
                drop(state);
                drop(tools);
                None
            }
        }
    }

    /// Lets no task be started any more, and wakes the one that is there.
    pub(crate) fn stop(&self) {
        let state = std::mem::replace(&mut *self.lock(), State::Stopped);
        if let State::Running { wake, .. } = state {
            wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing under the lock panics half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// Lets a task that is there ask once more. Returns what is to be notified of it, without the
    /// lock: it may run code of a runtime that is shutting down.
    fn call(&mut self) -> Option<Arc<Notify>> {
        match self {
            Self::Running { called, wake } => {
                *called = true;
                Some(wake.clone())
            }
            Self::Resting(_) | Self::Stopped => None,
        }
    }
}
