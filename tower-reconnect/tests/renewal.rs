//! The machine of a connection with limits to its life, as a pure function of time and events.
#![allow(dead_code, unreachable_pub)]

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use self::{
    backoff::Backoff,
    bounds::Bounds,
    limits::Limits,
    loss::Loss,
    machine::{Machine, Step},
    view::Phase,
};

#[path = "../src/backoff.rs"]
mod backoff;
#[path = "../src/bounds.rs"]
mod bounds;
#[path = "../src/history.rs"]
mod history;
#[path = "../src/life.rs"]
mod life;
#[path = "../src/limits.rs"]
mod limits;
#[path = "../src/loss.rs"]
mod loss;
#[path = "../src/machine.rs"]
mod machine;
#[path = "../src/moment.rs"]
mod moment;
#[path = "../src/pace.rs"]
mod pace;
#[path = "../src/stats.rs"]
mod stats;
#[path = "../src/view.rs"]
mod view;

#[test]
fn it_begins_in_the_ninth_tenth_of_the_age_at_any_seed_and_scale() {
    for seed in 0..1000 {
        for age in [1, 100, 60_000, 86_400_000] {
            let limits = Limits {
                max_age: Some(ms(age)),
                idle: None,
                seed,
            };
            let at = limits.renew_at(ms(7), seed).unwrap() - ms(7);
            assert!(at >= ms(age) * 8 / 10 && at <= ms(age) * 9 / 10, "{at:?}");
        }
    }
}

/// A connection that was stable has paid for the failures before it.
#[test]
fn failures_before_a_stable_connection_do_not_lengthen_the_backoff_of_its_renewal() {
    let mut machine = machine(0);
    machine.next(ms(0), true);
    machine.failed(ms(0), "refused", u64::MAX);
    machine.next(ms(100), true);
    machine.connected(ms(100)).unwrap();
    assert_eq!(machine.history().failures(), 1);
    let at = renewal(&mut machine, ms(100));
    assert_eq!(machine.next(at, false), Step::Dial);
    assert_eq!(machine.failed(at, "refused", u64::MAX), Some(ms(100)));
    assert!(matches!(machine.phase(), Phase::Connected { .. }));
}

#[test]
fn a_reset_ends_its_backoff() {
    let mut machine = machine(0);
    machine.next(ms(0), true);
    machine.connected(ms(0)).unwrap();
    let at = renewal(&mut machine, ms(0));
    machine.next(at, false);
    machine.failed(at, "refused", u64::MAX);
    machine.reset(at);
    assert_eq!(machine.next(at, false), Step::Dial);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: one dial at a time, no sooner than a failure allows;
    /// a connection stays until it is lost, unused or replaced; and the numbers add up.
    #[test]
    fn there_is_one_dial_at_a_time_and_no_gap(
        seed in any::<u64>(),
        events in prop::collection::vec(event(), 1..200),
    ) {
        let mut machine = machine(seed);
        let (mut now, mut earliest) = (Duration::ZERO, Duration::ZERO);
        let (mut dialling, mut generation) = (false, None);
        for event in events {
            match event {
                Event::Pass(time) => now += time,
                Event::Next(demand, used) => match machine.next(now, demand) {
                    Step::Dial => {
                        prop_assert!(!dialling && now >= earliest);
                        prop_assert!(demand || generation.is_some());
                        dialling = true;
                    }
                    Step::Look => if machine.looked(now, used) {
                        prop_assert!(!used && !dialling && generation.is_some());
                        generation = None;
                    },
                    Step::Sleep(delay) => prop_assert!(!delay.is_zero()),
                    Step::Wait => {}
                },
                Event::Connected => {
                    let connected = machine.connected(now);
                    prop_assert_eq!(connected.is_some(), dialling);
                    if connected.is_some() {
                        (generation, dialling) = (connected, false);
                    }
                }
                Event::Failed(random) => {
                    let delay = machine.failed(now, "refused", random);
                    prop_assert_eq!(delay.is_some(), dialling);
                    if let Some(delay) = delay {
                        // Half of the half of a step that is less by an eighth.
                        prop_assert!(delay >= ms(21));
                        (earliest, dialling) = (now + delay, false);
                    }
                }
                Event::Lost(random, retired) => {
                    let Some(lost) = generation.take() else { continue };
                    let loss = match retired {
                        true => machine.retired(lost, now, "goaway", random, 1),
                        false => machine.lost(lost, now, "reset", random),
                    };
                    match loss {
                        Loss::Known => prop_assert!(false, "it was there"),
                        Loss::Stable => prop_assert!(!dialling),
                        Loss::Unstable { delay } => earliest = now + delay,
                        Loss::Renewing => prop_assert!(dialling || machine.history().failures() > 0),
                    }
                }
            }
            let connected = machine.connection().map(|(generation, _)| generation);
            prop_assert_eq!(connected, generation);
            let stats = machine.history().stats;
            prop_assert_eq!(stats.open, u64::from(generation.is_some()));
            prop_assert_eq!(stats.dials, stats.connections + stats.failures + u64::from(dialling));
            let gone = stats.lost + stats.replaced + stats.unused;
            prop_assert_eq!(stats.connections, gone + stats.open);
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Pass(Duration),
    Next(bool, bool),
    Connected,
    Failed(u64),
    Lost(u64, bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..7_000_000_u64).prop_map(|time| Event::Pass(Duration::from_micros(time))),
        6 => any::<(bool, bool)>().prop_map(|(demand, used)| Event::Next(demand, used)),
        2 => Just(Event::Connected),
        2 => any::<u64>().prop_map(Event::Failed),
        1 => any::<(u64, bool)>().prop_map(|(random, retired)| Event::Lost(random, retired)),
    ]
}

/// When the renewal of a connection made at `since` is due.
fn renewal(machine: &mut Machine<&'static str>, since: Duration) -> Duration {
    let Step::Sleep(delay) = machine.next(since, false) else {
        panic!("nothing is due");
    };
    since + delay
}

fn machine(seed: u64) -> Machine<&'static str> {
    let limits = Limits {
        max_age: Some(ms(20_000)),
        idle: (!seed.is_multiple_of(3)).then_some(ms(8000)),
        seed,
    };
    let bounds = Bounds {
        backoff: Backoff::new(ms(100), ms(6_400)),
        first_dial_jitter: Duration::ZERO,
        stable_after: ms(5000),
        worked_after: 1 + (seed % 2) as u32,
        max_dials: 4,
        limits,
    };
    Machine::new(Arc::new(bounds), 0, seed)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
