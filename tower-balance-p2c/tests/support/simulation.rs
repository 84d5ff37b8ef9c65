//! The pure cores in virtual time: closed-loop clients, no runtime, no clock, a fixed seed.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    load::Load,
    pick::pick,
    typical::{self, Typical},
};

pub const MILLISECOND: u64 = 1_000_000;
pub const SECOND: u64 = 1_000_000_000;
const DECAY: u64 = 10 * SECOND;

/// What an endpoint does with a request at some time: how long it takes, and whether it succeeds.
pub type Behaviour = Box<dyn Fn(u64, &mut StdRng) -> (u64, bool)>;

pub struct Simulation {
    endpoints: Vec<(Load, Behaviour)>,
    typical: Arc<Typical>,
    rng: StdRng,
    now: u64,
    /// Requests by the time of their end: (end, start, endpoint, success).
    under_way: BinaryHeap<Reverse<(u64, u64, usize, bool)>>,
    clients: usize,
    /// Requests sent to each endpoint since the last `reset`.
    pub sent: Vec<u64>,
}

impl Simulation {
    pub fn new(seed: u64, clients: usize, behaviours: Vec<Behaviour>) -> Self {
        let typical = Arc::new(Typical::new(0));
        let endpoints = behaviours.into_iter();
        let endpoints: Vec<_> = endpoints
            .map(|behaviour| (Load::new(Arc::clone(&typical), DECAY, 0), behaviour))
            .collect();
        Self {
            sent: vec![0; endpoints.len()],
            endpoints,
            typical,
            rng: StdRng::seed_from_u64(seed),
            now: 0,
            under_way: BinaryHeap::new(),
            clients,
        }
    }

    /// Each client sends its next request when the last one is answered.
    pub fn run_until(&mut self, end: u64) {
        while self.under_way.len() < self.clients {
            self.send();
        }
        while let Some(Reverse((at, started, index, success))) = self.under_way.peek().copied() {
            if at > end {
                break;
            }
            self.under_way.pop();
            self.now = at;
            let (load, _) = &self.endpoints[index];
            if success {
                load.answered(at - started, at);
                load.completed(at);
            } else {
                load.failed(at);
            }
            load.released();
            self.send();
        }
        self.now = end;
    }

    pub fn add(&mut self, behaviour: Behaviour) {
        let load = Load::new(Arc::clone(&self.typical), DECAY, self.now);
        self.endpoints.push((load, behaviour));
        self.sent.push(0);
    }

    pub fn reset(&mut self) {
        self.sent.fill(0);
    }

    pub fn share(&self, index: usize) -> f64 {
        self.sent[index] as f64 / self.sent.iter().sum::<u64>() as f64
    }

    fn send(&mut self) {
        let now = self.now;
        if self.typical.claim_renewal(now) {
            let estimates = self.endpoints.iter();
            let estimates = estimates.filter_map(|(load, _)| load.measured_latency(now));
            if let Some(median) = typical::median(estimates) {
                self.typical.set(median);
            }
        }
        let endpoints = &self.endpoints;
        let index = pick(
            endpoints.len(),
            2,
            |_| true,
            |index| endpoints[index].0.cost(now),
            &mut self.rng,
        )
        .unwrap();
        let (load, behaviour) = &self.endpoints[index];
        load.started();
        self.sent[index] += 1;
        let (latency, success) = behaviour(now, &mut self.rng);
        self.under_way
            .push(Reverse((now + latency, now, index, success)));
    }
}

/// Succeeds after `latency`, give or take a tenth.
pub fn steady(latency: u64) -> Behaviour {
    Box::new(move |_, rng| (jittered(latency, rng), true))
}

pub fn jittered(latency: u64, rng: &mut StdRng) -> u64 {
    rng.random_range(latency * 9 / 10..=latency * 11 / 10)
}
