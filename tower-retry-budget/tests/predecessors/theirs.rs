//! What a test needs to bring tower's own into the same situation.

use std::{
    future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tower::retry::{Policy, budget::Budget};

/// tower is expected to have this defect.
#[track_caller]
pub(crate) fn still(has_it: bool, defect: &str) {
    assert!(
        has_it,
        "tower has no longer this defect: {defect}. Take it out of this test and out of the docs"
    );
}

/// The policy of tower's documentation, over any budget and for requests that may not be cloned.
#[derive(Clone)]
pub(crate) struct Documented {
    pub(crate) budget: Arc<dyn Budget + Send + Sync>,
    pub(crate) clones: bool,
}

impl<Res, E> Policy<(), Res, E> for Documented {
    type Future = future::Ready<()>;

    fn retry(&mut self, _: &mut (), result: &mut Result<Res, E>) -> Option<Self::Future> {
        if result.is_ok() {
            self.budget.deposit();
            return None;
        }
        self.budget.withdraw().then(|| future::ready(()))
    }

    fn clone_request(&mut self, (): &()) -> Option<()> {
        self.clones.then_some(())
    }
}

/// Grants everything, and counts.
#[derive(Default)]
pub(crate) struct Counting {
    deposited: AtomicUsize,
    withdrawn: AtomicUsize,
}

impl Counting {
    pub(crate) fn policy(clones: bool) -> (Documented, Arc<Self>) {
        let budget = Arc::new(Self::default());
        let policy = Documented {
            budget: budget.clone(),
            clones,
        };
        (policy, budget)
    }

    pub(crate) fn deposited(&self) -> usize {
        self.deposited.load(Relaxed)
    }

    pub(crate) fn withdrawn(&self) -> usize {
        self.withdrawn.load(Relaxed)
    }
}

impl Budget for Counting {
    fn deposit(&self) {
        self.deposited.fetch_add(1, Relaxed);
    }

    fn withdraw(&self) -> bool {
        self.withdrawn.fetch_add(1, Relaxed);
        true
    }
}

pub(crate) fn panics<T>(does: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(does)).is_err()
}
