//! When to dial for many exclusive connections, as a pure function of time and events.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use self::{
    backoff::Backoff,
    bounds::Bounds,
    gate::{Gate, Step, Ticket},
    limits::Limits,
    loss::Loss,
    view::Phase,
};

#[path = "../src/backoff.rs"]
mod backoff;
#[path = "../src/bounds.rs"]
mod bounds;
#[path = "../src/exclusive/gate.rs"]
mod gate;
#[path = "../src/history.rs"]
mod history;
#[path = "../src/limits.rs"]
mod limits;
#[path = "../src/loss.rs"]
mod loss;
#[path = "../src/moment.rs"]
mod moment;
#[path = "../src/exclusive/open.rs"]
mod open;
#[path = "../src/pace.rs"]
mod pace;
#[path = "../src/stats.rs"]
mod stats;
#[path = "../src/view.rs"]
mod view;

mod exclusive {
    pub(crate) use super::open;
}

#[test]
fn it_lets_as_many_through_as_are_wanted_and_allowed() {
    let mut gate = gate(None);
    assert_eq!(gate.next(ms(0), 0), Step::Wait);
    assert_eq!(dial_all(&mut gate, ms(0), 2).len(), 2);
    assert_eq!(dial_all(&mut gate, ms(0), 100).len(), 2, "four in all");
    assert!(matches!(gate.phase(), Phase::Connecting));
}

#[test]
fn dials_that_fail_together_are_one_failure() {
    let mut gate = gate(None);
    for (number, ticket) in dial_all(&mut gate, ms(0), 100).into_iter().enumerate() {
        let now = ms(number as u64);
        let delay = gate.failed(ticket, now, "refused", u64::MAX);
        assert_eq!(delay, Some(ms(100) - now), "until the same end");
    }
    assert_eq!(
        (gate.history().failures(), gate.history().stats.failures),
        (1, 4)
    );
    assert_eq!(gate.next(ms(99), 100), Step::Sleep(ms(1)));
    assert_eq!(dial_all(&mut gate, ms(100), 100).len(), 1);
}

#[test]
fn connections_that_die_together_are_one_failure() {
    let mut gate = gate(None);
    for _ in 0..50 {
        connect(&mut gate, ms(0));
    }
    let first = gate.lost(1, ms(40), "reset", u64::MAX);
    assert_eq!(first, Loss::Unstable { delay: ms(60) }, "of 100 ms");
    for generation in 2..=50 {
        let loss = gate.lost(generation, ms(50), "reset", u64::MAX);
        assert_eq!(loss, Loss::Unstable { delay: ms(50) });
    }
    assert_eq!(
        (gate.history().failures(), gate.history().stats.unstable),
        (1, 50)
    );
    assert_eq!(gate.lost(7, ms(50), "reset", 0), Loss::Known, "twice");
}

/// That a peer accepts is no sign yet that it works.
#[test]
fn after_a_failure_there_is_one_dial_at_a_time_until_a_connection_is_stable() {
    let mut gate = gate(None);
    let ticket = dial_all(&mut gate, ms(0), 1)[0];
    gate.failed(ticket, ms(0), "refused", u64::MAX);
    connect(&mut gate, ms(100));
    assert_eq!(gate.history().failures(), 1);
    assert_eq!(gate.next(ms(130), 100), Step::Sleep(ms(70)), "a pause");
    let under_way = dial_all(&mut gate, ms(200), 100);
    assert_eq!(under_way.len(), 1);
    gate.connected(under_way[0], ms(200)).unwrap();
    let under_way = dial_all(&mut gate, ms(5098), 100);
    assert_eq!(under_way.len(), 1);
    gate.connected(under_way[0], ms(5098)).unwrap();
    assert_eq!(gate.next(ms(5099), 100), Step::Sleep(ms(99)));
    assert_eq!(dial_all(&mut gate, ms(5100), 100).len(), 4);
    assert_eq!(gate.history().failures(), 0);
}

