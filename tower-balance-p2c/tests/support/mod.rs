//! A strict endpoint, a discovery by hand, and ways to look at a balancer.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a test may")]

pub mod permits;
pub mod traffic;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::Stream;
use tokio::sync::mpsc::{self, UnboundedSender};
use tower_balance_p2c::{Balance, BalanceLayer, Change, EndpointStats};
use tower_service::Service;

pub type Key = u32;
pub type Pool = Balance<Key, Probe, ()>;
pub type Item = Result<Change<Key, Probe>, Refused>;

/// What clones of a probe say when asked whether they are ready.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Readiness {
    Ready,
    Pending,
    Failed,
    /// Ready for this many further calls, shared by all clones, each reserved in `poll_ready`.
    Permits(usize),
}

#[derive(Clone, Copy, Debug)]
pub enum Answer {
    Ok(Duration),
    Err(Duration),
    Never,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Refused(pub Key);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "endpoint {} refused", self.0)
    }
}

impl std::error::Error for Refused {}

/// An endpoint that answers with its key. Readiness is not inherited by clones. A call without it
/// panics, and so does a poll after an error.
pub struct Probe {
    pub control: Arc<Control>,
    ready: bool,
    failed: bool,
    permit: bool,
}

pub struct Control {
    pub key: Key,
    pub polls: AtomicUsize,
    pub calls: AtomicUsize,
    /// Clones alive, the original included.
    pub clones: AtomicUsize,
    state: Mutex<State>,
    when_polled: Mutex<Option<Act>>,
    when_called: Mutex<Option<Act>>,
}

type Act = Box<dyn FnOnce() + Send>;

struct State {
    readiness: Readiness,
    answer: Answer,
    wakers: Vec<Waker>,
}

impl Probe {
    pub fn new(key: Key, readiness: Readiness) -> Self {
        let control = Control {
            key,
            polls: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            clones: AtomicUsize::new(1),
            state: Mutex::new(State {
                readiness,
                answer: Answer::Ok(Duration::ZERO),
                wakers: Vec::new(),
            }),
            when_polled: Mutex::new(None),
            when_called: Mutex::new(None),
        };
        Self {
            control: Arc::new(control),
            ready: false,
            failed: false,
            permit: false,
        }
    }

    pub fn ready(key: Key) -> Self {
        Self::new(key, Readiness::Ready)
    }

    pub fn answering(self, answer: Answer) -> Self {
        self.control.state().answer = answer;
        self
    }

    pub fn insert(&self) -> Item {
        Ok(Change::Insert(self.control.key, self.clone()))
    }

    pub fn remove(&self) -> Item {
        Ok(Change::Remove(self.control.key))
    }
}

impl Control {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn set(&self, readiness: Readiness) {
        let mut state = self.state();
        state.readiness = readiness;
        state.wakers.drain(..).for_each(Waker::wake);
    }

    /// Does something in the middle of the next `poll_ready`.
    pub fn when_polled(&self, act: impl FnOnce() + Send + 'static) {
        *self.when_polled.lock().unwrap() = Some(Box::new(act));
    }

    /// Likewise in the middle of the next `call`.
    pub fn when_called(&self, act: impl FnOnce() + Send + 'static) {
        *self.when_called.lock().unwrap() = Some(Box::new(act));
    }

    pub fn answer(&self, answer: Answer) {
        self.state().answer = answer;
    }

    pub fn permits(&self) -> usize {
        match self.state().readiness {
            Readiness::Permits(permits) => permits,
            other => panic!("{other:?}"),
        }
    }

    pub fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub fn clones(&self) -> usize {
        self.clones.load(Ordering::SeqCst)
    }

    fn release(&self) {
        let mut state = self.state();
        if let Readiness::Permits(permits) = &mut state.readiness {
            *permits += 1;
        }
        state.wakers.drain(..).for_each(Waker::wake);
    }
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        self.control.clones.fetch_add(1, Ordering::SeqCst);
        Self {
            control: Arc::clone(&self.control),
            ready: false,
            failed: false,
            permit: false,
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.control.clones.fetch_sub(1, Ordering::SeqCst);
        if self.permit {
            self.control.release();
        }
    }
}

impl Service<()> for Probe {
    type Response = Key;
    type Error = Refused;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        self.control.polls.fetch_add(1, Ordering::SeqCst);
        let act = self.control.when_polled.lock().unwrap().take();
        if let Some(act) = act {
            act();
        }
        assert!(!self.failed, "polled after a readiness error");
        if self.ready {
            return Poll::Ready(Ok(()));
        }
        let mut state = self.control.state();
        match &mut state.readiness {
            Readiness::Ready => {}
            Readiness::Permits(permits) if *permits > 0 => {
                *permits -= 1;
                self.permit = true;
            }
            Readiness::Pending | Readiness::Permits(_) => {
                state.wakers.push(cx.waker().clone());
                return Poll::Pending;
            }
            Readiness::Failed => {
                self.failed = true;
                return Poll::Ready(Err(Refused(self.control.key)));
            }
        }
        drop(state);
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Answering {
        assert!(self.ready, "called without being ready");
        self.ready = false;
        let act = self.control.when_called.lock().unwrap().take();
        if let Some(act) = act {
            act();
        }
        self.control.calls.fetch_add(1, Ordering::SeqCst);
        let permit = std::mem::take(&mut self.permit).then(|| Permit(Arc::clone(&self.control)));
        let (key, answer) = (self.control.key, self.control.state().answer);
        Answering(Box::pin(async move {
            let _permit = permit;
            match answer {
                Answer::Ok(latency) => {
                    pause(latency).await;
                    Ok(key)
                }
                Answer::Err(latency) => {
                    pause(latency).await;
                    Err(Refused(key))
                }
                Answer::Never => std::future::pending().await,
            }
        }))
    }
}

async fn pause(latency: Duration) {
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
}

struct Permit(Arc<Control>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.release();
    }
}

pub struct Answering(Pin<Box<dyn Future<Output = Result<Key, Refused>> + Send>>);

impl Future for Answering {
    type Output = Result<Key, Refused>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

/// A discovery that says what it is told to, and does not end before its sender is dropped.
pub fn discovery() -> (
    UnboundedSender<Item>,
    impl Stream<Item = Item> + Send + 'static,
) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let stream = futures::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sender, stream)
}

/// A balancer whose driver is spawned and has seen `probes`; discovery goes on.
pub async fn balance(layer: BalanceLayer<()>, probes: &[&Probe]) -> (Pool, UnboundedSender<Item>) {
    let (sender, stream) = discovery();
    for probe in probes {
        sender.send(probe.insert()).unwrap();
    }
    let (balance, driver) = layer.pair(stream);
    tokio::spawn(driver);
    settle().await;
    (balance, sender)
}

pub fn waiting(wait: Duration) -> BalanceLayer<()> {
    BalanceLayer::builder().wait(wait).build().unwrap()
}

/// Lets every task that can run do so.
pub async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

pub fn endpoint(balance: &Pool, key: Key) -> EndpointStats<Key> {
    let endpoints = balance.stats().endpoints;
    let mut found = endpoints.into_iter().filter(|endpoint| endpoint.key == key);
    found.next().unwrap()
}
