//! What an endpoint takes up that has a connection and no requests, beside the connection itself,
//! which has no size here.

use std::{fmt, mem::size_of};

use benches::{live_bytes, service::Bare};
use tokio::runtime::Builder;
use tower_reconnect::{Reconnect, ReconnectLayer};

use super::subjects::connected_by;

/// Bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// On the heap: the state that handles share.
    pub(super) heap: f64,
    /// One handle, wherever it is kept.
    pub(super) handle: usize,
}

/// On a runtime of its own, for another one may still have tasks to drop.
pub(super) fn measure() -> Memory {
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime can be built");
    // What the runtime and the thread make once, and the settings, which all share.
    let layer = ReconnectLayer::new(());
    drop(connected_by(&layer, &runtime));
    let mut endpoints = Vec::with_capacity(ENDPOINTS);
    let before = live_bytes();
    for _ in 0..ENDPOINTS {
        endpoints.push(connected_by(&layer, &runtime));
    }
    let heap = (live_bytes() - before) as f64 / ENDPOINTS as f64;
    Memory {
        heap,
        handle: size_of::<Reconnect<Bare>>(),
    }
}

/// A Markdown table.
impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { heap, handle } = self;
        write!(
            f,
            "| an idle endpoint | bytes |\n| --- | ---: |\n\
             | on the heap | {heap:.0} |\n| a handle | {handle} |\n"
        )
    }
}

const ENDPOINTS: usize = 1_000;
