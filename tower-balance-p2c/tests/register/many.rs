//! A big set in an outage. What looked at all cases for each of them would not come to an end here.

use std::{cell::Cell, sync::Arc};

use crate::{
    health::{EjectionNanos, Register, State},
    patient::{SECOND, around, claim, defaults, fail, set, succeed},
};

const MANY: usize = 20_000;

#[test]
fn of_many_that_are_due_each_is_asked_in_its_turn() {
    let settings = EjectionNanos {
        max_ejected: 1.0,
        ..defaults()
    };
    let register = Register::new(settings);
    let endpoints = set(&register, MANY);
    for endpoint in &endpoints {
        for _ in 0..3 {
            fail(&register, endpoint, around(0));
        }
    }
    assert_eq!(register.ejected(), MANY);
    // All but the last are not ready, so that each request asks some and goes elsewhere.
    let last = &endpoints[MANY - 1];
    let asked = Cell::new(0);
    let mut now = SECOND;
    let found = (0..MANY).find_map(|_| {
        now += SECOND / 1000;
        register.claim(now, 1000.0, |member| {
            asked.set(asked.get() + 1);
            Arc::ptr_eq(member, last).then_some(())
        })
    });
    assert!(found.is_some());
    assert_eq!(asked.get(), MANY);
    assert_eq!(last.state(), State::Probing);
    for endpoint in &endpoints {
        register.leave(endpoint);
    }
    assert_eq!((register.ejected(), register.next_due()), (0, None));
}

#[test]
fn many_that_have_had_their_first_request_are_forgotten_a_few_at_a_time() {
    let register = Register::new(defaults());
    let endpoints = set(&register, MANY);
    for endpoint in &endpoints {
        register.join(endpoint, SECOND);
        succeed(&register, endpoint, 0);
    }
    assert!(claim(&register, SECOND).is_none());
    assert!(register.is_due(SECOND), "not all of them by one request");
    let claims = (0..MANY).take_while(|_| register.is_due(SECOND));
    assert!(
        claims
            .map(|_| claim(&register, SECOND))
            .all(|claimed| claimed.is_none())
    );
    assert_eq!(register.next_due(), None);
}

#[test]
fn when_an_ejection_is_over_is_known_of_those_that_are_ejected_and_no_others() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 8);
    for (second, endpoint) in endpoints.iter().take(3).enumerate() {
        for _ in 0..3 {
            fail(&register, endpoint, around(second as u64 * SECOND));
        }
    }
    register.join(&endpoints[4], 9 * SECOND);
    let (probed, _) = claim(&register, SECOND).unwrap();
    assert!(Arc::ptr_eq(&probed, &endpoints[0]));
    let releases = register.releases();
    let over: Vec<_> = endpoints.iter().map(|member| releases.of(member)).collect();
    let seconds = [None, Some(2), Some(3), None, None, None, None, None];
    assert_eq!(over, seconds.map(|over| over.map(|over| over * SECOND)));
}
