//! The exclusive connections that are there, and when each is to be renewed.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use crate::moment::Moment;

#[derive(Debug, Default)]
pub(crate) struct Open {
    /// By generation, the oldest first: at their end they are few, or die from the front on.
    lives: VecDeque<Life>,
    /// When each is to be renewed, the next one first.
    renewals: BTreeSet<(Moment, u64)>,
    /// Those that are to be renewed now.
    due: VecDeque<u64>,
}

/// A connection that is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    generation: u64,
    since: Moment,
    renew_at: Moment,
    pub(crate) round: u64,
}

impl Open {
    pub(crate) fn len(&self) -> usize {
        self.lives.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lives.is_empty()
    }

    /// Each generation is greater than those before.
    pub(crate) fn insert(&mut self, life: Life) {
        if life.renew_at < Moment::NEVER {
            self.renewals.insert((life.renew_at, life.generation));
        }
        self.lives.push_back(life);
    }

    pub(crate) fn remove(&mut self, generation: u64) -> Option<Life> {
        let index = self.index(generation)?;
        let life = self.lives.remove(index)?;
        if !self.renewals.remove(&(life.renew_at, generation)) {
            self.due.retain(|due| *due != generation);
        }
        Some(life)
    }

    pub(crate) fn get(&self, generation: u64) -> Option<&Life> {
        self.index(generation)
            .and_then(|index| self.lives.get(index))
    }

    pub(crate) fn oldest(&self) -> Option<&Life> {
        self.lives.front()
    }

    /// Those whose renewal has come by `now` are due. Returns when the next one is, if any.
    pub(crate) fn next_renewal(&mut self, now: Duration) -> Option<Duration> {
        while let Some(&(at, generation)) = self.renewals.first() {
            let at = Duration::from(at);
            if at > now {
                return Some(at);
            }
            self.due.push_back(generation);
            self.renewals.pop_first();
        }
        None
    }

    /// How many are to be renewed now.
    pub(crate) fn due(&self) -> usize {
        self.due.len()
    }

    /// The one that is to be renewed first. It is due no longer.
    pub(crate) fn take_due(&mut self) -> Option<u64> {
        self.due.pop_front()
    }

    fn index(&self, generation: u64) -> Option<usize> {
        let found = self
            .lives
            .binary_search_by_key(&generation, |life| life.generation);
        found.ok()
    }
}

impl Life {
    /// Of a connection that was made at `now` by a dial of this `round`.
    pub(crate) fn new(
        generation: u64,
        now: Duration,
        renew_at: Option<Duration>,
        round: u64,
    ) -> Self {
        Self {
            generation,
            since: now.into(),
            renew_at: renew_at.map_or(Moment::NEVER, Moment::from),
            round,
        }
    }

    pub(crate) fn since(&self) -> Duration {
        self.since.into()
    }

    pub(crate) fn renew_at(&self) -> Duration {
        self.renew_at.into()
    }
}
