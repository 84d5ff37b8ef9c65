//! What can go wrong.

use std::{error::Error, fmt, time::Duration};

use crate::kind::Kind;

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A setting is outside its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    field: &'static str,
    value: String,
    allowed: &'static str,
}

impl InvalidSetting {
    pub(crate) fn new(
        field: &'static str,
        value: impl fmt::Display,
        allowed: &'static str,
    ) -> Self {
        Self {
            field,
            value: value.to_string(),
            allowed,
        }
    }

    /// The name of the setting.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The value that was refused.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The values that are allowed.
    pub fn allowed(&self) -> &'static str {
        self.allowed
    }
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            value,
            allowed,
        } = self;
        write!(f, "the retry setting `{field}` is {value}: use {allowed}")
    }
}

impl Error for InvalidSetting {}

/// An attempt has taken longer than [`per_try`](crate::Builder::per_try).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TryElapsed {
    limit: Duration,
}

impl TryElapsed {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit }
    }

    /// What an attempt may take.
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

impl fmt::Display for TryElapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "an attempt had no response within {:?}: look why the server is slow, or raise `per_try`",
            self.limit
        )
    }
}

impl Error for TryElapsed {}

/// The budget holds less than a retry costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Exhausted {
    kind: Kind,
    balance: f64,
    price: f64,
    cap: f64,
    dearer: bool,
}

impl Exhausted {
    pub(crate) fn new(kind: Kind, balance: f64, price: f64, cap: f64, dearer: bool) -> Self {
        Self {
            kind,
            balance,
            price,
            cap,
            dearer,
        }
    }

    /// What the retry was for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What the budget held, in tokens.
    pub fn balance(&self) -> f64 {
        self.balance
    }

    /// What the retry would have cost, in tokens.
    pub fn price(&self) -> f64 {
        self.price
    }

    /// What may be saved at the most by the traffic of late, in tokens.
    pub fn cap(&self) -> f64 {
        self.cap
    }

    /// Whether it was refused only because so much fails that retries cost more.
    pub fn dearer(&self) -> bool {
        self.dearer
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            balance,
            price,
            cap,
            dearer,
        } = self;
        let attempt = match kind {
            Kind::Transient => "a retry",
            Kind::Throttled => "a retry of what was throttled",
            Kind::Timeout => "a retry of what timed out",
            Kind::Hedge => "a hedge",
        };
        let why = if *dearer { " while so much fails" } else { "" };
        write!(
            f,
            "the retry budget holds {balance:.3} of at most {cap:.3} tokens and {attempt} costs \
             {price:.3}{why}: wait for successes to fund it, or raise `ratio`, `min_per_second` \
             or `reserve`"
        )
    }
}

impl Error for Exhausted {}

/// A request was not sent, because the backend accepts too few: by a
/// [`Throttle`](crate::throttle::Throttle).
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    probability: f64,
}

impl Held {
    pub(crate) fn new(probability: f64) -> Self {
        Self { probability }
    }

    /// How likely it was that this request would be held back, from 0 to 1.
    pub fn probability(&self) -> f64 {
        self.probability
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = 100.0 * self.probability;
        write!(
            f,
            "the request was held back, as are {percent:.1} % now, because the backend accepts \
             too few: wait until it has recovered, or send less"
        )
    }
}

impl Error for Held {}
