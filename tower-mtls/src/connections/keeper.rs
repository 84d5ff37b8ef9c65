use std::{
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use tokio::{
    select,
    sync::{Notify, watch},
    task::spawn_blocking,
    time::sleep,
};

use super::{Chain, Connections};

/// What there is to do for the connections.
pub(super) enum Look {
    Due(Vec<Chain>),
    Wait(Duration),
    Idle,
}

/// It keeps no connection alive, and ends when they and their layer or acceptor are gone.
pub(super) struct Keeper(Weak<Connections>);

impl Keeper {
    pub(super) fn new(connections: &Arc<Connections>) -> Self {
        Self(Arc::downgrade(connections))
    }

    pub(super) async fn keep(&self, look: &Notify, mut changes: watch::Receiver<u64>) {
        loop {
            changes.mark_unchanged();
            let Some(connections) = self.0.upgrade() else {
                return;
            };
            let wait = match connections.look(SystemTime::now()) {
                Look::Due(chains) => {
                    let review = spawn_blocking(move || connections.review(chains));
                    match review.await {
                        Ok(()) => continue,
                        // The runtime ends.
                        Err(_) => return,
                    }
                }
                // The clock of the wall may be set, and runs while the machine sleeps; a timer does neither.
                Look::Wait(wait) => Some(wait.min(LONGEST_SLEEP)),
                Look::Idle => None,
            };
            drop(connections);
            let timer = async {
                match wait {
                    Some(wait) => sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            select! {
                () = look.notified() => {}
                _ = changes.changed() => {}
                () = timer => {}
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // The next connection has another one spawned if the runtime of this one has ended.
        if let Some(connections) = self.0.upgrade() {
            connections.abandoned();
        }
    }
}

const LONGEST_SLEEP: Duration = Duration::from_secs(60);
