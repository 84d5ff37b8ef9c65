//! A connection that keeps tower's contract more strictly than tower's mock does.

use std::{
    fmt,
    future::{Ready, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use tower_service::Service;

/// What all clones of one connection share.
#[derive(Default)]
pub struct Link {
    /// 1 for the first connection of a peer.
    pub number: usize,
    dead: AtomicBool,
    busy: AtomicBool,
    fail_once: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
    clones: AtomicUsize,
    alive: AtomicUsize,
    calls: AtomicUsize,
}

impl Link {
    pub fn new(number: usize, dead: bool) -> Self {
        Self {
            number,
            dead: AtomicBool::new(dead),
            ..Self::default()
        }
    }

    /// From now on `poll_ready` fails.
    pub fn kill(&self) {
        self.dead.store(true, SeqCst);
        self.wake();
    }

    /// The next `poll_ready` fails, and no other.
    pub fn fail_once(&self) {
        self.fail_once.store(true, SeqCst);
    }

    /// Whether `poll_ready` is pending.
    pub fn set_busy(&self, busy: bool) {
        self.busy.store(busy, SeqCst);
        self.wake();
    }

    pub fn clones(&self) -> usize {
        self.clones.load(SeqCst)
    }

    pub fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    pub fn alive(&self) -> usize {
        self.alive.load(SeqCst)
    }

    fn wake(&self) {
        for waker in self.wakers.lock().unwrap().drain(..) {
            waker.wake();
        }
    }
}

/// A connection. Its readiness is its own: a clone does not inherit it. A call without readiness
/// panics.
pub struct Connection {
    link: Arc<Link>,
    ready: bool,
}

impl Connection {
    pub fn new(link: Arc<Link>) -> Self {
        link.alive.fetch_add(1, SeqCst);
        Self { link, ready: false }
    }
}

impl Clone for Connection {
    fn clone(&self) -> Self {
        self.link.clones.fetch_add(1, SeqCst);
        Self::new(self.link.clone())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.link.alive.fetch_sub(1, SeqCst);
    }
}

impl Service<u64> for Connection {
    /// The number of the connection and the request.
    type Response = (usize, u64);
    type Error = Failure;
    type Future = Ready<Result<(usize, u64), Failure>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let mut wakers = self.link.wakers.lock().unwrap();
        let dead = self.link.dead.load(SeqCst);
        if dead || self.link.fail_once.swap(false, SeqCst) {
            return Poll::Ready(Err(Failure("connection reset")));
        }
        if self.link.busy.load(SeqCst) {
            wakers.push(context.waker().clone());
            return Poll::Pending;
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Self::Future {
        assert!(self.ready, "called without ready");
        self.ready = false;
        self.link.calls.fetch_add(1, SeqCst);
        if self.link.dead.load(SeqCst) {
            return ready(Err(Failure("connection reset")));
        }
        ready(Ok((self.link.number, request)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure(pub &'static str);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Failure {}
