//! 1xx answers on their way to a client that speaks HTTP/1.1.
//!
//! hyper's server sends no interim answers but its own 100. So they are written between its
//! messages: collected here when an endpoint sends them, written by the connection's task as soon
//! as nothing else is being written. HTTP/2 clients get none.

use std::{
    io::Write,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use futures::task::AtomicWaker;
use http::{HeaderMap, Request, StatusCode, header::CONTENT_LENGTH};
use hyper::ext::on_informational;

use super::{body::Expectation, forward::remove_hop_by_hop};

/// One client connection's interim answers.
#[derive(Clone, Debug, Default)]
pub struct Interims(Arc<Shared>);

/// Those of one exchange.
#[derive(Clone, Debug)]
pub struct Interim {
    shared: Arc<Shared>,
    exchange: u64,
}

#[derive(Debug, Default)]
struct Shared {
    /// Locked only where there is, or may be, something.
    bytes: Mutex<Vec<u8>>,
    is_waiting: AtomicBool,
    /// The one that is under way: an endpoint that answers too late must not be heard in the next.
    exchange: AtomicU64,
    waker: AtomicWaker,
}

impl Interims {
    /// For the exchange that begins.
    pub(crate) fn exchange(&self) -> Interim {
        Interim {
            shared: self.0.clone(),
            exchange: self.0.exchange.load(SeqCst),
        }
    }

    /// What is to be written now.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        if !self.0.is_waiting.load(SeqCst) || !self.0.is_waiting.swap(false, SeqCst) {
            return None;
        }
        let bytes = std::mem::take(&mut *self.0.bytes());
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
        headers.remove(CONTENT_LENGTH);
        let mut bytes = self.shared.bytes();
        // Said before it is known: either `close` sees it and waits for the lock, or its exchange
        // is seen to be over here.
        self.shared.is_waiting.store(true, SeqCst);
        if self.shared.exchange.load(SeqCst) == self.exchange && bytes.len() < MOST {
            encode(&mut bytes, status, &headers);
        }
        drop(bytes);
        self.shared.waker.wake();
    }

    /// Notes the task that is to be woken when there is something to write.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.shared.waker.register(cx.waker());
    }

    /// Ready when nothing waits to be written.
    pub(crate) fn poll_passed_on(&self, cx: &Context<'_>) -> Poll<()> {
        self.register(cx);
        match self.shared.is_waiting.load(SeqCst) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }

    /// The final answer comes: nothing may be written in between any more.
    pub(crate) fn close(&self) {
        self.shared.exchange.fetch_add(1, SeqCst);
        if self.shared.is_waiting.load(SeqCst) {
            let mut bytes = self.shared.bytes();
            bytes.clear();
            self.shared.is_waiting.store(false, SeqCst);
        }
    }

    /// Makes hyper's client tell of interim answers to this request.
    ///
    /// The client's own 100 comes when its body is read, so the endpoint's only lets that happen.
    pub(crate) fn listen<B>(self, request: &mut Request<B>, expectation: Option<Expectation>) {
        on_informational(request, move |answer| {
            if answer.status() != StatusCode::CONTINUE {
                self.push(answer.status(), answer.headers());
            } else if let Some(expectation) = &expectation {
                expectation.meet();
            }
        });
    }
}

impl Shared {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
