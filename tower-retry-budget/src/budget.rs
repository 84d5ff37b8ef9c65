//! The budget: how many retries a stream of requests may cost.

use std::{fmt, sync::Arc};

use tokio::time::Instant;

use crate::{
    bucket::{Bucket, MAX_PER_SECOND, TOKEN},
    error::{Exhausted, InvalidSetting},
    kind::Kind,
    sync::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// A budget for retries, paid for by successes.
///
/// A success pays in [`ratio`](Builder::ratio) tokens, time pays in
/// [`min_per_second`](Builder::min_per_second), a retry costs one, and no more than
/// [`burst`](Builder::burst) can be saved. A new budget is full. Whatever the interleaving of
/// threads and whatever the clock does, over any stretch of time
///
/// ```text
/// withdrawn − refunded  ≤  ratio × deposits + min_per_second × seconds + burst
/// ```
///
/// Clones share one budget: give one to each layer that sends to the same servers.
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

impl Budget {
    /// A budget with the default settings: ratio 0.2, 1 token a second, burst 20.
    pub fn new() -> Self {
        Self::from_settings(&Builder::default())
    }

    /// Sets up a budget.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Pays in for one success.
    pub fn deposit(&self) {
        self.shared.bucket.deposit();
        self.shared.deposited.fetch_add(1, Relaxed);
    }

    /// Notes one failure, whatever is done about it.
    pub fn failed(&self, kind: Kind) {
        let _ = kind;
    }

    /// Takes the price of one retry of this kind.
    ///
    /// # Errors
    ///
    /// [`Exhausted`], if there is less than that. Nothing is taken then.
    pub fn try_withdraw(&self, kind: Kind) -> Result<Withdrawal, Exhausted> {
        let _ = kind;
        match self.shared.bucket.withdraw(self.shared.now()) {
            Ok(()) => Ok(self.granted()),
            Err(balance) => Err(self.refused(balance)),
        }
    }

    /// Whether a retry of some kind could be paid for now. A hint: nothing is reserved.
    pub fn looks_affordable(&self) -> bool {
        let bucket = &self.shared.bucket;
        // The clock is read only if what was there at the last withdrawal is not enough.
        bucket.balance(0) >= TOKEN || bucket.balance(self.shared.now()) >= TOKEN
    }

    /// What the budget holds and what it has done. The figures are read one after another.
    pub fn stats(&self) -> BudgetStats {
        let shared = &*self.shared;
        BudgetStats {
            balance: tokens(shared.bucket.balance(shared.now())),
            deposited: shared.deposited.load(Relaxed),
            withdrawn: shared.withdrawn.load(Relaxed),
            refunded: shared.refunded.load(Relaxed),
            refused: shared.refused.load(Relaxed),
        }
    }

    fn from_settings(settings: &Builder) -> Self {
        let bucket = Bucket::new(
            i64::from(settings.burst) * TOKEN,
            millionths(settings.ratio),
            millionths(settings.min_per_second).unsigned_abs(),
        );
        Self {
            shared: Arc::new(Shared {
                bucket,
                epoch: Instant::now(),
                dry: AtomicBool::new(false),
                deposited: AtomicU64::new(0),
                withdrawn: AtomicU64::new(0),
                refunded: AtomicU64::new(0),
                refused: AtomicU64::new(0),
            }),
        }
    }

    fn granted(&self) -> Withdrawal {
        self.shared.withdrawn.fetch_add(1, Relaxed);
        if self.shared.dry.load(Relaxed) && self.shared.dry.swap(false, Relaxed) {
            tracing::debug!("the retry budget grants retries again");
        }
        Withdrawal {
            budget: self.clone(),
        }
    }

    fn refused(&self, balance: i64) -> Exhausted {
        self.shared.refused.fetch_add(1, Relaxed);
        let burst = tokens(self.shared.bucket.capacity());
        if !self.shared.dry.load(Relaxed) && !self.shared.dry.swap(true, Relaxed) {
            tracing::debug!(
                balance = tokens(balance),
                burst,
                "the retry budget is exhausted"
            );
        }
        Exhausted::new(tokens(balance), burst)
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// One token, taken for one retry. Dropping it leaves the token spent.
#[derive(Debug)]
#[must_use = "a retry that is not sent must be refunded"]
pub struct Withdrawal {
    budget: Budget,
}

impl Withdrawal {
    /// Gives the token back, for a retry that was never sent.
    pub fn refund(self) {
        let shared = &*self.budget.shared;
        shared.bucket.refund();
        shared.refunded.fetch_add(1, Relaxed);
    }
}

impl Withdrawal {
    /// Says that the retry was sent and succeeded.
    pub fn succeeded(self) {}
}

/// A snapshot of a [`Budget`]. The counts run from its construction.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BudgetStats {
    /// Tokens there are now, from 0 to the burst.
    pub balance: f64,
    /// Successes that paid in.
    pub deposited: u64,
    /// Tokens taken.
    pub withdrawn: u64,
    /// Tokens given back, because their retry was never sent.
    pub refunded: u64,
    /// Withdrawals refused for want of a token.
    pub refused: u64,
}

/// Sets up a [`Budget`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    ratio: f64,
    min_per_second: f64,
    burst: u32,
}

impl Builder {
    /// Retries that one success pays for, exact to a millionth. Default 0.2, range 0 to 10.
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = ratio;
        self
    }

    /// Retries a second that are paid for without any success, exact to a millionth.
    /// Default 1, range 0 to 10,000.
    ///
    /// Each process has its own budget: with a thousand clients of one server, 1 a second
    /// lets a thousand retries a second reach it.
    pub fn min_per_second(mut self, min_per_second: f64) -> Self {
        self.min_per_second = min_per_second;
        self
    }

    /// Retries that can be saved up and then sent at once. Default 20, at least 1.
    pub fn burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self
    }

    /// Makes the budget. It is full.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`], if a value is outside its range.
    pub fn build(self) -> Result<Budget, InvalidSetting> {
        let Self {
            ratio,
            min_per_second,
            burst,
        } = self;
        if !(0.0..=MAX_RATIO).contains(&ratio) {
            return Err(InvalidSetting::new("ratio", ratio, "0 to 10"));
        }
        if !(0.0..=tokens(MAX_PER_SECOND.cast_signed())).contains(&min_per_second) {
            return Err(InvalidSetting::new(
                "min_per_second",
                min_per_second,
                "0 to 10000",
            ));
        }
        if burst == 0 {
            return Err(InvalidSetting::new("burst", burst, "1 to 4294967295"));
        }
        Ok(Budget::from_settings(&self))
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            ratio: 0.2,
            min_per_second: 1.0,
            burst: 20,
        }
    }
}

#[derive(Debug)]
struct Shared {
    bucket: Bucket,
    epoch: Instant,
    dry: AtomicBool,
    deposited: AtomicU64,
    withdrawn: AtomicU64,
    refunded: AtomicU64,
    refused: AtomicU64,
}

impl Shared {
    fn now(&self) -> u64 {
        let age = Instant::now().saturating_duration_since(self.epoch);
        u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)
    }
}

fn millionths(tokens: f64) -> i64 {
    (tokens * TOKEN as f64).round() as i64
}

fn tokens(millionths: i64) -> f64 {
    millionths.max(0) as f64 / TOKEN as f64
}

const MAX_RATIO: f64 = 10.0;
