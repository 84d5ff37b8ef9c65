//! Tasks that look after connections, and end with them.

use std::future::Future;

use tokio::task::AbortHandle;

/// A task that ends when this is dropped, instead of at its next look: connections may come and go
/// faster than anybody looks.
#[derive(Debug)]
pub(super) struct Upkeep(AbortHandle);

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
