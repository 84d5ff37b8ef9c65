//! Who is compared: the estimators of `tower-timeout-ewma`, and models of other rules.

use std::time::Duration;

use super::{
    estimator::{Rule, Settings},
    models::{Censored, Fixed, Oracle, Windowed},
    ours::Ours,
};

/// What decides how long a request may take.
pub(super) trait Policy {
    /// The limit of a request that starts now.
    fn started(&mut self, now: Duration) -> Duration;

    fn answered(&mut self, start: Duration, now: Duration);

    fn timed_out(&mut self, start: Duration, now: Duration);

    /// What no client can know.
    fn tell_p999(&mut self, _p999: Duration) {}
}

/// The policies by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum PolicyKind {
    Quantile,
    Smoothed,
    Fixed1s,
    Fixed250ms,
    P99,
    TwiceP99,
    Doubling,
    Oracle,
    Censored(Censored),
}

impl PolicyKind {
    /// Those that are compared.
    pub(super) const ALL: [Self; 13] = [
        Self::Quantile,
        Self::Smoothed,
        Self::Fixed1s,
        Self::Fixed250ms,
        Self::P99,
        Self::TwiceP99,
        Self::Doubling,
        Self::Oracle,
        Self::Censored(Censored::Dropped),
        Self::Censored(Censored::AtBudget),
        Self::Censored(Censored::AtTwice),
        Self::Censored(Censored::AtMax),
        Self::Censored(Censored::KaplanMeier),
    ];

    /// What else there is to ask for.
    pub(super) const MORE: [Self; 0] = [];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Quantile => "quantile",
            Self::Smoothed => "smoothed",
            Self::Fixed1s => "fixed-1s",
            Self::Fixed250ms => "fixed-250ms",
            Self::P99 => "p99",
            Self::TwiceP99 => "twice-p99",
            Self::Doubling => "doubling",
            Self::Oracle => "oracle",
            Self::Censored(Censored::Dropped) => "censored-dropped",
            Self::Censored(Censored::AtBudget) => "censored-at-budget",
            Self::Censored(Censored::AtTwice) => "censored-at-twice",
            Self::Censored(Censored::AtMax) => "censored-at-max",
            Self::Censored(Censored::KaplanMeier) => "kaplan-meier",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Quantile => "tower-timeout-ewma, default settings",
            Self::Smoothed => "the same with `deviations(4.0)`",
            Self::Fixed1s => "1 s",
            Self::Fixed250ms => "250 ms",
            Self::P99 => "model: the p99 of the answers of the last minute",
            Self::TwiceP99 => "model: twice that",
            Self::Doubling => {
                "model: twice that p99, but a timeout counts as an answer after twice its limit"
            }
            Self::Oracle => "model: the true p99.9 of what is in force",
            Self::Censored(Censored::Dropped) => {
                "model: 1.1 times the p99.9 of the last minute, timeouts are no samples"
            }
            Self::Censored(Censored::AtBudget) => "the same, timeouts are samples at their limit",
            Self::Censored(Censored::AtTwice) => {
                "the same, timeouts are samples at twice their limit"
            }
            Self::Censored(Censored::AtMax) => "the same, timeouts are samples at 10 s",
            Self::Censored(Censored::KaplanMeier) => {
                "the same, by the estimate of Kaplan and Meier; twice the longest time where that \
                 does not reach the quantile"
            }
        }
    }

    pub(super) fn build(self) -> Box<dyn Policy> {
        match self {
            Self::Quantile => Box::new(Ours::by(Settings::default().rule)),
            Self::Smoothed => Box::new(Ours::by(Rule::Deviations(4.0))),
            Self::Fixed1s => Box::new(Fixed(Duration::from_secs(1))),
            Self::Fixed250ms => Box::new(Fixed(Duration::from_millis(250))),
            Self::P99 => Box::new(Windowed::new(0.99, 1.0, Censored::Dropped)),
            Self::TwiceP99 => Box::new(Windowed::new(0.99, 2.0, Censored::Dropped)),
            Self::Doubling => Box::new(Windowed::new(0.99, 2.0, Censored::AtTwice)),
            Self::Oracle => Box::new(Oracle::default()),
            Self::Censored(how) => Box::new(Windowed::new(0.999, 1.1, how)),
        }
    }
}