#[test]
fn a_peer_that_accepts_and_dies_is_dialled_ever_more_rarely() {
    let mut gate = gate(None);
    let mut now = ms(0);
    for step in [100, 200, 400, 800] {
        let generation = connect(&mut gate, now);
        let loss = gate.lost(generation, now + ms(10), "reset", u64::MAX);
        let delay = ms(step - 10);
        assert_eq!(loss, Loss::Unstable { delay }, "from the dial on");
        now += ms(step);
    }
}

#[test]
fn the_first_of_several_dials_is_put_off_and_the_others_go_with_it() {
    let bounds = Bounds {
        first_dial_jitter: ms(1000),
        ..bounds(None)
    };
    let mut gate = Gate::new(Arc::new(bounds), 1 << 63, 7);
    assert_eq!(gate.next(ms(0), 9), Step::Sleep(ms(500)));
    assert_eq!(gate.next(ms(200), 9), Step::Sleep(ms(300)));
    let tickets = dial_all(&mut gate, ms(500), 9);
    assert_eq!(tickets.len(), 4);
    gate.connected(tickets[0], ms(500)).unwrap();
    assert_eq!(
        dial_all(&mut gate, ms(500), 9).len(),
        1,
        "there is one by now"
    );
}

/// A connection of before the failure shows nothing about the peer of after it.
#[test]
fn an_old_connection_does_not_end_the_failing() {
    let mut gate = gate(None);
    connect(&mut gate, ms(0));
    let ticket = dial_all(&mut gate, ms(60_000), 1)[0];
    gate.failed(ticket, ms(60_000), "refused", u64::MAX);
    assert_eq!(gate.next(ms(60_050), 9), Step::Sleep(ms(50)));
    assert_eq!(dial_all(&mut gate, ms(60_100), 9).len(), 1);
    assert_eq!(gate.history().failures(), 1);
}

#[test]
fn a_retired_connection_ends_the_failing_and_is_none() {
    let mut gate = gate(None);
    let ticket = dial_all(&mut gate, ms(0), 1)[0];
    gate.failed(ticket, ms(0), "refused", u64::MAX);
    let generation = connect(&mut gate, ms(100));
    assert_eq!(
        gate.retired(generation, ms(101), "goaway", 0, 1),
        Loss::Stable
    );
    assert_eq!(gate.history().failures(), 0);
    assert_eq!(dial_all(&mut gate, ms(101), 9).len(), 4);
}

