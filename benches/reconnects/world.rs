//! One run: a server and its clients, in virtual time.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tokio::{
    runtime,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{clients, endpoint::Endpoint, policy::PolicyKind, record::Figures, scenario::Scenario};

/// Runs a scenario once.
pub(super) fn run(scenario: &Scenario, policy: PolicyKind, seed: u64) -> Figures {
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing of the system");
    runtime.block_on(async {
        let zero = Instant::now() + SETTLED;
        let endpoint = Endpoint::new(scenario, zero);
        let mut seeds = SmallRng::seed_from_u64(seed);
        let mut clients = JoinSet::new();
        for _ in 0..scenario.clients {
            let client = clients::run(
                policy.client(),
                endpoint.clone(),
                scenario.connected,
                seeds.next_u64(),
            );
            clients.spawn(client);
        }
        sleep_until(zero + Duration::from_secs_f64(scenario.duration)).await;
        endpoint.record().figures(scenario)
    })
}

/// How long all is well before: every client's connection is stable by then, even if it began late.
const SETTLED: Duration = Duration::from_secs(20);
