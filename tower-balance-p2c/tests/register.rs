//! Ejection, probes and probation as a pure core: time and chance come in.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../src/flights.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod flights;
#[path = "../src/health/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "as the crate has it"
)]
mod health;
#[path = "../src/outcomes.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod outcomes;
#[path = "support/patient.rs"]
mod patient;
#[path = "../src/sync.rs"]
mod sync;

use std::sync::Arc;

use health::{EjectionNanos, Register, State, Ticket};
use patient::{Patient, SECOND, around, claim, defaults, fail, fail_probe, set, succeed};
use proptest::prelude::*;

/// Fails until it is ejected, and returns how often that was.
fn eject(register: &Register<Patient>, endpoint: &Arc<Patient>, now: u64) -> u32 {
    for failures in 1..100 {
        fail(register, endpoint, around(now));
        if endpoint.state() == State::Ejected {
            return failures;
        }
    }
    panic!("never ejected");
}

#[test]
fn three_failures_in_a_row_eject_and_a_success_in_between_does_not() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    for _ in 0..50 {
        fail(&register, &endpoints[0], around(0));
        fail(&register, &endpoints[0], around(0));
        for _ in 0..30 {
            succeed(&register, &endpoints[0], 0);
        }
        assert_eq!(endpoints[0].state(), State::Admitted);
    }
    assert_eq!(eject(&register, &endpoints[0], 0), 3);
    assert_eq!(register.ejected(), 1);
}

#[test]
fn more_are_needed_where_all_fail() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    let mut surroundings = around(0);
    surroundings.failing = 0.5;
    for _ in 0..16 {
        fail(&register, &endpoints[0], surroundings);
        assert_eq!(endpoints[0].state(), State::Admitted);
    }
    fail(&register, &endpoints[0], surroundings);
    assert_eq!(endpoints[0].state(), State::Ejected);
    surroundings.failing = 1.0;
    for _ in 0..1000 {
        fail(&register, &endpoints[1], surroundings);
    }
    assert_eq!(endpoints[1].state(), State::Admitted);
}

#[test]
fn half_of_the_requests_failing_ejects_within_twenty() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    for request in 0.. {
        assert!(request < 20);
        succeed(&register, &endpoints[0], 0);
        fail(&register, &endpoints[0], around(0));
        if endpoints[0].state() == State::Ejected {
            break;
        }
    }
}

#[test]
fn a_quarter_of_the_requests_failing_ejects_and_a_tenth_does_not() {
    for (every, ejects) in [(4, true), (10, false)] {
        let register = Register::new(defaults());
        let endpoints = set(&register, 4);
        for request in 1..=1000_u64 {
            let now = request * SECOND / 100;
            if request % every == 0 {
                fail(&register, &endpoints[0], around(now));
            } else {
                succeed(&register, &endpoints[0], now);
            }
        }
        assert_eq!(endpoints[0].ejections() > 0, ejects, "each {every}th");
    }
}

#[test]
fn no_more_than_allowed_are_ejected() {
    for (members, most) in [(1, 0), (2, 1), (3, 1), (10, 5)] {
        let register = Register::new(defaults());
        let endpoints = set(&register, members);
        for _ in 0..10 {
            for endpoint in &endpoints {
                fail(&register, endpoint, around(0));
            }
        }
        assert_eq!(register.ejected(), most, "of {members}");
    }
}

#[test]
fn one_request_probes_when_the_time_has_come_and_only_its_verdict_counts() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    let endpoint = &endpoints[0];
    let before = endpoint.ticket(false);
    eject(&register, endpoint, 0);
    assert!(!register.is_due(SECOND - 1) && register.is_due(SECOND));
    assert!(claim(&register, SECOND - 1).is_none());
    let (probed, is_probe) = claim(&register, SECOND).unwrap();
    assert!(Arc::ptr_eq(&probed, endpoint) && is_probe);
    assert!(claim(&register, 10 * SECOND).is_none(), "one at a time");

    // Neither what was sent before the ejection nor what was sent without a claim has a say.
    for other in [before, endpoint.ticket(false)] {
        assert!(register.succeeded(endpoint, other, SECOND).is_none());
        assert!(register.failed(endpoint, other, around(SECOND)).is_none());
        assert_eq!(endpoint.state(), State::Probing);
    }
    register.succeeded(endpoint, endpoint.ticket(true), SECOND);
    assert_eq!(endpoint.state(), State::Probation(1));
    assert_eq!(register.ejected(), 0);
}

#[test]
fn a_probe_without_a_verdict_frees_its_place() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    eject(&register, &endpoints[0], 0);
    claim(&register, SECOND).unwrap();
    let probe = endpoints[0].ticket(true);
    register.unproven(&endpoints[0], probe, false, 2 * SECOND);
    assert!(claim(&register, 2 * SECOND).is_some(), "at once");
    // One that has hung costs its client's patience, so the next one is not due at once.
    let probe = endpoints[0].ticket(true);
    register.unproven(&endpoints[0], probe, true, 3 * SECOND);
    assert!(claim(&register, 3 * SECOND).is_none());
    assert!(claim(&register, 4 * SECOND).is_some());
}

