//! The same open load on every arm: requests come when they come, whoever is slow.

use std::time::Duration;

use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{arms::Arm, figures::Figures};

/// To each arm.
pub(super) const REQUESTS_PER_SECOND: u32 = 200;

/// The load that runs.
#[derive(Debug)]
pub(super) struct Load {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Load {
    pub(super) fn start(arms: [Box<dyn Arm>; 3], figures: Figures) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self {
            stop,
            task: tokio::spawn(generate(arms, figures, stopped)),
        }
    }

    /// Sends no more, and waits for the answers that are on their way.
    pub(super) async fn finish(self) {
        self.stop.send_replace(true);
        // A panic in the generator has been printed; the figures show what it left undone.
        let _ = self.task.await;
    }
}

async fn generate(mut arms: [Box<dyn Arm>; 3], figures: Figures, stopped: watch::Receiver<bool>) {
    let mut ticks = interval(Duration::from_secs(1) / REQUESTS_PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut in_flight = JoinSet::new();
    while !*stopped.borrow() {
        let due = ticks.tick().await;
        for (index, arm) in arms.iter_mut().enumerate() {
            let (answer, figures) = (arm.send(), figures.clone());
            in_flight.spawn(async move {
                let succeeded = answer.await;
                let latency = Instant::now().saturating_duration_since(due);
                figures.record(index, succeeded, latency);
            });
        }
        while in_flight.try_join_next().is_some() {}
    }
    let last_answers = async { while in_flight.join_next().await.is_some() {} };
    let _ = timeout(LAST_ANSWERS, last_answers).await;
}

/// Longer than any arm waits.
const LAST_ANSWERS: Duration = Duration::from_secs(6);
