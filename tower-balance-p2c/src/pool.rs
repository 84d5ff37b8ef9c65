//! What handles, requests and the driver share.

use std::{
    fmt::{self, Debug},
    future::Future,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use arc_swap::Guard;
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    BoxError,
    backoff::backoff,
    choose::Choice,
    deferred::Deferred,
    drive::report,
    endpoint::{Endpoint, Unready},
    health::Probe,
    lanes::{Lane, Lanes, Sum},
    pick::Choices,
    settings::Settings,
    shared::Shared,
    snapshot::{Entry, Snapshot},
    typical,
};

/// Owned by the handles and by the requests that have no answer yet. When the last of them is
/// dropped, `unready` closes, and that ends the driver.
pub(crate) struct Pool<K, S, C, T, A> {
    pub(crate) shared: Arc<Shared<K, S>>,
    pub(crate) classify: C,
    pub(crate) completion: T,
    pub(crate) steer: A,
    pub(crate) wait: Duration,
    pub(crate) counters: Counters,
    choices: Choices,
    unready: UnboundedSender<Unready<K, S>>,
    deferred: Deferred,
}

/// As handles hold it.
pub(crate) type PoolLanes<K, S, C, T, A> = Lanes<Pool<K, S, C, T, A>>;

/// As a request holds it.
pub(crate) type PoolLane<K, S, C, T, A> = Arc<Lane<Pool<K, S, C, T, A>>>;

/// An endpoint that a request should try.
pub(crate) struct Pick<K, S> {
    pub(crate) snapshot: Guard<Arc<Snapshot<K, S>>>,
    pub(crate) index: usize,
    /// Whether it is to get the request whatever it costs.
    pub(crate) is_owed: bool,
    /// Where it is ejected, and the request is to find out whether it is well again.
    pub(crate) probe: Option<Probe>,
}

impl<K, S> Pick<K, S> {
    pub(crate) fn entry(&self) -> &Entry<K, S> {
        &self.snapshot.entries()[self.index]
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint<K, S>> {
        &self.entry().endpoint
    }
}

impl<K, S, C, T, A> Pool<K, S, C, T, A> {
    pub(crate) fn new(
        shared: Arc<Shared<K, S>>,
        unready: UnboundedSender<Unready<K, S>>,
        settings: &Settings,
        (classify, completion, steer): (C, T, A),
    ) -> Self {
        Self {
            shared,
            classify,
            completion,
            steer,
            wait: settings.wait,
            counters: Counters::new(),
            choices: settings.choices.map_or(Choices::Auto, Choices::Exactly),
            unready,
            deferred: Deferred::default(),
        }
    }

    /// One of the endpoints that are ready as far as is known, or one that is owed a request, where
    /// this one is `free` to be that.
    ///
    /// Where no driver finds out which are ready, it is one of all of them: the best one at first,
    /// and any other while that one is `held`.
    #[inline]
    pub(crate) fn pick(
        &self,
        now: u64,
        is_driven: bool,
        free: bool,
        held: Option<&Arc<Endpoint<K, S>>>,
        avoids: impl Fn(&K) -> bool,
    ) -> Option<Pick<K, S>> {
        let snapshot = self.shared.snapshot.load();
        let common = &*self.shared.common;
        let choice = Choice {
            snapshot: &snapshot,
            common,
            choices: if held.is_some() {
                Choices::Exactly(1)
            } else {
                self.choices
            },
            lens: common.lens(now, snapshot.differences()),
            is_driven,
            held,
        };
        if common.typical.is_old(now) {
            self.renew(&choice);
        }
        let owed = if free && common.register.is_due(now) {
            choice.owed(&avoids)
        } else {
            None
        };
        let is_owed = owed.is_some();
        let (index, probe) = match owed {
            Some(owed) => owed,
            None => (choice.best(avoids)?, None),
        };
        Some(Pick {
            snapshot,
            index,
            is_owed,
            probe,
        })
    }

    /// Hands an endpoint that a request has found not ready to the driver.
    pub(crate) fn not_ready(&self, endpoint: &Arc<Endpoint<K, S>>) {
        if endpoint.clear_ready() {
            self.hand_over(endpoint, false);
        }
    }

    /// Likewise after a readiness error. Of many requests that meet it at once one counts.
    pub(crate) fn failed(&self, endpoint: &Arc<Endpoint<K, S>>, error: &BoxError)
    where
        K: Debug,
    {
        if endpoint.clear_ready() || !self.shared.is_driven() {
            endpoint.readiness_failed();
            if self.shared.is_driven() {
                report(endpoint, &**error, backoff(endpoint.errors()));
            } else {
                // It may be so for each request.
                let endpoint = &endpoint.load.key;
                tracing::trace!(?endpoint, %error, "endpoint is not ready");
            }
            self.hand_over(endpoint, true);
        }
    }

    pub(crate) fn found_ready(&self, endpoint: &Endpoint<K, S>) {
        endpoint.dispatched();
        if !self.shared.is_driven() {
            endpoint.set_ready();
        }
    }

    fn hand_over(&self, endpoint: &Arc<Endpoint<K, S>>, failed: bool) {
        // Without a driver this fails, and requests find out for themselves.
        let _ = self.unready.send(Unready {
            endpoint: Arc::clone(endpoint),
            failed,
        });
    }

    /// Keeps the driver until [`drive`](Self::drive) finds a runtime.
    pub(crate) fn defer(&mut self, driver: impl Future<Output = ()> + Send + 'static) {
        self.deferred = Deferred::new(driver);
    }

    pub(crate) fn drive(&self) {
        self.deferred.drive();
    }

    #[cold]
    fn renew(&self, choice: &Choice<'_, K, S>) {
        let Choice {
            snapshot, common, ..
        } = *choice;
        let now = choice.lens.now;
        let Some(elapsed) = common.typical.claim_renewal(now) else {
            return;
        };
        common
            .typical
            .set_served(self.counters.picks.total(), elapsed);
        if common.register.ejected() > 0 {
            choice.weigh();
        }
        // A window that moves on over a big set, so that all of it counts in time.
        let entries = snapshot.entries();
        let step = (now / typical::RENEWAL) as usize;
        let start = step.wrapping_mul(typical::MOST_SAMPLED) % entries.len().max(1);
        let (before, after) = entries.split_at(start);
        let sampled = || after.iter().chain(before).take(typical::MOST_SAMPLED);
        // What is known only of cancelled requests must not become typical: those that were not
        // tried yet would look as bad as one that hangs.
        let measured = sampled()
            .filter(|entry| entry.load.outcomes().totals().successes > 0)
            .filter_map(|entry| entry.load.measured(now));
        if let Some(median) = typical::median(measured) {
            common.typical.set_per_place(median, elapsed);
        }
        let failing = sampled().filter_map(|entry| entry.load.failing(now));
        common
            .typical
            .set_failing(typical::median(failing).unwrap_or(0.0));
    }
}

#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) picks: Sum,
    pub(crate) repicks: AtomicU64,
    pub(crate) waits: AtomicU64,
    pub(crate) probes: AtomicU64,
}

impl Counters {
    fn new() -> Self {
        Self {
            picks: Sum::new(),
            repicks: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            probes: AtomicU64::new(0),
        }
    }
}

impl<K, S, C, T, A> Debug for Pool<K, S, C, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("endpoints", &self.shared.snapshot.load().entries().len())
            .field("driven", &self.shared.is_driven())
            .field("choices", &self.choices)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}
