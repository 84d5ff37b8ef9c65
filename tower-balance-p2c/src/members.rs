use std::{
    collections::{BTreeMap, HashMap},
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
    Attributes, BoxError, Change, Event,
    common::Name,
    drive::Drive,
    endpoint::{Endpoint, Unready},
    load::Load,
    shared::Shared,
    snapshot::Snapshot,
};

/// The driver's own view of the set: what is in it, what is being driven, and what requests have
/// not been told yet.
pub(crate) struct Members<K, S, Req> {
    /// In the order in which they joined, so that equal histories make equal sets.
    slots: BTreeMap<u64, Slot<K, S>>,
    places: HashMap<K, u64>,
    next_place: u64,
    drives: FuturesUnordered<Abortable<Drive<K, S, Req>>>,
    retired: Vec<Arc<Endpoint<K, S>>>,
    changed: bool,
    became_ready: bool,
}

struct Slot<K, S> {
    endpoint: Arc<Endpoint<K, S>>,
    attributes: Attributes,
    drive: Option<AbortHandle>,
}

impl<K, S, Req> Members<K, S, Req> {
    pub(crate) fn new() -> Self {
        Self {
            slots: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
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
            let endpoints = self.slots.values();
            let endpoints =
                endpoints.map(|slot| (Arc::clone(&slot.endpoint), slot.attributes.clone()));
            let snapshot = Snapshot::new(endpoints, shared.zone.as_deref());
            shared.snapshot.store(Arc::new(snapshot));
            shared.common.register.set_members(self.slots.len());
            for endpoint in self.retired.drain(..) {
                endpoint.remove();
            }
        }
        if self.changed || self.became_ready {
            shared.common.changed.notify_waiters();
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
    K: Hash + Eq + Clone + Debug + Send + Sync + 'static,
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
{
    pub(crate) fn apply(&mut self, change: Change<K, S>, shared: &Shared<K, S>) {
        match change {
            Change::Insert(key, service) => {
                self.insert(key, service, Attributes::default(), shared);
            }
            Change::InsertWith(key, service, attributes) => {
                self.insert(key, service, attributes, shared);
            }
            Change::Remove(key) => {
                let place = self.places.remove(&key);
                let Some(slot) = place.and_then(|place| self.slots.remove(&place)) else {
                    return;
                };
                let load: Arc<Load<dyn Name>> = slot.endpoint.load.clone();
                shared.common.register.leave(&load);
                load.tell(|endpoint| Event::Removed { endpoint });
                self.retire(slot);
                self.changed = true;
            }
        }
    }

    fn insert(&mut self, key: K, service: S, attributes: Attributes, shared: &Shared<K, S>) {
        let place = self.places.get(&key).copied();
        let known = place.and_then(|place| self.slots.get(&place));
        let load = match known {
            Some(slot) => Arc::clone(&slot.endpoint.load),
            None => {
                let common = Arc::clone(&shared.common);
                let (now, joins) = (common.clock.now(), common.typical.is_known());
                Arc::new(Load::new(key.clone(), common, joins, now))
            }
        };
        load.tell(|endpoint| Event::Inserted { endpoint });
        let place = place.unwrap_or_else(|| {
            self.next_place += 1;
            self.places.insert(key, self.next_place);
            self.next_place
        });
        let endpoint = Arc::new(Endpoint::new(service, load));
        let slot = Slot {
            drive: Some(self.start(&endpoint, false)),
            endpoint,
            attributes,
        };
        if let Some(slot) = self.slots.insert(place, slot) {
            self.retire(slot);
        }
        self.changed = true;
    }

    /// Drives an endpoint that a request has found not ready.
    pub(crate) fn drive(&mut self, unready: &Unready<K, S>) {
        let place = self.places.get(&unready.endpoint.load.key).copied();
        let is_current = |slot: &Slot<K, S>| {
            slot.drive.is_none() && Arc::ptr_eq(&slot.endpoint, &unready.endpoint)
        };
        let slot = place.and_then(|place| self.slots.get(&place));
        if !slot.is_some_and(is_current) {
            return;
        }
        let drive = self.start(&unready.endpoint, unready.failed);
        if let Some(slot) = place.and_then(|place| self.slots.get_mut(&place)) {
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
        let place = self.places.get(&endpoint.load.key);
        if let Some(slot) = place.and_then(|place| self.slots.get_mut(place)) {
            slot.drive = None;
        }
        if endpoint.errors() == 0 {
            tracing::trace!(endpoint = ?endpoint.load.key, "endpoint is ready");
        } else {
            tracing::info!(endpoint = ?endpoint.load.key, "endpoint is ready again");
        }
        let common = &endpoint.load.common;
        let now = common.clock.now();
        if endpoint.load.begins(now) {
            // If it gets no request soon, one is owed to it.
            let patience = SHORTEST_PATIENCE + PATIENCE_SPREAD * common.chance.uniform();
            let member: Arc<Load<dyn Name>> = endpoint.load.clone();
            let due = now.saturating_add(patience as u64);
            common.register.join(&member, due);
        }
        endpoint.set_ready();
        self.became_ready = true;
    }

    fn start(&mut self, endpoint: &Arc<Endpoint<K, S>>, failed: bool) -> AbortHandle {
        let (handle, registration) = AbortHandle::new_pair();
        let drive = Drive::new(Arc::clone(endpoint), failed);
        self.drives.push(Abortable::new(drive, registration));
        handle
    }
}

/// 300 ms, and up to 700 ms more.
const SHORTEST_PATIENCE: f64 = 0.3e9;
const PATIENCE_SPREAD: f64 = 0.7e9;
/// So that a big set does not keep a runtime's thread to itself.
const MOST_READY_IN_A_POLL: usize = 64;
