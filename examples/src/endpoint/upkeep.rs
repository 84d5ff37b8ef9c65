//! Tasks that look after connections, and end with them.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
};

use tokio::task::AbortHandle;

/// A task that ends when this is dropped, instead of at its next look: connections may come and go
/// faster than anybody looks.
#[derive(Debug)]
pub(super) struct Upkeep(AbortHandle);

/// A task that comes and goes, and of which there is one at a time.
#[derive(Debug, Default)]
pub(super) struct OneTask {
    is_under_way: Arc<AtomicBool>,
    // Locked when one begins.
    task: Mutex<Option<Upkeep>>,
}

impl OneTask {
    /// Begins one, unless there is one. It does `finally` when the next may begin.
    pub(super) fn begin<F>(&self, task: impl FnOnce() -> F, finally: impl FnOnce() + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // Until it is kept: the next one would take its place.
        let mut kept = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_under_way.swap(true, Acquire) {
            return;
        }
        let (task, is_under_way) = (task(), self.is_under_way.clone());
        *kept = Some(Upkeep::spawn(async move {
            task.await;
            is_under_way.store(false, Release);
            finally();
        }));
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.is_under_way.load(Acquire)
    }
}

impl Upkeep {
    pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task).abort_handle())
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.0.abort();
    }
}
