//! Making a connection where there is none, for all who wait for one.

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::sync::{Notify, OwnedSemaphorePermit, futures::OwnedNotified};

use crate::endpoint::upkeep::OneTask;

/// One dial for all who wait, however often it fails; it ends with the pool.
#[derive(Default)]
pub(super) struct Revival {
    task: OneTask,
    done: Arc<Notify>,
}

impl Revival {
    /// Waits for the end of the next one, or for something else to look at.
    pub(super) fn revived(&self) -> Pin<Box<OwnedNotified>> {
        Box::pin(self.done.clone().notified_owned())
    }

    /// Lets all who wait look again.
    pub(super) fn look_again(&self) {
        self.done.notify_waiters();
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.task.is_under_way()
    }

    /// Begins one by `dial`, in a task, unless there is one; the new connection is for `slot`.
    pub(super) fn begin<F>(&self, slot: OwnedSemaphorePermit, dial: impl FnOnce() -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let done = self.done.clone();
        let dialling = || {
            let dialled = dial();
            async move {
                dialled.await;
                drop(slot);
            }
        };
        self.task.begin(dialling, move || done.notify_waiters());
    }
}
