//! Counting a connection's streams.

use std::sync::{
    Arc,
    atomic::{
        AtomicU32, AtomicUsize,
        Ordering::{Relaxed, SeqCst},
    },
};

use tokio::sync::Notify;
use tower_mtls::PeerIdentity;

use crate::endpoint::queue::Queue;

/// How many streams a connection has, and how many its peer allows.
#[derive(Debug)]
pub(super) struct Streams {
    in_flight: AtomicUsize,
    limit: Arc<Limit>,
    /// How often in a row it was seen without any.
    seen_unused: AtomicU32,
    room: Arc<Room>,
    peer: Option<PeerIdentity>,
}

/// How many streams a peer allows: what its SETTINGS say now, and zero before they came.
pub(super) type Limit = AtomicUsize;

/// One stream, counted until it is dropped.
#[derive(Debug)]
pub(in crate::endpoint) struct Stream(Arc<Streams>);

/// Where requests wait for a stream of any connection.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) queue: Queue,
    pub(super) freed: Notify,
}

impl Streams {
    pub(super) fn new(limit: Arc<Limit>, room: Arc<Room>, peer: Option<PeerIdentity>) -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            limit,
            seen_unused: AtomicU32::new(0),
            room,
            peer,
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(SeqCst)
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Whether it was unused at so many of these looks in a row, this one included.
    pub(super) fn look_unused(&self, looks: u32) -> bool {
        if self.in_flight() > 0 {
            self.seen_unused.store(0, Relaxed);
            return false;
        }
        self.seen_unused.fetch_add(1, Relaxed) + 1 >= looks
    }
}

impl Stream {
    /// One more, unless there are as many as may be.
    pub(super) fn enter(streams: &Arc<Streams>) -> Option<Self> {
        let limit = streams.limit();
        let counted = streams
            .in_flight
            .try_update(SeqCst, SeqCst, |count| (count < limit).then_some(count + 1));
        counted.ok()?;
        streams.seen_unused.store(0, Relaxed);
        Some(Self(streams.clone()))
    }

    /// Whom its connection goes to.
    pub(in crate::endpoint) fn peer(&self) -> Option<&PeerIdentity> {
        self.0.peer.as_ref()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, SeqCst);
        if !self.0.room.queue.is_empty() {
            self.0.room.freed.notify_one();
        }
    }
}

impl Room {
    pub(super) fn new(max_pending: usize) -> Self {
        Self {
            queue: Queue::new(max_pending),
            freed: Notify::new(),
        }
    }
}
