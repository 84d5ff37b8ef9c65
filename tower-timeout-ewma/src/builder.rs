use std::{fmt, time::Duration};

use crate::{EveryAnswer, error::InvalidSetting, estimator::Settings, layer::AdaptiveTimeoutLayer};

/// Settings of an [`AdaptiveTimeoutLayer`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder<C = EveryAnswer> {
    settings: Settings,
    classify: C,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings::default(),
            classify: EveryAnswer,
        }
    }
}

impl<C> Builder<C> {
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
    pub fn classify<D>(self, classify: D) -> Builder<D> {
        Builder {
            settings: self.settings,
            classify,
        }
    }

    /// Makes a layer like [`AdaptiveTimeoutLayer::fixed`], but of the same type as the one that
    /// [`build`](Self::build) makes. The settings do not matter.
    pub fn build_fixed(self, limit: Duration) -> AdaptiveTimeoutLayer<C> {
        AdaptiveTimeoutLayer::unchanging(limit)
    }

    /// Makes the layer.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`] if a setting is outside its range.
    pub fn build(self) -> Result<AdaptiveTimeoutLayer<C>, InvalidSetting> {
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
        Ok(AdaptiveTimeoutLayer::learnt(self.settings, self.classify))
    }
}

/// A closure has no `Debug`.
impl<C> fmt::Debug for Builder<C> {
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
