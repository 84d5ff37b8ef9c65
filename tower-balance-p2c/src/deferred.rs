use std::{
    future::Future,
    pin::Pin,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::runtime::Handle;

/// A driver for which there was no runtime yet.
#[derive(Default)]
pub(crate) struct Deferred {
    waiting: AtomicBool,
    driver: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

impl Deferred {
    pub(crate) fn new(driver: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            waiting: AtomicBool::new(true),
            driver: Mutex::new(Some(Box::pin(driver))),
        }
    }

    /// Spawns it if there is a runtime now.
    pub(crate) fn drive(&self) {
        if self.waiting.load(Ordering::Relaxed) {
            self.spawn();
        }
    }

    #[cold]
    fn spawn(&self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let driver = self
            .driver
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.waiting.store(false, Ordering::Relaxed);
        if let Some(driver) = driver {
            runtime.spawn(driver);
        }
    }
}
