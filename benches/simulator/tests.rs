//! The simulator itself: it says what queueing theory says, does the same each time, and its
//! servers do what the scenarios need.
//!
//! A root of its own beside `main.rs`, for the same modules: a bench has no tests.
#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the bench uses the rest")]

mod endpoint;
mod event;
mod figure;
mod models;
mod parts;
mod plot;
mod policy;
mod real;
mod record;
mod scenario;
mod scenarios;
mod server;
mod tasks;
mod theory;
mod verdicts;
mod world;

use benches::simulation::{Compared as _, Estimate, Policy as _};
use policy::PolicyKind;
use record::Figures;
use scenario::{Change, Condition, Scenario, Service, Watch};
use server::{Failure, Mode};

#[test]
fn queueing_theory_holds() {
    for case in theory::QUICK {
        let compared = case.compare(theory::SEED);
        assert!(compared.holds(), "{compared}");
    }
}

#[test]
fn a_seed_says_all() {
    let scenario = short("one-slow");
    for &policy in PolicyKind::ALL {
        let [first, second, other] = [7, 7, 8].map(|seed| world::run(&scenario, policy, seed));
        assert_eq!(first.mean.to_bits(), second.mean.to_bits(), "{policy:?}");
        assert_ne!(first.mean.to_bits(), other.mean.to_bits(), "{policy:?}");
    }
}

#[test]
fn an_idle_server_takes_the_time_of_the_work() {
    for &policy in PolicyKind::ALL {
        let figures = world::run(&ONE_SERVER, policy, 1);
        assert_millis(figures.p50, 2.0, policy);
        assert_millis(figures.p999, 2.0, policy);
    }
}

#[test]
fn a_stall_is_waited_for_by_all_that_meet_it() {
    let stalls = Scenario {
        rate: 1_000.0,
        plan: |_| {
            vec![
                Condition::new(1.0, 0, Change::Stalled(true)),
                Condition::new(2.0, 0, Change::Stalled(false)),
            ]
        },
        ..ONE_SERVER
    };
    let figures = world::run(&stalls, PolicyKind::Ours, 1);
    // A tenth of the requests waits for a uniform time of up to a second.
    assert!((figures.p99 - 900.0).abs() < 20.0, "{figures:?}");
    assert!((figures.p999 - 990.0).abs() < 15.0, "{figures:?}");
}

#[test]
fn errors_are_counted_once_however_they_come() {
    for failure in [Failure::Status, Failure::Refused, Failure::Reset] {
        let plan: fn(&mut _) -> _ = match failure {
            Failure::Status => |_| fails(Failure::Status),
            Failure::Refused => |_| fails(Failure::Refused),
            Failure::Reset => |_| fails(Failure::Reset),
        };
        let scenario = Scenario { plan, ..ONE_SERVER };
        for &policy in PolicyKind::ALL {
            let figures = world::run(&scenario, policy, 1);
            assert!(
                (figures.errors - 50.0).abs() < 5.0,
                "{failure:?} {policy:?} {figures:?}"
            );
        }
    }
}

#[test]
fn a_request_that_hangs_is_cancelled_by_its_client() {
    let hangs = Scenario {
        timeout: Some(0.25),
        plan: |_| vec![Condition::new(0.0, 0, Change::Mode(Mode::Hangs))],
        ..ONE_SERVER
    };
    for &policy in PolicyKind::ALL {
        let figures = world::run(&hangs, policy, 1);
        assert!(figures.errors == 100.0, "{policy:?} {figures:?}");
        assert_millis(figures.p50, 250.0, policy);
    }
}

#[test]
fn a_newcomer_is_unknown_before_it_joins() {
    let joins = Scenario {
        servers: 2,
        plan: |_| vec![Condition::new(5.0, 1, Change::Joins)],
        watch: Some(Watch {
            server: 1,
            from: 5.0,
            until: 5.0,
            joins: true,
        }),
        ..ONE_SERVER
    };
    for &policy in PolicyKind::ALL {
        let Figures { first_request, .. } = world::run(&joins, policy, 1);
        assert!(
            first_request.is_some_and(|seconds| seconds < 2.0),
            "{policy:?} {first_request:?}"
        );
    }
}

#[test]
fn a_request_that_waits_for_an_endpoint_is_woken() {
    let comes = Scenario {
        plan: |_| vec![Condition::new(0.7, 0, Change::Joins)],
        ..ONE_SERVER
    };
    for policy in [
        PolicyKind::Ours,
        PolicyKind::TowerPeakEwma,
        PolicyKind::TowerPending,
    ] {
        let figures = world::run(&comes, policy, 1);
        assert!(figures.errors == 0.0, "{policy:?} {figures:?}");
        // 7 % wait for a uniform time of up to 0.7 s.
        assert!((figures.p99 - 600.0).abs() < 30.0, "{policy:?} {figures:?}");
    }
}

#[test]
fn our_balancer_gives_up_where_there_is_no_endpoint() {
    let comes = Scenario {
        plan: |_| vec![Condition::new(5.0, 0, Change::Joins)],
        ..ONE_SERVER
    };
    let figures = world::run(&comes, PolicyKind::Ours, 1);
    // Those of the first four seconds of ten, for they wait for one.
    assert!((figures.errors - 40.0).abs() < 5.0, "{figures:?}");
}

#[test]
fn an_estimate_has_the_margin_of_its_values() {
    // From tables of Student's t: 3.182 for three degrees of freedom.
    let estimate = Estimate::of(&[1.0, 2.0, 3.0, 4.0]);
    assert!((estimate.mean - 2.5).abs() < 1e-9);
    assert!(
        (estimate.margin - 2.054).abs() < 0.02,
        "{}",
        estimate.margin
    );
}

fn short(name: &str) -> Scenario {
    Scenario {
        duration: 5.0,
        ..*scenarios::named(name)[0]
    }
}

fn fails(failure: Failure) -> Vec<Condition> {
    let fails = Change::Mode(Mode::Fails(failure, 0.5));
    vec![Condition::new(0.0, 0, fails)]
}

fn assert_millis(measured: f64, expected: f64, policy: PolicyKind) {
    assert!(
        (measured / expected - 1.0).abs() < 0.002,
        "{policy:?}: {measured} ms"
    );
}

/// Hardly any load: 100 requests/s of 2 ms, on more workers than they need.
const ONE_SERVER: Scenario = Scenario {
    servers: 1,
    workers: 16,
    service: Service::Constant(2.0),
    rate: 100.0,
    duration: 10.0,
    ..scenarios::BASE
};
