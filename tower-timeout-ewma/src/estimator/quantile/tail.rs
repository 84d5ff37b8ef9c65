//! The quantile of the answers that there would be without a limit.

use super::{
    buckets::lower,
    latencies::Latencies,
    normal::{deviations, share_above},
    survival::Survival,
};

/// The age in nanoseconds that only `share` of the requests outlive which do not hang, where that
/// can be told.
///
/// Those that are given up either hang or would have been answered later. How many would have been is
/// told by the tail before: on the paper on which log-normal latencies are a straight line, the line
/// through two points that are known well is prolonged to where requests are given up. Where twice as
/// many are left, or more, the others hang.
pub(super) fn outlived_by(share: f64, latencies: &Latencies, survival: &Survival) -> Option<f64> {
    let answers = latencies.answers();
    let line = Line::through(survival, answers)?;
    let left = survival.last();
    let hung = latencies.usually_given_up().map_or(0.0, |age| {
        let left_then = survival.at(age);
        let slow = line.share(age);
        if left_then > TOO_MANY * slow {
            ((left_then - slow) / (1.0 - slow)).min(left)
        } else {
            0.0
        }
    });
    // A quantile that fewer than three requests are beyond is not known, but where its line goes.
    let known_share = share.max(3.0 / answers).min(0.5);
    let (known, at) = match age_of(survival, known_share, hung) {
        Some(age) => (age, known_share),
        None => (survival.end(), (left - hung) / (1.0 - hung)),
    };
    let further = (line.slope * (deviations(share) - deviations(at))).exp();
    Some(known * further.clamp(1.0, FURTHEST))
}

/// Latencies that weigh one together, of which half are below `typical` and all but `share` below
/// `limit`.
pub(super) fn log_normal(typical: f64, limit: f64, share: f64) -> Latencies {
    let mut latencies = Latencies::none();
    let slope = ((limit / typical).ln() / deviations(share)).max(LEAST_SLOPE);
    let above = |age: f64| share_above((age / typical).ln() / slope);
    for (bucket, weight) in latencies.answered.iter_mut().enumerate() {
        *weight = (above(lower(bucket)) - above(lower(bucket + 1))).max(0.0);
    }
    latencies
}

/// The tail on log-normal paper.
struct Line {
    age: f64,
    deviations: f64,
    /// Of the logarithm of the age, for a standard deviation.
    slope: f64,
}

impl Line {
    /// As far in the tail as ten answers are beyond.
    fn through(survival: &Survival, answers: f64) -> Option<Self> {
        let near = (10.0 / answers).clamp(0.01, 0.12);
        let far = 5.0 * near;
        let hung = survival.last();
        let (before, age) = (age_of(survival, far, hung)?, age_of(survival, near, hung)?);
        let deviations_of_both = deviations(near) - deviations(far);
        Some(Self {
            age,
            deviations: deviations(near),
            slope: ((age / before).ln() / deviations_of_both).max(LEAST_SLOPE),
        })
    }

    /// The share that outlives an age.
    fn share(&self, age: f64) -> f64 {
        share_above(self.deviations + (age / self.age).ln() / self.slope)
    }
}

/// The age that `share` of those outlive which do not hang.
fn age_of(survival: &Survival, share: f64, hung: f64) -> Option<f64> {
    survival.age(hung + (1.0 - hung) * share)
}

const TOO_MANY: f64 = 2.0;
/// How many times longer a guess may be than what is known.
const FURTHEST: f64 = 3.0;
const LEAST_SLOPE: f64 = 0.02;
