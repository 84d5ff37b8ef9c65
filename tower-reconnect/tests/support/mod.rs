//! A scripted peer: a maker of connections that records every dial.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

mod connection;

use std::{
    future::pending,
    marker::PhantomPinned,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tower_layer::Layer;
use tower_reconnect::{Builder, Reconnect, ReconnectLayer};
use tower_service::Service;

pub use self::connection::{Connection, Failure, Link};

/// What a dial comes to.
#[derive(Clone, Copy, Debug)]
pub enum Dial {
    Accept,
    AcceptAfter(Duration),
    /// A connection whose first `poll_ready` fails.
    AcceptDead,
    Refuse,
    RefuseAfter(Duration),
    Hang,
    Panic,
    PanicInCall,
    PanicInReady,
    /// The maker itself never gets ready.
    NeverReady,
    /// The maker itself fails.
    BrokenMaker,
}

/// The other end. Clones are the same one.
#[derive(Clone, Default)]
pub struct Peer(Arc<PeerState>);

#[derive(Default)]
struct PeerState {
    script: Mutex<Vec<Dial>>,
    fallback: Mutex<Option<Dial>>,
    dialled_at: Mutex<Vec<Instant>>,
    dialling: AtomicUsize,
    most_dialling: AtomicUsize,
    links: Mutex<Vec<Arc<Link>>>,
    maker_alive: Arc<()>,
}

impl Peer {
    /// Answers the first dials by `script`, and all later ones with the last of it.
    pub fn new(script: &[Dial]) -> Self {
        let peer = Self::default();
        *peer.0.fallback.lock().unwrap() = script.last().copied();
        *peer.0.script.lock().unwrap() = script.iter().rev().copied().collect();
        peer
    }

    /// Answers every dial from now on with `dial`.
    pub fn always(&self, dial: Dial) {
        self.0.script.lock().unwrap().clear();
        *self.0.fallback.lock().unwrap() = Some(dial);
    }

    pub fn maker(&self) -> Maker {
        Maker {
            peer: self.clone(),
            alive: self.0.maker_alive.clone(),
            polled: None,
        }
    }

    pub fn connect(&self, builder: Builder<&'static str>) -> Reconnect<Connection> {
        builder.build().unwrap().layer(self.maker())
    }

    pub fn connect_by_default(&self) -> Reconnect<Connection> {
        self.connect(ReconnectLayer::builder("peer"))
    }

    pub fn dials(&self) -> usize {
        self.0.dialled_at.lock().unwrap().len()
    }

    /// The time between each dial and the one before.
    pub fn gaps(&self) -> Vec<Duration> {
        let dialled_at = self.0.dialled_at.lock().unwrap();
        dialled_at.windows(2).map(|two| two[1] - two[0]).collect()
    }

    /// Dials that are under way, and the most that ever were at once.
    pub fn dialling(&self) -> (usize, usize) {
        (
            self.0.dialling.load(SeqCst),
            self.0.most_dialling.load(SeqCst),
        )
    }

    pub fn maker_is_alive(&self) -> bool {
        Arc::strong_count(&self.0.maker_alive) > 1
    }

    /// The connection that was made last.
    pub fn link(&self) -> Arc<Link> {
        self.0.links.lock().unwrap().last().unwrap().clone()
    }

    pub fn links(&self) -> Vec<Arc<Link>> {
        self.0.links.lock().unwrap().clone()
    }

    fn next(&self) -> Dial {
        let scripted = self.0.script.lock().unwrap().pop();
        scripted.unwrap_or_else(|| self.0.fallback.lock().unwrap().unwrap())
    }

    fn accept(&self, dead: bool) -> Connection {
        let mut links = self.0.links.lock().unwrap();
        let link = Arc::new(Link::new(links.len() + 1, dead));
        links.push(link.clone());
        Connection::new(link)
    }
}

/// Makes connections to a [`Peer`]. Its future is not `Unpin`.
pub struct Maker {
    peer: Peer,
    alive: Arc<()>,
    polled: Option<Dial>,
}

impl Service<&'static str> for Maker {
    type Response = Connection;
    type Error = Failure;
    type Future = Dialling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let dial = match self.polled {
            Some(dial) => dial,
            None => {
                let mut dialled_at = self.peer.0.dialled_at.lock().unwrap();
                dialled_at.push(Instant::now());
                // So that a busy loop fails its test instead of stopping the paused clock.
                let busy_loop = dialled_at.len() > 1000;
                let dial = if busy_loop {
                    Dial::Hang
                } else {
                    self.peer.next()
                };
                *self.polled.insert(dial)
            }
        };
        match dial {
            Dial::NeverReady => return Poll::Pending,
            Dial::BrokenMaker => {
                self.polled = None;
                return Poll::Ready(Err(Failure("the maker is broken")));
            }
            Dial::PanicInReady => {
                self.polled = None;
                panic!("in poll_ready");
            }
            _ => {}
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: &'static str) -> Dialling {
        assert_eq!(target, "peer");
        let dial = self.polled.take().expect("called without ready");
        assert!(!matches!(dial, Dial::PanicInCall), "in call");
        let guard = DiallingGuard::new(&self.peer);
        Dialling {
            inner: Box::pin(dial_once(self.peer.clone(), dial, guard)),
            pinned: PhantomPinned,
        }
    }
}

pin_project_lite::pin_project! {
    pub struct Dialling {
        inner: Pin<Box<dyn Future<Output = Result<Connection, Failure>> + Send>>,
        #[pin]
        pinned: PhantomPinned,
    }
}

impl Future for Dialling {
    type Output = Result<Connection, Failure>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.as_mut().poll(context)
    }
}

async fn dial_once(peer: Peer, dial: Dial, guard: DiallingGuard) -> Result<Connection, Failure> {
    let _guard = guard;
    match dial {
        Dial::Accept => Ok(peer.accept(false)),
        Dial::AcceptDead => Ok(peer.accept(true)),
        Dial::AcceptAfter(delay) => {
            sleep(delay).await;
            Ok(peer.accept(false))
        }
        Dial::Refuse => Err(Failure("refused")),
        Dial::RefuseAfter(delay) => {
            sleep(delay).await;
            Err(Failure("refused"))
        }
        Dial::Panic => panic!("in the future"),
        _ => pending().await,
    }
}

struct DiallingGuard(Peer);

impl DiallingGuard {
    fn new(peer: &Peer) -> Self {
        let dialling = peer.0.dialling.fetch_add(1, SeqCst) + 1;
        peer.0.most_dialling.fetch_max(dialling, SeqCst);
        Self(peer.clone())
    }
}

impl Drop for DiallingGuard {
    fn drop(&mut self) {
        self.0.0.dialling.fetch_sub(1, SeqCst);
    }
}

/// An odd time, so that no test passes only because a clock hits a boundary exactly.
pub const TICK: Duration = Duration::from_micros(1003);

/// Lets the tasks that are ready run, without moving the clock.
pub async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// Moves the clock by `duration` in about 500 steps of at least a tick, with everything run in
/// between.
pub async fn pass(duration: Duration) {
    let end = Instant::now() + duration;
    let step = TICK.max(duration / 499);
    settle().await;
    while Instant::now() < end {
        tokio::time::advance(step).await;
        settle().await;
    }
}
