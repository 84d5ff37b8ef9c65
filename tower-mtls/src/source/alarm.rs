//! Tells, once each, that a certificate should have been renewed and that it has expired.

use std::{
    sync::{
        Arc,
        atomic::Ordering::{AcqRel, Relaxed},
    },
    time::{Duration, SystemTime},
};

use tokio::{select, time::sleep};

use super::{Event, shared::Shared, snapshot::Published};
use crate::Credentials;

/// Spawns the task that watches the expiry, if there is none and this is in a runtime. It ends with
/// the last handle of the source.
pub(super) fn attend(shared: &Arc<Shared>) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    if shared.attend() {
        let attendance = Attendance(shared.clone());
        drop(runtime.spawn(async move { watch(&attendance.0).await }));
    }
}

/// The next one who asks spawns a task again if the runtime of this one has ended.
struct Attendance(Arc<Shared>);

impl Drop for Attendance {
    fn drop(&mut self) {
        self.0.attended.store(false, Relaxed);
    }
}

async fn watch(shared: &Shared) {
    let mut changes = shared.changes();
    loop {
        changes.mark_unchanged();
        let current = shared.current().clone();
        let wait = current
            .as_deref()
            .and_then(|current| next(shared, current, SystemTime::now()));
        let timer = async {
            match wait {
                Some(wait) => sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        select! {
            () = shared.closed() => return,
            _ = changes.changed() => {}
            () = timer => {}
        }
    }
}

/// Tells what is due, and gives the time until there may be more to tell.
fn next(shared: &Shared, current: &Published, now: SystemTime) -> Option<Duration> {
    let credentials = current.snapshot.credentials()?;
    let not_after = credentials.not_after();
    let alarm = alarm(credentials);
    let (stage, event, next) = match now {
        now if now < alarm => return Some(wait(now, alarm)),
        now if now < not_after => (1, Event::ExpiresSoon { not_after }, Some(not_after)),
        _ => (2, Event::Expired { not_after }, None),
    };
    if current.told.fetch_max(stage, AcqRel) < stage {
        shared.told.tell(&event);
    }
    next.map(|next| wait(now, next))
}

fn wait(now: SystemTime, until: SystemTime) -> Duration {
    let left = until.duration_since(now).unwrap_or_default();
    // The clock of the wall may be set, and runs while the machine sleeps; a timer does neither.
    left.min(LONGEST_SLEEP)
}

/// When a third of the certificate's life is left.
fn alarm(credentials: &Credentials) -> SystemTime {
    let (from, until) = (credentials.not_before(), credentials.not_after());
    let life = until.duration_since(from).unwrap_or_default();
    until.checked_sub(life / 3).unwrap_or(until)
}

const LONGEST_SLEEP: Duration = Duration::from_secs(60);
