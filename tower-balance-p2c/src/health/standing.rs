use crate::sync::{AtomicU64, Ordering};

/// Whether an endpoint may get requests: one word that requests read and the register writes.
#[derive(Debug)]
pub(crate) struct Standing {
    word: AtomicU64,
    /// Ejections so far, of which what was sent before the last one has no say any more, and in
    /// the lower half the probes.
    counts: AtomicU64,
}

/// When it was last said that an endpoint was not ejected because too many are.
#[derive(Debug)]
pub(crate) struct Spared(AtomicU64);

/// One of an endpoint's probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe(u32);

/// What the word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Like the others.
    Admitted,
    /// Left alone, until its time has come and a request probes it.
    Ejected,
    /// A request is under way that will tell.
    Probing,
    /// Admitted with this many requests without an answer at the most.
    Probation(u32),
    /// No longer in the set: how its last requests end matters to nobody.
    Gone,
}

impl Standing {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(ADMITTED),
            counts: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn is_admitted(&self) -> bool {
        self.word.load(Ordering::Relaxed) == ADMITTED
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        match self.word.load(Ordering::Relaxed) {
            ADMITTED => State::Admitted,
            EJECTED => State::Ejected,
            PROBING => State::Probing,
            GONE => State::Gone,
            most => State::Probation((most - PROBATION) as u32),
        }
    }

    pub(crate) fn ejections(&self) -> u32 {
        (self.counts.load(Ordering::Relaxed) >> 32) as u32
    }

    /// The last one.
    pub(crate) fn probe(&self) -> Probe {
        Probe(self.counts.load(Ordering::Relaxed) as u32)
    }

    /// Only under the register's lock.
    pub(super) fn set(&self, state: State) {
        let word = match state {
            State::Admitted => ADMITTED,
            State::Ejected => EJECTED,
            State::Probing => PROBING,
            State::Gone => GONE,
            State::Probation(most) => PROBATION + u64::from(most),
        };
        self.word.store(word, Ordering::Relaxed);
    }

    /// Only under the register's lock.
    pub(super) fn count_ejection(&self) {
        self.counts.fetch_add(1 << 32, Ordering::Relaxed);
    }

    /// Only under the register's lock.
    pub(super) fn begin_probe(&self) -> Probe {
        let probe = Probe(self.probe().0.wrapping_add(1));
        let ejections = u64::from(self.ejections()) << 32;
        self.counts
            .store(ejections | u64::from(probe.0), Ordering::Relaxed);
        self.set(State::Probing);
        probe
    }
}

impl Spared {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// True if that is worth saying again. Only under the register's lock.
    pub(super) fn is_news(&self, now: u64, window: u64) -> bool {
        let Self(at) = self;
        let before = at.load(Ordering::Relaxed);
        let is_news = before == 0 || now.abs_diff(before) > window;
        if is_news {
            at.store(now.max(1), Ordering::Relaxed);
        }
        is_news
    }
}

const ADMITTED: u64 = 0;
const EJECTED: u64 = 1;
const PROBING: u64 = 2;
const GONE: u64 = 3;
const PROBATION: u64 = 4;