#[test]
fn a_probe_that_is_late_frees_no_other_ones_place_but_may_still_tell() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    let endpoint = &endpoints[0];
    eject(&register, endpoint, 0);
    claim(&register, SECOND).unwrap();
    let late = endpoint.ticket(true);
    claim(&register, 12 * SECOND).expect("one that takes so long is not waited for");
    register.unproven(endpoint, late, false, 12 * SECOND);
    assert_eq!(endpoint.state(), State::Probing);
    assert!(claim(&register, 13 * SECOND).is_none(), "one at a time");
    register.succeeded(endpoint, late, 13 * SECOND);
    assert_eq!(endpoint.state(), State::Probation(1));
}

#[test]
fn an_endpoint_that_is_not_ready_is_probed_later() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    eject(&register, &endpoints[0], 0);
    assert!(register.claim(SECOND, 1000.0, |_| None::<()>).is_none());
    assert_eq!(endpoints[0].state(), State::Ejected);
    assert!(!register.is_due(SECOND + SECOND / 20));
    assert!(claim(&register, SECOND + SECOND / 10).is_some());
}

#[test]
fn probation_lets_more_in_as_they_go_well() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    let endpoint = &endpoints[0];
    eject(&register, endpoint, 0);
    claim(&register, SECOND).unwrap();
    register.succeeded(endpoint, endpoint.ticket(true), SECOND);
    for most in [1, 2, 4, 8, 16] {
        for _ in 0..most {
            assert_eq!(endpoint.state(), State::Probation(most));
            succeed(&register, endpoint, SECOND);
        }
    }
    assert_eq!(endpoint.state(), State::Admitted);
}

#[test]
fn ejections_double_up_to_the_longest_and_are_forgotten_after_a_while() {
    let settings = EjectionNanos {
        requests_per_probe: u32::MAX,
        max: 5 * SECOND,
        ..defaults()
    };
    let register = Register::new(settings);
    let endpoints = set(&register, 4);
    let endpoint = &endpoints[0];
    let mut now = 0;
    eject(&register, endpoint, now);
    for seconds in [1, 2, 4, 5, 5] {
        assert!(!register.is_due(now + seconds * SECOND - 1));
        now += seconds * SECOND;
        claim(&register, now).unwrap();
        fail_probe(&register, endpoint, around(now));
    }
    now += 5 * SECOND;
    claim(&register, now).unwrap();
    register.succeeded(endpoint, endpoint.ticket(true), now);
    for _ in 0..31 {
        succeed(&register, endpoint, now);
    }
    assert_eq!(endpoint.state(), State::Admitted);
    // Soon after it is as bad as before, later it is not.
    let (mut soon, mut later) = (now + SECOND, now + 100 * SECOND);
    claim(&register, soon);
    eject(&register, endpoint, soon);
    soon += 5 * SECOND - 1;
    assert!(!register.is_due(soon));
    claim(&register, soon + 1).unwrap();
    register.succeeded(endpoint, endpoint.ticket(true), soon);
    for _ in 0..31 {
        succeed(&register, endpoint, soon);
    }
    assert!(claim(&register, later).is_none());
    eject(&register, endpoint, later);
    later += SECOND;
    assert!(register.is_due(later));
}

#[test]
fn a_busy_set_is_probed_sooner_and_an_idle_one_is_left_to_the_clock() {
    for (rate, seconds) in [(1_000_000.0, 1), (4250.0, 2), (10.0, 16)] {
        let register = Register::new(defaults());
        let endpoints = set(&register, 4);
        let mut surroundings = around(0);
        surroundings.rate = rate;
        for _ in 0..3 {
            fail(&register, &endpoints[0], surroundings);
        }
        for _ in 0..4 {
            surroundings.now += 100 * SECOND;
            claim(&register, surroundings.now).unwrap();
            fail_probe(&register, &endpoints[0], surroundings);
        }
        let due = surroundings.now + seconds * SECOND;
        assert!(!register.is_due(due - 1) && register.is_due(due), "{rate}");
    }
}

#[test]
fn chance_shortens_an_ejection_by_a_fifth_at_the_most() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    let mut surroundings = around(0);
    surroundings.chance = 1.0;
    for _ in 0..3 {
        fail(&register, &endpoints[0], surroundings);
    }
    assert!(!register.is_due(SECOND / 10 * 8 - 1) && register.is_due(SECOND / 10 * 8));
}

