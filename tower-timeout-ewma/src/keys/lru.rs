use std::{collections::HashMap, hash::Hash, mem};

use super::hashed::AsHashed;

/// The latest used entries. Every operation takes the same time however many there are.
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    places: HashMap<K, usize, AsHashed>,
    /// A doubly linked list, by index.
    slots: Vec<Slot<K, V>>,
    latest: usize,
    oldest: usize,
}

#[derive(Debug)]
struct Slot<K, V> {
    key: K,
    value: V,
    later: usize,
    earlier: usize,
}

impl<K, V> Lru<K, V> {
    pub(super) fn new() -> Self {
        Self {
            places: HashMap::default(),
            slots: Vec::new(),
            latest: NONE,
            oldest: NONE,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.slots.iter().map(|slot| (&slot.key, &slot.value))
    }
}

impl<K: Clone + Eq + Hash, V> Lru<K, V> {
    /// The value of `key`, which becomes the latest.
    pub(super) fn touch(&mut self, key: &K) -> Option<&V> {
        let place = *self.places.get(key)?;
        if place != self.latest {
            self.unlink(place);
            self.link(place);
        }
        Some(&self.slots[place].value)
    }

    pub(super) fn peek(&self, key: &K) -> Option<&V> {
        self.places.get(key).map(|place| &self.slots[*place].value)
    }

    /// Adds a key that is not there: the first one, or if `may_grow`, in a place of its own; else in that
    /// of the oldest, which is given back.
    pub(super) fn insert(
        &mut self,
        key: K,
        value: V,
        may_grow: impl FnOnce() -> bool,
    ) -> Option<V> {
        let (place, old) = match self.slots.is_empty() || may_grow() {
            true => {
                self.slots.push(Slot {
                    key: key.clone(),
                    value,
                    later: NONE,
                    earlier: NONE,
                });
                (self.slots.len() - 1, None)
            }
            false => {
                let place = self.oldest;
                self.unlink(place);
                let slot = &mut self.slots[place];
                self.places.remove(&slot.key);
                slot.key = key.clone();
                (place, Some(mem::replace(&mut slot.value, value)))
            }
        };
        self.places.insert(key, place);
        self.link(place);
        old
    }

    fn unlink(&mut self, place: usize) {
        let Slot { later, earlier, .. } = self.slots[place];
        match self.slots.get_mut(later) {
            Some(slot) => slot.earlier = earlier,
            None => self.latest = earlier,
        }
        match self.slots.get_mut(earlier) {
            Some(slot) => slot.later = later,
            None => self.oldest = later,
        }
    }

    /// As the latest.
    fn link(&mut self, place: usize) {
        let before = mem::replace(&mut self.latest, place);
        let slot = &mut self.slots[place];
        (slot.later, slot.earlier) = (NONE, before);
        match self.slots.get_mut(before) {
            Some(slot) => slot.later = place,
            None => self.oldest = place,
        }
    }
}

/// No vector is so long.
const NONE: usize = usize::MAX;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Use {
        Find(u8),
        Peek(u8),
    }

    fn uses() -> impl Strategy<Value = Vec<Use>> {
        let one = prop_oneof![
            4 => (0_u8..12).prop_map(Use::Find),
            1 => (0_u8..12).prop_map(Use::Peek),
        ];
        proptest::collection::vec(one, 0..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_keeps_what_was_used_last(capacity in 1_usize..9, uses in uses()) {
            let mut lru = Lru::new();
            // Latest first.
            let mut model: Vec<(u8, usize)> = Vec::new();
            for (number, one) in uses.into_iter().enumerate() {
                match one {
                    Use::Find(key) => {
                        let place = model.iter().position(|(known, _)| *known == key);
                        let known = place.map(|place| model.remove(place));
                        prop_assert_eq!(lru.touch(&key).copied(), known.map(|(_, value)| value));
                        if known.is_none() {
                            let full = model.len() == capacity;
                            let oldest = full.then(|| model.pop().unwrap().1);
                            prop_assert_eq!(lru.insert(key, number, || !full), oldest);
                        }
                        model.insert(0, known.unwrap_or((key, number)));
                    }
                    Use::Peek(key) => {
                        let known = model.iter().find(|(known, _)| *known == key);
                        prop_assert_eq!(lru.peek(&key).copied(), known.map(|(_, value)| *value));
                    }
                }
                let mut all: Vec<_> = lru.iter().map(|(key, value)| (*key, *value)).collect();
                let mut expected = model.clone();
                all.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(all, expected);
            }
        }
    }
}
