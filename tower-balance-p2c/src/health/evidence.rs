//! When an endpoint's failures are no accident. Pure functions over counts.

use std::fmt;

use crate::outcomes::{Counts, Outcomes};

use super::settings::EjectionNanos;

/// Why an endpoint was ejected.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum EjectionReason {
    /// So many requests in a row have failed.
    Consecutive {
        /// Failures in a row.
        failures: u32,
    },
    /// Too many of its latest requests, or of those within the window, have failed.
    Ratio {
        /// Failures among `requests`.
        failures: u64,
        /// The requests that were looked at.
        requests: u64,
    },
    /// It has asked to be left alone: `Retry-After`, `grpc-retry-pushback-ms`.
    Pushback,
    /// It was ejected, and its probe has failed.
    Probe,
    /// It was on probation after an ejection, and has failed again.
    Relapse,
}

impl fmt::Display for EjectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consecutive { failures } => write!(f, "{failures} requests in a row failed"),
            Self::Ratio { failures, requests } => {
                write!(f, "{failures} of {requests} requests failed")
            }
            Self::Pushback => f.write_str("it asked to be left alone"),
            Self::Probe => f.write_str("its probe failed"),
            Self::Relapse => f.write_str("it failed again on probation"),
        }
    }
}

/// Why an endpoint that has just failed should be ejected, if it should. `failing` is the share of
/// requests that fail at the other endpoints: where all of them do, ejecting some helps nobody.
pub(super) fn judge(
    outcomes: &Outcomes,
    failing: f64,
    settings: &EjectionNanos,
    now: u64,
) -> Option<EjectionReason> {
    let usual = failing.clamp(LEAST_FAILING, 1.0);
    let history = outcomes.history(now);
    let row = history.trailing_ones();
    if row >= settings.consecutive && is_no_accident(row.into(), row.into(), usual) {
        return Some(EjectionReason::Consecutive { failures: row });
    }

    let most = settings.most_failing(usual);
    for length in [8_u32, 16, 32, 64] {
        let failures = (history & (u64::MAX >> (64 - length))).count_ones();
        if failures >= settings.consecutive.max(FEWEST_FAILURES)
            && f64::from(failures) > most * f64::from(length)
            && is_no_accident(failures.into(), length.into(), usual)
        {
            return Some(EjectionReason::Ratio {
                failures: failures.into(),
                requests: length.into(),
            });
        }
    }

    let window = outcomes.in_window(now);
    let Counts { failures, .. } = window;
    let requests = window.total();
    let is_too_much = requests >= settings.min_requests && failures as f64 > most * requests as f64;
    (is_too_much && is_no_accident(failures, requests, usual))
        .then_some(EjectionReason::Ratio { failures, requests })
}

/// Whether so many failures of so many requests would be a miracle if each request failed with the
/// probability `usual`: less likely than one in a hundred thousand, by Chernoff's bound.
fn is_no_accident(failures: u64, requests: u64, usual: f64) -> bool {
    let requests = requests as f64;
    let share = failures as f64 / requests;
    if share <= usual {
        return false;
    }
    let mut divergence = share * (share / usual).ln();
    if share < 1.0 {
        divergence += (1.0 - share) * ((1.0 - share) / (1.0 - usual)).ln();
    }
    requests * divergence >= MIRACLE
}

/// Some requests fail everywhere; without any of them, three failures in a row are a miracle.
const LEAST_FAILING: f64 = 0.01;
/// Of the last few requests; less is what [`EjectionReason::Consecutive`] is for.
const FEWEST_FAILURES: u32 = 5;
/// ln(100,000).
const MIRACLE: f64 = 11.5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_failures_are_no_accident_depends_on_what_is_usual() {
        let row = |usual: f64| (1..60).find(|&row| is_no_accident(row, row, usual));
        assert_eq!(row(0.01), Some(3));
        assert_eq!(row(0.05), Some(4));
        assert_eq!(row(0.2), Some(8));
        assert_eq!(row(0.5), Some(17));
        assert_eq!(row(1.0), None);
        assert!(is_no_accident(5, 16, 0.01));
        assert!(!is_no_accident(5, 16, 0.05));
        assert!(!is_no_accident(10, 1000, 0.01));
    }
}
