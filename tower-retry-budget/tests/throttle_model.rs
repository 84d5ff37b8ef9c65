//! The throttle's window against a plain list of what happened, with clocks that disagree.

use proptest::prelude::*;

mod sync {
    pub(crate) use std::sync::atomic::*;
}

#[allow(
    dead_code,
    reason = "the core is compiled a second time, to be driven by hand"
)]
#[path = "../src/throttle/window.rs"]
mod window;

use window::{Counts, PERIODS, Window};

/// A period is 100, so that the window is 1,600.
const PERIOD: u64 = 100;

#[derive(Clone, Debug)]
enum Step {
    Forward(u64),
    /// What one thread's clock is behind that of another.
    Back(u64),
    Send,
    Hold,
    Settle(prop::sample::Index, Outcome),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Refused,
    GivenUp,
    Neutral,
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        Just(Outcome::Accepted),
        Just(Outcome::Refused),
        Just(Outcome::GivenUp),
        Just(Outcome::Neutral),
    ];
    prop_oneof![
        2 => (0..2 * PERIOD).prop_map(Step::Forward),
        1 => (0..5_000_u64).prop_map(Step::Forward),
        1 => (0..PERIOD).prop_map(Step::Back),
        4 => Just(Step::Send),
        1 => Just(Step::Hold),
        4 => (any::<prop::sample::Index>(), outcome)
            .prop_map(|(which, outcome)| Step::Settle(which, outcome)),
    ]
}

/// All that ever happened, and when.
#[derive(Default)]
struct Model {
    patience: Option<u64>,
    accepted: Vec<u64>,
    refused: Vec<u64>,
    flying: Vec<u64>,
}

impl Model {
    fn settle(&mut self, which: usize, outcome: Outcome, now: u64) -> u64 {
        let sent = self.flying.swap_remove(which);
        match outcome {
            Outcome::Accepted => self.accepted.push(now),
            Outcome::Refused => self.refused.push(now),
            Outcome::GivenUp => {
                if self.patience.is_some_and(|patience| now >= sent + patience) {
                    self.refused.push(now);
                }
            }
            Outcome::Neutral => {}
        }
        sent
    }

    fn counts(&self, now: u64) -> Counts {
        let end = now / PERIOD;
        let recent = |time: &&u64| **time / PERIOD + PERIODS as u64 > end;
        let count = |times: &[u64]| times.iter().filter(recent).count() as u64;
        let late = |sent: &&u64| {
            let over = (**sent / PERIOD + 1) * PERIOD;
            self.patience.is_some_and(|patience| over + patience <= now)
        };
        let flying = self.flying.iter().filter(recent).filter(late).count() as u64;
        Counts {
            requests: count(&self.accepted) + count(&self.refused) + flying,
            accepted: count(&self.accepted),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_counts_what_a_plain_list_counts(
        patience in prop::option::of(1..800_u64),
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let window = Window::new(PERIOD * PERIODS as u64, patience);
        let mut model = Model { patience, ..Model::default() };
        // Away from the epoch, and never more than a period behind the latest.
        let (mut now, mut latest) = (7_777_u64, 7_777);
        for step in steps {
            match step {
                Step::Forward(by) => now += by,
                Step::Back(by) => now = (now - by).max(latest - PERIOD),
                Step::Send => {
                    window.sent(now);
                    model.flying.push(now);
                }
                Step::Hold => {
                    window.held(now);
                    model.refused.push(now);
                }
                Step::Settle(which, outcome) => {
                    if !model.flying.is_empty() {
                        let which = which.index(model.flying.len());
                        let sent = model.settle(which, outcome, now);
                        match outcome {
                            Outcome::Accepted => window.accepted(sent, now),
                            Outcome::Refused => window.refused(sent, now),
                            Outcome::GivenUp => window.given_up(sent, now),
                            Outcome::Neutral => window.forget(sent),
                        }
                    }
                }
            }
            latest = latest.max(now);
            prop_assert_eq!(window.counts(latest), model.counts(latest));
        }
    }

    #[test]
    fn no_argument_makes_it_panic_and_a_probability_is_one(
        times in prop::collection::vec(any::<u64>(), 1..20),
        length in any::<u64>(),
        patience in prop::option::of(any::<u64>()),
        multiplier in 1.0..100.0_f64,
        floor in 0.0..1e12_f64,
    ) {
        let window = Window::new(length, patience);
        for pair in times.windows(2) {
            let &[sent, now] = pair else { continue };
            window.sent(sent);
            window.refused(sent, now);
            window.held(now);
            window.given_up(sent, now);
            window.accepted(sent, now);
            let counts = window.counts(sent);
            prop_assert!(counts.accepted <= counts.requests);
            let probability = counts.probability(multiplier, floor);
            prop_assert!((0.0..=1.0).contains(&probability));
        }
    }

    #[test]
    fn the_probability_is_that_of_the_book_less_a_floor(
        accepted in 0..100_000_u64,
        others in 0..100_000_u64,
        multiplier in 1.0..10.0_f64,
        floor in 0.0..100.0_f64,
    ) {
        let requests = accepted + others;
        let (all, taken) = (requests as f64, accepted as f64);
        let expected = ((all - multiplier * taken - floor) / (all + 1.0)).max(0.0);
        let probability = Counts { requests, accepted }.probability(multiplier, floor);
        prop_assert!((probability - expected).abs() < 1e-12);
    }
}

#[test]
fn a_month_without_requests_forgets_all() {
    let window = Window::new(PERIOD * PERIODS as u64, Some(PERIOD));
    for now in 0..1_600 {
        window.sent(now);
        window.refused(now, now);
        window.sent(now);
    }
    assert_eq!(window.counts(1_599).requests, 1_600 + 1_400);
    let month = 30 * 24 * 3_600 * 1_000_000_000;
    assert_eq!(
        window.counts(month),
        Counts {
            requests: 0,
            accepted: 0
        }
    );
}
