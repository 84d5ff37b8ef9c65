//! The token bucket: integer arithmetic on a few atomic words, the time an argument.

use crate::{
    lanes::Sum,
    sync::{
        AtomicI64, AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
};

/// Millionths of a token, shared by any number of threads.
///
/// Let `P` be all that has been paid in since the epoch: a share for each success, and what the
/// rate gives by the time. One word, `level`, holds the balance less `P`, so that neither a
/// success nor a refill writes to it and every decision is one compare-and-swap on one word: two
/// threads cannot take one token, and a thread that stalls holds back nothing.
///
/// A cap is applied when tokens are taken. Between two withdrawals the balance only grows, so
/// this gives the same balance as a cap at each deposit. A withdrawal leaves `level ≤ cap − price
/// − P`, refunds put back what was taken, and the next one needs `level + P ≥ price`: for
/// withdrawals `i … n` it follows that taken − refunded ≤ cap + `Pₙ` − `Pᵢ`.
///
/// `level` wraps around with `P`, however many successes there have been.
#[derive(Debug)]
pub(crate) struct Bucket {
    level: AtomicI64,
    latest: AtomicU64,
    /// The `level` that was enough at the last [`look`](Self::look).
    enough: AtomicI64,
    funded: Sum,
    rates: Rates,
}

/// In millionths of a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    pub(crate) per_success: i64,
    pub(crate) per_second: u64,
    /// No cap is above it.
    pub(crate) burst: i64,
}

impl Bucket {
    pub(crate) fn new(rates: Rates, balance: i64) -> Self {
        Self {
            level: AtomicI64::new(balance),
            latest: AtomicU64::new(0),
            enough: AtomicI64::new(balance),
            funded: Sum::new(),
            rates,
        }
    }

    /// Pays in for one success.
    pub(crate) fn deposit(&self) {
        if self.funded.add_one().is_multiple_of(SETTLE_EVERY) {
            self.settle();
        }
    }

    /// Successes so far.
    pub(crate) fn funded(&self) -> u64 {
        self.funded.total()
    }

    /// Gives back what was taken.
    pub(crate) fn refund(&self, amount: i64) {
        // Relaxed is enough: the order that others' withdrawals have made goes on through it.
        self.level.fetch_add(amount, Relaxed);
    }

    /// The time that counts at `now`, in nanoseconds since the epoch. A clock that stepped back is
    /// held at the latest time seen: the rate pauses, and what was paid in stays.
    pub(crate) fn hold(&self, now: u64) -> u64 {
        self.latest.fetch_max(now, Relaxed).max(now)
    }

    /// Takes the price at the time `held`, of a balance of no more than `cap`, or tells the balance.
    pub(crate) fn withdraw(&self, price: i64, cap: i64, held: u64) -> Result<(), i64> {
        let mut level = self.level.load(Acquire);
        loop {
            // Counted after the level was read: whoever wrote it has seen no success that is not
            // seen here, so that what it took is not taken for a lack.
            let paid = self.paid(held);
            let balance = level.wrapping_add(paid).min(cap);
            if balance < price {
                self.doubt(level);
                return Err(balance);
            }
            let rest = (balance - price).wrapping_sub(paid);
            match self
                .level
                .compare_exchange_weak(level, rest, AcqRel, Acquire)
            {
                Ok(_) => return Ok(()),
                Err(current) => level = current,
            }
        }
    }

    /// The balance at the time `held`, if it is at most `cap`.
    pub(crate) fn balance(&self, cap: i64, held: u64) -> i64 {
        let level = self.level.load(Acquire);
        level.wrapping_add(self.paid(held)).min(cap)
    }

    /// Whether the price is there at the time `held`.
    pub(crate) fn look(&self, price: i64, cap: i64, held: u64) -> bool {
        let level = self.level.load(Acquire);
        let paid = self.paid(held);
        let is_there = level.wrapping_add(paid).min(cap) >= price;
        if is_there {
            self.enough.store(price.wrapping_sub(paid), Relaxed);
        } else {
            self.doubt(level);
        }
        is_there
    }

    /// Lets nothing be enough until the next look. The level alone would not tell: the price may
    /// have risen since the last one, or the cap be below it.
    fn doubt(&self, level: i64) {
        let out_of_reach = level.wrapping_add(i64::MAX / 2);
        self.enough.store(out_of_reach, Relaxed);
    }

    /// Whether the price of the last look is there though nothing was paid in since, and nothing
    /// was refused. Reads two words that no success writes.
    pub(crate) fn still_holds(&self) -> bool {
        let (level, enough) = (self.level.load(Relaxed), self.enough.load(Relaxed));
        level.wrapping_sub(enough) >= 0
    }

    /// Cuts what is above the burst, so that `P` cannot run away from the level where nothing is
    /// ever withdrawn.
    pub(crate) fn settle(&self) {
        let burst = self.rates.burst;
        let mut level = self.level.load(Acquire);
        loop {
            let paid = self.paid(self.latest.load(Relaxed));
            if level.wrapping_add(paid) <= burst {
                return;
            }
            let full = burst.wrapping_sub(paid);
            match self
                .level
                .compare_exchange_weak(level, full, AcqRel, Acquire)
            {
                Ok(_) => return,
                Err(current) => level = current,
            }
        }
    }

    fn paid(&self, held: u64) -> i64 {
        let successes = self.funded.total().cast_signed();
        let funded = successes.wrapping_mul(self.rates.per_success);
        funded.wrapping_add(self.accrued(held))
    }

    /// What the rate gives from the epoch to the time `held`, exact: differences of it lose nothing to
    /// rounding, however often it is asked.
    fn accrued(&self, held: u64) -> i64 {
        let per_second = self.rates.per_second;
        let (seconds, nanos) = (held / NANOS_PER_SECOND, held % NANOS_PER_SECOND);
        let whole = seconds.saturating_mul(per_second);
        let part = nanos.saturating_mul(per_second) / NANOS_PER_SECOND;
        i64::try_from(whole.saturating_add(part)).map_or(MAX_ACCRUED, |sum| sum.min(MAX_ACCRUED))
    }
}

/// One token.
pub(crate) const TOKEN: i64 = 1_000_000;

/// Above this, `nanos × per_second` would leave 64 bits.
pub(crate) const MAX_PER_SECOND: u64 = 10_000 * TOKEN as u64;

/// Successes of one lane. All lanes together pay in less than 2⁴⁶ between two, at a ratio of 10.
pub(crate) const SETTLE_EVERY: u64 = 1 << 16;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Leaves room for what successes pay in and for the burst. The highest rate gets here in 14 years.
const MAX_ACCRUED: i64 = i64::MAX / 2;
