//! The builder of a throttle.

use std::time::Duration;

use super::Throttle;
use crate::error::InvalidSetting;

/// Sets up a [`Throttle`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    pub(super) window: Duration,
    pub(super) multiplier: f64,
    pub(super) min_per_second: f64,
    pub(super) patience: Option<Duration>,
    pub(super) seed: Option<u64>,
}

impl Builder {
    /// How far back the throttle looks. Default 3 s, range 1 s to 1 h.
    ///
    /// It is how fast the throttle turns: a backend that accepted everything and then nothing is
    /// held back from after half a window, with the default [`multiplier`](Self::multiplier), and
    /// once it accepts everything again what is let through grows by half for each fifth of a
    /// window. The two minutes of the book are for backends that nobody restarts.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How many times what the backend accepts it may be asked for. Default 2, range 1 to 100.
    ///
    /// The more, the sooner a recovery is seen, and the more work it is for the backend to refuse.
    pub fn multiplier(mut self, multiplier: f64) -> Self {
        self.multiplier = multiplier;
        self
    }

    /// Requests a second that are let through however few are accepted, so that a recovery is
    /// seen. Default 1, range 0 to 10,000.
    ///
    /// What makes fewer requests than that is never held back. Each process has its own throttle:
    /// a thousand clients knock a thousand times this often.
    pub fn min_per_second(mut self, min_per_second: f64) -> Self {
        self.min_per_second = min_per_second;
        self
    }

    /// After how long a request without an answer counts as one that was not accepted. Default
    /// never, else up to half the window.
    ///
    /// Without it, only answers and errors count. That is right where a timeout below the throttle
    /// makes an error of what takes too long. Where it is above, and drops the request, set this to
    /// something longer than the backend takes for anything that it does accept.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Draws from this seed, so that a simulation is the same each time. Default: not.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Makes the throttle.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`], if a value is outside its range.
    pub fn build(self) -> Result<Throttle, InvalidSetting> {
        if !(SHORTEST_WINDOW..=LONGEST_WINDOW).contains(&self.window) {
            let value = format_args!("{:?}", self.window);
            return Err(InvalidSetting::new("window", value, "1 second to 1 hour"));
        }
        if !(1.0..=MAX_MULTIPLIER).contains(&self.multiplier) {
            return Err(InvalidSetting::new(
                "multiplier",
                self.multiplier,
                "1 to 100",
            ));
        }
        if !(0.0..=MAX_PER_SECOND).contains(&self.min_per_second) {
            return Err(InvalidSetting::new(
                "min_per_second",
                self.min_per_second,
                "0 to 10000",
            ));
        }
        if let Some(patience) = self.patience
            && !(Duration::from_millis(1)..=self.window / 2).contains(&patience)
        {
            let value = format_args!("{patience:?}");
            let allowed = "1 millisecond to half the window";
            return Err(InvalidSetting::new("patience", value, allowed));
        }
        Ok(Throttle::from_settings(&self))
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(3),
            multiplier: 2.0,
            min_per_second: 1.0,
            patience: None,
            seed: None,
        }
    }
}

const SHORTEST_WINDOW: Duration = Duration::from_secs(1);

const LONGEST_WINDOW: Duration = Duration::from_secs(60 * 60);

const MAX_MULTIPLIER: f64 = 100.0;

const MAX_PER_SECOND: f64 = 10_000.0;