#[test]
fn who_asks_to_be_left_alone_is_for_as_long_as_the_cap_allows() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    let asks = |endpoint: &Arc<Patient>, seconds| {
        let ticket = endpoint.ticket(false);
        register.pushed_back(endpoint, ticket, seconds * SECOND, around(0))
    };
    assert!(asks(&endpoints[0], 0).is_none());
    asks(&endpoints[0], 7).unwrap();
    assert!(!register.is_due(7 * SECOND - 1) && register.is_due(7 * SECOND));
    asks(&endpoints[1], 9_999).unwrap();
    register.leave(&endpoints[0]);
    assert!(!register.is_due(30 * SECOND - 1) && register.is_due(30 * SECOND));
    let off = Register::new(EjectionNanos {
        max_pushback: 0,
        ..defaults()
    });
    off.set_members(4);
    let ticket = endpoints[2].ticket(false);
    assert!(
        off.pushed_back(&endpoints[2], ticket, SECOND, around(0))
            .is_none()
    );
}

#[test]
fn who_asks_for_a_moment_only_is_not_probed_by_each_request() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    let mut now = 0;
    for at_least in [1, 1, 2, 4] {
        let ticket = endpoints[0].ticket(now > 0);
        register.pushed_back(&endpoints[0], ticket, 1_000_000, around(now));
        assert!(!register.is_due(now + at_least * SECOND - 1));
        now += at_least * SECOND;
        assert!(claim(&register, now).is_some());
    }
}

#[test]
fn who_leaves_makes_room() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 2);
    eject(&register, &endpoints[0], 0);
    register.leave(&endpoints[0]);
    assert_eq!(register.ejected(), 0);
    assert!(claim(&register, 100 * SECOND).is_none());
    // Its last requests do not bring it back into the count.
    for _ in 0..10 {
        fail(&register, &endpoints[0], around(0));
    }
    let ticket = endpoints[0].ticket(false);
    register.pushed_back(&endpoints[0], ticket, SECOND, around(0));
    assert_eq!(register.ejected(), 0);
    eject(&register, &endpoints[1], 0);
}

#[test]
fn panic_ignores_ejection_while_too_few_can_be_used() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 10);
    assert!(
        !register.weigh(0),
        "without ejections there is nothing to ignore"
    );
    eject(&register, &endpoints[0], 0);
    assert!(!register.weigh(5) && !register.is_panicking());
    assert!(register.weigh(4) && register.is_panicking());
    assert!(!register.weigh(9) && !register.is_panicking());
}

#[test]
fn a_newcomer_is_owed_one_request_unless_it_has_had_one() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    register.join(&endpoints[0], SECOND);
    register.join(&endpoints[1], SECOND);
    succeed(&register, &endpoints[1], 0);
    assert!(claim(&register, SECOND - 1).is_none());
    let (owed, is_probe) = claim(&register, SECOND).unwrap();
    assert!(Arc::ptr_eq(&owed, &endpoints[0]) && !is_probe);
    assert!(claim(&register, 100 * SECOND).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order, clocks that step back included: the number of those
    /// that are ejected is right and bounded, and no endpoint is left out for ever.
    #[test]
    fn no_history_loses_an_endpoint(
        members in 1..6_usize,
        steps in prop::collection::vec((0..6_usize, 0..7_u8, 0..200_u64), 1..400),
    ) {
        let register = Register::new(defaults());
        let endpoints = set(&register, members);
        let mut stale = endpoints[0].ticket(true);
        let mut probes = Vec::new();
        for (which, act, tenths) in steps {
            let endpoint = &endpoints[which % members];
            let now = tenths * SECOND / 10;
            match act {
                0 | 1 => fail(&register, endpoint, around(now)),
                2 => succeed(&register, endpoint, now),
                3 => probes.extend(claim(&register, now).filter(|claimed| claimed.1)),
                4 => if let Some((endpoint, _)) = probes.pop() {
                    stale = endpoint.ticket(true);
                    register.unproven(&endpoint, stale, tenths % 2 == 0, now);
                },
                5 => if let Some((endpoint, _)) = probes.pop() {
                    register.succeeded(&endpoint, endpoint.ticket(true), now);
                },
                _ => {
                    // From some time ago, to whomever.
                    register.failed(endpoint, Ticket { probe: None, ..stale }, around(now));
                }
            }
            let out = |state| matches!(state, State::Ejected | State::Probing);
            let ejected = endpoints.iter().filter(|endpoint| out(endpoint.state())).count();
            prop_assert_eq!(register.ejected(), ejected);
            prop_assert!(ejected <= members / 2);
        }
        // All that are out come back when their requests go well.
        for (endpoint, _) in probes {
            register.unproven(&endpoint, endpoint.ticket(true), false, 0);
        }
        let mut now = 1000 * SECOND;
        while register.ejected() > 0 {
            now += SECOND;
            prop_assert!(now < 2000 * SECOND, "some endpoint is never probed");
            if let Some((endpoint, true)) = claim(&register, now) {
                register.succeeded(&endpoint, endpoint.ticket(true), now);
            }
        }
        for endpoint in &endpoints {
            for _ in 0..31 {
                succeed(&register, endpoint, now);
            }
            prop_assert_eq!(endpoint.state(), State::Admitted);
        }
    }
}
