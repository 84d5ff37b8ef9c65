//! The storm simulator itself: it says what arithmetic says, does the same each time, counts each
//! request once, and draws the luck of each attempt.
//!
//! A root of its own beside `main.rs`, for the same modules: a bench has no tests.
#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the bench uses the rest")]

#[path = "../simulator/endpoint.rs"]
mod endpoint;
#[path = "../simulator/event.rs"]
mod event;
mod figure;
mod models;
mod parts;
mod plot;
mod policy;
mod real;
mod record;
mod rules;
#[path = "../simulator/scenario.rs"]
mod scenario;
mod scenarios;
#[path = "../simulator/server.rs"]
mod server;
#[path = "../simulator/tasks.rs"]
mod tasks;
mod theory;
mod verdicts;
#[path = "../simulator/world.rs"]
mod world;

use benches::simulation::{Compared as _, Policy as _, Scenario as _};
use policy::PolicyKind;
use record::{Figures, Record};
use scenario::{Scenario, Watch};
use server::Expired;

#[test]
fn a_brownout_ends_when_arithmetic_says() {
    for compared in theory::compare_all(2, 1) {
        assert!(compared.holds(), "{compared}");
    }
}

#[test]
fn a_seed_says_all() {
    let scenario = Scenario {
        clients: 3,
        duration: 4.0,
        warm_up: 0.0,
        watch: None,
        ..unlucky(true)
    };
    for &policy in PolicyKind::ALL.iter().chain(PolicyKind::MORE) {
        let [first, second, other] =
            [7, 7, 8].map(|seed| format!("{:?}", world::run(&scenario, policy, seed)));
        assert_eq!(first, second, "{policy:?}");
        assert_ne!(first, other, "{policy:?}");
    }
}

#[test]
fn a_retry_has_new_luck() {
    let figures = world::run(&unlucky(true), PolicyKind::Naive, 1);
    // One of 16 is unlucky four times.
    assert_near(figures.success, 93.75, 1.0);
    let figures = world::run(&unlucky(false), PolicyKind::Naive, 1);
    assert_near(figures.success, 50.0, 2.0);
}

#[test]
fn each_request_is_counted_once_whatever_became_of_its_attempts() {
    let attempts_of = |policy| {
        let figures = world::run(&unlucky(true), policy, 1);
        figures.attempts.expect("the scenario is watched")
    };
    assert_near(attempts_of(PolicyKind::None), 1.0, 1e-9);
    // 1 + 1/2 + 1/4 + 1/8.
    assert_near(attempts_of(PolicyKind::Naive), 1.875, 0.05);
}

#[test]
fn there_is_no_storm_where_the_server_knows_who_has_given_up() {
    let skips = Scenario {
        expired: Expired::Skipped,
        ..scenarios::BROWNOUT
    };
    let figures = world::run(&skips, PolicyKind::None, 1);
    assert!(
        figures.recovery.is_some_and(|after| after < 2.0),
        "{figures:?}"
    );
}

#[test]
fn an_attempt_is_given_up_after_a_second() {
    let figures = world::run(&scenarios::BROWNOUT, PolicyKind::None, 1);
    // The queue is a second long after 500 of the 300 a second too many.
    let share = 100.0 * (0.5 / 0.3) / 10.0;
    let answered = figures.success_in_trouble.expect("it is watched");
    assert_near(answered, share, 5.0);
}

#[test]
fn who_is_well_for_a_moment_has_not_recovered() {
    let scenario = Scenario {
        duration: 30.0,
        watch: Some(Watch {
            server: 0,
            from: 0.0,
            until: 10.0,
            joins: false,
        }),
        ..scenarios::BASE
    };
    let mut record = Record::new(&scenario);
    for tenth in 0..300_u64 {
        let begun = tenth * 100_000_000;
        // Well again at once, ill once more from 14 s to 16 s.
        let ill = tenth < 100 || (140..160).contains(&tenth);
        let latency = if ill { 1_500_000_000 } else { 10_000_000 };
        record.answered(begun, begun + latency);
    }
    let Figures { recovery, .. } = record.figures(&[]);
    assert_eq!(recovery, Some(6.0));
}

/// The bench has the marks for 20 seeds; these are its bounds for one.
#[test]
fn our_retries_keep_no_server_down_and_the_throttle_helps_it_up() {
    let run = |policy| brownout("brownout-80-clients-40", policy);
    let (none, _) = run(PolicyKind::None);
    let (ours, attempts) = run(PolicyKind::Ours);
    assert!(ours < none + 0.5, "{ours} {none}");
    assert!(attempts <= 1.1, "{attempts}");
    let (throttled, _) = run(PolicyKind::OursThrottled);
    assert!(throttled < none / 2.0, "{throttled} {none}");
    let (tower, attempts) = run(PolicyKind::Tower);
    assert!(tower.is_infinite(), "{tower}: then the test shows nothing");
    assert!(attempts > 1.5, "{attempts}");
}

#[test]
fn a_fleet_with_a_floor_and_a_reserve_each_keeps_no_server_down() {
    let run = |policy| brownout("brownout-80-fleet", policy);
    let (none, _) = run(PolicyKind::None);
    let (ours, attempts) = run(PolicyKind::Ours);
    assert!(ours < none + 0.5, "{ours} {none}");
    assert!(attempts <= 1.1, "{attempts}");
}

#[test]
fn our_retries_save_what_can_be_saved() {
    let success = |name: &str| world::run(named(name), PolicyKind::Ours, 1);
    let random = success("random").success;
    assert!(random >= 99.98, "{random}");
    let rare = success("rare").success;
    assert!(rare >= 99.9, "{rare}");
    for name in ["outage", "outage-clients-40"] {
        let outage = success(name).success_in_trouble.expect("it is watched");
        assert!(outage >= 99.9, "{outage}");
    }
}

/// Seconds until all is well again, and attempts for each request of the brownout.
fn brownout(name: &str, policy: PolicyKind) -> (f64, f64) {
    let figures = world::run(named(name), policy, 1);
    let recovery = figures.recovery.expect("it is watched");
    (recovery, figures.attempts.expect("it is watched"))
}

fn named(name: &str) -> &'static Scenario {
    Scenario::named(name)[0]
}

/// Half of the attempts fail, and the server has nothing else to do.
fn unlucky(new_luck: bool) -> Scenario {
    Scenario {
        rate: 100.0,
        errors: 0.5,
        new_luck,
        watch: Some(scenarios::BROWN),
        ..scenarios::BASE
    }
}

fn assert_near(measured: f64, expected: f64, tolerance: f64) {
    assert!(
        (measured - expected).abs() <= tolerance,
        "{measured}, not {expected}"
    );
}
