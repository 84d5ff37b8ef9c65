//! What is written down of one run, and the figures that are made of it.

use super::{
    endpoint::Request,
    event::{Nanos, seconds},
    policy::Policy,
    scenario::{Scenario, Watch},
};

/// What became of the requests, by when they came.
pub(super) struct Record {
    stretches: Vec<Stretch>,
    in_time: Nanos,
    warm_up: Nanos,
    duration: Nanos,
    trouble: Option<Watch>,
}

/// The requests of a tenth of a second.
#[derive(Clone, Copy, Default)]
struct Stretch {
    requests: u64,
    attempts: u64,
    /// However late.
    answered: u64,
    in_time: u64,
}

/// The figures of one run. Seconds and percent.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    /// From the end of the trouble until practically all requests are answered in time, for good;
    /// infinite if that was not seen.
    pub(super) recovery: Option<f64>,
    /// Per request that came during the trouble, whenever they were sent.
    pub(super) attempts: Option<f64>,
    /// Of the requests that came during the trouble, those that were answered in the end.
    pub(super) success_in_trouble: Option<f64>,
    /// The same of all requests.
    pub(super) success: f64,
    /// Second by second, requests that were answered in time.
    pub(super) in_time: Vec<f64>,
}

impl Record {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            stretches: Vec::new(),
            in_time: scenario.late.map_or(Nanos::MAX, seconds),
            warm_up: seconds(scenario.warm_up),
            duration: seconds(scenario.duration),
            trouble: scenario.watch,
        }
    }

    pub(super) fn sent(&mut self, _server: usize, request: &Request, _now: Nanos) {
        self.stretch(request.begun).attempts += 1;
    }

    pub(super) fn answered(&mut self, begun: Nanos, now: Nanos) {
        let in_time = now - begun <= self.in_time;
        let stretch = self.stretch(begun);
        stretch.requests += 1;
        stretch.answered += 1;
        stretch.in_time += u64::from(in_time);
    }

    pub(super) fn failed(&mut self, begun: Nanos) {
        self.stretch(begun).requests += 1;
    }

    /// No client here gives up a request as a whole.
    pub(super) fn gave_up(&mut self, begun: Nanos, _now: Nanos) {
        self.failed(begun);
    }

    pub(super) fn figures(&self, _clients: &[Box<dyn Policy>]) -> Figures {
        let trouble = self.trouble.map(|trouble| {
            let (from, until) = (seconds(trouble.from), seconds(trouble.until));
            self.sum(from, until)
        });
        let seconds_of_all = self.stretches.chunks(STRETCHES_A_SECOND);
        Figures {
            recovery: self.trouble.map(|trouble| self.recovery(trouble)),
            attempts: trouble.map(|sum| sum.attempts as f64 / sum.requests as f64),
            success_in_trouble: trouble.map(|sum| sum.percent(sum.answered)),
            success: {
                let sum = self.sum(self.warm_up, Nanos::MAX);
                sum.percent(sum.answered)
            },
            in_time: seconds_of_all
                .map(|stretches| {
                    let sum = Stretch::sum(stretches);
                    sum.percent(sum.in_time)
                })
                .collect(),
        }
    }

    fn recovery(&self, trouble: Watch) -> f64 {
        let first = index(seconds(trouble.until));
        let last = index(self.duration).min(self.stretches.len());
        let held = STRETCHES_A_SECOND * SECONDS_HELD;
        for start in first..=last.saturating_sub(held) {
            let mut held = self.stretches[start..start + held].chunks(STRETCHES_A_SECOND);
            if held.all(|second| Stretch::sum(second).is_well()) {
                return (start - first) as f64 / STRETCHES_A_SECOND as f64;
            }
        }
        f64::INFINITY
    }

    fn sum(&self, from: Nanos, until: Nanos) -> Stretch {
        let all = self.stretches.len();
        let (from, until) = (index(from).min(all), index(until).min(all));
        Stretch::sum(&self.stretches[from..until])
    }

    fn stretch(&mut self, begun: Nanos) -> &mut Stretch {
        let index = index(begun);
        if self.stretches.len() <= index {
            self.stretches.resize(index + 1, Stretch::default());
        }
        &mut self.stretches[index]
    }
}

impl Stretch {
    fn sum(all: &[Self]) -> Self {
        all.iter().fold(Self::default(), |sum, stretch| Self {
            requests: sum.requests + stretch.requests,
            attempts: sum.attempts + stretch.attempts,
            answered: sum.answered + stretch.answered,
            in_time: sum.in_time + stretch.in_time,
        })
    }

    fn is_well(self) -> bool {
        self.in_time as f64 >= WELL * self.requests as f64
    }

    fn percent(self, part: u64) -> f64 {
        100.0 * part as f64 / self.requests as f64
    }
}

fn index(at: Nanos) -> usize {
    (at / STRETCH) as usize
}

const STRETCH: Nanos = 100_000_000;
const STRETCHES_A_SECOND: usize = 10;
/// The share that is answered in time where all is well.
const WELL: f64 = 0.99;
/// How long that has to last.
const SECONDS_HELD: usize = 5;
