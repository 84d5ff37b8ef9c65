//! Reference counts that threads do not share.
//!
//! A request keeps what its service shares alive. Were that one reference count for all of them, each
//! request would write to it twice, and threads would spend their time passing its cache line around.
//! So there are as many as there are cores, all of them held by the services, and a request takes that
//! of its thread.
//!
//! `tower-balance-p2c` and `tower-retry-budget` have the same. It stays apart on purpose: no crate
//! depends on another.

use std::sync::Arc;

use crate::sync::{lane_count, thread_number};

#[derive(Debug)]
pub(crate) struct Lanes<C> {
    lanes: Box<[Arc<Lane<C>>]>,
}

/// On cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Lane<C> {
    pub(crate) core: Arc<C>,
}

impl<C> Lanes<C> {
    pub(crate) fn new(core: C) -> Self {
        let core = Arc::new(core);
        let lanes = (0..lane_count()).map(|_| {
            Arc::new(Lane {
                core: Arc::clone(&core),
            })
        });
        Self {
            lanes: lanes.collect(),
        }
    }

    pub(crate) fn core(&self) -> &C {
        &self.lanes[0].core
    }

    /// That of the current thread.
    #[inline]
    pub(crate) fn lane(&self) -> &Arc<Lane<C>> {
        &self.lanes[thread_number() & (self.lanes.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_lane_and_all_lead_to_one_core() {
        let lanes = Lanes::new("core");
        assert!(Arc::ptr_eq(lanes.lane(), lanes.lane()));
        let mut others = lanes.lanes.iter();
        assert!(others.all(|lane| Arc::ptr_eq(&lane.core, &lanes.lane().core)));
    }
}
