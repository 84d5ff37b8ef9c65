//! A clock that steps back: tokio's cannot, so that the cores are given the time.

use std::sync::Arc;

use crate::{
    health::{Ejection, Member, Register, Report, Standing, State, Surroundings, Ticket},
    latency::Latency,
    outcomes::Outcomes,
};

const SECOND: u64 = 1_000_000_000;

#[derive(Debug)]
struct Endpoint {
    standing: Standing,
    outcomes: Outcomes,
}

impl Member for Endpoint {
    fn standing(&self) -> &Standing {
        &self.standing
    }

    fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }
}

#[test]
fn a_latency_survives_it() {
    let latency = Latency::new(100 * SECOND);
    for now in [100, 50, 0, 200, 199] {
        latency.record(7_000_000, 0, now * SECOND, 10 * SECOND);
        latency.record_at_least(6_000_000, 0, 7e6, now * SECOND / 2, 10 * SECOND);
        for look in [0, now * SECOND / 2, u64::MAX] {
            let seen = latency.per_place(7e6, look, 10 * SECOND).unwrap();
            assert!((seen - 7e6).abs() < 1.0, "{seen}");
        }
    }
}

#[test]
fn outcomes_survive_it() {
    let outcomes = Outcomes::new(100 * SECOND, 10 * SECOND);
    for now in [100, 50, 0, 101] {
        outcomes.record_failure(now * SECOND);
        outcomes.record_success(now * SECOND);
        let ratio = outcomes.ratio(now * SECOND);
        assert!((0.01..1.0).contains(&ratio), "{ratio}");
        assert!(outcomes.in_window(now * SECOND).total() >= 2);
    }
    assert_eq!(outcomes.totals().total(), 8);
    assert_eq!(outcomes.ratio(112 * SECOND), 1.0);
}

#[test]
fn an_ejection_survives_it() {
    let register = Register::new(Ejection::new().nanos());
    register.set_members(2);
    let endpoint = Arc::new(Endpoint {
        standing: Standing::new(),
        outcomes: Outcomes::new(0, register.window()),
    });
    let failed = |now: u64| {
        endpoint.outcomes.record_failure(now);
        let ticket = Ticket {
            ejections: endpoint.standing.ejections(),
            is_probe: false,
        };
        let around = Surroundings {
            now,
            failing: 0.0,
            rate: 1.0,
            chance: 0.0,
        };
        register.failed(&endpoint, ticket, around)
    };
    assert_eq!(failed(100 * SECOND), None);
    assert_eq!(failed(50 * SECOND), None);
    assert!(matches!(failed(0), Some(Report::Ejected { .. })));
    assert!(register.claim(SECOND / 2, 1.0, |_| Some(())).is_none());
    assert!(register.is_due(SECOND));
    let claimed = register.claim(SECOND, 1.0, |_| Some(()));
    assert_eq!(claimed, Some(((), true)));
    assert_eq!(endpoint.standing.state(), State::Probing);
    let probe = Ticket {
        ejections: 1,
        is_probe: true,
    };
    let verdict = register.succeeded(&endpoint, probe, 0);
    assert_eq!(verdict, Some(Report::Readmitted));
}
