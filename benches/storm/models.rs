//! Clients that are models: one that retries by a rule, and one that knows its server.

use std::{cell::RefCell, future::ready, rc::Rc, time::Duration};

use rand::{SeedableRng as _, rngs::SmallRng};
use tokio::time::sleep;
use tower::ServiceExt as _;

use super::{
    endpoint::{Endpoint, Request},
    policy::{ATTEMPTS, Client, Outcome, Policy, View, client},
    tasks::{Ended, Task},
};

/// A client that retries by a rule.
pub(super) struct Retrying<R> {
    rule: Rc<RefCell<Seeded<R>>>,
    client: Option<Client>,
}

/// Who pays for a retry, and how long it waits.
pub(super) trait Rule {
    /// An attempt was answered; it had been paid for with so many tokens, the first with none.
    fn answered(&mut self, _paid: f64) {}

    /// An attempt has failed, maybe the last one.
    fn failed(&mut self) {}

    /// The tokens that another attempt takes, if there are as many.
    fn pay(&mut self, failure: Outcome) -> Option<f64>;

    /// How long to wait before a retry, the first of a request being 0.
    fn backoff(&self, _retry: u32, _random: &mut SmallRng) -> Duration {
        Duration::ZERO
    }
}

struct Seeded<R> {
    rule: R,
    random: SmallRng,
}

impl<R: Rule + 'static> Retrying<R> {
    pub(super) fn new(rule: R, seed: u64) -> Self {
        let random = SmallRng::seed_from_u64(seed);
        Self {
            rule: Rc::new(RefCell::new(Seeded { rule, random })),
            client: None,
        }
    }
}

impl<R: Rule + 'static> Policy for Retrying<R> {
    fn insert(&mut self, endpoint: Endpoint) {
        self.client = Some(client(endpoint));
    }

    fn send(&mut self, request: Request, _: View<'_>) -> Task {
        let client = self.client.clone();
        let client = client.expect("the server is there before the first request");
        let rule = Rc::clone(&self.rule);
        Box::pin(async move {
            let mut paid = 0.0;
            for retry in 0.. {
                let result = client.clone().oneshot(request).await;
                let outcome = Outcome::of(result.as_ref());
                let Some(wait) = rule.borrow_mut().judge(outcome, retry, &mut paid) else {
                    return outcome.ended();
                };
                if !wait.is_zero() {
                    sleep(wait).await;
                }
            }
            Ended::Failed
        })
    }
}

impl<R: Rule> Seeded<R> {
    /// How long to wait before another attempt, if there is to be one.
    fn judge(&mut self, outcome: Outcome, retry: u32, paid: &mut f64) -> Option<Duration> {
        if outcome == Outcome::Answered {
            self.rule.answered(*paid);
            return None;
        }
        self.rule.failed();
        if retry + 1 >= ATTEMPTS {
            return None;
        }
        *paid = self.rule.pay(outcome)?;
        Some(self.rule.backoff(retry, &mut self.random))
    }
}

/// Knows how long its server would take for a request as they are in the mean, and sends only
/// while that leaves something of the second to spare.
#[derive(Default)]
pub(super) struct Oracle {
    client: Option<Client>,
}

impl Policy for Oracle {
    fn insert(&mut self, endpoint: Endpoint) {
        self.client = Some(client(endpoint));
    }

    fn send(&mut self, request: Request, view: View<'_>) -> Task {
        let time = view.servers[0].time_to_finish(MEAN_WORK, view.clock.get());
        if time.is_finite() && time > LONGEST_TO_WAIT {
            return Box::pin(ready(Ended::Failed));
        }
        let client = self.client.clone();
        let client = client.expect("the server is there before the first request");
        Box::pin(async move {
            let result = client.oneshot(request).await;
            Outcome::of(result.as_ref()).ended()
        })
    }
}

/// Nanoseconds, as in the table of scenarios.
const MEAN_WORK: f64 = 10e6;
const LONGEST_TO_WAIT: f64 = 0.9e9;
