//! The normal distribution, to three digits: Abramowitz and Stegun, 26.2.17 and 26.2.23.

/// The share above `z` standard deviations.
pub(super) fn share_above(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let polynomial = t
        * (0.319_381_530
            + t * (-0.356_563_782
                + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = (-0.5 * z * z).exp() * polynomial / std::f64::consts::TAU.sqrt();
    if z < 0.0 { 1.0 - tail } else { tail }
}

/// So many standard deviations that `share` is above.
pub(super) fn deviations(share: f64) -> f64 {
    let share = share.clamp(1e-9, 1.0 - 1e-9);
    let tail = share.min(1.0 - share);
    let t = (-2.0 * tail.ln()).sqrt();
    let z = t
        - (2.515_517 + t * (0.802_853 + t * 0.010_328))
            / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    if share > 0.5 { -z } else { z }
}
