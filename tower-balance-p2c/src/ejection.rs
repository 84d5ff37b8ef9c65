use std::time::Duration;

use crate::{error::InvalidSetting, health::EjectionNanos};

/// When an endpoint that fails is left alone, for how long, and how many of them may be.
///
/// An endpoint whose failures are no accident, given how many of the others' requests fail, is
/// ejected: it gets no request for a while, which doubles with each ejection. Then the next
/// request is its probe. If that succeeds, the endpoint is on probation: one request at a time, two
/// after that went well, and so on up to sixteen, from where it is like the others again.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "settings do nothing until a builder gets them"]
pub struct Ejection {
    consecutive: u32,
    ratio: f64,
    window: Duration,
    min_requests: u32,
    base: Duration,
    max: Duration,
    requests_per_probe: u32,
    max_ejected: f64,
    panic: f64,
    max_pushback: Duration,
}

impl Ejection {
    /// The defaults, as each setting documents them.
    pub fn new() -> Self {
        Self {
            consecutive: 3,
            ratio: 0.8,
            window: Duration::from_secs(10),
            min_requests: 20,
            base: Duration::from_secs(1),
            max: Duration::from_secs(60),
            requests_per_probe: 8_500,
            max_ejected: 0.5,
            panic: 0.5,
            max_pushback: Duration::from_secs(30),
        }
    }

    /// Nothing is ever ejected.
    pub fn off() -> Self {
        Self::new().max_ejected(0.0)
    }

    /// The fewest failures in a row that eject. More are needed while the other endpoints fail too:
    /// so many that they would be an accident once in a hundred thousand times. 3 unless set; from
    /// 1 to 64.
    pub fn consecutive(mut self, failures: u32) -> Self {
        self.consecutive = failures;
        self
    }

    /// The share of successes below which an endpoint is ejected, in relation to that of the
    /// median endpoint: over its last 8, 16, 32 or 64 requests, of which at least five and at least
    /// `consecutive` must have failed, and over `window`. 0.8 unless set; from 0 to 1. With 0 only
    /// failures in a row eject.
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = ratio;
        self
    }

    /// How long a failure is remembered. 10 s unless set; 10 ms to 1 day.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The requests within `window` before their ratio counts. 20 unless set; at least 1.
    pub fn min_requests(mut self, requests: u32) -> Self {
        self.min_requests = requests;
        self
    }

    /// The time of the first ejection, less up to a fifth at random; twice that for the next one.
    /// 1 s unless set; at least 1 ms.
    pub fn base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// The longest ejection. 60 s unless set; at least `base`.
    pub fn max(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }

    /// A probe may be a request lost, so where there are many of them it can come sooner: an
    /// ejection is no longer than this many requests to the whole set take, or `base`. 8,500
    /// unless set; at least 1. `u32::MAX` leaves it to `base` and `max`.
    pub fn requests_per_probe(mut self, requests: u32) -> Self {
        self.requests_per_probe = requests;
        self
    }

    /// The share of the set that may be ejected at a time, rounded down. 0.5 unless set; from 0,
    /// which ejects none, to 1.
    pub fn max_ejected(mut self, share: f64) -> Self {
        self.max_ejected = share;
        self
    }

    /// While fewer than this share of the set can be used, ejection is ignored and all that are
    /// ready are used. 0.5 unless set; from 0, which never ignores it, to 1.
    pub fn panic(mut self, share: f64) -> Self {
        self.panic = share;
        self
    }

    /// For how long an endpoint that asks for it ([`Outcome::Pushback`](crate::Outcome)) is left
    /// alone at the most. 30 s unless set; `ZERO` ignores it.
    pub fn max_pushback(mut self, most: Duration) -> Self {
        self.max_pushback = most;
        self
    }

    pub(crate) fn check(&self) -> Result<EjectionNanos, InvalidSetting> {
        let refuse = |field, value: &dyn std::fmt::Debug, allowed| {
            Err(InvalidSetting::new(field, &value, allowed))
        };
        if !(1..=64).contains(&self.consecutive) {
            return refuse("ejection.consecutive", &self.consecutive, "from 1 to 64");
        }
        let shares = [
            ("ejection.ratio", self.ratio),
            ("ejection.max_ejected", self.max_ejected),
            ("ejection.panic", self.panic),
        ];
        for (field, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return refuse(field, &share, "from 0 to 1");
            }
        }
        if self.window < SHORTEST_WINDOW || self.window > LONGEST_WINDOW {
            return refuse("ejection.window", &self.window, "from 10ms to 86400s");
        }
        if self.min_requests == 0 {
            return refuse("ejection.min_requests", &self.min_requests, "at least 1");
        }
        if self.base < SHORTEST_BASE {
            return refuse("ejection.base", &self.base, "at least 1ms");
        }
        if self.max < self.base {
            return refuse("ejection.max", &self.max, "at least `base`");
        }
        if self.requests_per_probe == 0 {
            let value = &self.requests_per_probe;
            return refuse("ejection.requests_per_probe", value, "at least 1");
        }
        Ok(self.nanos())
    }

    pub(crate) fn nanos(&self) -> EjectionNanos {
        EjectionNanos {
            consecutive: self.consecutive,
            ratio: self.ratio,
            window: nanos(self.window),
            min_requests: self.min_requests.into(),
            base: nanos(self.base),
            max: nanos(self.max),
            requests_per_probe: self.requests_per_probe,
            max_ejected: self.max_ejected,
            panic: self.panic,
            max_pushback: nanos(self.max_pushback),
        }
    }
}

impl Default for Ejection {
    fn default() -> Self {
        Self::new()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

const SHORTEST_WINDOW: Duration = Duration::from_millis(10);
const LONGEST_WINDOW: Duration = Duration::from_secs(86_400);
const SHORTEST_BASE: Duration = Duration::from_millis(1);
