//! What a retry costs and how much may be saved for it, by what has happened lately.

use crate::{
    bucket::{Bucket, Rates},
    checkpoints::{Checkpoints, Outcomes},
    lanes::Sum,
};

/// The budget without a clock: tokens are in millionths, times in nanoseconds since the epoch.
#[derive(Debug)]
pub(crate) struct Ledger {
    bucket: Bucket,
    checkpoints: Checkpoints,
    failed: Sum,
    terms: Terms,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) rates: Rates,
    /// What may be saved however little succeeds.
    pub(crate) reserve: i64,
    pub(crate) window: u64,
    /// The lowest price.
    pub(crate) cheapest: i64,
    /// Whether prices rise where most fails.
    pub(crate) follow_success: bool,
}

/// What holds for a withdrawal now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// No more than this can be used of what was saved.
    pub(crate) cap: i64,
    /// Of the window.
    pub(crate) outcomes: Outcomes,
    follow_success: bool,
}

/// A withdrawal that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) balance: i64,
    pub(crate) price: i64,
    pub(crate) cap: i64,
    /// Whether it was only refused because so much fails.
    pub(crate) dearer: bool,
}

impl Ledger {
    /// With a full reserve.
    pub(crate) fn new(terms: Terms) -> Self {
        Self {
            bucket: Bucket::new(terms.rates, terms.reserve),
            checkpoints: Checkpoints::new(terms.window),
            failed: Sum::new(),
            terms,
        }
    }

    /// Pays in for one success.
    pub(crate) fn deposit(&self) {
        self.bucket.deposit();
    }

    /// Notes one failure.
    pub(crate) fn failed(&self) {
        self.failed.add_one();
    }

    /// Takes the price at `now` and tells what it was, if `base` is what it is while all is well.
    pub(crate) fn withdraw(&self, base: i64, now: u64) -> Result<i64, Refused> {
        let held = self.bucket.hold(now);
        let conditions = self.conditions(held);
        let (price, cap) = (conditions.price(base), conditions.cap);
        match self.bucket.withdraw(price, cap, held) {
            Ok(()) => Ok(price),
            Err(balance) => Err(Refused {
                balance,
                price,
                cap,
                dearer: balance >= base,
            }),
        }
    }

    /// Gives back a price that was taken.
    pub(crate) fn refund(&self, price: i64) {
        self.bucket.refund(price);
    }

    /// Whether the lowest price is there. Asks for the time only if it was not at the last look.
    pub(crate) fn looks_affordable(&self, now: impl FnOnce() -> u64) -> bool {
        self.bucket.still_holds() || {
            let held = self.bucket.hold(now());
            let conditions = self.conditions(held);
            let price = conditions.price(self.terms.cheapest);
            self.bucket.look(price, conditions.cap, held)
        }
    }

    /// Whether most of what came since there were so many outcomes has failed.
    pub(crate) fn mostly_failed_since(&self, before: Outcomes) -> bool {
        self.terms.follow_success && !self.outcomes().less(before).are_well()
    }

    /// What holds at `now`, and the balance.
    pub(crate) fn state(&self, now: u64) -> (Conditions, i64) {
        let held = self.bucket.hold(now);
        let conditions = self.conditions(held);
        (conditions, self.bucket.balance(conditions.cap, held))
    }

    /// Since the epoch.
    pub(crate) fn outcomes(&self) -> Outcomes {
        Outcomes {
            funded: self.bucket.funded(),
            failed: self.failed.total(),
        }
    }

    fn conditions(&self, held: u64) -> Conditions {
        let Terms { rates, reserve, .. } = self.terms;
        let outcomes = self.checkpoints.recent(held, || self.outcomes());
        let earned = i64::try_from(outcomes.funded)
            .map_or(i64::MAX, |funded| funded.saturating_mul(rates.per_success));
        Conditions {
            cap: earned.clamp(reserve, rates.burst),
            outcomes,
            follow_success: self.terms.follow_success,
        }
    }
}

impl Conditions {
    /// `base` ÷ the success ratio, rounded up, once that ratio is low.
    pub(crate) fn price(&self, base: i64) -> i64 {
        let Outcomes { funded, failed } = self.outcomes;
        let all = funded.saturating_add(failed);
        if !self.follow_success || all < FEWEST || self.outcomes.are_well() {
            return base;
        }
        let dearest = base.saturating_mul(DEAREST);
        let dear = u128::from(base.unsigned_abs()) * u128::from(all);
        let price = dear.div_ceil(u128::from(funded.max(1)));
        i64::try_from(price).map_or(dearest, |price| price.min(dearest))
    }
}

impl Outcomes {
    fn are_well(self) -> bool {
        let all = self.funded.saturating_add(self.failed);
        u128::from(self.funded) * 100 >= u128::from(all) * u128::from(WELL_PERCENT)
    }
}

/// The success ratio below which prices rise.
const WELL_PERCENT: u64 = 80;

/// With fewer outcomes in the window, there is no telling how many fail.
const FEWEST: u64 = 20;

/// How much prices rise at the most.
const DEAREST: i64 = 16;
