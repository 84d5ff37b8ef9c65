//! The `proxy` command: `demo`, `run` and `check`.

#![forbid(unsafe_code)]

use std::{
    fmt::Display,
    io::{self, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
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
/// Without a command it runs the demo. Logs go to standard error and are filtered by PROXY_LOG
/// (default: info,access=off; with access lines: info). Exit codes: 0 done, 1 bad
/// configuration or a promise not kept, 2 bad usage, 3 could not start.
#[derive(Debug, Parser)]
#[command(name = "proxy", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Embedded upstreams, an embedded CA, mutual TLS, load, live figures; ends on Ctrl-C.
    Demo(DemoArgs),
    /// Serve what a configuration says, until SIGTERM or SIGINT drains it.
    Run(ConfigArgs),
    /// Say whether a configuration is good, and if not, what to write instead.
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
    let cleartext: Vec<_> = config.cleartext().collect();
    let mut report = format!("{}: good", path.display());
    if !cleartext.is_empty() {
        report = format!("{report}; cleartext: {}", cleartext.join(", "));
    }
    match writeln!(io::stdout(), "{report}") {
        Ok(()) => Exit::Done,
        Err(error) => fail(Exit::CouldNotStart, error),
    }
}

fn run(path: &Path) -> Exit {
    // `listen` and the endpoints' connections say what tower-mtls says, and who the other side is.
    init_log("info,access=off,tower_mtls=error");
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

/// Serves until the first signal, drains until all is over or the second.
async fn serve(proxy: Proxy, mut terminate: Signal, mut interrupt: Signal, mut hangup: Signal) {
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => tracing::warn!("SIGHUP: reloading is not supported yet; restart to change the configuration"),
        }
    }
    tokio::select! {
        whole = proxy.drain() => match whole {
            true => tracing::info!("drained"),
            false => tracing::warn!("the grace period is over: what was still in flight is cut"),
        },
        _ = terminate.recv() => tracing::warn!("second signal: ending at once"),
        _ = interrupt.recv() => tracing::warn!("second signal: ending at once"),
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
