use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::{
    sync::futures::OwnedNotified,
    time::{Instant, Sleep, sleep_until},
};

use crate::shared::Shared;

pin_project! {
    /// Ends when there may be something to pick, or no time left to wait.
    pub(crate) struct Waiting {
        #[pin]
        changed: OwnedNotified,
        #[pin]
        elapsed: Option<Sleep>,
        // Until somebody is to be owed a request: an endpoint its probe, most of all.
        #[pin]
        due: Option<Sleep>,
    }
}

impl Waiting {
    pub(crate) fn new<K, S>(shared: &Shared<K, S>, started: Instant, wait: Duration) -> Self {
        Self {
            changed: Arc::clone(&shared.common.changed).notified_owned(),
            // None if the end is further away than a clock can tell.
            elapsed: started.checked_add(wait).map(sleep_until),
            due: None,
        }
    }

    pub(crate) fn poll<K, S>(
        self: Pin<&mut Self>,
        shared: &Shared<K, S>,
        may_pick: bool,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut this = self.project();
        if this.changed.as_mut().poll(cx).is_ready() {
            this.changed
                .set(Arc::clone(&shared.common.changed).notified_owned());
            return Poll::Ready(());
        }
        let common = &shared.common;
        let due = common.register.next_due();
        let due = if may_pick {
            due.and_then(|due| common.clock.instant(due))
        } else {
            // Nobody else finds out whether those that were not ready are by now.
            let set = this.due.as_ref().as_pin_ref().map(|due| due.deadline());
            set.or_else(|| Instant::now().checked_add(UNDRIVEN_PAUSE))
        };
        if this.due.as_ref().as_pin_ref().map(|due| due.deadline()) != due {
            this.due.set(due.map(sleep_until));
        }
        let ends = [this.due.as_pin_mut(), this.elapsed.as_pin_mut()];
        if ends
            .into_iter()
            .flatten()
            .any(|end| end.poll(cx).is_ready())
        {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

const UNDRIVEN_PAUSE: Duration = Duration::from_secs(1);
