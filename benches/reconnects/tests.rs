//! The reconnect simulator itself: it says what arithmetic says, does the same each time, and
//! counts what it should; and the layer's defaults hold their marks for a seed.
//!
//! A root of its own beside `main.rs`, for the same modules: a bench has no tests.
#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the bench uses the rest")]

mod clients;
mod endpoint;
mod figure;
mod models;
mod parts;
mod plot;
mod policy;
mod record;
mod scenario;
mod scenarios;
mod theory;
mod verdicts;
mod world;

use benches::simulation::{Compared as _, Policy as _, run_all};
use policy::PolicyKind;
use record::Record;
use scenario::Scenario;

#[test]
fn it_says_what_arithmetic_says() {
    for compared in theory::compare_all(2) {
        assert!(compared.holds(), "{compared}");
    }
}

#[test]
fn a_seed_says_all() {
    let scenario = Scenario {
        clients: 20,
        ..scenarios::RESTART
    };
    for &policy in PolicyKind::ALL.iter().chain(PolicyKind::MORE) {
        let [first, second, other] =
            [7, 7, 8].map(|seed| format!("{:?}", world::run(&scenario, policy, seed)));
        assert_eq!(first, second, "{policy:?}");
        assert_ne!(first, other, "{policy:?}");
    }
}

#[test]
fn the_marks_are_held_by_the_defaults() {
    let policies = [PolicyKind::Ours, PolicyKind::OursPutOff];
    for scenario in scenarios::ALL {
        let results = run_all(scenario, &policies, &[1], 2);
        for verdict in verdicts::judge(&results) {
            assert!(verdict.met, "{verdict}");
        }
    }
}

/// But where a connection is sent away after one answer.
#[test]
fn exclusive_connections_do_what_a_shared_one_does() {
    for scenario in scenarios::ALL
        .iter()
        .filter(|scenario| !scenario.sends_away)
    {
        let scenario = Scenario {
            clients: 100,
            ..*scenario
        };
        let [shared, exclusive] = [PolicyKind::Ours, PolicyKind::OursExclusive]
            .map(|policy| format!("{:?}", world::run(&scenario, policy, 1)));
        assert_eq!(shared, exclusive, "{}", scenario.name);
    }
}

#[test]
fn a_client_alone_is_back_soon_after_a_short_outage() {
    for up in [
        &[(0.2, f64::INFINITY)],
        &[(1.0, f64::INFINITY)],
        &[(3.0, f64::INFINITY)],
    ] {
        let scenario = Scenario {
            clients: 1_000,
            up,
            ..scenarios::RESTART
        };
        let figures = world::run(&scenario, PolicyKind::Ours, 1);
        let (median, last) = (figures.median.unwrap(), figures.last.unwrap());
        let (outage, _) = up[0];
        assert!(median <= 0.6 * outage + 0.1, "{outage} s: {median}");
        assert!(last <= 1.15 * outage + 0.125, "{outage} s: {last}");
    }
}

/// Each is asked for a connection a tenth of a second after the other.
#[test]
fn the_figures_are_of_what_was_written_down() {
    let mut record = Record::default();
    for tenth in 0..100 {
        let seconds = f64::from(tenth) / 10.0;
        record.dialled(seconds);
        if seconds >= 5.0 {
            record.dialled(seconds + 0.05);
            record.connected(seconds);
        }
    }
    let scenario = Scenario {
        clients: 50,
        up: &[(5.0, f64::INFINITY)],
        duration: 10.0,
        ..scenarios::RESTART
    };
    let figures = record.figures(&scenario);
    assert_eq!(figures.peak, Some(20.0));
    assert_eq!(figures.peak_of_tenths, Some(20.0));
    assert_eq!(figures.peak_of_all, 20.0);
    assert_eq!(figures.late, None, "the server is back");
    assert_eq!(figures.dials, 3.0);
    assert_eq!(figures.median, Some(2.4));
    assert_eq!(figures.last, Some(4.9));
    assert_eq!(figures.rates[4], 10.0);
    assert_eq!(figures.rates[5], 20.0);
    let more = Scenario {
        clients: 51,
        ..scenario
    };
    assert_eq!(record.figures(&more).last, Some(f64::INFINITY), "never");
}

#[test]
fn a_flapping_server_is_looked_at_when_backoffs_have_grown() {
    let mut record = Record::default();
    record.dialled(1.0);
    record.dialled(9.0);
    record.dialled(9.5);
    let scenario = Scenario {
        keeps: 1.0,
        duration: 10.0,
        ..scenarios::RESTART
    };
    let figures = record.figures(&scenario);
    assert_eq!(figures.late, Some(0.4));
    assert_eq!((figures.peak, figures.p99), (None, None));
}
