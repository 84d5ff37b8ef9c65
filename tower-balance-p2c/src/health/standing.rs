use crate::sync::{AtomicU64, Ordering};

/// Whether an endpoint may get requests: one word that requests read and the register writes.
#[derive(Debug)]
pub(crate) struct Standing {
    word: AtomicU64,
    /// Ejections so far. What was sent before the last one has no say any more.
    ejections: AtomicU64,
}

/// What the word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Like the others.
    Admitted,
    /// Left alone, until its time has come and a request probes it.
    Ejected,
    /// A request is under way that will tell.
    Probing,
    /// Admitted with this many requests in flight at the most.
    Probation(u32),
}

impl Standing {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(ADMITTED),
            ejections: AtomicU64::new(0),
        }
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.word.load(Ordering::Relaxed) == ADMITTED
    }

    pub(crate) fn state(&self) -> State {
        match self.word.load(Ordering::Relaxed) {
            ADMITTED => State::Admitted,
            EJECTED => State::Ejected,
            PROBING => State::Probing,
            most => State::Probation((most - PROBATION) as u32),
        }
    }

    pub(crate) fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// Only under the register's lock.
    pub(super) fn set(&self, state: State) {
        let word = match state {
            State::Admitted => ADMITTED,
            State::Ejected => EJECTED,
            State::Probing => PROBING,
            State::Probation(most) => PROBATION + u64::from(most),
        };
        self.word.store(word, Ordering::Relaxed);
    }

    /// Only under the register's lock.
    pub(super) fn count_ejection(&self) {
        self.ejections.fetch_add(1, Ordering::Relaxed);
    }
}

const ADMITTED: u64 = 0;
const EJECTED: u64 = 1;
const PROBING: u64 = 2;
const PROBATION: u64 = 3;
