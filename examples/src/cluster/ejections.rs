use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tower_balance_p2c::{EjectionReason, Event, Observer};

/// Counts a cluster's ejections; clones share the counts.
///
/// By reason, and not by endpoint as well: the balancer itself counts those of each endpoint.
#[derive(Clone, Debug, Default)]
pub struct Ejections(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    by_reason: [AtomicU64; REASONS.len()],
    spared: AtomicU64,
}

impl Ejections {
    /// How many there were for each reason.
    pub fn by_reason(&self) -> [(&'static str, u64); 5] {
        let counts = self.0.by_reason.each_ref();
        let mut named = REASONS.map(|reason| (reason, 0));
        for ((_, count), counted) in named.iter_mut().zip(counts) {
            *count = counted.load(Relaxed);
        }
        named
    }

    /// Failures for which an endpoint would have been ejected if fewer had been already.
    pub fn spared(&self) -> u64 {
        self.0.spared.load(Relaxed)
    }
}

impl Observer for Ejections {
    fn event(&self, event: &Event<'_>) {
        match *event {
            Event::Ejected { reason, .. } => {
                if let Some(count) = place(reason).and_then(|place| self.0.by_reason.get(place)) {
                    count.fetch_add(1, Relaxed);
                }
            }
            Event::Spared { .. } => {
                self.0.spared.fetch_add(1, Relaxed);
            }
            _ => {}
        }
    }
}

/// Among [`REASONS`].
fn place(reason: EjectionReason) -> Option<usize> {
    match reason {
        EjectionReason::Consecutive { .. } => Some(0),
        EjectionReason::Ratio { .. } => Some(1),
        EjectionReason::Pushback => Some(2),
        EjectionReason::Probe => Some(3),
        EjectionReason::Relapse => Some(4),
        _ => None,
    }
}

const REASONS: [&str; 5] = ["consecutive", "ratio", "pushback", "probe", "relapse"];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_reason_is_counted_under_its_name() {
        let ejections = Ejections::default();
        let (failures, requests) = (5, 8);
        let reasons = [
            EjectionReason::Consecutive { failures: 3 },
            EjectionReason::Ratio { failures, requests },
            EjectionReason::Pushback,
            EjectionReason::Probe,
            EjectionReason::Relapse,
        ];
        for (times, reason) in reasons.into_iter().enumerate() {
            for _ in 0..=times {
                ejections.event(&Event::Ejected {
                    endpoint: &"a",
                    reason,
                    duration: Duration::ZERO,
                });
            }
        }
        let spared = EjectionReason::Probe;
        ejections.event(&Event::Spared {
            endpoint: &"a",
            reason: spared,
        });
        let counts = [
            ("consecutive", 1),
            ("ratio", 2),
            ("pushback", 3),
            ("probe", 4),
            ("relapse", 5),
        ];
        assert_eq!(ejections.by_reason(), counts);
        assert_eq!(ejections.spared(), 1);
    }
}
