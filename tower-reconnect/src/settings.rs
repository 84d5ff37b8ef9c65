//! The settings, and what becomes of them.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    backoff::Backoff, bounds::Bounds, chance::Chance, error::InvalidSetting, limits::Limits,
    mode::Mode, rule::Rule, work::Work,
};

/// What a builder was told. All services of a layer share it.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) connect_timeout: Duration,
    pub(crate) base: Duration,
    pub(crate) max: Duration,
    pub(crate) bounds: Arc<Bounds>,
    pub(crate) worked_after: Option<u32>,
    pub(crate) seed: Option<u64>,
    pub(crate) eager: bool,
    pub(crate) mode: Mode,
    pub(crate) retired: Rule,
    pub(crate) unsent: Rule,
}

impl Settings {
    /// The random place of one service within its steps.
    pub(crate) fn place(&self) -> u64 {
        Chance::default().draw(self.seed)
    }

    /// The seed of one service's limits.
    pub(crate) fn limits_seed(&self) -> u64 {
        self.seed.unwrap_or_else(rand::random)
    }

    /// Whether a handle lets go of its clone of a shared connection with each request, so that it
    /// keeps none alive that has been replaced or closed.
    #[inline]
    pub(crate) fn releases(&self) -> bool {
        let limits = &self.bounds.limits;
        limits.max_age.is_some() || limits.idle.is_some()
    }

    /// What the responses of one connection need, if there is any rule.
    pub(crate) fn work(&self) -> Option<Arc<Work>> {
        let any = self.retired.is_set() || self.unsent.is_set();
        any.then(|| Arc::new(Work::new(self.bounds.worked_after, self.unsent.clone())))
    }

    pub(crate) fn bounds_mut(&mut self) -> &mut Bounds {
        Arc::make_mut(&mut self.bounds)
    }

    /// Checked, with what was not said.
    pub(crate) fn complete(mut self, worked_after: u32) -> Result<Self, InvalidSetting> {
        self.check()?;
        let worked_after = self.worked_after.unwrap_or(worked_after);
        let backoff = Backoff::new(self.base, self.max);
        let bounds = self.bounds_mut();
        bounds.backoff = backoff;
        bounds.worked_after = worked_after;
        Ok(self)
    }

    /// Whether every setting is in its range.
    fn check(&self) -> Result<(), InvalidSetting> {
        let Self { base, max, .. } = *self;
        let Bounds {
            first_dial_jitter,
            stable_after,
            max_dials,
            ref limits,
            ..
        } = *self.bounds;
        require("connect_timeout", self.connect_timeout, SHORTEST)?;
        require("backoff.base", base, SHORTEST)?;
        require("backoff.max", max, SHORTEST)?;
        require("stable_after", stable_after, Duration::ZERO)?;
        require("first_dial_jitter", first_dial_jitter, Duration::ZERO)?;
        if base > max {
            let value = format!("{base:?} with a `backoff.max` of {max:?}");
            let allowed = "at most `backoff.max`";
            return Err(InvalidSetting::new("backoff.base", value, allowed));
        }
        if let Some(age) = limits.max_age {
            require("max_age", age, SHORTEST)?;
        }
        if let Some(time) = limits.idle {
            require("idle", time, SHORTEST)?;
            if self.eager {
                let value = format!("{time:?} with `eager`");
                return Err(InvalidSetting::new("idle", value, "nothing with `eager`"));
            }
        }
        if !(1..=1024).contains(&max_dials) {
            let value = max_dials.to_string();
            return Err(InvalidSetting::new("max_dials", value, "1 to 1024"));
        }
        if self.worked_after == Some(0) {
            return Err(InvalidSetting::new(
                "worked_after",
                "0".into(),
                "at least 1",
            ));
        }
        match self.mode {
            Mode::BoundedWait(limit) => require("mode.bounded_wait", limit, SHORTEST),
            Mode::Balanced | Mode::FailFast => Ok(()),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let (base, max) = (Duration::from_millis(125), Duration::from_secs(8));
        Self {
            connect_timeout: Duration::from_secs(1),
            base,
            max,
            bounds: Arc::new(Bounds {
                backoff: Backoff::new(base, max),
                first_dial_jitter: Duration::ZERO,
                stable_after: Duration::from_secs(5),
                worked_after: SHARED_WORKED_AFTER,
                max_dials: 4,
                limits: Limits::default(),
            }),
            worked_after: None,
            seed: None,
            eager: false,
            mode: Mode::default(),
            retired: Rule::default(),
            unsent: Rule::default(),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = &self.bounds;
        f.debug_struct("Settings")
            .field("connect_timeout", &self.connect_timeout)
            .field("base", &self.base)
            .field("max", &self.max)
            .field("stable_after", &bounds.stable_after)
            .field("worked_after", &bounds.worked_after)
            .field("first_dial_jitter", &bounds.first_dial_jitter)
            .field("seed", &self.seed)
            .field("max_age", &bounds.limits.max_age)
            .field("idle", &bounds.limits.idle)
            .field("eager", &self.eager)
            .field("max_dials", &bounds.max_dials)
            .field("mode", &self.mode)
            .field("retired", &self.retired)
            .field("unsent", &self.unsent)
            .finish_non_exhaustive()
    }
}

fn require(field: &'static str, value: Duration, shortest: Duration) -> Result<(), InvalidSetting> {
    if (shortest..=LONGEST).contains(&value) {
        return Ok(());
    }
    let allowed = if shortest.is_zero() {
        "0 to 24 h"
    } else {
        "1 ms to 24 h"
    };
    Err(InvalidSetting::new(field, format!("{value:?}"), allowed))
}

/// The timer of tokio is no finer.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// A server that sends its clients away sooner is not to be dialled at once each time.
pub(crate) const SHARED_WORKED_AFTER: u32 = 100;
/// To close after one answer is what servers of HTTP/1.0 do.
pub(crate) const EXCLUSIVE_WORKED_AFTER: u32 = 1;
