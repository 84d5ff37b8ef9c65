//! One handshake: counted, logged, and told to the observer.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::{debug, warn};

use crate::{
    MtlsStream,
    error::HandshakeError,
    observer::{Handshake, Outcome, Session},
    stats::{Counters, Phase},
};

/// Dropped without an outcome it counts as cancelled.
#[derive(Debug)]
pub(crate) struct Attempt {
    counters: Arc<Counters>,
    since: Instant,
    phase: Option<Phase>,
}

impl Attempt {
    pub(crate) fn waiting(counters: &Arc<Counters>) -> Self {
        Self::new(counters, Phase::Waiting)
    }

    pub(crate) fn running(counters: &Arc<Counters>) -> Self {
        Self::new(counters, Phase::Running)
    }

    fn new(counters: &Arc<Counters>, phase: Phase) -> Self {
        counters.enter(phase);
        Self {
            counters: counters.clone(),
            since: Instant::now(),
            phase: Some(phase),
        }
    }

    /// The wait is over: the handshake runs.
    pub(crate) fn start(&mut self) {
        self.leave();
        self.phase = Some(Phase::Running);
        self.counters.enter(Phase::Running);
    }

    pub(crate) fn end<IO>(&mut self, outcome: &Result<MtlsStream<IO>, HandshakeError>) {
        match outcome {
            Ok(stream) => self.succeed(&Session::of(stream)),
            Err(error) => self.fail(error),
        }
    }

    pub(crate) fn fail(&mut self, error: &HandshakeError) {
        self.leave();
        self.counters.failed(error.reason());
        let side = self.counters.side().as_str();
        let reason = error.reason().as_str();
        let claimed_peer = error.claimed_peer().map(tracing::field::display);
        if error.reason().is_refusal() {
            warn!(side, reason, claimed_peer, %error, "peer refused");
        } else {
            debug!(side, reason, claimed_peer, %error, "handshake failed");
        }
        self.tell(Outcome::Failed(error));
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.phase.is_none()
    }

    fn succeed(&mut self, session: &Session<'_>) {
        self.leave();
        self.counters.succeeded(session.version(), self.took());
        let peer = session.peer().map(tracing::field::display);
        let group = session.group();
        debug!(
            side = self.counters.side().as_str(),
            peer, group, "handshake done"
        );
        self.tell(Outcome::Succeeded(session));
    }

    fn tell(&self, outcome: Outcome<'_>) {
        let side = self.counters.side();
        let told = Handshake::new(side, self.took(), outcome);
        self.counters.observer().tell(&told);
    }

    fn took(&self) -> Duration {
        Instant::now().saturating_duration_since(self.since)
    }

    fn leave(&mut self) {
        if let Some(phase) = self.phase.take() {
            self.counters.leave(phase);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.phase.is_some() {
            self.leave();
            self.counters.cancelled();
            self.tell(Outcome::Cancelled);
        }
    }
}
