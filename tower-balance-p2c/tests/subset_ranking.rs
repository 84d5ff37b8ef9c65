//! The core of subsetting, against one that sorts everything each time.

#[path = "../src/subset/ranking.rs"]
mod ranking;

use std::collections::HashMap;

use proptest::{collection::vec, prelude::*};
use ranking::{Ranking, Step};

type Key = u8;
type Value = usize;

#[derive(Clone, Copy, Debug)]
enum Act {
    Insert(Key),
    Remove(Key),
    /// Tells at most so many steps.
    Tell(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let key = 0..32_u8;
    let act = prop_oneof![
        4 => key.clone().prop_map(Act::Insert),
        3 => key.prop_map(Act::Remove),
        1 => (0..8_usize).prop_map(Act::Tell),
        1 => Just(Act::Tell(usize::MAX)),
    ];
    vec(act, 0..200)
}

/// Every endpoint with its score, its arrival and its value.
#[derive(Default)]
struct Model {
    endpoints: Vec<(Key, u64, usize, Value)>,
    arrivals: usize,
}

impl Model {
    fn insert(&mut self, key: Key, score: u64, value: Value) {
        let mut endpoints = self.endpoints.iter_mut();
        if let Some(endpoint) = endpoints.find(|endpoint| endpoint.0 == key) {
            endpoint.3 = value;
        } else {
            self.endpoints.push((key, score, self.arrivals, value));
            self.arrivals += 1;
        }
    }

    fn remove(&mut self, key: Key) {
        self.endpoints.retain(|endpoint| endpoint.0 != key);
    }

    fn best(&self, size: usize) -> HashMap<Key, Value> {
        let mut endpoints = self.endpoints.clone();
        endpoints.sort_by_key(|&(_, score, arrival, _)| (u64::MAX - score, arrival));
        let best = endpoints.iter().take(size);
        best.map(|&(key, _, _, value)| (key, value)).collect()
    }
}

/// What a balancer makes of the steps.
struct Balancer {
    size: usize,
    endpoints: HashMap<Key, Value>,
}

impl Balancer {
    /// Returns whether it was an insertion.
    fn apply(&mut self, step: &Step<Key, Value>) -> bool {
        let inserted = match *step {
            Step::Insert(key, value) => {
                assert_ne!(self.endpoints.insert(key, value), Some(value), "told twice");
                true
            }
            Step::Remove(key) => {
                assert!(self.endpoints.remove(&key).is_some(), "never heard of");
                false
            }
        };
        assert!(self.endpoints.len() <= self.size, "too many");
        inserted
    }
}

struct Run {
    ranking: Ranking<Key, Value>,
    model: Model,
    balancer: Balancer,
    scores: fn(Key) -> u64,
}

impl Run {
    fn new(size: usize, scores: fn(Key) -> u64) -> Self {
        Self {
            ranking: Ranking::new(size),
            model: Model::default(),
            balancer: Balancer {
                size,
                endpoints: HashMap::new(),
            },
            scores,
        }
    }

    fn act(&mut self, act: Act, value: Value) {
        match act {
            Act::Insert(key) => {
                let score = (self.scores)(key);
                self.ranking.insert(key, score, value);
                self.model.insert(key, score, value);
            }
            Act::Remove(key) => {
                self.ranking.remove(&key);
                self.model.remove(key);
            }
            Act::Tell(most) => drop(self.tell(most)),
        }
        assert_eq!(self.ranking.len(), self.model.endpoints.len());
    }

    fn tell(&mut self, most: usize) -> (usize, usize) {
        let (mut insertions, mut removals) = (0, 0);
        for _ in 0..most {
            let Some(step) = self.ranking.next_step() else {
                assert!(!self.ranking.may_have_steps());
                let best = self.model.best(self.ranking.size());
                assert_eq!(self.balancer.endpoints, best);
                break;
            };
            match self.balancer.apply(&step) {
                true => insertions += 1,
                false => removals += 1,
            }
        }
        (insertions, removals)
    }
}

fn distinct(key: Key) -> u64 {
    u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn with_ties(key: Key) -> u64 {
    u64::from(key % 4)
}

fn equal(_: Key) -> u64 {
    u64::MAX
}

fn scores() -> impl Strategy<Value = fn(Key) -> u64> {
    let all: [fn(Key) -> u64; 3] = [distinct, with_ties, equal];
    prop::sample::select(all.to_vec())
}

proptest! {
    #[test]
    fn what_is_told_adds_up_to_the_best(
        size in 1..12_usize,
        scores in scores(),
        acts in acts(),
    ) {
        let mut run = Run::new(size, scores);
        for (value, act) in acts.into_iter().enumerate() {
            run.act(act, value);
        }
        run.tell(usize::MAX);
    }

    #[test]
    fn a_change_lets_one_in_and_one_out_at_most(
        size in 1..12_usize,
        scores in scores(),
        acts in acts(),
    ) {
        let mut run = Run::new(size, scores);
        for (value, act) in acts.into_iter().enumerate() {
            run.act(act, value);
            let (insertions, removals) = run.tell(usize::MAX);
            prop_assert!(insertions <= 1 && removals <= 1);
        }
    }
}

#[test]
fn what_comes_back_before_it_was_missed_is_not_told() {
    let mut ranking = Ranking::new(1);
    ranking.insert(1, 1, 'a');
    assert_eq!(ranking.next_step(), Some(Step::Insert(1, 'a')));
    ranking.insert(2, 2, 'b');
    ranking.remove(&2);
    assert_eq!(ranking.next_step(), None);
}

#[test]
fn of_equals_the_first_stays() {
    let mut ranking = Ranking::new(2);
    for key in 0..9 {
        ranking.insert(key, 7, ());
    }
    let told: Vec<_> = std::iter::from_fn(|| ranking.next_step()).collect();
    assert_eq!(told, [Step::Insert(0, ()), Step::Insert(1, ())]);
    ranking.remove(&0);
    assert_eq!(ranking.next_step(), Some(Step::Remove(0)));
    assert_eq!(ranking.next_step(), Some(Step::Insert(2, ())));
    ranking.insert(0, 7, ());
    assert_eq!(ranking.next_step(), None);
}

#[test]
fn none_of_none_are_chosen() {
    let mut ranking = Ranking::new(0);
    ranking.insert(1, 1, ());
    ranking.remove(&1);
    assert_eq!(ranking.next_step(), None);
}