#[test]
fn what_is_to_be_renewed_is_dialled_for_and_a_reset_ends_its_backoff() {
    let mut gate = gate(Some(ms(60_000)));
    let generation = connect(&mut gate, ms(0));
    let Step::Sleep(due) = gate.next(ms(0), 0) else {
        panic!("nothing is due");
    };
    assert_eq!(due, gate.renew_at(generation));
    let ticket = dial_all(&mut gate, due, 0)[0];
    gate.failed(ticket, due, "refused", u64::MAX);
    assert_eq!(gate.next(due, 0), Step::Sleep(ms(100)));
    gate.reset();
    let ticket = dial_all(&mut gate, due, 0)[0];
    gate.connected(ticket, due).unwrap();
    assert_eq!(gate.take_due(), Some(generation));
    assert_eq!(gate.take_due(), None);
    assert_eq!(gate.replaced(generation), Some(ms(0)));
    assert_eq!(
        (gate.history().stats.replaced, gate.history().stats.open),
        (1, 1)
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: none before its time, never more at once than allowed,
    /// one while it fails, and the numbers add up.
    #[test]
    fn dials_are_bounded(ages in any::<bool>(), events in prop::collection::vec(event(), 1..200)) {
        let mut gate = gate(ages.then(|| ms(20_000)));
        let (mut now, mut earliest) = (Duration::ZERO, Duration::ZERO);
        let (mut dials, mut open) = (Vec::new(), Vec::new());
        let (mut released, mut failed) = (0, 0_u64);
        for event in events {
            match event {
                Event::Pass(time) => now += time,
                Event::Next(wanted) => match gate.next(now, wanted) {
                    Step::Dial(ticket) => {
                        prop_assert!(now >= earliest);
                        dials.push(ticket);
                        let allowed = if gate.history().failures() > 0 { 1 } else { 4 };
                        prop_assert!(dials.len() <= allowed);
                    }
                    Step::Sleep(delay) => prop_assert!(!delay.is_zero()),
                    Step::Wait => {}
                },
                Event::Connected(which) => if let Some(ticket) = take(&mut dials, which) {
                    open.push(gate.connected(ticket, now).unwrap());
                },
                Event::Failed(which, random) => if let Some(ticket) = take(&mut dials, which) {
                    let delay = gate.failed(ticket, now, "refused", random).unwrap();
                    earliest = now + delay;
                    failed += 1;
                    prop_assert!(gate.history().failures() > 0);
                },
                Event::Ended(which, how, random) => if let Some(ended) = take(&mut open, which) {
                    match how {
                        0 => if let Loss::Unstable { delay } = gate.lost(ended, now, "reset", random) {
                            earliest = now + delay;
                        },
                        1 => {
                            let answers = random as u32 % 3;
                            let loss = gate.retired(ended, now, "goaway", random, answers);
                            prop_assert!(answers == 0 || loss == Loss::Stable);
                            if let Loss::Unstable { delay } = loss {
                                earliest = now + delay;
                            }
                        }
                        2 => prop_assert!(gate.unused(ended).is_some()),
                        3 => prop_assert!(gate.replaced(ended).is_some()),
                        _ => {
                            gate.released(ended);
                            released += 1;
                        }
                    }
                },
            }
            let stats = gate.history().stats;
            prop_assert_eq!(stats.open, open.len() as u64);
            prop_assert_eq!(stats.failures, failed);
            let ended = stats.connections + stats.failures;
            prop_assert_eq!(stats.dials, ended + dials.len() as u64);
            let gone = stats.lost + stats.replaced + stats.unused + released;
            prop_assert_eq!(stats.connections, gone + stats.open);
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Pass(Duration),
    Next(usize),
    Connected(usize),
    Failed(usize, u64),
    Ended(usize, u8, u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..3_000_000_u64).prop_map(|time| Event::Pass(Duration::from_micros(time))),
        8 => (0..10_usize).prop_map(Event::Next),
        3 => any::<usize>().prop_map(Event::Connected),
        2 => any::<(usize, u64)>().prop_map(|(which, random)| Event::Failed(which, random)),
        2 => (any::<usize>(), 0..5_u8, any::<u64>())
            .prop_map(|(which, how, random)| Event::Ended(which, how, random)),
    ]
}

fn take<T>(from: &mut Vec<T>, which: usize) -> Option<T> {
    let index = which.checked_rem(from.len())?;
    Some(from.swap_remove(index))
}

fn dial_all(gate: &mut Gate<&'static str>, now: Duration, wanted: usize) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    while let Step::Dial(ticket) = gate.next(now, wanted) {
        tickets.push(ticket);
    }
    tickets
}

fn connect(gate: &mut Gate<&'static str>, now: Duration) -> u64 {
    let Step::Dial(ticket) = gate.next(now, 1) else {
        panic!("no dial");
    };
    gate.connected(ticket, now).unwrap()
}

fn gate(max_age: Option<Duration>) -> Gate<&'static str> {
    Gate::new(Arc::new(bounds(max_age)), 0, 7)
}

fn bounds(max_age: Option<Duration>) -> Bounds {
    Bounds {
        backoff: Backoff::new(ms(100), ms(6_400)),
        first_dial_jitter: Duration::ZERO,
        stable_after: ms(5000),
        worked_after: 1,
        max_dials: 4,
        limits: Limits {
            max_age,
            ..Limits::default()
        },
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
