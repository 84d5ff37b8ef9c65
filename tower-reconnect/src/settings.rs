//! The settings, and what becomes of them.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    backoff::Backoff,
    chance::Chance,
    error::InvalidSetting,
    limits::Limits,
    mode::Mode,
    observer::{Observer, Told},
    pace::Pace,
    policy::Policy,
    rule::Rule,
};

/// What a builder was told.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) connect_timeout: Duration,
    pub(crate) base: Duration,
    pub(crate) max: Duration,
    pub(crate) stable_after: Duration,
    pub(crate) first_dial_jitter: Duration,
    pub(crate) seed: Option<u64>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    pub(crate) eager: bool,
    pub(crate) max_dials: usize,
    pub(crate) mode: Mode,
    pub(crate) retired: Rule,
    pub(crate) unsent: Rule,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

impl Settings {
    /// Of one service, like what follows.
    pub(crate) fn pace(&self) -> Pace {
        let backoff = Backoff::new(self.base, self.max);
        let random = Chance::new(self.seed).draw();
        Pace::new(backoff, self.first_dial_jitter, random)
    }

    /// Of one service, with jitter of its own.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_age: self.max_age,
            idle: self.idle,
            seed: self.seed.unwrap_or_else(rand::random),
        }
    }

    pub(crate) fn told(&self) -> Told {
        Told {
            name: self.name.clone(),
            observer: self.observer.clone(),
        }
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy {
            mode: self.mode,
            eager: self.eager,
            chance: Chance::new(self.seed),
            releases: self.max_age.is_some() || self.idle.is_some(),
            retired: self.retired.clone(),
            unsent: self.unsent.clone(),
        }
    }

    /// Whether every setting is in its range.
    pub(crate) fn check(&self) -> Result<(), InvalidSetting> {
        let Self { base, max, .. } = *self;
        require("connect_timeout", self.connect_timeout, SHORTEST)?;
        require("backoff.base", base, SHORTEST)?;
        require("backoff.max", max, SHORTEST)?;
        require("stable_after", self.stable_after, Duration::ZERO)?;
        let jitter = self.first_dial_jitter;
        require("first_dial_jitter", jitter, Duration::ZERO)?;
        if base > max {
            let value = format!("{base:?} with a `backoff.max` of {max:?}");
            let allowed = "at most `backoff.max`";
            return Err(InvalidSetting::new("backoff.base", value, allowed));
        }
        if let Some(age) = self.max_age {
            require("max_age", age, SHORTEST)?;
        }
        if let Some(time) = self.idle {
            require("idle", time, SHORTEST)?;
            if self.eager {
                let value = format!("{time:?} with `eager`");
                return Err(InvalidSetting::new("idle", value, "nothing with `eager`"));
            }
        }
        if !(1..=1024).contains(&self.max_dials) {
            let value = self.max_dials.to_string();
            return Err(InvalidSetting::new("max_dials", value, "1 to 1024"));
        }
        match self.mode {
            Mode::BoundedWait(limit) => require("mode.bounded_wait", limit, SHORTEST),
            Mode::Balanced | Mode::FailFast => Ok(()),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            base: Duration::from_millis(125),
            max: Duration::from_secs(8),
            stable_after: Duration::from_secs(5),
            first_dial_jitter: Duration::ZERO,
            seed: None,
            max_age: None,
            idle: None,
            eager: false,
            max_dials: 4,
            mode: Mode::default(),
            retired: Rule::default(),
            unsent: Rule::default(),
            name: None,
            observer: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("connect_timeout", &self.connect_timeout)
            .field("base", &self.base)
            .field("max", &self.max)
            .field("stable_after", &self.stable_after)
            .field("first_dial_jitter", &self.first_dial_jitter)
            .field("seed", &self.seed)
            .field("max_age", &self.max_age)
            .field("idle", &self.idle)
            .field("eager", &self.eager)
            .field("max_dials", &self.max_dials)
            .field("mode", &self.mode)
            .field("retired", &self.retired)
            .field("unsent", &self.unsent)
            .field("name", &self.name)
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
