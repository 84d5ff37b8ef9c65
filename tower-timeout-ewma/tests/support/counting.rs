//! The lanes and turns of the quantile estimator, with few buckets and slots.

#[path = "../../src/estimator/quantile/lanes.rs"]
pub(crate) mod lanes;
#[path = "../../src/estimator/quantile/turn.rs"]
pub(crate) mod turn;

mod buckets {
    pub(super) const BUCKETS: usize = 2;

    pub(super) fn index(nanos: u64) -> usize {
        usize::from(nanos > 10)
    }
}

mod slots {
    pub(super) const SLOTS: usize = 8;
    pub(super) const SLOT_BITS: u32 = 0;

    pub(super) fn slot(nanos: u64) -> usize {
        nanos as usize % SLOTS
    }
}

/// What `pub(super)` lets nobody else see.
pub(crate) mod open {
    use super::{lanes::Lanes, turn::Turn};

    pub(crate) struct Counting {
        lanes: Lanes,
        carried: Turn<Carried>,
    }

    #[derive(Debug, Default)]
    struct Carried {
        turns: u32,
        answered: u64,
    }

    impl Counting {
        pub(crate) fn new() -> Self {
            Self {
                lanes: Lanes::new(),
                carried: Turn::new(Carried::default()),
            }
        }

        pub(crate) fn answer(&self, latency: u64) {
            self.lanes.answered(latency);
        }

        pub(crate) fn flight(&self) {
            self.lanes.started(0);
            self.lanes.ended(0, 0);
        }

        /// Whether it was this one's turn, and how many it had carried then.
        pub(crate) fn carry(&self, now: u64) -> Option<u64> {
            let mut carried = self.carried.take_if_due(now, 10)?;
            let answered: u64 = self.lanes.counts().answered.iter().sum();
            assert!(answered >= carried.answered, "counts do not go back");
            carried.turns += 1;
            carried.answered = answered;
            Some(answered)
        }

        pub(crate) fn answered(&self) -> u64 {
            self.lanes.all_answered()
        }

        pub(crate) fn in_flight(&self) -> (u32, u32) {
            let counts = self.lanes.counts();
            (counts.started[0], counts.ended[0])
        }
    }
}
