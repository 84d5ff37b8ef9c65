//! Sharing without a count for each clone.
//!
//! Handles are cloned for each request, often by several threads from one that all can see. Were
//! that a reference count, each request would write to it twice, and threads would spend their time
//! passing its cache line around. So the first handle *lends* what they share: a borrower leaves a
//! note in a place of its own thread, and takes it back, which no other thread has to see. Should
//! the lender be dropped before, notes become counts.

use std::{ops::Deref, sync::Arc};

use arc_swap::{ArcSwap, Guard};

/// Shared ownership of a `T`, of the first owner, of one who has borrowed from it, or of one who has
/// a count like any `Arc`.
pub(crate) struct Lent<T> {
    ours: Guard<Arc<T>>,
    /// Only the first owner has it: one for each would cost each borrower a count again.
    lends: Option<ArcSwap<T>>,
}

impl<T> Lent<T> {
    pub(crate) fn new(first: Arc<T>) -> Self {
        Self {
            ours: Guard::from_inner(Arc::clone(&first)),
            lends: Some(ArcSwap::new(first)),
        }
    }
}

impl<T> Clone for Lent<T> {
    #[inline]
    fn clone(&self) -> Self {
        let ours = match &self.lends {
            Some(lends) => lends.load(),
            None => Guard::from_inner(Arc::clone(&self.ours)),
        };
        Self { ours, lends: None }
    }
}

impl<T> Deref for Lent<T> {
    type Target = Arc<T>;

    #[inline]
    fn deref(&self) -> &Arc<T> {
        &self.ours
    }
}
