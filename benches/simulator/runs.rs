//! All seeds of all policies in a scenario, on a few threads.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{policy::PolicyKind, record::Figures, scenario::Scenario, world};

/// What came of a scenario.
pub(super) struct Results<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) policies: Vec<Measured>,
}

/// What came of a policy, seed by seed.
pub(super) struct Measured {
    pub(super) policy: PolicyKind,
    pub(super) figures: Vec<Figures>,
}

/// Runs each policy with each seed. Every run has a thread and a runtime to itself, so that the
/// number of threads changes nothing but how long it takes.
pub(super) fn run_all<'a>(
    scenario: &'a Scenario,
    policies: &[PolicyKind],
    seeds: &[u64],
    threads: usize,
) -> Results<'a> {
    let jobs: Vec<(PolicyKind, u64)> = policies
        .iter()
        .flat_map(|&policy| seeds.iter().map(move |&seed| (policy, seed)))
        .collect();
    let figures = on_threads(&jobs, threads, |&(policy, seed)| {
        world::run(scenario, policy, seed)
    });
    let figures = figures.chunks(seeds.len().max(1)).map(<[_]>::to_vec);
    let policies = policies.iter().zip(figures);
    let policies = policies.map(|(&policy, figures)| Measured { policy, figures });
    Results {
        scenario,
        policies: policies.collect(),
    }
}

/// Does all jobs, in any order, and returns what they return in theirs.
pub(super) fn on_threads<J: Sync, T: Send>(
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

impl Results<'_> {
    pub(super) fn of(&self, policy: PolicyKind) -> Option<&[Figures]> {
        let mut policies = self.policies.iter();
        let measured = policies.find(|measured| measured.policy == policy)?;
        Some(&measured.figures)
    }
}

fn take<'j, T>(jobs: &'j [T], next: &AtomicUsize) -> Option<(usize, &'j T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, jobs.get(index)?))
}
