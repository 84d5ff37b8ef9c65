//! The loop: requests come at their times, whatever becomes of those before.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use benches::live_bytes;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::{
    policy::{Policy, PolicyKind},
    record::{Figures, Heap, Record},
    scenario::{Scenario, exponential},
};

/// Runs a scenario. Policies meet the same requests.
pub(super) fn run(scenario: &Scenario, policy: PolicyKind, seed: u64) -> Figures {
    let seeds = (0..scenario.repeats).map(|repeat| repeat * BETWEEN_REPEATS + seed);
    let runs = seeds.map(|seed| run_once(scenario, policy, seed));
    Figures::mean(&runs.collect::<Vec<_>>())
}

fn run_once(scenario: &Scenario, policy: PolicyKind, seed: u64) -> Figures {
    let before = live_bytes();
    let mut policy = policy.build();
    let at_first = live_bytes() - before;
    let mut grown = 0;
    let mut random = SmallRng::seed_from_u64(seed);
    let mut in_flight = BinaryHeap::new();
    let mut record = Record::new(scenario);
    let mut now = Duration::ZERO;
    let mut begun = Duration::ZERO;
    for (index, phase) in scenario.phases.iter().enumerate() {
        policy.tell_p999(phase.p999(scenario.latency));
        let until = begun + Duration::from_secs_f64(phase.seconds);
        loop {
            let wait = exponential(1.0 / (scenario.rate * phase.load), &mut random);
            let takes = scenario.latency.draw(&mut random) * phase.slower;
            let takes = Duration::from_secs_f64(takes);
            let hangs = random.random::<f64>() < phase.hung;
            now += Duration::from_secs_f64(wait);
            if now >= until {
                break;
            }
            let before = live_bytes();
            end_those_due(&mut in_flight, policy.as_mut(), now);
            let limit = policy.started(now);
            // Ends take from what the heap has, which does not shrink.
            grown += live_bytes() - before;
            let is_answered = !hangs && takes <= limit;
            let took = if is_answered { takes } else { limit };
            in_flight.push(Reverse((now + took, now, is_answered)));
            record.add(index, now - begun, limit, hangs, is_answered);
        }
        (now, begun) = (until, until);
    }
    record.figures(Heap { at_first, grown })
}

type Ending = Reverse<(Duration, Duration, bool)>;

fn end_those_due(in_flight: &mut BinaryHeap<Ending>, policy: &mut dyn Policy, now: Duration) {
    while let Some(&Reverse((end, start, is_answered))) = in_flight.peek()
        && end <= now
    {
        in_flight.pop();
        if is_answered {
            policy.answered(start, end);
        } else {
            policy.timed_out(start, end);
        }
    }
}

/// So that no two runs share a seed.
const BETWEEN_REPEATS: u64 = 1_000_000;
