//! All seeds of all policies in a scenario, on a few threads.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{Figures, Scenario};

/// What came of a scenario.
pub struct Results<'a, S: Scenario> {
    /// Which.
    pub scenario: &'a S,
    /// Those that ran, in the order they were asked for.
    pub policies: Vec<Measured<S>>,
}

/// What came of a policy, seed by seed.
pub struct Measured<S: Scenario> {
    /// Which.
    pub policy: S::Policy,
    /// A run for each seed.
    pub figures: Vec<Figures<S>>,
}

/// Runs each policy with each seed. Every run has a thread and a runtime to itself, so that the
/// number of threads changes nothing but how long it takes.
pub fn run_all<'a, S: Scenario>(
    scenario: &'a S,
    policies: &[S::Policy],
    seeds: &[u64],
    threads: usize,
) -> Results<'a, S> {
    let jobs: Vec<(S::Policy, u64)> = policies
        .iter()
        .flat_map(|&policy| seeds.iter().map(move |&seed| (policy, seed)))
        .collect();
    let figures = on_threads(&jobs, threads, |&(policy, seed)| scenario.run(policy, seed));
    let figures = figures.chunks(seeds.len().max(1)).map(<[_]>::to_vec);
    let policies = policies.iter().zip(figures);
    let policies = policies.map(|(&policy, figures)| Measured { policy, figures });
    Results {
        scenario,
        policies: policies.collect(),
    }
}

/// Does all jobs, in any order, and returns what they return in theirs.
pub fn on_threads<J: Sync, T: Send>(
    jobs: &[J],
    threads: usize,
    work: impl Fn(&J) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, job)) = take(jobs, &next) {
                    let result = work(job);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|&(index, _)| index);
    done.into_iter().map(|(_, result)| result).collect()
}

impl<S: Scenario> Results<'_, S> {
    /// What came of a policy, if it ran.
    pub fn of(&self, policy: S::Policy) -> Option<&[Figures<S>]> {
        let mut policies = self.policies.iter();
        let measured = policies.find(|measured| measured.policy == policy)?;
        Some(&measured.figures)
    }
}

impl<S: Scenario> fmt::Debug for Results<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results")
            .field("scenario", &self.scenario.name())
            .field("policies", &self.policies)
            .finish()
    }
}

impl<S: Scenario> fmt::Debug for Measured<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured")
            .field("policy", &self.policy)
            .field("figures", &self.figures)
            .finish()
    }
}

fn take<'j, T>(jobs: &'j [T], next: &AtomicUsize) -> Option<(usize, &'j T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, jobs.get(index)?))
}
