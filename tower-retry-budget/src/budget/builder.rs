//! The settings of a budget.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Budget, Shared,
    stats::{ByKind, Decisions},
    units::{at_least, at_most, tokens},
};
use crate::{
    bucket::{MAX_PER_SECOND, Rates, TOKEN},
    error::InvalidSetting,
    kind::Kind,
    ledger::{Ledger, Terms},
    nanos::nanos,
    sync::AtomicBool,
};

/// Sets up a [`Budget`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    ratio: f64,
    min_per_second: f64,
    clients: u32,
    window: Duration,
    reserve: Option<u32>,
    burst: u32,
    prices: ByKind<Option<f64>>,
    refund_succeeded: bool,
    follow_success: bool,
}

impl Builder {
    /// Tokens that one success pays in, kept to a millionth and never rounded up. Default 0.2;
    /// 0, or 0.000001 to 10.
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = ratio;
        self
    }

    /// Tokens a second that are paid in without any success, kept to a millionth and never
    /// rounded up. Default 1; 0, or 0.000001 to 10,000.
    pub fn min_per_second(mut self, min_per_second: f64) -> Self {
        self.min_per_second = min_per_second;
        self
    }

    /// How many budgets like this one there are in all, which share
    /// [`min_per_second`](Self::min_per_second): each gets its part. Default 1, at least 1.
    ///
    /// Each process has its own budget. With a thousand clients of one server, a floor of 1 a
    /// second lets a thousand retries a second reach it, unless they are told that they are a
    /// thousand.
    pub fn clients(mut self, clients: u32) -> Self {
        self.clients = clients;
        self
    }

    /// The time whose successes say how much may be saved, and whose outcomes say how dear a retry
    /// is. Default 10 s, range 10 ms to 1 hour.
    ///
    /// It is measured where something fails: at least a quarter of it apart, and along a
    /// straight line in between.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Tokens that may be saved however little succeeds, and with which a budget begins. Default
    /// 10, or `burst` if that is less; range 1 to `burst`.
    pub fn reserve(mut self, reserve: u32) -> Self {
        self.reserve = Some(reserve);
        self
    }

    /// Tokens that may be saved however much succeeds. Default 10,000, at least 1.
    pub fn burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self
    }

    /// Tokens that a retry of one kind costs, kept to a millionth and never rounded down. Default
    /// 1 for [`Transient`](Kind::Transient) and [`Hedge`](Kind::Hedge), 5 for
    /// [`Throttled`](Kind::Throttled), 20 for [`Timeout`](Kind::Timeout), or `burst` if that is
    /// less; range 0.000001 to `burst`.
    ///
    /// An attempt that timed out has cost the server all of its work, and the next one will again;
    /// one that was refused cost it nearly nothing. What costs more than the
    /// [`reserve`](Self::reserve) is only retried by a client whose successes can pay for it: with
    /// the defaults, one with 100 of them in the [`window`](Self::window).
    pub fn price(mut self, kind: Kind, price: f64) -> Self {
        *self.prices.of_mut(kind) = Some(price);
        self
    }

    /// Whether a retry that succeeded gets its price back, so that only those in vain are paid
    /// for. Default `false`: then the bound also holds for what the server has to do.
    pub fn refund_succeeded(mut self, refund: bool) -> Self {
        self.refund_succeeded = refund;
        self
    }

    /// Whether prices rise where most fails, and retries after a timeout are withheld then: see
    /// [`Budget`]. Default `true`.
    pub fn follow_success(mut self, follow: bool) -> Self {
        self.follow_success = follow;
        self
    }

    /// Makes the budget. It holds its reserve.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`], if a value is outside its range.
    pub fn build(self) -> Result<Budget, InvalidSetting> {
        if !zero_or_within(self.ratio, MAX_RATIO) {
            return bad("ratio", self.ratio, "0, or 0.000001 to 10");
        }
        if !zero_or_within(self.min_per_second, tokens(MAX_PER_SECOND.cast_signed())) {
            let allowed = "0, or 0.000001 to 10000";
            return bad("min_per_second", self.min_per_second, allowed);
        }
        if self.clients == 0 {
            return bad("clients", 0, "1 to 4294967295");
        }
        if !(MIN_WINDOW..=MAX_WINDOW).contains(&self.window) {
            let window = format!("{:?}", self.window);
            return bad("window", window, "10 ms to 1 hour");
        }
        if self.burst == 0 {
            return bad("burst", 0, "1 to 4294967295");
        }
        let reserve = self.in_reserve();
        if !(1..=self.burst).contains(&reserve) {
            return bad("reserve", reserve, "1 to `burst`");
        }
        for (kind, price) in self.prices.iter() {
            if let Some(price) = *price
                && !(LEAST..=f64::from(self.burst)).contains(&price)
            {
                return bad(price_of(kind), price, "0.000001 to `burst`");
            }
        }
        Ok(self.make())
    }

    /// The settings are within their ranges.
    pub(super) fn make(&self) -> Budget {
        let reserve = self.in_reserve();
        let mut prices = PRICES.map(|price| at_least(price.min(f64::from(self.burst))));
        for (kind, price) in self.prices.iter() {
            if let Some(price) = *price {
                *prices.of_mut(kind) = at_least(price);
            }
        }
        let per_second = at_most(self.min_per_second).unsigned_abs();
        let terms = Terms {
            rates: Rates {
                per_success: at_most(self.ratio),
                per_second: per_second / u64::from(self.clients),
                burst: i64::from(self.burst) * TOKEN,
            },
            reserve: i64::from(reserve) * TOKEN,
            window: nanos(self.window),
            cheapest: prices
                .iter()
                .map(|(_, price)| *price)
                .min()
                .unwrap_or(TOKEN),
            follow_success: self.follow_success,
        };
        Budget {
            shared: Arc::new(Shared {
                ledger: Ledger::new(terms),
                prices,
                refund_succeeded: self.refund_succeeded,
                epoch: Instant::now(),
                dry: AtomicBool::new(false),
                decisions: Decisions::default(),
            }),
        }
    }

    fn in_reserve(&self) -> u32 {
        self.reserve.unwrap_or(RESERVE.min(self.burst))
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            ratio: 0.2,
            min_per_second: 1.0,
            clients: 1,
            window: Duration::from_secs(10),
            reserve: None,
            burst: 10_000,
            prices: ByKind::default(),
            refund_succeeded: false,
            follow_success: true,
        }
    }
}

fn zero_or_within(value: f64, most: f64) -> bool {
    value == 0.0 || (LEAST..=most).contains(&value)
}

fn bad<T>(
    field: &'static str,
    value: impl fmt::Display,
    allowed: &'static str,
) -> Result<T, InvalidSetting> {
    Err(InvalidSetting::new(field, value, allowed))
}

fn price_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Transient => "price.transient",
        Kind::Throttled => "price.throttled",
        Kind::Timeout => "price.timeout",
        Kind::Hedge => "price.hedge",
    }
}

const PRICES: ByKind<f64> = ByKind {
    transient: 1.0,
    throttled: 5.0,
    timeout: 20.0,
    hedge: 1.0,
};

const RESERVE: u32 = 10;

/// A millionth: less is nothing.
const LEAST: f64 = 1e-6;

const MAX_RATIO: f64 = 10.0;

const MIN_WINDOW: Duration = Duration::from_millis(10);
const MAX_WINDOW: Duration = Duration::from_secs(3_600);
