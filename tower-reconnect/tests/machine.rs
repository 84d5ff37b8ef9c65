//! When to dial, as a pure function of time and events.
#![allow(dead_code, unreachable_pub)]

use std::time::Duration;

use proptest::prelude::*;

use self::{
    backoff::Backoff,
    machine::{Loss, Machine, Phase, Step},
};

#[path = "../src/backoff.rs"]
mod backoff;
#[path = "../src/limits.rs"]
mod limits;
#[path = "../src/machine.rs"]
mod machine;
#[path = "../src/stats.rs"]
mod stats;

#[test]
fn nothing_is_dialled_without_demand() {
    let mut machine = machine();
    assert_eq!(machine.next(ms(1), false), Step::Wait);
    assert_eq!(machine.stats().dials, 0);
    assert_eq!(machine.next(ms(2), true), Step::Dial);
    assert_eq!(machine.next(ms(3), true), Step::Wait, "one dial at a time");
    assert_eq!(machine.stats().dials, 1);
}

#[test]
fn a_failed_dial_backs_off_even_under_demand() {
    let mut machine = machine();
    machine.next(ms(0), true);
    assert_eq!(machine.failed(ms(10), "refused", u64::MAX), Some(ms(100)));
    assert_eq!(machine.next(ms(11), true), Step::Sleep(ms(99)));
    assert_eq!(machine.next(ms(110), true), Step::Dial);
    assert_eq!(machine.failed(ms(110), "refused", u64::MAX), Some(ms(200)));
    assert_eq!(machine.failures(), 2);
}

#[test]
fn a_backoff_without_demand_ends_idle_and_remembers_its_failures() {
    let mut machine = machine();
    machine.next(ms(0), true);
    machine.failed(ms(0), "refused", u64::MAX);
    assert_eq!(machine.next(ms(101), false), Step::Wait);
    assert!(matches!(machine.phase(), Phase::Idle));
    assert_eq!(machine.next(ms(9000), true), Step::Dial);
    assert_eq!(machine.failed(ms(9000), "refused", u64::MAX), Some(ms(200)));
}

#[test]
fn a_connection_that_died_young_is_a_failure() {
    let mut machine = machine();
    machine.next(ms(0), true);
    machine.failed(ms(0), "refused", 0);
    machine.next(ms(100), true);
    let generation = machine.connected(ms(100)).unwrap();
    let loss = machine.lost(generation, ms(5099), "reset", u64::MAX);
    assert_eq!(loss, Loss::Unstable { delay: ms(200) });
    assert!(matches!(
        machine.phase(),
        Phase::BackingOff { cause: "reset", .. }
    ));
    assert_eq!(machine.stats().unstable, 1);
}

#[test]
fn a_stable_connection_ends_the_backoff() {
    let mut machine = machine();
    machine.next(ms(0), true);
    machine.failed(ms(0), "refused", 0);
    machine.next(ms(100), true);
    let generation = machine.connected(ms(100)).unwrap();
    assert_eq!(machine.lost(generation, ms(5100), "reset", 0), Loss::Stable);
    assert_eq!(machine.last_cause(), Some(&"reset"));
    assert_eq!(machine.next(ms(5100), true), Step::Dial, "at once");
    assert_eq!(machine.failed(ms(5100), "refused", u64::MAX), Some(ms(100)));
}

#[test]
fn only_the_first_report_of_a_loss_counts() {
    let mut machine = machine();
    machine.next(ms(0), true);
    let first = machine.connected(ms(0)).unwrap();
    assert_eq!(machine.lost(first, ms(6000), "reset", 0), Loss::Stable);
    assert_eq!(machine.lost(first, ms(6000), "reset", 0), Loss::Known);
    machine.next(ms(6000), true);
    let second = machine.connected(ms(6000)).unwrap();
    assert_ne!(first, second);
    assert_eq!(machine.lost(first, ms(6001), "reset", 0), Loss::Known);
    assert!(matches!(machine.phase(), Phase::Connected { .. }));
    assert_eq!(machine.stats().lost, 1);
}

