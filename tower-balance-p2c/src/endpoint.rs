use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicIsize, AtomicU8, AtomicU32, Ordering},
    },
};

use crate::load::Load;

/// One service that discovery has named. The driver and the requests each poll clones of it.
pub(crate) struct Endpoint<K, S> {
    pub(crate) service: S,
    pub(crate) load: Arc<Load<K>>,
    flags: AtomicU8,
    /// Readiness errors in a row.
    errors: AtomicU32,
}

/// How many endpoints of a pool are ready, so that a request which finds none need not ask each of
/// many. On cache lines of its own, for it is written whenever an endpoint comes or goes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct ReadyCount(AtomicIsize);

impl<K, S> Endpoint<K, S> {
    pub(crate) fn new(service: S, load: Arc<Load<K>>) -> Self {
        Self {
            service,
            load,
            flags: AtomicU8::new(0),
            errors: AtomicU32::new(0),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.flags.load(Ordering::Acquire) == READY
    }

    pub(crate) fn set_ready(&self) {
        if self.flags.fetch_or(READY, Ordering::AcqRel) == 0 {
            self.load.common.ready.add();
        }
    }

    /// True for the one caller that turned the hint off.
    pub(crate) fn clear_ready(&self) -> bool {
        let before = self.flags.fetch_and(!READY, Ordering::AcqRel);
        if before == READY {
            self.load.common.ready.subtract();
        }
        before & READY != 0
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.flags.load(Ordering::Acquire) & REMOVED != 0
    }

    pub(crate) fn remove(&self) {
        if self.flags.fetch_or(REMOVED, Ordering::AcqRel) == READY {
            self.load.common.ready.subtract();
        }
    }

    pub(crate) fn errors(&self) -> u32 {
        self.errors.load(Ordering::Relaxed)
    }

    pub(crate) fn readiness_failed(&self) {
        let _ = self
            .errors
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |errors| {
                errors.checked_add(1)
            });
    }

    /// A request was sent, so the readiness errors are over.
    pub(crate) fn dispatched(&self) {
        if self.errors() != 0 {
            self.errors.store(0, Ordering::Relaxed);
        }
    }
}

impl ReadyCount {
    /// Not while the endpoint that is the first to become ready is being counted; whoever waits is
    /// woken after that.
    pub(crate) fn is_any(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    fn add(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// It may be taken away before it was added: so it may be below zero for a moment.
    fn subtract(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<K, S> fmt::Debug for Endpoint<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

/// A message to the driver: a request has found this endpoint not ready.
#[derive(Debug)]
pub(crate) struct Unready<K, S> {
    pub(crate) endpoint: Arc<Endpoint<K, S>>,
    /// By an error, after which it is left alone for a while.
    pub(crate) failed: bool,
}

/// A hint: a clone was ready lately, and none has been found not ready since.
const READY: u8 = 1;
const REMOVED: u8 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{settings::Settings, shared::Shared};

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn those_that_are_ready_are_counted(steps in prop::collection::vec((0..3_usize, 0..3_u8), 0..40)) {
            let common = Shared::<usize, ()>::new(&Settings::default()).common;
            let endpoints: Vec<_> = (0..3)
                .map(|key| Endpoint::new((), Arc::new(Load::new(key, Arc::clone(&common), false, 0))))
                .collect();
            for (which, act) in steps {
                match act {
                    0 => endpoints[which].set_ready(),
                    1 => {
                        endpoints[which].clear_ready();
                    }
                    _ => endpoints[which].remove(),
                }
                let is_any = endpoints.iter().any(Endpoint::is_ready);
                prop_assert_eq!(common.ready.is_any(), is_any);
            }
        }
    }
}
