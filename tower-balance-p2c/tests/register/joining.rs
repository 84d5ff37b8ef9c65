//! Those who leave, those who join, and a set of which too little is left.

use std::sync::Arc;

use crate::{
    eject,
    health::Register,
    patient::{SECOND, around, claim, defaults, fail, set, succeed},
};

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
fn panic_is_over_with_the_last_ejection() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    eject(&register, &endpoints[0], 0);
    assert!(register.weigh(1) && register.is_panicking());
    register.leave(&endpoints[0]);
    eject(&register, &endpoints[1], 100 * SECOND);
    assert!(!register.is_panicking());
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
