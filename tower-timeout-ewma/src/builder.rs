use std::{fmt, time::Duration};

use crate::{
    EveryAnswer,
    error::InvalidSetting,
    estimator::{Estimate, Rule, Settings},
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
    /// The default depends on whether there are keys.
    pub(crate) rule: Option<Rule>,
    pub(crate) classify: C,
    pub(crate) rules: R,
    pub(crate) scope: U,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings::default(),
            rule: None,
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

    /// The limit is the `quantile` of the latencies times `factor`, and somewhat longer where there are
    /// few requests. Default, without [keys](Self::key), 0.999 and 1.0: about one good request in a
    /// thousand is ended. The quantile is from 0.5 to 0.9999, the factor from 0.1 to 100.
    ///
    /// The [crate documentation](crate) says how to choose between this and
    /// [`deviations`](Self::deviations); the last of the two that is called counts.
    pub fn quantile(mut self, quantile: f64, factor: f64) -> Self {
        self.rule = Some(Rule::Quantile { quantile, factor });
        self
    }

    /// The limit is so many deviations above the smoothed latency, as TCP has it; there, and by default
    /// with [keys](Self::key), 4.0. Above 0, at most 1,000.
    pub fn deviations(mut self, deviations: f64) -> Self {
        self.rule = Some(Rule::Deviations(deviations));
        self
    }

    /// How long the latencies are remembered of which the [`quantile`](Self::quantile) is one. Default
    /// 60 s; from 1 s to a day.
    ///
    /// After this time a latency weighs 1/e of a new one. Of a service with few requests the last
    /// thousand are remembered. A service that as a whole becomes slower or faster is noticed at once
    /// all the same.
    pub fn window(mut self, window: Duration) -> Self {
        self.settings.window = window;
        self
    }

    /// How many requests a second are measured, about. Default 10,000; at least 100.
    ///
    /// Where there are more, one of two, four or up to a thousand is measured by chance, and so many tell
    /// as much as all would. The others have the same limit, cost less, and teach nothing, however they
    /// end. [`u32::MAX`] means all.
    pub fn samples_per_second(mut self, samples: u32) -> Self {
        self.settings.samples_per_second = samples;
        self
    }

    /// The share of the requests that may time out for ever. Default 0.125, which is 8 of the latest
    /// 64; with [deviations](Self::deviations) 0.1, which is 6. From 0 to 0.9.
    ///
    /// So many are put down to requests that hang. Each more doubles the limit, up to
    /// [`max`](Self::max).
    pub fn tolerated_timeouts(mut self, share: f64) -> Self {
        self.settings.tolerated_timeouts = Some(share);
        self
    }

    /// Starts with what was learnt another time: see [`Stats::estimate`](crate::Stats::estimate).
    /// Default nothing.
    ///
    /// It counts as `min_samples` answers do, or a hundred, and is forgotten as they are.
    pub fn start_from(mut self, estimate: Estimate) -> Self {
        self.settings.start_from = Some(estimate);
        self
    }

    /// How many answers there must be before the limit is learnt. Default 10; at least 1. With
    /// [`quantile`](Self::quantile) 900 are always enough.
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
            rule: self.rule,
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
        let settings = Settings {
            rule: self.rule.unwrap_or(R::RULE),
            ..self.settings
        };
        settings.check()?;
        Ok(AdaptiveTimeoutLayer::with(
            Limiter::learnt(settings, self.classify),
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
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}
