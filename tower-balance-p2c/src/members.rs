use std::{
    collections::HashMap,
    fmt::Debug,
    hash::Hash,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{
    future::{AbortHandle, Abortable},
    stream::{FuturesUnordered, Stream as _},
};
use tower_service::Service;

use crate::{
    BoxError, Change,
    drive::Drive,
    endpoint::{Endpoint, Unready},
    pool::Shared,
};

/// The driver's own view of the set: what is in it, what is being driven, and what requests have
/// not been told yet.
pub(crate) struct Members<K, S, Req> {
    slots: HashMap<K, Slot<K, S>>,
    drives: FuturesUnordered<Abortable<Drive<K, S, Req>>>,
    retired: Vec<Arc<Endpoint<K, S>>>,
    changed: bool,
    became_ready: bool,
}

struct Slot<K, S> {
    endpoint: Arc<Endpoint<K, S>>,
    drive: Option<AbortHandle>,
}

impl<K, S, Req> Members<K, S, Req> {
    pub(crate) fn new() -> Self {
        Self {
            slots: HashMap::new(),
            drives: FuturesUnordered::new(),
            retired: Vec::new(),
            changed: false,
            became_ready: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Tells the requests what has changed, in one step.
    pub(crate) fn publish(&mut self, shared: &Shared<K, S>) {
        if self.changed {
            let endpoints = self.slots.values().map(|slot| Arc::clone(&slot.endpoint));
            shared.endpoints.store(Arc::new(endpoints.collect()));
            for endpoint in self.retired.drain(..) {
                endpoint.remove();
            }
        }
        if self.changed || self.became_ready {
            shared.changed.notify_waiters();
        }
        self.changed = false;
        self.became_ready = false;
    }

    fn retire(&mut self, slot: Slot<K, S>) {
        if let Some(drive) = slot.drive {
            drive.abort();
        }
        self.retired.push(slot.endpoint);
    }
}

impl<K, S, Req> Members<K, S, Req>
where
    K: Hash + Eq + Clone + Debug,
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
{
    pub(crate) fn apply(&mut self, change: Change<K, S>, shared: &Shared<K, S>) {
        match change {
            Change::Insert(key, service) | Change::InsertWith(key, service, _) => {
                self.insert(key, service, shared);
            }
            Change::Remove(key) => {
                let Some(slot) = self.slots.remove(&key) else {
                    return;
                };
                tracing::debug!(endpoint = ?key, "endpoint removed");
                self.retire(slot);
                self.changed = true;
            }
        }
    }

    fn insert(&mut self, key: K, service: S, shared: &Shared<K, S>) {
        let load = match self.slots.get(&key) {
            Some(slot) => Arc::clone(&slot.endpoint.load),
            None => Arc::new(shared.new_load()),
        };
        let endpoint = Arc::new(Endpoint::new(key.clone(), service, load));
        let drive = Some(self.start(&endpoint, false, shared));
        tracing::debug!(endpoint = ?key, "endpoint inserted");
        let replaced = self.slots.insert(key, Slot { endpoint, drive });
        if let Some(slot) = replaced {
            self.retire(slot);
        }
        self.changed = true;
    }

    /// Drives an endpoint that a request has found not ready.
    pub(crate) fn drive(&mut self, unready: &Unready<K, S>, shared: &Shared<K, S>) {
        let is_current = |slot: &Slot<K, S>| {
            slot.drive.is_none() && Arc::ptr_eq(&slot.endpoint, &unready.endpoint)
        };
        if !self
            .slots
            .get(&unready.endpoint.key)
            .is_some_and(is_current)
        {
            return;
        }
        let drive = self.start(&unready.endpoint, unready.failed, shared);
        if let Some(slot) = self.slots.get_mut(&unready.endpoint.key) {
            slot.drive = Some(drive);
        }
    }

    /// Polls what is being driven. True if there is more to do at once.
    pub(crate) fn poll_drives(&mut self, cx: &mut Context<'_>) -> bool {
        for _ in 0..MOST_READY_IN_A_POLL {
            match Pin::new(&mut self.drives).poll_next(cx) {
                Poll::Ready(Some(Ok(endpoint))) => self.ready(&endpoint),
                Poll::Ready(Some(Err(_aborted))) => {}
                Poll::Ready(None) | Poll::Pending => return false,
            }
        }
        true
    }

    fn ready(&mut self, endpoint: &Endpoint<K, S>) {
        // A drive that is over is this slot's: that of a retired endpoint was aborted.
        if let Some(slot) = self.slots.get_mut(&endpoint.key) {
            slot.drive = None;
        }
        if endpoint.errors() == 0 {
            tracing::trace!(endpoint = ?endpoint.key, "endpoint is ready");
        } else {
            tracing::info!(endpoint = ?endpoint.key, "endpoint is ready again");
        }
        endpoint.set_ready();
        self.became_ready = true;
    }

    fn start(
        &mut self,
        endpoint: &Arc<Endpoint<K, S>>,
        failed: bool,
        shared: &Shared<K, S>,
    ) -> AbortHandle {
        let (handle, registration) = AbortHandle::new_pair();
        let drive = Drive::new(Arc::clone(endpoint), failed, shared.clock);
        self.drives.push(Abortable::new(drive, registration));
        handle
    }
}

/// So that a big set does not keep a runtime's thread to itself.
const MOST_READY_IN_A_POLL: usize = 64;
