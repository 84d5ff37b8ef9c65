//! Happy eyeballs without a network: the order of addresses, and the race between them.
#![allow(clippy::unwrap_used, unreachable_pub)]

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::pending,
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use self::{order::interleave, race::race};

#[path = "../src/tcp/order.rs"]
mod order;
#[path = "../src/tcp/race.rs"]
mod race;

const DELAY: Duration = Duration::from_millis(250);

#[test]
fn families_take_turns_from_the_first_on() {
    for (resolved, first, expected) in [
        ("", 1, ""),
        ("a b c", 1, "a b c"),
        ("A B a b", 1, "A a B b"),
        ("a b A B", 1, "a A b B"),
        ("A B C D a", 1, "A a B C D"),
        ("a A B C D", 1, "a A B C D"),
        ("A B C D a b", 2, "A B a C b D"),
        ("A a b c", 2, "A a b c"),
    ] {
        let resolved: Vec<_> = resolved.split_whitespace().map(address).collect();
        let order: Vec<_> = interleave(&resolved, first).into_iter().collect();
        let expected: Vec<_> = expected.split_whitespace().map(address).collect();
        assert_eq!(order, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_address_wins_if_it_answers_within_the_delay() {
    let field = Field::new(&[(249, true), (0, true)]);
    assert_eq!(field.run().await, (Ok(0), 249));
    assert_eq!(field.started(), [0]);
}

#[tokio::test(start_paused = true)]
async fn the_next_one_starts_after_the_delay_and_the_loser_is_dropped() {
    let field = Field::new(&[(HANGS, true), (30, true), (0, true)]);
    assert_eq!(field.run().await, (Ok(1), 280));
    assert_eq!(field.started(), [0, 250]);
    assert_eq!(field.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_next_one_starts_at_once_when_one_fails() {
    let field = Field::new(&[(5, false), (7, false), (9, true)]);
    assert_eq!(field.run().await, (Ok(2), 21));
    assert_eq!(field.started(), [0, 5, 12]);
}

#[tokio::test(start_paused = true)]
async fn a_late_attempt_may_still_win() {
    let field = Field::new(&[(600, true), (HANGS, true), (300, false)]);
    assert_eq!(field.run().await, (Ok(0), 600));
    assert_eq!(field.started(), [0, 250, 500]);
    assert_eq!(field.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn all_failures_are_reported_in_the_order_in_which_they_came() {
    let field = Field::new(&[(600, false), (10, false), (20, false)]);
    assert_eq!(field.run().await, (Err(vec![1, 2, 0]), 600));
    assert_eq!(field.started(), [0, 250, 260]);
}

#[tokio::test(start_paused = true)]
async fn without_an_address_it_fails_at_once() {
    assert_eq!(Field::new(&[]).run().await, (Err(vec![]), 0));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_each_family_keeps_its_order(
        families in prop::collection::vec(any::<bool>(), 0..30),
        first in 1..5_usize,
    ) {
        let resolved: Vec<_> = families.iter().enumerate().map(|(index, v6)| {
            let port = index as u16 + 1;
            let ip: std::net::IpAddr = if *v6 { "::1" } else { "127.0.0.1" }.parse().unwrap();
            SocketAddr::new(ip, port)
        }).collect();
        let order: Vec<_> = interleave(&resolved, first).into_iter().collect();
        for v6 in [false, true] {
            let of = |list: &[SocketAddr]| -> Vec<_> {
                list.iter().copied().filter(|address| address.is_ipv6() == v6).collect()
            };
            prop_assert_eq!(of(&order), of(&resolved));
        }
        prop_assert_eq!(order.first(), resolved.first());
    }
}

/// Addresses that answer after so many milliseconds, well or not.
struct Field {
    attempts: Vec<(u64, bool)>,
    started: RefCell<Vec<u64>>,
    alive: Rc<()>,
    begun: Cell<Option<Instant>>,
}

const HANGS: u64 = u64::MAX;

impl Field {
    fn new(attempts: &[(u64, bool)]) -> Self {
        Self {
            attempts: attempts.to_vec(),
            started: RefCell::default(),
            alive: Rc::default(),
            begun: Cell::default(),
        }
    }

    /// Which one won, or which failed, and when.
    async fn run(&self) -> (Result<usize, Vec<usize>>, u64) {
        self.begun.set(Some(Instant::now()));
        let count = self.attempts.len();
        let addresses: VecDeque<_> = (0..count)
            .map(|index| SocketAddr::from(([127, 0, 0, 1], index as u16)))
            .collect();
        let outcome = race(addresses, DELAY, |address| self.attempt(address)).await;
        let outcome = outcome.map_err(|failures| {
            let each = failures.into_iter().map(|(address, error)| {
                assert_eq!(usize::from(address.port()), error);
                error
            });
            each.collect()
        });
        (outcome, self.now())
    }

    async fn attempt(&self, address: SocketAddr) -> Result<usize, usize> {
        let _alive = self.alive.clone();
        let index = usize::from(address.port());
        self.started.borrow_mut().push(self.now());
        let (after, well) = self.attempts[index];
        match after {
            HANGS => pending().await,
            after => sleep(Duration::from_millis(after)).await,
        }
        if well { Ok(index) } else { Err(index) }
    }

    fn started(&self) -> Vec<u64> {
        self.started.borrow().clone()
    }

    fn alive(&self) -> usize {
        Rc::strong_count(&self.alive) - 1
    }

    fn now(&self) -> u64 {
        (Instant::now() - self.begun.get().unwrap()).as_millis() as u64
    }
}

/// Capitals are IPv6.
fn address(name: &str) -> SocketAddr {
    let letter = name.as_bytes()[0];
    match letter.is_ascii_uppercase() {
        true => format!("[::{letter:x}]:1").parse().unwrap(),
        false => format!("10.0.0.{letter}:1").parse().unwrap(),
    }
}
