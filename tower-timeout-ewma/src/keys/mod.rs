//! A bounded number of estimators by key.

mod hashed;
mod lru;

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use self::{hashed::Hashed, lru::Lru};
use crate::estimator::Estimator;

/// The estimators of the keys that were used last. Each shard has a lock. When all of them together are
/// full, the shard of a new key forgets its own least recently used one.
#[derive(Debug)]
pub(crate) struct Keys<K> {
    hasher: RandomState,
    shards: Box<[Shard<K>]>,
    /// How many more keys there may be beside the first of each shard, which has a place of its own.
    room: AtomicUsize,
    evicted: AtomicU64,
}

/// On a cache line of its own, or locks of neighbours would slow each other down.
#[derive(Debug)]
#[repr(align(128))]
struct Shard<K>(Mutex<Lru<Hashed<K>, Arc<Estimator>>>);

impl<K> Keys<K> {
    pub(crate) fn new(max_keys: usize) -> Self {
        // In few small ones, what is forgotten would not be what was used least recently.
        let shards = match max_keys / SMALLEST_SHARD {
            0 => 1,
            shards => 1 << shards.min(MAX_SHARDS).ilog2(),
        };
        let shard = |_| Shard(Mutex::new(Lru::new()));
        Self {
            hasher: RandomState::new(),
            shards: (0..shards).map(shard).collect(),
            room: AtomicUsize::new(max_keys.saturating_sub(shards)),
            evicted: AtomicU64::new(0),
        }
    }

    /// How many keys were forgotten to make room.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }
}

impl<K: Clone + Eq + Hash> Keys<K> {
    /// The estimator of `key`, which is now the latest one used. One that is not known is made.
    pub(crate) fn find(&self, key: K, new: impl FnOnce() -> Estimator) -> Arc<Estimator> {
        let key = Hashed::new(self.hasher.hash_one(&key), key);
        let mut shard = self.shard(&key);
        if let Some(estimator) = shard.touch(&key) {
            return Arc::clone(estimator);
        }
        let estimator = Arc::new(new());
        let evicted = shard.insert(key, Arc::clone(&estimator), || self.takes_room());
        drop(shard);
        if evicted.is_some() {
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        estimator
    }

    /// Does not count as a use.
    pub(crate) fn peek(&self, key: &K) -> Option<Arc<Estimator>> {
        let key = Hashed::new(self.hasher.hash_one(key), key.clone());
        self.shard(&key).peek(&key).cloned()
    }

    /// All that are known, in no order.
    pub(crate) fn all(&self) -> Vec<(K, Arc<Estimator>)> {
        let shards = self.shards.iter().map(Shard::lock);
        shards
            .flat_map(|shard| {
                let all = shard.iter();
                all.map(|(key, estimator)| (key.key().clone(), Arc::clone(estimator)))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    fn takes_room(&self) -> bool {
        let less = |room: usize| room.checked_sub(1);
        let taken = self
            .room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.is_ok()
    }

    fn shard(&self, key: &Hashed<K>) -> MutexGuard<'_, Lru<Hashed<K>, Arc<Estimator>>> {
        // The maps use the low and the highest bits.
        let shard = (key.hash() >> 32) as usize & (self.shards.len() - 1);
        self.shards[shard].lock()
    }
}

impl<K> Shard<K> {
    /// No key's own code runs under the lock but `Eq` and `Clone`; what they leave behind in a panic
    /// is still a valid map.
    fn lock(&self) -> MutexGuard<'_, Lru<Hashed<K>, Arc<Estimator>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const MAX_SHARDS: usize = 16;
const SMALLEST_SHARD: usize = 64;
