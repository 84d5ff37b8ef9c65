//! The proxy in a world that breaks on purpose, beside two other ways of calling it.
//!
//! Four upstreams speak HTTP/2 over mutual TLS with certificates of an embedded authority. The same
//! load goes to them three times: through the proxy, through tower's own balancer with its own
//! retry and timeout, and in plain round robin. Meanwhile one upstream turns slow, one fails
//! half of its requests, and one is killed and comes back.

mod arms;
mod figures;
mod load;
mod screen;
mod script;
mod upstream;
mod world;

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use self::{
    arms::{Arm, ProxyArm, RoundRobinArm, TowerArm},
    figures::Figures,
    load::Load,
    screen::Screen,
    script::Script,
    world::World,
};
use crate::{BoxError, config::Config, proxy::Proxy};

/// How the demo is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// When it ends; `None`: when the caller drops it.
    pub length: Option<Duration>,
    /// Random events instead of the fixed script.
    pub chaos: bool,
}

/// How the demo ended.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// Requests through the proxy.
    pub requests: u64,
    /// The share of them that succeeded, zero to one.
    pub success: f64,
}

impl Summary {
    /// The share that the proxy promises in this world.
    pub const PROMISE: f64 = 0.999;

    /// Whether the promise was kept.
    pub fn kept(&self) -> bool {
        self.requests > 0 && self.success >= Self::PROMISE
    }
}

/// Runs the demo, and prints what happens to standard output.
///
/// # Errors
///
/// Something could not be started, or standard output is gone.
pub async fn run(options: Options) -> Result<Summary, BoxError> {
    let mut world = World::start().await?;
    let text = configuration(&world);
    let path = world.directory().join("proxy.toml");
    std::fs::write(&path, &text)?;
    let config = Config::load(&path)?;
    let proxy = Proxy::start(&config)?;
    let address = proxy
        .address(LISTENER)
        .ok_or("the demo's listener has no address")?;
    let mut out = io::stdout();
    let mut script = if options.chaos {
        Script::chaos()
    } else {
        Script::fixed(options.length)
    };
    writeln!(out, "{}", introduction(&text, &proxy, &script))?;

    let endpoints = arms::endpoints(&config)?;
    let retries = config
        .clusters
        .iter()
        .filter_map(|cluster| cluster.retry.as_ref())
        .map(|retry| retry.attempts - 1)
        .sum();
    let arms: [Box<dyn Arm>; 3] = [
        Box::new(ProxyArm::connect(address).await?),
        Box::new(TowerArm::new(&endpoints, retries)),
        Box::new(RoundRobinArm::new(endpoints)),
    ];
    let figures = Figures::new(arms.iter().map(|arm| arm.name()));
    world.settle(&proxy).await?;
    let load = Load::start(arms, figures.clone());

    let started = Instant::now();
    let end = options.length.map(|length| started + length);
    let mut screen = Screen::new(io::stdout().is_terminal());
    let mut ticks = interval_at(started + TICK, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(started);
        for event in script.due(elapsed) {
            world.apply(event).await?;
        }
        screen.draw(&mut out, elapsed, &world, &proxy.status(), &figures)?;
        if end.is_some_and(|end| now >= end) {
            break;
        }
    }
    load.finish().await;
    let summary = figures.summary();
    screen.finish(&mut out, &figures, &summary)?;
    proxy.drain().await;
    Ok(summary)
}

/// The proxy's configuration, as a user would write it.
fn configuration(world: &World) -> String {
    let endpoints: Vec<_> = world
        .addresses()
        .map(|address| format!("\"{address}\""))
        .collect();
    format!(
        r#"[shutdown]
delay = "0s"
grace = "2s"

[admin]
listen = "127.0.0.1:0"

[identity]
certificate = "proxy.pem"
private_key = "proxy.key"
trust_bundle = "ca.pem"
trust_domain = "{domain}"

[[listener]]
name = "{LISTENER}"
listen = "127.0.0.1:0"
cluster = "upstreams"
tls = "off" # the load is in this very process

[[cluster]]
name = "upstreams"
protocol = "http2"
endpoints = [{endpoints}]
retry = {{ attempts = 4 }}
timeout = {{ initial = "1s" }}
"#,
        domain = world::TRUST_DOMAIN,
        endpoints = endpoints.join(", "),
    )
}

fn introduction(configuration: &str, proxy: &Proxy, script: &Script) -> String {
    format!(
        "The proxy runs with this configuration:\n\n{configuration}\n\
         Its metrics: http://{admin}/metrics and http://{admin}/clusters\n\
         {requests} requests a second go each way.\n{script}\n",
        admin = proxy.admin(),
        requests = load::REQUESTS_PER_SECOND,
    )
}

/// Where a file of the demo is, as the configuration names it.
fn write_file(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    std::fs::write(directory.join(name), text)
}

const LISTENER: &str = "web";

/// Between two looks at the world.
const TICK: Duration = Duration::from_millis(250);
