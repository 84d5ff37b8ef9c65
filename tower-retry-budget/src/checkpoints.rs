//! What went well and what failed in the last while, though no success reads a clock.

use crate::sync::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// How often requests succeeded and failed, since the epoch or within a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    pub(crate) funded: u64,
    pub(crate) failed: u64,
}

/// A ring of what the counts were, and when.
///
/// Whoever asks a quarter of the window or more after the newest checkpoint adds one. The counts at
/// the beginning of the window are read off the straight line between the checkpoints around it:
/// while something fails at least every quarter of a window, that is exact to a quarter, and after
/// a long time without a question it is the rate since the last.
///
/// One thread writes at a time: who cannot claim the next slot goes on without. Readers take closed
/// slots only, newest first, and read again if the ring has gone round beneath them, which it does
/// only while others get ahead. Nobody waits.
#[derive(Debug)]
pub(crate) struct Checkpoints<const SLOTS: usize = 8> {
    slots: [Slot; SLOTS],
    /// How many have been begun, after that of the epoch.
    claimed: AtomicU64,
    /// How many of them can be read.
    closed: AtomicU64,
    window: u64,
    apart: u64,
}

#[derive(Debug, Default)]
struct Slot {
    at: AtomicU64,
    funded: AtomicU64,
    failed: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Checkpoint {
    at: u64,
    outcomes: Outcomes,
}

impl<const SLOTS: usize> Checkpoints<SLOTS> {
    /// For a window of so many nanoseconds.
    pub(crate) fn new(window: u64) -> Self {
        Self {
            slots: std::array::from_fn(|_| Slot::default()),
            claimed: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            window,
            apart: (window / 4).max(1),
        }
    }

    /// The outcomes in the window that ends at `now`. `count` tells those since the epoch.
    pub(crate) fn recent(&self, now: u64, count: impl Fn() -> Outcomes) -> Outcomes {
        loop {
            let newest = self.closed.load(Acquire);
            // Counted after that was read: no checkpoint that is used has counted more.
            let outcomes = count();
            let present = Checkpoint { at: now, outcomes };
            if let Some(before) = self.before(newest, present) {
                return outcomes.less(before);
            }
        }
    }

    /// The counts where the window began that ends at present. None if slots were written anew.
    fn before(&self, newest: u64, present: Checkpoint) -> Option<Outcomes> {
        let last = self.read(newest)?;
        let present = Checkpoint {
            at: present.at.max(last.at),
            ..present
        };
        if present.at - last.at >= self.apart {
            self.add(newest, present);
        }
        let start = present.at.saturating_sub(self.window);
        let (mut number, mut older, mut newer) = (newest, last, present);
        // The slot after the newest may be in writing, and is the oldest.
        let oldest = newest.saturating_sub(SLOTS as u64 - 2);
        while older.at > start && number > oldest {
            number -= 1;
            newer = older;
            older = self.read(number)?;
        }
        Some(older.towards(newer, start))
    }

    fn add(&self, newest: u64, checkpoint: Checkpoint) {
        let number = newest + 1;
        let claim = self
            .claimed
            .compare_exchange(newest, number, Relaxed, Relaxed);
        if claim.is_ok() {
            let Checkpoint { at, outcomes } = checkpoint;
            let slot = self.slot(number);
            // Each is a release, so that who reads one sees the claim too.
            slot.at.store(at, Release);
            slot.funded.store(outcomes.funded, Release);
            slot.failed.store(outcomes.failed, Release);
            self.closed.store(number, Release);
        }
    }

    fn read(&self, number: u64) -> Option<Checkpoint> {
        let slot = self.slot(number);
        let checkpoint = Checkpoint {
            at: slot.at.load(Acquire),
            outcomes: Outcomes {
                funded: slot.funded.load(Acquire),
                failed: slot.failed.load(Acquire),
            },
        };
        let untouched = self.claimed.load(Relaxed) - number < SLOTS as u64;
        untouched.then_some(checkpoint)
    }

    fn slot(&self, number: u64) -> &Slot {
        &self.slots[(number % SLOTS as u64) as usize]
    }
}

impl Checkpoint {
    /// The counts at a time between two checkpoints, rounded up.
    fn towards(self, newer: Self, at: u64) -> Outcomes {
        let span = u128::from(newer.at.saturating_sub(self.at)).max(1);
        let part = u128::from(at.saturating_sub(self.at));
        let between = |from: u64, to: u64| {
            let risen = u128::from(to.saturating_sub(from)) * part;
            from + risen.div_ceil(span) as u64
        };
        Outcomes {
            funded: between(self.outcomes.funded, newer.outcomes.funded),
            failed: between(self.outcomes.failed, newer.outcomes.failed),
        }
    }
}

impl Outcomes {
    pub(crate) fn less(self, before: Self) -> Self {
        Self {
            funded: self.funded.saturating_sub(before.funded),
            failed: self.failed.saturating_sub(before.failed),
        }
    }
}
