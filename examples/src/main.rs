//! The `proxy` command: `demo`, `run` and `check`.

#![forbid(unsafe_code)]

mod help;

use std::{
    fmt::Display,
    io::{self, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use examples::{
    BoxError,
    config::Config,
    demo::{self, Options},
    proxy::Proxy,
    telemetry::init_log,
};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

/// A reference proxy made of five tower layers: mutual TLS, balancing, retries, timeouts, reconnecting.
///
/// It carries HTTP/1.1, HTTP/2 and gRPC from its listeners to clusters of endpoints. Without a
/// command it runs the demo.
#[derive(Debug, Parser)]
#[command(name = "proxy", version, after_help = help::SHORT, after_long_help = help::LONG)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Embedded upstreams, an embedded CA, mutual TLS, load, live figures; ends on Ctrl-C.
    #[command(after_help = "Example: proxy demo --seconds 30")]
    Demo(DemoArgs),
    /// Serve what a configuration says, until SIGTERM, SIGINT or POST /drain drains it.
    #[command(after_help = "Example: proxy run --config proxy.toml", after_long_help = help::RUN)]
    Run(ConfigArgs),
    /// Say whether a configuration is good, and if not, what to write instead.
    #[command(after_help = "Example: proxy check --config proxy.toml", after_long_help = help::CHECK)]
    Check(ConfigArgs),
}

#[derive(Args, Debug, Default)]
struct DemoArgs {
    /// End after this many seconds, with code 0 if at least 99.9 % of the proxied requests
    /// succeeded and 1 if not.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Random events from a random seed, which is printed.
    #[arg(long)]
    chaos: bool,
}

#[derive(Args, Debug)]
struct ConfigArgs {
    /// The configuration, TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// How the process ends.
#[derive(Clone, Copy, Debug)]
enum Exit {
    Done = 0,
    BadConfiguration = 1,
    CouldNotStart = 3,
}

fn main() -> ExitCode {
    let exit = match Cli::parse().command {
        None => run_demo(&DemoArgs::default()),
        Some(Command::Demo(args)) => run_demo(&args),
        Some(Command::Run(ConfigArgs { config })) => run(&config),
        Some(Command::Check(ConfigArgs { config })) => check(&config),
    };
    ExitCode::from(exit as u8)
}

fn check(path: &Path) -> Exit {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(error) => return fail(Exit::BadConfiguration, error),
    };
    match writeln!(io::stdout(), "{}", report(path, &config)) {
        Ok(()) => Exit::Done,
        Err(error) => fail(Exit::CouldNotStart, error),
    }
}

/// What a good configuration has, and what of it deserves a second look.
fn report(path: &Path, config: &Config) -> String {
    let listeners = count(config.listeners.len(), "listener");
    let clusters = count(config.clusters.len(), "cluster");
    let mut report = format!("{}: {listeners}, {clusters}", path.display());
    if !config.routes.is_empty() {
        report = format!("{report}, {}", count(config.routes.len(), "route"));
    }
    report += ": good";
    let cleartext: Vec<_> = config.cleartext().collect();
    if !cleartext.is_empty() {
        report = format!("{report}; cleartext: {}", cleartext.join(", "));
    }
    if !config.admin.ip().is_loopback() {
        report = format!(
            "{report}\nwarning: the admin listener ({}) is not on loopback: whoever reaches it can drain the process",
            config.admin
        );
    }
    report
}

fn count(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}

fn run(path: &Path) -> Exit {
    // `listen` and the endpoints' connections say what tower-mtls says, and who the other side is. What
    // h2 warns of is what its clients do.
    init_log(
        "info,access=off,tower_mtls=error,tower_mtls::source=info,tower_mtls::connections=info,h2=error",
    );
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(error) => return fail(Exit::BadConfiguration, error),
    };
    let runtime = match runtime(config.threads) {
        Ok(runtime) => runtime,
        Err(error) => return fail(Exit::CouldNotStart, error),
    };
    let served = runtime.block_on(async {
        let signals = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
            signal(SignalKind::hangup()),
        );
        let (Ok(terminate), Ok(interrupt), Ok(hangup)) = signals else {
            return Err("signals cannot be received".into());
        };
        let proxy = Proxy::start(&config)?;
        serve(proxy, terminate, interrupt, hangup).await;
        Ok::<_, BoxError>(())
    });
    // What had begun to run may still log: the reason shall be the last word.
    drop(runtime);
    match served {
        Ok(()) => Exit::Done,
        Err(error) => fail(Exit::CouldNotStart, error),
    }
}

/// Serves until the first signal or `POST /drain`, drains until all is over or the second signal.
async fn serve(proxy: Proxy, mut terminate: Signal, mut interrupt: Signal, mut hangup: Signal) {
    let mut signalled = loop {
        tokio::select! {
            _ = terminate.recv() => break true,
            _ = interrupt.recv() => break true,
            () = proxy.drain_asked() => break false,
            _ = hangup.recv() => tracing::warn!("SIGHUP: reloading is not supported yet; restart to change the configuration"),
        }
    };
    let mut draining = pin!(proxy.drain());
    loop {
        tokio::select! {
            whole = &mut draining => return match whole {
                true => tracing::info!("drained"),
                false => tracing::warn!("the grace period is over: what was still in flight is cut"),
            },
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // Whoever asks by POST before the platform sends its signal has not asked for a cut.
        if signalled {
            return tracing::warn!("second signal: ending at once");
        }
        signalled = true;
        tracing::info!("a signal while draining; a second one ends at once");
    }
}

fn run_demo(args: &DemoArgs) -> Exit {
    // The demo breaks connections on purpose: its table tells, not a log.
    init_log("error");
    let options = Options {
        length: args.seconds.map(Duration::from_secs),
        chaos: args.chaos,
    };
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(Exit::CouldNotStart, error),
    };
    let summary = runtime.block_on(async {
        tokio::select! {
            summary = demo::run(options) => summary.map(Some),
            interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| None).map_err(Into::into),
        }
    });
    match summary {
        Ok(Some(summary)) if !summary.kept() => Exit::BadConfiguration,
        Ok(_) => Exit::Done,
        // Whoever read the table has seen enough, as `head` does.
        Err(error) if is_broken_pipe(&error) => Exit::Done,
        Err(error) => fail(Exit::CouldNotStart, error),
    }
}

fn is_broken_pipe(error: &BoxError) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn runtime(threads: NonZeroUsize) -> io::Result<Runtime> {
    match threads.get() {
        1 => Builder::new_current_thread().enable_all().build(),
        threads => Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build(),
    }
}

/// One clear line on standard error.
fn fail(exit: Exit, error: impl Display) -> Exit {
    // Where standard error is gone, the exit code still tells.
    let _ = writeln!(io::stderr(), "proxy: {error}");
    exit
}
