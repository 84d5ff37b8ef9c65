use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Sends logs to standard error, filtered by the environment variable `PROXY_LOG`, else by
/// `default` (for example `info` or `warn,access=info`).
pub fn init(default: &str) {
    let filter = EnvFilter::try_from_env("PROXY_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // A second call (several proxies in one process) keeps the first one's settings.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init();
}
