//! What each arm's callers saw, in all and over the last seconds.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;

use super::Summary;

/// The figures of all arms; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Figures(Arc<Mutex<Vec<ArmFigures>>>);

/// The figures of one arm.
#[derive(Debug)]
struct ArmFigures {
    name: &'static str,
    all: Counted,
    /// One for each of the last seconds, newest last.
    windows: VecDeque<Counted>,
}

/// Outcomes, and the latencies of successes in microseconds.
#[derive(Clone, Debug)]
struct Counted {
    succeeded: u64,
    failed: u64,
    latencies: Option<Histogram<u32>>,
}

/// One arm's figures as they are shown.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) requests: u64,
    /// Zero to one.
    pub(super) success: f64,
    /// p50, p99 and p99.9.
    pub(super) latencies: [Duration; 3],
}

impl Figures {
    pub(super) fn new(names: impl Iterator<Item = &'static str>) -> Self {
        let arms = names.map(|name| ArmFigures {
            name,
            all: Counted::new(),
            windows: VecDeque::from([Counted::new()]),
        });
        Self(Arc::new(Mutex::new(arms.collect())))
    }

    pub(super) fn record(&self, arm: usize, succeeded: bool, latency: Duration) {
        if let Some(arm) = self.lock().get_mut(arm) {
            arm.all.record(succeeded, latency);
            if let Some(window) = arm.windows.back_mut() {
                window.record(succeeded, latency);
            }
        }
    }

    /// Begins a new window; called once a second.
    pub(super) fn turn(&self) {
        for arm in self.lock().iter_mut() {
            arm.windows.push_back(Counted::new());
            if arm.windows.len() > WINDOWS {
                arm.windows.pop_front();
            }
        }
    }

    /// Over the whole demo.
    pub(super) fn total(&self) -> Vec<Row> {
        self.lock()
            .iter()
            .map(|arm| arm.all.row(arm.name))
            .collect()
    }

    /// Over the last seconds.
    pub(super) fn recent(&self) -> Vec<Row> {
        let sum = |arm: &ArmFigures| {
            let mut sum = Counted::new();
            arm.windows.iter().for_each(|window| sum.add(window));
            sum.row(arm.name)
        };
        self.lock().iter().map(sum).collect()
    }

    /// What the first arm, the proxy, made of it.
    pub(super) fn summary(&self) -> Summary {
        let proxy = self.total().into_iter().next();
        proxy.map_or(
            Summary {
                requests: 0,
                success: 0.0,
            },
            |row| Summary {
                requests: row.requests,
                success: row.success,
            },
        )
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ArmFigures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn new() -> Self {
        // From 1 us to a minute, within 1 %.
        Self {
            succeeded: 0,
            failed: 0,
            latencies: Histogram::new_with_bounds(1, 60_000_000, 2).ok(),
        }
    }

    fn record(&mut self, succeeded: bool, latency: Duration) {
        if !succeeded {
            self.failed += 1;
            return;
        }
        self.succeeded += 1;
        if let Some(latencies) = &mut self.latencies {
            latencies.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
    }

    fn add(&mut self, other: &Self) {
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        if let (Some(latencies), Some(other)) = (&mut self.latencies, &other.latencies) {
            // Both have the same bounds, so nothing is out of range.
            let _ = latencies.add(other);
        }
    }

    fn row(&self, name: &'static str) -> Row {
        let requests = self.succeeded + self.failed;
        let quantile = |quantile| {
            let micros = self
                .latencies
                .as_ref()
                .map_or(0, |latencies| latencies.value_at_quantile(quantile));
            Duration::from_micros(micros)
        };
        Row {
            name,
            requests,
            success: if requests == 0 {
                1.0
            } else {
                self.succeeded as f64 / requests as f64
            },
            latencies: [0.5, 0.99, 0.999].map(quantile),
        }
    }
}

/// How many seconds `recent` covers.
pub(super) const WINDOWS: usize = 5;
