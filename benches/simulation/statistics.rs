//! Means over seeds, and how sure they are.

/// A mean, and half of its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Of all seeds.
    pub mean: f64,
    /// Half of the interval; infinite where it cannot be told.
    pub margin: f64,
}

impl Estimate {
    /// By Student's t. The margin of fewer than two values is infinite.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2));
        let variance = squares.sum::<f64>() / (count - 1.0);
        let margin = match values.len() {
            0 | 1 => f64::INFINITY,
            seeds => student(seeds - 1) * (variance / count).sqrt(),
        };
        Self { mean, margin }
    }

    /// With its margin, as far as there is one.
    pub fn show(self, digits: usize) -> String {
        let Self { mean, margin } = self;
        if margin.is_finite() {
            format!("{mean:.digits$} ± {margin:.digits$}")
        } else {
            format!("{mean:.digits$}")
        }
    }

    /// Of the differences, seed by seed: policies meet the same requests, so that their
    /// differences are surer than they are.
    pub fn of_difference(left: &[f64], right: &[f64]) -> Self {
        let differences = left.iter().zip(right).map(|(left, right)| left - right);
        Self::of(&differences.collect::<Vec<_>>())
    }
}

/// The mean of what was seen, and how often nothing was: what was not seen is infinite.
pub(super) fn show_seen(values: &[f64], digits: usize) -> String {
    if values.is_empty() {
        return "–".to_owned();
    }
    let seen: Vec<f64> = values
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    match (seen.len(), values.len()) {
        (seen, all) if 2 * seen <= all => format!("never in {} of {all}", all - seen),
        (some, all) if some < all => {
            let mean = Estimate::of(&seen).show(digits);
            format!("{mean}, never in {} of {all}", all - some)
        }
        _ => Estimate::of(&seen).show(digits),
    }
}

/// The 97.5 % quantile of Student's t, by Fisher's expansion: within 1 % from three degrees on.
fn student(freedom: usize) -> f64 {
    let normal = 1.959_964_f64;
    match freedom {
        1 => 12.706,
        2 => 4.303,
        more => {
            let n = more as f64;
            let (z3, z5, z7) = (normal.powi(3), normal.powi(5), normal.powi(7));
            let first = (z3 + normal) / (4.0 * n);
            let second = (5.0 * z5 + 16.0 * z3 + 3.0 * normal) / (96.0 * n * n);
            let third = (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * normal) / (384.0 * n.powi(3));
            normal + first + second + third
        }
    }
}
