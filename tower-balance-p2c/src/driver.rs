use std::{
    fmt::{self, Debug},
    future::Future,
    hash::Hash,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;
use pin_project_lite::pin_project;
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Sleep, sleep},
};
use tower_service::Service;

use crate::{
    BoxError, Change, Event, backoff::backoff, endpoint::Unready, members::Members, shared::Shared,
};

pin_project! {
    /// The half of a balancer that works while no request does: it follows discovery, and makes
    /// endpoints ready that are not.
    ///
    /// Spawn it, on a tokio runtime with time enabled. It ends when the last
    /// [`Balance`](crate::Balance) and the last request without an answer are gone, and drops
    /// discovery and the endpoints then. It does not end with discovery: the end of the stream
    /// keeps the last set.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the [`Balance`](crate::Balance) with the last set, in which every
    /// endpoint is a candidate: each request finds out for itself which are ready.
    #[must_use = "a balancer has no endpoints until its driver is spawned"]
    pub struct Driver<D, K, S, Req> {
        #[pin]
        discovery: Discovery<D>,
        unready: UnboundedReceiver<Unready<K, S>>,
        members: Members<K, S, Req>,
        shared: Arc<Shared<K, S>>,
    }

    impl<D, K, S, Req> PinnedDrop for Driver<D, K, S, Req> {
        fn drop(this: Pin<&mut Self>) {
            this.shared.set_driven(false);
        }
    }
}

impl<D, K, S, Req> Driver<D, K, S, Req> {
    pub(crate) fn new(
        discover: D,
        unready: UnboundedReceiver<Unready<K, S>>,
        shared: Arc<Shared<K, S>>,
    ) -> Self {
        Self {
            discovery: Discovery {
                stream: Some(discover),
                pause: None,
                errors: 0,
            },
            unready,
            members: Members::new(),
            shared,
        }
    }

    /// Drops everything but the object.
    fn end(self: Pin<&mut Self>) {
        let mut this = self.project();
        this.discovery.as_mut().project().stream.set(None);
        *this.members = Members::new();
        this.shared.snapshot.store(Arc::default());
        this.shared.set_driven(false);
    }
}

impl<D, K, S, Req, E> Future for Driver<D, K, S, Req>
where
    D: Stream<Item = Result<Change<K, S>, E>>,
    E: Into<BoxError>,
    K: Hash + Eq + Clone + Debug + Send + Sync + 'static,
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.as_mut().project();
        let mut more = true;
        for _ in 0..MOST_IN_A_POLL {
            match this.unready.poll_recv(cx) {
                Poll::Ready(Some(unready)) => this.members.drive(&unready),
                Poll::Ready(None) => {
                    self.end();
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    more = false;
                    break;
                }
            }
        }
        more |= this.discovery.poll(this.members, this.shared, cx);
        // Before `publish`, so that an endpoint that is ready at once is never seen as not ready.
        more |= this.members.poll_drives(cx);
        this.members.publish(this.shared);
        this.shared.set_driven(true);
        if more {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

pin_project! {
    /// The stream, until it ends.
    struct Discovery<D> {
        #[pin]
        stream: Option<D>,
        #[pin]
        pause: Option<Sleep>,
        // In a row.
        errors: u32,
    }
}

impl<D> Discovery<D> {
    /// Applies what has changed. True if there is more to do at once.
    fn poll<K, S, Req, E>(
        self: Pin<&mut Self>,
        members: &mut Members<K, S, Req>,
        shared: &Shared<K, S>,
        cx: &mut Context<'_>,
    ) -> bool
    where
        D: Stream<Item = Result<Change<K, S>, E>>,
        E: Into<BoxError>,
        K: Hash + Eq + Clone + Debug + Send + Sync + 'static,
        S: Service<Req> + Clone,
        S::Error: Into<BoxError>,
    {
        let mut this = self.project();
        for _ in 0..MOST_IN_A_POLL {
            if let Some(pause) = this.pause.as_mut().as_pin_mut() {
                if pause.poll(cx).is_pending() {
                    return false;
                }
                this.pause.set(None);
            }
            let Some(stream) = this.stream.as_mut().as_pin_mut() else {
                return false;
            };
            // What discovery does must not take the endpoints that are known with it.
            let polled = catch_unwind(AssertUnwindSafe(|| stream.poll_next(cx)));
            let Ok(polled) = polled else {
                shared.common.told.tell(&Event::DiscoveryPanicked);
                // Dropping it may panic too.
                let _ = catch_unwind(AssertUnwindSafe(|| this.stream.set(None)));
                return false;
            };
            match polled {
                Poll::Ready(Some(Ok(change))) => {
                    *this.errors = 0;
                    members.apply(change, shared);
                }
                Poll::Ready(Some(Err(error))) => {
                    *this.errors = this.errors.saturating_add(1);
                    // A stream that does nothing but fail must not keep a core busy.
                    let pause = this.errors.checked_sub(1).filter(|&again| again > 0);
                    this.pause.set(pause.map(|again| sleep(backoff(again))));
                    let error = error.into();
                    let told = &shared.common.told;
                    told.tell(&Event::DiscoveryFailed { error: &*error });
                }
                Poll::Ready(None) => {
                    shared.common.told.tell(&Event::DiscoveryEnded);
                    this.stream.set(None);
                    return false;
                }
                Poll::Pending => return false,
            }
        }
        true
    }
}

impl<D, K, S, Req> Debug for Driver<D, K, S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("endpoints", &self.members.len())
            .field("discovery_ended", &self.discovery.stream.is_none())
            .finish_non_exhaustive()
    }
}

/// Half of tokio's budget for a poll: a discovery that always has more must not starve the drives.
const MOST_IN_A_POLL: usize = 64;
