//! One connection, from its dial to its last use.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use super::link::{Link, Lives};
use crate::endpoint::{
    connection::RequestBody,
    dials::{Gate, Held, MayEnd},
    ended::Ended,
    handshake::Http1Parts,
    idle_limit::IdleLimits,
};

/// A connection that was made. It ends by itself where nobody uses it.
pub(super) struct Made<B> {
    sender: SendRequest<B>,
    link: Weak<Link>,
}

/// A connection that may carry a request.
pub(super) struct Pooled<B> {
    pub(super) sender: SendRequest<B>,
    pub(super) link: Arc<Link>,
    /// By which its end is reported; the first of a pool that is made again itself has none.
    pub(super) held: Option<Held<Made<B>>>,
}

/// Moves bytes, and sees connections end.
#[derive(Clone)]
pub(super) struct Driver {
    lives: Arc<Lives>,
    learnt: Arc<IdleLimits>,
    gate: Arc<Gate>,
    max_age: Duration,
}

impl Driver {
    pub(super) fn new(
        lives: Arc<Lives>,
        learnt: Arc<IdleLimits>,
        gate: Arc<Gate>,
        max_age: Duration,
    ) -> Self {
        Self {
            lives,
            learnt,
            gate,
            max_age,
        }
    }

    pub(super) fn drive<B: RequestBody>(
        &self,
        (sender, connection, peer): Http1Parts<B>,
    ) -> Made<B> {
        let link = Link::new(self.lives.clone(), self.max_age, self.gate.round(), peer);
        let link = Arc::new(link);
        let made = Made {
            sender,
            link: Arc::downgrade(&link),
        };
        let (ours, learnt) = (link.clone(), self.learnt.clone());
        let driving = tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "HTTP/1 connection to an endpoint ended");
            }
            let now = Instant::now();
            if let Some(unused) = ours.unused_for(now) {
                learnt.closed(unused, now);
            }
        });
        link.driven_by(driving.abort_handle());
        made
    }
}

impl<B: RequestBody> Made<B> {
    /// For its first request; none if it has ended meanwhile.
    pub(super) fn used_by(self, mut held: Option<Held<Self>>) -> Option<Pooled<B>> {
        let Some(link) = self.link.upgrade() else {
            if let Some(held) = &mut held {
                held.report_lost(Ended::new(false, UNUSED));
            }
            return None;
        };
        Some(Pooled {
            sender: self.sender,
            link,
            held,
        })
    }
}

impl<B> MayEnd for Made<B> {
    fn has_ended(&self) -> bool {
        self.link.strong_count() == 0 || self.sender.is_closed()
    }
}

const UNUSED: &str = "the connection ended before it was used";
