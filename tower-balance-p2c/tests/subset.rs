//! Of a big fleet a client makes, polls and keeps only a subset.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{
    collections::{HashSet, VecDeque},
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
};

use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _, stream};
use support::{Control, Probe, Refused, settle};
use tokio::sync::mpsc;
use tokio_test::{assert_pending, assert_ready_eq, task};
use tower::ServiceExt as _;
use tower_balance_p2c::{Attributes, Balance, Change, Subset, Weight};

type News = Change<u32, char>;
type Item = Result<News, &'static str>;

const FLEET: u32 = 10_000;
const SIZE: usize = 20;
const CLIENT: u64 = 7;

fn insert(key: u32) -> Item {
    Ok(Change::Insert(key, 'a'))
}

/// A discovery by hand, of which a test takes what comes out while it is pending or after its
/// end. Panics if it is polled after that.
struct Fleet {
    sender: Option<mpsc::UnboundedSender<Item>>,
    subset: task::Spawn<Pin<Box<dyn Stream<Item = Item>>>>,
}

impl Fleet {
    fn new(size: usize) -> Self {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let mut ended = false;
        let discovery = stream::poll_fn(move |cx| {
            assert!(!ended, "polled after its end");
            let item = receiver.poll_recv(cx);
            ended = matches!(item, Poll::Ready(None));
            item
        });
        Self {
            sender: Some(sender),
            subset: task::spawn(Box::pin(Subset::new(discovery, size, CLIENT))),
        }
    }

    fn send(&self, item: Item) {
        self.sender.as_ref().unwrap().send(item).unwrap();
    }

    /// What comes out for one change, or for several at once.
    fn after(&mut self, items: impl IntoIterator<Item = Item>) -> Vec<Item> {
        items.into_iter().for_each(|item| self.send(item));
        let mut told = Vec::new();
        loop {
            match self.subset.poll_next() {
                Poll::Ready(Some(item)) => told.push(item),
                Poll::Pending if self.subset.is_woken() => {}
                Poll::Ready(None) | Poll::Pending => return told,
            }
        }
    }
}

fn keys(told: &[Item]) -> HashSet<u32> {
    let keys = told.iter().map(|item| match item {
        Ok(Change::Insert(key, _)) => *key,
        other => panic!("{other:?}"),
    });
    keys.collect()
}

/// The order in which the fleet's client would choose from these keys.
fn ranked(keys: Range<u32>) -> Vec<u32> {
    let mut before = HashSet::new();
    let mut ranked = Vec::new();
    for size in 1..=keys.len() {
        let now = self::keys(&Fleet::new(size).after(keys.clone().map(insert)));
        ranked.extend(now.difference(&before).copied());
        before = now;
    }
    ranked
}

#[test]
fn a_newcomer_takes_the_place_of_the_worst_and_gives_it_back() {
    let ranked = ranked(0..4);
    let mut fleet = Fleet::new(2);
    let told = fleet.after([ranked[1], ranked[2], ranked[3]].map(insert));
    assert_eq!(keys(&told), HashSet::from([ranked[1], ranked[2]]));
    let told = fleet.after([insert(ranked[0])]);
    assert_eq!(told, [Ok(Change::Remove(ranked[2])), insert(ranked[0])]);
    let told = fleet.after([Ok(Change::Remove(ranked[1]))]);
    assert_eq!(told, [Ok(Change::Remove(ranked[1])), insert(ranked[2])]);
    assert_eq!(fleet.after([Ok(Change::Remove(ranked[3]))]), []);
    assert_eq!(fleet.after([Ok(Change::Remove(99))]), []);
}

#[test]
fn a_key_that_is_inserted_again_goes_through_only_if_it_is_in() {
    let [first, second] = ranked(0..2)[..] else {
        panic!()
    };
    let heavy = Attributes::new()
        .weight(Weight::new(4.0).unwrap())
        .zone("b");
    let mut fleet = Fleet::new(1);
    fleet.after([first, second].map(insert));
    let again = Ok(Change::InsertWith(first, 'b', heavy.clone()));
    assert_eq!(fleet.after([again.clone()]), [again]);
    let spare = Ok(Change::InsertWith(second, 'c', heavy));
    assert_eq!(fleet.after([spare.clone()]), []);
    let remove = Ok(Change::Remove(first));
    assert_eq!(fleet.after([remove.clone()]), [remove, spare]);
}

#[test]
fn what_is_ready_at_once_is_one_step() {
    let mut fleet = Fleet::new(SIZE);
    let told = fleet.after((0..FLEET).map(insert));
    assert_eq!((told.len(), keys(&told).len()), (SIZE, SIZE));
    let in_and_out = (FLEET..2 * FLEET).flat_map(|key| [insert(key), Ok(Change::Remove(key))]);
    assert_eq!(fleet.after(in_and_out), []);
}

