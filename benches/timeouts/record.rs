//! What is written down of one run, and the figures that are made of it.

use std::time::Duration;

use super::scenario::{Scenario, Trouble};

/// What became of the requests, by when they came.
pub(super) struct Record {
    scenario: Scenario,
    phases: Vec<Vec<Stretch>>,
    /// Since the second phase began.
    first: u32,
    first_cut: u32,
}

/// The requests of a tenth of a second.
#[derive(Clone, Copy, Default)]
struct Stretch {
    requests: u32,
    /// Would have been answered.
    answerable: u32,
    /// Of those.
    cut: u32,
    /// Of all limits, seconds.
    limits: f64,
}

/// The figures of one run. Seconds, per cent, and multiples of the true p99.9.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) cut_before: f64,
    /// In the ten seconds after a step up.
    pub(super) cut_at_first: Option<f64>,
    pub(super) cut_later: f64,
    /// Of the 500 requests after a step up.
    pub(super) cut_of_500: Option<f64>,
    /// Settled in the last phase but those of calm that follow a step.
    pub(super) cut_after: Option<f64>,
    /// What a hung request waits, when all is calm.
    pub(super) wait_before: f64,
    /// The same in the second phase, once settled.
    pub(super) wait_later: f64,
    /// And in the third.
    pub(super) wait_after: Option<f64>,
    pub(super) recovery_up: Option<f64>,
    pub(super) recovery_down: Option<f64>,
    /// Tenth by tenth of a second, milliseconds.
    pub(super) limits: Vec<f64>,
    /// Of each phase, once settled: what was cut off, and what a hung request waits.
    pub(super) phases: Vec<[f64; 2]>,
    pub(super) heap: Heap,
}

/// What the policy has allocated and not freed, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heap {
    pub(super) at_first: i64,
    /// More, when the run was over.
    pub(super) grown: i64,
}

impl Figures {
    /// Of runs of one scenario. Limits, phases and heap are those of the first.
    pub(super) fn mean(runs: &[Self]) -> Self {
        let mean = |of: fn(&Self) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
        let mean_if = |of: fn(&Self) -> Option<f64>| {
            let values: Option<Vec<f64>> = runs.iter().map(of).collect();
            values.map(|values| values.iter().sum::<f64>() / values.len() as f64)
        };
        Self {
            cut_before: mean(|run| run.cut_before),
            cut_at_first: mean_if(|run| run.cut_at_first),
            cut_later: mean(|run| run.cut_later),
            cut_of_500: mean_if(|run| run.cut_of_500),
            cut_after: mean_if(|run| run.cut_after),
            wait_before: mean(|run| run.wait_before),
            wait_later: mean(|run| run.wait_later),
            wait_after: mean_if(|run| run.wait_after),
            recovery_up: mean_if(|run| run.recovery_up),
            recovery_down: mean_if(|run| run.recovery_down),
            limits: runs
                .first()
                .map(|run| run.limits.clone())
                .unwrap_or_default(),
            phases: runs
                .first()
                .map(|run| run.phases.clone())
                .unwrap_or_default(),
            heap: runs.first().map(|run| run.heap).unwrap_or_default(),
        }
    }
}

