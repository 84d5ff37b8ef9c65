//! What a connection has done, and what the errors of its responses mean.

use crate::{
    rule::Rule,
    sync::{AtomicU32, Ordering::Relaxed},
};

/// Of one connection, for all its responses.
#[derive(Debug)]
pub(crate) struct Work {
    /// Requests that were answered. They are counted up to `enough`: after that, an answer writes
    /// nothing that another thread reads.
    answers: AtomicU32,
    enough: u32,
    pub(crate) unsent: Rule,
}

impl Work {
    pub(crate) fn new(enough: u32, unsent: Rule) -> Self {
        Self {
            answers: AtomicU32::new(0),
            enough,
            unsent,
        }
    }

    /// A request was answered. Not inlined, so that the poll of a response is, where there is no rule.
    #[inline(never)]
    pub(crate) fn answered(&self) {
        if self.answers.load(Relaxed) < self.enough {
            self.answers.fetch_add(1, Relaxed);
        }
    }

    /// How many requests were answered, if those are not enough.
    pub(crate) fn answers(&self) -> u32 {
        self.answers.load(Relaxed)
    }
}