#[test]
fn a_subset_is_the_same_whatever_the_way_to_it() {
    let once = Fleet::new(SIZE).after((0..1_000).map(insert));
    let mut fleet = Fleet::new(SIZE);
    let (mut subset, mut insertions) = (HashSet::new(), 0);
    let there = (0..2_000).rev().map(insert);
    let back = (1_000..2_000).map(|key| Ok(Change::Remove(key)));
    for change in there.chain(back) {
        for told in fleet.after([change]) {
            match told.unwrap() {
                Change::Insert(key, _) => {
                    assert!(subset.insert(key));
                    insertions += 1;
                }
                Change::Remove(key) => assert!(subset.remove(&key)),
                other => panic!("{other:?}"),
            }
            assert!(subset.len() <= SIZE);
        }
    }
    assert_eq!(subset, keys(&once));
    // 20 + 20 × ln(2000 ÷ 20) on the way there, 10 on the way back.
    assert!((80..165).contains(&insertions), "{insertions}");
}

#[test]
fn errors_and_the_end_come_after_the_changes_before_them() {
    for size in [0, SIZE] {
        let mut fleet = Fleet::new(size);
        fleet.send(insert(1));
        fleet.send(Err("down"));
        fleet.send(insert(2));
        fleet.sender = None;
        for expected in [insert(1), Err("down"), insert(2)] {
            assert_ready_eq!(fleet.subset.poll_next(), Some(expected));
        }
        for _ in 0..3 {
            assert_ready_eq!(fleet.subset.poll_next(), None);
        }
    }
}

#[test]
fn zero_lets_everything_through() {
    let items = [insert(1), insert(1), insert(2), Ok(Change::Remove(3))];
    assert_eq!(Fleet::new(0).after(items.clone()), items);
}

#[test]
fn it_wakes_for_what_comes_later() {
    let mut fleet = Fleet::new(SIZE);
    assert_pending!(fleet.subset.poll_next());
    fleet.send(insert(1));
    assert!(fleet.subset.is_woken());
    assert_ready_eq!(fleet.subset.poll_next(), Some(insert(1)));
    assert_pending!(fleet.subset.poll_next());
    fleet.send(Ok(Change::Remove(1)));
    assert!(fleet.subset.is_woken());
}

#[test]
fn a_discovery_that_always_has_more_is_cut_off() {
    let endless = stream::iter((0_u32..).map(insert));
    let mut subset = task::spawn(Subset::new(endless, SIZE, CLIENT));
    let mut polls = 0;
    while subset.poll_next().is_pending() {
        assert!(subset.is_woken());
        polls += 1;
        assert!(polls < 256);
    }
}

/// A channel of tokio is pending now and then although it has more.
#[tokio::test]
async fn a_list_from_a_channel_is_one_step_too() {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    (0..FLEET).for_each(|key| sender.send(insert(key)).unwrap());
    let discovery = stream::poll_fn(move |cx| receiver.poll_recv(cx));
    let mut subset = Subset::new(discovery, SIZE, CLIENT);
    let told: Vec<_> = subset.by_ref().take(SIZE).collect().await;
    assert_eq!(keys(&told).len(), SIZE);
    assert_eq!(subset.next().now_or_never(), None);
    drop(sender);
    assert_eq!(subset.next().await, None);
}

/// Makes services of addresses, and remembers them all.
#[derive(Clone, Default)]
struct Made(Arc<Mutex<Vec<Arc<Control>>>>);

impl Made {
    fn make(&self, key: u32) -> Probe {
        let probe = Probe::ready(key);
        self.0.lock().unwrap().push(Arc::clone(&probe.control));
        probe
    }

    fn count(&self, of: impl Fn(&Control) -> bool) -> usize {
        let made = self.0.lock().unwrap();
        made.iter().filter(|control| of(control)).count()
    }
}

#[tokio::test(start_paused = true)]
async fn of_ten_thousand_endpoints_a_balancer_makes_twenty() {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let send = |change| sender.send(Ok::<_, Refused>(change)).unwrap();
    (0..FLEET).for_each(|key| send(Change::Insert(key, key)));
    let discovery = stream::poll_fn(move |cx| receiver.poll_recv(cx));
    let made = Made::default();
    let maker = made.clone();
    let subset = Subset::new(discovery, SIZE, CLIENT);
    let services = subset.map_ok(move |change| change.map(|key| maker.make(key)));
    let (balance, driver) = Balance::new(services);
    tokio::spawn(driver);
    assert!(balance.clone().oneshot(()).await.is_ok());
    settle().await;
    assert_eq!(made.count(|_| true), SIZE);
    assert_eq!(made.count(|control| control.polls() > 0), SIZE);
    assert_eq!(balance.stats().ready, SIZE);

    // Half of the fleet goes, as many come, a hundred at a time.
    let mut changes: VecDeque<_> = (0..FLEET / 2)
        .flat_map(|key| [Change::Remove(2 * key), Change::Insert(FLEET + key, key)])
        .collect();
    while !changes.is_empty() {
        changes.drain(..100).for_each(send);
        settle().await;
        assert_eq!(made.count(|control| control.clones() > 0), SIZE);
        assert_eq!(balance.stats().endpoints.len(), SIZE);
        assert_eq!(balance.stats().ready, SIZE);
    }
    // As many as have left: about a half of the first, and those that came and went.
    let more = made.count(|_| true) - SIZE;
    assert!((5..40).contains(&more), "{more}");
}
