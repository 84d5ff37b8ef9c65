//! Making, replacing and closing connections of a set, off the way of requests.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};

use super::{Http2Parts, Member, Shared};
use crate::{
    BoxError,
    endpoint::{connection::RequestBody, dials::Held},
};

impl<B: RequestBody> Shared<B> {
    /// Begins to make one more connection, if there may be one.
    pub(super) fn grow(self: &Arc<Self>) {
        if self.members.load().len() >= self.settings.max_connections {
            return;
        }
        let (shared, dials) = (Arc::downgrade(self), self.dials.clone());
        let room = self.room.clone();
        let growing = || async move {
            let dialled = dials.connect_when_due().await;
            if let Some(shared) = shared.upgrade() {
                shared.dialled(dialled);
            }
        };
        self.growing
            .begin(growing, move || room.freed.notify_waiters());
    }

    fn dialled(self: &Arc<Self>, dialled: Result<Dialled<B>, BoxError>) {
        match dialled {
            Ok((connection, held)) => self.join(connection, Some(held)),
            Err(error) => tracing::debug!(error, "no further HTTP/2 connection to an endpoint"),
        }
    }
}

type Dialled<B> = (Http2Parts<B>, Held<Http2Parts<B>>);

/// Replaces a connection that is too old: the next one is made first.
pub(super) async fn retire<B: RequestBody>(
    shared: Weak<Shared<B>>,
    member: Weak<Member<B>>,
    retires: Instant,
) {
    sleep_until(retires).await;
    loop {
        let Some(set) = shared.upgrade().filter(|_| member.strong_count() > 0) else {
            return;
        };
        if set.can_do_without(&member) {
            return set.leave(&member);
        }
        let dials = set.dials.clone();
        drop(set);
        let dialled = dials.connect_when_due().await;
        if let Some(set) = shared.upgrade() {
            set.dialled(dialled);
        }
    }
}

/// Ends further connections that nobody has used for `limit`.
pub(super) async fn sweep<B: RequestBody>(shared: Weak<Shared<B>>, limit: Duration) {
    loop {
        sleep(limit / LOOKS).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let members = shared.members.load_full();
        // One look more, as the first may come at once.
        for member in members
            .iter()
            .filter(|member| member.streams.look_unused(LOOKS + 1))
        {
            let member = Arc::downgrade(member);
            if shared.can_do_without(&member) {
                shared.leave(&member);
            }
        }
    }
}

/// How often within `reconnect.idle` connections are looked at.
const LOOKS: u32 = 4;
