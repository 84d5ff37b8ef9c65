//! The clients: each wants one connection, always.

use std::{error::Error, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Layer as _, Service, ServiceExt as _, reconnect::Reconnect as TowerReconnect};
use tower_reconnect::{Builder, ReconnectLayer};

use super::{
    endpoint::{Endpoint, Link, SentAway},
    models::{Model, Rule},
    policy::Client,
};

/// Lives until it is dropped. What it does by chance follows from `seed`.
pub(super) async fn run(client: Client, endpoint: Endpoint, connected: bool, seed: u64) {
    match client {
        Client::Ours {
            backoff,
            first_dial_jitter,
        } => {
            let layer = builder(seed);
            let layer = layer.first_dial_jitter(Duration::from_secs_f64(first_dial_jitter));
            let layer = match backoff {
                Some((base, max)) => {
                    layer.backoff(Duration::from_secs_f64(base), Duration::from_secs_f64(max))
                }
                None => layer,
            };
            let layer = layer.build().expect("the settings are within their ranges");
            wait_for_zero(&endpoint, connected).await;
            hold(layer.layer(endpoint.clone()), &endpoint).await;
        }
        Client::OursExclusive => {
            let layer = builder(seed).build_exclusive();
            let layer = layer.expect("the settings are within their ranges");
            wait_for_zero(&endpoint, connected).await;
            hold(layer.layer(endpoint.clone()), &endpoint).await;
        }
        Client::Tower => {
            let service = TowerReconnect::new(endpoint.clone(), ());
            wait_for_zero(&endpoint, connected).await;
            ask(service, &endpoint, seed).await;
        }
        Client::Model(rule) => follow(rule, &endpoint, connected, seed).await,
    }
}

fn builder(seed: u64) -> Builder<()> {
    ReconnectLayer::builder(())
        .seed(seed)
        .retired_when(<dyn Error>::is::<SentAway>)
}

/// Those who are connected before the trouble have to begin before.
async fn wait_for_zero(endpoint: &Endpoint, connected: bool) {
    if !connected {
        sleep_until(endpoint.zero()).await;
    }
}

/// Waits for a connection whenever there is none.
async fn hold<S>(mut service: S, endpoint: &Endpoint)
where
    S: Service<(), Response = Link>,
{
    loop {
        let Ok(ready) = service.ready().await else {
            return;
        };
        if let Ok(link) = ready.call(()).await {
            endpoint.connected();
            sleep_until(link.dies_at()).await;
        }
    }
}

/// Sends a request each [`PACE`]: for a service that does not wait.
async fn ask<S>(mut service: S, endpoint: &Endpoint, seed: u64)
where
    S: Service<(), Response = Link>,
{
    let mut random = SmallRng::seed_from_u64(seed);
    sleep(PACE.mul_f64(random.random())).await;
    loop {
        let Ok(ready) = service.ready().await else {
            return;
        };
        if let Ok(link) = ready.call(()).await {
            endpoint.connected();
            // Its requests in between change nothing.
            let lives = link.dies_at().saturating_duration_since(Instant::now());
            let requests = lives.as_nanos() / PACE.as_nanos();
            sleep(PACE * u32::try_from(requests).unwrap_or(u32::MAX)).await;
        }
        sleep(PACE).await;
    }
}

/// Dials as a model says.
async fn follow(rule: Rule, endpoint: &Endpoint, connected: bool, seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut model = Model::new(rule);
    sleep_until(endpoint.zero()).await;
    if connected {
        sleep(model.lost(&mut random)).await;
    }
    loop {
        let dialled_at = Instant::now();
        let delay = match endpoint.dial().await {
            Ok(link) => {
                endpoint.connected();
                sleep_until(link.dies_at()).await;
                model.lost(&mut random)
            }
            Err(_) => model.failed(Instant::now() - dialled_at, &mut random),
        };
        if !delay.is_zero() {
            sleep(delay).await;
        }
    }
}

const PACE: Duration = Duration::from_millis(100);
