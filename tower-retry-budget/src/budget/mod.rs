//! The budget: how many retries a stream of requests may cost.

mod builder;
mod stats;
mod units;

use std::{fmt, sync::Arc};

use tokio::time::Instant;

pub use self::{
    builder::Builder,
    stats::{BudgetStats, ByKind, KindStats},
};
use self::{stats::Decisions, units::tokens};
use crate::{
    checkpoints::Outcomes,
    error::Exhausted,
    kind::Kind,
    ledger::{Ledger, Refused},
    nanos::nanos_since,
    sync::{AtomicBool, Ordering::Relaxed},
};

/// A budget for retries, paid for by successes.
///
/// A success pays in [`ratio`](Builder::ratio) tokens, time pays in
/// [`min_per_second`](Builder::min_per_second), and a retry costs the [`price`](Builder::price) of
/// its [`Kind`]. Whatever the interleaving of threads and whatever the clock does, over any
/// stretch of time
///
/// ```text
/// Σ prices − Σ refunds  ≤  ratio × successes + min_per_second × seconds + burst
/// ```
///
/// to a millionth of a token.
///
/// ```
/// use tower_retry_budget::{Budget, Kind};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let budget = Budget::builder().ratio(0.2).min_per_second(0.0).build()?;
/// (0..5).for_each(|_| budget.deposit());
/// budget.failed(Kind::Throttled);
///
/// let withdrawal = budget.try_withdraw(Kind::Throttled)?;
/// assert_eq!(withdrawal.price(), 5.0);
/// assert!(budget.try_withdraw(Kind::Timeout).is_err(), "a new one has ten tokens");
/// // It was not sent.
/// withdrawal.refund();
/// assert!(budget.looks_affordable());
/// # Ok(())
/// # }
/// ```
///
/// # What can be saved
///
/// What a caller may hold follows its traffic: as much as the successes of the last
/// [`window`](Builder::window) have paid in, at least the [`reserve`](Builder::reserve) and at most
/// the [`burst`](Builder::burst). A client with traffic that all went well enters an outage with
/// enough for all the requests of a moment; one without has the reserve; and where nothing
/// succeeds for a window, what was saved is gone. A new budget holds its reserve.
///
/// # Where most fails
///
/// Once less than 80 % of the outcomes in the window were successes, and there were 20 of them, each
/// price is divided by that share: at one success in four, a retry costs four times as much, and
/// 16 times at the most. So the floor and the reserves of many clients together do not keep down
/// a server that is nearly down. [`follow_success`](Builder::follow_success) turns it off.
///
/// A price can only rise after much has failed. So a retry after a [`Timeout`](Kind::Timeout),
/// which would join the queue that the attempt before was lost in, is looked at once more before
/// it is sent ([`Withdrawal::looks_vain`]): it is withheld if less than 80 % of what came since it
/// was paid for succeeded. Its price stays spent.
///
/// # Sharing it
///
/// Clones share one budget: give one to each layer that sends to the same servers. Where layers
/// are stacked, only one of them may pay in for a request.
///
/// # Cost
///
/// A success adds one to a word that belongs to its thread: it reads no clock and writes to nothing
/// that threads share. All else happens where something fails: a withdrawal reads the clock, adds
/// up the words of all threads, and decides with one compare-and-swap. There is no lock, and the
/// work is the same after a second idle as after a month.
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

impl Budget {
    /// A budget with the default settings: see [`Builder`].
    pub fn new() -> Self {
        Builder::default().make()
    }

    /// Sets up a budget.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Pays in for one success.
    pub fn deposit(&self) {
        self.shared.ledger.deposit();
    }

    /// Notes one failure, whatever is done about it. It makes retries dearer where many are noted.
    ///
    /// A [`Hedge`](Kind::Hedge) is not counted: nothing has failed.
    pub fn failed(&self, kind: Kind) {
        if kind != Kind::Hedge {
            self.shared.ledger.failed();
        }
    }

    /// Takes the price of one retry of this kind.
    ///
    /// # Errors
    ///
    /// [`Exhausted`], if there is less than that. Nothing is taken then.
    pub fn try_withdraw(&self, kind: Kind) -> Result<Withdrawal, Exhausted> {
        let shared = &*self.shared;
        let base = *shared.prices.of(kind);
        match shared.ledger.withdraw(base, shared.now()) {
            Ok(price) => Ok(self.granted(kind, price)),
            Err(refused) => Err(self.refused(kind, &refused)),
        }
    }

