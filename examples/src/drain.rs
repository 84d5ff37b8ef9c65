//! How everything that runs learns that the process is ending, and how the process waits for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::{Notify, mpsc, watch};

/// Where the process is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Everything is served.
    Running,
    /// Still accepting, but `/ready` says 503 and answers ask clients to leave.
    Leaving,
    /// No new connection; those that are idle end, the others end after their answers.
    Closing,
    /// The grace is over: everything ends.
    Over,
}

/// The one who says so.
#[derive(Debug)]
pub struct Drain {
    phase: watch::Sender<Phase>,
    alive: mpsc::Sender<()>,
    gone: mpsc::Receiver<()>,
}

/// One who may ask for the drain; whoever runs the process begins it.
#[derive(Clone, Debug, Default)]
pub struct DrainRequest(Arc<Request>);

#[derive(Debug, Default)]
struct Request {
    claimed: AtomicBool,
    begun: Notify,
}

/// One who listens; the drain waits until all are dropped.
#[derive(Clone, Debug)]
pub struct Draining {
    phase: Observed,
    _alive: mpsc::Sender<()>,
}

/// One who only looks; the drain does not wait for it.
#[derive(Clone, Debug)]
pub struct Observed(watch::Receiver<Phase>);

impl Drain {
    /// A process that runs.
    pub fn new() -> Self {
        let (alive, gone) = mpsc::channel(1);
        Self {
            phase: watch::Sender::new(Phase::Running),
            alive,
            gone,
        }
    }

    /// A listener's handle, to be dropped when it has ended.
    pub fn listen(&self) -> Draining {
        Draining {
            phase: self.observe(),
            _alive: self.alive.clone(),
        }
    }

    /// An onlooker's handle.
    pub fn observe(&self) -> Observed {
        Observed(self.phase.subscribe())
    }

    /// Leaves for `delay`, then closes; true if all have ended within `grace`.
    pub async fn run(self, delay: Duration, grace: Duration) -> bool {
        let Self {
            phase,
            alive,
            mut gone,
        } = self;
        phase.send_replace(Phase::Leaving);
        tokio::time::sleep(delay).await;
        phase.send_replace(Phase::Closing);
        drop(alive);
        let whole = tokio::time::timeout(grace, gone.recv()).await.is_ok();
        phase.send_replace(Phase::Over);
        whole
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl DrainRequest {
    /// Whether this is the first to ask. Who is told so must [`begin`](Self::begin).
    pub fn claim(&self) -> bool {
        !self.0.claimed.swap(true, Relaxed)
    }

    /// Tells [`asked`](Self::asked), once what was left to say is said.
    pub fn begin(&self) {
        self.0.begun.notify_one();
    }

    /// Waits until somebody has asked.
    pub async fn asked(&self) {
        self.0.begun.notified().await;
    }
}

impl Draining {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        self.phase.phase()
    }

    /// Waits for `phase`, or for the end of the process.
    pub async fn reached(&mut self, phase: Phase) {
        // An error means that the drain itself is gone: that is the end as well.
        let _ = self.phase.0.wait_for(|now| *now >= phase).await;
    }
}

impl Observed {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }
}
