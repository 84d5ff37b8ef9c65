//! 1xx answers on their way to a client that speaks HTTP/1.1.
//!
//! hyper's server sends no interim answers but its own 100. So they are written between its
//! messages: collected here when an endpoint sends them, written by the connection's task as soon
//! as nothing else is being written. HTTP/2 clients get none.

use std::{
    io::Write,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::task::AtomicWaker;
use http::{HeaderMap, Request, StatusCode};
use hyper::ext::on_informational;

use super::{body::Expectation, forward::remove_hop_by_hop};

/// One client connection's interim answers.
#[derive(Clone, Debug, Default)]
pub struct Interims(Arc<Shared>);

/// Those of one exchange. Carried by its request.
#[derive(Clone, Debug)]
pub struct Interim {
    shared: Arc<Shared>,
    exchange: u64,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Looked at before the lock: nearly always there is nothing.
    is_waiting: AtomicBool,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// The one that is under way: an endpoint that answers too late must not be heard in the next.
    exchange: u64,
}

impl Interims {
    /// For the exchange that begins.
    pub(crate) fn exchange(&self) -> Interim {
        Interim {
            shared: self.0.clone(),
            exchange: self.0.queue().exchange,
        }
    }

    /// What is to be written now.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        if !self.0.is_waiting.swap(false, Ordering::AcqRel) {
            return None;
        }
        let bytes = std::mem::take(&mut self.0.queue().bytes);
        // A final answer may be waiting for this.
        self.0.waker.wake();
        Some(bytes).filter(|bytes| !bytes.is_empty())
    }
}

impl Interim {
    /// Collects an endpoint's interim answer, unless the client is far behind.
    pub fn push(&self, status: StatusCode, headers: &HeaderMap) {
        let mut headers = headers.clone();
        remove_hop_by_hop(&mut headers);
        let mut queue = self.shared.queue();
        if queue.exchange == self.exchange && queue.bytes.len() < MOST {
            encode(&mut queue.bytes, status, &headers);
            self.shared.is_waiting.store(true, Ordering::Release);
            self.shared.waker.wake();
        }
    }

    /// Notes the task that is to be woken when there is something to write.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.shared.waker.register(cx.waker());
    }

    /// Ready when nothing waits to be written.
    pub(crate) fn poll_passed_on(&self, cx: &Context<'_>) -> Poll<()> {
        self.register(cx);
        match self.shared.is_waiting.load(Ordering::Acquire) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }

    /// The final answer comes: nothing may be written in between any more.
    pub(crate) fn close(&self) {
        let mut queue = self.shared.queue();
        queue.exchange += 1;
        queue.bytes.clear();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes hyper tell of interim answers to this request, where somebody waits for them.
pub(super) fn listen<B>(request: &mut Request<B>) {
    let interim = request.extensions().get::<Interim>().cloned();
    let expectation = request.extensions().get::<Expectation>().cloned();
    if interim.is_none() && expectation.is_none() {
        return;
    }
    on_informational(request, move |answer| {
        // The client's own 100 comes when its body is read.
        if answer.status() != StatusCode::CONTINUE {
            interim
                .iter()
                .for_each(|interim| interim.push(answer.status(), answer.headers()));
        } else if let Some(expectation) = &expectation {
            expectation.meet();
        }
    });
}

fn encode(bytes: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
    let reason = status.canonical_reason().unwrap_or_default();
    // Writing into memory does not fail.
    let _ = write!(bytes, "HTTP/1.1 {} {reason}\r\n", status.as_str());
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
}

/// Bytes that may wait for one client.
const MOST: usize = 64 * 1024;
