//! The service that those of later attempts are made from.

use std::sync::{Mutex, PoisonError};

/// Never polled and never called: only cloned, when a request is sent once more. Behind a lock, so
/// that a service need not be `Sync`.
pub(crate) struct Template<S>(Mutex<S>);

impl<S: Clone> Template<S> {
    pub(crate) fn of(service: &S) -> Self {
        Self(Mutex::new(service.clone()))
    }

    pub(crate) fn service(&self) -> S {
        let Self(template) = self;
        template
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
