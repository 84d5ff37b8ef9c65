//! Open-loop load on a balancer in virtual time: requests come at random, and servers with a queue
//! each work on as many at a time as they can.
#![allow(unreachable_pub, reason = "a part of a test")]

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::stream;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::advance;
use tower_balance_p2c::{Attributes, Balance, BalanceLayer, Change};
use tower_service::Service;

/// What a server is like, and what discovery says of it.
#[derive(Clone)]
pub struct Server {
    pub attributes: Attributes,
    /// Requests that it works on at a time.
    pub workers: usize,
    /// Time for one.
    pub millis: f64,
    pub time: Time,
}

/// Whether all requests take the same time, or times that are exponentially distributed about it.
#[derive(Clone, Copy, Debug)]
pub enum Time {
    Constant,
    Random,
}

pub struct World {
    servers: Vec<(Server, Queue)>,
    balance: Balance<usize, Endpoint, ()>,
    desk: Desk,
    under_way: Vec<Option<Exchange>>,
    /// Ends of service, by time: the request, and its server.
    ends: BinaryHeap<Reverse<(u64, usize, usize)>>,
    now: u64,
    random: RefCell<StdRng>,
    pub picks: Vec<u64>,
    pub latencies: Vec<f64>,
}

#[derive(Default)]
struct Queue {
    busy: usize,
    waiting: VecDeque<usize>,
}

struct Exchange {
    response: Pin<Box<dyn Future<Output = Result<(), tower_balance_p2c::BoxError>>>>,
    done: Arc<AtomicBool>,
    since: u64,
}

/// Where endpoints leave what they were asked.
type Desk = Arc<Mutex<Option<(usize, Arc<AtomicBool>)>>>;

#[derive(Clone)]
struct Endpoint {
    server: usize,
    desk: Desk,
}

impl World {
    pub async fn new(layer: BalanceLayer<()>, servers: Vec<Server>, seed: u64) -> Self {
        let desk = Desk::default();
        let changes: Vec<_> = servers
            .iter()
            .enumerate()
            .map(|(server, Server { attributes, .. })| {
                let desk = Arc::clone(&desk);
                let endpoint = Endpoint { server, desk };
                Ok::<_, Infallible>(Change::InsertWith(server, endpoint, attributes.clone()))
            })
            .collect();
        let (balance, driver) = layer.pair(stream::iter(changes));
        tokio::spawn(driver);
        while balance.stats().ready < servers.len() {
            tokio::task::yield_now().await;
        }
        Self {
            picks: vec![0; servers.len()],
            servers: servers.into_iter().map(|s| (s, Queue::default())).collect(),
            balance,
            desk,
            under_way: Vec::new(),
            ends: BinaryHeap::new(),
            now: 0,
            random: RefCell::new(StdRng::seed_from_u64(seed)),
            latencies: Vec::new(),
        }
    }

    /// Sends so many requests at this rate, and waits for all of them.
    pub async fn run(&mut self, requests: usize, per_second: f64) {
        let mut arrival = self.now;
        for _ in 0..requests {
            arrival += (self.exponential() * 1e9 / per_second) as u64;
            self.work_until(arrival).await;
            self.advance_to(arrival).await;
            self.send();
        }
        self.work_until(u64::MAX).await;
    }

    /// Forgets what was counted, and not what was learnt.
    pub fn reset(&mut self) {
        self.picks.fill(0);
        self.latencies.clear();
    }

    pub fn quantile(&mut self, quantile: f64) -> f64 {
        self.latencies.sort_by(f64::total_cmp);
        self.latencies[(self.latencies.len() as f64 * quantile) as usize]
    }

    async fn work_until(&mut self, end: u64) {
        while let Some(&Reverse((at, request, server))) = self.ends.peek()
            && at <= end
        {
            self.ends.pop();
            self.advance_to(at).await;
            self.finish(request);
            self.servers[server].1.busy -= 1;
            if let Some(next) = self.servers[server].1.waiting.pop_front() {
                self.begin(next, server);
            }
        }
    }

    async fn advance_to(&mut self, at: u64) {
        if at > self.now {
            advance(Duration::from_nanos(at - self.now)).await;
            self.now = at;
        }
    }

    fn send(&mut self) {
        let mut response = Box::pin(self.balance.call(()));
        let polled = response
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "nobody answers at once");
        let (server, done) = self.desk.lock().unwrap().take().expect("it was sent");
        self.picks[server] += 1;
        let request = self.under_way.len();
        self.under_way.push(Some(Exchange {
            response,
            done,
            since: self.now,
        }));
        let (Server { workers, .. }, queue) = &mut self.servers[server];
        if queue.busy < *workers {
            self.begin(request, server);
        } else {
            queue.waiting.push_back(request);
        }
    }

    fn begin(&mut self, request: usize, server: usize) {
        let Server { millis, time, .. } = self.servers[server].0;
        let takes = match time {
            Time::Constant => millis * 1e6,
            Time::Random => self.exponential() * millis * 1e6,
        };
        self.servers[server].1.busy += 1;
        let end = self.now + takes.max(1.0) as u64;
        self.ends.push(Reverse((end, request, server)));
    }

    fn finish(&mut self, request: usize) {
        let mut exchange = self.under_way[request].take().expect("it is under way");
        exchange.done.store(true, Ordering::Relaxed);
        let response = exchange.response.as_mut();
        let polled = response.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Ok(()))));
        let latency = (self.now - exchange.since) as f64 / 1e6;
        self.latencies.push(latency);
    }

    fn exponential(&self) -> f64 {
        -(1.0 - self.random.borrow_mut().random::<f64>()).ln()
    }
}

impl Service<()> for Endpoint {
    type Response = ();
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Answer {
        let done = Arc::new(AtomicBool::new(false));
        *self.desk.lock().unwrap() = Some((self.server, Arc::clone(&done)));
        Answer(done)
    }
}

struct Answer(Arc<AtomicBool>);

impl Future for Answer {
    type Output = Result<(), Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        // The world polls again when it is done.
        if self.0.load(Ordering::Relaxed) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}