impl Record {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let phases = scenario.phases.iter();
        let stretches =
            |seconds: f64| vec![Stretch::default(); (seconds * A_SECOND as f64) as usize];
        Self {
            scenario: *scenario,
            phases: phases.map(|phase| stretches(phase.seconds)).collect(),
            first: 0,
            first_cut: 0,
        }
    }

    pub(super) fn add(
        &mut self,
        phase: usize,
        at: Duration,
        limit: Duration,
        hangs: bool,
        is_answered: bool,
    ) {
        let is_cut = !hangs && !is_answered;
        let stretch = &mut self.phases[phase][(at.as_secs_f64() * A_SECOND as f64) as usize];
        stretch.requests += 1;
        stretch.answerable += u32::from(!hangs);
        stretch.cut += u32::from(is_cut);
        stretch.limits += limit.as_secs_f64();
        if phase == 1 && self.first < FIRST {
            self.first += 1;
            self.first_cut += u32::from(is_cut);
        }
    }

    pub(super) fn figures(&self, heap: Heap) -> Figures {
        let Scenario {
            warm_up,
            trouble,
            settles,
            ..
        } = self.scenario;
        let is_step = matches!(trouble, Trouble::Slower | Trouble::Load);
        let before = self.sum(0, warm_up);
        let later = self.sum(1, settles);
        let third = (self.phases.len() > 2).then(|| self.sum(2, settles));
        Figures {
            cut_before: before.percent_cut(),
            cut_at_first: is_step.then(|| self.sum_until(1, 0.0, 10.0).percent_cut()),
            cut_later: later.percent_cut(),
            cut_of_500: is_step.then(|| 100.0 * f64::from(self.first_cut) / f64::from(self.first)),
            cut_after: third.map(Stretch::percent_cut),
            wait_before: before.limit() / self.p999(0),
            wait_later: later.limit() / self.p999(1),
            wait_after: third.map(|after| after.limit() / self.p999(2)),
            recovery_up: (trouble == Trouble::Slower).then(|| self.recovery_up()),
            recovery_down: third
                .filter(|_| trouble != Trouble::Load)
                .map(|_| self.recovery_down()),
            limits: self.limits(),
            phases: (0..self.phases.len())
                .map(|phase| {
                    let settled = self.sum(phase, settles);
                    [settled.percent_cut(), settled.limit() / self.p999(phase)]
                })
                .collect(),
            heap,
        }
    }

    /// From the step until no more than one in a hundred is cut off for five seconds.
    fn recovery_up(&self) -> f64 {
        let stretches = &self.phases[1];
        let held = 5 * A_SECOND;
        let all = 0..stretches.len().saturating_sub(held);
        let mut well = all.filter(|&from| {
            let sum = Stretch::sum(&stretches[from..from + held]);
            f64::from(sum.cut) <= 0.01 * f64::from(sum.answerable)
        });
        well.next()
            .map_or(f64::INFINITY, |from| from as f64 / A_SECOND as f64)
    }

    /// From the step until the limits of a second are bearable.
    fn recovery_down(&self) -> f64 {
        let bearable = self.scenario.back * self.p999(2);
        let mut seconds = self.phases[2].windows(A_SECOND);
        let back = seconds.position(|second| {
            let second = Stretch::sum(second);
            second.requests > 0 && second.limit() <= bearable
        });
        back.map_or(f64::INFINITY, |from| from as f64 / A_SECOND as f64)
    }

    fn p999(&self, phase: usize) -> f64 {
        let p999 = self.scenario.phases[phase].p999(self.scenario.latency);
        p999.as_secs_f64()
    }

    fn sum(&self, phase: usize, from: f64) -> Stretch {
        self.sum_until(phase, from, f64::INFINITY)
    }

    /// Seconds of a phase.
    fn sum_until(&self, phase: usize, from: f64, until: f64) -> Stretch {
        let stretches = &self.phases[phase];
        let index = |seconds: f64| ((seconds * A_SECOND as f64) as usize).min(stretches.len());
        Stretch::sum(&stretches[index(from)..index(until)])
    }

    fn limits(&self) -> Vec<f64> {
        let all = self.phases.iter().flatten();
        let mut last = f64::NAN;
        all.map(|stretch| {
            // Without a request it is what it was.
            if stretch.requests > 0 {
                last = 1e3 * stretch.limit();
            }
            last
        })
        .collect()
    }
}

impl Stretch {
    fn sum(all: &[Self]) -> Self {
        all.iter().fold(Self::default(), |sum, stretch| Self {
            requests: sum.requests + stretch.requests,
            answerable: sum.answerable + stretch.answerable,
            cut: sum.cut + stretch.cut,
            limits: sum.limits + stretch.limits,
        })
    }

    /// Nothing was, if nothing could be answered.
    fn percent_cut(self) -> f64 {
        100.0 * f64::from(self.cut) / f64::from(self.answerable.max(1))
    }

    /// The mean.
    fn limit(self) -> f64 {
        self.limits / f64::from(self.requests)
    }
}

const A_SECOND: usize = 10;
/// Requests after a step.
const FIRST: u32 = 500;
