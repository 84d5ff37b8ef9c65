use std::time::Duration;

use crate::error::InvalidSetting;

/// How an endpoint that joins others comes to its full share.
///
/// It is a candidate for `(age / window)^(1 / aggression)` of the requests, at least for `floor`
/// of them, and competes with the others for these as what is typical of them. If it gets none in
/// between 300 and 1000 ms (at random, so that many clients do not come at once), the next request is its.
///
/// Endpoints of a set in which none has answered yet are no newcomers, nor is one whose key is in
/// the set already.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "settings do nothing until a builder gets them"]
pub struct SlowStart {
    window: Duration,
    aggression: f64,
    floor: f64,
}

impl SlowStart {
    /// 10 s, linear, from a tenth.
    pub fn new() -> Self {
        Self {
            window: Duration::from_secs(10),
            aggression: 1.0,
            floor: 0.1,
        }
    }

    /// Newcomers are like the others at once.
    pub fn off() -> Self {
        Self::new().window(Duration::ZERO)
    }

    /// The time to the full share. 10 s unless set; up to 1 day, where `ZERO` is none.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The shape of the way: 1 is linear, more is steeper at first. 1 unless set; from 0.1 to 10.
    pub fn aggression(mut self, aggression: f64) -> Self {
        self.aggression = aggression;
        self
    }

    /// The share at the beginning. 0.1 unless set; from 0.01 to 1.
    pub fn floor(mut self, floor: f64) -> Self {
        self.floor = floor;
        self
    }

    pub(crate) fn check(&self) -> Result<(), InvalidSetting> {
        if self.window > LONGEST {
            let value = &self.window;
            return Err(InvalidSetting::new(
                "slow_start.window",
                value,
                "at most 86400s",
            ));
        }
        if !(0.1..=10.0).contains(&self.aggression) {
            let value = &self.aggression;
            return Err(InvalidSetting::new(
                "slow_start.aggression",
                value,
                "from 0.1 to 10",
            ));
        }
        if !(0.01..=1.0).contains(&self.floor) {
            let value = &self.floor;
            return Err(InvalidSetting::new(
                "slow_start.floor",
                value,
                "from 0.01 to 1",
            ));
        }
        Ok(())
    }

    pub(crate) fn window_nanos(&self) -> u64 {
        u64::try_from(self.window.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The share of requests for which an endpoint of this age, in nanoseconds, is a candidate.
    pub(crate) fn share(&self, age: u64) -> f64 {
        let part = age as f64 / (self.window_nanos().max(1)) as f64;
        part.powf(self.aggression.recip()).clamp(self.floor, 1.0)
    }
}

impl Default for SlowStart {
    fn default() -> Self {
        Self::new()
    }
}

const LONGEST: Duration = Duration::from_secs(86_400);