#[test]
fn with_no_time_to_be_stable_the_first_backoff_step_is_it() {
    let mut machine = Machine::new(Backoff::new(ms(100), ms(10_000)), Duration::ZERO);
    for (failures, delay) in [(1, 100), (2, 200), (3, 400)] {
        machine.next(ms(failures * 20_000), true);
        let generation = machine.connected(ms(failures * 20_000)).unwrap();
        let loss = machine.lost(generation, ms(failures * 20_000 + 99), "reset", u64::MAX);
        assert_eq!(loss, Loss::Unstable { delay: ms(delay) });
    }
    machine.next(ms(100_000), true);
    let generation = machine.connected(ms(100_000)).unwrap();
    let loss = machine.lost(generation, ms(100_100), "reset", u64::MAX);
    assert_eq!(loss, Loss::Stable);
}

#[test]
fn a_clock_that_steps_back_is_harmless() {
    let mut machine = machine();
    machine.next(ms(1000), true);
    let generation = machine.connected(ms(1000)).unwrap();
    let loss = machine.lost(generation, ms(10), "reset", u64::MAX);
    assert_eq!(loss, Loss::Unstable { delay: ms(100) });
    assert_eq!(machine.next(ms(5), true), Step::Sleep(ms(105)));
    assert_eq!(machine.next(Duration::MAX, true), Step::Dial);
    assert!(machine.failed(Duration::MAX, "refused", 1).is_some());
}

#[test]
fn closed_is_final() {
    let mut machine = machine();
    machine.next(ms(0), true);
    assert!(machine.close());
    let version = machine.version();
    assert_eq!(machine.connected(ms(1)), None);
    assert_eq!(machine.failed(ms(1), "refused", 0), None);
    assert_eq!(machine.next(ms(100_000), true), Step::Wait);
    assert!(!machine.close(), "twice");
    assert_eq!(machine.version(), version);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: one dial at a time, none before its time, and no more
    /// of them than the backoff lets through.
    #[test]
    fn dials_are_bounded(events in prop::collection::vec(event(), 1..150)) {
        let mut machine = machine();
        let (mut now, mut earliest) = (Duration::ZERO, Duration::ZERO);
        let (mut dialling, mut failures, mut generation) = (false, 0_u32, 0);
        let mut since = Duration::ZERO;
        for event in events {
            match event {
                Event::Pass(time) => now += time,
                Event::Next(demand) => match machine.next(now, demand) {
                    Step::Dial => {
                        prop_assert!(demand && !dialling && now >= earliest);
                        dialling = true;
                    }
                    Step::Sleep(delay) => prop_assert_eq!(now + delay, earliest),
                    Step::Wait | Step::Look => {}
                },
                Event::Connected => {
                    let connected = machine.connected(now);
                    prop_assert_eq!(connected.is_some(), dialling);
                    if let Some(connected) = connected {
                        prop_assert!(connected > generation);
                        (generation, since, dialling) = (connected, now, false);
                    }
                }
                Event::Failed(random) => {
                    let delay = machine.failed(now, "refused", random);
                    prop_assert_eq!(delay.is_some(), dialling);
                    if let Some(delay) = delay {
                        prop_assert!(delay >= ms(50 << failures.min(6)).min(ms(5000)));
                        (earliest, dialling) = (now + delay, false);
                        failures += 1;
                    }
                }
                Event::Lost(random) => match machine.lost(generation, now, "reset", random) {
                    Loss::Known | Loss::Renewing => {}
                    Loss::Stable => {
                        prop_assert!(now - since >= ms(5000));
                        failures = 0;
                    }
                    Loss::Unstable { delay } => {
                        prop_assert!(now - since < ms(5000));
                        prop_assert!(delay >= ms(50 << failures.min(6)).min(ms(5000)));
                        earliest = now + delay;
                        failures += 1;
                    }
                },
            }
            prop_assert_eq!(machine.failures(), failures);
            let stats = machine.stats();
            prop_assert_eq!(stats.dials, stats.connections + stats.failures + u64::from(dialling));
            prop_assert!(stats.unstable <= stats.lost && stats.lost <= stats.connections);
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Pass(Duration),
    Next(bool),
    Connected,
    Failed(u64),
    Lost(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..7_000_000_u64).prop_map(|time| Event::Pass(Duration::from_micros(time))),
        any::<bool>().prop_map(Event::Next),
        Just(Event::Connected),
        any::<u64>().prop_map(Event::Failed),
        any::<u64>().prop_map(Event::Lost),
    ]
}

fn machine() -> Machine<&'static str> {
    Machine::new(Backoff::new(ms(100), ms(10_000)), ms(5000))
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
