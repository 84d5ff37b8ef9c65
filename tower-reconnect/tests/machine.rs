//! When to dial, as a pure function of time and events.
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
fn nothing_is_dialled_without_demand() {
    let mut machine = machine();
    assert_eq!(machine.next(ms(1), false), Step::Wait);
    assert_eq!(machine.history().stats.dials, 0);
    assert_eq!(machine.next(ms(2), true), Step::Dial);
    assert_eq!(machine.next(ms(3), true), Step::Wait, "one dial at a time");
    assert_eq!(machine.history().stats.dials, 1);
}

#[test]
fn a_failed_dial_backs_off_even_under_demand() {
    let mut machine = machine();
    machine.next(ms(0), true);
    assert_eq!(machine.failed(ms(10), "refused", u64::MAX), Some(ms(90)));
    assert_eq!(machine.next(ms(11), true), Step::Sleep(ms(89)));
    assert_eq!(machine.next(ms(100), true), Step::Dial);
    assert_eq!(machine.failed(ms(100), "refused", u64::MAX), Some(ms(200)));
    assert_eq!(machine.history().failures(), 2);
}

#[test]
fn a_dial_that_took_long_is_followed_by_half_of_its_delay() {
    let mut machine = machine();
    machine.next(ms(0), true);
    assert_eq!(machine.failed(ms(70), "timeout", u64::MAX), Some(ms(50)));
    machine.next(ms(120), true);
    assert_eq!(machine.failed(ms(9120), "timeout", u64::MAX), Some(ms(100)));
}

/// Clients that failed together differ by their first failure, and keep the difference.
#[test]
fn the_first_failure_decides_the_place_of_all_that_follow() {
    for (first, delays) in [
        (u64::MAX, [100, 200, 400, 800]),
        (1 << 63, [75, 150, 300, 600]),
    ] {
        let mut machine = machine();
        let mut now = ms(0);
        for (failures, delay) in delays.into_iter().enumerate() {
            assert_eq!(machine.next(now, true), Step::Dial);
            let random = if failures == 0 { first } else { u64::MAX };
            let measured = machine.failed(now, "refused", random).unwrap();
            // The first draw shortens the first delay by its own eighth, too.
            let eighth = if random == u64::MAX { 0 } else { delay / 16 };
            assert!(
                measured.abs_diff(ms(delay - eighth)) <= ms(1),
                "{measured:?}"
            );
            now += measured;
        }
    }
}

#[test]
fn without_jitter_the_first_dial_is_at_once() {
    let mut machine = put_off(ms(0), u64::MAX);
    assert_eq!(machine.next(ms(7), true), Step::Dial);
}

#[test]
fn the_first_dial_waits_for_its_jitter_from_when_it_is_wanted() {
    let mut machine = put_off(ms(1000), 1 << 63);
    assert_eq!(machine.next(ms(100), false), Step::Wait);
    assert_eq!(machine.next(ms(200), true), Step::Sleep(ms(500)));
    assert_eq!(machine.next(ms(400), true), Step::Sleep(ms(300)));
    assert_eq!(machine.history().stats.dials, 0);
    assert_eq!(machine.next(ms(700), true), Step::Dial);
    // After a failure there is a backoff, and no jitter beside it.
    machine.failed(ms(700), "refused", 1 << 63);
    assert_eq!(machine.next(ms(800), true), Step::Dial);
    let generation = machine.connected(ms(800)).unwrap();
    // A stable connection is lost by all clients at once.
    machine.lost(generation, ms(9000), "reset", u64::MAX);
    assert_eq!(machine.next(ms(9000), true), Step::Sleep(ms(500)));
    assert_eq!(machine.next(ms(9500), true), Step::Dial);
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
    machine.failed(ms(0), "refused", u64::MAX);
    machine.next(ms(100), true);
    let generation = machine.connected(ms(100)).unwrap();
    let loss = machine.lost(generation, ms(150), "reset", u64::MAX);
    let delay = ms(150);
    assert_eq!(loss, Loss::Unstable { delay }, "200 ms after the dial");
    assert!(matches!(
        machine.phase(),
        Phase::BackingOff {
            cause: &"reset",
            ..
        }
    ));
    assert_eq!(machine.history().stats.unstable, 1);
}

/// Clients that dialled one after another lose their connections together, and stay apart.
#[test]
fn a_loss_is_followed_by_what_is_left_of_the_step_of_its_dial() {
    for (lived, rest) in [(0, 100), (99, 1), (100, 0), (4999, 0)] {
        let mut machine = machine();
        machine.next(ms(0), true);
        let generation = machine.connected(ms(0)).unwrap();
        let loss = machine.lost(generation, ms(lived), "reset", u64::MAX);
        assert_eq!(loss, Loss::Unstable { delay: ms(rest) });
        assert_eq!(machine.history().failures(), 1, "it counts");
    }
}

