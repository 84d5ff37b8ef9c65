//! How a connection leaves when the process drains.

use std::{
    future::{Future, poll_fn},
    task::Poll,
    time::Duration,
};

use tokio::time::sleep;

use super::activity::Activity;
use crate::drain::{Draining, Phase};

/// Waits until a process that drains wants this connection to end.
///
/// GOAWAY costs an HTTP/2 client nothing, so it comes after the first request. HTTP/1 clients are
/// asked by `connection: close`, and one that has only just connected may still say something.
pub(super) async fn departure(mut draining: Draining, activity: &Activity) {
    draining.reached(Phase::Leaving).await;
    tokio::select! {
        () = noticed(|| activity.is_http2()) => return,
        () = draining.reached(Phase::Closing) => {}
    }
    tokio::select! {
        () = noticed(|| activity.is_in_use()) => {}
        () = sleep(QUIET) => {}
        () = draining.reached(Phase::Over) => {}
    }
}

/// Looks whenever the connection's task is polled: all that can change happens there.
fn noticed(condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    poll_fn(move |_| match condition() {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
}

/// How long an idle connection may still speak when it has been asked to end.
pub(crate) const QUIET: Duration = Duration::from_millis(500);
