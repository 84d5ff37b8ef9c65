//! Making, replacing and closing connections of a set, off the way of requests.

use std::{
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};

use super::{Http2Parts, Member, Shared};
use crate::{BoxError, endpoint::connection::RequestBody};

impl<B: RequestBody> Shared<B> {
    /// Begins to make one more connection, if there may be one.
    pub(super) fn grow(self: &Arc<Self>) {
        let is_full = self.members.load().len() >= self.settings.max_connections;
        if is_full || self.growing.swap(true, Relaxed) {
            return;
        }
        let shared = Arc::downgrade(self);
        let dialer = self.dialer.clone();
        tokio::spawn(async move {
            let dialled = dialer.dial_http2().await;
            let pause = match shared.upgrade() {
                Some(shared) => shared.dialled(dialled),
                None => return,
            };
            if let Some(pause) = pause {
                sleep(pause).await;
            }
            if let Some(shared) = shared.upgrade() {
                shared.growing.store(false, Relaxed);
                shared.room.freed.notify_waiters();
            }
        });
    }

    /// Takes a connection in, or says how long not to dial.
    fn dialled(self: &Arc<Self>, dialled: Result<Http2Parts<B>, BoxError>) -> Option<Duration> {
        match dialled {
            Ok(connection) => {
                self.failures.store(0, Relaxed);
                self.join(connection);
                None
            }
            Err(error) => {
                let failures = self.failures.fetch_add(1, Relaxed);
                tracing::debug!(
                    error,
                    failures,
                    "no further HTTP/2 connection to an endpoint"
                );
                let backoff = self.settings.backoff;
                let pause = backoff.base.saturating_mul(1 << failures.min(16));
                Some(pause.min(backoff.max))
            }
        }
    }
}

/// Replaces a connection that is too old: the next one is made first.
pub(super) async fn retire<B: RequestBody>(
    shared: Weak<Shared<B>>,
    member: Weak<Member<B>>,
    retires: Instant,
) {
    sleep_until(retires).await;
    loop {
        let Some(shared) = shared.upgrade().filter(|_| member.strong_count() > 0) else {
            return;
        };
        if shared.can_do_without(&member) {
            return shared.leave(&member);
        }
        if let Some(pause) = shared.dialled(shared.dialer.clone().dial_http2().await) {
            drop(shared);
            sleep(pause).await;
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