    /// Whether a retry of the cheapest kind could be paid for now. A hint: nothing is reserved.
    ///
    /// The clock is read only if there was not enough at the last look.
    pub fn looks_affordable(&self) -> bool {
        let shared = &*self.shared;
        shared.ledger.looks_affordable(|| shared.now())
    }

    /// What the budget holds and what it has decided. The figures are read one after another.
    pub fn stats(&self) -> BudgetStats {
        let shared = &*self.shared;
        let (conditions, balance) = shared.ledger.state(shared.now());
        let Outcomes { funded, failed } = conditions.outcomes;
        let recent = funded.saturating_add(failed);
        let since_the_epoch = shared.ledger.outcomes();
        let mut stats = BudgetStats {
            balance: tokens(balance),
            cap: tokens(conditions.cap),
            spent: 0.0,
            success_ratio: (recent > 0).then(|| funded as f64 / recent as f64),
            deposited: since_the_epoch.funded,
            failed: since_the_epoch.failed,
            withdrawn: 0,
            refused: 0,
            refunded: 0,
            refunded_succeeded: 0,
            withheld: 0,
            kinds: shared.prices.map(|base| KindStats {
                price: tokens(conditions.price(*base)),
                ..KindStats::default()
            }),
        };
        shared.decisions.tell(&mut stats);
        stats
    }

    fn granted(&self, kind: Kind, price: i64) -> Withdrawal {
        self.shared.decisions.granted(kind, price);
        if self.shared.dry.load(Relaxed) && self.shared.dry.swap(false, Relaxed) {
            tracing::debug!("the retry budget grants retries again");
        }
        let after = (kind == Kind::Timeout).then(|| self.shared.ledger.outcomes());
        Withdrawal {
            budget: self.clone(),
            price,
            after,
        }
    }

    fn refused(&self, kind: Kind, refused: &Refused) -> Exhausted {
        self.shared.decisions.refused(kind, refused);
        let Refused {
            balance,
            price,
            cap,
            dearer,
        } = *refused;
        let (balance, price, cap) = (tokens(balance), tokens(price), tokens(cap));
        if !self.shared.dry.load(Relaxed) && !self.shared.dry.swap(true, Relaxed) {
            tracing::debug!(balance, price, cap, "the retry budget is exhausted");
        }
        Exhausted::new(kind, balance, price, cap, dearer)
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

/// The price of one retry, taken for it. Dropping it leaves the price spent.
#[derive(Debug)]
#[must_use = "a retry that is not sent must be refunded"]
pub struct Withdrawal {
    budget: Budget,
    price: i64,
    // What there was before, where what comes after it matters.
    after: Option<Outcomes>,
}

impl Withdrawal {
    /// Tokens taken.
    pub fn price(&self) -> f64 {
        tokens(self.price)
    }

    /// Gives the price back, for a retry that was never sent.
    pub fn refund(self) {
        let shared = &*self.budget.shared;
        shared.ledger.refund(self.price);
        shared.decisions.unsent(self.price);
    }

    /// Whether less than 80 % of the outcomes since the withdrawal were successes, for a retry after
    /// a [`Timeout`](Kind::Timeout): see [`Budget`]. Then it is better withheld than sent.
    pub fn looks_vain(&self) -> bool {
        let ledger = &self.budget.shared.ledger;
        (self.after).is_some_and(|before| ledger.mostly_failed_since(before))
    }

    /// Leaves the price spent, for a retry that was not sent because it looked vain.
    pub fn withhold(self) {
        self.budget.shared.decisions.withheld();
    }

    /// Says that the retry was sent and succeeded. The price is given back if
    /// [`refund_succeeded`](Builder::refund_succeeded) is set, and is spent otherwise.
    pub fn succeeded(self) {
        let shared = &*self.budget.shared;
        if shared.refund_succeeded {
            shared.ledger.refund(self.price);
            shared.decisions.succeeded(self.price);
        }
    }
}

#[derive(Debug)]
struct Shared {
    ledger: Ledger,
    prices: ByKind<i64>,
    refund_succeeded: bool,
    epoch: Instant,
    dry: AtomicBool,
    decisions: Decisions,
}

impl Shared {
    fn now(&self) -> u64 {
        nanos_since(self.epoch, Instant::now())
    }
}
