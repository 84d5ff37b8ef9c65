//! The connections that no handle has, and which of the others are to be exchanged.

use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::work::Work;

pub(super) struct Stock<S> {
    /// What was given to those who waited and have not fetched it yet.
    granted: BTreeMap<u64, Held<S>>,
    /// What nobody has, the latest last, and when it is closed.
    spare: Vec<(Duration, Held<S>)>,
    /// What takes the place of connections that handles have.
    successors: BTreeMap<u64, Held<S>>,
    /// Whether the connections that handles have are to be exchanged, where age is limited.
    replaceable: BTreeMap<u64, Arc<AtomicBool>>,
}

/// A connection, and which one of those that there have been.
pub(super) struct Held<S> {
    pub(super) generation: u64,
    /// For its responses, if there is any rule.
    pub(super) work: Option<Arc<Work>>,
    pub(super) service: S,
    /// Whether there is a successor.
    replaced: Option<Arc<AtomicBool>>,
}

impl<S> Stock<S> {
    pub(super) fn new() -> Self {
        Self {
            granted: BTreeMap::new(),
            spare: Vec::new(),
            successors: BTreeMap::new(),
            replaceable: BTreeMap::new(),
        }
    }

    /// A new connection, which may be exchanged some time if it `ages`.
    pub(super) fn hold(
        &mut self,
        generation: u64,
        service: S,
        work: Option<Arc<Work>>,
        ages: bool,
    ) -> Held<S> {
        let replaced = ages.then(|| {
            let replaced = Arc::new(AtomicBool::new(false));
            self.replaceable.insert(generation, replaced.clone());
            replaced
        });
        Held {
            generation,
            work,
            service,
            replaced,
        }
    }

    /// Is for the handle that has waited with this key.
    pub(super) fn grant(&mut self, key: u64, held: Held<S>) {
        self.granted.insert(key, held);
    }

    /// What was given to the handle that has waited with this key.
    pub(super) fn take_granted(&mut self, key: Option<u64>) -> Option<Held<S>> {
        remove(&mut self.granted, key?)
    }

    /// What is there for a handle that waits with this key, or has just come.
    pub(super) fn fetch(&mut self, key: Option<u64>) -> Option<Held<S>> {
        self.take_granted(key).or_else(|| {
            let spare = self.spare.pop_if(|(until, _)| *until > OVER);
            spare.map(|(_, held)| held)
        })
    }

    /// Is for whoever comes next, until then.
    pub(super) fn keep(&mut self, until: Duration, held: Held<S>) {
        self.spare.push((until, held));
    }

    /// Is to take the place of the connection `due`. Gives it back if that is not there, or is the
    /// same.
    ///
    /// If that is a successor itself, whose predecessor is not exchanged yet, it is over.
    pub(super) fn succeed(&mut self, due: u64, held: Held<S>) -> Result<(), Held<S>> {
        let mut successors = self.successors.values_mut();
        if let Some(successor) = successors.find(|successor| successor.generation == due) {
            let old = mem::replace(successor, held);
            self.spare.insert(0, (OVER, old));
            return Ok(());
        }
        match self.replaceable.get(&due) {
            Some(replaced) if due != held.generation => {
                replaced.store(true, Ordering::Release);
                self.successors.insert(due, held);
                Ok(())
            }
            _ => Err(held),
        }
    }

    pub(super) fn has_successor(&self, generation: u64) -> bool {
        self.successors.contains_key(&generation)
    }

    /// A connection is no longer to be exchanged. Returns what was to take its place.
    pub(super) fn forget(&mut self, generation: u64) -> Option<Held<S>> {
        remove(&mut self.replaceable, generation);
        remove(&mut self.successors, generation)
    }

    /// Takes what has been kept until now.
    pub(super) fn take_over(&mut self, now: Duration) -> Vec<Held<S>> {
        let (over, spare): (Vec<_>, Vec<_>) = mem::take(&mut self.spare)
            .into_iter()
            .partition(|(until, _)| *until <= now);
        self.spare = spare;
        let over = over.into_iter().map(|(_, held)| held);
        over.inspect(|held| drop(remove(&mut self.replaceable, held.generation)))
            .collect()
    }

    /// Until when all that is kept is kept.
    pub(super) fn next_over(&self) -> Duration {
        let ends = self.spare.iter().map(|(until, _)| *until);
        ends.min().unwrap_or(Duration::MAX)
    }
}

impl<S> Held<S> {
    /// Whether there is a successor.
    #[inline]
    pub(super) fn is_replaced(&self) -> bool {
        let replaced = self.replaced.as_ref();
        replaced.is_some_and(|replaced| replaced.load(Ordering::Acquire))
    }

    /// There will be no successor.
    pub(super) fn stay(&mut self) {
        self.replaced = None;
    }
}

/// What is kept until then is for nobody: it is to be closed.
const OVER: Duration = Duration::ZERO;

/// An empty map that has had entries keeps room for some.
fn remove<V>(map: &mut BTreeMap<u64, V>, key: u64) -> Option<V> {
    let removed = map.remove(&key);
    if map.is_empty() {
        *map = BTreeMap::new();
    }
    removed
}
