//! What a budget holds and what it has decided.

use super::units::tokens;
use crate::{
    kind::Kind,
    ledger::Refused,
    sync::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

/// A snapshot of a [`Budget`](crate::Budget). The counts run from its construction.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BudgetStats {
    /// Tokens there are now, from 0 to the cap.
    pub balance: f64,
    /// Tokens that can be used of what was saved, by the traffic of the window: from the reserve
    /// to the burst.
    pub cap: f64,
    /// Tokens taken, less those given back.
    pub spent: f64,
    /// The share of successes among the outcomes of the window. None without any.
    pub success_ratio: Option<f64>,
    /// Successes that paid in.
    pub deposited: u64,
    /// Failures that were noted.
    pub failed: u64,
    /// Withdrawals granted, of all kinds.
    pub withdrawn: u64,
    /// Withdrawals refused, of all kinds and for all reasons.
    pub refused: u64,
    /// Withdrawals given back, because their retry was never sent.
    pub refunded: u64,
    /// Withdrawals given back, because their retry succeeded: see
    /// [`refund_succeeded`](super::Builder::refund_succeeded).
    pub refunded_succeeded: u64,
    /// Withdrawals whose retry was never sent, because so much failed while it waited. Their price
    /// stays taken.
    pub withheld: u64,
    /// The decisions, kind by kind.
    pub kinds: ByKind<KindStats>,
}

/// What was decided about the withdrawals of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct KindStats {
    /// Tokens that one costs now.
    pub price: f64,
    /// Withdrawals granted.
    pub granted: u64,
    /// Refused: the balance was below the price, whatever the success ratio.
    pub refused_empty: u64,
    /// Refused only because so much failed: the balance was below the price, but not below what it
    /// is while all is well.
    pub refused_dearer: u64,
}

/// One value for each [`Kind`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "they are the kinds")]
pub struct ByKind<T> {
    pub transient: T,
    pub throttled: T,
    pub timeout: T,
    pub hedge: T,
}

impl<T> ByKind<T> {
    /// That of one kind.
    pub fn of(&self, kind: Kind) -> &T {
        match kind {
            Kind::Transient => &self.transient,
            Kind::Throttled => &self.throttled,
            Kind::Timeout => &self.timeout,
            Kind::Hedge => &self.hedge,
        }
    }

    /// Each with its kind.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &T)> {
        KINDS.into_iter().map(|kind| (kind, self.of(kind)))
    }

    pub(super) fn of_mut(&mut self, kind: Kind) -> &mut T {
        match kind {
            Kind::Transient => &mut self.transient,
            Kind::Throttled => &mut self.throttled,
            Kind::Timeout => &mut self.timeout,
            Kind::Hedge => &mut self.hedge,
        }
    }

    pub(super) fn map<U>(&self, mut value: impl FnMut(&T) -> U) -> ByKind<U> {
        ByKind {
            transient: value(&self.transient),
            throttled: value(&self.throttled),
            timeout: value(&self.timeout),
            hedge: value(&self.hedge),
        }
    }
}

/// The decisions so far. Written where something has failed, so threads share them.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    kinds: ByKind<OfKind>,
    unsent: AtomicU64,
    withheld: AtomicU64,
    succeeded: AtomicU64,
    spent: AtomicI64,
}

#[derive(Debug, Default)]
struct OfKind {
    granted: AtomicU64,
    empty: AtomicU64,
    dearer: AtomicU64,
}

impl Decisions {
    pub(super) fn granted(&self, kind: Kind, price: i64) {
        self.kinds.of(kind).granted.fetch_add(1, Relaxed);
        self.spent.fetch_add(price, Relaxed);
    }

    pub(super) fn refused(&self, kind: Kind, refused: &Refused) {
        let OfKind { empty, dearer, .. } = self.kinds.of(kind);
        let reason = if refused.dearer { dearer } else { empty };
        reason.fetch_add(1, Relaxed);
    }

    pub(super) fn unsent(&self, price: i64) {
        self.unsent.fetch_add(1, Relaxed);
        self.spent.fetch_sub(price, Relaxed);
    }

    pub(super) fn withheld(&self) {
        self.withheld.fetch_add(1, Relaxed);
    }

    pub(super) fn succeeded(&self, price: i64) {
        self.succeeded.fetch_add(1, Relaxed);
        self.spent.fetch_sub(price, Relaxed);
    }

    /// Writes the counts into the snapshot.
    pub(super) fn tell(&self, stats: &mut BudgetStats) {
        stats.spent = tokens(self.spent.load(Relaxed));
        stats.refunded = self.unsent.load(Relaxed);
        stats.withheld = self.withheld.load(Relaxed);
        stats.refunded_succeeded = self.succeeded.load(Relaxed);
        for kind in KINDS {
            let (counts, told) = (self.kinds.of(kind), stats.kinds.of_mut(kind));
            told.granted = counts.granted.load(Relaxed);
            told.refused_empty = counts.empty.load(Relaxed);
            told.refused_dearer = counts.dearer.load(Relaxed);
            stats.withdrawn += told.granted;
            stats.refused += told.refused_empty + told.refused_dearer;
        }
    }
}

const KINDS: [Kind; 4] = [Kind::Transient, Kind::Throttled, Kind::Timeout, Kind::Hedge];
