//! Which settings make sense.

use std::{fmt, ops::RangeInclusive, time::Duration};

use crate::{
    error::InvalidSetting,
    estimator::{Rule, Settings},
};

impl Settings {
    pub(crate) fn check(&self) -> Result<(), InvalidSetting> {
        let Self {
            min, max, initial, ..
        } = *self;
        check("min", min, min > Duration::ZERO, "more than zero")?;
        check("max", max, max >= min, "at least `min`")?;
        let is_between = initial >= min && initial <= max;
        check(
            "initial",
            initial,
            is_between,
            "a duration from `min` to `max`",
        )?;
        match self.rule {
            Rule::Deviations(deviations) => {
                let is_allowed = deviations > 0.0 && deviations <= 1000.0;
                check(
                    "deviations",
                    deviations,
                    is_allowed,
                    "more than 0 and at most 1000",
                )?;
            }
            Rule::Quantile { quantile, factor } => {
                let is_allowed = (0.5..=0.9999).contains(&quantile);
                check("quantile", quantile, is_allowed, "0.5 to 0.9999")?;
                let is_allowed = (0.1..=100.0).contains(&factor);
                check("factor", factor, is_allowed, "0.1 to 100")?;
            }
        }
        let samples = self.min_samples;
        check("min_samples", samples, samples > 0, "at least 1")?;
        let window = self.window;
        check("window", window, WINDOWS.contains(&window), "1 s to a day")?;
        let wanted = self.samples_per_second;
        check("samples_per_second", wanted, wanted >= 100, "at least 100")?;
        let share = self.tolerated_timeouts.unwrap_or_default();
        let is_allowed = (0.0..=0.9).contains(&share);
        check("tolerated_timeouts", share, is_allowed, "0 to 0.9")
    }
}

fn check(
    field: &'static str,
    value: impl fmt::Debug,
    is_allowed: bool,
    allowed: &'static str,
) -> Result<(), InvalidSetting> {
    if is_allowed {
        return Ok(());
    }
    Err(InvalidSetting::new(field, &value, allowed))
}

const WINDOWS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