#[test]
fn a_stable_connection_ends_the_backoff() {
    let mut machine = machine();
    machine.next(ms(0), true);
    machine.failed(ms(0), "refused", u64::MAX);
    machine.next(ms(100), true);
    let generation = machine.connected(ms(100)).unwrap();
    assert_eq!(
        machine.lost(generation, ms(5100), "reset", u64::MAX),
        Loss::Stable
    );
    assert_eq!(machine.history().last_cause(), Some(&"reset"));
    assert_eq!(machine.next(ms(5100), true), Step::Dial, "at once");
    assert_eq!(machine.failed(ms(5100), "refused", u64::MAX), Some(ms(100)));
}

/// Whether a server that sends its clients away works is shown by time or by work.
#[test]
fn a_retired_connection_is_a_failure_before_it_has_done_its_work() {
    for (lived, answers, stable) in [
        (0, 0, false),
        (4999, 99, false),
        (0, 100, true),
        (5000, 0, true),
    ] {
        let mut machine = machine();
        machine.next(ms(0), true);
        machine.failed(ms(0), "refused", u64::MAX);
        machine.next(ms(100), true);
        let generation = machine.connected(ms(100)).unwrap();
        let now = ms(100 + lived);
        let loss = machine.retired(generation, now, "goaway", u64::MAX, answers);
        assert_eq!(
            loss == Loss::Stable,
            stable,
            "{lived} ms, {answers} answers"
        );
        assert_eq!(machine.history().failures(), if stable { 0 } else { 2 });
        let stats = machine.history().stats;
        assert_eq!((stats.lost, stats.retired), (1, 1));
        assert_eq!(stats.unstable, u64::from(!stable));
    }
}

#[test]
fn only_the_first_report_of_a_loss_counts() {
    let mut machine = machine();
    machine.next(ms(0), true);
    let first = machine.connected(ms(0)).unwrap();
    assert_eq!(
        machine.lost(first, ms(6000), "reset", u64::MAX),
        Loss::Stable
    );
    assert_eq!(
        machine.lost(first, ms(6000), "reset", u64::MAX),
        Loss::Known
    );
    machine.next(ms(6000), true);
    let second = machine.connected(ms(6000)).unwrap();
    assert_ne!(first, second);
    assert_eq!(
        machine.lost(first, ms(6001), "reset", u64::MAX),
        Loss::Known
    );
    assert!(matches!(machine.phase(), Phase::Connected { .. }));
    assert_eq!(machine.history().stats.lost, 1);
}

#[test]
fn with_no_time_to_be_stable_the_first_backoff_step_is_it() {
    let mut machine = of(Bounds {
        stable_after: Duration::ZERO,
        ..bounds()
    });
    for (failures, rest) in [(1, 1), (2, 101), (3, 301)] {
        machine.next(ms(failures * 20_000), true);
        let generation = machine.connected(ms(failures * 20_000)).unwrap();
        let loss = machine.lost(generation, ms(failures * 20_000 + 99), "reset", u64::MAX);
        assert_eq!(loss, Loss::Unstable { delay: ms(rest) });
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
    let version = machine.history().version();
    assert_eq!(machine.connected(ms(1)), None);
    assert_eq!(machine.failed(ms(1), "refused", u64::MAX), None);
    assert_eq!(machine.next(ms(100_000), true), Step::Wait);
    assert!(!machine.close(), "twice");
    assert_eq!(machine.history().version(), version);
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
        let (mut since, mut dialled_at) = (Duration::ZERO, Duration::ZERO);
        // Half of the step, less an eighth.
        let shortest = |failures: u32| ms(100 << failures.min(6)) * 7 / 16;
        for event in events {
            match event {
                Event::Pass(time) => now += time,
                Event::Next(demand) => match machine.next(now, demand) {
                    Step::Dial => {
                        prop_assert!(demand && !dialling && now >= earliest);
                        (dialling, dialled_at) = (true, now);
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
                        (earliest, dialling) = (now + delay, false);
                        prop_assert!(delay >= shortest(failures) / 2);
                        prop_assert!(earliest >= dialled_at + shortest(failures));
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
                        earliest = now + delay;
                        prop_assert!(earliest >= dialled_at + shortest(failures));
                        failures += 1;
                    }
                },
            }
            prop_assert_eq!(machine.history().failures(), failures);
            let stats = machine.history().stats;
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

fn put_off(jitter: Duration, place: u64) -> Machine<&'static str> {
    let bounds = Bounds {
        first_dial_jitter: jitter,
        ..bounds()
    };
    Machine::new(Arc::new(bounds), place, 0)
}

fn machine() -> Machine<&'static str> {
    of(bounds())
}

fn of(bounds: Bounds) -> Machine<&'static str> {
    Machine::new(Arc::new(bounds), 0, 0)
}

fn bounds() -> Bounds {
    Bounds {
        backoff: Backoff::new(ms(100), ms(6_400)),
        first_dial_jitter: Duration::ZERO,
        stable_after: ms(5000),
        worked_after: 100,
        max_dials: 4,
        limits: Limits::default(),
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
