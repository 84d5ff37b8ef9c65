use std::{fmt, time::Duration};

use crate::{
    EveryAnswer,
    error::InvalidSetting,
    estimator::Settings,
    layer::AdaptiveTimeoutLayer,
    limiter::Limiter,
    rules::{Rules, Setting},
    scope::ToResponse,
};

/// Settings of an [`AdaptiveTimeoutLayer`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder<C = EveryAnswer, R = Rules, U = ToResponse> {
    pub(crate) settings: Settings,
    pub(crate) classify: C,
    pub(crate) rules: R,
    pub(crate) scope: U,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings::default(),
            classify: EveryAnswer,
            rules: Rules::default(),
            scope: ToResponse,
        }
    }
}

impl<C, R, U> Builder<C, R, U> {
    /// The shortest limit. Default 10 ms; above zero, at most [`initial`](Self::initial).
    pub fn min(mut self, min: Duration) -> Self {
        self.settings.min = min;
        self
    }

    /// The longest limit. Default 10 s; at least [`initial`](Self::initial).
    pub fn max(mut self, max: Duration) -> Self {
        self.settings.max = max;
        self
    }

    /// The limit until there are [`min_samples`](Self::min_samples) answers. Default 1 s; from [`min`](Self::min) to [`max`](Self::max).
    pub fn initial(mut self, initial: Duration) -> Self {
        self.settings.initial = initial;
        self
    }

    /// How many deviations above the smoothed latency the limit is. Default 4.0; above 0, at most
    /// 1,000.
    pub fn deviations(mut self, deviations: f64) -> Self {
        self.settings.deviations = deviations;
        self
    }

    /// How many answers there must be before the limit is learnt. Default 10; at least 1.
    ///
    /// Until then many timeouts make it longer than [`initial`](Self::initial) too, or a service
    /// that is always slower would never be learnt.
    pub fn min_samples(mut self, min_samples: u32) -> Self {
        self.settings.min_samples = min_samples;
        self
    }

    /// Which answers are learnt from. Default [`EveryAnswer`].
    ///
    /// A service that refuses work with an `Ok`, as HTTP does with 503, is fast when it does
    /// nothing: without this, refusals take the limit down to [`min`](Self::min), and the first
    /// requests that are served again time out. With the feature `http` there is `http::ServedOnly`.
    pub fn classify<D>(self, classify: D) -> Builder<D, R, U> {
        Builder {
            settings: self.settings,
            classify,
            rules: self.rules,
            scope: self.scope,
        }
    }

    /// Makes a layer like [`AdaptiveTimeoutLayer::fixed`], but of the same type as the one that
    /// [`build`](Self::build) makes. The settings of the estimator do not matter.
    pub fn build_fixed(self, limit: Duration) -> AdaptiveTimeoutLayer<C, R, U> {
        AdaptiveTimeoutLayer::with(Limiter::fixed(limit), self.rules, self.scope)
    }

    /// Makes the layer.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`] if a setting is outside its range.
    pub fn build(self) -> Result<AdaptiveTimeoutLayer<C, R, U>, InvalidSetting>
    where
        R: Setting,
    {
        let Settings {
            min,
            max,
            initial,
            deviations,
            min_samples,
        } = self.settings;

        if min.is_zero() {
            return Err(InvalidSetting::new("min", &min, "more than zero"));
        }
        if max < min {
            return Err(InvalidSetting::new("max", &max, "at least `min`"));
        }
        if initial < min || initial > max {
            return Err(InvalidSetting::new(
                "initial",
                &initial,
                "a duration from `min` to `max`",
            ));
        }
        if !(deviations > 0.0 && deviations <= MAX_DEVIATIONS) {
            return Err(InvalidSetting::new(
                "deviations",
                &deviations,
                "more than 0 and at most 1000",
            ));
        }
        if min_samples == 0 {
            return Err(InvalidSetting::new(
                "min_samples",
                &min_samples,
                "at least 1",
            ));
        }
        Ok(AdaptiveTimeoutLayer::with(
            Limiter::learnt(self.settings, self.classify),
            self.rules.build()?,
            self.scope,
        ))
    }
}

/// A closure has no `Debug`.
impl<C, R, U> fmt::Debug for Builder<C, R, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

const MAX_DEVIATIONS: f64 = 1000.0;
