//! Which of the endpoints are in the subset, and what the balancer is still to be told of it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    hash::Hash,
};

/// The `size` endpoints of the highest scores, kept as endpoints come and go: O(log n) each.
///
/// What is told is the difference to what was told before, so that an endpoint that comes and
/// goes in between is never heard of. At no time are more than `size` told to be in.
pub(crate) struct Ranking<K, V> {
    size: usize,
    arrivals: u64,
    places: HashMap<K, Place>,
    chosen: BTreeMap<Place, Entry<K, V>>,
    spares: BTreeMap<Place, Entry<K, V>>,
    /// The keys that are in, as far as was told.
    told: HashSet<K>,
    // Candidates for the next steps. What has become of them is looked up when their turn comes.
    entering: VecDeque<K>,
    leaving: VecDeque<K>,
}

/// What is to be told next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step<K, V> {
    Insert(K, V),
    Remove(K),
}

/// The better, the greater. Of equal scores that which came first is better.
type Place = (u64, Reverse<u64>);

struct Entry<K, V> {
    key: K,
    value: V,
    /// Whether this very value is the last that was told for the key.
    told: bool,
}

impl<K, V> Ranking<K, V> {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size,
            arrivals: 0,
            places: HashMap::new(),
            chosen: BTreeMap::new(),
            spares: BTreeMap::new(),
            told: HashSet::new(),
            entering: VecDeque::new(),
            leaving: VecDeque::new(),
        }
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// How many endpoints there are, in the subset or not.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// False if there is nothing to tell.
    pub(crate) fn may_have_steps(&self) -> bool {
        !self.entering.is_empty() || !self.leaving.is_empty()
    }
}

impl<K: Hash + Eq + Clone, V> Ranking<K, V> {
    /// A key that is there already keeps its place, whatever the score.
    pub(crate) fn insert(&mut self, key: K, score: u64, value: V) {
        if let Some(place) = self.places.get(&key) {
            if let Some(entry) = self.chosen.get_mut(place) {
                entry.value = value;
                entry.told = false;
                self.entering.push_back(key);
            } else if let Some(entry) = self.spares.get_mut(place) {
                entry.value = value;
                entry.told = false;
            }
            return;
        }
        let place = (score, Reverse(self.arrivals));
        self.arrivals += 1;
        self.places.insert(key.clone(), place);
        let told = false;
        self.spares.insert(place, Entry { key, value, told });
        self.choose();
    }

    pub(crate) fn remove(&mut self, key: &K) {
        let Some(place) = self.places.remove(key) else {
            return;
        };
        match self.chosen.remove(&place) {
            Some(entry) => {
                self.leaving.push_back(entry.key);
                self.choose();
            }
            None => drop(self.spares.remove(&place)),
        }
    }

    /// Lets the best of the spares in, if there is room or if it is better than the worst chosen.
    fn choose(&mut self) {
        let Some((&best, _)) = self.spares.last_key_value() else {
            return;
        };
        if self.chosen.len() >= self.size {
            match self.chosen.first_entry() {
                Some(worst) if *worst.key() < best => {
                    let (place, entry) = worst.remove_entry();
                    self.leaving.push_back(entry.key.clone());
                    self.spares.insert(place, entry);
                }
                _ => return,
            }
        }
        if let Some(entry) = self.spares.remove(&best) {
            self.entering.push_back(entry.key.clone());
            self.chosen.insert(best, entry);
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Ranking<K, V> {
    /// The next thing to tell: what leaves before what enters if there is no room for both.
    pub(crate) fn next_step(&mut self) -> Option<Step<K, V>> {
        if self.told.len() < self.size {
            self.next_insert().or_else(|| self.next_remove())
        } else {
            self.next_remove().or_else(|| self.next_insert())
        }
    }

    fn next_remove(&mut self) -> Option<Step<K, V>> {
        while let Some(key) = self.leaving.pop_front() {
            let place = self.places.get(&key);
            let is_chosen = place.is_some_and(|place| self.chosen.contains_key(place));
            if is_chosen || !self.told.remove(&key) {
                continue;
            }
            if let Some(entry) = place.and_then(|place| self.spares.get_mut(place)) {
                entry.told = false;
            }
            return Some(Step::Remove(key));
        }
        None
    }

    fn next_insert(&mut self) -> Option<Step<K, V>> {
        while let Some(key) = self.entering.pop_front() {
            let place = self.places.get(&key);
            let Some(entry) = place.and_then(|place| self.chosen.get_mut(place)) else {
                continue;
            };
            if entry.told {
                continue;
            }
            entry.told = true;
            self.told.insert(key.clone());
            return Some(Step::Insert(key, entry.value.clone()));
        }
        None
    }
}
