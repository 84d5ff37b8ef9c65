//! The token bucket: integer arithmetic on two atomic words, the time an argument.

use crate::sync::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Millionths of a token, shared by any number of threads.
///
/// Let `A(t)` be what the rate has paid in from the epoch to `t`. One word, `level`, holds the
/// balance less `A(t)`, so a refill needs no write and every decision is one compare-and-swap
/// on one word: two threads cannot take one token, and a thread that stalls holds back nothing.
///
/// The cap is applied when a token is taken. Between two withdrawals the balance only grows, so
/// this gives the same balance as a cap at each deposit. For withdrawals at `t1 ≤ … ≤ tn` it
/// follows that tokens taken ≤ capacity + deposits + `A(tn) − A(t1)`.
///
/// Relaxed ordering is enough: nothing but the words themselves is published.
#[derive(Debug)]
pub(crate) struct Bucket {
    level: AtomicI64,
    latest: AtomicU64,
    capacity: i64,
    per_deposit: i64,
    per_second: u64,
}

impl Bucket {
    /// A full bucket. All three are millionths of a token.
    pub(crate) fn new(capacity: i64, per_deposit: i64, per_second: u64) -> Self {
        Self {
            level: AtomicI64::new(capacity),
            latest: AtomicU64::new(0),
            capacity,
            per_deposit,
            per_second,
        }
    }

    /// Pays in for one success.
    pub(crate) fn deposit(&self) {
        self.add(self.per_deposit);
    }

    /// Gives back one token.
    pub(crate) fn refund(&self) {
        self.add(TOKEN);
    }

    /// Takes one token at `now`, in nanoseconds since the epoch, or tells the balance.
    pub(crate) fn withdraw(&self, now: u64) -> Result<(), i64> {
        // A clock that stepped back is held at the latest time seen: the rate pauses, and
        // what was paid in stays.
        let now = self.latest.fetch_max(now, Relaxed).max(now);
        let accrued = self.accrued(now);
        let mut level = self.level.load(Relaxed);
        loop {
            let balance = self.balance_at(level, accrued);
            if balance < TOKEN {
                return Err(balance);
            }
            let rest = balance - TOKEN - accrued;
            match self
                .level
                .compare_exchange_weak(level, rest, Relaxed, Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(current) => level = current,
            }
        }
    }

    /// The balance at `now`.
    pub(crate) fn balance(&self, now: u64) -> i64 {
        let accrued = self.accrued(self.latest.load(Relaxed).max(now));
        self.balance_at(self.level.load(Relaxed), accrued)
    }

    /// The largest balance.
    pub(crate) fn capacity(&self) -> i64 {
        self.capacity
    }

    fn add(&self, amount: i64) {
        // A bucket that was full at an earlier time is full: a healthy one is only read here,
        // and `level` cannot run away where nothing is ever withdrawn.
        if self.balance(0) < self.capacity {
            self.level.fetch_add(amount, Relaxed);
        }
    }

    fn balance_at(&self, level: i64, accrued: i64) -> i64 {
        level.saturating_add(accrued).min(self.capacity)
    }

    /// `A(now)`, exact: differences of it lose nothing to rounding, however often it is asked.
    fn accrued(&self, now: u64) -> i64 {
        let (seconds, nanos) = (now / NANOS_PER_SECOND, now % NANOS_PER_SECOND);
        let whole = seconds.saturating_mul(self.per_second);
        let part = nanos.saturating_mul(self.per_second) / NANOS_PER_SECOND;
        i64::try_from(whole.saturating_add(part)).map_or(MAX_ACCRUED, |sum| sum.min(MAX_ACCRUED))
    }
}

/// One token.
pub(crate) const TOKEN: i64 = 1_000_000;

/// Above this, `nanos × per_second` would leave 64 bits.
pub(crate) const MAX_PER_SECOND: u64 = 10_000 * TOKEN as u64;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Leaves room for the capacity on both sides. The highest rate gets here in 14 years.
const MAX_ACCRUED: i64 = i64::MAX / 2;
